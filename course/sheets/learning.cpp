// learning.cpp: worksheets on losses, optimizers and reinforcement learning from human feedback.
#include <algorithm>
#include <cmath>
#include <string>

#include "course/sheets/sheet.h"
#include "nn/autograd/operations.h"
#include "nn/base/decimal.h"
#include "nn/training/loss.h"
#include "nn/training/optimizer.h"
#include "rlhf/exact.h"
#include "rlhf/ppo.h"
#include "rlhf/preferences.h"

static const SheetMaker cross_entropy_sheet(8, "cross_entropy", [](Sheet& sheet, Random& random) {
    sheet.title = "Cross-entropy";
    sheet.equation = "p = softmax(logits),  loss = mean of -ln p(label) over the rows";
    sheet.header = "nn/training/loss.h";
    std::vector<std::vector<int>> arguments{{1, 1, 2}, {1, 3, 2}};
    std::vector<int> labels;
    for (std::vector<int>& row : arguments) {
        const std::vector<int> drawn = row, order = permutation(random, 3);
        std::transform(order.begin(), order.end(), row.begin(), [&](int j) { return drawn[j]; });
        labels.push_back(random.below(3));
    }
    const Matrix logits = logarithms(arguments);  // (2, 3)
    const Var z = parameter(logits);
    const Tape tape;
    const Var loss = cross_entropy(z, labels);
    backward(loss);
    const Matrix p = softmax_rows(logits).value();  // (2, 3)
    sheet.given = {"Logits of two rows:"};
    for (const std::string& row : logarithm_rows(arguments)) sheet.given.push_back(row);
    sheet.given.push_back("Their labels (columns are counted from 0): " + text(labels[0]) + " and " + text(labels[1]));
    for (int i = 0; i < 2; ++i) sheet.ask("p of the label in row " + text(i), p(i, labels[i]));
    sheet.ask("the loss, in nats", loss.value()(0, 0));
    sheet.ask("the gradient at row 0, column 0", z.gradient()(0, 0));
    sheet.ask("the gradient at the label of row 1", z.gradient()(1, labels[1]));
});

static const SheetMaker adamw_sheet(9, "adamw", [](Sheet& sheet, Random& random) {
    sheet.title = "AdamW";
    sheet.equation = "w <- w (1 - lr decay) - lr (m / (1 - b1^t)) / sqrt(v / (1 - b2^t))";
    sheet.header = "nn/training/optimizer.h";
    const float w0 = static_cast<float>(1 + random.below(5)), decay = random.below(2) == 0 ? 0.0f : 0.5f;
    const int g1 = 1 + random.below(5), g2 = -1 - random.below(3);
    const Var w = parameter(Matrix(1, 1, w0));
    AdamW optimizer({w}, {}, {.learning_rate = 0.5f, .beta1 = 0.5f, .beta2 = 0.5f, .eps = 0, .weight_decay = decay});
    sheet.given = {
        "w = " + text(static_cast<int>(w0)) + ", lr = 1/2, b1 = b2 = 1/2, decay = " + (decay > 0 ? "1/2" : "0") + ", eps = 0.",
        "Two steps, with the gradients " + text(g1) + " and " + text(g2) + "."};
    int t = 0;
    for (const int g : {g1, g2}) {
        w->gradient = Matrix(1, 1, static_cast<float>(g));
        optimizer.update();
        const std::string after = " after step " + text(++t);
        sheet.ask("m" + after, optimizer.m[0](0, 0));
        sheet.ask("v" + after, optimizer.v[0](0, 0));
        sheet.ask("w" + after, w.value()(0, 0));
    }
});

static const SheetMaker gae_sheet(10, "gae", [](Sheet& sheet, Random& random) {
    sheet.title = "Generalised advantage estimation";
    sheet.equation = "delta_t = r_t + V_(t+1) - V_t,  A_t = delta_t + A_(t+1) / 2";
    sheet.header = "rlhf/ppo.h";
    Matrix rewards(1, 4), values(1, 4), mask(1, 4, 1);
    for (float& reward : rewards) reward = static_cast<float>(random.below(5) - 2);
    for (float& value : values) value = static_cast<float>(random.below(7) - 3);
    const bool padded = random.below(2) == 0;
    mask[3] = !padded;
    const Matrix advantages = ppo::generalised_advantages(rewards, values, mask, 1, 0.5f);
    sheet.given = {"Discount 1, trace 1/2. Four tokens" + std::string(padded ? "; the last is padding and does not count." : "."),
                   "rewards" + row_text(rewards, 0), "values " + row_text(values, 0)};
    for (int t = padded ? 2 : 3; t >= 0; --t) sheet.ask("the advantage of token " + text(t), advantages[t]);
});

static const SheetMaker bradley_terry_sheet(11, "bradley_terry", [](Sheet& sheet, Random& random) {
    sheet.title = "Bradley-Terry";
    sheet.equation = "P(i beats j) = exp(r_i) / (exp(r_i) + exp(r_j)) = sigmoid(r_i - r_j)";
    sheet.header = "rlhf/preferences.h";
    std::vector<int> arguments = permutation(random, 3);
    for (int& argument : arguments) ++argument;
    const Matrix r = logarithms({arguments});  // (1, 3)
    sheet.given = {"The rewards of three answers:", logarithm_rows({arguments}).front()};
    sheet.ask("P(answer 0 beats answer 1)", preferences::bradley_terry(r[0], r[1]));
    sheet.ask("P(answer 1 beats answer 2)", preferences::bradley_terry(r[1], r[2]));
    sheet.ask("P(answer 2 beats answer 0)", preferences::bradley_terry(r[2], r[0]));
    sheet.ask("the loss -ln P where a person chose answer 1 over answer 0", -std::log(preferences::bradley_terry(r[1], r[0])));
});

static const SheetMaker kl_sheet(12, "kl", [](Sheet& sheet, Random& random) {
    sheet.title = "The Kullback-Leibler divergence";
    sheet.equation = "KL(p, q) = sum of p ln(p / q), in nats";
    sheet.header = "rlhf/exact.h";
    // Gives a policy these parts of a whole in a drawn order, and returns its line.
    const auto draw = [&](Matrix& policy, const char* name, const std::vector<int>& parts, int whole) {
        std::string line = name;
        float* probability = policy.begin();
        for (const int k : permutation(random, static_cast<int>(parts.size()))) {
            *probability++ = static_cast<float>(parts[k]) / static_cast<float>(whole);
            line += "   " + text(parts[k]) + "/" + text(whole);
        }
        return line;
    };
    Matrix p(3, 1), q(3, 1);
    const std::string of_p = draw(p, "p", {2, 1, 1}, 4), of_q = draw(q, "q", {1, 2, 3}, 6);
    sheet.given = {"Two policies over three answers:", of_p, of_q};
    sheet.ask("KL(p, q)", exact::kl(p, q));
    sheet.ask("KL(q, p)", exact::kl(q, p));
    sheet.ask("KL(p, p)", exact::kl(p, p));
    sheet.ask("the KL penalty of p towards the reference q, with the coefficient 1/2", 0.5 * exact::kl(p, q));
});
