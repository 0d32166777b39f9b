#include "gpt/unified/gato.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/maps/group_norm.h"
#include "nn/training/loss.h"

namespace gato {

// --- numbers as tokens ---

float mu_law(float x, const Config& config) {
    require(config.mu > 0 && config.largest > 0, "gato: mu-law with mu ", config.mu, " up to ", config.largest,
            ", both must be positive; 100 and 256 are usual");
    const double size = std::log(static_cast<double>(config.mu) * std::abs(x) + 1) /
                        std::log(static_cast<double>(config.mu) * config.largest + 1);
    return static_cast<float>(x < 0 ? -size : size);
}

int bin_of(float x, int bins) {
    require(!std::isnan(x) && bins >= 1, "gato: a value of ", x, " in ", bins,
            " bins; it must be a number, and there must be at least 1 bin");
    const double clipped = std::clamp(static_cast<double>(x), -1.0, 1.0);
    const int bin = static_cast<int>(std::floor((clipped + 1) / 2 * bins));
    return std::min(bin, bins - 1);  // 1 itself would begin the next range of ids
}

float centre_of_bin(int bin, int bins) {
    require(bin >= 0 && bin < bins, "gato: bin ", bin, " of ", bins, ", they are counted from 0");
    return static_cast<float>(2 * (bin + 0.5) / bins - 1);
}

int token_of_observation(float x, const Config& config) {
    return config.first_continuous() + bin_of(mu_law(x, config), config.continuous_tokens);
}

int token_of_action(float x, const Config& config) { return config.first_continuous() + bin_of(x, config.continuous_tokens); }

int token_of_discrete(int value, const Config& config) {
    require(value >= 0 && value < config.discrete_tokens, "gato: discrete value ", value, " is outside 0 ... ",
            config.discrete_tokens - 1);
    return config.first_discrete() + value;
}

float action_of_token(int token, const Config& config) {
    const int bin = token - config.first_continuous();
    require(bin >= 0 && bin < config.continuous_tokens, "gato: token ", token, " is not one of the ", config.continuous_tokens,
            " bins from ", config.first_continuous(), " on");
    return centre_of_bin(bin, config.continuous_tokens);
}

// --- an episode as tokens ---

int steps_of(const Episode& episode) {
    int T = 0;
    for (const std::size_t count :
         {episode.images.size(), episode.text.size(), static_cast<std::size_t>(episode.continuous_observations.rows),
          episode.discrete_observations.size(), static_cast<std::size_t>(episode.continuous_actions.rows),
          episode.discrete_actions.size()}) {
        require(count == 0 || T == 0 || static_cast<int>(count) == T, "gato: an episode has parts of ", T, " and of ",
                static_cast<int>(count), " time steps, all must have the same number");
        if (count > 0) T = static_cast<int>(count);
    }
    require(T > 0, "gato: an episode of ", T, " time steps, it must have at least 1");
    return T;
}

static PatchGrid grid_of(const Image& image, const Config& config) {
    const PatchGrid grid{
        .height = image.height, .width = image.width, .patch_size = config.patch_size, .channels = config.channels};
    check(grid, "gato");
    return grid;
}

// The observations of step t, in the order of the sequence; positions are numbered across all modalities.
static void add_observations(std::vector<Token>& stream, const Episode& episode, int t, const Config& config) {
    int position = 0;
    if (!episode.images.empty())
        for (int n = 0; n < grid_of(episode.images[t], config).count(); ++n)
            stream.push_back({.kind = Kind::patch, .position = position++});
    if (!episode.text.empty())
        for (const int id : episode.text[t]) {
            require(id >= 0 && id < config.text_tokens, "gato: text token ", id, " is outside 0 ... ", config.text_tokens - 1);
            stream.push_back({.id = id, .position = position++, .is_target = true});
        }
    for (int i = 0; i < episode.continuous_observations.cols; ++i)
        stream.push_back({.id = token_of_observation(episode.continuous_observations(t, i), config), .position = position++});
    if (!episode.discrete_observations.empty())
        for (const int value : episode.discrete_observations[t])
            stream.push_back({.id = token_of_discrete(value, config), .position = position++});
    require(position <= config.observation_positions, "gato: an observation of ", position, " tokens, there are ",
            config.observation_positions, " positions; observe less, or set observation_positions");
}

static void add_actions(std::vector<Token>& stream, const Episode& episode, int t, const Config& config) {
    for (int i = 0; i < episode.continuous_actions.cols; ++i)
        stream.push_back({.id = token_of_action(episode.continuous_actions(t, i), config), .is_target = true});
    if (!episode.discrete_actions.empty())
        for (const int value : episode.discrete_actions[t])
            stream.push_back({.id = token_of_discrete(value, config), .is_target = true});
}

std::vector<Token> tokens_of(const Episode& episode, const Config& config) {
    std::vector<Token> stream;
    const int T = steps_of(episode);
    for (int t = 0; t < T; ++t) {
        add_observations(stream, episode, t, config);
        stream.push_back({.kind = Kind::separator});
        add_actions(stream, episode, t, config);
    }
    return stream;
}

// Ids of one time step are its observation up to the separator and its actions after it; a new step starts again at position 0.
std::vector<Token> tokens_of_ids(const std::vector<int>& ids, const Config& config) {
    std::vector<Token> stream;
    bool is_observation = true;
    int observed = 0;  // tokens of the step, which are their positions
    require(ids.empty() || ids.back() != step_mark, "gato: nothing follows the end of the last time step; leave its mark out");
    for (const int id : ids) {
        if (id == separator_mark) {
            require(is_observation, "gato: a second separator in one time step; a step is an observation, a separator, actions");
            stream.push_back({.kind = Kind::separator});
            is_observation = false;
        } else if (id == step_mark) {
            require(!is_observation, "gato: a time step ends without a separator between its observation and its actions");
            is_observation = true;
            observed = 0;
        } else {
            require(id >= 0 && id < config.vocabulary(), "gato: token ", id, " is outside 0 ... ", config.vocabulary() - 1);
            require(!is_observation || observed < config.observation_positions, "gato: an observation of more than ",
                    config.observation_positions, " tokens");
            const bool is_target = !is_observation || id < config.text_tokens;
            stream.push_back({.id = id, .position = is_observation ? observed++ : -1, .is_target = is_target});
        }
    }
    return stream;
}

// --- images as tokens ---

int patch_position(int index, int count, int positions, float draw) {
    require(count >= 1 && positions >= count && index >= 0 && index < count && draw < 1, "gato: patch ", index, " of ", count,
            " with ", positions, " positions and a draw of ", draw,
            "; patches are counted from 0, each needs a position, a draw is below 1");
    require(positions <= 1 << 30, "gato: a table of ", positions, " positions, twice as many must fit an int");
    const auto first_row = [&](int k) { return static_cast<int>(long{k} * positions / count); };
    const int low = first_row(index), high = first_row(index + 1);  // rows low ... high - 1 of the table
    if (draw >= 0) return low + static_cast<int>(draw * static_cast<float>(high - low));
    const int sum = low + high - 1, middle = sum / 2;
    return sum % 2 == 0 ? middle : middle + middle % 2;  // half to even
}

// x + conv(gelu(norm(conv(gelu(x))))), inside every patch as if it were an image of its own.
static Map residual_block(const Map& x, const Weights& w, const Config& config) {
    const Window window{.side = 3, .padding = Padding::all(1)};
    const Map active{activate(x.pixels, Activation::gelu), x.size};
    const Map expanded = convolve(active, w.expand, window);                     // (N p p, mid)
    const Map normed = group_norm(expanded, w.norm, config.groups, config.eps);  // (N p p, mid)
    const Map active_again{activate(normed.pixels, Activation::gelu), x.size};
    const Map contracted = convolve(active_again, w.contract, window);  // (N p p, C)
    return {add(x.pixels, contracted.pixels), x.size};
}

// Column k of a patch with the channel slowest is column (k % pp) C + k / pp of one with the channel fastest.
static std::vector<int> channel_slowest(int pixels, int channels) {
    std::vector<int> columns;
    for (int c = 0; c < channels; ++c)
        for (int pixel = 0; pixel < pixels; ++pixel) columns.push_back(pixel * channels + c);
    return columns;
}

Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config, Random* random) {
    require(!images.empty(), "gato: there is no image; give at least one");
    const PatchGrid grid = grid_of(images[0], config);
    require(grid.down() <= config.patch_positions && grid.across() <= config.patch_positions, "gato: ", grid.down(), " x ",
            grid.across(), " patches, there are ", config.patch_positions,
            " positions; take larger patches, or set patch_positions");
    const int p = config.patch_size, C = config.channels;
    Matrix patches = patchify_all(images, grid, "gato");  // (N, p p C), N of all images
    const float factor = 1 / std::sqrt(static_cast<float>(p));
    for (float& x : patches) x = (x * 2 - 1) * factor;  // [-1, 1] / sqrt(p)
    const int N = patches.rows;
    const Map x{reshape(patches, N * p * p, C), {.images = N, .height = p, .width = p}};  // (N p p, C)
    const Map refined = residual_block(x, w, config);
    const Var flat = gather_cols(reshape(refined.pixels, N, p * p * C), channel_slowest(p * p, C));  // (N, C p p)
    const Var projected = linear(flat, w.project);                                                   // (N, E)
    std::vector<int> rows, columns;
    for (int n = 0; n < N; ++n) {
        const int patch = n % grid.count();
        rows.push_back(
            patch_position(patch / grid.across(), grid.down(), config.patch_positions, random ? random->uniform() : -1));
        columns.push_back(
            patch_position(patch % grid.across(), grid.across(), config.patch_positions, random ? random->uniform() : -1));
    }
    return add(projected, add(embed(w.rows, rows), embed(w.columns, columns)));  // (N, E)
}

