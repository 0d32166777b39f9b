// chain_of_thought.h: chain of thought. The model writes intermediate steps before the answer.
//
//   papers   Wei et al., "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", 2022, arXiv 2201.11903;
//            Nye et al., "Show Your Work: Scratchpads", 2021, arXiv 2112.00114;
//            Wang et al., "Self-Consistency Improves Chain of Thought Reasoning", 2022, arXiv 2203.11171 (the vote)
//   shows    one model and one question, two first tokens: DIRECT stays at chance, STEPS is right. A network of fixed depth
//            computes a fixed number of serial steps per token; steps that it writes and reads again add more.
//   symbols  M digits   N of them in a question   s_k = (d_1 + ... + d_k) mod M
//   toy      direct  DIRECT d_1 ... d_N = ANSWER s_N
//            steps   STEPS  d_1 ... d_N = s_1 ... s_N ANSWER s_N
//            filler  STEPS  d_1 ... d_N = = ... = ANSWER s_N          as long as steps, without their content
//   differs  the papers prompt a large model in words and train nothing; a tiny model cannot be prompted in words, so it is
//            trained on both formats, and the first token selects one
//   next     chain_of_thought.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "gpt/gpt.h"
#include "nn/training/train.h"

namespace chain_of_thought {

struct Task {
    int digits = 7;  // M, ids 0 ... M-1
    int count = 6;   // N in a question
};

// The ids after the digits.
struct Words {
    int equals, answer, end, direct, steps;
};
Words words_of(const Task& task);
int vocabulary(const Task& task);  // M + 5

enum class Format { direct, steps, filler };

// Concatenated questions of N digits each.
using Questions = std::vector<int>;
Questions make_questions(const Task& task, Random& random, int questions);

// s_1 ... s_N of every question.
std::vector<int> partial_sums(const Task& task, const Questions& questions);

// The prompts: the first token, the digits, "=". N + 2 tokens per question.
std::vector<int> prompts_of(const Task& task, const Questions& questions, Format format);

// The prompts with their correct continuation: N + 4 tokens per question in the direct format, 2N + 4 in the others.
std::vector<int> documents_of(const Task& task, const Questions& questions, Format format);
int document_length(const Task& task, Format format);

// The next tokens, ignored before "=": the digits are random, so a loss on them would only be noise.
std::vector<int> labels_of(const Task& task, const std::vector<int>& documents, Format format);

// The model of the toy: width 32, two layers, two heads, inner width 128, untied output matrix.
gpt::Config model_of(const Task& task);

// Embeddings must start large.
const gpt::Start start{.stddev = 0.2f, .embedding_stddev = 0.5f};

// Mean cross-entropy over all labelled tokens of both formats.
Var loss(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& direct, const Questions& others,
         Format other);

struct Training {
    int steps = 600;
    int batch = 64;               // documents per step, half of them direct
    float learning_rate = 3e-3f;  // peak, after 100 steps of warm-up; then linear decay to 2 %
    Format other = Format::steps;
};

// Adam with betas 0.9 and 0.98, no weight decay, gradient norm clipped to 1.
Recipe recipe_of(const Training& training);

// Trains on fresh questions in every step.   returns  the loss of each step
std::vector<float> train(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Training& training,
                         Random& random, Watcher* watcher = nullptr);

// --- asking ---

// The model's greedy continuation of each prompt, with its own steps, not the true ones.
using Written = std::vector<std::vector<int>>;
Written solve(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions, Format format);

// Sampled continuations: `draws` (questions, written_length).
Written sample_chains(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions,
                      float temperature, const Matrix& draws);
int written_length(const Task& task, Format format);  // 2 or N + 2

// Like solve with steps, but step `k` (from 1) is changed by `offset` before the model continues.
Written solve_with_changed_step(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions,
                                int k, int offset);

// The last token of each continuation.
std::vector<int> answers_of(const Written& written);

// Fraction of answers equal to s_N.
float accuracy(const Task& task, const Questions& questions, const std::vector<int>& answers);

// Self-consistency: the most frequent answer; of equally frequent ones, the first.
int majority(const std::vector<int>& answers);

// "STEPS 3 5 = 3 ANSWER 1"
std::string document_text(const Task& task, const std::vector<int>& ids);

}  // namespace chain_of_thought
