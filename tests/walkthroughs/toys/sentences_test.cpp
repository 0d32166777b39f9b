#include "walkthroughs/toys/sentences.h"

#include <algorithm>
#include <map>
#include <set>

#include "tests/test.h"

TEST_SUITE("sentences") {
    TEST_CASE("sentences: a verb is determined by both sides, and by neither alone") {
        const std::vector<Sentence> sentences = all_sentences();
        CHECK(sentences.size() == 2 * subjects * objects * endings);
        std::map<std::string, std::set<std::string>> left, right, both;
        for (const Sentence& sentence : sentences) {
            left[sentence.subject].insert(sentence.verb);
            right[sentence.object].insert(sentence.verb);
            both[sentence.subject + sentence.object].insert(sentence.verb);
        }
        for (const auto& [subject, verbs] : left) CHECK(verbs.size() == objects);
        for (const auto& [object, verbs] : right) CHECK(verbs.size() == 2);
        for (const auto& [pair, verbs] : both) CHECK(verbs.size() == 1);
        CHECK(std::any_of(sentences.begin(), sentences.end(), [](const Sentence& s) { return s.words() == "Мама мыла раму"; }));
    }

    TEST_CASE("sentences: no test pair occurs in training, and the famous sentence does") {
        for (int seed = 1; seed <= 5; ++seed) {
            Random random(seed);
            const SplitSentences corpus = split_sentences(all_sentences(), random);
            CHECK(corpus.train.size() + corpus.test.size() == 576);
            CHECK(corpus.test.size() > 45);  // 15 % of 192 pairs with three endings are 86, give or take 15
            CHECK(corpus.test.size() < 130);
            std::set<std::string> trained, famous;
            for (const Sentence& sentence : corpus.train) {
                trained.insert(sentence.subject + " " + sentence.object);
                famous.insert(sentence.words());
            }
            for (const Sentence& sentence : corpus.test) CHECK(trained.count(sentence.subject + " " + sentence.object) == 0);
            CHECK(famous.count("Мама мыла раму") == 1);
        }
    }

    TEST_CASE("split_sentences: with a share of 1 all are tested but the famous sentence and its endings, with 0 none") {
        Random random(1);
        const SplitSentences all = split_sentences(all_sentences(), random, 1),
                             none = split_sentences(all_sentences(), random, 0);
        std::vector<std::string> trained;
        for (const Sentence& sentence : all.train) trained.push_back(sentence.words());
        CHECK(trained == std::vector<std::string>{"Мама мыла раму", "Мама мыла раму утром", "Мама мыла раму вечером"});
        CHECK(all.test.size() == 573);
        CHECK(none.test.empty());
    }

    TEST_CASE("sentences: [MASK] is the special token, other text is split into pieces") {
        const wordpiece::Vocabulary vocabulary = vocabulary_of({"Мама мыла раму", "раму"});  // 5: Мама, 6: мыла, 7: раму
        CHECK(vocabulary.size() == 8);
        CHECK(encode_with_masks("Мама [MASK] раму", vocabulary, {.lower_case = false}) == std::vector<int>{2, 5, 4, 7, 3});
        CHECK(encode_with_masks("[MASK][MASK]", vocabulary, {.lower_case = false}) == std::vector<int>{2, 4, 4, 3});
        CHECK(encode_with_masks("чай", vocabulary, {.lower_case = false}) == std::vector<int>{2, 1, 3});
        CHECK(mask_positions({2, 4, 5, 4, 3}, vocabulary) == std::vector<int>{1, 3});
        CHECK(mask_positions({4, 5, 4}, vocabulary) == std::vector<int>{0, 2});  // also the first and the last
    }
}
