#include "course/pack/quiz.h"

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

static std::string trimmed(const std::string& words) {
    const std::size_t begin = words.find_first_not_of(' ');
    return begin == std::string::npos ? "" : words.substr(begin, words.find_last_not_of(' ') - begin + 1);
}

// The cells of a line "| a | b |"; none when it is not a row of a table.
static std::vector<std::string> cells(const std::string& line) {
    std::vector<std::string> found;
    if (!line.starts_with("|") || line.starts_with("| ---") || line.starts_with("|---")) return found;
    for (const std::string& part : split(line.substr(1), '|')) found.push_back(trimmed(part));
    if (found.back().empty()) found.pop_back();
    return found;
}

std::vector<QuizQuestion> quiz_of(const std::string& readme, int seed, int most) {
    struct Row {
        std::string said, done;
    };
    std::vector<Row> rows;
    bool in_ledger = false;
    for (const std::string& line : split_lines(read_file(readme))) {
        const std::vector<std::string> row = cells(line);
        if (row.empty()) {
            in_ledger = in_ledger && line.starts_with("|");
            continue;
        }
        const bool is_head = row[0].starts_with("the paper");
        if (in_ledger && row.size() >= 3 && row[0].size() > 3 && row[1].size() > 3 && row[0] != row[1])
            rows.push_back({row[0], row[1]});
        in_ledger = in_ledger || is_head;
    }
    Random random(static_cast<std::uint64_t>(seed));
    const int count = static_cast<int>(rows.size());
    std::vector<QuizQuestion> questions;
    for (const int k : permutation(random, count)) {
        if (static_cast<int>(questions.size()) == most) break;
        QuizQuestion question{
            .asked = "In the paper, or usually: " + rows[k].said + ". What is done in the code that is compared with here?",
            .right = rows[k].done,
            .wrong = {}};
        for (const int other : permutation(random, count))
            if (question.wrong.size() < 2 && rows[other].done != rows[k].done && !rows[other].done.starts_with("the same"))
                question.wrong.push_back(rows[other].done);
        if (question.wrong.size() == 2 && !question.right.starts_with("the same")) questions.push_back(question);
    }
    return questions;
}

// GIFT reads these characters as its own.
static std::string gift(const std::string& words) {
    std::string text;
    for (const char c : words) {
        if (std::string("~=#{}:\\").find(c) != std::string::npos) text += '\\';
        text += c;
    }
    return text;
}

std::string gift_text(const std::vector<QuizQuestion>& questions) {
    std::string text;
    int number = 0;
    for (const QuizQuestion& question : questions) {
        text += "::Q" + std::to_string(++number) + ":: " + gift(question.asked) + " {\n    =" + gift(question.right) + "\n";
        for (const std::string& wrong : question.wrong) text += "    ~" + gift(wrong) + "\n";
        text += "}\n\n";
    }
    return text;
}

std::string paper_text(const std::vector<QuizQuestion>& questions, int seed) {
    Random random(static_cast<std::uint64_t>(seed) + 1);
    std::string text, key;
    int number = 0;
    for (const QuizQuestion& question : questions) {
        text += std::to_string(++number) + ". " + question.asked + "\n";
        std::vector<std::string> answers = question.wrong;
        answers.push_back(question.right);
        char letter = 'a';
        for (const int k : permutation(random, static_cast<int>(answers.size()))) {
            text += std::string("   ") + letter + ") " + answers[k] + "\n";
            if (answers[k] == question.right) key += std::to_string(number) + letter + " ";
            ++letter;
        }
        text += "\n";
    }
    return text + "key: " + key + "\n";
}
