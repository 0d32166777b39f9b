// socratic.h: Socratic models. Models that were never trained together exchange text; no weight changes.
//
//   paper    Zeng et al., "Socratic Models: Composing Zero-Shot Multimodal Reasoning with Language", 2022, arXiv 2204.00598
//   shows    that text can be the interface: vision and audio models choose words, a template makes them a prompt, a language
//            model continues it, and the vision model ranks the continuations; every message is readable
//   symbols  W words of a list   D width of embeddings   m candidates
//   differs  a perception model and a language model are functions of texts, so any can be used; CLIP and GPT are provided
//   against  saycan.h, where the second score is a table of affordances, not another model
//   next     socratic.cpp, then its walkthrough
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gpt/writing.h"
#include "nn/base/random.h"
#include "vit/language/clip.h"

namespace socratic {

// --- templates ---

// Text for the slots of a template: {name of a slot: text}.
using Slots = std::map<std::string, std::string>;

// "I see a {object 1}." with {"object 1": "cup"}: "I see a cup." Entries without a slot are ignored.
//   throws  std::invalid_argument for a slot without an entry, or an unclosed brace
std::string fill(const std::string& pattern, const Slots& slots);

// --- perception: images and sounds as words ---

// A model of one image (VLM) or one sound (ALM): scores how well each sentence fits it.
using Sense = std::function<std::vector<double>(const std::vector<std::string>& sentences)>;

// A list of candidate words. Scores of different lists are not comparable, so the best are chosen within each.
struct WordList {
    std::string slot;                          // the template's slot; with keep > 1 "object" fills "object 1", "object 2", ...
    std::vector<std::string> words;            // W
    std::string sentence = "a photo of a {}";  // the scored sentence, {} replaced by the word, in the form of the training texts
    int keep = 1;                              // number of words that are kept
};

struct Perception {
    std::vector<double> scores;      // W
    std::vector<int> best;           // (keep)  indices, best first; of equal scores the earlier word
    std::vector<std::string> words;  // (keep)  those words
};

// throws  std::invalid_argument when the list has fewer than `keep` words, or the sense does not return one score for each
// sentence
Perception perceive(const Sense& sense, const WordList& list);

// Adds the perceived words to the entries of the template.
void fill_slots(const WordList& list, const Perception& perception, Slots& slots);

// CLIP as a perception model: the cosine of the image with each sentence. Sentence embeddings are cached.
//   Must not be moved or destroyed while a Sense made by look() is in use.
class ClipSense {
public:
    using Tokenize = std::function<TokenBatch(const std::vector<std::string>&)>;

    ClipSense(const clip::Weights& w, const clip::Config& config, Tokenize tokenize);
    Sense look(const Image& image);
    Matrix embed(const std::vector<std::string>& sentences);  // (sentences, D), rows of length 1

private:
    clip::Weights w;
    clip::Config config;
    Tokenize tokenize;
    std::map<std::string, std::vector<float>> known;  // D numbers each
};

// --- generating and ranking ---

// The interface of a language model.
struct LanguageModel {
    virtual ~LanguageModel() = default;
    virtual std::vector<std::string> write(const std::string& prompt, int count) = 0;  // `count` continuations, possibly equal
    virtual double log_probability(const std::string& prompt, const std::string& continuation) = 0;
};

// A GPT with its tokenizer.
struct GptWriter : LanguageModel {
    gpt::Weights weights;
    gpt::Config config;
    std::function<std::vector<int>(const std::string&)> ids;
    std::function<std::string(const std::vector<int>&)> text;
    Limits limits;
    Sampling sampling;  // at temperature 0 all candidates are equal
    Random random;

    GptWriter(const gpt::Weights& w, const gpt::Config& config, std::function<std::vector<int>(const std::string&)> ids,
              std::function<std::string(const std::vector<int>&)> text, const Limits& limits, const Sampling& sampling, int seed);
    std::vector<std::string> write(const std::string& prompt, int count) override;  // without the token that ended them
    double log_probability(const std::string& prompt, const std::string& continuation) override;
};

struct Listening {
    Sense sense;
    WordList list;
};

// How candidates are scored: by a perception model, by the language model, or both.
struct Check {
    Sense sense = nullptr;                     // none: its score is 0
    std::string sentence = "a photo of a {}";  // {} is replaced by the candidate
    double language = 0;                       // weight of log p(candidate | prompt)
};

struct Steps {
    std::vector<Perception> perceptions;  // one per list
    Slots slots;
    std::string prompt;                   // the template, filled
    std::vector<std::string> candidates;  // at most m, distinct and not empty, in order of first occurrence
    std::vector<double> seen;             // of each candidate, by check.sense
    std::vector<double> likely;           // log p(candidate | prompt); 0 when check.language is 0
    std::vector<double> scores;           // seen + language * likely
    int chosen = 0;                       // argmax of scores; of equal scores the first
    const std::string& answer() const;
};

// Perceive, fill the template, sample m candidates, rank them.
//   throws  std::invalid_argument for fewer than 1 candidate, two lists with the same slot, and as fill() and perceive()
Steps converse(const std::vector<Listening>& senses, const std::string& pattern, LanguageModel& model, int candidates,
               const Check& check = {});

// Log-probabilities of the given answers, and the most likely one.
struct Choice {
    std::vector<double> log_probabilities;
    int chosen = 0;
};
Choice choose(const std::string& prompt, const std::vector<std::string>& answers, LanguageModel& model);

// --- over time ---

// A video as a text: one line per moment, "0:05 I see a cup." Questions about the video become questions about the text.
//   throws  std::invalid_argument unless the times increase
struct Moment {
    int seconds = 0;
    std::string text = "";
};
std::string history(const std::vector<Moment>& moments);

// --- retrieval ---

// Combined similarity of each caption (columns) with each video (rows): the weighted sum over several modules.
//   throws  std::invalid_argument without tables, or when shapes or counts differ
Matrix retrieval_scores(const std::vector<Matrix>& similarities, const std::vector<double>& weights);

// Recall at k: the fraction of rows whose own column is among the k largest; of equal scores the earlier column ranks first.
//   own  the matching column of each row
double recall_at(int k, const Matrix& scores, const std::vector<int>& own);

}  // namespace socratic
