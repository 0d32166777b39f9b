// wordpiece.cpp: the lesson on WordPiece. Clean, split, cover each word with the longest known pieces; see bert/wordpiece.h.
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
static const std::string sentence_given = "Ёлка, naïve\u00ADté: the unreadable BOOK (№5) 我读 washed-out!";

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
    lesson.step("What is a word?");
    const std::u32string given = decode_utf8(sentence);
    const std::u32string cleaned = wordpiece::clean(given);
    const std::u32string spaced = wordpiece::space_ideographs(cleaned);
    lesson.code("const std::vector<std::string> words = wordpiece::split_words(sentence, config);");
    lesson.table({{"step", "characters", "result"},
                  {"given", std::to_string(given.size()), sentence},
                  {"clean", std::to_string(cleaned.size()), encode_utf8(cleaned)},
                  {"ideographs apart", std::to_string(spaced.size()), encode_utf8(spaced)}});
    std::vector<std::vector<std::string>> rows{{"between spaces", "lower case, no accents", "split at punctuation"}};
    for (const std::u32string& part : wordpiece::split_at_spaces(spaced)) {
        const std::u32string letters = config.lower_case ? wordpiece::lower_case_without_accents(part) : part;
        rows.push_back({encode_utf8(part), encode_utf8(letters), utf8_of(wordpiece::split_at_punctuation(letters))});
    }
    lesson.table(rows);
    lesson.why("the same word should look the same wherever it stands: invisible characters go, capitals and accents go (an "
               "uncased vocabulary), and a comma does not belong to the word before it. What goes here does not come back.");
    lesson.predict("the words of \"Ça va? [MASK]\". Write them down, then run with --text \"Ça va? [MASK]\"");
}

static Vocabulary step_learning(Lesson& lesson, const std::string& corpus, int size, const Config& config) {
    lesson.step("Which pieces are worth having?", "score(a b) = count(a b) / (count(a) count(b))");
    Progress progress("learning", size);
    const wordpiece::Learned learned = wordpiece::learn_vocabulary(corpus, size, config, 2, &progress);
    lesson.code("const wordpiece::Learned learned = wordpiece::learn_vocabulary(corpus, size, config);");
    std::vector<std::vector<std::string>> rows{{"left", "right", "joined", "together", "score"}};
    const std::size_t shown = std::min<std::size_t>(12, learned.joinings.size());
    for (std::size_t i = 0; i < shown; ++i) {
        const wordpiece::Joining& joining = learned.joinings[i];
        rows.push_back({joining.left, joining.right, joining.joined, std::to_string(joining.together), fixed(joining.score, 5)});
    }
    lesson.table(rows);
    const Vocabulary vocabulary = wordpiece::make_vocabulary(learned.entries);
    const std::size_t characters = learned.entries.size() - learned.joinings.size();
    const std::size_t joined_count = learned.joinings.size();
    lesson.say(std::to_string(vocabulary.size()) + " entries: 5 names, " + std::to_string(characters - 5) + " characters, then " +
               std::to_string(joined_count) + " joinings, of which these are the first. The last ones:");
    std::vector<std::string> last;
    for (std::size_t i = joined_count - std::min<std::size_t>(30, joined_count); i < joined_count; ++i)
        last.push_back(learned.joinings[i].joined);
    lesson.lines(token_lines(last, lesson.colours));
    lesson.why("the score asks how much more often two pieces stand together than their own frequencies explain. So rare letters "
               "that always come together are joined first, and a frequent pair of frequent letters has to wait.");
    return vocabulary;
}

static void step_pieces(Lesson& lesson, const std::string& sentence, const Vocabulary& vocabulary, const Config& config) {
    lesson.step("Which pieces cover a word?", "longest match first");
    lesson.code("const Match match = wordpiece::longest_match(word, begin, vocabulary);");
    std::vector<std::vector<std::string>> rows{{"word", "still to cover", "longest piece", "id"}};
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
    const std::vector<int> ids = wordpiece::encode(sentence, vocabulary, config);
    lesson.lines(token_lines(entries_of(ids, vocabulary), lesson.colours));
    lesson.say("Read back: " + wordpiece::decode(ids, vocabulary));
    lesson.why("a piece in the middle of a word is another entry (##...) than the same letters at its beginning. Where no piece "
               "fits, the whole word becomes [UNK] and the pieces found before are forgotten.");
    lesson.predict("the pieces of \"unwashed\" and of a word with a letter from another alphabet");
}

