#include "walkthroughs/toys/reviews.h"

#include <cmath>
#include <map>

#include "nn/base/matrix.h"
#include "rlhf/exact.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("reviews");

TEST_CASE("reviews: a sentence is one or two adjectives with very or not") {
    for (const char* good : {"was fine .", "was very dull .", "was not bad and superb .", "was very nice and very nice ."})
        CHECK(reviews::is_sentence(reviews::ids_of(good)));
    for (const char* bad :
         {"", "fine .", "was fine", "was .", "was very .", "was very very fine .", "was fine and .", "was fine fine .",
          "was fine . .", "was movie .", "was fine and nice and nice .", "was not very fine .", "was fine . <pad>", "the fine ."})
        CHECK_FALSE(reviews::is_sentence(reviews::ids_of(bad)));
}

TEST_CASE("reviews: scores by hand: very good and not bad is 1.5 + 0.5") {
    const auto score = [](const char* answer) { return reviews::true_score(reviews::ids_of(answer)); };
    CHECK(score("was good .") == 1);
    CHECK(score("was awful .") == -1);
    CHECK(score("was very good and not bad .") == 2);
    CHECK(score("was not superb and very poor .") == -2);
    CHECK(score("was very good and very fine .") == 3);
    CHECK(score("was very very good .") == -3);
}

TEST_CASE("reviews: all 600 answers: probabilities sum to 1, entropy 5.5 nats, mean score 0") {
    // a phrase: ln 8 + H(0.6, 0.25, 0.15) = 2.0794 + 0.9376 = 3.0170.   0.4 and 0.6: 0.6730
    // together 0.6730 + 0.4 * 3.0170 + 0.6 * 2 * 3.0170 = 5.5002
    const std::vector<reviews::Sentence> sentences = reviews::all_sentences();
    CHECK(sentences.size() == 600);
    std::map<reviews::Answer, int> seen;
    double total = 0, entropy = 0, mean = 0;
    for (const reviews::Sentence& sentence : sentences) {
        CHECK(++seen[sentence.answer] == 1);
        CHECK(reviews::is_sentence(sentence.answer));
        CHECK(sentence.answer.size() <= reviews::longest_answer);
        total += sentence.probability;
        entropy -= sentence.probability * std::log(sentence.probability);
        mean += sentence.probability * reviews::true_score(sentence.answer);
    }
    CHECK(total == Approx(1));
    CHECK(entropy == Approx(5.5002).epsilon(1e-4));
    CHECK(std::abs(mean) < 1e-9);
}

TEST_CASE("reviews: the optimal policy for the true score: 2.26 at 1.69 nats for beta 0.5, 2.83 at 3.43 for 0.2") {
    const std::vector<reviews::Sentence> sentences = reviews::all_sentences();
    Matrix q(600, 1), r(600, 1);
    for (int y = 0; y < 600; ++y) {
        q[y] = static_cast<float>(sentences[y].probability);
        r[y] = reviews::true_score(sentences[y].answer);
    }
    const Matrix half = exact::optimal_policy(q, r, 0.5f), fifth = exact::optimal_policy(q, r, 0.2f);
    CHECK(exact::expected_reward(half, r) == Approx(2.26).epsilon(0.002));
    CHECK(exact::kl(half, q) == Approx(1.69).epsilon(0.003));
    CHECK(exact::expected_reward(fifth, r) == Approx(2.83).epsilon(0.002));
    CHECK(exact::kl(fifth, q) == Approx(3.43).epsilon(0.003));
}

TEST_CASE("reviews: samples follow the probabilities") {
    Random random(2);
    const int count = 40000;
    std::map<reviews::Answer, int> drawn;
    for (int k = 0; k < count; ++k) ++drawn[reviews::draw_answer(random)];
    for (const reviews::Sentence& sentence : reviews::all_sentences()) {
        const double expected = sentence.probability * count;
        CHECK(std::abs(drawn[sentence.answer] - expected) < 5 * std::sqrt(expected) + 5);
        drawn.erase(sentence.answer);
    }
    CHECK(drawn.empty());
}

TEST_CASE("human_texts: the four prompts in turn, with drawn answers") {
    Random random(1), same(1);
    const ppo::Episodes texts = reviews::human_texts(6, random);
    REQUIRE(texts.count() == 6);
    for (int b = 0; b < 6; ++b) {
        const auto row = texts.tokens.begin() + b * texts.length;
        CHECK(std::vector<int>(row, row + reviews::prompt_length) == reviews::prompt_of(b % 4));
        CHECK(reviews::answer_of(texts, b) == reviews::draw_answer(same));
    }
}

TEST_CASE("reviews: texts in rows round-trip") {
    const reviews::Answer shorter = reviews::ids_of("was fine ."), longer = reviews::ids_of("was very bad and not poor .");
    const ppo::Episodes episodes = reviews::episodes_of({0, 3}, {shorter, longer});
    CHECK(reviews::text_of({episodes.tokens.begin(), episodes.tokens.begin() + 11}) ==
          "<bos> the movie was fine . <pad> <pad> <pad> <pad> <pad>");
    CHECK(reviews::text_of(reviews::prompt_of(3)) == "<bos> the song");
    CHECK(reviews::answer_of(episodes, 0) == shorter);
    CHECK(reviews::answer_of(episodes, 1) == longer);
    CHECK(reviews::text_lengths(episodes) == std::vector<int>{6, 10});
    CHECK(reviews::true_scores(episodes) == std::vector<float>{1, -1});
    CHECK(reviews::share_of_sentences(episodes) == 1);
    CHECK_THROWS_WITH(reviews::ids_of("was splendid ."), "reviews: \"splendid\" is not one of the 20 words of this language");
    CHECK_THROWS_WITH(reviews::episodes_of({0}, {}), "reviews: 1 nouns and 0 answers");
    CHECK(reviews::episodes_of({0}, {reviews::Answer(8, 3)}).answer_lengths == std::vector<int>{8});
    const ppo::Episodes half = reviews::episodes_of({0, 0}, {shorter, reviews::ids_of("was very very good .")});
    CHECK(reviews::share_of_sentences(half) == 0.5);
    CHECK(reviews::true_scores(half) == std::vector<float>{1, -3});
    CHECK_THROWS_WITH(reviews::episodes_of({0}, {reviews::Answer(9, 3)}), "reviews: answer 0 has 9 words, 8 are the most");
}

TEST_SUITE_END();
