// bpe.cpp: the lesson on byte pair encoding: split a text, write it as bytes, merge frequent pairs, decode; see gpt/bpe.h.
#include "gpt/bpe.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "nn/base/require.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/tokens.h"

static const std::string two_languages = "walkthroughs/data/two_languages.txt";
static const std::string english_rhyme =
    "Hush, said the owl to the fox in the fog, 12 frogs have jumped over 1 log.\n"
    "Quick, said the fox, if they jump once more, how many frogs will go past my door?\n";
static const std::string russian_rhyme =
    "Тише, сказала лисе сова, жабы и жуки едят слова.\n";  // Hush, the owl told the fox, toads and beetles eat words.

static std::vector<std::string> tokens_of(std::string_view text, const bpe::Vocabulary& vocabulary) {
    std::vector<std::string> tokens;
    for (const int id : bpe::encode(text, vocabulary)) tokens.push_back(vocabulary.tokens[id]);
    return tokens;
}

static std::string quoted(const std::string& token) { return "\"" + shown_token(token) + "\""; }

static double bytes_per_token(std::string_view text, const bpe::Vocabulary& vocabulary) {
    return static_cast<double>(text.size()) / static_cast<double>(std::max<std::size_t>(1, bpe::encode(text, vocabulary).size()));
}

// The beginning of a text, at most `most` bytes, ending at a space or line end if possible.
static std::string beginning(const std::string& text, std::size_t most) {
    if (text.size() <= most) return text;
    const std::size_t space = text.find_last_of(" \n", most);
    const std::string cut = text.substr(0, space == std::string::npos || space == 0 ? most : space);
    return cut.substr(0, valid_utf8_length(cut));
}

static void step_pieces(Lesson& lesson, bool english) {
    lesson.step("Where may a token end?", "at the border of a piece");
    const std::string sentence = std::string("I'll pay  25 euros\n\n") + (english ? "or" : "или") + " it's 30,5!";
    lesson.code();
    const std::vector<std::string_view> pieces = bpe::split_pieces(sentence);
    lesson.lines(token_lines({pieces.begin(), pieces.end()}, lesson.colours));
    if (!english) lesson.say("или is Russian for or.");
    lesson.why(
        "letters, digits and symbols form separate pieces, and each piece includes one space before it, so that no token joins the end of one word with the beginning of the next. Of two spaces the first is a piece of its own.");
    lesson.predict("Into how many pieces is \"I'LL\" split, with a capital ending?",
                   {static_cast<double>(bpe::split_pieces("I'LL").size()), 0.5});
}

static void step_bytes(Lesson& lesson) {
    lesson.step("What are the first tokens?", "256 of them, one for each byte");
    std::vector<std::vector<std::string>> rows{{"character", "bytes", "symbols in the files", "ids"}};
    const bpe::Vocabulary vocabulary = bpe::make_vocabulary({});
    const std::vector<std::string> characters{"a", " ", "é", "Д", "語", "\U0001F600"};
    for (const std::string& character : characters) {
        std::string bytes, ids;
        for (const char byte : character) {
            char hexadecimal[4];
            std::snprintf(hexadecimal, sizeof hexadecimal, "%02X ", static_cast<unsigned>(static_cast<unsigned char>(byte)));
            bytes += hexadecimal;
        }
        for (const int id : bpe::encode(character, vocabulary)) ids += std::to_string(id) + " ";
        rows.push_back({quoted(character), bytes, bpe::symbols_of(character), ids});
    }
    lesson.table(rows);
    lesson.why(
        "every text is a sequence of bytes, so no token is ever unknown. A Russian letter takes two of them before any merge, an English one takes one. The published files write a byte that is not printable as another character: a space is Ġ.");
}

