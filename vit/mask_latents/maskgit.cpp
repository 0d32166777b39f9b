#include "vit/mask_latents/maskgit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"
#include "nn/data/text.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"
#include "vit/mask_pixels/masking.h"

namespace maskgit {

// --- how much is masked ---

MaskSchedule schedule_of_name(const std::string& name) {
    if (name == "cosine") return {.shape = Shape::cosine};
    if (name == "uniform") return {.shape = Shape::power, .exponent = 1};
    if (name == "log") return {.shape = Shape::log};
    if (name == "exp") return {.shape = Shape::exp};
    double exponent = 0;
    if (name.rfind("pow", 0) == 0) exponent = decimal_number(name.substr(3)).value_or(0);
    require(exponent > 0, "maskgit: '", name, "' is not one of cosine, uniform, pow2, pow2.5, ..., log, exp");
    return {.shape = Shape::power, .exponent = exponent};
}

// gamma(r). In double: N cos(pi / 3) is 8 for N = 16, and 7.9999995 in float.
double masked_fraction(const MaskSchedule& schedule, double r, double total) {
    require(r >= 0 && r <= 1 && total > 0, "masked_fraction: r is ", r, " for ", total,
            " tokens; r must be from 0 to 1, and there must be a token");
    require(schedule.exponent > 0 && std::isfinite(schedule.exponent), "masked_fraction: an exponent of ", schedule.exponent,
            ", it must be finite and above 0; 1 is linear");
    double gamma = 0;
    switch (schedule.shape) {
        case Shape::cosine: gamma = std::cos(std::numbers::pi / 2 * r); break;
        case Shape::power: gamma = 1 - std::pow(r, schedule.exponent); break;
        case Shape::log: gamma = -std::log2(r) / std::log2(total); break;
        case Shape::exp: gamma = 1 - std::exp2(-std::log2(total) * (1 - r)); break;
    }
    return std::clamp(gamma, 1e-6, 1.0);
}

// --- training ---

MaskedBatch mask_tokens(const std::vector<int>& tokens, const std::vector<int>& classes, const std::vector<float>& r,
                        const Matrix& noise, const MaskSchedule& schedule, const Config& config) {
    const int B = static_cast<int>(classes.size()), N = config.count();
    require(B > 0 && static_cast<int>(tokens.size()) == B * N && static_cast<int>(r.size()) == B && noise.rows == B &&
                noise.cols == N,
            "maskgit: ", tokens.size(), " tokens, ", r.size(), " fractions and noise ", noise, " for ", B, " images of ", N,
            " tokens; each token needs a number of noise, each image a fraction");
    for (const float fraction : r)
        require(fraction >= 0 && fraction <= 1, "maskgit: a fraction of ", fraction, ", it must lie between 0 and 1");
    require_finite(noise, "maskgit", "numbers of noise");
    for (const int token : tokens)
        require(token >= 0 && token < config.codebook_size, "maskgit: token ", token, " is not one of ", config.codebook_size,
                ", counted from 0");
    MaskedBatch batch{.ids = empty_images(classes, config), .labels = empty_images(classes, config), .mask = Matrix(B, N)};
    const std::vector<int> order = sorting_order(noise);  // (B*N)  positions of each image, the smallest noise first
    for (int b = 0; b < B; ++b) {
        const int masked = static_cast<int>(std::ceil(masked_fraction(schedule, r[b], N) * N));
        for (int k = 0; k < masked; ++k) batch.mask(b, order[b * N + k]) = 1;
        for (int i = 0; i < N; ++i) {
            const int at = b * (N + 1) + 1 + i;  // after the class
            batch.labels[at] = tokens[b * N + i];
            if (batch.mask(b, i) == 0) batch.ids[at] = tokens[b * N + i];
        }
    }
    return batch;
}

// Row of the token embedding for each id: a masked token has the last one.
static std::vector<int> rows_of_tokens(const std::vector<int>& ids, const Config& config) {
    std::vector<int> rows;
    for (const int id : ids) {
        require(id >= mask_token && id < config.codebook_size + config.classes, "maskgit: id ", id, " is not one of ",
                config.codebook_size, " tokens, ", config.classes, " classes, or ", mask_token, " (masked)");
        rows.push_back(id == mask_token ? config.vocabulary() - 1 : id);
    }
    return rows;
}

static void check(const Config& config);  // with the weights, below

Steps forward(const std::vector<int>& ids, const Weights& w, const Config& config) {
    check(config);
    require_depth("maskgit", config.depth, w.blocks);
    const int length = config.count() + 1;
    require(!ids.empty() && ids.size() % length == 0, "maskgit: ", ids.size(), " ids are not whole sequences of a class and ",
            length - 1, " tokens");
    const BlockOptions options{
        .heads = config.heads, .eps = config.eps, .activation = Activation::gelu_tanh, .order = Order::post};
    const Attending how{.segments = Segments::equal(static_cast<int>(ids.size()) / length, length)};
    Steps steps;
    const Var tokens = embed(w.token_embedding, rows_of_tokens(ids, config));                        // (B*(N+1), D)
    steps.embeddings = layer_norm(add_repeated(tokens, w.positions), w.embedding_norm, config.eps);  // (B*(N+1), D)
    steps.encoder = stack(steps.embeddings, w.blocks, options, {.self = how});
    const Var activated = activate(linear(steps.encoder.output, w.hidden), Activation::gelu_tanh);  // (B*(N+1), D)
    steps.hidden = layer_norm(activated, w.hidden_norm, config.eps);                                // (B*(N+1), D)
    steps.logits = add(matmul_transposed(steps.hidden, w.token_embedding), w.bias);                 // (B*(N+1), V)
    return steps;
}

Var weighted_loss(const Var& logits, const std::vector<int>& labels, const Matrix& weights, float smoothing) {
    const int B = weights.rows, length = weights.cols;
    require(logits.rows() == B * length, "maskgit: weights ", weights, " for logits ", logits.value(),
            "; each row of logits needs one");
    const Var of_position = smoothed_token_losses(logits, labels, smoothing);  // (B*(N+1), 1)
    Matrix shares = Matrix::unset(B * length, 1);                              // of each position in the loss
    for (int b = 0; b < B; ++b) {
        double total = 0;
        for (int i = 0; i < length; ++i) total += weights(b, i);
        require(total > 0, "maskgit: image ", b, " has no weight: nothing of it is masked");
        for (int i = 0; i < length; ++i) shares[b * length + i] = static_cast<float>(weights(b, i) / total / B);
    }
    return sum(multiply(of_position, shares));  // (1, 1)   [MaskGIT 1]
}

Var loss(const Steps& steps, const MaskedBatch& batch, const Config& config) {
    Matrix weights(batch.mask.rows, batch.mask.cols + 1);  // (B, N+1)  0 at the class
    for (int b = 0; b < weights.rows; ++b) std::copy_n(batch.mask.row(b), batch.mask.cols, weights.row(b) + 1);
    return weighted_loss(steps.logits, batch.labels, weights, config.label_smoothing);
}

// --- decoding ---

std::vector<int> empty_images(const std::vector<int>& classes, const Config& config) {
    std::vector<int> ids;
    for (const int c : classes) {
        require(c >= 0 && c < config.classes, "maskgit: class ", c, " is not one of ", config.classes, ", counted from 0");
        ids.push_back(config.codebook_size + c);
        ids.insert(ids.end(), config.count(), mask_token);
    }
    return ids;
}

std::vector<int> tokens_of(const std::vector<int>& ids, const Config& config) {
    require(ids.size() % (config.count() + 1) == 0, "maskgit: ", ids.size(), " ids are not whole sequences of a class and ",
            config.count(), " tokens");
    std::vector<int> tokens;
    for (std::size_t k = 0; k < ids.size(); ++k)
        if (k % (config.count() + 1) != 0) tokens.push_back(ids[k]);
    return tokens;
}

Draws draw_gumbel(Random& random, int images, const Config& config, const Decoding& how) {
    check(config);
    require(images > 0 && how.first_round >= 0 && how.first_round < how.rounds, "maskgit: draws for ", images,
            " images in rounds ", how.first_round, " to ", how.rounds, "; there must be an image, and a round, from 0 on");
    const int rounds = how.rounds - how.first_round, length = config.count() + 1;
    require(static_cast<double>(rounds) * images * length <= std::numeric_limits<int>::max(), "maskgit: draws for ", rounds,
            " rounds of ", images, " images of ", length, " ids are more than the 2147483647 rows of a matrix");
    Draws draws{uniform_matrix(random, rounds * images * length, config.codebook_size),
                uniform_matrix(random, rounds * images, length)};
    for (Matrix* const noise : {&draws.tokens, &draws.choice})
        for (float& u : *noise) u = -std::log(-std::log(std::max(u, 1e-20f)));
    return draws;
}

int tokens_to_mask(int round, int masked_at_first, int masked_now, const Decoding& how) {
    require(round >= 0 && round < how.rounds, "maskgit: round ", round, " of ", how.rounds, ", counted from 0");
    require(masked_now >= 1 && masked_now <= masked_at_first, "maskgit: ", masked_now, " tokens are masked of ", masked_at_first,
            " at first; there must be one, and no more than those");
    const double done = static_cast<double>(round + 1) / how.rounds;
    const int planned = static_cast<int>(std::floor(masked_at_first * masked_fraction(how.schedule, done, masked_at_first)));
    return std::max(1, std::min(masked_now - 1, planned));
}

// The argmax of logits + noise: a draw from softmax(logits).
static int best_token(const float* logits, const float* noise, int tokens) {
    int best = 0;
    for (int k = 1; k < tokens; ++k)
        if (logits[k] + noise[k] > logits[best] + noise[best]) best = k;
    return best;
}

static const float infinity = std::numeric_limits<float>::infinity();

// A sample for every masked token, and its probability under the model.
static void guess(Round& round, const Draws& draws, int done, int length) {
    const Matrix p = softmax_rows(round.logits).value();  // (B*(N+1), K)
    round.sampled = round.ids;
    round.probabilities = Matrix(static_cast<int>(round.ids.size()) / length, length, infinity);
    const int first_draw = done * p.rows;
    for (int i = 0; i < p.rows; ++i) {
        if (round.ids[i] != mask_token) continue;
        round.sampled[i] = best_token(round.logits.row(i), draws.tokens.row(first_draw + i), p.cols);
        round.probabilities[i] = p(i, round.sampled[i]);
    }
}

// Which samples are masked again: those of the lowest confidence.
static void choose(Round& round, int t, const std::vector<int>& masked_at_first, const Draws& draws, int done,
                   const Decoding& how) {
    const int B = round.probabilities.rows, length = round.probabilities.cols;
    const double ratio = static_cast<double>(t + 1) / how.rounds;
    round.temperature = static_cast<float>(how.choice_temperature * (1 - ratio));
    round.confidence = round.probabilities;  // (B, N+1)
    round.mask = Matrix(B, length);
    for (int b = 0; b < B; ++b) {
        const int masked_now = static_cast<int>(std::count(&round.ids[b * length], &round.ids[b * length] + length, mask_token));
        round.to_mask.push_back(tokens_to_mask(t, masked_at_first[b], masked_now, how));
        float* const confidence = round.confidence.row(b);
        for (int i = 0; i < length; ++i)
            if (confidence[i] < infinity)
                confidence[i] = std::log(confidence[i]) + round.temperature * draws.choice(done * B + b, i);
        std::vector<float> sorted(confidence, confidence + length);
        std::sort(sorted.begin(), sorted.end());
        const float threshold = sorted[round.to_mask[b]];  // that many lie below it
        for (int i = 0; i < length; ++i) round.mask(b, i) = confidence[i] < threshold ? 1.0f : 0.0f;
    }
}

static std::vector<int> with_masked(const Round& round) {
    std::vector<int> ids;
    for (std::size_t k = 0; k < round.sampled.size(); ++k) ids.push_back(round.mask[k] == 1 ? mask_token : round.sampled[k]);
    return ids;
}

std::vector<Round> decode(const std::vector<int>& ids, const Draws& draws, const Weights& w, const Config& config,
                          const Decoding& how) {
    const NoTape no_tape;
    const int length = config.count() + 1, B = static_cast<int>(ids.size()) / length, rounds = how.rounds - how.first_round;
    require(rounds > 0 && how.first_round >= 0, "maskgit: decoding from round ", how.first_round, " of ", how.rounds,
            "; no round is left, they are counted from 0");
    require(how.choice_temperature >= 0 && std::isfinite(how.choice_temperature), "maskgit: a choice temperature of ",
            how.choice_temperature, ", it must be finite and at least 0; 4.5 is usual");
    require(!ids.empty() && ids.size() % length == 0, "maskgit: ", ids.size(), " ids are not whole sequences of a class and ",
            length - 1, " tokens");
    require(draws.tokens.rows == rounds * B * length && draws.tokens.cols == config.codebook_size &&
                draws.choice.rows == rounds * B && draws.choice.cols == length,
            "maskgit: draws ", draws.tokens, " and ", draws.choice, " for ", rounds, " rounds, ", B, " images of ", length,
            " ids and ", config.codebook_size, " tokens");
    require_finite(draws.tokens, "maskgit", "draws of tokens");
    require_finite(draws.choice, "maskgit", "draws of the choice");
    std::vector<int> masked_at_first;  // u0 of each image
    for (int b = 0; b < B; ++b)
        masked_at_first.push_back(static_cast<int>(std::count(&ids[b * length], &ids[b * length] + length, mask_token)));
    std::vector<Round> steps;
    for (int done = 0; done < rounds; ++done) {
        Round round;
        round.ids = done == 0 ? ids : with_masked(steps.back());
        round.logits = slice_cols(forward(round.ids, w, config).logits, 0, config.codebook_size).value();  // (B*(N+1), K)
        guess(round, draws, done, length);
        choose(round, how.first_round + done, masked_at_first, draws, done, how);
        steps.push_back(round);
    }
    return steps;
}

// --- weights ---

static void check(const Config& config) {
    require(config.codebook_size > 0 && config.classes > 0 && config.down > 0 && config.across > 0 && config.depth >= 0 &&
                config.mlp_width > 0,
            "maskgit: ", config.codebook_size, " tokens, ", config.classes, " classes, a grid of ", config.down, " x ",
            config.across, ", depth ", config.depth, ", inner width ", config.mlp_width, ": sizes must be positive");
    require(static_cast<double>(config.down) * config.across < std::numeric_limits<int>::max() &&
                static_cast<double>(config.codebook_size) + config.classes < std::numeric_limits<int>::max(),
            "maskgit: a grid of ", config.down, " x ", config.across, " and ", config.codebook_size, " tokens of ",
            config.classes, " classes are more than an int can count");
    require_eps("maskgit", config.eps);
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "maskgit: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.label_smoothing >= 0 && config.label_smoothing < 1, "maskgit: a label smoothing of ", config.label_smoothing,
            " is outside [0, 1)");
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int D = config.width, V = config.vocabulary();
    Weights w;
    w.token_embedding = make_embedding(random, V, D, init);
    w.positions = make_embedding(random, config.count() + 1, D, init);
    w.embedding_norm = make_layer_norm(D);
    const BlockShape shape{.width = D, .mlp_width = config.mlp_width};
    for (int l = 0; l < config.depth; ++l) w.blocks.push_back(make_block(random, shape, init));
    w.hidden = make_linear(random, D, D, init);
    w.hidden_norm = make_layer_norm(D);
    w.bias = parameter(Matrix(1, V));
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long D = config.width, V = config.vocabulary(), N = config.count();
    Parameters table;
    table.push_back({"params/Embed_0/word_embeddings/embedding", {V, D}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({"params/Embed_0/position_embeddings/embedding", {N + 1, D}, Stored::as_it_is, {w.positions}});
    add_parameters(table, "params/Embed_0/embeddings_ln/*", w.embedding_norm, maskgit_names);
    add_parameters(table, "params/TransformerLayer_", w.blocks, maskgit_names, config.heads, "/");
    add_parameters(table, "params/MlmLayer_0/mlm_dense/*", w.hidden, maskgit_names);
    add_parameters(table, "params/MlmLayer_0/mlm_ln/*", w.hidden_norm, maskgit_names);
    table.push_back({"params/MlmLayer_0/mlm_bias/bias", {V}, Stored::as_it_is, {w.bias}});
    return table;
}

}  // namespace maskgit
