#include "walkthroughs/lesson/published_gpt.h"

#include "nn/training/state.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("published_gpt");

TEST_CASE("read_published_gpt: restores a model and its tokens; tokens of another model, and a missing tokenizer, are refused") {
    const bpe::Vocabulary vocabulary = bpe::vocabulary_of(bpe::train("low lower lowest low low", 4, true));
    const gpt::Config config{.vocabulary = vocabulary.size(), .positions = 3, .width = 4, .depth = 1, .heads = 2, .mlp_width = 8};
    Random random(1);
    const gpt::Weights w = gpt::make_weights(config, random);
    const TemporaryFolder folder;
    const std::string weights = folder.path("m.safetensors"), vocab = folder.path("vocab.json"),
                      merges = folder.path("merges.txt");
    save(gpt::parameters(w, config), weights, gpt::metadata(config));
    bpe::save_vocabulary(vocabulary, vocab, merges);
    const PublishedGpt model = read_published_gpt(weights, vocab, merges, {});
    CHECK(model.config.heads == 2);
    CHECK(identical(model.w.token_embedding.value(), w.token_embedding.value()));
    CHECK(model.ids("low") == bpe::encode("low", vocabulary));
    CHECK(model.name(vocabulary.size()) == "<" + std::to_string(vocabulary.size()) + ">");
    CHECK(model.name(vocabulary.size() - 1) == "<|endoftext|>");
    CHECK(model.name(bpe::encode("z", vocabulary)[0]) == "z");
    CHECK_THROWS_WITH(model.ids("zyxw"), "\"zyxw\" has 4 tokens, this model can read 1 to 3");
    CHECK(model.ids("zyx").size() == 3);
    CHECK(model.ids("z").size() == 1);
    CHECK_THROWS_WITH(model.ids("<|endoftext|>"), doctest::Contains("the text holds the special token \"<|endoftext|>\""));
    CHECK_THROWS_WITH(model.ids(""), "\"\" has 0 tokens, this model can read 1 to 3");
    CHECK_THROWS_WITH(read_published_gpt(weights, "", "", {}),
                      "gpt: --weights needs --merges, the merges.txt of the same model, to read the prompt");
    const std::string longer = folder.file("longer.txt", "l o\nlo w\nw e\ne r\ne s\ns t\n");
    CHECK_THROWS_WITH(read_published_gpt(weights, "", longer, {}), doctest::Contains("they do not belong together"));
}

TEST_CASE("read_published_gpt: a saved training state is a checkpoint too") {
    const bpe::Vocabulary vocabulary = bpe::vocabulary_of(bpe::train("low lower lowest low low", 4, true));
    const gpt::Config config{.vocabulary = vocabulary.size(), .positions = 3, .width = 4, .depth = 1, .heads = 2, .mlp_width = 8};
    Random random(1);
    const gpt::Weights w = gpt::make_weights(config, random);
    const Parameters parameters = gpt::parameters(w, config);
    const AdamW optimizer(variables(parameters));
    const TemporaryFolder folder;
    const std::string weights = folder.path("m.safetensors"), merges = folder.path("merges.txt");
    save_training_state(weights, parameters, optimizer, random, gpt::metadata(config));
    bpe::save_vocabulary(vocabulary, folder.path("vocab.json"), merges);
    CHECK(identical(read_published_gpt(weights, folder.path("vocab.json"), merges, {}).w.token_embedding.value(),
                    w.token_embedding.value()));
}

TEST_SUITE_END();
