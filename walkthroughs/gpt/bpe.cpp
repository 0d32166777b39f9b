// bpe.cpp: the lesson on byte pair encoding. Cut, write as bytes, merge what is frequent, read back; see gpt/bpe.h.
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
static const std::string other_rhyme =
    "Hush, said the owl to the fox in the fog, 12 frogs have jumped over 1 log.\n"
    "Quick, said the fox, if they jump once more, how many frogs will go past my door?\n"
    "Тише, сказала лисе сова, жабы и жуки едят слова.\n";

static std::vector<std::string> tokens_of(std::string_view text, const bpe::Vocabulary& vocabulary) {
    std::vector<std::string> tokens;
    for (const int id : bpe::encode(text, vocabulary)) tokens.push_back(vocabulary.tokens[id]);
    return tokens;
}

static std::string quoted(const std::string& token) { return "\"" + shown_token(token) + "\""; }

static double bytes_per_token(std::string_view text, const bpe::Vocabulary& vocabulary) {
    return static_cast<double>(text.size()) / static_cast<double>(std::max<std::size_t>(1, bpe::encode(text, vocabulary).size()));
}

// The beginning of a text, ending at a line end or space where there is one.
static std::string beginning(const std::string& text, std::size_t most) {
    if (text.size() <= most) return text;
    const std::size_t space = text.find_last_of(" \n", most);
    const std::string cut = text.substr(0, space == std::string::npos || space == 0 ? most : space);
    return cut.substr(0, valid_utf8_length(cut));
}

static void step_pieces(Lesson& lesson) {
    lesson.step("Where may a token end?");
    const std::string sentence = "I'll pay  25 euros\n\nили it's 30,5!";
    const std::vector<std::string_view> pieces = bpe::split_pieces(sentence);
    lesson.code("const std::vector<std::string_view> pieces = bpe::split_pieces(sentence);");
    lesson.lines(token_lines({pieces.begin(), pieces.end()}, lesson.colours));
    lesson.why("letters, digits and symbols are kept apart, and each run takes the space before it along, so that no token joins the "
               "end of one word with the beginning of the next. Of two spaces the first stays behind.");
    lesson.predict("the pieces of \"I'LL\" with a capital ending. Write them down, then change the sentence");
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
    lesson.why("every text is bytes, so nothing can be unknown. A Russian letter costs two of them before anything is learned, an "
               "English one costs one. A byte that cannot be printed has another letter in the published files: a space is written Ġ.");
}

static bpe::Training step_training(Lesson& lesson, const std::string& text, int rounds) {
    lesson.step("What is learned?", "merge the most frequent neighbours, " + std::to_string(rounds) + " times");
    Progress progress("learning", rounds);
    const bpe::Training training = bpe::train(text, rounds, true, &progress);
    lesson.code("const bpe::Training training = bpe::train(text, rounds);");
    const bpe::Vocabulary vocabulary = bpe::make_vocabulary(training.pairs(), bpe::ByteOrder::raw);
    std::vector<std::vector<std::string>> rows{{"merge", "left", "right", "token", "count", "pairs with it", "tokens left"}};
    for (std::size_t i = 0; i < training.steps.size(); ++i) {
        const bpe::TrainingStep& step = training.steps[i];
        rows.push_back({std::to_string(i), quoted(vocabulary.tokens[step.pair.left]), quoted(vocabulary.tokens[step.pair.right]),
                        quoted(vocabulary.tokens[step.result]), std::to_string(step.count), std::to_string(step.tied_pairs),
                        std::to_string(step.tokens_after)});
    }
    lesson.say("The text has " + std::to_string(text.size()) + " bytes, and so as many tokens before merge 0.");
    lesson.table(rows);
    if (!training.steps.empty()) {
        const bpe::TrainingStep& first = training.steps.front();
        lesson.why("the first pair was met " + std::to_string(first.count) + " times, more often than any other; now it is one "
                   "token. Later merges build on earlier ones. Where several pairs are as frequent, the one that comes first in the "
                   "text is taken.");
    }
    return training;
}

// Bytes per token after all merges.
struct Gain {
    double own, other;  // of the text that was learned from, and of another
};

