#include "nn/training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "nn/base/parallel.h"
#include "nn/base/require.h"

static std::vector<Matrix> zeros_like(const std::vector<Var>& variables) {
    std::vector<Matrix> zeros;
    for (const Var& variable : variables) zeros.emplace_back(variable.rows(), variable.cols());
    return zeros;
}

static void require_trained(const char* name, const std::vector<Var>& variables) {
    for (const Var& variable : variables)
        require(variable.requires_gradient(), name, ": a variable of shape ", variable.value(),
                " is a constant, make it with parameter()");
}

// A variable that is listed twice, as both names of a tied matrix, would move twice in every step.
static void require_distinct(const char* name, const std::vector<Var>& variables) {
    for (std::size_t i = 0; i < variables.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            require(!variables[i].same_as(variables[j]), name, ": variables ", j, " and ", i, " are the same, of shape ",
                    variables[i].value(), "; list it once");
}

static void require_same_shape(const char* name, const Var& variable) {
    require(same_shape(variable.gradient(), variable.value()), name, ": a gradient of shape ", variable.gradient(),
            " for a variable of shape ", variable.value());
}

// The members of an optimizer are open, for saving and resuming: they may come from another model.
static void require_as_many(const char* name, std::size_t variables, const std::vector<std::size_t>& lists) {
    for (const std::size_t list : lists)
        require(list == variables, name, ": ", variables, " variables but ", list,
                " moments; make a new optimizer when variables are added or taken away");
}

static void require_moments(const char* name, const Var& variable,
                            const std::vector<std::reference_wrapper<const Matrix>>& moments) {
    for (const Matrix& moment : moments)
        require(same_shape(moment, variable.value()), name, ": a moment of shape ", moment, " for a variable of shape ",
                variable.value(), "; make a new optimizer when a variable changes its shape");
}

// Also false for NaN.
static bool is_from_0(float x) { return x >= 0 && std::isfinite(x); }

static void require_rate(const char* name, float learning_rate) {
    require(is_from_0(learning_rate), name, ": a learning rate of ", learning_rate,
            ", it must be finite and at least 0; 0.001 is usual");
}

static void require_sound(const AdamWConfig& config) {
    require_rate("AdamW", config.learning_rate);
    for (const float beta : {config.beta1, config.beta2})
        require(beta >= 0 && beta < 1, "AdamW: a beta of ", beta, ", it must be from 0 to below 1; 0.9 and 0.999 are usual");
    require(is_from_0(config.eps), "AdamW: an eps of ", config.eps, ", it must be finite and at least 0; 1e-8 is usual");
    require(is_from_0(config.weight_decay), "AdamW: a weight decay of ", config.weight_decay,
            ", it must be finite and at least 0; 0 turns it off");
}

AdamW::AdamW(std::vector<Var> decayed, std::vector<Var> not_decayed, AdamWConfig given) : config(given) {
    require_sound(config);
    variables = std::move(decayed);
    decayed_count = static_cast<int>(variables.size());
    variables.insert(variables.end(), not_decayed.begin(), not_decayed.end());
    require_trained("AdamW", variables);
    require_distinct("AdamW", variables);
    m.resize(variables.size());
    v.resize(variables.size());
    variable_steps.resize(variables.size());
}

namespace {
// The coefficients of one update.
struct AdamWStep {
    float keep;  // 1 - lr decay
    float beta1, beta2;
    float rate;  // lr / (1 - beta1^t)
    float root;  // 1 / sqrt(1 - beta2^t)
    float eps;
};
}  // namespace

static void adamw_numbers(const AdamWStep& s, std::size_t count, float* w, const float* g, float* m, float* v) {
    for (std::size_t k = 0; k < count; ++k) {
        m[k] = s.beta1 * m[k] + (1 - s.beta1) * g[k];
        v[k] = s.beta2 * v[k] + (1 - s.beta2) * g[k] * g[k];
        w[k] = s.keep * w[k] - s.rate * m[k] / (std::sqrt(v[k]) * s.root + s.eps);  // [Adam algorithm 1] where keep = 1
    }
}

void AdamW::update(float learning_rate) {
    require_rate("AdamW", learning_rate);
    require_sound(config);
    require_as_many("AdamW", variables.size(), {m.size(), v.size(), variable_steps.size()});
    ++steps;
    for (std::size_t i = 0; i < variables.size(); ++i) {
        Var& variable = variables[i];
        if (variable.gradient().empty()) continue;
        require_same_shape("AdamW", variable);
        if (variable_steps[i] == 0) {  // its first gradient
            m[i] = Matrix(variable.rows(), variable.cols());
            v[i] = Matrix(variable.rows(), variable.cols());
        }
        require_moments("AdamW", variable, {m[i], v[i]});
        const int t = ++variable_steps[i];
        const float decay = static_cast<int>(i) < decayed_count ? config.weight_decay : 0;
        const AdamWStep step{.keep = 1 - learning_rate * decay,
                             .beta1 = config.beta1,
                             .beta2 = config.beta2,
                             .rate = static_cast<float>(learning_rate / (1 - std::pow(static_cast<double>(config.beta1), t))),
                             .root = static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(config.beta2), t))),
                             .eps = config.eps};
        float* const w = variable.value().begin();
        const float* const g = variable.gradient().begin();
        float* const means = m[i].begin();
        float* const squares = v[i].begin();
        parallel_ranges(m[i].size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
            adamw_numbers(step, last - first, w + first, g + first, means + first, squares + first);
        });
    }
}

