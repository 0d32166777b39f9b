// wordpiece.cpp: the lesson on WordPiece: clean, split into words, greedy longest match; see bert/wordpiece.h.
#include "bert/wordpiece.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "nn/base/require.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/tokens.h"

using wordpiece::Config;
using wordpiece::Vocabulary;

static const std::string two_languages = "walkthroughs/data/two_languages.txt";
static const std::string sentence_of_both = "Ёлка, naïve\u00ADté: the unreadable BOOK (№5) 我读 washed-out!";
static const std::string sentence_in_english = "The unreadable BOOK, naïve\u00ADté: (No. 5) washed-out!";

static std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : " ") + word;
    return all;
}

static std::vector<std::string> entries_of(const std::vector<int>& ids, const Vocabulary& vocabulary) {
    std::vector<std::string> entries;
    for (const int id : ids) entries.push_back(vocabulary.entries[id]);
    return entries;
}

static std::string utf8_of(const std::vector<std::u32string>& words) {
    std::vector<std::string> bytes;
    for (const std::u32string& word : words) bytes.push_back(encode_utf8(word));
    return joined(bytes);
}

static void step_words(Lesson& lesson, const std::string& sentence, const Config& config) {
    lesson.step("What is a word?", "clean, split, lower-case, split");
    const std::u32string given = decode_utf8(sentence);
    const std::u32string cleaned = wordpiece::clean(given);
    const std::u32string spaced = wordpiece::space_ideographs(cleaned);
    lesson.code();
    const std::vector<std::string> words = wordpiece::split_words(sentence, config);
    lesson.table({{"step", "characters", "result"},
                  {"input", std::to_string(given.size()), sentence},
                  {"clean", std::to_string(cleaned.size()), encode_utf8(cleaned)},
                  {"ideographs apart", std::to_string(spaced.size()), encode_utf8(spaced)}});
    std::vector<std::vector<std::string>> rows{{"split at spaces", "lower case, no accents", "split at punctuation"}};
    for (const std::u32string& part : wordpiece::split_at_spaces(spaced)) {
        const std::u32string letters = config.lower_case ? wordpiece::lower_case_without_accents(part) : part;
        rows.push_back({encode_utf8(part), encode_utf8(letters), utf8_of(wordpiece::split_at_punctuation(letters))});
    }
    lesson.table(rows);
    lesson.say(words.size(), " words.");
    if (sentence == sentence_of_both) lesson.say("Ёлка is Russian for fir tree, 我读 Chinese for I read.");
    lesson.why(
        "the same word should have the same form everywhere: invisible characters, capitals and "
        "accents are dropped (an uncased vocabulary), and punctuation is split off, also the brackets of a typed "
        "[MASK]. Decoding does not restore what is dropped here.");
    lesson.predict("How many words are in \"Ça va? [MASK]\"?",
                   {static_cast<double>(wordpiece::split_words("Ça va? [MASK]", config).size()), 0.5});
}

static Vocabulary step_learning(Lesson& lesson, const std::string& corpus, int size, const Config& config) {
    lesson.step("Which pieces are worth an entry?", "score(a b) = count(a b) / (count(a) count(b))");
    Progress progress("learning", size);
    lesson.code();
    const wordpiece::Learned learned = wordpiece::learn_vocabulary(corpus, size, config, 2, &progress);
    std::vector<std::vector<std::string>> rows{{"left", "right", "merged", "count of pair", "score"}};
    const std::size_t shown = std::min<std::size_t>(12, learned.joinings.size());
    for (std::size_t i = 0; i < shown; ++i) {
        const wordpiece::Joining& joining = learned.joinings[i];
        rows.push_back({joining.left, joining.right, joining.joined, std::to_string(joining.together), fixed(joining.score, 5)});
    }
    lesson.table(rows);
    const Vocabulary vocabulary = wordpiece::make_vocabulary(learned.entries);
    const std::size_t characters = learned.entries.size() - learned.joinings.size();
    const std::size_t joined_count = learned.joinings.size();
    lesson.say(vocabulary.size(), " entries: 5 special tokens, ", characters - 5, " characters, then ", joined_count,
               " merged pieces. These were the first merges; the last merged pieces:");
    std::vector<std::string> last;
    for (std::size_t i = joined_count - std::min<std::size_t>(30, joined_count); i < joined_count; ++i)
        last.push_back(learned.joinings[i].joined);
    lesson.lines(token_lines(last, lesson.colours));
    lesson.why(
        "the score is how much more often two pieces are adjacent than their own frequencies explain. So rare letters that always occur together are merged first, and frequent pairs of frequent letters later.");
    return vocabulary;
}

