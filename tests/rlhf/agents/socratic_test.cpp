#include "rlhf/agents/socratic.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/text.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("socratic");

namespace {
// Repeats its prompt, then "a", "b", "a", ...; longer continuations have lower probability.
struct Echo : socratic::LanguageModel {
    std::string heard;

    std::vector<std::string> write(const std::string& prompt, int count) override {
        heard = prompt;
        std::vector<std::string> texts{prompt};
        for (int c = 1; c < count; ++c) texts.push_back(c % 2 == 1 ? "a" : "b");
        return texts;
    }
    double log_probability(const std::string&, const std::string& continuation) override {
        return -static_cast<double>(continuation.size());
    }
};
}  // namespace

// A sense that gives the true sentence the highest score.
static socratic::Sense truth(const std::string& sentence) {
    return [sentence](const std::vector<std::string>& sentences) {
        std::vector<double> scores;
        for (const std::string& one : sentences) scores.push_back(one == sentence ? 1 : 0);
        return scores;
    };
}

static socratic::Sense fixed_scores(const std::vector<double>& scores) {
    return [scores](const std::vector<std::string>&) { return scores; };
}

TEST_CASE("fill: every slot gets its words; a slot without an entry throws") {
    CHECK(socratic::fill("I see a {object 1}, {object 2}. I am", {{"object 1", "cup"}, {"object 2", "pan"}}) ==
          "I see a cup, pan. I am");
    CHECK(socratic::fill("{x}{x}", {{"x", "{y}"}, {"z", "lost"}}) == "{y}{y}");  // words are not read as templates
    CHECK(socratic::fill("no slot", {}) == "no slot");
    CHECK_THROWS_WITH(socratic::fill("in a {place}", {{"object", "cup"}}),
                      "socratic: no entry for the slot {place} of \"in a {place}\"; each slot needs a list of words");
    CHECK_THROWS_WITH(socratic::fill("in a {place", {{"place", "x"}}),
                      "socratic: a slot of the template \"in a {place\" is not closed; a } is missing");
}

TEST_CASE("perceive: scores the full sentence, not the bare word") {
    const socratic::WordList list{.slot = "object", .words = {"cup", "pan", "spoon"}};
    CHECK(socratic::perceive(truth("a photo of a pan"), list).words == std::vector<std::string>{"pan"});
    CHECK(socratic::perceive(truth("pan"), list).words == std::vector<std::string>{"cup"});  // no such sentence: the first
    CHECK_THROWS_WITH(socratic::perceive(fixed_scores({1}), list),
                      "socratic: a sense gave 1 scores to 3 sentences, each needs one");
}

TEST_CASE("perceive: the best k of a list, best first, of equal scores the earlier word") {
    const socratic::WordList list{.slot = "object", .words = {"cup", "pan", "spoon", "jar"}, .keep = 3};
    const socratic::Perception p = socratic::perceive(fixed_scores({0.1, 0.7, 0.9, 0.7}), list);
    CHECK(p.best == std::vector<int>{2, 1, 3});
    socratic::Slots slots;
    socratic::fill_slots(list, p, slots);
    CHECK(slots == socratic::Slots{{"object 1", "spoon"}, {"object 2", "pan"}, {"object 3", "jar"}});
    CHECK_THROWS_WITH(socratic::fill_slots(list, p, slots),
                      "socratic: two lists fill the slot {object 1}; each slot needs a list of its own");
    CHECK_THROWS_WITH(socratic::perceive(fixed_scores({1}), {.slot = "object", .words = {"cup"}, .keep = 2}),
                      "socratic: 2 of the 1 words for {object} are to be kept, it must be at least 1 of them");
}

TEST_CASE("converse: the prompt contains the best words of each list") {
    Echo echo;
    // the sound's scores are far below the image's: the lists are not compared
    const std::vector<socratic::Listening> senses{{fixed_scores({5, 9}), {.slot = "place", .words = {"hall", "kitchen"}}},
                                                  {fixed_scores({-7, -8}), {.slot = "sound", .words = {"rain", "steps"}}}};
    const socratic::Steps steps = socratic::converse(senses, "I am in a {place}. I hear {sound}.", echo, 1);
    CHECK(steps.answer() == "I am in a kitchen. I hear rain.");
    CHECK(echo.heard == steps.prompt);
    CHECK(steps.perceptions.size() == 2);
    CHECK_THROWS_WITH(socratic::converse(senses, "{place}", echo, 0), "socratic: 0 candidates, at least 1 is needed");
}