static bpe::Training step_training(Lesson& lesson, const std::string& text, int rounds) {
    lesson.step("What is learned?", "merge the most frequent adjacent pair, " + std::to_string(rounds) + " times");
    Progress progress("learning", rounds);
    lesson.code();
    const bpe::Training training = bpe::train(text, rounds, true, &progress);
    const bpe::Vocabulary vocabulary = bpe::make_vocabulary(training.pairs(), bpe::ByteOrder::raw);
    std::vector<std::vector<std::string>> rows{{"merge", "left", "right", "token", "count", "tokens left"}};
    const std::size_t every = std::max<std::size_t>(1, training.steps.size() / 8);
    for (std::size_t i = 0; i < training.steps.size(); ++i) {
        if (i >= 6 && (i + 1) % every != 0) continue;  // the first six, then some of the others
        const bpe::TrainingStep& step = training.steps[i];
        rows.push_back({std::to_string(i), quoted(vocabulary.tokens[step.pair.left]), quoted(vocabulary.tokens[step.pair.right]),
                        quoted(vocabulary.tokens[step.result]), std::to_string(step.count), std::to_string(step.tokens_after)});
    }
    lesson.say(
        "The text has ", text.size(),
        " bytes, and as many tokens before merge 0. The first merges and some of the others; <D0> is a byte that is only a part of a letter:");
    lesson.table(rows);
    if (!training.steps.empty()) {
        const bpe::TrainingStep& first = training.steps.front();
        lesson.why(
            "the first pair occurred ", first.count,
            " times, more often than any other; now it is one token. Later merges build on earlier ones. Ties go to the pair that occurs first in the text.");
    }
    return training;
}

// Bytes per token after all merges.
struct Gain {
    double own, other;  // of the training text, and of a held-out text
};

