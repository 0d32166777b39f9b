// keys_test.cpp: the keys of the worksheets, worked out again from the lines that are printed, as a student does.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "course/sheets/sheet.h"
#include "nn/data/text.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("keys");

using Numbers = std::vector<double>;

// The numbers of a line: "-3", "2/4".
static Numbers numbers_of(const std::string& line) {
    Numbers numbers;
    for (std::size_t at = line.find_first_of("-0123456789"); at != std::string::npos;
         at = line.find_first_of("-0123456789", at)) {
        const std::size_t end = std::min(line.find_first_not_of("0123456789/", at + 1), line.size());
        if (const auto number = number_of(line.substr(at, end - at))) numbers.push_back(*number);
        at = end;
    }
    return numbers;
}

// exp of the numbers of a line: "0  ln 3" are 1 and 3.
static Numbers exponentials_of(const std::string& line) {
    Numbers numbers;
    const std::vector<std::string> words = split(line, ' ');
    for (std::size_t k = 0; k < words.size(); ++k) {
        if (words[k] == "0") numbers.push_back(1);
        if (words[k] == "ln") numbers.push_back(number_of(words.at(++k)).value());
    }
    return numbers;
}

static Numbers shares(const Numbers& numbers) {
    const double sum = std::accumulate(numbers.begin(), numbers.end(), 0.0);
    Numbers result;
    for (const double x : numbers) result.push_back(x / sum);
    return result;
}

static double product(const Numbers& a, const Numbers& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

// Checks every key of a sheet, for thirty seeds, against answer(sheet, question, numbers in the question).
template <class Answer>
static void check_keys(const std::string& name, const Answer& answer) {
    for (int seed = 1; seed <= 30; ++seed) {
        const Sheet sheet = make_sheet(name, seed);
        for (const Question& question : sheet.questions) {
            INFO(name, " ", seed, ": ", question.asked);
            CHECK(question.words.empty());
            CHECK(question.number == Approx(answer(sheet.given, question.asked, numbers_of(question.asked))).epsilon(1e-4));
        }
    }
}
using Lines = std::vector<std::string>;

TEST_CASE("keys: attention weights and contexts, from scores that are logarithms; the scores of a query are not all equal") {
    check_keys("attention", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const Numbers scores = exponentials_of(given[1 + static_cast<int>(at[0])]), A = shares(scores);
        CHECK(scores.size() == 3);
        CHECK(*std::max_element(scores.begin(), scores.end()) > *std::min_element(scores.begin(), scores.end()));
        CHECK(*std::max_element(scores.begin(), scores.end()) <= 3);
        if (asked.starts_with("the context")) return product(A, numbers_of(given[4]));
        return A[static_cast<int>(at[1])];
    });
}

TEST_CASE("keys: the gradient of softmax") {
    check_keys("softmax_backward", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const Numbers p = shares(exponentials_of(given[1])), dp = numbers_of(given[3]);
        for (const double x : dp) CHECK(std::abs(x) <= 6);
        const int j = static_cast<int>(at[0]);
        return asked.starts_with("ds") ? p[j] * (dp[j] - product(p, dp)) : p[j];
    });
}

TEST_CASE("keys: layer normalisation, whose standard deviation is a whole number") {
    check_keys("layer_norm", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const Numbers x = numbers_of(given[1]), gain = numbers_of(given[2]), bias = numbers_of(given[3]);
        const double mean = std::accumulate(x.begin(), x.end(), 0.0) / 4, sigma = std::sqrt(product(x, x) / 4 - mean * mean);
        CHECK(sigma == std::round(sigma));
        if (asked == "the mean") return mean;
        if (asked == "sigma") return sigma;
        const int j = static_cast<int>(at[0]);
        return (x[j] - mean) / sigma * gain[j] + bias[j];
    });
}

TEST_CASE("keys: patches") {
    check_keys("patchify", [](const Lines& given, const std::string&, const Numbers& at) {
        if (at.size() < 2) return 1.0;  // the patch of the last pixel of the first row
        const int patch = static_cast<int>(at[0]), k = static_cast<int>(at[1]);
        const int y = patch / 2 * 2 + k / 2, x = patch % 2 * 2 + k % 2;
        return numbers_of(given[1 + y])[x];
    });
}

TEST_CASE("keys: causal mask and padding") {
    check_keys("causal_and_padding", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const Numbers said = numbers_of(given[0]);
        const int T = static_cast<int>(said[0]), S = static_cast<int>(said[1]);
        CHECK(S < T);
        const bool left = given[0].find("on the left") != std::string::npos;
        const auto allowed = [&](bool first, int query) {
            return first ? query + 1 : left ? std::max(0, query + 1 - (T - S)) : std::min(query + 1, S);
        };
        const bool first = asked.find("first text") != std::string::npos;
        if (!at.empty()) return static_cast<double>(allowed(first, static_cast<int>(at[0])));
        double all = 0;
        for (int query = 0; query < T; ++query) all += allowed(first, query);
        return all;
    });
}

TEST_CASE("keys: cross-entropy and its gradient") {
    check_keys("cross_entropy", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const std::string labels = given[3].substr(given[3].find(':'));
        const Numbers p[2] = {shares(exponentials_of(given[1])), shares(exponentials_of(given[2]))}, of = numbers_of(labels);
        const int label[2] = {static_cast<int>(of[0]), static_cast<int>(of[1])};
        if (asked.starts_with("p of the label")) return p[static_cast<int>(at[0])][label[static_cast<int>(at[0])]];
        if (asked.starts_with("the loss")) return -(std::log(p[0][label[0]]) + std::log(p[1][label[1]])) / 2;
        if (asked.find("column 0") != std::string::npos) return (p[0][0] - (label[0] == 0)) / 2;
        return (p[1][label[1]] - 1) / 2;
    });
}

