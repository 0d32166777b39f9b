#include "course/grade/body.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("body");

static const std::string source =
    "// int twice(int x) { in a comment }\n"
    "static const char* text = \"int twice(int x) { }\";\n"
    "int twice(int x) {\n"
    "    require(x > 0, \"twice: \", x, \" }\");\n"
    "    return 2 * x;  // not }\n"
    "}\n"
    "int other(int x) { return '{' + 1'000 + x; }\n";

TEST_CASE("body_of: finds a function by its signature, whatever comments and strings contain") {
    CHECK(body_of(source, "int twice( int x )", "a.cpp") ==
          "\n    require(x > 0, \"twice: \", x, \" }\");\n    return 2 * x;  // not }\n");
    CHECK(body_of(source, "int other(int x)", "a.cpp") == " return '{' + 1'000 + x; ");
    CHECK(with_body(source, "int other(int x)", " return x; ", "a.cpp").ends_with("int other(int x) { return x; }\n"));
    CHECK(error_of([] { body_of(source, "int third(int x)", "a.cpp"); }) ==
          "a.cpp: the function int third(int x) stands there 0 times, expected once");
    CHECK(error_of([] { body_of(source + source, "int twice(int x)", "a.cpp"); }) ==
          "a.cpp: the function int twice(int x) stands there 2 times, expected once");
    CHECK(error_of([] { body_of("int f() { {", "int f()", "a.cpp"); }) == "a.cpp: the braces of int f() do not close");
}

TEST_CASE("leading_checks: keeps leading require() calls, loops of them and their constants, nothing after") {
    CHECK(leading_checks("\n  const int n = x;\n  require(n > 0, \"n\");\n  const int m = n;\n  return m;\n") ==
          "\n  const int n = x;\n  require(n > 0, \"n\");");
    CHECK(leading_checks(" for (const int x : all) require(x > 0, \"x\"); return 1; ") ==
          " for (const int x : all) require(x > 0, \"x\");");
    CHECK(leading_checks(" for (const int x : all) { sum += x; } require(sum > 0, \"\"); ") == "");
    CHECK(leading_checks(" const int n = 1; return n; ") == "");
}

TEST_CASE("blanked: keeps the checks; the rest throws \"not implemented\"") {
    const std::string blank = blanked(source, "int twice(int x)", "twice", "a.h", "a.cpp");
    CHECK(blank.starts_with("#pragma GCC diagnostic ignored \"-Wunused-parameter\"\n"));
    CHECK(blank.find("require(x > 0") != std::string::npos);
    CHECK(blank.find("return 2 * x") == std::string::npos);
    CHECK(is_blank(body_of(blank, "int twice(int x)", "a.cpp"), "twice"));
    CHECK_FALSE(is_blank("// ::fail({\"" + not_written("twice") + "\"});\n return 1;", "twice"));  // commented out
    CHECK(blank.find("::fail({\"course: twice is not written yet; its contract is in a.h\"});") != std::string::npos);
    const std::string both = blanked(blank, "int other(int x)", "other", "a.h", "a.cpp");
    CHECK(both.find("#pragma", both.find("// int twice")) == std::string::npos);  // only once, at the top
}

TEST_CASE("objection: rejects code that leaves its function body at compile time, and names the reason") {
    const auto why = [](const std::string& body) { return objection(body, {"attend"}); };
    CHECK(why(" return std::vector<int>{1, 2}.size() - '}'; // } \n") == "");
    CHECK(why(" const auto f = [&](int x) { return x; }; return f(1'000); ") == "");
    CHECK(why("\n#include \"solution.cpp\"\n") == "a line for the preprocessor (#) may not stand in a function");
    CHECK(why("\n%: define x\n") == "a line for the preprocessor (#) may not stand in a function");
    CHECK(why(" return 1; } static int hook = start(); int f() { return 1; ") == "a brace } closes the function early");
    CHECK(why(" if (x) { return 1; ") == "a brace { is not closed");
    CHECK(why(" if (x) <% return 1; } ") == "<% stands for another character and is not read here");
    CHECK(why(" asm(\".incbin \\\"file\\\"\"); ") == "asm is not allowed in an answer");
    CHECK(why(" __builtin_exit(0); ") == "__builtin_exit is a name of the compiler's own");
    CHECK(why(" std::exit(0); ") == "exit is not allowed in an answer");
    CHECK(why(" static int x [[gnu::section(\".data\\n.incbin \\\"file\\\"\")]] = 1; ") == "gnu is not allowed in an answer");
    CHECK(why(" std::basic_ifstream<char> in(\"solution\"); ") == "basic_ifstream is not allowed in an answer");
    CHECK(why(" return attend(q, k, v, 1); ") == "attend may not be used in this task: it is what the task asks for");
    CHECK(why(" return attended; ") == "");
    CHECK(why(" /* ") == "a comment does not end");
    CHECK(why(" \" ") == "a text in quotes does not end");
    CHECK(why(" return R\"(})\"; ") == "a raw text, R\"...\", may not stand in a function");
    CHECK(why(" // a comment \\\n } int g() { ") == "a brace } closes the function early");
    CHECK(why(" // a comment \\\n return 1; ") == "a backslash may not end a line");
    CHECK(why(" ex\\\nit(0); ") == "a backslash may only stand inside of quotes");
    CHECK(why(" \\u0065xit(0); ") == "a backslash may only stand inside of quotes");
    CHECK(why(std::string(30000, ' ')) == "it has 30000 characters, at most 20000 are read");
}

TEST_SUITE_END();
