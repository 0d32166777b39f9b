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

TEST_CASE("zip_bytes: signature and checksum by hand; unzip restores the contents") {
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

TEST_CASE("zip_bytes: every byte of an archive of two files") {
    const auto bytes = [](const char* hexadecimal) {
        std::string result;
        for (const std::string& word : split(hexadecimal, ' ')) result += static_cast<char>(std::stoi(word, nullptr, 16));
        return result;
    };
    // version 2.0, no flags, stored, midnight, 1 January 2020 as 40 << 9 | 1 << 5 | 1
    const std::string common = bytes("14 00 00 00 00 00 00 00 21 50");
    const std::string nine = bytes("26 39 F4 CB 09 00 00 00 09 00 00 00 01 00 00 00");   // CRC-32, sizes, length of the name
    const std::string empty = bytes("00 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00");  // and of the extra field
    const std::string first = "PK\3\4" + common + nine + "a" + "123456789", second = "PK\3\4" + common + empty + "sh";
    const std::string unix = bytes("14 03"), none = bytes("00 00 00 00 00 00");  // made on Unix; comment, disk, attributes
    const std::string directory = "PK\1\2" + unix + common + nine + none + bytes("00 00 A4 81 00 00 00 00") + "a" +   // 0100644
                                  "PK\1\2" + unix + common + empty + none + bytes("00 00 ED 81 28 00 00 00") + "sh";  // 0100755
    const std::string end = "PK\5\6" + bytes("00 00 00 00 02 00 02 00 5F 00 00 00 48 00 00 00 00 00");  // 95 bytes from 72 on
    CHECK(zip_bytes({{"a", "123456789", false}, {"sh", "", true}}) == first + second + directory + end);
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

TEST_CASE("contract_text, opening_comment: from a small header and its source") {
    const TemporaryFolder folder;
    const std::string header = folder.file("a.h",
                                           "// Small things.\n//\n//   more\n#include <b>\n// Of nothing.\nint early(int x);\n\n"
                                           "// What f does, and not g(x).\n//   more\nint f(int x,\n      int y);\n\n"
                                           "    int g(int x);\n// g(x)\nint mg(int x);\nint g(int x);\n}\nint last();\n\n"
                                           "// What S is.\nstruct S {\n    int a;\n};\nenum class E { a, b };\n"),
                      source = folder.file("a.cpp", "// Sums.\nstatic int h(int x) {\n    return x;\n}\n");
    CHECK(contract_text({header, "f"}) == "// What f does, and not g(x).\n//   more\nint f(int x,\n      int y);\n");
    CHECK(contract_text({header, "early"}) == "// Of nothing.\nint early(int x);\n");
    CHECK(contract_text({header, "g"}) == "    int g(int x);\n// g(x)\nint mg(int x);\nint g(int x);\n");
    CHECK(contract_text({header, "last"}) == "int last();\n");
    CHECK(contract_text({header, "S"}) == "// What S is.\nstruct S {\n    int a;\n};\n");
    CHECK(contract_text({header, "E"}) == "enum class E { a, b };\n");
    CHECK(contract_text({source, "h"}) == "// Sums.\nstatic int h(int x);\n");
    CHECK(opening_comment(header) == "Small things.\n\n  more\n");
    // not indented by even one space, not in a comment of any kind, not for the preprocessor; a file may begin with it
    const std::string first = folder.file("b.h",
                                          "int first(int x);\n g(1);\n/* g(2) */\n#define G g(3)\nint gg(int x, int y);\n"
                                          "struct T { int x; };\nint g(int x)\n{\n"),
                      open = folder.file("c.h", "int open(int x,\n");
    CHECK(contract_text({first, "first"}) == "int first(int x);\n");
    CHECK(contract_text({first, "T"}) == "int gg(int x, int y);\nstruct T { int x; };\n");
    CHECK(contract_text({first, "g"}) == "int gg(int x, int y);\nstruct T { int x; };\nint g(int x)\n{\n");
    CHECK(error_of([&] { contract_text({open, "open"}); }) == open + ": the declaration of open does not end");
}

TEST_CASE("handout_html: sums of points and minutes, what the points are for, names that are not allowed; each header once") {
    Task one, two;
    one.name = "one", one.title = "A < B", one.points = 6, one.minutes = 20, one.file = "nn/layers/mask.cpp";
    one.contracts = {{"nn/layers/mask.h", "causal"}};
    one.cases = {{.points = 2, .suite = "mask", .title = "a & b"},
                 {.points = 1, .suite = "vit", .title = "parity", .by_steps = true}};
    one.without = {"attend", "rotate"};
    two = one;
    two.name = "two", two.points = 3, two.minutes = 30, two.cases.clear(), two.without.clear();
    const std::string page = handout_html("attention", 7, {one, two}, {});
    const auto count = [&](const std::string& words) {
        int found = 0;
        for (std::size_t at = page.find(words); at != std::string::npos; at = page.find(words, at + 1)) ++found;
        return found;
    };
    CHECK(count("<p>2 functions, 9 points, about 50 minutes. Handout of seed 7.") == 1);
    CHECK(count("<tr><td><a href=\"#one\">A &lt; B</a></td><td>6</td><td>20</td><td><code>nn/layers/mask.cpp</code></td></tr>") ==
          1);
    CHECK(count("<p>3 points for right answers to the questions of the grader's seed; 2 for the public test <i>mask: a &amp; "
                "b</i>; 1 for the steps of the public test <i>vit: parity</i>.</p>") == 1);
    CHECK(count("<p>3 points for right answers to the questions of the grader's seed.</p>") == 1);
    CHECK(count("<p>Not to be used, because it is the answer: <code>attend</code> <code>rotate</code></p>") == 1);
    CHECK(count("<summary>nn/layers/mask.h begins with</summary>") == 1);
    CHECK(count("In this course, other than in the paper") == 0);
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
    const TemporaryFolder folder;
    const std::string other = "| a table | of | others |\n| --- | --- | --- |\n| nothing | for a | quiz |\n\n";
    const std::string head = "| the paper says | we do | test |\n|-------|----|----|\n";
    const std::string rows = "| said one | done one | t |\n| said two | done two | t |\n| said three | done three | t |\n";
    const std::string unfit =
        "| abc | done four | t |\n| said five | the |  t |\n| equal | equal | t |\n| said six | done six |\n"
        "| said seven | the same | t |\n";
    const std::string readme = folder.file("README.md", other + head + rows + unfit + "\n" + other);
    for (int seed = 1; seed <= 10; ++seed) {
        const std::vector<QuizQuestion> questions = quiz_of(readme, seed, 5);
        CHECK(questions.size() == 3);  // one of "the same" would have an answer that tells
        std::set<std::string> all;
        for (const QuizQuestion& question : questions) {
            all.insert({question.asked, question.right});
            std::set<std::string> three{question.right, question.wrong.at(0), question.wrong.at(1)};
            CHECK(three == std::set<std::string>{"done one", "done two", "done three"});
        }
        CHECK(all.count("In the paper, or usually: said two. What is done in the code that is compared with here?") == 1);
        CHECK(quiz_of(readme, seed, 2).size() == 2);
        // the letters of the key are those of the right answers
        const std::string paper = paper_text(questions, seed), key = paper.substr(paper.rfind("key: ") + 5);
        for (int k = 0; k < 3; ++k) {
            CHECK(key[3 * k] == static_cast<char>('1' + k));
            const std::size_t asked = paper.find(std::to_string(k + 1) + ". In the paper");
            CHECK(paper.substr(paper.find(std::string("   ") + key[3 * k + 1] + ") ", asked) + 6)
                      .starts_with(questions[k].right + "\n"));
        }
    }
    // cells need no spaces, and both texts of a seed as a whole
    const std::string narrow =
        folder.file("N.md", head + "|one said|one done|t|\n|two said|two done|t|\n|three said|three done|t|\n");
    CHECK(gift_text(quiz_of(narrow, 2)) ==
          "::Q1:: In the paper, or usually\\: three said. What is done in the code that is compared with here? {\n"
          "    =three done\n    ~two done\n    ~one done\n}\n\n"
          "::Q2:: In the paper, or usually\\: two said. What is done in the code that is compared with here? {\n"
          "    =two done\n    ~one done\n    ~three done\n}\n\n"
          "::Q3:: In the paper, or usually\\: one said. What is done in the code that is compared with here? {\n"
          "    =one done\n    ~three done\n    ~two done\n}\n\n");
    CHECK(paper_text(quiz_of(narrow, 2), 2) ==
          "1. In the paper, or usually: three said. What is done in the code that is compared with here?\n"
          "   a) two done\n   b) one done\n   c) three done\n\n"
          "2. In the paper, or usually: two said. What is done in the code that is compared with here?\n"
          "   a) two done\n   b) three done\n   c) one done\n\n"
          "3. In the paper, or usually: one said. What is done in the code that is compared with here?\n"
          "   a) one done\n   b) three done\n   c) two done\n\n"
          "key: 1c 2a 3a \n");
    CHECK(gift_text({{"a = b?", "{x}", {"~y", "z:"}}}) == "::Q1:: a \\= b? {\n    =\\{x\\}\n    ~\\~y\n    ~z\\:\n}\n\n");
}

TEST_SUITE_END();
