#include "nn/training/state.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("state");

namespace {
// A small training run: two matrices follow random targets.
struct Toy {
    Var w, b;
    Parameters parameters;
    AdamW optimizer;
    Random random;

    explicit Toy(std::uint64_t seed)
        : w(parameter(Matrix(3, 4, static_cast<float>(seed)))),
          b(parameter(Matrix(1, 4))),
          parameters{{"w", {4, 3}, Stored::out_by_in, {w}}, {"b", {4}, Stored::as_it_is, {b}}},
          optimizer({w}, {b}, {.learning_rate = 0.05f}),
          random(seed) {}

    void train(int steps, bool b_is_frozen = false) {
        for (int step = 0; step < steps; ++step) {
            w.gradient() = normal_matrix(random, 3, 4);
            b.zero_gradient();
            if (!b_is_frozen) b.gradient() = uniform_matrix(random, 1, 4);
            add_to(w.gradient(), w.value());
            optimizer.update();
        }
    }
};
}  // namespace

static bool same(const Toy& a, const Toy& b) {
    return identical(a.w.value(), b.w.value()) && identical(a.b.value(), b.b.value()) && a.random.state == b.random.state &&
           identical(a.optimizer.m[0], b.optimizer.m[0]) && identical(a.optimizer.v[1], b.optimizer.v[1]) &&
           a.optimizer.steps == b.optimizer.steps && a.optimizer.variable_steps == b.optimizer.variable_steps;
}

TEST_CASE("load_training_state: a resumed run is bit-identical to an uninterrupted one") {
    const TemporaryFolder folder;
    Toy straight(1), stopped(1), resumed(7);
    straight.train(10);
    stopped.train(4);
    save_training_state(folder.path("f"), stopped.parameters, stopped.optimizer, stopped.random);
    resumed.train(2);  // overwritten by the state that is loaded
    load_training_state(folder.path("f"), resumed.parameters, resumed.optimizer, resumed.random);
    CHECK(same(resumed, stopped));
    resumed.train(6);
    CHECK(same(resumed, straight));
    stopped.train(5);
    CHECK(!same(stopped, straight));
}

TEST_CASE("load_training_state: the moments of a single step are restored, and those of none") {
    const TemporaryFolder folder;
    for (const int steps : {0, 1}) {
        Toy straight(1), stopped(1), resumed(7);
        straight.train(steps + 2);
        stopped.train(steps);
        save_training_state(folder.path("f"), stopped.parameters, stopped.optimizer, stopped.random);
        resumed.train(2);
        load_training_state(folder.path("f"), resumed.parameters, resumed.optimizer, resumed.random);
        resumed.train(2);
        CHECK(same(resumed, straight));
    }
}

TEST_CASE("load_training_state: restores the steps of each variable: one unfrozen after the restart starts at 1") {
    const TemporaryFolder folder;
    Toy straight(1), stopped(1), resumed(7);
    straight.train(3, true);
    straight.train(2);
    stopped.train(3, true);
    save_training_state(folder.path("f"), stopped.parameters, stopped.optimizer, stopped.random);
    CHECK(Safetensors(folder.path("f")).integers("training.adamw.variable_steps") == std::vector<int>{3, 0});
    resumed.train(2);
    load_training_state(folder.path("f"), resumed.parameters, resumed.optimizer, resumed.random);
    resumed.train(2);
    CHECK(resumed.optimizer.variable_steps == std::vector<int>{5, 2});
    CHECK(same(resumed, straight));
}

// The same file without one of its tensors, as an older version wrote it.
static void write_without(const std::string& from, const std::string& left_out, const std::string& to) {
    const Safetensors file(from);
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, info] : file.tensors) {
        if (name == left_out) continue;
        TensorToWrite tensor{.name = name, .shape = info.shape};
        if (info.type == "I64")
            tensor.integers = file.long_integers(name);
        else
            tensor.floats = file.matrix(name);
        tensors.push_back(tensor);
    }
    write_safetensors(to, tensors);
}

TEST_CASE("load_training_state: an older file without variable steps gives all variables the steps of the optimizer") {
    const TemporaryFolder folder;
    Toy toy(1), resumed(7);
    toy.train(3);
    save_training_state(folder.path("new"), toy.parameters, toy.optimizer, toy.random);
    write_without(folder.path("new"), "training.adamw.variable_steps", folder.path("old"));
    load_training_state(folder.path("old"), resumed.parameters, resumed.optimizer, resumed.random);
    CHECK(resumed.optimizer.variable_steps == std::vector<int>{3, 3});
    CHECK(same(resumed, toy));
}