static Gain step_compression(Lesson& lesson, const bpe::Training& training, const std::string& text, const std::string& other) {
    lesson.step("How much shorter is the text now?", "bytes per token");
    Series on_text{"training text", {}, {}}, on_other{"another text", {}, {}};
    const std::vector<bpe::Pair> all = training.pairs();
    const std::size_t every = std::max<std::size_t>(1, all.size() / 40);
    for (std::size_t merges = 0; merges <= all.size(); merges += every) {
        const bpe::Vocabulary vocabulary = bpe::make_vocabulary({all.begin(), all.begin() + merges}, bpe::ByteOrder::raw);
        for (Series* series : {&on_text, &on_other}) series->x.push_back(static_cast<float>(merges));
        on_text.y.push_back(static_cast<float>(bytes_per_token(beginning(text, 100'000), vocabulary)));
        on_other.y.push_back(static_cast<float>(bytes_per_token(other, vocabulary)));
    }
    lesson.curves({on_text, on_other}, {"merges", "bytes per token"});
    const Gain gain{on_text.y.back(), on_other.y.back()};
    lesson.why("at the end a token holds ", fixed(gain.own, 2), " bytes of the training text, but ", fixed(gain.other, 2),
               " of another text: the vocabulary fits the text that it was trained on.");
    const std::size_t few = std::min<std::size_t>(20, all.size());
    const bpe::Vocabulary small = bpe::make_vocabulary({all.begin(), all.begin() + static_cast<long>(few)}, bpe::ByteOrder::raw);
    lesson.predict("How many bytes of the training text does a token hold after " + std::to_string(few) + " merges?",
                   {bytes_per_token(beginning(text, 100'000), small), 0.15});
    return gain;
}

static void step_text(Lesson& lesson, const std::string& text, const bpe::Vocabulary& vocabulary, bool english_only) {
    lesson.step("How is a text tokenized now?");
    const std::string part = beginning(text, 240);
    lesson.code();
    const std::vector<int> ids = bpe::encode(part, vocabulary);
    lesson.lines(token_lines(tokens_of(part, vocabulary), lesson.colours));
    lesson.say(ids.size(), " tokens.");
    if (english_only) return;
    const std::string english = "The mother reads a book and the children are singing.";
    const std::string russian = "Мама читает книгу, а дети поют.";
    std::vector<std::vector<std::string>> rows{{"sentence", "characters", "bytes", "tokens", "characters per token"}};
    std::vector<std::string> per_token;
    for (const std::string& sentence : {english, russian}) {
        const std::size_t characters = decode_utf8(sentence).size();
        const std::size_t tokens = bpe::encode(sentence, vocabulary).size();
        per_token.push_back(fixed(static_cast<double>(characters) / static_cast<double>(tokens), 2));
        rows.push_back(
            {sentence, std::to_string(characters), std::to_string(sentence.size()), std::to_string(tokens), per_token.back()});
        lesson.lines(token_lines(tokens_of(sentence, vocabulary), lesson.colours));
    }
    lesson.table(rows);
    lesson.say("The Russian sentence: Mama reads a book, and the children sing.");
    lesson.why("a token holds ", per_token[0], " English characters, but ", per_token[1],
               " Russian ones. A Russian letter starts as two tokens, so the first merges only restore single letters.");
}

static void step_half_characters(Lesson& lesson, const bpe::Vocabulary& vocabulary) {
    lesson.step("What if a token holds a part of a character?", "decode: incomplete characters become U+FFFD");
    const bpe::Vocabulary bytes = bpe::make_vocabulary({});
    const std::vector<int> ids = bpe::encode("é\u20AC", bytes);  // two and three bytes
    std::vector<std::vector<std::string>> rows{{"tokens", "decoded"}};
    for (std::size_t kept = 0; kept <= ids.size(); ++kept)
        rows.push_back({std::to_string(kept), bpe::decode({ids.begin(), ids.begin() + kept}, bytes)});
    lesson.table(rows);
    int parts = 0;
    for (const std::string& token : vocabulary.tokens) parts += valid_utf8_length(token) < token.size();
    lesson.why(
        parts, " of the ", vocabulary.size(),
        " tokens of the vocabulary hold a part of a character. A model that generates token by token may stop inside one.");
}

// The command line.
struct Request {
    std::string text, vocab, merges, save, language = "ru";
    int rounds = 200;
};

static void walk(Lesson& lesson, const Request& request) {
    const bool english = only_english(request.language);
    const std::string given = request.text.empty() ? read_text_file(two_languages) : text_or_file(request.text);
    const std::string text = english && request.text.empty() ? ascii_lines(given) : given;
    const std::string other = english_rhyme + (english ? "" : russian_rhyme);
    const bool published = !request.merges.empty();
    bpe::Vocabulary vocabulary;
    if (published)
        vocabulary =
            request.vocab.empty() ? bpe::load_merges(request.merges) : bpe::load_vocabulary(request.vocab, request.merges);

    step_pieces(lesson, english);
    step_bytes(lesson);
    const bpe::Training training = step_training(lesson, text, request.rounds);
    const Gain gain = step_compression(lesson, training, text, other);
    if (!published) vocabulary = bpe::vocabulary_of(training);
    step_text(lesson, text, vocabulary, english);
    step_half_characters(lesson, vocabulary);
    if (!request.save.empty()) {
        bpe::save_vocabulary(vocabulary, request.save + "-vocab.json", request.save + "-merges.txt");
        lesson.say("Written: " + request.save + "-vocab.json and " + request.save + "-merges.txt");
    }

    lesson.say("Next: gpt/gpt trains a model on such tokens.");
    lesson.step("Does it hold?");
    const std::string everything = text + other + "\xFF\xD0 語 \U0001F600";
    const bool same = bpe::decode_bytes(bpe::encode(everything, vocabulary), vocabulary) == everything;
    lesson.claim("decoding restores every byte: of the training text, of another, and of invalid UTF-8", same);
    int idle = 0;
    for (std::size_t i = 1; i < training.steps.size(); ++i)
        idle += training.steps[i].tokens_after >= training.steps[i - 1].tokens_after;
    lesson.claim_at_most("merges that did not shorten the text", idle, 0);
    const bool as_delivered = request.text.empty() && request.rounds >= 40;
    const double ratio = gain.own / gain.other;
    if (as_delivered) lesson.claim_at_least("bytes per token of the training text, over those of the other", ratio, 1.3);
}

int main(int argc, char** argv) {
    Request request;
    Options options("bpe", "Byte pair encoding: how GPT's tokenizer is learned, merge by merge.", "a second");
    options.add("text", request.text, "a file to learn from, or the words themselves");
    options.add("language", request.language, "en: no Russian texts; ru: both languages");
    options.add("rounds", request.rounds, "merges to learn", 0, 100'000);
    options.add("merges", request.merges, "a published merges.txt, instead of the one learned here");
    options.add("vocab", request.vocab, "the vocab.json that belongs to it");
    options.add_output("save", request.save, "write the vocabulary to NAME-vocab.json and NAME-merges.txt",
                       {"-vocab.json", "-merges.txt"});
    options.needs("vocab", "merges");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, request); });
}