// --- the model ---

static void check(const Config& config) {
    require(config.text_tokens > 0 && config.continuous_tokens > 0 && config.discrete_tokens > 0, "gato: ", config.text_tokens,
            " text tokens, ", config.continuous_tokens, " bins, ", config.discrete_tokens,
            " discrete values: all must be positive");
    require(config.width > 0 && config.depth >= 0 && config.mlp_width > 0 && config.patch_positions > 0 &&
                config.observation_positions > 0,
            "gato: width ", config.width, ", depth ", config.depth, ", inner width ", config.mlp_width, ", ",
            config.patch_positions, " patch positions, ", config.observation_positions, " positions: sizes must be positive");
    require(config.heads > 0 && config.width % config.heads == 0, "gato: ", config.heads, " heads must divide a width of ",
            config.width);
    require(config.patch_size > 0 && config.channels > 0 && config.groups > 0 && config.residual_channels > 0 &&
                config.residual_channels % config.groups == 0,
            "gato: patches of side ", config.patch_size, ", ", config.channels, " channels, ", config.groups, " groups of ",
            config.residual_channels, " residual channels: sizes must be positive, and the groups divide the channels");
    require_eps("gato", config.eps);
}

// The token sequences of all episodes as one batch, padded on the left: ids, mask, targets and labels.
static void lay_out(Steps& steps, const std::vector<std::vector<Token>>& streams) {
    const int B = static_cast<int>(streams.size());
    std::vector<std::vector<int>> ids(B);
    for (int b = 0; b < B; ++b)
        for (const Token& token : streams[b]) ids[b].push_back(token.id);
    steps.batch = make_batch(ids, 0, Side::left);
    const int L = steps.batch.length;
    steps.is_target.assign(B * L, 0);
    for (int b = 0; b < B; ++b) {
        const int padding = L - static_cast<int>(streams[b].size());
        for (int t = padding; t < L; ++t) steps.is_target[b * L + t] = streams[b][t - padding].is_target;
    }
    steps.labels = next_tokens(steps.batch);
    for (int i = 0; i < B * L; ++i)
        if (i % L == L - 1 || !steps.is_target[i + 1]) steps.labels[i] = ignored_label;
}