static void step_sequence(Lesson& lesson, const std::string& sentence, const Vocabulary& vocabulary, const Config& config) {
    lesson.step("What does BERT get to read?", "[CLS] a [SEP] b [SEP], padded");
    const std::vector<int> a = wordpiece::encode(sentence, vocabulary, config);
    const std::vector<int> b = wordpiece::encode("Мама читает.", vocabulary, config);
    const int length = 16;
    const wordpiece::Sequence sequence = wordpiece::make_sequence(a, b, length, vocabulary);
    lesson.code("const wordpiece::Sequence sequence = wordpiece::make_sequence(a, b, 16, vocabulary);");
    std::vector<std::vector<std::string>> rows{{"place", "token", "id", "segment", "mask"}};
    for (int i = 0; i < length; ++i)
        rows.push_back({std::to_string(i), vocabulary.entries[sequence.ids[i]], std::to_string(sequence.ids[i]),
                        std::to_string(sequence.segments[i]), std::to_string(sequence.mask[i])});
    lesson.table(rows);
    lesson.why("the sentence has " + std::to_string(a.size()) + " pieces, the second " + std::to_string(b.size()) +
               ", and three places belong to the names. What is too much is taken from the end of the longer one.");
}

// What a vocabulary of some size makes of a text.
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

// The names and the single characters of a vocabulary, and the first few of its other entries.
static Vocabulary cut_down(const Vocabulary& vocabulary, int others) {
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
    lesson.step("What do more entries buy?", "pieces per word");
    const std::vector<std::string> words = wordpiece::split_words(corpus, config);
    const int characters_only = cut_down(vocabulary, 0).size();
    std::vector<Cover> covers;
    std::vector<std::vector<std::string>> rows{{"entries", "pieces per word", "[UNK]"}};
    Series curve{"pieces per word over entries", {}, {}};
    for (int tenth = 0; tenth <= 10; ++tenth) {
        const int others = (vocabulary.size() - characters_only) * tenth / 10;
        const Cover cover = cover_of(words, cut_down(vocabulary, others), config);
        covers.push_back(cover);
        rows.push_back({std::to_string(cover.entries), fixed(cover.pieces_per_word, 3), std::to_string(cover.unknown)});
        curve.x.push_back(static_cast<float>(cover.entries));
        curve.y.push_back(static_cast<float>(cover.pieces_per_word));
    }
    lesson.say("The text has " + std::to_string(words.size()) + " words. All single characters are kept, and more of the rest:");
    lesson.table(rows);
    lesson.curves({curve});
    lesson.why("more entries mean shorter sequences, not fewer unknown words: only a character that no piece covers makes an "
               "[UNK].");
    return covers;
}

// What the command line asks for.
struct Request {
    std::string text, vocab, corpus, save;
    bool cased = false;
    int size = 300;
};

static void walk(Lesson& lesson, const Request& request) {
    const Config config{.lower_case = !request.cased};
    const std::string sentence = request.text.empty() ? sentence_given : text_or_file(request.text);
    const std::string corpus = read_text_file(request.corpus.empty() ? two_languages : request.corpus);
    require(!wordpiece::split_words(corpus, config).empty(), "there is no word in the text to learn from");
    Vocabulary vocabulary;
    if (!request.vocab.empty()) vocabulary = wordpiece::load_vocabulary(request.vocab);

    step_words(lesson, sentence, config);
    const Vocabulary learned = step_learning(lesson, corpus, request.size, config);
    if (request.vocab.empty()) vocabulary = learned;
    step_pieces(lesson, sentence, vocabulary, config);
    step_sequence(lesson, sentence, vocabulary, config);
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
    lesson.claim_at_most("sizes at which more entries made the text longer", longer, 0);
    lesson.claim_at_most("sizes at which more entries changed the number of [UNK]", more_unknown, 0);
    const bool as_delivered = request.corpus.empty() && request.size >= 300;
    const double ratio = covers.back().pieces_per_word / covers.front().pieces_per_word;
    if (as_delivered) lesson.claim_at_most("pieces per word with all entries, over those with characters only", ratio, 0.6);
}

int main(int argc, char** argv) {
    Request request;
    Options options("wordpiece", "WordPiece: how BERT reads, on a sentence of yours.", "a second");
    options.add("text", request.text, "a sentence, or a file with sentences, to cut into pieces");
    options.add("vocab", request.vocab, "a published vocab.txt to cut it with, instead of the one learned here");
    options.add("cased", request.cased, "keep capitals and accents, as cased vocabularies want it");
    options.add("corpus", request.corpus, "a file to learn a vocabulary from");
    options.add("size", request.size, "entries to learn", 1, 100'000);
    options.add_output("save", request.save, "write the learned vocabulary to this file");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, request); });
}