static Gain step_compression(Lesson& lesson, const bpe::Training& training, const std::string& text) {
    lesson.step("What has it gained?", "bytes per token");
    Series on_text{"the text it learned from", {}, {}}, on_other{"another text", {}, {}};
    const std::vector<bpe::Pair> all = training.pairs();
    const std::size_t every = std::max<std::size_t>(1, all.size() / 40);
    for (std::size_t merges = 0; merges <= all.size(); merges += every) {
        const bpe::Vocabulary vocabulary = bpe::make_vocabulary({all.begin(), all.begin() + merges}, bpe::ByteOrder::raw);
        for (Series* series : {&on_text, &on_other}) series->x.push_back(static_cast<float>(merges));
        on_text.y.push_back(static_cast<float>(bytes_per_token(beginning(text, 100'000), vocabulary)));
        on_other.y.push_back(static_cast<float>(bytes_per_token(other_rhyme, vocabulary)));
    }
    lesson.curves({on_text, on_other});
    const Gain gain{on_text.y.back(), on_other.y.back()};
    lesson.why("at the end a token holds " + fixed(gain.own, 2) + " bytes of the text it learned from, and " +
               fixed(gain.other, 2) + " of another: the vocabulary is a model of its text.");
    lesson.predict("both numbers with --rounds 20 and with --rounds 1000");
    return gain;
}

static void step_text(Lesson& lesson, const std::string& text, const bpe::Vocabulary& vocabulary) {
    lesson.step("How is the text read now?");
    const std::string part = beginning(text, 700);
    lesson.code("const std::vector<int> ids = bpe::encode(text, vocabulary);");
    lesson.lines(token_lines(tokens_of(part, vocabulary), lesson.colours));
    const std::string english = "The mother reads a book and the children are singing.";
    const std::string russian = "Мама читает книгу, а дети поют.";
    std::vector<std::vector<std::string>> rows{{"sentence", "characters", "bytes", "tokens", "characters per token"}};
    std::vector<std::string> per_token;
    for (const std::string& sentence : {english, russian}) {
        const std::size_t characters = decode_utf8(sentence).size();
        const std::size_t tokens = bpe::encode(sentence, vocabulary).size();
        per_token.push_back(fixed(static_cast<double>(characters) / static_cast<double>(tokens), 2));
        rows.push_back({sentence, std::to_string(characters), std::to_string(sentence.size()), std::to_string(tokens),
                        per_token.back()});
        lesson.lines(token_lines(tokens_of(sentence, vocabulary), lesson.colours));
    }
    lesson.table(rows);
    lesson.why("a token holds " + per_token[0] + " English characters and " + per_token[1] +
               " Russian ones. A Russian letter begins as two tokens, so the first merges only make up for that.");
}

static void step_half_characters(Lesson& lesson, const bpe::Vocabulary& vocabulary) {
    lesson.step("What is a part of a character?", "decode: bytes that stay incomplete become U+FFFD");
    const bpe::Vocabulary bytes = bpe::make_vocabulary({});
    const std::vector<int> ids = bpe::encode("Да", bytes);
    std::vector<std::vector<std::string>> rows{{"tokens", "decoded"}};
    for (std::size_t kept = 0; kept <= ids.size(); ++kept)
        rows.push_back({std::to_string(kept), bpe::decode({ids.begin(), ids.begin() + kept}, bytes)});
    lesson.table(rows);
    int parts = 0;
    for (const std::string& token : vocabulary.tokens) parts += valid_utf8_length(token) < token.size();
    lesson.why("of the " + std::to_string(vocabulary.size()) + " tokens of the vocabulary " + std::to_string(parts) +
               " hold a part of a character. A model that writes token by token may stop inside a letter.");
}

// What the command line asks for.
struct Request {
    std::string text, vocab, merges, save;
    int rounds = 80;
};

static void walk(Lesson& lesson, const Request& request) {
    const std::string text = request.text.empty() ? read_text_file(two_languages) : text_or_file(request.text);
    require(request.vocab.empty() || !request.merges.empty(), "--vocab needs --merges, the file that came with it");
    const bool published = !request.merges.empty();
    bpe::Vocabulary vocabulary;
    if (published)
        vocabulary =
            request.vocab.empty() ? bpe::load_merges(request.merges) : bpe::load_vocabulary(request.vocab, request.merges);

    step_pieces(lesson);
    step_bytes(lesson);
    const bpe::Training training = step_training(lesson, text, request.rounds);
    const Gain gain = step_compression(lesson, training, text);
    if (!published) vocabulary = bpe::vocabulary_of(training);
    step_text(lesson, text, vocabulary);
    step_half_characters(lesson, vocabulary);
    if (!request.save.empty()) {
        bpe::save_vocabulary(vocabulary, request.save + "-vocab.json", request.save + "-merges.txt");
        lesson.say("Written: " + request.save + "-vocab.json and " + request.save + "-merges.txt");
    }

    lesson.step("Does it hold?");
    const std::string everything = text + other_rhyme + "\xFF\xD0 語 \U0001F600";
    const bool same = bpe::decode_bytes(bpe::encode(everything, vocabulary), vocabulary) == everything;
    lesson.claim("every byte comes back: of this text, of another, and of what is no text", same);
    int idle = 0;
    for (std::size_t i = 1; i < training.steps.size(); ++i)
        idle += training.steps[i].tokens_after >= training.steps[i - 1].tokens_after;
    lesson.claim_at_most("merges that did not shorten the text", idle, 0);
    const bool as_delivered = request.text.empty() && request.rounds >= 40;
    const double ratio = gain.own / gain.other;
    if (as_delivered) lesson.claim_at_least("bytes per token of the own text, over those of the other", ratio, 1.3);
}

int main(int argc, char** argv) {
    Request request;
    Options options("bpe", "Byte pair encoding: how GPT reads, learned merge by merge.", "a second");
    options.add("text", request.text, "a file to learn from, or the words themselves");
    options.add("rounds", request.rounds, "merges to learn", 0, 100'000);
    options.add("merges", request.merges, "a published merges.txt to read the text with, instead of the one learned here");
    options.add("vocab", request.vocab, "the vocab.json that belongs to it");
    options.add_output("save", request.save, "write what was learned to NAME-vocab.json and NAME-merges.txt",
                       {"-vocab.json", "-merges.txt"});
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, request); });
}