// The rows of the sequences, gathered from token embeddings, patches and the separator; padding is a row of zeros.
static Var embed_streams(const Steps& steps, const std::vector<std::vector<Token>>& streams, const Weights& w) {
    std::vector<Var> parts{embed(w.token_embedding, steps.batch.ids),
                           w.separator};  // the token embedding of every row, used where the row has an id
    const int B = steps.batch.sequences, L = steps.batch.length, separator = B * L;
    int next_patch = separator + 1;
    for (const Var& patches : steps.image_embeddings)
        if (patches) parts.push_back(patches);
    std::vector<int> sources(B * L, -1), positions(B * L, -1);
    for (int b = 0; b < B; ++b) {
        const int padding = L - static_cast<int>(streams[b].size());
        for (int t = padding; t < L; ++t) {
            const Token& token = streams[b][t - padding];
            const int row = b * L + t;
            sources[row] = token.kind == Kind::token ? row : token.kind == Kind::separator ? separator : next_patch++;
            positions[row] = token.position;
        }
    }
    const Var contents = gather_side_by_side(concat_rows(parts), sources, 1);  // (B*L, E)
    return add(contents, gather_side_by_side(w.positions, positions, 1));      // (B*L, E)
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = Activation::gelu};
}

// Everything up to the first block: streams side by side, as embeddings.
//   streams  one for each episode, all of its stream or the beginning of it
static Steps embed_all(const std::vector<Episode>& episodes, const std::vector<std::vector<Token>>& streams, const Weights& w,
                       const Config& config, Random* random) {
    require(!episodes.empty(), "gato: there is no episode; give at least one");
    check(config);
    require_depth("gato", config.depth, w.blocks);
    Steps steps;
    for (const Episode& episode : episodes)
        steps.image_embeddings.push_back(episode.images.empty() ? Var() : embed_images(episode.images, w, config, random));
    lay_out(steps, streams);
    steps.embeddings = named_step("embeddings", embed_streams(steps, streams, w));  // (B*L, E)
    return steps;
}