static void step_pieces(Lesson& lesson, const std::string& sentence, const Vocabulary& vocabulary, const Config& config) {
    lesson.step("Which pieces spell a word?", "longest match first");
    std::vector<std::vector<std::string>> rows{{"word", "remaining", "longest piece", "id"}};
    for (const std::string& word : wordpiece::split_words(sentence, config)) {
        std::string name = word;
        std::size_t begin = 0;
        while (begin < word.size()) {
            const wordpiece::Match match = wordpiece::longest_match(word, begin, vocabulary);
            const bool found = match.id >= 0;
            rows.push_back({name, word.substr(begin), found ? vocabulary.entries[match.id] : "none: the word is [UNK]",
                            std::to_string(found ? match.id : vocabulary.unknown)});
            name.clear();
            begin = found ? match.end : word.size();
        }
    }
    lesson.table(rows);
    lesson.code();
    const std::vector<int> ids = wordpiece::encode(sentence, vocabulary, config);
    lesson.lines(token_lines(entries_of(ids, vocabulary), lesson.colours));
    lesson.say("Decoded: " + wordpiece::decode(ids, vocabulary));
    lesson.why(
        "the same letters are different entries at the beginning of a word and inside it (##...). Where no piece matches, the whole word becomes [UNK].");
    lesson.predict("How many pieces has \"unwashed\"?",
                   {static_cast<double>(wordpiece::encode_word("unwashed", vocabulary, config).size()), 0.5});
}

static void step_sequence(Lesson& lesson, const std::string& sentence, const std::string& second, const Vocabulary& vocabulary,
                          const Config& config) {
    lesson.step("What does BERT read?", "[CLS] a [SEP] b [SEP], padded");
    const std::vector<int> a = wordpiece::encode(sentence, vocabulary, config);
    const std::vector<int> b = wordpiece::encode(second, vocabulary, config);
    const int length = 16;
    lesson.code();
    const wordpiece::Sequence sequence = wordpiece::make_sequence(a, b, length, vocabulary);
    std::vector<std::vector<std::string>> rows{{"position", "token", "id", "segment", "mask"}};
    for (int i = 0; i < length; ++i)
        rows.push_back({std::to_string(i), vocabulary.entries[sequence.ids[i]], std::to_string(sequence.ids[i]),
                        std::to_string(sequence.segments[i]), std::to_string(sequence.mask[i])});
    lesson.table(rows);
    lesson.why("the first sentence has ", a.size(), " pieces, the second, \"", second, "\", ", b.size(),
               ", and three positions hold special tokens. The longer sentence is truncated at its end.");
}

// How a vocabulary of some size encodes a text.
struct Cover {
    int entries = 0;
    double pieces_per_word = 0;
    int unknown = 0;
};

static Cover cover_of(const std::vector<std::string>& words, const Vocabulary& vocabulary, const Config& config) {
    Cover cover{vocabulary.size(), 0, 0};
    for (const std::string& word : words) {
        const std::vector<int> ids = wordpiece::encode_word(word, vocabulary, config);
        cover.pieces_per_word += static_cast<double>(ids.size()) / static_cast<double>(words.size());
        cover.unknown += ids[0] == vocabulary.unknown;
    }
    return cover;
}

// The special tokens and single characters of a vocabulary, and the first `others` of its other entries.
static Vocabulary truncated(const Vocabulary& vocabulary, int others) {
    std::vector<std::string> kept;
    for (const std::string& entry : vocabulary.entries) {
        const bool is_name = entry.size() > 2 && entry.front() == '[' && entry.back() == ']';
        const bool continues = entry.size() > 2 && entry.starts_with("##");
        const bool is_character = decode_utf8(entry).size() == (continues ? 3 : 1);
        if (is_name || is_character || others-- > 0) kept.push_back(entry);
    }
    return wordpiece::make_vocabulary(kept);
}

