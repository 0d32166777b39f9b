#include "walkthroughs/toys/jumping_walk.h"

#include <algorithm>

#include "nn/training/loss.h"
#include "nn/training/train.h"

namespace jumping_walk {

static bool holds(const std::vector<int>& positions, int position) {
    return std::find(positions.begin(), positions.end(), position) != positions.end();
}

Text draw(Random& random, const Wish& wish) {
    require(wish.query >= -1 && wish.query < shown - 1, "jumping_walk: the symbol at position ", wish.query, " has no successor");
    std::vector<int> landings;  // possible targets of a jump
    for (int position = 0; position < shown - 1; ++position)
        if (!holds(wish.hidden, position)) landings.push_back(position);
    require(!landings.empty(), "jumping_walk: the walk has nowhere to go");

    const std::vector<int> order = permutation(random, symbols);
    Text text{.ids = {order.begin(), order.begin() + shown}, .follows = std::vector<char>(shown, 0)};
    int position = landings[random.below(static_cast<int>(landings.size()))];
    for (int k = 0; k < walked; ++k) {
        bool follows = false;
        if (k > 0) {
            follows = position + 1 < shown && !holds(wish.hidden, position + 1) && random.uniform() >= 0.3f;
            position = follows ? position + 1 : landings[random.below(static_cast<int>(landings.size()))];
        }
        if (wish.query >= 0 && k == walked - 2) position = wish.query, follows = false;
        if (wish.query >= 0 && k == walked - 1) position = wish.query + 1, follows = true;
        text.ids.push_back(text.ids[position]);
        text.follows.push_back(follows);
    }
    return text;
}

std::vector<int> inputs(const std::vector<Text>& texts) {
    std::vector<int> ids;
    for (const Text& text : texts) ids.insert(ids.end(), text.ids.begin(), text.ids.begin() + length);
    return ids;
}

std::vector<int> labels(const std::vector<Text>& texts) {
    std::vector<int> result;
    for (const Text& text : texts)
        for (int t = 1; t <= length; ++t) result.push_back(text.follows[t] ? text.ids[t] : ignored_label);
    return result;
}

namespace {
struct NextToken : Objective {
    const Learned& model;
    int batch;
    Random& random;
    NextToken(const Learned& model, int batch, Random& random) : model(model), batch(batch), random(random) {}

    Var loss(int) override {
        std::vector<Text> texts;
        for (int b = 0; b < batch; ++b) texts.push_back(draw(random));
        return gpt::loss(gpt::forward(inputs(texts), length, model.w, model.config), labels(texts));
    }
};
}  // namespace

Learned learn(const Training& training, Random& random) {
    Learned model;
    model.config = {.vocabulary = symbols, .positions = length, .width = 32, .depth = 2, .heads = 4, .mlp_width = 64};
    model.w = gpt::make_weights(model.config, random, {.stddev = 0.1f, .embedding_stddev = 0.1f});
    const Recipe recipe{.schedule = {.peak = training.learning_rate,
                                     .warm_up = std::min(50, training.steps),
                                     .steps = training.steps,
                                     .descent = Descent::linear,
                                     .floor = 0.05f},
                        .batch = training.batch,
                        .beta2 = 0.98f};
    NextToken objective(model, training.batch, random);
    ShowProgress progress("a GPT on jumping walks", training.steps);
    model.losses = train(objective, nothing_decays(variables(gpt::parameters(model.w, model.config))), recipe, &progress);
    return model;
}

}  // namespace jumping_walk