TEST_CASE("save_training_state: the file is also a checkpoint") {
    const TemporaryFolder folder;
    Toy toy(1);
    toy.train(3);
    save_training_state(folder.path("f"), toy.parameters, toy.optimizer, toy.random);
    const Safetensors file(folder.path("f"));
    CHECK(identical(file.matrix("w"), transpose(toy.w.value())));
    CHECK(file.long_integers("training.random").size() == 4);
    CHECK(file.integers("training.adamw.steps") == std::vector<int>{3});
}

TEST_CASE("load_training_state: another model's state, or a file that is not a state, is refused and changes nothing") {
    const TemporaryFolder folder;
    Toy toy(1), before(1);
    save(toy.parameters, folder.path("plain"));
    CHECK(error_of([&] { load_training_state(folder.path("plain"), toy.parameters, toy.optimizer, toy.random); }) ==
          folder.path("plain") + ": holds no tensor \"training.random\"; near it: b, w");
    Toy other(2);
    other.parameters.pop_back();
    AdamW smaller({other.w});
    save_training_state(folder.path("other"), other.parameters, smaller, other.random);
    CHECK(error_of([&] { load_training_state(folder.path("other"), toy.parameters, toy.optimizer, toy.random); }) ==
          folder.path("other") +
              ": is the training state of another model: it has no \"b\", the first of 3 differences; make the "
              "model with the options it was saved with");
    save_training_state(folder.path("larger"), toy.parameters, toy.optimizer, toy.random);
    CHECK(error_of([&] { load_training_state(folder.path("larger"), other.parameters, smaller, other.random); }) ==
          folder.path("larger") +
              ": is the training state of another model: it has \"b\", which is unknown here, the first of 3 differences; "
              "make the model with the options it was saved with");
    const Var wide = parameter(Matrix(5, 4));
    AdamW of_wide({wide});
    save_training_state(folder.path("wide"), {{"w", {4, 5}, Stored::out_by_in, {wide}}}, of_wide, other.random);
    CHECK(error_of([&] { load_training_state(folder.path("wide"), other.parameters, smaller, other.random); }) ==
          folder.path("wide") +
              ": is the training state of another model: \"w\" is (4, 5) there and (4, 3) here, the first of 3 differences; "
              "make the model with the options it was saved with");
    write_without(folder.path("other"), "training.adamw.v.0", folder.path("no v"));
    CHECK(error_of([&] { load_training_state(folder.path("no v"), other.parameters, smaller, other.random); }) ==
          folder.path("no v") +
              ": is the training state of another model: it has no \"training.adamw.v.0\"; make the model with the "
              "options it was saved with");
    write_without(folder.path("no v"), "training.adamw.m.0", folder.path("no m"));
    CHECK(error_of([&] {
              load_training_state(folder.path("no m"), other.parameters, smaller, other.random);
          }).find("it has no \"training.adamw.m.0\", the first of 2 differences;") != std::string::npos);
    CHECK(same(toy, before));
    write_safetensors(folder.path("odd"), {{.name = "training.random", .shape = {3}, .integers = {1, 2, 3}},
                                           {.name = "training.adamw.steps", .shape = {1}, .integers = {3}}});
    CHECK(error_of([&] { load_training_state(folder.path("odd"), toy.parameters, toy.optimizer, toy.random); }) ==
          folder.path("odd") +
              ": is not a training state: training.random has 3 words instead of 4, or training.adamw.steps is not one count");
    write_without(folder.path("larger"), "b", folder.path("counts"));  // moments of two variables, one of which is known
    CHECK(error_of([&] {
              load_training_state(folder.path("counts"), other.parameters, smaller, other.random);
          }).find("it has \"training.adamw.m.1\"") != std::string::npos);
}

TEST_CASE("load_training_state: settings that shapes do not determine must be those that were saved") {
    const TemporaryFolder folder;
    Toy toy(1), other(2);
    save_training_state(folder.path("f"), toy.parameters, toy.optimizer, toy.random, {{"n_head", "4"}, {"format", "pt"}});
    const auto error = [&](const std::map<std::string, std::string>& metadata) {
        return error_of(
            [&] { load_training_state(folder.path("f"), other.parameters, other.optimizer, other.random, metadata); });
    };
    CHECK(error({{"n_head", "4"}}) == "");
    CHECK(error({{"hidden_act", "gelu"}}) == "");  // an older file does not say
    CHECK(error({{"format", "pt"}, {"n_head", "2"}}) ==
          folder.path("f") +
              ": is the training state of another model: n_head is \"4\" there and \"2\" here; make the model with "
              "the options it was saved with");
}

