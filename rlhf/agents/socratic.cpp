#include "rlhf/agents/socratic.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "nn/autograd/variable.h"
#include "nn/base/finite.h"

namespace socratic {

// --- templates ---

std::string fill(const std::string& pattern, const Slots& slots) {
    std::string result;
    std::size_t from = 0;
    for (std::size_t open = pattern.find('{'); open != std::string::npos; open = pattern.find('{', from)) {
        const std::size_t close = pattern.find('}', open);
        require(close != std::string::npos, "socratic: a slot of the template \"", pattern, "\" is not closed; a } is missing");
        const std::string slot = pattern.substr(open + 1, close - open - 1);
        const auto words = slots.find(slot);
        require(words != slots.end(), "socratic: no entry for the slot {", slot, "} of \"", pattern,
                "\"; each slot needs a list of words");
        result += pattern.substr(from, open - from) + words->second;
        from = close + 1;
    }
    return result + pattern.substr(from);
}

static std::vector<std::string> sentences_of(const std::vector<std::string>& words, const std::string& sentence) {
    require(sentence.find("{}") != std::string::npos, "socratic: the sentence \"", sentence,
            "\" has no {} for the word, so that all would be equal; give it one");
    std::vector<std::string> sentences;
    for (const std::string& word : words) sentences.push_back(fill(sentence, {{"", word}}));
    return sentences;
}

static std::vector<double> scores_of(const Sense& sense, const std::vector<std::string>& sentences) {
    const std::vector<double> scores = sense(sentences);
    require(scores.size() == sentences.size(), "socratic: a sense gave ", scores.size(), " scores to ", sentences.size(),
            " sentences, each needs one");
    for (std::size_t k = 0; k < scores.size(); ++k)
        require(!std::isnan(scores[k]), "socratic: a sense gave the score ", scores[k], " to \"", sentences[k],
                "\", it must be a number");
    return scores;
}

// --- perceiving ---

static std::vector<int> best_of(const std::vector<double>& scores, int keep) {
    std::vector<int> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
    order.resize(keep);
    return order;
}

Perception perceive(const Sense& sense, const WordList& list) {
    require(list.keep >= 1 && list.words.size() >= static_cast<std::size_t>(list.keep), "socratic: ", list.keep, " of the ",
            list.words.size(), " words for {", list.slot, "} are to be kept, it must be at least 1 of them");
    require(sense != nullptr, "socratic: the words for {", list.slot,
            "} have no sense that scores them; give one, as ClipSense::look");
    Perception perception{.scores = scores_of(sense, sentences_of(list.words, list.sentence)), .best = {}, .words = {}};
    perception.best = best_of(perception.scores, list.keep);
    for (const int word : perception.best) perception.words.push_back(list.words[word]);
    return perception;
}

void fill_slots(const WordList& list, const Perception& perception, Slots& slots) {
    for (std::size_t k = 0; k < perception.words.size(); ++k) {
        const std::string slot = list.keep == 1 ? list.slot : list.slot + " " + std::to_string(k + 1);
        require(slots.emplace(slot, perception.words[k]).second, "socratic: two lists fill the slot {", slot,
                "}; each slot needs a list of its own");
    }
}

ClipSense::ClipSense(const clip::Weights& w, const clip::Config& config, Tokenize tokenize)
    : w(w), config(config), tokenize(std::move(tokenize)) {
    require(static_cast<bool>(this->tokenize), "socratic: ClipSense has no tokenizer; give a function from sentences to tokens");
}

Matrix ClipSense::embed(const std::vector<std::string>& sentences) {
    const NoTape no_tape;
    std::vector<std::string> fresh;
    for (const std::string& sentence : sentences)
        if (!known.count(sentence) && std::find(fresh.begin(), fresh.end(), sentence) == fresh.end()) fresh.push_back(sentence);
    if (!fresh.empty()) {
        const Matrix rows = clip::embed_texts(tokenize(fresh), w, config).value();  // (fresh, D)
        require(rows.rows == static_cast<int>(fresh.size()), "socratic: the tokenizer made ", rows.rows, " texts of ",
                fresh.size(), " sentences, each needs one");
        for (int i = 0; i < rows.rows; ++i) known[fresh[i]] = {rows.row(i), rows.row(i) + rows.cols};
    }
    Matrix result(static_cast<int>(sentences.size()), config.shared_width);
    for (int i = 0; i < result.rows; ++i) {
        const std::vector<float>& row = known.at(sentences[i]);
        std::copy(row.begin(), row.end(), result.row(i));
    }
    return result;
}

Sense ClipSense::look(const Image& image) {
    const NoTape no_tape;
    const Matrix seen = clip::embed_images({image}, w, config).value();  // (1, D)
    return [this, seen](const std::vector<std::string>& sentences) {
        const Matrix texts = embed(sentences);  // (W, D)
        std::vector<double> cosines;            // both have length 1
        for (int i = 0; i < texts.rows; ++i)
            cosines.push_back(std::inner_product(texts.row(i), texts.row(i) + texts.cols, seen.row(0), 0.0));
        return cosines;
    };
}

// --- generating and ranking ---

GptWriter::GptWriter(const gpt::Weights& w, const gpt::Config& config, std::function<std::vector<int>(const std::string&)> ids,
                     std::function<std::string(const std::vector<int>&)> text, const Limits& limits, const Sampling& sampling,
                     int seed)
    : weights(w), config(config), ids(std::move(ids)), text(std::move(text)), limits(limits), sampling(sampling), random(seed) {}

// Members may be exchanged at any time.
static void require_tokenizer(const GptWriter& writer) {
    require(writer.ids && writer.text, "socratic: GptWriter has no tokenizer; give a function from text to ids, and one back");
}

std::vector<std::string> GptWriter::write(const std::string& prompt, int count) {
    require_tokenizer(*this);
    require(count >= 1, "socratic: ", count, " texts to be written, there must be at least 1");
    const NoTape no_tape;
    const std::vector<int> one = ids(prompt);
    std::vector<int> prompts;
    for (int c = 0; c < count; ++c) prompts.insert(prompts.end(), one.begin(), one.end());
    Matrix draws(count, limits.new_tokens);
    for (std::size_t k = 0; k < draws.size(); ++k) draws[k] = random.uniform();
    std::vector<std::string> texts;
    const int length = static_cast<int>(one.size());
    for (std::vector<int> written : gpt::generate(prompts, length, weights, config, limits, sampling, draws)) {
        if (!written.empty() && ends_text(written.back(), limits)) written.pop_back();
        texts.push_back(text(written));
    }
    return texts;
}

double GptWriter::log_probability(const std::string& prompt, const std::string& continuation) {
    require_tokenizer(*this);
    const NoTape no_tape;
    return gpt::log_probability(ids(prompt), ids(continuation), weights, config);
}

static int first_largest(const std::vector<double>& scores) {
    for (std::size_t k = 0; k < scores.size(); ++k)
        require(!std::isnan(scores[k]), "socratic: the score of candidate ", k, " is ", scores[k],
                ", it must be a number; the language model may hold NaN, trap_nan(true) names the operation");
    return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// The distinct, non-empty texts, in order of first occurrence.
static std::vector<std::string> distinct(const std::vector<std::string>& texts) {
    std::vector<std::string> result;
    std::set<std::string> met;
    for (const std::string& text : texts)
        if (!text.empty() && met.insert(text).second) result.push_back(text);
    return result;
}

Steps converse(const std::vector<Listening>& senses, const std::string& pattern, LanguageModel& model, int candidates,
               const Check& check) {
    require(candidates >= 1, "socratic: ", candidates, " candidates, at least 1 is needed");
    require(std::isfinite(check.language), "socratic: the log-probabilities times ", check.language,
            ", the weight must be finite; 0 leaves them out");
    Steps steps;
    for (const auto& [sense, list] : senses) {  // perceive
        steps.perceptions.push_back(perceive(sense, list));
        fill_slots(list, steps.perceptions.back(), steps.slots);
    }
    steps.prompt = fill(pattern, steps.slots);                           // fill the template
    steps.candidates = distinct(model.write(steps.prompt, candidates));  // sample
    require(!steps.candidates.empty(), "socratic: the language model wrote nothing after \"", steps.prompt, "\" in ", candidates,
            " candidates; let it write more tokens");

    steps.seen.assign(steps.candidates.size(), 0);  // rank
    if (check.sense) steps.seen = scores_of(check.sense, sentences_of(steps.candidates, check.sentence));
    for (std::size_t i = 0; i < steps.candidates.size(); ++i) {
        steps.likely.push_back(check.language == 0 ? 0 : model.log_probability(steps.prompt, steps.candidates[i]));
        steps.scores.push_back(steps.seen[i] + check.language * steps.likely[i]);
    }
    steps.chosen = first_largest(steps.scores);
    return steps;
}

const std::string& Steps::answer() const {
    require(chosen >= 0 && chosen < static_cast<int>(candidates.size()), "socratic: candidate ", chosen, " of ",
            candidates.size(), " is the answer; converse() fills these steps");
    return candidates[static_cast<std::size_t>(chosen)];
}

Choice choose(const std::string& prompt, const std::vector<std::string>& answers, LanguageModel& model) {
    require(!answers.empty(), "socratic: no answers to choose from; give at least one");
    Choice choice;
    for (const std::string& answer : answers) choice.log_probabilities.push_back(model.log_probability(prompt, answer));
    choice.chosen = first_largest(choice.log_probabilities);
    return choice;
}

// --- over time ---

std::string history(const std::vector<Moment>& moments) {
    std::string lines;
    int before = -1;
    for (const Moment& moment : moments) {
        require(moment.seconds > before, "socratic: a moment at ", moment.seconds, " seconds follows one at ", before,
                "; moments must be in order, from 0 seconds on");
        before = moment.seconds;
        const int rest = moment.seconds % 60;
        lines += std::to_string(moment.seconds / 60) + (rest < 10 ? ":0" : ":") + std::to_string(rest) + " " + moment.text + "\n";
    }
    return lines;
}

// --- retrieval ---

Matrix retrieval_scores(const std::vector<Matrix>& similarities, const std::vector<double>& weights) {
    require(!similarities.empty() && similarities.size() == weights.size(), "socratic: ", similarities.size(), " tables and ",
            weights.size(), " weights, there must be one weight for each table");
    for (const double weight : weights)
        require(std::isfinite(weight), "socratic: a table times ", weight, ", the weight must be finite");
    Matrix sum(similarities[0].rows, similarities[0].cols);
    for (std::size_t m = 0; m < similarities.size(); ++m) {
        const Matrix& table = similarities[m];
        require(table.rows == sum.rows && table.cols == sum.cols, "socratic: tables of similarities ", sum, " and ", table,
                ", the shapes must be equal");
        for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += static_cast<float>(weights[m] * table[k]);
    }
    return sum;
}

double recall_at(int k, const Matrix& scores, const std::vector<int>& own) {
    require(k >= 1 && k <= scores.cols, "socratic: recall at ", k, " of ", scores.cols, " captions, it must be 1 to that many");
    require_finite(scores, "socratic", "scores");
    require(scores.rows > 0 && own.size() == static_cast<std::size_t>(scores.rows), "socratic: ", own.size(), " captions for ",
            scores.rows, " videos; each needs its own, and there must be a video");
    int found = 0;
    for (int i = 0; i < scores.rows; ++i) {
        require(own[i] >= 0 && own[i] < scores.cols, "socratic: caption ", own[i], " of ", scores.cols, ", counted from 0");
        const std::vector<int> best = best_of({scores.row(i), scores.row(i) + scores.cols}, k);
        found += std::find(best.begin(), best.end(), own[i]) != best.end();
    }
    return static_cast<double>(found) / scores.rows;
}

}  // namespace socratic
