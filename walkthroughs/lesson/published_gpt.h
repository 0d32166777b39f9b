// published_gpt.h: a GPT-2 checkpoint with its tokens, as the options --weights, --vocab and --merges of several lessons name it.
#pragma once
#include <string>

#include "gpt/bpe.h"
#include "gpt/gpt.h"

struct PublishedGpt {
    gpt::Config config;
    gpt::Weights w;
    bpe::Vocabulary vocabulary;

    // A token as tables show it, also one that only the model has.
    std::string name(int id) const;
    // The text as ids.   throws std::invalid_argument when there is no token, or more than the model has positions for
    std::vector<int> ids(const std::string& text) const;
};

// Reads all three files, also those that programs/generate --save wrote; vocab.json may be left out ("").
//   given   settings that override all files, such as the number of heads
//   throws  std::invalid_argument without --merges, and when the tokens are not those of the model
PublishedGpt read_published_gpt(const std::string& weights, const std::string& vocab, const std::string& merges,
                                const GivenSettings& given);
