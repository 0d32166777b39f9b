// vocabularies.cpp: any bytes as vocab.txt, merges.txt and vocab.json. A reader may refuse them with std::invalid_argument
// and nothing else; what it accepts must spell and read back.
// covers bert/wordpiece.cpp .*
// covers gpt/bpe.cpp .*
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "bert/wordpiece.h"
#include "gpt/bpe.h"
#include "nn/data/json.h"

static const std::string all_names = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

static void check(bool holds) {
    if (!holds) std::abort();
}

static void try_wordpiece(const std::string& file, const std::string& content) {
    const wordpiece::Vocabulary vocabulary = wordpiece::read_vocabulary(file, "vocab.txt");
    const std::vector<int> ids = wordpiece::encode(content, vocabulary, {});
    for (const int id : ids) check(id >= 0 && id < vocabulary.size());
    wordpiece::decode(wordpiece::encode(content, vocabulary, {.lower_case = false, .longest_word = 20}), vocabulary);
    for (int id = 0; id < vocabulary.used(); ++id) {
        const int found = wordpiece::id_of(vocabulary, vocabulary.entries[id]);
        check(found == id || found == -1);
    }
    const std::size_t half = ids.size() / 2;
    const wordpiece::Sequence pair =
        wordpiece::make_sequence({ids.begin(), ids.begin() + half}, {ids.begin() + half, ids.end()}, 24, vocabulary);
    check(pair.ids.size() == 24 && pair.mask.size() == 24 && pair.segments.size() == 24);
}

// What is learned from a text is a vocabulary that reads back.
static void try_learning(const std::string& content) {
    const std::string text = content.substr(0, 400);
    const wordpiece::Learned learned = wordpiece::learn_vocabulary(text, 200, {});
    const wordpiece::Vocabulary vocabulary = wordpiece::make_vocabulary(learned.entries);
    for (const int id : wordpiece::encode(text, vocabulary, {})) check(id >= 0 && id < vocabulary.size());
}

// The 256 bytes, then tokens made of the input's bytes.
static std::string vocab_json_with(const std::string& rest) {
    const bpe::Vocabulary bytes = bpe::make_vocabulary({});
    std::string json = "{";
    for (int id = 0; id < 256; ++id)
        json += (id > 0 ? "," : "") + json_string(bpe::symbols_of(bytes.tokens[id])) + ":" + std::to_string(id);
    return json + rest;
}

static void try_text(const std::string& text, const bpe::Vocabulary& vocabulary) {
    check(bpe::decode_bytes(bpe::encode(text, vocabulary), vocabulary) == text);
    check(bpe::decode_bytes(bpe::encode(text, vocabulary, false), vocabulary) == text);
}

template <class Action>
static void accept_or_refuse(Action action) {
    try {
        action();
    } catch (const std::invalid_argument&) {
    }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string all(reinterpret_cast<const char*>(data), size);
    const std::size_t middle = all.find('|');  // merges.txt | vocab.json
    const std::string merges = all.substr(0, middle);
    const std::string json = middle == std::string::npos ? "" : all.substr(middle + 1);
    accept_or_refuse([&] { try_wordpiece(all, all); });
    accept_or_refuse([&] { try_wordpiece(all_names + all, all); });  // with the five names nearly everything is a vocabulary
    accept_or_refuse([&] { try_learning(all); });
    accept_or_refuse([&] { try_text(all, bpe::read_merges(merges, "merges.txt")); });
    accept_or_refuse([&] { try_text(all, bpe::read_vocabulary(json, "vocab.json", merges, "merges.txt")); });
    accept_or_refuse([&] { try_text(all, bpe::read_vocabulary(vocab_json_with(json), "vocab.json", merges, "merges.txt")); });
    try_text(all, bpe::vocabulary_of(bpe::train(all, 20)));
    return 0;
}
