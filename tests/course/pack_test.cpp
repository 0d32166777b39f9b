#include "course/pack/zip.h"

#include <cstdlib>

#include "course/pack/closure.h"
#include "course/pack/handout.h"
#include "course/pack/quiz.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pack");

TEST_CASE("zip_bytes: the example of the format by hand, and what other programs read") {
    const std::string archive = zip_bytes({{"a", "123456789", false}, {"b/c.sh", "", true}});
    CHECK(archive.substr(0, 4) == std::string("PK\3\4", 4));
    CHECK(archive.substr(14, 4) == "\x26\x39\xF4\xCB");  // CRC-32 of "123456789" is CBF43926, the check value of its definition
    CHECK(archive.substr(archive.size() - 22, 4) == std::string("PK\5\6", 4));
    if (std::system("command -v unzip > /dev/null 2>&1") != 0) return;
    const TemporaryFolder folder;
    write_file_atomically(folder.path("x.zip"), archive);
    REQUIRE(std::system(("cd " + folder.path("") + " && unzip -q x.zip && test -x b/c.sh").c_str()) == 0);
    CHECK(read_file(folder.path("a")) == "123456789");
}

TEST_CASE("closure: a header brings its source along, and what that includes") {
    const std::set<std::string> files = closure({"nn/layers/mask.h"});
    for (const char* const file : {"nn/layers/mask.h", "nn/layers/mask.cpp", "nn/base/matrix.cpp", "nn/base/require.cpp"})
        CHECK(files.count(file) == 1);
    CHECK(files.count("nn/layers/attention.h") == 0);
    CHECK(closure({"nn/no_such_file.h"}).empty());
    CHECK(files_of_suites({"mask"}) == std::vector<std::string>{"tests/nn/layers/mask_test.cpp"});
    CHECK(fixtures_of({"tests/vit/vit_test.cpp"}).count("tests/golden/vit-a.safetensors") == 1);
}

TEST_CASE("contract_text: the comment above a declaration, the declaration, and a type with its members") {
    const std::string causal = contract_text({"nn/layers/mask.h", "causal"});
    CHECK(causal.starts_with("// "));
    CHECK(causal.ends_with("MayAttend causal(int queries, int keys);\n"));
    const std::string norm = contract_text({"nn/layers/norm.cpp", "normalise_row"});
    CHECK(norm.ends_with("static double normalise_row(const float* x, float* x_hat, int D, NormKind kind, float eps);\n"));
    CHECK(contract_text({"vit/vit.h", "PatchEmbedding"}).ends_with("};\n"));
    CHECK(error_of([] {
              contract_text({"nn/layers/mask.h", "nothing"});
          }) == "nn/layers/mask.h: there is no declaration of nothing");
    CHECK(opening_comment("nn/layers/mask.h").starts_with("mask.h: "));
}

TEST_CASE("handout_html: every task with its equation, a twist if there is one, and no part of a solution") {
    const std::vector<Task> tasks = all_tasks("attention");
    const std::map<std::string, Mistake> twists{{"causal", read_mistake("course/mistakes/causal_reversed.txt")}};
    const std::string page = handout_html("attention", 7, tasks, twists);
    for (const Task& task : tasks) CHECK(page.find("<h2 id=\"" + task.name + "\">") != std::string::npos);
    CHECK(page.find(twists.at("causal").says) != std::string::npos);
    CHECK(page.find("for (int j") == std::string::npos);
    CHECK(page.find("<script") == std::string::npos);
}

TEST_CASE(
    "quiz_of: one question per row of the ledger; wrong answers differ from the right one, and GIFT's special characters are "
    "escaped") {
    for (const std::string readme : {"nn/README.md", "bert/README.md", "vit/README.md", "rlhf/README.md"}) {
        INFO(readme);
        const std::vector<QuizQuestion> questions = quiz_of(readme, 3);
        CHECK(questions.size() >= 5);
        for (const QuizQuestion& question : questions) {
            CHECK(question.wrong.size() == 2);
            for (const std::string& wrong : question.wrong) CHECK(wrong != question.right);
        }
        CHECK(gift_text(questions) != gift_text(quiz_of(readme, 4)));
        CHECK(paper_text(questions, 3).find("key: 1") != std::string::npos);
    }
    CHECK(gift_text({{"a = b?", "{x}", {"~y", "z:"}}}) == "::Q1:: a \\= b? {\n    =\\{x\\}\n    ~\\~y\n    ~z\\:\n}\n\n");
}

TEST_SUITE_END();