// Everything after the embeddings: GPT-2's blocks.
static void read(Steps& steps, const std::vector<BlockContext>& contexts, const Weights& w, const Config& config) {
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);  // (B*L, E)
    steps.hidden = layer_norm(steps.decoder.output, w.last_norm, config.eps);         // (B*L, E)
}

Steps forward(const std::vector<Episode>& episodes, const Weights& w, const Config& config, Random* random) {
    std::vector<std::vector<Token>> streams;
    for (const Episode& episode : episodes) streams.push_back(tokens_of(episode, config));
    Steps steps = embed_all(episodes, streams, w, config, random);
    read(steps, {{.self = attending(steps.batch, true)}}, w, config);
    steps.logits = matmul_transposed(steps.hidden, w.output);  // (B*L, V)
    return steps;
}

Var loss(const Steps& steps) { return cross_entropy(steps.logits, steps.labels); }

// --- writing ---

std::vector<Token> prompt_of(const Episode& episode, Next next, const Config& config) {
    std::vector<Token> stream = tokens_of(episode, config);
    while (stream.back().kind != Kind::separator) stream.pop_back();  // actions
    if (next == Next::action) return stream;
    stream.pop_back();
    const bool ends_in_text = !stream.empty() && stream.back().kind == Kind::token && stream.back().id < config.text_tokens;
    require(ends_in_text, "gato: the last observation of an episode does not end in text, so no text can follow it");
    return stream;
}

Reader::Reader(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& c, int capacity)
    : weights(w), config(c), memory(make_memory(c.depth, std::max(1, static_cast<int>(episodes.size())), capacity, c.width)) {
    const NoTape no_tape;
    std::vector<std::vector<Token>> streams;
    for (const Episode& episode : episodes) {
        streams.push_back(prompt_of(episode, next, c));
        positions.push_back(next == Next::action ? -1 : streams.back().back().position + 1);
    }
    start = embed_all(episodes, streams, w, c, nullptr);
}

Reader::Reader(const std::vector<std::vector<Token>>& streams, const Weights& w, const Config& c, int capacity)
    : weights(w), config(c), memory(make_memory(c.depth, std::max(1, static_cast<int>(streams.size())), capacity, c.width)) {
    const NoTape no_tape;
    for (const std::vector<Token>& stream : streams) {
        const bool has_patch =
            std::any_of(stream.begin(), stream.end(), [](const Token& token) { return token.kind == Kind::patch; });
        require(!stream.empty() && !has_patch, "gato: a prompt of ", static_cast<int>(stream.size()),
                " tokens must have at least one and no patch, whose image only an episode holds");
        positions.push_back(stream.back().position < 0 ? -1 : stream.back().position + 1);
    }
    start = embed_all(std::vector<Episode>(streams.size()), streams, w, c, nullptr);
}