TEST_CASE("converse: candidates are distinct, and the perception model ranks them") {
    Echo echo;
    const socratic::Steps unchecked = socratic::converse({}, "go", echo, 5);
    CHECK(unchecked.candidates == std::vector<std::string>{"go", "a", "b"});
    CHECK(unchecked.answer() == "go");  // the first that was written
    CHECK(unchecked.scores == std::vector<double>{0, 0, 0});
    const socratic::Steps seen = socratic::converse({}, "go", echo, 5, {.sense = truth("a photo of a b")});
    CHECK(seen.answer() == "b");
    CHECK(seen.seen == std::vector<double>{0, 0, 1});
    CHECK(seen.likely == std::vector<double>{0, 0, 0});
    CHECK_THROWS_WITH(socratic::converse({}, "", echo, 1),
                      "socratic: the language model wrote nothing after \"\" in 1 candidates; let it write more tokens");
}

TEST_CASE("converse: with seen 0.9 0.5 0.4 and likely -2 -1 -1, the first wins at weight 0, the second at weight 0.5") {
    Echo echo;
    const socratic::Sense eyes = fixed_scores({0.9, 0.5, 0.4});
    CHECK(socratic::converse({}, "go", echo, 3, {.sense = eyes}).chosen == 0);
    const socratic::Steps both = socratic::converse({}, "go", echo, 3, {.sense = eyes, .language = 0.5});
    CHECK(both.chosen == 1);
    const std::vector<double> by_hand{-0.1, 0, -0.1};
    for (int i = 0; i < 3; ++i) CHECK(both.scores[i] == Approx(by_hand[i]));
}

TEST_CASE("choose: the most likely of the given answers") {
    Echo echo;
    const socratic::Choice choice = socratic::choose("go", {"slowly", "on", "home", "by"}, echo);
    CHECK(choice.chosen == 1);
    CHECK(choice.log_probabilities == std::vector<double>{-6, -2, -4, -2});
    CHECK_THROWS_WITH(socratic::choose("go", {}, echo), "socratic: no answers to choose from; give at least one");
}

TEST_CASE("history: one line per moment, times must increase") {
    CHECK(socratic::history({{9, "I see a cup."}, {65, "I hear rain."}, {70, "I am wet."}, {600, "I am out."}}) ==
          "0:09 I see a cup.\n1:05 I hear rain.\n1:10 I am wet.\n10:00 I am out.\n");
    CHECK_THROWS_WITH(socratic::history({{5, "a"}, {5, "b"}}),
                      "socratic: a moment at 5 seconds follows one at 5; moments must be in order, from 0 seconds on");
}

TEST_CASE("retrieval_scores, recall_at: worked by hand") {
    const Matrix a{{0.5f, 0.4f, 0}, {0.5f, 0.2f, 0.1f}}, b{{0, 0.2f, 0}, {0, 0.2f, 0.5f}};
    CHECK(socratic::recall_at(1, a, {0, 2}) == 0.5);
    CHECK(socratic::recall_at(2, a, {1, 2}) == 0.5);
    CHECK(socratic::recall_at(3, a, {1, 2}) == 1);
    const Matrix sum = socratic::retrieval_scores({a, b}, {1, 2});  // 0.5 0.8 0, 0.5 0.6 1.1
    CHECK(sum(0, 1) == Approx(0.8));
    CHECK(sum(1, 2) == Approx(1.1));
    CHECK(sum(0, 0) == Approx(0.5));
    CHECK(socratic::recall_at(1, sum, {1, 2}) == 1);
    CHECK_THROWS_WITH(socratic::retrieval_scores({a}, {1, 2}),
                      "socratic: 1 tables and 2 weights, there must be one weight for each table");
    CHECK_THROWS_WITH(socratic::retrieval_scores({a, Matrix(1, 3)}, {1, 2}),
                      "socratic: tables of similarities (2, 3) and (1, 3), the shapes must be equal");
    CHECK_THROWS_WITH(socratic::recall_at(4, a, {0, 0}), "socratic: recall at 4 of 3 captions, it must be 1 to that many");
    CHECK_THROWS_WITH(socratic::recall_at(1, a, {0, 3}), "socratic: caption 3 of 3, counted from 0");
}

// --- with real models ---

static std::vector<int> numbers(const std::string& text) {
    std::vector<int> ids;
    for (const std::string& part : split(text, ' '))
        if (!part.empty()) ids.push_back(std::stoi(part));
    return ids;
}

