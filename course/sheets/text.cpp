// text.cpp: worksheets on tokenizers.
#include <string>

#include "bert/wordpiece.h"
#include "course/sheets/sheet.h"
#include "gpt/bpe.h"
#include "nn/base/require.h"

// A rhyme of syllables in which pairs of letters recur.
static std::string drawn_rhyme(Random& random) {
    const std::vector<std::string> onsets{"b", "d", "m", "t"}, ends{"ab", "ob", "an", "on"};
    const auto syllable = [&] {
        const std::string onset = onsets[random.below(4)];  // drawn first, with every compiler
        return onset + ends[random.below(4)];
    };
    const std::string one = syllable(), other = syllable();
    std::string rhyme;
    for (int k = 0; k < 6; ++k) rhyme += random.below(3) < 2 ? one : other;
    return rhyme + other;
}

static const SheetMaker bpe_sheet(6, "bpe", [](Sheet& sheet, Random& random) {
    sheet.title = "Byte pair encoding";
    sheet.equation = "count all pairs of adjacent tokens, merge the most frequent everywhere, repeat";
    sheet.header = "gpt/bpe.h";
    const std::string rhyme = drawn_rhyme(random);
    const bpe::Training training = bpe::train(rhyme, 3, false);
    const bpe::Vocabulary vocabulary = bpe::make_vocabulary(training.pairs(), bpe::ByteOrder::raw);
    sheet.given = {"The text, one piece without spaces; a tie is won by the pair that occurs first:", "    " + rhyme};
    int number = 0;
    for (const bpe::TrainingStep& step : training.steps) {
        const std::string left = vocabulary.tokens[step.pair.left], right = vocabulary.tokens[step.pair.right];
        sheet.ask_words("merge " + text(++number) + ": left and right, with one space between them", left + " " + right);
        sheet.ask("how often this pair occurs before the merge (aaa holds aa twice)", step.count);
        sheet.ask("tokens of the text after it", step.tokens_after);
    }
});

static const SheetMaker wordpiece_sheet(7, "wordpiece", [](Sheet& sheet, Random& random) {
    sheet.title = "WordPiece";
    sheet.equation = "repeatedly take the longest entry (inside a word: with ##) that fits";
    sheet.header = "bert/wordpiece.h";
    const std::vector<std::string> all{"[PAD]", "[UNK]", "[CLS]",  "[SEP]", "[MASK]", "un",   "play", "plays",
                                       "read",  "##s",   "##able", "##ab",  "##ly",   "##le", "##er", "##ers"};
    const wordpiece::Vocabulary vocabulary = wordpiece::make_vocabulary(all);
    const std::vector<std::string> words{"unread", "readable", "readers",  "playable", "unable",
                                         "plays",  "reads",    "unplayed", "readably", "playerss"};
    sheet.given = {"The vocabulary, special tokens left out:"};
    std::string line = "   ";
    for (std::size_t k = 5; k < all.size(); ++k) line += " " + all[k];
    sheet.given.push_back(line);
    const std::vector<int> order = permutation(random, static_cast<int>(words.size()));
    for (int k = 0; k < 6; ++k) {
        std::string pieces;
        for (const int id : wordpiece::encode_word(words[order[k]], vocabulary, {}))
            pieces += (pieces.empty() ? "" : " ") + all[static_cast<std::size_t>(id)];
        sheet.ask_words("the pieces of \"" + words[order[k]] + "\", with one space between them", pieces);
    }
});
