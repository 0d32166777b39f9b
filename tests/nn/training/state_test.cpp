#include "nn/training/state.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("state");

// A small training: two matrices that chase random numbers.
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

    void train(int steps) {
        for (int step = 0; step < steps; ++step) {
            w.gradient() = normal_matrix(random, 3, 4);
            b.gradient() = uniform_matrix(random, 1, 4);
            add_to(w.gradient(), w.value());
            optimizer.update();
        }
    }
};

static bool same(const Toy& a, const Toy& b) {
    return identical(a.w.value(), b.w.value()) && identical(a.b.value(), b.b.value()) && a.random.state == b.random.state &&
           identical(a.optimizer.m[0], b.optimizer.m[0]) && identical(a.optimizer.v[1], b.optimizer.v[1]) &&
           a.optimizer.steps == b.optimizer.steps;
}

TEST_CASE("training that was saved and resumed equals training that was never interrupted, to the last bit") {
    const TemporaryFolder folder;
    Toy straight(1), stopped(1), resumed(7);
    straight.train(10);
    stopped.train(4);
    save_training_state(folder.path("f"), stopped.parameters, stopped.optimizer, stopped.random);
    resumed.train(2);  // whatever happened before is overwritten
    load_training_state(folder.path("f"), resumed.parameters, resumed.optimizer, resumed.random);
    CHECK(same(resumed, stopped));
    resumed.train(6);
    CHECK(same(resumed, straight));
    stopped.train(5);
    CHECK(!same(stopped, straight));
}

TEST_CASE("a training state is a checkpoint too") {
    const TemporaryFolder folder;
    Toy toy(1);
    toy.train(3);
    save_training_state(folder.path("f"), toy.parameters, toy.optimizer, toy.random);
    const Safetensors file(folder.path("f"));
    CHECK(identical(file.matrix("w"), transpose(toy.w.value())));
    CHECK(file.long_integers("training.random").size() == 4);
    CHECK(file.integers("training.adamw.steps") == std::vector<int>{3});
}

TEST_CASE("a state of another model, or none at all, is refused and changes nothing") {
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
              ": does not hold these parameters, nothing was loaded\n"
              "  missing     b, training.adamw.m.1, training.adamw.v.1");
    CHECK(same(toy, before));
    write_safetensors(folder.path("odd"), {{.name = "training.random", .shape = {3}, .integers = {1, 2, 3}},
                                           {.name = "training.adamw.steps", .shape = {1}, .integers = {3}}});
    CHECK(error_of([&] { load_training_state(folder.path("odd"), toy.parameters, toy.optimizer, toy.random); }) ==
          folder.path("odd") +
              ": is no training state: training.random has 3 words instead of 4, or training.adamw.steps is not one count");
}