static void require_momentum(float momentum) {
    require(momentum >= 0 && momentum < 1, "Sgd: a momentum of ", momentum, ", it must be from 0 to below 1; 0.9 is usual");
}

Sgd::Sgd(std::vector<Var> given, float learning_rate, float momentum) : learning_rate(learning_rate), momentum(momentum) {
    require_rate("Sgd", learning_rate);
    require_momentum(momentum);
    variables = std::move(given);
    require_trained("Sgd", variables);
    require_distinct("Sgd", variables);
    m = zeros_like(variables);
}

void Sgd::update(float lr) {
    require_rate("Sgd", lr);
    require_momentum(momentum);
    require_as_many("Sgd", variables.size(), {m.size()});
    ++steps;
    for (std::size_t i = 0; i < variables.size(); ++i) {
        Var& variable = variables[i];
        if (variable.gradient().empty()) continue;
        require_same_shape("Sgd", variable);
        require_moments("Sgd", variable, {m[i]});
        float* const w = variable.value().begin();
        const float* const g = variable.gradient().begin();
        float* const velocity = m[i].begin();
        for (std::size_t k = 0; k < m[i].size(); ++k) {
            velocity[k] = momentum * velocity[k] + g[k];
            w[k] -= lr * velocity[k];
        }
    }
}

DecayChoice weights_decay(const Parameters& parameters) {
    DecayChoice choice;
    std::vector<Var> seen;
    for (const Parameter& parameter : parameters)
        for (const Var& variable : variables({parameter})) {
            const auto is_it = [&variable](const Var& other) { return other.same_as(variable); };
            if (std::any_of(seen.begin(), seen.end(), is_it)) continue;
            seen.push_back(variable);
            (parameter.shape.size() >= 2 ? choice.decayed : choice.not_decayed).push_back(variable);
        }
    return choice;
}

DecayChoice nothing_decays(std::vector<Var> variables) { return {.decayed = {}, .not_decayed = std::move(variables)}; }

// In double, for millions of numbers; in eight lanes, so that the compiler can vectorise.
static double sum_of_squares(const Matrix& matrix) {
    double lanes[8] = {};
    const float* const x = matrix.begin();
    const std::size_t size = matrix.size(), even = size / 8 * 8;
    for (std::size_t k = 0; k < even; k += 8)
        for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += static_cast<double>(x[k + lane]) * x[k + lane];
    for (std::size_t k = even; k < size; ++k) lanes[k - even] += static_cast<double>(x[k]) * x[k];
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    return sum;
}

float clip_gradient_norm(const std::vector<Var>& variables, float max_norm) {
    require(max_norm > 0, "clip_gradient_norm: a largest norm of ", max_norm, ", it must be above 0");
    double sum = 0;
    for (const Var& variable : variables) sum += sum_of_squares(variable.gradient());
    const double norm = std::sqrt(sum);
    require(std::isfinite(norm), "clip_gradient_norm: the norm of the gradients is ", norm,
            ", training has blown up; a smaller learning rate or a longer warm-up may help");
    if (norm > max_norm) {
        const float scale = static_cast<float>(max_norm / (norm + 1e-6));
        for (Var variable : variables)
            for (float& g : variable.gradient()) g *= scale;
    }
    return static_cast<float>(norm);
}

void zero_gradients(const std::vector<Var>& variables) {
    for (Var variable : variables) variable.zero_gradient();
}
