#include "tests/golden.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "course/grade/steps.h"
#include "tests/temporary_folder.h"

TEST_SUITE_BEGIN("golden");

TEST_CASE("files_of_stem: takes the stem as a whole") {
    const std::vector<std::string> found = golden_files("vit");
    for (const std::string& path : found) CHECK(path.find("/vit-") != std::string::npos);
    CHECK(files_of_stem(golden_folder(), "vi", ".safetensors").empty());
    CHECK(files_of_stem(golden_folder(), "vit", ".json").empty());
    CHECK(files_of_stem("no such folder", "vit", ".safetensors").empty());
}

TEST_CASE("Golden::not_used: lists the expected numbers that no test has compared") {
    const Golden golden(golden_files("vit").front());
    CHECK(golden.not_used().find(" expected.loss") != std::string::npos);
    golden.check("loss", golden.expected("loss"));
    CHECK(golden.not_used().find(" expected.loss") == std::string::npos);
    golden.leave_out("logits", "to see that it can be done");
    CHECK(golden.not_used().find(" expected.logits") == std::string::npos);
    CHECK_FALSE(golden.not_used().empty());
}

TEST_CASE("steps_compared: counts the steps of each fixture that agree, each once") {
    const TemporaryFolder folder;
    std::filesystem::copy_file(golden_files("vit").front(), folder.path("vit-a.safetensors"));
    const StepsCompared before = steps_compared();
    const Golden golden(folder.path("vit-a.safetensors"));
    const auto is_step = [](const auto& entry) {
        return entry.first.starts_with("expected.") || entry.first.starts_with("grad.");
    };
    CHECK(steps_compared().all - before.all == std::count_if(golden.file.tensors.begin(), golden.file.tensors.end(), is_step));
    CHECK(steps_compared().agreed == before.agreed);
    golden.check("loss", golden.expected("loss"));
    golden.check("loss", golden.expected("loss"));
    CHECK(steps_compared().agreed == before.agreed + 1);
}

TEST_CASE("largest_share_of_rows: a small element may differ by a fraction of the largest in its row") {
    // row 0 allows 1e-5 + 1e-6 * 90 = 1e-4 beside the 0, row 1 only 1e-5 + 1e-6
    const Matrix golden{{90, 0}, {1, 0}};
    CHECK(largest_share_of_rows({{90, 5e-5f}, {1, 0}}, golden, {}, 1e-6f).share == Approx(0.5));
    const Share second = largest_share_of_rows({{90, 5e-5f}, {1, 5e-5f}}, golden, {}, 1e-6f);
    CHECK(second.share == Approx(5e-5 / 1.1e-5));
    CHECK(second.row == 1);
    CHECK(second.col == 1);
    CHECK(std::isinf(largest_share_of_rows({{1, 0}}, golden, {}, 1e-6f).share));
}

TEST_CASE("gradients_not_used: lists gradients without a parameter of ours") {
    const Golden golden(golden_files("vit").front());
    CHECK(gradients_not_used({}, golden).find(" grad.vit.layernorm.weight") != std::string::npos);
    const Parameters one{{.name = "vit.layernorm.weight", .shape = {}, .parts = {}}};
    CHECK(gradients_not_used(one, golden).find(" grad.vit.layernorm.weight") == std::string::npos);
}

TEST_SUITE_END();
