#include "vit/mask_latents/data2vec.h"

#include <cmath>
#include <string>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/names.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"
#include "vit/mask_pixels/masking.h"

namespace data2vec {

static void check(const Config& config);  // with the weights, below

static BlockOptions block_options(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .order = Order::post};
}

// --- tokens to rows ---

static Matrix where(const std::vector<int>& tokens, int length, int token, float there, float elsewhere) {
    require(length > 0 && !tokens.empty() && tokens.size() % length == 0, "data2vec: ", static_cast<int>(tokens.size()),
            " tokens are not a whole number of sequences of ", length);
    Matrix mask(static_cast<int>(tokens.size()) / length, length);
    for (std::size_t k = 0; k < tokens.size(); ++k) mask[k] = tokens[k] == token ? there : elsewhere;
    return mask;
}

Matrix token_mask(const std::vector<int>& tokens, int length, const Config& config) {
    return where(tokens, length, config.padding_token, 0, 1);
}

Matrix student_mask(const std::vector<int>& student_tokens, int length, const Config& config) {
    return where(student_tokens, length, config.mask_token, 1, 0);
}

TextSteps embed_text(const std::vector<int>& tokens, int length, const Network& network, const Config& config) {
    const Matrix mask = token_mask(tokens, length, config);  // (B, T)
    TextSteps steps;
    for (int b = 0; b < mask.rows; ++b) {
        int position = config.padding_token;
        for (int t = 0; t < length; ++t) steps.positions.push_back(mask(b, t) == 1 ? ++position : config.padding_token);
        require(position <= config.positions + config.padding_token, "data2vec: text ", b, " has ",
                position - config.padding_token, " tokens, there are ", config.positions, " positions");
    }
    const Var sum = add(embed(network.token_embedding, tokens), embed(network.positions, steps.positions));  // (B*T, D)
    steps.embeddings = layer_norm(sum, network.embedding_norm, config.eps);                                  // (B*T, D)
    steps.rows = multiply(steps.embeddings, reshape(mask, static_cast<int>(tokens.size()), 1));              // (B*T, D)
    return steps;
}

// --- the teacher ---

// Every channel of every sequence over its tokens: (x - mean) / sqrt(variance + eps), the variance divided by T. Padding counts.
static Matrix normalise_over_tokens(const Matrix& x, const Segments& sequences, float eps) {
    Matrix result = Matrix::unset(x.rows, x.cols);
    for (const Segment& sequence : sequences.list)
        for (int j = 0; j < x.cols; ++j) {
            double mean = 0, variance = 0;
            for (int i = sequence.first; i < sequence.first + sequence.count; ++i)
                mean += static_cast<double>(x(i, j)) / sequence.count;
            for (int i = sequence.first; i < sequence.first + sequence.count; ++i)
                variance += (x(i, j) - mean) * (x(i, j) - mean) / sequence.count;
            const double deviation = std::sqrt(variance + eps);
            for (int i = sequence.first; i < sequence.first + sequence.count; ++i)
                result(i, j) = static_cast<float>((x(i, j) - mean) / deviation);
        }
    return result;
}

static constexpr float target_eps = 1e-5f;  // of the norms of targets, whatever that of the model is

static Matrix normalise_over_channels(const Matrix& x) { return layer_norm(x, Norm{}, target_eps).value(); }

static Matrix average_of(const std::vector<Matrix>& layers) {
    Matrix average(layers[0].rows, layers[0].cols);
    for (std::size_t k = 0; k < average.size(); ++k) {
        double sum = 0;
        for (const Matrix& layer : layers) sum += layer[k];
        average[k] = static_cast<float>(sum / static_cast<double>(layers.size()));
    }
    return average;
}

Targets make_targets(const Var& rows, const Attending& how, const Weights& w, const Config& config) {
    check(config);
    require_depth("data2vec: teacher", config.depth, w.teacher.blocks);
    const NoTape frozen;
    const KeepSteps keep;
    Targets t;
    t.teacher = stack(rows, w.teacher.blocks, block_options(config), {.self = how});
    const Segments sequences = how.segments.list.empty() ? Segments::one(rows.rows()) : how.segments;
    for (int l = config.depth - config.average_layers; l < config.depth; ++l) {
        Matrix f = t.teacher.blocks[l].mlp.output.value();  // (B*T, D)
        if (config.normalise_channels) f = normalise_over_tokens(f, sequences, target_eps);
        if (config.normalise_tokens) f = normalise_over_channels(f);
        t.layers.push_back(f);
    }
    t.average = average_of(t.layers);                                                       // (B*T, D)
    t.targets = config.normalise_average ? normalise_over_channels(t.average) : t.average;  // (B*T, D)
    return t;
}

// --- the student ---

static Var regression_head(const Var& x, const std::vector<Linear>& head) {
    const Var first = linear(x, head[0]);  // (M, D), or (M, 2 D)
    if (head.size() == 1) return first;
    return linear(activate(first, Activation::gelu), head[1]);  // (M, D)
}

