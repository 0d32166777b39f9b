#include "walkthroughs/lesson/corpus.h"

#include <algorithm>

#include "nn/data/file.h"
#include "nn/data/text.h"
#include "nn/text/batch.h"

std::string own_text() {
    std::vector<std::string> paths;
    if (is_file("README.md")) paths.push_back("README.md");
    for (const std::string folder : {"bert", "gpt", "nn", "rlhf", "vit"})
        for (const std::string& path : files_below(folder))
            if (path.ends_with(".h") || path.ends_with(".cpp") || path.ends_with(".md")) paths.push_back(path);
    std::string all;
    for (const std::string& path : paths) all += read_file(path) + "\n";
    require(all.size() > 50'000,
            "corpus: no sources found below this folder; run it from the top of the project, or name a file with --text");
    return all;
}

Corpus make_corpus(const std::string& text, int merges, int length) {
    const std::string sample = text.substr(0, 300'000);  // bytes to learn the tokens from
    Progress progress("learning the tokens", merges);
    return make_corpus(text, bpe::vocabulary_of(bpe::train(sample, merges, true, &progress)), length);
}

Corpus make_corpus(const std::string& text, const bpe::Vocabulary& vocabulary, int length) {
    const std::vector<int> ids = bpe::encode(text, vocabulary);
    Corpus corpus{.vocabulary = vocabulary, .train = {}, .test = {}};
    corpus.bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(ids.size());
    const std::size_t stretch = 4 * (static_cast<std::size_t>(length) + 1);
    for (std::size_t first = 0; first < ids.size(); first += stretch) {
        std::vector<int>& part = first / stretch % 20 == 10 ? corpus.test : corpus.train;
        part.insert(part.end(), ids.begin() + first, ids.begin() + std::min(ids.size(), first + stretch));
    }
    const std::size_t least = 2 * (static_cast<std::size_t>(length) + 1);
    // Ten stretches to train on come before the first of the test part, so there are enough of them too.
    require(corpus.test.size() > least, "corpus: ", ids.size(),
            " tokens are too few to train on and to test with, take a longer text or a smaller --length");
    return corpus;
}

std::vector<int> random_stretches(const std::vector<int>& text, int count, int length, Random& random) {
    std::vector<int> ids;
    for (int b = 0; b < count; ++b) {
        const int first = random.below(static_cast<int>(text.size()) - length + 1);
        ids.insert(ids.end(), text.begin() + first, text.begin() + first + length);
    }
    return ids;
}

Var NextTokens::loss(int) {
    const std::vector<int> ids = draw_ids();
    const gpt::Steps steps = gpt::forward(ids, length, w, config);
    return gpt::loss(steps, next_tokens(ids, length));
}

double held_out_loss(const std::vector<int>& text, int length, const gpt::Weights& w, const gpt::Config& config) {
    const NoTape no_tape;
    double sum = 0, count = 0;  // of tokens
    const std::size_t T = length, at_once = 16;
    for (std::size_t first = 0; first + T <= text.size(); first += at_once * T) {
        const std::size_t end = std::min(text.size() / T * T, first + at_once * T);
        const std::vector<int> ids(text.begin() + first, text.begin() + end);
        const double tokens = static_cast<double>(ids.size());
        sum += tokens * gpt::loss(gpt::forward(ids, length, w, config), next_tokens(ids, length)).value()[0];
        count += tokens;
    }
    return sum / count;
}
