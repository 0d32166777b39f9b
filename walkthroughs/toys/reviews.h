// reviews.h: a language of short reviews, with known probability and true score of every sentence.
//
//   grammar  "the NOUN was [very|not] ADJECTIVE [and [very|not] ADJECTIVE] ."   20 words; 4 nouns, 4 good and 4 bad adjectives
//   score    +1 for a good adjective, -1 for a bad one, times 1.5 after "very", times -0.5 after "not"; -3 for an ungrammatical
//            answer
//   shows    what a reward model must infer from rankings, and what a policy can gain by reward hacking
//   note     a prompt is "<bos> the NOUN", an answer the rest. 600 answers to each prompt, entropy 5.5 nats, mean true score 0
//   next     review_models.h trains a GPT on this language
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "rlhf/ppo.h"

namespace reviews {

inline constexpr int vocabulary = 20, nouns = 4;
inline constexpr int padding = 0, full_stop = 7;  // ids
inline constexpr int prompt_length = 3;           // <bos> the NOUN
inline constexpr int longest_answer = 8;          // a sentence has at most 7: "was very good and very good ."
inline constexpr float score_of_no_sentence = -3;

using Answer = std::vector<int>;  // ids after the prompt, including the full stop

// The word of each id, and back.   throws std::invalid_argument for an unknown word
const std::vector<std::string>& words();
std::string text_of(const std::vector<int>& ids);
std::vector<int> ids_of(const std::string& text);

std::vector<int> prompt_of(int noun);  // noun 0 ... 3

bool is_sentence(const Answer& answer);
float true_score(const Answer& answer);

// A human answer: one adjective (40 %) or two joined by "and", each plain (60 %), with "very" (25 %) or with "not" (15 %).
Answer draw_answer(Random& random);

// Every sentence and its probability.
struct Sentence {
    Answer answer;
    double probability;
};
std::vector<Sentence> all_sentences();

// Prompts with their answers, padded to the same length. Answer b belongs to noun nouns_of[b].
ppo::Episodes episodes_of(const std::vector<int>& nouns_of, const std::vector<Answer>& answers);

// `count` human texts: the prompts in turn, the answers drawn.
ppo::Episodes human_texts(int count, Random& random);

// Read from episodes: the answer of one, the number of tokens of each, the true score of each, the fraction that are sentences.
Answer answer_of(const ppo::Episodes& episodes, int episode);
std::vector<int> text_lengths(const ppo::Episodes& episodes);
std::vector<float> true_scores(const ppo::Episodes& episodes);
double share_of_sentences(const ppo::Episodes& episodes);

}  // namespace reviews