static std::string words(const std::vector<int>& ids) {
    std::string text;
    for (const int id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
    return text;
}

TEST_CASE("ClipSense: the cosines are CLIP's, and each sentence is embedded once") {
    const clip::Config config{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3},
                                         .width = 8,
                                         .depth = 1,
                                         .heads = 2,
                                         .mlp_width = 16},
                              .text = {.vocabulary = 10, .positions = 4, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16},
                              .shared_width = 6};
    Random random(3);
    const clip::Weights w = clip::make_weights(config, random);
    Image image(4, 4, 3);
    for (float& pixel : image.pixels) pixel = random.normal();
    std::vector<std::string> asked;
    const auto tokenize = [&](const std::vector<std::string>& texts) {
        asked.insert(asked.end(), texts.begin(), texts.end());
        std::vector<std::vector<int>> rows;
        for (const std::string& text : texts) rows.push_back(numbers("8 " + text + " 9"));
        return make_batch(rows);
    };
    socratic::ClipSense eyes(w, config, tokenize);
    const std::vector<std::string> sentences{"1 2", "3 4", "1 2", "5 6"};
    const std::vector<double> cosines = eyes.look(image)(sentences);
    CHECK(asked == std::vector<std::string>{"1 2", "3 4", "5 6"});
    CHECK(eyes.look(image)({"5 6"})[0] == Approx(cosines[3]));
    CHECK(asked.size() == 3);
    const Matrix expected =
        matmul_transposed(clip::embed_images({image}, w, config), clip::embed_texts(tokenize(sentences), w, config)).value();
    for (int i = 0; i < 4; ++i) CHECK(cosines[i] == Approx(expected(0, i)).epsilon(1e-5));
}

TEST_CASE("GptWriter: greedy candidates are equal, sampled ones differ, scores are the GPT's, and the end of text is removed") {
    const gpt::Config config{.vocabulary = 6, .positions = 12, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
    Random random(1);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.3f, .embedding_stddev = 0.3f});
    socratic::GptWriter greedy(w, config, numbers, words, {.new_tokens = 3}, {.temperature = 0}, 1);
    CHECK(socratic::converse({}, "1 2", greedy, 8).candidates.size() == 1);
    CHECK(greedy.write("1 2", 1)[0] == words(gpt::generate_greedily({1, 2}, 2, w, config, {.new_tokens = 3})[0]));
    socratic::GptWriter sampled(w, config, numbers, words, {.new_tokens = 3, .end_of_text = 0}, {.temperature = 2}, 1);
    Random same(1);  // a draw for each token of each text
    const Matrix draws{{same.uniform(), same.uniform(), same.uniform()}, {same.uniform(), same.uniform(), same.uniform()}};
    const std::vector<std::vector<int>> drawn =
        gpt::generate({1, 2, 1, 2}, 2, w, config, {.new_tokens = 3}, {.temperature = 2}, draws);
    socratic::GptWriter free(w, config, numbers, words, {.new_tokens = 3}, {.temperature = 2}, 1);
    CHECK(free.write("1 2", 2) == std::vector<std::string>{words(drawn[0]), words(drawn[1])});
    const socratic::Steps steps = socratic::converse({}, "1 2", sampled, 20, {.language = 1});
    CHECK(steps.candidates.size() > 5);
    for (const std::string& candidate : steps.candidates) CHECK(candidate.find('0') == std::string::npos);
    CHECK(sampled.log_probability("1 2", "3 4") == Approx(gpt::log_probability({1, 2}, {3, 4}, w, config)));
}

TEST_CASE("socratic: NaN scores, and moments out of order, are refused") {
    const socratic::Sense blind = [](const std::vector<std::string>& sentences) {
        return std::vector<double>(sentences.size(), NAN);
    };
    CHECK_THROWS_WITH(socratic::perceive(blind, {.slot = "object", .words = {"cup", "pan"}}),
                      "socratic: a sense gave the score nan to \"a photo of a cup\", it must be a number");
    CHECK_THROWS_WITH(socratic::recall_at(1, {{NAN, 0}}, {0}),
                      "socratic: the scores (1, 2) hold nan in row 0, column 0 (from 0); all must be finite, trap_nan(true) "
                      "names the operation that made it");
    CHECK_THROWS_WITH(socratic::recall_at(3, {{1, 0}}, {0}), "socratic: recall at 3 of 2 captions, it must be 1 to that many");
    CHECK_THROWS_WITH(socratic::history({{-1, "I wake up"}}),
                      "socratic: a moment at -1 seconds follows one at -1; moments must be in order, from 0 seconds on");
}

TEST_CASE("perceive: a word list without a sense is refused") {
    CHECK_THROWS_WITH(socratic::perceive(nullptr, {.slot = "place", .words = {"a street"}}),
                      "socratic: the words for {place} have no sense that scores them; give one, as ClipSense::look");
}

