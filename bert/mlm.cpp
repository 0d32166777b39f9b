#include "bert/mlm.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/training/loss.h"

namespace mlm {

// --- masking ---

Draws make_draws(Random& random, int sequences, int length, int vocabulary) {
    Draws draws;
    draws.u_select = uniform_matrix(random, sequences, length);
    draws.u_mask = uniform_matrix(random, sequences, length);
    draws.u_random = uniform_matrix(random, sequences, length);
    for (int k = 0; k < sequences * length; ++k) draws.random_tokens.push_back(random.below(vocabulary));
    return draws;
}

static void check(const char* place, const Corruption& how) {
    for (const double share : {how.select, static_cast<double>(how.mask), static_cast<double>(how.random)})
        require(share >= 0 && share <= 1, place, ": a fraction of ", share,
                ", it must be from 0 to 1; BERT's are 0.15, 0.8 and 0.5");
    require(how.most >= 0 && how.mask_id >= 0, place, ": at most ", how.most, " tokens become id ", how.mask_id,
            ", neither may be negative");
}

static void require_flags(const char* place, const std::vector<int>& special) {
    for (const int flag : special)
        require(flag == 0 || flag == 1, place, ": a flag of ", flag,
                ", it must be 1 (a special token) or 0; special_positions makes them of ids");
}

// NaN would compare as a draw above every fraction.
static void require_draws(const char* place, const std::vector<const Matrix*>& all) {
    for (const Matrix* const draws : all)
        for (const float u : *draws) require(u >= 0 && u < 1, place, ": a draw of ", u, ", it must lie in [0, 1)");
}

Corrupted corrupt_batch(const std::vector<int>& ids, const std::vector<int>& special, const Draws& draws, const Corruption& how) {
    check("corrupt_batch", how);
    const std::size_t n = ids.size();
    require(special.size() == n && draws.u_select.size() == n && draws.u_mask.size() == n && draws.u_random.size() == n &&
                draws.random_tokens.size() == n,
            "corrupt_batch: ", n, " ids need as many flags and draws; there are ", special.size(), " flags and ",
            draws.u_select.size(), ", ", draws.u_mask.size(), ", ", draws.u_random.size(), ", ", draws.random_tokens.size(),
            " draws");
    require_flags("corrupt_batch", special);
    require_draws("corrupt_batch", {&draws.u_select, &draws.u_mask, &draws.u_random});
    Corrupted corrupted{.ids = ids, .labels = std::vector<int>(n, ignored_label), .positions = {}};
    for (std::size_t k = 0; k < n; ++k) {
        if (special[k] != 0 || draws.u_select[k] >= how.select) continue;
        corrupted.labels[k] = ids[k];
        corrupted.positions.push_back(static_cast<int>(k));
        if (draws.u_mask[k] < how.mask)
            corrupted.ids[k] = how.mask_id;
        else if (draws.u_random[k] < how.random)
            corrupted.ids[k] = draws.random_tokens[k];
    }
    return corrupted;
}

CandidateDraws make_candidate_draws(Random& random, int candidates, int vocabulary) {
    require(candidates >= 0, "make_candidate_draws: ", candidates, " candidates, there cannot be fewer than 0");
    CandidateDraws draws;
    draws.permutation = permutation(random, candidates);
    draws.u_mask = uniform_matrix(random, 1, candidates);
    draws.u_keep = uniform_matrix(random, 1, candidates);
    for (int k = 0; k < candidates; ++k) draws.random_tokens.push_back(random.below(vocabulary));
    return draws;
}

static void require_permutation(const std::vector<int>& order, std::size_t count) {
    std::vector<int> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    bool complete = sorted.size() == count;
    for (std::size_t k = 0; complete && k < count; ++k) complete = sorted[k] == static_cast<int>(k);
    require(complete, "corrupt_candidates: the ", order.size(), " numbers are not a permutation of ", count, " candidates");
}

// How many tokens of a sequence are selected. nearbyint rounds a half to the even number, as Python does.
static std::size_t selected_count(std::size_t length, const Corruption& how) {
    const int wanted = static_cast<int>(std::nearbyint(how.select * static_cast<double>(length)));
    return static_cast<std::size_t>(std::max(0, std::min(how.most, std::max(1, wanted))));
}

Corrupted corrupt_candidates(const std::vector<int>& ids, const std::vector<int>& special, const CandidateDraws& draws,
                             const Corruption& how) {
    check("corrupt_candidates", how);
    require(special.size() == ids.size(), "corrupt_candidates: ", special.size(), " flags for ", ids.size(),
            " ids, each needs one");
    require_flags("corrupt_candidates", special);
    require_draws("corrupt_candidates", {&draws.u_mask, &draws.u_keep});
    std::vector<int> candidates;  // positions
    for (std::size_t t = 0; t < ids.size(); ++t)
        if (special[t] == 0) candidates.push_back(static_cast<int>(t));
    require_permutation(draws.permutation, candidates.size());
    const std::size_t count = std::min(candidates.size(), selected_count(ids.size(), how));
    require(draws.u_mask.size() >= count && draws.u_keep.size() >= count && draws.random_tokens.size() >= count,
            "corrupt_candidates: ", count, " tokens are selected, there are ", draws.u_mask.size(), ", ", draws.u_keep.size(),
            ", ", draws.random_tokens.size(), " draws");
    Corrupted corrupted{.ids = ids, .labels = std::vector<int>(ids.size(), ignored_label), .positions = {}};
    for (std::size_t k = 0; k < count; ++k) {
        const int position = candidates[draws.permutation[k]];
        corrupted.labels[position] = ids[position];
        corrupted.positions.push_back(position);
        if (draws.u_mask[k] < how.mask)
            corrupted.ids[position] = how.mask_id;
        else if (draws.u_keep[k] >= 1 - how.random)
            corrupted.ids[position] = draws.random_tokens[k];
    }
    std::sort(corrupted.positions.begin(), corrupted.positions.end());
    return corrupted;
}

std::vector<int> special_positions(const std::vector<int>& ids, const std::vector<int>& special_ids) {
    std::vector<int> special;
    for (const int id : ids) special.push_back(std::count(special_ids.begin(), special_ids.end(), id) > 0 ? 1 : 0);
    return special;
}

std::vector<int> labels_at_positions(const Corrupted& corrupted) {
    std::vector<int> labels;
    const int n = static_cast<int>(corrupted.labels.size());
    for (const int position : corrupted.positions) {
        require(position >= 0 && position < n, "labels_at_positions: position ", position, " of ", n, ", counted from 0");
        labels.push_back(corrupted.labels[position]);
    }
    return labels;
}

// --- the model ---

// Logits over the vocabulary for each of the encoder's output rows.
static void predict_words(Steps& steps, const Var& tokens, const Weights& w, const bert::Config& config) {
    const Var activated = activate(linear(tokens, w.transform), config.activation);  // (S, D)
    steps.transform = layer_norm(activated, w.norm, config.eps);                     // (S, D)
    // The output matrix is the input embedding: a token's logit is the dot product with its own embedding row.
    const Var similarity = matmul_transposed(steps.transform, w.trunk.token_embedding);  // (S, V)
    steps.prediction_logits = add(similarity, w.output_bias);                            // (S, V)
}

static Steps forward_at(const bert::Batch& batch, const Weights& w, const bert::Config& config,
                        const std::vector<int>* positions) {
    Steps steps;
    steps.trunk = bert::forward(batch, w.trunk, config);
    const Var& all = steps.trunk.encoder.output;  // (n, D)
    predict_words(steps, positions == nullptr ? all : gather_rows(all, *positions), w, config);
    if (config.pooler) steps.next_sentence_logits = linear(steps.trunk.pooled, w.next_sentence);  // (B, 2)
    return steps;
}

Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config) {
    return forward_at(batch, w, config, nullptr);
}

