#include "walkthroughs/lesson/published_gpt.h"

#include "walkthroughs/lesson/tokens.h"

std::string PublishedGpt::name(int id) const {
    return id < vocabulary.size() ? shown_token(vocabulary.tokens[id]) : "<" + std::to_string(id) + ">";
}

std::vector<int> PublishedGpt::ids(const std::string& text) const {
    bpe::require_no_special(text, vocabulary);
    std::vector<int> result = bpe::encode(text, vocabulary);
    const int count = static_cast<int>(result.size());
    require(count > 0 && count <= config.positions, "\"", text, "\" has ", count, " tokens, this model can read 1 to ",
            config.positions);
    return result;
}

PublishedGpt read_published_gpt(const std::string& weights, const std::string& vocab, const std::string& merges,
                                const GivenSettings& given) {
    const Safetensors checkpoint(weights);
    PublishedGpt model;
    model.config = gpt::config_of(checkpoint, given);
    require(!merges.empty(), "gpt: --weights needs --merges, the merges.txt of the same model, to read the prompt");
    model.vocabulary = vocab.empty() ? bpe::load_merges(merges) : bpe::load_vocabulary(vocab, merges);
    require(model.vocabulary.size() <= model.config.vocabulary, "gpt: ", merges, " has ", model.vocabulary.size(), " tokens, ",
            weights, " only ", model.config.vocabulary, ": they do not belong together");
    model.w = gpt::empty_weights(model.config);
    LoadRules rules = gpt::load_rules(model.config);
    rules.ignored_prefixes.push_back("training.");  // a file that programs/generate --save wrote holds the state of training, too
    load(gpt::parameters(model.w, model.config), checkpoint, rules);
    return model;
}