TEST_CASE("GptWriter, choose: no text to write is refused, and a score that is NaN") {
    const gpt::Config config{.vocabulary = 6, .positions = 12, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
    Random random(1);
    socratic::GptWriter writer(gpt::make_weights(config, random), config, numbers, words, {.new_tokens = 3}, {}, 1);
    CHECK_THROWS_WITH(writer.write("1 2", 0), "socratic: 0 texts to be written, there must be at least 1");
    struct Broken : Echo {
        double log_probability(const std::string&, const std::string& continuation) override {
            return continuation == "b" ? NAN : 0;
        }
    } broken;
    CHECK(socratic::choose("go", {"a"}, broken).chosen == 0);
    CHECK(error_of([&] { socratic::choose("go", {"b", "a"}, broken); }).starts_with("socratic: the score of candidate 0 is nan"));
    CHECK_THROWS_WITH(socratic::choose("go", {"a", "b"}, broken),
                      "socratic: the score of candidate 1 is nan, it must be a number; the language model may hold NaN, "
                      "trap_nan(true) names the operation");
    CHECK(socratic::history({{0, "I wake up"}}) == "0:00 I wake up\n");
}

TEST_CASE("perceive, retrieval_scores, recall_at: each argument check fails by itself") {
    CHECK_THROWS_WITH(socratic::perceive(fixed_scores({1}), {.slot = "object", .words = {"cup"}, .keep = 0}),
                      "socratic: 0 of the 1 words for {object} are to be kept, it must be at least 1 of them");
    CHECK_THROWS_WITH(socratic::retrieval_scores({}, {}),
                      "socratic: 0 tables and 0 weights, there must be one weight for each table");
    CHECK_THROWS_WITH(socratic::retrieval_scores({Matrix(2, 3), Matrix(1, 3)}, {1, 2}),
                      "socratic: tables of similarities (2, 3) and (1, 3), the shapes must be equal");
    CHECK_THROWS_WITH(socratic::retrieval_scores({Matrix(2, 3), Matrix(2, 2)}, {1, 2}),
                      "socratic: tables of similarities (2, 3) and (2, 2), the shapes must be equal");
    const Matrix one_video{{1, 0}};
    CHECK(socratic::recall_at(1, one_video, {0}) == 1);
    CHECK(socratic::recall_at(2, one_video, {1}) == 1);
    CHECK_THROWS_WITH(socratic::recall_at(0, one_video, {0}), "socratic: recall at 0 of 2 captions, it must be 1 to that many");
    CHECK_THROWS_WITH(socratic::recall_at(1, Matrix(0, 2), {}),
                      "socratic: 0 captions for 0 videos; each needs its own, and there must be a video");
    CHECK_THROWS_WITH(socratic::recall_at(1, one_video, {0, 1}),
                      "socratic: 2 captions for 1 videos; each needs its own, and there must be a video");
    CHECK_THROWS_WITH(socratic::recall_at(1, one_video, {-1}), "socratic: caption -1 of 2, counted from 0");
}

TEST_CASE("socratic::WordList: the defaults") {
    const socratic::WordList usual{};
    CHECK(usual.keep == 1);
}

TEST_CASE("ClipSense, GptWriter: a tokenizer that is not given is refused") {
    CHECK(error_of([] { socratic::ClipSense({}, {}, nullptr); }) ==
          "socratic: ClipSense has no tokenizer; give a function from sentences to tokens");
    const std::string rule = "socratic: GptWriter has no tokenizer; give a function from text to ids, and one back";
    socratic::GptWriter writer({}, {}, nullptr, words, {}, {}, 1);
    CHECK(error_of([&] { writer.write("1", 1); }) == rule);
    CHECK(error_of([&] { writer.log_probability("1", "2"); }) == rule);
    writer.ids = numbers;
    writer.text = nullptr;
    CHECK(error_of([&] { writer.write("1", 1); }) == rule);
}

TEST_CASE(
    "perceive, converse, retrieval_scores, Steps: a sentence without its word, weights and answers that are none are refused") {
    CHECK(error_of([] {
              socratic::perceive(fixed_scores({1, 2}), {.slot = "x", .words = {"a", "b"}, .sentence = "a photo"});
          }) == "socratic: the sentence \"a photo\" has no {} for the word, so that all would be equal; give it one");
    struct Silent : socratic::LanguageModel {
        std::vector<std::string> write(const std::string&, int) override { return {"a"}; }
        double log_probability(const std::string&, const std::string&) override { return -1; }
    } model;
    for (const double weight : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
        CHECK(error_of([&] {
                  socratic::converse({}, "x", model, 1, {.language = weight});
              }).ends_with(", the weight must be finite; 0 leaves them out"));
        CHECK(error_of([&] { socratic::retrieval_scores({Matrix(1, 1)}, {weight}); }).ends_with(", the weight must be finite"));
    }
    CHECK(socratic::converse({}, "x", model, 1).answer() == "a");
    CHECK(error_of([] { socratic::Steps{}.answer(); }) ==
          "socratic: candidate 0 of 0 is the answer; converse() fills these steps");
}

TEST_SUITE_END();
