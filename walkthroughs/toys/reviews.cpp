#include "walkthroughs/toys/reviews.h"

#include <algorithm>
#include <optional>

#include "nn/data/text.h"

namespace reviews {

static constexpr int beginning = 1, the = 2, was = 3, conjunction = 4, very = 5, negation = 6;   // then the full stop
static constexpr int first_noun = 8, first_adjective = 12, good_adjectives = 4, adjectives = 8;  // the good ones first

const std::vector<std::string>& words() {
    static const std::vector<std::string> list{"<pad>", "<bos>",  "the",  "was",  "and",  "very", "not",
                                               ".",     "movie",  "food", "book", "song", "good", "nice",
                                               "fine",  "superb", "bad",  "poor", "dull", "awful"};
    return list;
}

std::string text_of(const std::vector<int>& ids) {
    std::string text;
    for (const int id : ids) text += (text.empty() ? "" : " ") + words().at(id);
    return text;
}

std::vector<int> ids_of(const std::string& text) {
    std::vector<int> ids;
    for (const std::string& word : split(text, ' ')) {
        if (word.empty()) continue;
        const auto found = std::find(words().begin(), words().end(), word);
        require(found != words().end(), "reviews: \"", word, "\" is not one of the ", vocabulary, " words of this language");
        ids.push_back(static_cast<int>(found - words().begin()));
    }
    return ids;
}

std::vector<int> prompt_of(int noun) { return {beginning, the, first_noun + noun}; }

// --- grammar and score ---

static int word_at(const Answer& answer, std::size_t position) { return position < answer.size() ? answer[position] : padding; }

// Parses "[very|not] ADJECTIVE" at `position` and advances it.   returns its score, no value if there is none
static std::optional<float> read_phrase(const Answer& answer, std::size_t& position) {
    float factor = 1;
    const int degree = word_at(answer, position);
    if (degree == very || degree == negation) {
        factor = degree == very ? 1.5f : -0.5f;
        ++position;
    }
    const int adjective = word_at(answer, position);
    if (adjective < first_adjective) return std::nullopt;
    ++position;
    return adjective < first_adjective + good_adjectives ? factor : -factor;
}

// The score of a sentence, no value if it is ungrammatical.
static std::optional<float> read_sentence(const Answer& answer) {
    std::size_t position = 1;
    if (word_at(answer, 0) != was) return std::nullopt;
    const std::optional<float> first = read_phrase(answer, position);
    if (!first) return std::nullopt;
    std::optional<float> second = 0.0f;
    if (word_at(answer, position) == conjunction) second = read_phrase(answer, ++position);
    const bool ends = position + 1 == answer.size() && word_at(answer, position) == full_stop;
    if (!second || !ends) return std::nullopt;
    return *first + *second;
}

bool is_sentence(const Answer& answer) { return read_sentence(answer).has_value(); }

float true_score(const Answer& answer) { return read_sentence(answer).value_or(score_of_no_sentence); }

// --- human answers ---

struct Phrase {
    std::vector<int> ids;
    double probability;
};

static std::vector<Phrase> all_phrases() {
    std::vector<Phrase> phrases;
    for (int k = 0; k < adjectives; ++k) {
        const int adjective = first_adjective + k;
        phrases.push_back({{adjective}, 0.60 / adjectives});
        phrases.push_back({{very, adjective}, 0.25 / adjectives});
        phrases.push_back({{negation, adjective}, 0.15 / adjectives});
    }
    return phrases;
}

std::vector<Sentence> all_sentences() {
    const std::vector<Phrase> phrases = all_phrases();
    std::vector<Sentence> sentences;
    for (const Phrase& first : phrases) {
        Answer beginning_of_answer{was};
        beginning_of_answer.insert(beginning_of_answer.end(), first.ids.begin(), first.ids.end());
        Answer one = beginning_of_answer;
        one.push_back(full_stop);
        sentences.push_back({one, 0.4 * first.probability});
        for (const Phrase& second : phrases) {
            Answer two = beginning_of_answer;
            two.push_back(conjunction);
            two.insert(two.end(), second.ids.begin(), second.ids.end());
            two.push_back(full_stop);
            sentences.push_back({two, 0.6 * first.probability * second.probability});
        }
    }
    return sentences;
}

static void draw_phrase(Answer& answer, Random& random) {
    const float u = random.uniform();
    if (u >= 0.6f) answer.push_back(u < 0.85f ? very : negation);
    answer.push_back(first_adjective + random.below(adjectives));
}

Answer draw_answer(Random& random) {
    Answer answer{was};
    const bool two = random.uniform() >= 0.4f;
    draw_phrase(answer, random);
    if (two) {
        answer.push_back(conjunction);
        draw_phrase(answer, random);
    }
    answer.push_back(full_stop);
    return answer;
}

// --- texts in rows ---

ppo::Episodes episodes_of(const std::vector<int>& nouns_of, const std::vector<Answer>& answers) {
    require(nouns_of.size() == answers.size(), "reviews: ", nouns_of.size(), " nouns and ", answers.size(), " answers");
    ppo::Episodes episodes;
    episodes.length = prompt_length + longest_answer;
    for (std::size_t b = 0; b < answers.size(); ++b) {
        require(answers[b].size() <= longest_answer, "reviews: answer ", b, " has ", answers[b].size(), " words, ",
                longest_answer, " are the most");
        std::vector<int> row = prompt_of(nouns_of[b]);
        row.insert(row.end(), answers[b].begin(), answers[b].end());
        row.resize(episodes.length, padding);
        episodes.tokens.insert(episodes.tokens.end(), row.begin(), row.end());
        episodes.prompt_lengths.push_back(prompt_length);
        episodes.answer_lengths.push_back(static_cast<int>(answers[b].size()));
    }
    return episodes;
}

ppo::Episodes human_texts(int count, Random& random) {
    std::vector<int> nouns_of;
    std::vector<Answer> answers;
    for (int b = 0; b < count; ++b) {
        nouns_of.push_back(b % nouns);
        answers.push_back(draw_answer(random));
    }
    return episodes_of(nouns_of, answers);
}

Answer answer_of(const ppo::Episodes& episodes, int episode) {
    const auto begin = episodes.tokens.begin() + episode * episodes.length + episodes.prompt_lengths.at(episode);
    return {begin, begin + episodes.answer_lengths[episode]};
}

std::vector<int> text_lengths(const ppo::Episodes& episodes) {
    std::vector<int> lengths;
    for (int b = 0; b < episodes.count(); ++b) lengths.push_back(episodes.prompt_lengths[b] + episodes.answer_lengths[b]);
    return lengths;
}

std::vector<float> true_scores(const ppo::Episodes& episodes) {
    std::vector<float> scores;
    for (int b = 0; b < episodes.count(); ++b) scores.push_back(true_score(answer_of(episodes, b)));
    return scores;
}

double share_of_sentences(const ppo::Episodes& episodes) {
    int sentences = 0;
    for (int b = 0; b < episodes.count(); ++b) sentences += is_sentence(answer_of(episodes, b));
    return static_cast<double>(sentences) / episodes.count();
}

}  // namespace reviews