Steps forward(const bert::Batch& batch, const Weights& w, const bert::Config& config, const std::vector<int>& positions) {
    return forward_at(batch, w, config, &positions);
}

Losses loss(const Steps& steps, const std::vector<int>& labels, const std::vector<int>& next_sentence) {
    Losses losses;
    losses.masked_tokens = cross_entropy(steps.prediction_logits, labels);
    losses.sum = losses.masked_tokens;
    if (next_sentence.empty()) return losses;
    require(static_cast<bool>(steps.next_sentence_logits),
            "mlm: labels for the next sentence, but this model has no pooler; set pooler = true, or give no labels for it");
    losses.next_sentence = cross_entropy(steps.next_sentence_logits, next_sentence);
    losses.sum = add(losses.masked_tokens, losses.next_sentence);
    return losses;
}

std::vector<Prediction> best_predictions(const Matrix& logits, int row, int count) {
    require(row >= 0 && row < logits.rows, "best_predictions: row ", row, " of ", logits.rows, ", counted from 0");
    require(count >= 0, "best_predictions: ", count, " predictions, there cannot be fewer than 0");
    const Matrix p = softmax_rows(slice_rows(logits, row, 1)).value();  // (1, V)
    require(p.empty() || !std::isnan(p[0]), "best_predictions: row ", row, " of ", logits,
            " holds a NaN or plus infinity; look for it in the weights or the input");
    std::vector<Prediction> predictions;
    for (int id = 0; id < p.cols; ++id) predictions.push_back({id, p[id]});
    const int kept = std::clamp(count, 0, p.cols);
    std::partial_sort(predictions.begin(), predictions.begin() + kept, predictions.end(),
                      [](const Prediction& a, const Prediction& b) {
                          return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
                      });
    predictions.resize(kept);
    return predictions;
}

// --- weights ---

Weights make_weights(const bert::Config& config, Random& random, const Init& init) {
    const int D = config.width;
    Weights w;
    w.trunk = bert::make_weights(config, random, init);
    w.transform = make_linear(random, D, D, init);
    w.norm = make_layer_norm(D);
    w.output_bias = parameter(Matrix(1, config.vocabulary));
    if (config.pooler) w.next_sentence = make_linear(random, D, 2, init);
    return w;
}

Parameters parameters(const Weights& w, const bert::Config& config) {
    Parameters table = bert::parameters(w.trunk, config);
    table.push_back({"cls.predictions.bias", {config.vocabulary}, Stored::as_it_is, {w.output_bias}});
    add_parameters(table, "cls.predictions.transform.dense", w.transform);
    add_parameters(table, "cls.predictions.transform.LayerNorm", w.norm);
    if (config.pooler) add_parameters(table, "cls.seq_relationship", w.next_sentence);
    return table;
}

LoadRules load_rules() {
    LoadRules rules = bert::load_rules();
    rules.other_names = {{"bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"},
                         {"cls.predictions.bias", "cls.predictions.decoder.bias"}};
    return rules;
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const bert::Config& config) {
    require(config.activation == Activation::gelu, "mlm: only GELU is known between the two layers of the head");
    const Linear to_words{.weight = transpose(w.trunk.token_embedding), .bias = w.output_bias};  // (D, V)
    return {.blocks = w.trunk.blocks,
            .options = bert::block_options(config),
            .head = {{.linear = w.transform, .nonlinearity = Nonlinearity::gelu},
                     {.normed = true, .norm = w.norm, .eps = config.eps, .linear = to_words}}};
}

}  // namespace mlm