TEST_CASE("save_training_state: an optimizer whose lists do not fit its variables is refused") {
    const TemporaryFolder folder;
    const auto error = [&](const Toy& toy) {
        return error_of([&] { save_training_state(folder.path("f"), toy.parameters, toy.optimizer, toy.random); });
    };
    Toy counts(1), first_moments(1), second_moments(1);
    counts.optimizer.variable_steps.pop_back();
    first_moments.optimizer.m.pop_back();
    second_moments.optimizer.v.emplace_back();
    CHECK(error(Toy(1)).empty());
    CHECK(error(counts) ==
          "save_training_state: an AdamW of 2 variables with 1 moments or counts of steps; make a new "
          "optimizer when variables are added or taken away");
    CHECK(error(first_moments) == error(counts));
    CHECK(error(second_moments).starts_with("save_training_state: an AdamW of 2 variables with 3 moments"));
}

TEST_CASE("load_training_state: counts of steps that are negative or not one for each variable are refused") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    const auto with_variable_steps = [&](const std::vector<long>& counts) {
        Toy toy(2);
        const Matrix moment(3, 4), bias_moment(1, 4);
        write_safetensors(
            path, {{.name = "w", .shape = {4, 3}, .floats = moment},
                   {.name = "b", .shape = {4}, .floats = bias_moment},
                   {.name = "training.adamw.m.0", .shape = {3, 4}, .floats = moment},
                   {.name = "training.adamw.v.0", .shape = {3, 4}, .floats = moment},
                   {.name = "training.adamw.m.1", .shape = {1, 4}, .floats = bias_moment},
                   {.name = "training.adamw.v.1", .shape = {1, 4}, .floats = bias_moment},
                   {.name = "training.random", .shape = {4}, .integers = {1, 2, 3, 4}},
                   {.name = "training.adamw.steps", .shape = {1}, .integers = {0}},
                   {.name = "training.adamw.variable_steps", .shape = {static_cast<long>(counts.size())}, .integers = counts}});
        return error_of([&] { load_training_state(path, toy.parameters, toy.optimizer, toy.random); });
    };
    const std::string rule =
        path + ": is not a training state: training.adamw.variable_steps is not one count for each of 2 variables";
    CHECK(with_variable_steps({0, 0}).empty());
    CHECK(with_variable_steps({0}) == rule);
    CHECK(with_variable_steps({0, 0, 0}) == rule);
    CHECK(with_variable_steps({-1, 0}) == rule);
    CHECK(with_variable_steps({0, -1}) == rule);
    const auto with_counters = [&](const std::vector<long>& words, const std::vector<long>& steps) {
        Toy toy(1);
        write_safetensors(path,
                          {{.name = "training.random", .shape = {static_cast<long>(words.size())}, .integers = words},
                           {.name = "training.adamw.steps", .shape = {static_cast<long>(steps.size())}, .integers = steps}});
        return error_of([&] { load_training_state(path, toy.parameters, toy.optimizer, toy.random); });
    };
    const auto none = [&](int words) {
        return path + ": is not a training state: training.random has " + std::to_string(words) +
               " words instead of 4, or training.adamw.steps is not one count";
    };
    CHECK(with_counters({1, 2, 3, 4}, {0}).starts_with(path + ": is the training state of another model: "));
    CHECK(with_counters({1, 2, 3}, {0}) == none(3));
    CHECK(with_counters({1, 2, 3, 4, 5}, {0}) == none(5));
    CHECK(with_counters({1, 2, 3, 4}, {1, 2}) == none(4));
    CHECK(with_counters({1, 2, 3, 4}, {-1}) == none(4));
}

TEST_CASE("save_training_state: a variable that is not saved, and moments of another shape, are refused") {
    const TemporaryFolder folder;
    Toy toy(1), other(2);
    CHECK(error_of([&] { save_training_state(folder.path("f"), other.parameters, toy.optimizer, toy.random); }) ==
          "save_training_state: variable 0 of the optimizer, (3, 4), is not among the parameters that are saved; give the model "
          "that it trains");
    Parameters only_w = toy.parameters;
    only_w.pop_back();
    CHECK(error_of([&] {
              save_training_state(folder.path("f"), only_w, toy.optimizer, toy.random);
          }).starts_with("save_training_state: variable 1 of the optimizer, (1, 4), is not among"));
    const auto with = [&](std::vector<Matrix> AdamW::*moments) {
        Toy changed(1);
        changed.train(1);
        (changed.optimizer.*moments)[1] = Matrix(4, 1);
        return error_of([&] { save_training_state(folder.path("f"), changed.parameters, changed.optimizer, changed.random); });
    };
    CHECK(with(&AdamW::m) ==
          "save_training_state: a moment (4, 1) of variable 1, (1, 4); leave the moments of an optimizer alone");
    CHECK(with(&AdamW::v) == with(&AdamW::m));
    CHECK(files_below(folder.path("")).empty());
}
