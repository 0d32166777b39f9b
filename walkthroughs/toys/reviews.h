// reviews.h: a language of short reviews, in which every sentence, its probability and its true score are known.
//
//   grammar  "the NOUN was [very|not] ADJECTIVE [and [very|not] ADJECTIVE] ."   20 words; 4 nouns, 4 good and 4 bad adjectives
//   score    +1 a good adjective, -1 a bad one, times 1.5 after "very", times -0.5 after "not"; -3 for what is no sentence
//   shows    what a reward model has to find out from orders alone, and what a policy may gain by cheating it
//   note     a prompt is "<bos> the NOUN", an answer the rest. 600 answers to each prompt, entropy 5.5 nats, mean true score 0
//   next     review_models.h teaches a GPT this language
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "rlhf/ppo.h"

namespace reviews {

inline constexpr int vocabulary = 20, nouns = 4;
inline constexpr int padding = 0, full_stop = 7;  // ids
inline constexpr int prompt_length = 3;           // <bos> the NOUN
inline constexpr int longest_answer = 8;          // no sentence is longer than 7: "was very good and very good ."
inline constexpr float score_of_no_sentence = -3;

using Answer = std::vector<int>;  // ids behind the prompt, the full stop included

// The word of each id, and back.   throws std::invalid_argument with the word that is none of the language
const std::vector<std::string>& words();
std::string text_of(const std::vector<int>& ids);
std::vector<int> ids_of(const std::string& text);

std::vector<int> prompt_of(int noun);  // noun 0 ... 3

bool is_sentence(const Answer& answer);
float true_score(const Answer& answer);

// One answer as people write: one adjective (40 percent) or two joined by "and"; plain (60), with "very" (25), with "not" (15).
Answer draw_answer(Random& random);

// Every sentence and how often it is written.
struct Sentence {
    Answer answer;
    double probability;
};
std::vector<Sentence> all_sentences();

// Prompts with their answers, padded to the same length. Answer b belongs to noun nouns_of[b].
ppo::Episodes episodes_of(const std::vector<int>& nouns_of, const std::vector<Answer>& answers);

// `count` texts by people: the prompts in turn, the answers drawn.
ppo::Episodes human_texts(int count, Random& random);

// Out of episodes again: the answer of one, the real tokens of each, the true score of each, the share that are sentences.
Answer answer_of(const ppo::Episodes& episodes, int episode);
std::vector<int> text_lengths(const ppo::Episodes& episodes);
std::vector<float> true_scores(const ppo::Episodes& episodes);
double share_of_sentences(const ppo::Episodes& episodes);

}  // namespace reviews