static std::vector<Cover> step_sizes(Lesson& lesson, const std::string& corpus, const Vocabulary& vocabulary,
                                     const Config& config) {
    lesson.step("What does a larger vocabulary change?", "pieces per word");
    const std::vector<std::string> words = wordpiece::split_words(corpus, config);
    const int characters_only = truncated(vocabulary, 0).size();
    std::vector<Cover> covers;
    std::vector<std::vector<std::string>> rows{{"entries", "pieces per word", "[UNK]"}};
    Series curve{"pieces per word", {}, {}};
    for (int tenth = 0; tenth <= 10; ++tenth) {
        const int others = (vocabulary.size() - characters_only) * tenth / 10;
        const Cover cover = cover_of(words, truncated(vocabulary, others), config);
        covers.push_back(cover);
        rows.push_back({std::to_string(cover.entries), fixed(cover.pieces_per_word, 3), std::to_string(cover.unknown)});
        curve.x.push_back(static_cast<float>(cover.entries));
        curve.y.push_back(static_cast<float>(cover.pieces_per_word));
    }
    lesson.say("The text has ", words.size(), " words. All vocabularies contain the single characters:");
    lesson.table(rows);
    lesson.curves({curve}, {"entries of the vocabulary", "pieces per word"});
    lesson.why(
        "more entries give shorter sequences, not fewer unknown words: a word becomes [UNK] only for a character that no entry covers. Next: bert/mlm masks some of these tokens.");
    return covers;
}

// The command line.
struct Request {
    std::string text, vocab, corpus, save, language = "ru";
    bool cased = false;
    int size = 300;
};

static void walk(Lesson& lesson, const Request& request) {
    const Config config{.lower_case = !request.cased};
    const bool english = only_english(request.language);
    const std::string sentence = !request.text.empty() ? text_or_file(request.text)
                                 : english             ? sentence_in_english
                                                       : sentence_of_both;
    const std::string given = read_text_file(request.corpus.empty() ? two_languages : request.corpus);
    const std::string corpus = english ? ascii_lines(given) : given;
    require(!wordpiece::split_words(corpus, config).empty(), "the corpus contains no words");
    Vocabulary vocabulary;
    if (!request.vocab.empty()) {
        vocabulary = wordpiece::load_vocabulary(request.vocab);
        wordpiece::require_same_settings(request.vocab, config);
    }

    step_words(lesson, sentence, config);
    const Vocabulary learned = step_learning(lesson, corpus, request.size, config);
    if (request.vocab.empty()) vocabulary = learned;
    step_pieces(lesson, sentence, vocabulary, config);
    step_sequence(lesson, sentence, english ? "Mother reads." : "Мама читает.", vocabulary, config);
    const std::vector<Cover> covers = step_sizes(lesson, corpus, learned, config);
    if (!request.save.empty()) {
        wordpiece::save_vocabulary(learned, request.save);
        lesson.say("Written: " + request.save);
    }

    lesson.step("Does it hold?");
    int longer = 0, more_unknown = 0;
    for (std::size_t i = 1; i < covers.size(); ++i) {
        longer += covers[i].pieces_per_word > covers[i - 1].pieces_per_word + 1e-9;
        more_unknown += covers[i].unknown != covers[0].unknown;
    }
    lesson.claim_at_most("sizes at which more entries gave longer sequences", longer, 0);
    lesson.claim_at_most("sizes at which more entries changed the number of [UNK]", more_unknown, 0);
    const bool as_delivered = request.corpus.empty() && request.size >= 300;
    const double ratio = covers.back().pieces_per_word / covers.front().pieces_per_word;
    if (as_delivered) lesson.claim_at_most("pieces per word with all entries, over those with characters only", ratio, 0.6);
}

int main(int argc, char** argv) {
    Request request;
    Options options("wordpiece", "WordPiece: how BERT's tokenizer splits a text.", "a second");
    options.add("text", request.text, "a sentence, or a file, to tokenize");
    options.add("vocab", request.vocab, "a published vocab.txt, instead of the one learned here");
    options.add("cased", request.cased, "keep capitals and accents, for cased vocabularies");
    options.add("language", request.language, "en: no Russian texts; ru: both languages");
    options.add("corpus", request.corpus, "a file to learn a vocabulary from");
    options.add("size", request.size, "entries to learn", 1, 100'000);
    options.add_output("save", request.save, "write the learned vocabulary to this file");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, request); });
}
