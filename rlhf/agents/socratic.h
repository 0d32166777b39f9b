// socratic.h: Socratic models. Models that were never trained together talk to each other in words, and no weight is changed.
//
//   paper    Zeng et al., "Socratic Models: Composing Zero-Shot Multimodal Reasoning with Language", 2022, arXiv 2204.00598
//   shows    that language can be the interface: eyes and ears choose words, a template makes a prompt of them, a language model
//            goes on, and the eyes judge what it wrote; every message can be read by a person
//   symbols  W words of a list   D width of embeddings   m candidates
//   differs  a sense and a language model are functions of texts, so that any can be put in; CLIP and GPT are ready made
//   against  saycan.h, where the second voice is a table of what succeeds and not another model that reads
//   neighbour  saycan.h joins a language model and values by a product; here models exchange sentences
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

// --- words ---

// What may be said to a template: {name of a slot: words}.
using Said = std::map<std::string, std::string>;

// "I see a {object 1}." with {"object 1": "cup"}: "I see a cup." Words without a slot are lost: nobody after this hears of them.
//   throws  std::invalid_argument for a slot that nothing was said for, or a brace that is not closed
std::string fill(const std::string& pattern, const Said& said);

// --- perceiving: what is seen or heard, as words ---

// A model that looks at one image (VLM) or hears one sound (ALM) and scores how well each sentence fits, one number each.
using Sense = std::function<std::vector<double>(const std::vector<std::string>& sentences)>;

// A list that a sense chooses from. Scores of different lists cannot be compared, so the best are taken inside each.
struct WordList {
    std::string slot;                          // the template's slot; with keep > 1 "object" fills "object 1", "object 2", ...
    std::vector<std::string> words;            // W
    std::string sentence = "a photo of a {}";  // what is scored, with the word in place of {}: as the sense was trained
    int keep = 1;                              // the best so many are said
};

struct Perception {
    std::vector<double> scores;      // W
    std::vector<int> best;           // keep, best first; of equal scores the earlier word
    std::vector<std::string> words;  // those words
};

// throws  std::invalid_argument when fewer words are in the list than are to be kept, or the sense gives another number of scores
Perception perceive(const Sense& sense, const WordList& list);

// Adds what was perceived to what is said.
void say(const WordList& list, const Perception& perception, Said& said);

// Eyes made of a CLIP: the cosine of the image with each sentence. Each sentence is embedded once, however many images there are.
//   Must stay where it is while a Sense that look() has made is in use.
class Eyes {
public:
    using Tokenize = std::function<TokenBatch(const std::vector<std::string>&)>;

    Eyes(const clip::Weights& w, const clip::Config& config, Tokenize tokenize);
    Sense look(const Image& image);
    Matrix embed(const std::vector<std::string>& sentences);  // (sentences, D), rows of length 1

private:
    clip::Weights w;
    clip::Config config;
    Tokenize tokenize;
    std::map<std::string, std::vector<float>> known;  // D numbers each
};

// --- guessing and checking ---

// A language model as it is seen from here.
struct LanguageModel {
    virtual ~LanguageModel() = default;
    virtual std::vector<std::string> write(const std::string& prompt, int count) = 0;  // so many continuations, maybe equal
    virtual double log_probability(const std::string& prompt, const std::string& continuation) = 0;
};

// A GPT, with how texts become its tokens and back.
struct Writer : LanguageModel {
    gpt::Weights weights;
    gpt::Config config;
    std::function<std::vector<int>(const std::string&)> ids;
    std::function<std::string(const std::vector<int>&)> text;
    Limits limits;
    Sampling sampling;  // temperature 0: all candidates are the same
    Random random;

    Writer(const gpt::Weights& w, const gpt::Config& config, std::function<std::vector<int>(const std::string&)> ids,
           std::function<std::string(const std::vector<int>&)> text, const Limits& limits, const Sampling& sampling, int seed);
    std::vector<std::string> write(const std::string& prompt, int count) override;  // without limits.end_of_text
    double log_probability(const std::string& prompt, const std::string& continuation) override;
};

struct Listening {
    Sense sense;
    WordList list;
};

// Who judges the candidates: the sense that scores them as sentences, or nobody.
struct Check {
    Sense sense = nullptr;                     // none: the score of the eyes is 0
    std::string sentence = "a photo of a {}";  // the candidate in place of {}
    double language = 0;                       // log p(candidate | prompt) counts so much beside it
};

struct Steps {
    std::vector<Perception> perceptions;  // one a list
    Said said;
    std::string prompt;                     // the template, filled
    std::vector<std::string> candidates;    // m at most: each once, in the order in which they were written first, none empty
    std::vector<double> seen;               // of each candidate, by the check's sense
    std::vector<double> likely;             // log p(candidate | prompt); 0 when it does not count
    std::vector<double> scores;             // seen + language * likely
    int chosen = 0;                         // the first largest score; without any score the first that was written
    const std::string& answer() const { return candidates.at(static_cast<std::size_t>(chosen)); }
};

// Perceive, write down, guess m times, check.
//   throws  std::invalid_argument for fewer than 1 candidate, two lists with one slot, and as fill() and perceive()
Steps converse(const std::vector<Listening>& senses, const std::string& pattern, LanguageModel& model, int candidates,
               const Check& check = {});

// The answer of given ones that the language model finds likeliest, and log p of each.
struct Choice {
    std::vector<double> log_probabilities;
    int chosen = 0;
};
Choice choose(const std::string& prompt, const std::vector<std::string>& answers, LanguageModel& model);

// --- over time ---

// A video as a text: one line a moment, "0:05 I see a cup." Questions about the video are then questions about a text.
//   throws  std::invalid_argument unless the times rise
struct Moment {
    int seconds = 0;
    std::string text = "";
};
std::string history(const std::vector<Moment>& moments);

// --- retrieval ---

// How well each caption (columns) fits each video (rows), by several modules together: the sum of weight times similarity.
//   throws  std::invalid_argument when there is none, or shapes or counts differ
Matrix retrieval_scores(const std::vector<Matrix>& similarities, const std::vector<double>& weights);

// The share of rows whose own column is among the k largest of the row; of equal numbers the earlier column comes first.
//   own  the column of each row
double recall_at(int k, const Matrix& scores, const std::vector<int>& own);

}  // namespace socratic