Steps predict(const Var& rows, const Matrix& mask, const Attending& how, const Matrix& targets, const Weights& w,
              const Config& config) {
    require(static_cast<int>(mask.size()) == rows.rows() && same_shape(targets, rows.value()), "data2vec: a mask ", mask,
            " and targets ", targets, " for rows ", rows.value(),
            "; each row needs a number of the mask and a target as wide as it is");
    check(config);
    require_depth("data2vec: student", config.depth, w.student.blocks);
    Steps steps;
    steps.masked_rows = masked_rows(mask);
    require(!steps.masked_rows.empty(), "data2vec: nothing is masked, so there is nothing to predict");
    steps.student = stack(rows, w.student.blocks, block_options(config), {.self = how});               // (B*T, D)
    steps.prediction = regression_head(gather_rows(steps.student.output, steps.masked_rows), w.head);  // (M, D)
    steps.targets = gather_rows(targets, steps.masked_rows).value();                                   // (M, D)
    return steps;
}

TextModelSteps forward(const std::vector<int>& student_tokens, const std::vector<int>& tokens, int length, const Weights& w,
                       const Config& config) {
    require(student_tokens.size() == tokens.size(), "data2vec: ", static_cast<int>(student_tokens.size()),
            " tokens for the student, ", static_cast<int>(tokens.size()), " for the teacher; both must read the same number");
    const Matrix mask = token_mask(tokens, length, config);  // (B, T)
    for (std::size_t k = 0; k < tokens.size(); ++k)
        require(student_tokens[k] == config.mask_token || student_tokens[k] == tokens[k], "data2vec: the student reads token ",
                student_tokens[k], " at position ", static_cast<int>(k), ", the teacher ", tokens[k],
                "; they may differ only at masked positions");
    const Attending how{.segments = Segments::equal(mask.rows, length), .may = padding(mask)};
    TextModelSteps all;
    {
        const NoTape frozen;
        all.teacher_embedding = embed_text(tokens, length, w.teacher, config);
    }
    all.targets = make_targets(all.teacher_embedding.rows, how, w, config);
    all.embedding = embed_text(student_tokens, length, w.student, config);
    all.steps = predict(all.embedding.rows, student_mask(student_tokens, length, config), how, all.targets.targets, w, config);
    return all;
}

// --- the loss ---

Var token_losses(const Steps& steps, const Config& config) {
    const Var difference = subtract(steps.prediction, steps.targets);                                  // (M, D)
    return row_sums(config.beta > 0 ? smooth_absolute(difference, config.beta) : square(difference));  // (M, 1)
}

static float loss_scale(const Config& config) {
    return config.loss_scale > 0 ? config.loss_scale : 1 / std::sqrt(static_cast<float>(config.width));
}

Var loss(const Steps& steps, const Config& config) { return scale(sum(token_losses(steps, config)), loss_scale(config)); }

Var mean_loss(const Steps& steps, const Config& config) { return scale(mean(token_losses(steps, config)), loss_scale(config)); }

double spread(const Matrix& targets) {
    double sum = 0;
    for (int j = 0; j < targets.cols; ++j) {
        double mean = 0, variance = 0;
        for (int i = 0; i < targets.rows; ++i) mean += static_cast<double>(targets(i, j)) / targets.rows;
        for (int i = 0; i < targets.rows; ++i) variance += (targets(i, j) - mean) * (targets(i, j) - mean) / targets.rows;
        sum += std::sqrt(variance);
    }
    return sum / targets.cols;
}

// --- weights ---

static void check(const Config& config) {
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "data2vec: ", config.heads,
            " heads do not divide a width of ", config.width);
    require(config.mlp_width > 0 && config.average_layers > 0 && config.average_layers <= config.depth,
            "data2vec: ", config.average_layers, " of ", config.depth, " blocks make the target, with MLPs of ", config.mlp_width,
            "; it needs at least one, and no more than there are");
    require(config.head_layers == 1 || config.head_layers == 2, "data2vec: a head of ", config.head_layers,
            " layers; it has 1 or 2");
    require(config.vocabulary == 0 ||
                (config.positions > 0 && config.padding_token >= 0 && config.padding_token < config.vocabulary &&
                 config.mask_token >= 0 && config.mask_token < config.vocabulary && config.mask_token != config.padding_token),
            "data2vec: padding is token ", config.padding_token, " and the mask token ", config.mask_token, " of ",
            config.vocabulary, " tokens, with ", config.positions, " positions; both must be in the vocabulary, and differ");
    require_eps("data2vec", config.eps);
    require(config.beta >= 0, "data2vec: beta is ", config.beta, ", it may not be negative");
}

static int position_rows(const Config& config) { return config.positions + config.padding_token + 1; }

