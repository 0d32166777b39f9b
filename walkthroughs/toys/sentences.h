// sentences.h: a small corpus, English and Russian, in which a verb is known only from both sides.
//
//   shows    Мама мыла раму: the object says which verb (раму: мыть), the subject says which form (Мама: мыла, Папа: мыл).
//            Children wash the window: the same in English, with -s and without.
//   exact    a reader of the left side alone has eight verbs to choose from, a reader of the right side alone two forms of
//            one verb, a reader of both sides a single word
//   next     walkthroughs/bert: mlm hides words of it, bert learns it, fine_tuning builds on what was learned
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

// Some pairs of subject and object are kept for the test, with all their endings; "Мама мыла раму" is not among them.
struct Corpus {
    std::vector<Sentence> train, test;
};
Corpus split_corpus(const std::vector<Sentence>& sentences, Random& random, double test_share = 0.15);

// The five special entries and every word of these texts, each a piece of its own, in alphabetical order.
wordpiece::Vocabulary vocabulary_of(const std::vector<std::string>& texts);

// A text in which "[MASK]" stands for a word: [CLS], the pieces, [SEP].
std::vector<int> encode_with_masks(const std::string& text, const wordpiece::Vocabulary& vocabulary,
                                   const wordpiece::Config& config);

// Where [MASK] stands.
std::vector<int> mask_places(const std::vector<int>& ids, const wordpiece::Vocabulary& vocabulary);
