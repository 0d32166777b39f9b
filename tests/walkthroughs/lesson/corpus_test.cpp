#include "walkthroughs/lesson/corpus.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "nn/data/file.h"
#include "nn/text/batch.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("corpus");

// A text whose tokens are bytes: every line is a different number.
static std::string numbered_lines(int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += "line " + std::to_string(i) + "\n";
    return all;
}

TEST_CASE("make_corpus: one stretch in twenty is held out, and no token is lost") {
    const std::string text = numbered_lines(2000);
    const Corpus corpus = make_corpus(text, 0, 8);
    CHECK(corpus.vocabulary.size() == 257);  // 256 bytes and the end of the text
    CHECK(corpus.train.size() + corpus.test.size() == text.size());
    CHECK(corpus.bytes_per_token == doctest::Approx(1));
    // by hand: a stretch is 4 (8 + 1) = 36 tokens, the test begins with stretch 10
    const std::string first_test = bpe::decode({corpus.test.begin(), corpus.test.begin() + 36}, corpus.vocabulary);
    CHECK(first_test == text.substr(360, 36));
    CHECK(bpe::decode({corpus.train.begin() + 360, corpus.train.begin() + 400}, corpus.vocabulary) == text.substr(396, 40));
}

TEST_CASE("make_corpus: merges shorten a text; rejects a text that is too short") {
    const std::string text = numbered_lines(2000);
    const Corpus corpus = make_corpus(text, 20, 8);
    CHECK(corpus.vocabulary.size() == 277);
    CHECK(corpus.bytes_per_token > 1.5);
    CHECK(make_corpus(text, corpus.vocabulary, 8).train == corpus.train);
    CHECK_THROWS_WITH(make_corpus("abc", 0, 8),
                      "corpus: 3 tokens are too few to train on and to test with, take a longer text or a smaller --length");
}

TEST_CASE("make_corpus: two stretches and a token are needed to train on and to test with") {
    const bpe::Vocabulary bytes = bpe::make_vocabulary({});
    // a stretch is 36 tokens, the test text begins with token 360; two texts of 8 + 1 tokens are 18
    CHECK_THROWS_WITH(make_corpus(std::string(378, 'x'), bytes, 8),
                      "corpus: 378 tokens are too few to train on and to test with, take a longer text or a smaller --length");
    CHECK(make_corpus(std::string(379, 'x'), bytes, 8).test.size() == 19);
    CHECK_THROWS_WITH(make_corpus("", bytes, 8),
                      "corpus: 0 tokens are too few to train on and to test with, take a longer text or a smaller --length");
}

TEST_CASE("make_corpus: the merges are learned from the first 300000 bytes") {
    const auto first_merge = [](const std::string& text) {
        const Corpus corpus = make_corpus(text, 1, 1);
        return bpe::decode({256}, corpus.vocabulary);
    };
    std::string head, tail;
    while (head.size() < 300'000) head += "ab\n";
    head.resize(299'999);
    while (tail.size() < 400'000) tail += "cd\n";
    CHECK(first_merge(head + "\u00e9" + tail) == "ab");  // the two bytes of the last character lie on both sides
    CHECK(first_merge(tail + head) == "cd");
    std::string both;
    for (int k = 0; k < 100; ++k) both += "ab\ncd\n";
    CHECK(first_merge(both) == "ab");  // the same count: the pair that comes first
    CHECK(first_merge("cd\n" + both) == "cd");
}

TEST_CASE("own_text: more than 50000 bytes are needed") {
    const TemporaryFolder folder;
    const WorkingFolder elsewhere(folder.path(""));
    write_file_atomically("README.md", std::string(49'999, 'x'));  // and a newline
    CHECK(error_of([] { own_text(); }).starts_with("corpus: no sources found below this folder"));
    write_file_atomically("README.md", std::string(50'000, 'x'));
    CHECK(own_text() == std::string(50'000, 'x') + "\n");
}

TEST_CASE("own_text: the README and the sources of this project; outside its folder it is refused") {
    const std::string text = own_text();
    CHECK(text.starts_with(read_file("README.md") + "\n"));
    for (const std::string file : {"nn/README.md", "bert/bert.h", "gpt/gpt.cpp", "vit/vit.cpp", "rlhf/dpo.cpp"})
        CHECK(text.find("\n" + read_file(file) + "\n") != std::string::npos);
    const TemporaryFolder folder;
    const WorkingFolder elsewhere(folder.path(""));
    const std::string error = error_of([] { own_text(); });
    CHECK(error.starts_with("corpus: no sources found below this folder; run it from the top of the project"));
}

TEST_CASE("random_stretches: each is part of the text, and every position is drawn") {
    std::vector<int> text;
    for (int i = 0; i < 20; ++i) text.push_back(i);
    Random random(1);
    std::set<int> firsts;
    for (int trial = 0; trial < 200; ++trial) {
        const std::vector<int> ids = random_stretches(text, 2, 5, random);
        REQUIRE(ids.size() == 10);
        for (const int at : {0, 5})
            for (int k = 1; k < 5; ++k) CHECK(ids[at + k] == ids[at] + k);
        firsts.insert(ids[0]);
    }
    CHECK(firsts.size() == 16);  // 0 ... 15
}

TEST_CASE("held_out_loss: ln V for a uniform model; the last incomplete stretch is omitted") {
    const gpt::Config config{.vocabulary = 7, .positions = 4, .width = 4, .depth = 1, .heads = 1, .mlp_width = 4};
    const gpt::Weights w = gpt::empty_weights(config);
    CHECK(held_out_loss({0, 1, 2, 3, 4, 5, 6, 0, 1}, 4, w, config) == doctest::Approx(std::log(7.0)));
}

TEST_CASE("held_out_loss: the mean over all stretches, though they are read sixteen at once") {
    const gpt::Config config{.vocabulary = 7, .positions = 4, .width = 4, .depth = 1, .heads = 1, .mlp_width = 4};
    Random random(1);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    std::vector<int> text;
    for (int t = 0; t < 4 * 33; ++t) text.push_back(random.below(7));  // the last reading is of one stretch
    const float all = gpt::loss(gpt::forward(text, 4, w, config), next_tokens(text, 4)).value()[0];
    CHECK(held_out_loss(text, 4, w, config) == Approx(all).epsilon(1e-5));
    text.insert(text.end(), {1, 2, 3});
    CHECK(held_out_loss(text, 4, w, config) == Approx(all).epsilon(1e-5));
}

TEST_CASE("NextTokensOfText: the loss of a batch is that of its stretches") {
    const gpt::Config config{.vocabulary = 7, .positions = 4, .width = 4, .depth = 1, .heads = 1, .mlp_width = 4};
    Random random(1), same_draws(2), draws(2);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const std::vector<int> text{0, 1, 2, 3, 4, 5, 6, 0, 1, 4, 2, 5};
    NextTokensOfText objective(w, config, 4, 3, draws, text);
    const std::vector<int> ids = random_stretches(text, 3, 4, same_draws);
    CHECK(objective.loss(0).value()[0] == gpt::loss(gpt::forward(ids, 4, w, config), next_tokens(ids, 4)).value()[0]);
}

TEST_SUITE_END();
