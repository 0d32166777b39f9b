// lines_of_files.cpp: the benchmarks of files and text: weights saved and loaded, a text cut into tokens.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "gpt/bpe.h"
#include "nn/base/random.h"
#include "nn/data/parameters.h"
#include "nn/data/safetensors.h"
#include "tools/bench/lines.h"

static const std::string path_of_weights = (std::filesystem::temp_directory_path() / "bench_of_weights.safetensors").string();

// 125 matrices of a million numbers: 500 MB, the size of GPT-2.
static Parameters large_model() {
    Parameters parameters;
    for (int i = 0; i < 125; ++i)
        parameters.push_back({"matrix." + std::to_string(i), {1000, 1000}, Stored::as_it_is, {parameter(Matrix(1000, 1000, 1))}});
    return parameters;
}

// Nothing waits for the disk when the file is read: it was just written, and lies in the system's cache.
static std::function<void()> prepare_saving(bool load_again) {
    const auto model = std::make_shared<Parameters>(large_model());
    return [=] {
        save(*model, path_of_weights);
        if (load_again) load(*model, Safetensors(path_of_weights));
        std::remove(path_of_weights.c_str());
    };
}

// `bytes` of words of 2 to 9 letters out of two thousand; the first ones are the most frequent.
static std::string random_text(std::size_t bytes) {
    Random random(1);
    std::vector<std::string> words(2000);
    for (std::string& word : words)
        for (int letters = 2 + random.below(8); letters > 0; --letters) word += static_cast<char>('a' + random.below(26));
    std::string text;
    while (text.size() < bytes) text += words[random.below(1 + random.below(2000))] + ' ';
    return text;
}

static std::function<void()> prepare_encoding(int megabytes) {
    const auto vocabulary = std::make_shared<bpe::Vocabulary>(bpe::vocabulary_of(bpe::train(random_text(200'000), 2000)));
    const auto text = std::make_shared<std::string>(random_text(static_cast<std::size_t>(megabytes) * 1'000'000));
    return [=] { bpe::encode(*text, *vocabulary); };
}

std::vector<Line> lines_of_files() {
    std::vector<Line> lines;
    lines.push_back({.name = "save 500 MB", .bytes = 1e9, .prepare = [] { return prepare_saving(false); }, .writes = true});
    lines.push_back(
        {.name = "save and load 500 MB", .bytes = 2e9, .prepare = [] { return prepare_saving(true); }, .writes = true});
    for (const int megabytes : {1, 2, 5, 10, 20})
        lines.push_back({.name = "bpe encode " + std::to_string(megabytes) + " MB",
                         .prepare = [=] { return prepare_encoding(megabytes); },
                         .text = megabytes * 1e6,
                         .growth = "the length of a text"});
    return lines;
}
