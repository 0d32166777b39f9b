// language.cpp: the questions for the tasks of the module language.
#include <set>
#include <string>

#include "bert/heads.h"
#include "bert/mlm.h"
#include "bert/wordpiece.h"
#include "course/drawn/drawn.h"
#include "gpt/bpe.h"
#include "nn/text/batch.h"
#include "nn/text/decoding.h"

static std::string random_word(Random& random, int letters, int shortest, int longest) {
    std::string word;
    for (int k = between(random, shortest, longest); k > 0; --k) word += static_cast<char>('a' + random.below(letters));
    return word;
}

// Pieces of one to four letters, at the beginning of a word and inside one; two letters in three stand alone too.
static wordpiece::Vocabulary pieces(Random& random) {
    std::vector<std::string> entries{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    std::set<std::string> seen;
    for (int k = 0; k < 40; ++k) {
        const std::string mark = random.below(2) == 0 ? "##" : "";  // drawn first, with every compiler
        const std::string piece = mark + random_word(random, 3, 1, 4);
        if (seen.insert(piece).second) entries.push_back(piece);
    }
    return wordpiece::make_vocabulary(entries);
}

static const Drawn longest("longest_match", [](Random& random, int, Answers& answers) {
    const wordpiece::Vocabulary vocabulary = pieces(random);
    const std::string word = random_word(random, 4, 12, 16);
    const auto matches = [&](bool ids, std::size_t first, std::size_t last) {
        std::vector<int> found;
        for (std::size_t begin = first; begin <= last; ++begin) {
            const wordpiece::Match match = wordpiece::longest_match(word, begin, vocabulary);
            found.push_back(ids ? match.id : static_cast<int>(match.end));
        }
        return found;
    };
    std::vector<std::string> beginnings;
    for (int k = 0; k < 12; ++k) beginnings.push_back(random_word(random, 3, 1, 5));
    answers.ask("pieces at the beginning of a word", [&] {
        std::vector<int> ids;
        for (const std::string& one : beginnings) ids.push_back(wordpiece::longest_match(one, 0, vocabulary).id);
        return ids;
    });
    answers.ask("pieces inside a word", [&] { return matches(true, 1, word.size() - 1); });
    answers.ask("where they end", [&] { return matches(false, 0, word.size() - 1); });
});

static const Drawn bpe_encoding("bpe_encode", [](Random& random, int round, Answers& answers) {
    std::string text;
    for (int k = 0; k < 80; ++k) text += random_word(random, 3, 2, 7) + " ";
    const bpe::Vocabulary vocabulary = bpe::vocabulary_of(bpe::train(text, 12 + 8 * round));
    const bpe::Vocabulary none = bpe::vocabulary_of(bpe::train("", 0));
    std::string letters = random_word(random, 3, 4, 7), runs;
    for (int k = 0; k < 4; ++k) {
        const int length = between(random, 2, 5);
        runs += std::string(length, static_cast<char>('a' + random.below(3)));
    }
    const std::string word = random_word(random, 3, 14, 20);
    answers.ask("no merges", [&] { return bpe::encode_piece_textbook(letters + "\u00E9\u20AC", none); });  // bytes above 127, too
    answers.ask("a long word", [&] { return bpe::encode_piece_textbook(word, vocabulary); });
    answers.ask("letters that repeat", [&] { return bpe::encode_piece_textbook(runs, vocabulary); });
    answers.ask("a short word", [&] { return bpe::encode_piece_textbook(letters, vocabulary); });
});

static const Drawn labels("next_tokens", [](Random& random, int round, Answers& answers) {
    const int B = 2 + round;
    std::vector<std::vector<int>> texts;
    for (int b = 0; b < B; ++b) {
        std::vector<int> text(between(random, 1, 6));
        for (int& id : text) id = between(random, 1, 50);
        texts.push_back(text);
    }
    texts.push_back({7, 8, 9, 10, 11, 12, 13});
    std::vector<int> equal(3 * 5);
    for (int& id : equal) id = between(random, 1, 50);
    answers.ask("no padding", [&] { return next_tokens(equal_batch(equal, 5)); });
    answers.ask("padding on the right", [&] { return next_tokens(make_batch(texts, 0)); });
    answers.ask("padding on the left", [&] { return next_tokens(make_batch(texts, 0, Side::left)); });
});

static const Drawn corruption("corrupt_batch", [](Random& random, int round, Answers& answers) {
    const int n = 30 + 10 * round;
    std::vector<int> ids(n), special(n);
    for (int& id : ids) id = between(random, 5, 40);
    for (int& flag : special) flag = random.below(6) == 0;
    const mlm::Draws draws = mlm::make_draws(random, 1, n, 40);
    const mlm::Corruption how{.select = 0.5f, .mask = 0.6f, .random = 0.5f, .mask_id = 4};
    answers.ask("what the model reads", [&] { return mlm::corrupt_batch(ids, special, draws, how).ids; });
    answers.ask("the labels", [&] { return mlm::corrupt_batch(ids, special, draws, how).labels; });
    answers.ask("the positions", [&] { return mlm::corrupt_batch(ids, special, draws, how).positions; });
    answers.ask("nothing is special", [&] { return mlm::corrupt_batch(ids, std::vector<int>(n), draws, how).ids; });
});

static const Drawn nucleus("top_p", [](Random& random, int round, Answers& answers) {
    const int V = 9 + 4 * round;
    Matrix uneven = uniform_matrix(random, 1, V);
    float total = 0;
    for (float& x : uneven) x *= x, total += x;
    for (float& x : uneven) x /= total;
    const Matrix equal(1, 8, 0.125f);
    const auto kept = [](Matrix probabilities, float p) {
        keep_top_p_textbook(probabilities.begin(), probabilities.cols, p);
        return probabilities;
    };
    const float p = random.uniform(0.4f, 0.9f);
    answers.ask("different probabilities", [&] { return kept(uneven, p); });
    answers.ask("equal probabilities, reached exactly", [&] { return kept(equal, 0.25f); });
    answers.ask("equal probabilities, crossed", [&] { return kept(equal, 0.3f); });
    answers.ask("p of 0 keeps one", [&] { return kept(uneven, 0); });
    answers.ask("p of 1 keeps all", [&] { return kept(uneven, 1); });
});

static const Drawn spans("best_span", [](Random& random, int round, Answers& answers) {
    const int B = 3, T = 8 + 2 * round;
    heads::SpanSteps steps;
    steps.start_logits = normal_matrix(random, B, T);
    steps.end_logits = normal_matrix(random, B, T);
    const int first = between(random, 1, 3), last = T - 2;
    const auto ask = [&](int longest) {
        Matrix found(B, 3);
        for (int b = 0; b < B; ++b) {
            const heads::Span span = heads::best_span(steps, b, first, last, longest);
            found(b, 0) = static_cast<float>(span.start), found(b, 1) = static_cast<float>(span.end), found(b, 2) = span.score;
        }
        return found;
    };
    answers.ask("answers of any length", [&] { return ask(T); });
    answers.ask("answers of at most two words", [&] { return ask(2); });
    answers.ask("answers of one word", [&] { return ask(1); });
    answers.ask("of equal spans the first", [&] {
        heads::SpanSteps equal;
        equal.start_logits = equal.end_logits = Matrix(1, T);
        const heads::Span span = heads::best_span(equal, 0, first, last, 3);
        return std::vector<int>{span.start, span.end};
    });
});
