// sentences.h: a small corpus, English and Russian, in which the verb is determined only by both neighbours.
//
//   shows    Мама мыла раму (Mama washed the frame): the object determines the verb (раму: мыть), the subject its form (Мама:
//            мыла, Папа: мыл). "Children wash the window" is the same in English, with -s or without.
//   exact    given only the left side eight verbs are possible, given only the right side two forms of one verb, given both sides
//            one word
//   next     walkthroughs/bert: mlm masks words of it, bert is pre-trained on it, fine_tuning continues from there
#pragma once
#include <string>
#include <vector>

#include "bert/bert.h"
#include "bert/wordpiece.h"

struct Sentence {
    std::string subject, verb, object, ending;  // "Мама", "мыла", "раму", "вечером" or nothing
    int language;                               // 0 English, 1 Russian
    int form;  // of the verb: 0 the first kind of subject (one person; a man), 1 the second (several; a woman)

    std::string words() const;  // "Мама мыла раму вечером"
};

inline constexpr int subjects = 12, objects = 8, endings = 3;  // of each language; half of the subjects are of each kind

// Every subject with every object and every ending, in both languages.
std::vector<Sentence> all_sentences();

// Some pairs of subject and object are held out for the test, with all their endings; "Мама мыла раму" is not among them.
struct SplitSentences {
    std::vector<Sentence> train, test;
};
SplitSentences split_sentences(const std::vector<Sentence>& sentences, Random& random, double test_share = 0.15);

// The five special tokens and every word of these texts as one piece, in alphabetical order.
wordpiece::Vocabulary vocabulary_of(const std::vector<std::string>& texts);

// A text in which "[MASK]" stands for a word: [CLS], the pieces, [SEP].
std::vector<int> encode_with_masks(const std::string& text, const wordpiece::Vocabulary& vocabulary,
                                   const wordpiece::Config& config);

// The positions of [MASK].
std::vector<int> mask_positions(const std::vector<int>& ids, const wordpiece::Vocabulary& vocabulary);
