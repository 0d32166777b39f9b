#include "walkthroughs/lesson/review_models.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("review_models");

using preferences::Ranking;

static std::vector<Ranking> two_rankings() {
    return {{.prompt = "the food", .answers = {"was bad .", "was very good .", "was fine ."}, .ranks = {3, 1, 2}},
            {.prompt = "the song", .answers = {"was nice .", "was good ."}, .ranks = {2, 1}}};
}

TEST_CASE("rankings become rows, and comparisons between rows of the same ranking") {
    const reviews::Ranked ranked = reviews::ranked_rows(two_rankings());
    CHECK(ranked.episodes.count() == 5);
    CHECK(reviews::text_of(reviews::answer_of(ranked.episodes, 1)) == "was very good .");
    CHECK(ranked.pairs.list.size() == 4);  // three of the first, one of the second
    CHECK(ranked.pairs.list.back().better == 4);
    // without noise nice and good are worth the same: the second ranking has no comparison
    CHECK(reviews::true_pairs(ranked, two_rankings()).list.size() == 3);
    CHECK_THROWS_WITH(reviews::ranked_rows({{.prompt = "a film", .answers = {"was bad ."}, .ranks = {1}}}),
                      "reviews: \"a\" is none of the 20 words of this language");
    CHECK_THROWS_WITH(
        reviews::ranked_rows({{.prompt = "the good", .answers = {"was bad ."}, .ranks = {1}}}),
        "reviews: \"the good\" is not a prompt, the prompts are \"the movie\", \"the food\", \"the book\" and \"the song\"");
}

TEST_CASE("texts become questions, K answers each, and a person without noise orders them by score") {
    const ppo::Episodes texts =
        reviews::episodes_of({1, 1, 3, 3}, {reviews::ids_of("was bad ."), reviews::ids_of("was good ."),
                                            reviews::ids_of("was not bad ."), reviews::ids_of("was very bad .")});
    Random random;
    const std::vector<Ranking> asked = reviews::ask(reviews::questions(texts, 2), {.noise = 0}, random);
    CHECK(asked.size() == 2);
    CHECK(asked[0].prompt == "the food");
    CHECK(asked[0].ranks == std::vector<int>{2, 1});
    CHECK(asked[1].prompt == "the song");
    CHECK(asked[1].ranks == std::vector<int>{1, 2});
}

TEST_CASE("a batch of DPO holds chosen rows first, and labels the words of the answers only") {
    const reviews::Comparisons comparisons = reviews::comparisons_of(two_rankings());
    CHECK(comparisons.count() == 4);
    const dpo::Batch batch = reviews::dpo_batch(comparisons, {3, 0}, 0, 2);
    CHECK(batch.pairs == 2);
    CHECK(batch.length == 11);
    const auto row = [&](int n) { return batch.tokens.begin() + n * 11; };
    CHECK(reviews::text_of({row(0), row(0) + 6}) == "<bos> the song was good .");
    CHECK(reviews::text_of({row(2), row(2) + 6}) == "<bos> the song was nice .");
    CHECK(batch.labels[1] == -100);  // the noun, which follows here, belongs to the prompt
    CHECK(batch.labels[2] == batch.tokens[3]);
    CHECK(batch.labels[4] == reviews::full_stop);
    CHECK(batch.labels[5] == -100);  // padding follows
}

TEST_CASE("the whole recipe in small: a writer, a judge that agrees, a policy that pleases it; same seed, same numbers" * only_when_optimised) {
    Random random(1);
    const reviews::Writer writer = reviews::fine_tune(random);
    CHECK(writer.losses.front() == Approx(std::log(20.0)).epsilon(0.05));  // no idea: ln of 20 words
    CHECK(writer.losses.back() < 1.25);                                    // the entropy of a word is 1.136
    const ppo::Episodes texts = reviews::write(writer.w, 320, random, 4);
    CHECK(reviews::share_of_sentences(texts) > 0.9);
    const std::vector<Ranking> rankings = reviews::ask(reviews::questions(texts, 4), {.noise = 0.5f}, random);
    const reviews::RewardModel judge = reviews::train_reward_model(writer.w, rankings, random);
    CHECK(std::abs(reviews::mean(reviews::rewards_of(judge, texts))) <
          1e-4);  // zero is where the mean of what it learned from is
    CHECK(reviews::judged(judge, rankings).agreement > 0.65);
    Random first(2), second(2);
    const reviews::PpoRun run{.iterations = 15};
    const reviews::PpoResult pleaser = reviews::train_ppo(writer.w, judge, run, first),
                           again = reviews::train_ppo(writer.w, judge, run, second);
    CHECK(pleaser.history.first_ratio_error < 1e-5);
    CHECK(pleaser.history.reward.back() > pleaser.history.reward.front() + 0.2);
    CHECK(pleaser.history.reward == again.history.reward);
    const reviews::Measured measured = reviews::measure(pleaser.w.trunk, writer.w, judge, first, 200);
    CHECK(measured.kl > 0);
    CHECK(measured.sentences > 0.8);
}

TEST_SUITE_END();