static Network make_network(const Config& config, Random& random, const Init& init) {
    Network network;
    if (config.vocabulary > 0) {
        network.token_embedding = make_embedding(random, config.vocabulary, config.width, init);
        network.positions = make_embedding(random, position_rows(config), config.width, init);
        network.embedding_norm = make_layer_norm(config.width);
    }
    const BlockShape shape{.width = config.width, .mlp_width = config.mlp_width};
    for (int l = 0; l < config.depth; ++l) network.blocks.push_back(make_block(random, shape, init));
    return network;
}

static void add_embedding(Parameters& table, const std::string& prefix, const Network& network, const Config& config) {
    if (!network.token_embedding) return;
    const long D = config.width;
    table.push_back({prefix + "embed_tokens.weight", {config.vocabulary, D}, Stored::as_it_is, {network.token_embedding}});
    table.push_back({prefix + "embed_positions.weight", {position_rows(config), D}, Stored::as_it_is, {network.positions}});
    add_parameters(table, prefix + "layernorm_embedding", network.embedding_norm);
}

static void add_network(Parameters& table, const std::string& prefix, const Network& network, const Config& config) {
    add_embedding(table, prefix, network, config);
    add_parameters(table, prefix + "layers.", network.blocks, opt_names);
}

Parameters trained_parameters(const Weights& w, const Config& config) {
    Parameters table;
    add_network(table, "encoder.sentence_encoder.", w.student, config);
    for (std::size_t k = 0; k < w.head.size(); ++k)  // a GELU, without parameters, is number 1
        add_parameters(table, "encoder.regression_head." + std::to_string(2 * k), w.head[k]);
    return table;
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table = trained_parameters(w, config);
    add_network(table, "encoder._ema.", w.teacher, config);
    return table;
}

Weights make_weights(const Config& config, Random& random, float stddev) {
    check(config);
    const int D = config.width;
    const Init init{.draw = Draw::normal, .stddev = stddev};
    Weights w;
    w.student = make_network(config, random, init);
    w.teacher = make_network(config, random, {.stddev = 0});
    if (config.head_layers == 1) {
        w.head = {make_linear(random, D, D, init)};
    } else {
        w.head.push_back(make_linear(random, D, 2 * D, init));
        w.head.push_back(make_linear(random, 2 * D, D, init));
    }
    Parameters student, teacher;
    add_network(student, "", w.student, config);
    add_network(teacher, "", w.teacher, config);
    copy_values(student, teacher);
    return w;
}

void update_teacher(const Weights& w, const Config& config, int update) {
    Parameters student, teacher, student_embedding, teacher_embedding;
    add_parameters(student, "layers.", w.student.blocks, opt_names);
    add_parameters(teacher, "layers.", w.teacher.blocks, opt_names);
    move_towards(variables(teacher), variables(student), decay_at(config.average, update));
    add_embedding(student_embedding, "", w.student, config);
    add_embedding(teacher_embedding, "", w.teacher, config);
    copy_values(student_embedding, teacher_embedding);
}

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {{"the number of heads", {"attention_heads", "num_attention_heads", "encoder_attention_heads"}, "--heads N"},
             &config.heads,
             From::file},
            {{"the number of blocks that make the target", {"average_top_k_layers"}}, &config.average_layers, From::file},
            {{"whether a target is normalised over a token", {"layer_norm_target_layer"}}, &config.normalise_tokens},
            {{"whether a target is normalised over a sequence", {"instance_norm_target_layer"}}, &config.normalise_channels},
            {{"whether the average is normalised", {"layer_norm_targets"}}, &config.normalise_average},
            {{"where the loss turns straight", {"loss_beta"}}, &config.beta},
            {{"the factor on the loss", {"loss_scale"}}, &config.loss_scale},
            {{"the first decay of the teacher", {"ema_decay"}}, &config.average.start},
            {{"the last decay of the teacher", {"ema_end_decay"}}, &config.average.end},
            {{"the updates between them", {"ema_anneal_end_step"}}, &config.average.updates},
            {settings::eps, &config.eps},
            {{"the id of padding", {"pad", "pad_token_id"}}, &config.padding_token},
            {{"the id of the mask token", {"mask_idx", "mask_token_id"}}, &config.mask_token, From::file}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string encoder = "encoder.sentence_encoder.";
    const ModelConfig model_config(checkpoint, given);
    Config config;
    config.width = size_of(checkpoint, encoder + "layers.0.fc1.weight", 1);
    config.mlp_width = size_of(checkpoint, encoder + "layers.0.fc1.weight", 0);
    config.depth = count_blocks(checkpoint, encoder + "layers.", ".fc1.weight");
    config.head_layers = checkpoint.has("encoder.regression_head.2.weight") ? 2 : 1;
    read_members(model_config, members_of(config));
    config.vocabulary =
        checkpoint.has(encoder + "embed_tokens.weight") ? size_of(checkpoint, encoder + "embed_tokens.weight", 0) : 0;
    if (config.vocabulary > 0)
        config.positions = size_of(checkpoint, encoder + "embed_positions.weight", 0) - config.padding_token - 1;
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("data2vec", members_of(copy));
}

}  // namespace data2vec