TEST_CASE("keys: two steps of AdamW") {
    check_keys("adamw", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const double decay = given[0].find("decay = 1/2") != std::string::npos ? 0.5 : 0;
        const Numbers gradients = numbers_of(given[1]);
        double w = numbers_of(given[0])[0], m = 0, v = 0;
        for (int t = 1; t <= static_cast<int>(at[0]); ++t) {
            const double g = gradients[t - 1], unbiased = 1 - std::pow(0.5, t);
            m = m / 2 + g / 2;
            v = v / 2 + g * g / 2;
            w = w * (1 - 0.5 * decay) - 0.5 * (m / unbiased) / std::sqrt(v / unbiased);
        }
        return asked[0] == 'm' ? m : asked[0] == 'v' ? v : w;
    });
}

TEST_CASE("keys: generalised advantages, of the tokens of the answer only") {
    check_keys("gae", [](const Lines& given, const std::string&, const Numbers& at) {
        const Numbers r = numbers_of(given[1]), V = numbers_of(given[2]);
        const int count = given[0].find("the last is padding") != std::string::npos ? 3 : 4;
        CHECK(at[0] < count);
        double A = 0;
        for (int t = count - 1; t >= static_cast<int>(at[0]); --t) A = r[t] + (t + 1 < count ? V[t + 1] : 0) - V[t] + A / 2;
        return A;
    });
}

TEST_CASE("keys: Bradley-Terry") {
    check_keys("bradley_terry", [](const Lines& given, const std::string& asked, const Numbers& at) {
        const Numbers e = exponentials_of(given[1]);
        CHECK(e.size() == 3);
        if (asked.starts_with("the loss")) return -std::log(e[1] / (e[1] + e[0]));
        return e[static_cast<int>(at[0])] / (e[static_cast<int>(at[0])] + e[static_cast<int>(at[1])]);
    });
}

TEST_CASE("keys: Kullback-Leibler divergences") {
    check_keys("kl", [](const Lines& given, const std::string& asked, const Numbers&) {
        const std::map<char, Numbers> of{{'p', numbers_of(given[1])}, {'q', numbers_of(given[2])}};
        const auto kl = [&](char a, char b) {
            double sum = 0;
            for (int i = 0; i < 3; ++i) sum += of.at(a)[i] * std::log(of.at(a)[i] / of.at(b)[i]);
            return sum;
        };
        for (const char name : {'p', 'q'}) CHECK(product(of.at(name), {1, 1, 1}) == Approx(1));
        return asked.starts_with("KL(") ? kl(asked[3], asked[6]) : 0.5 * kl('p', 'q');
    });
}

TEST_CASE("keys: byte pair encoding, by counting pairs of the printed text") {
    for (int seed = 1; seed <= 30; ++seed) {
        const Sheet sheet = make_sheet("bpe", seed);
        std::vector<std::string> tokens;
        for (const char letter : sheet.given[1].substr(4)) tokens.emplace_back(1, letter);
        REQUIRE(sheet.questions.size() == 9);
        for (int merge = 0; merge < 3; ++merge) {
            std::vector<std::pair<std::string, int>> counts;  // in the order of first occurrence
            for (std::size_t k = 0; k + 1 < tokens.size(); ++k) {
                const std::string pair = tokens[k] + " " + tokens[k + 1];
                const auto known = std::find_if(counts.begin(), counts.end(), [&](const auto& c) { return c.first == pair; });
                if (known == counts.end())
                    counts.push_back({pair, 1});
                else
                    ++known->second;
            }
            const auto best =
                *std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
            std::vector<std::string> merged;
            for (std::size_t k = 0; k < tokens.size(); ++k) {
                const bool here = k + 1 < tokens.size() && tokens[k] + " " + tokens[k + 1] == best.first;
                merged.push_back(here ? tokens[k] + tokens[k + 1] : tokens[k]);
                k += here;
            }
            tokens = merged;
            INFO("seed ", seed, ", merge ", merge + 1);
            CHECK(sheet.questions[3 * merge].asked.starts_with("merge " + std::to_string(merge + 1) + ": "));
            CHECK(sheet.questions[3 * merge].words == best.first);
            CHECK(sheet.questions[3 * merge + 1].number == best.second);
            CHECK(sheet.questions[3 * merge + 2].number == static_cast<double>(tokens.size()));
        }
    }
}

TEST_CASE("keys: WordPiece, by trying the longest printed entry first") {
    for (int seed = 1; seed <= 30; ++seed) {
        const Sheet sheet = make_sheet("wordpiece", seed);
        const std::vector<std::string> entries = split(sheet.given[1], ' ');
        CHECK(sheet.questions.size() == 6);
        for (const Question& question : sheet.questions) {
            const std::size_t quote = question.asked.find('"') + 1;
            const std::string word = question.asked.substr(quote, question.asked.find('"', quote) - quote);
            std::string pieces;
            for (std::size_t at = 0; at < word.size();) {
                std::size_t length = word.size() - at;
                const auto entry = [&] { return (at > 0 ? "##" : "") + word.substr(at, length); };
                while (length > 0 && std::find(entries.begin(), entries.end(), entry()) == entries.end()) --length;
                if (length == 0) {
                    pieces = "[UNK]";
                    break;
                }
                pieces += (pieces.empty() ? "" : " ") + entry();
                at += length;
            }
            INFO("seed ", seed, ": ", question.asked);
            CHECK(question.words == pieces);
        }
    }
}

TEST_SUITE_END();