// Embeddings of the tokens after those already read, (B*T, E).
static Var embed_tokens(const TokenBatch& next, std::vector<int>& positions, const Weights& w, const Config& config) {
    std::vector<int> rows;
    for (int& position : positions)
        for (int t = 0; t < next.length; ++t) {
            require(position < config.observation_positions, "gato: an observation of more than ", config.observation_positions,
                    " tokens");
            rows.push_back(position < 0 ? -1 : position++);
        }
    return add(embed(w.token_embedding, next.ids), gather_side_by_side(w.positions, rows, 1));  // (B*T, E)
}

// Whether every sequence of `batch` begins as the same sequence of `beginning`, padding included.
static bool begins_with(const TokenBatch& batch, const TokenBatch& beginning) {
    if (batch.sequences != beginning.sequences || batch.length < beginning.length) return false;
    for (int b = 0; b < batch.sequences; ++b)
        for (int t = 0; t < beginning.length; ++t) {
            const int id = batch.ids[b * batch.length + t], expected = beginning.ids[b * beginning.length + t];
            if (id != expected || batch.is_token(b, t) != beginning.is_token(b, t)) return false;
        }
    return true;
}

// The prompts, followed by generated tokens when everything is read again. (B*T, E), T of the whole batch.
static Var embed_beginning(const TokenBatch& whole, const Steps& start, std::vector<int>& positions, const Weights& w,
                           const Config& config) {
    const int B = whole.sequences, T = whole.length, L = start.batch.length, generated = T - L;
    if (generated == 0) return start.embeddings;
    TokenBatch generated_tokens{.sequences = B, .length = generated, .ids = {}, .mask = {}};
    std::vector<int> sources;  // rows of the prompts, then of the generated tokens
    for (int b = 0; b < B; ++b)
        for (int t = 0; t < T; ++t) {
            if (t >= L) generated_tokens.ids.push_back(whole.ids[b * T + t]);
            sources.push_back(t < L ? b * L + t : B * L + b * generated + t - L);
        }
    return gather_rows(concat_rows({start.embeddings, embed_tokens(generated_tokens, positions, w, config)}),
                       sources);  // (B*T, E)
}

Matrix Reader::read(const TokenBatch& next) {
    const NoTape no_tape;
    const bool is_prompt = memory.seen.length == 0;
    require(!is_prompt || begins_with(next, start.batch), "gato: what is read first must begin with the prompts of the reader");
    const Reading reading = read_next(memory, next, "gato");
    Steps steps;
    steps.embeddings = is_prompt ? embed_beginning(next, start, positions, weights, config)
                                 : embed_tokens(next, positions, weights, config);  // (B*T, E)
    gato::read(steps, reading.contexts, weights, config);
    start.embeddings = {};
    return matmul_transposed(last_rows(steps.hidden, next), weights.output).value();  // (B, V)
}

void Reader::select(const std::vector<int>& chosen) {
    require(memory.seen.length > 0, "gato: sequences can be chosen once the prompts are read");
    memory = select_sequences(memory, chosen);
    std::vector<int> of_chosen;
    for (const int b : chosen) of_chosen.push_back(positions[b]);
    positions = of_chosen;
}

// A reader as large as it needs to be: the last new token is never read.
static Reader make_reader(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& config,
                          const Limits& limits) {
    int longest = 0;
    for (const Episode& episode : episodes)
        longest = std::max(longest, static_cast<int>(prompt_of(episode, next, config).size()));
    return {episodes, next, w, config, longest + std::max(0, limits.new_tokens - 1)};
}

std::vector<std::vector<int>> generate(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws) {
    require(!episodes.empty(), "gato: there is no episode");
    Reader reader = make_reader(episodes, next, w, config, limits);
    const TokenBatch prompts = reader.prompts();
    return ::generate(prompts, reader, limits, sampling, draws);
}

