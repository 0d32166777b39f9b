#include "course/drawn/drawn.h"

#include "course/grade/comparison.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("drawn");

static std::vector<Answer> answers_of(const std::string& task, int seed) {
    Answers answers;
    answer_all(task, seed, answers);
    return answers.list;
}

static std::string as_text(const std::vector<Answer>& answers) {
    std::string text;
    for (const Answer& answer : answers) text += text_of(answer);
    return text;
}

TEST_CASE("answer_all: the reference solution answers every question; equal seeds ask equal questions, others differ") {
    for (const std::string& task : drawn_tasks()) {
        INFO(task);
        const std::vector<Answer> answers = answers_of(task, 5);
        CHECK(answers.size() >= 9);
        for (const Answer& answer : answers) CHECK(answer.error == "");
        CHECK(as_text(answers) == as_text(answers_of(task, 5)));
        CHECK(as_text(answers) != as_text(answers_of(task, 6)));
    }
    CHECK(error_of([] {
              Answers answers;
              answer_all("cooking", 1, answers);
          }) == "course: there are no questions for the task cooking");
}

TEST_CASE("answer_all: no answer is all zeros or the same for every question") {
    for (const std::string& task : drawn_tasks()) {
        const std::vector<Answer> one = answers_of(task, 11);
        int moving = 0, zero = 0;
        for (int seed = 12; seed < 16; ++seed) {
            const std::vector<Answer> other = answers_of(task, seed);
            for (std::size_t k = 0; k < one.size(); ++k) moving += !same_answer(one[k], other[k]);
        }
        for (const Answer& answer : one) {
            bool all_zero = true;
            for (const float x : answer.value) all_zero = all_zero && x == 0;
            zero += all_zero;
        }
        INFO(task, ": ", moving, " of ", 4 * one.size(), " answers differ from seed to seed, ", zero, " are zeros");
        CHECK(2 * moving >= static_cast<int>(4 * one.size()));
        CHECK(6 * zero <= static_cast<int>(one.size()));
    }
}

TEST_SUITE_END();
