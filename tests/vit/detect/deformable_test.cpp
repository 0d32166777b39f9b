#include "vit/detect/deformable.h"

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("deformable");

TEST_CASE("deformable: parity: locations, weights, output and every gradient of the published operator") {
    for (const std::string& path : golden_files("mask2former_deform")) {
        const Golden golden(path);
        const deformable::Config config{.width = golden.file.metadata_int("d_model"),
                                        .heads = golden.file.metadata_int("n_heads"),
                                        .levels = golden.file.metadata_int("n_levels"),
                                        .points = golden.file.metadata_int("n_points")};
        const std::vector<int> shapes = golden.integers("input.spatial_shapes");
        std::vector<MapSize> sizes;
        for (int l = 0; l < config.levels; ++l) sizes.push_back({golden.file.metadata_int("batch"), shapes[2 * l], shapes[2 * l + 1]});
        const std::vector<int> padded = golden.has("input.padding_mask") ? golden.integers("input.padding_mask") : std::vector<int>();
        Random random;
        const deformable::Weights w = deformable::make_weights(config, random);
        const Parameters parameters = deformable::parameters(w, "self_attn.");
        golden.load_weights(parameters);
        const Var query = parameter(golden.input("query"));
        const Matrix references = golden.input("reference_points");  // (B*n*L, 2)

        const Tape tape;
        const Var reference = reshape(references, query.rows(), 2 * config.levels);
        const deformable::Steps steps = deformable::attend(query, reference, golden.input("values"), sizes, padded, w, config);
        const Var loss = mean_squared_error(steps.output, golden.input("target"));

        golden.check("sampling_locations", reshape(steps.locations.value(), static_cast<int>(steps.locations.value().size() / 2), 2));
        golden.check("attention_weights", reshape(steps.weights.value(), static_cast<int>(steps.weights.value().size()) / config.points, config.points));
        golden.check("output", steps.output.value());
        golden.check("loss", loss.value());

        backward(loss);
        golden.check("grad_query", query.gradient());
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