std::vector<Beam> beam_search(const Episode& episode, Next next, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha) {
    Reader reader = make_reader({episode}, next, w, config, limits);
    const std::vector<int> prompt = reader.prompts().ids;
    return ::beam_search(prompt, width, reader, limits, alpha);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const int E = config.width, C = config.channels, p = config.patch_size, mid = config.residual_channels;
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary(), E, init);
    w.separator = make_embedding(random, 1, E, init);
    w.positions = make_embedding(random, config.observation_positions, E, init);
    w.expand = make_convolution(random, 3, C, mid, init);
    w.norm = make_layer_norm(mid);
    w.contract = make_convolution(random, 3, mid, C, init);
    w.project = make_linear(random, C * p * p, E, init);
    w.rows = make_embedding(random, config.patch_positions, E, init);
    w.columns = make_embedding(random, config.patch_positions, E, init);
    for (int l = 0; l < config.depth; ++l)
        w.blocks.push_back(make_block(random, {.width = E, .mlp_width = config.mlp_width}, init));
    w.last_norm = make_layer_norm(E);
    w.output = make_embedding(random, config.vocabulary(), E, init);
    w.unused = parameter(Matrix(1, E));
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    const long V = config.vocabulary(), E = config.width, P = config.patch_positions;
    const std::string images = "image_embedding.";
    Parameters table;
    table.push_back({"separator_token", {E}, Stored::as_it_is, {w.separator}});
    table.push_back({"embed_token.weight", {V, E}, Stored::as_it_is, {w.token_embedding}});
    table.push_back({"pos_embed_observation.weight", {config.observation_positions, E}, Stored::as_it_is, {w.positions}});
    add_parameters(table, images + "patch_embedding.conv1", w.expand, 3);
    add_parameters(table, images + "patch_embedding.gn2", w.norm);
    add_parameters(table, images + "patch_embedding.conv2", w.contract, 3);
    add_parameters(table, images + "post_embedding_projection", w.project);
    table.push_back({images + "patch_pos_encoding.height_pos_embedding.weight", {P, E}, Stored::as_it_is, {w.rows}});
    table.push_back({images + "patch_pos_encoding.width_pos_embedding.weight", {P, E}, Stored::as_it_is, {w.columns}});
    table.push_back({"transformer.wte.weight", {1, E}, Stored::as_it_is, {w.unused}});
    add_parameters(table, "transformer.h.", w.blocks, gpt2_names);
    add_parameters(table, "transformer.ln_f", w.last_norm);
    table.push_back({"predict_token.weight", {V, E}, Stored::as_it_is, {w.output}});
    return table;
}

static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    return {{settings::width, &config.width, From::shapes},
            {settings::depth, &config.depth, From::shapes},
            {settings::mlp_width, &config.mlp_width, From::shapes},
            {settings::patch_size, &config.patch_size, From::shapes},
            {{"the number of text tokens", {"text_tokens"}}, &config.text_tokens, From::file},
            {{"the number of bins", {"continuous_tokens"}}, &config.continuous_tokens, From::file},
            {settings::heads, &config.heads, From::file},
            {{"the number of groups of the patch embedding", {"num_group_norm_groups"}}, &config.groups, From::file},
            {settings::eps, &config.eps},
            {{"mu of the mu-law", {"mu"}}, &config.mu},
            {{"what the mu-law maps to 1", {"m"}}, &config.largest}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string images = "image_embedding.", patches = images + "patch_embedding.";
    Config config;
    config.width = size_of(checkpoint, "embed_token.weight", 1);
    config.observation_positions = size_of(checkpoint, "pos_embed_observation.weight", 0);
    config.patch_positions = size_of(checkpoint, images + "patch_pos_encoding.height_pos_embedding.weight", 0);
    config.residual_channels = size_of(checkpoint, patches + "conv1.weight", 0);
    config.channels = size_of(checkpoint, patches + "conv1.weight", 1);
    const int numbers = size_of(checkpoint, images + "post_embedding_projection.weight", 1);  // C p p
    config.patch_size = static_cast<int>(std::lround(std::sqrt(static_cast<double>(numbers) / config.channels)));
    config.depth = count_blocks(checkpoint, "transformer.h.", ".mlp.c_fc.weight");
    config.mlp_width = size_of(checkpoint, "transformer.h.0.mlp.c_fc.weight", 1);
    read_members(ModelConfig(checkpoint, given), members_of(config));
    config.discrete_tokens = size_of(checkpoint, "embed_token.weight", 0) - config.text_tokens - config.continuous_tokens;
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    return metadata_of("gato", members_of(copy));
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) { return inside_of(w.blocks, options_of(config), w.last_norm, w.output); }

}  // namespace gato
