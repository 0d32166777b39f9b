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
          "a.cpp: the function int third(int x) appears 0 times, expected once");
    CHECK(error_of([] { body_of(source + source, "int twice(int x)", "a.cpp"); }) ==
          "a.cpp: the function int twice(int x) appears 2 times, expected once");
    for (const char* const open : {"int f() { {", "int f() {"})
        CHECK(error_of([&] { body_of(open, "int f()", "a.cpp"); }) == "a.cpp: the braces of int f() do not close");
    CHECK(error_of([] { body_of("int f() { int f() { } }", "int f()", "a.cpp"); }) ==
          "a.cpp: the function int f() appears 2 times, expected once");
    CHECK(body_of("long f() { a } int f() { b }", "int f()", "a.cpp") == " b ");
}

TEST_CASE("tokens_of: words, numbers, single characters and where they stand; comments and what is in quotes are none") {
    const auto words_of = [](const std::string& text) {
        std::vector<std::string> words;
        for (const Token& token : tokens_of(text)) words.push_back(token.word);
        return words;
    };
    using Words = std::vector<std::string>;
    CHECK(words_of("int _a1+\u00e9t\u00e9;") == Words{"int", "_a1", "+", "\u00e9t\u00e9", ";"});
    CHECK(words_of("1'000 0x1p-3f 1e+5 2E-1 1.5f 0x1P+2") == Words{"1'000", "0x1p-3f", "1e+5", "2E-1", "1.5f", "0x1P+2"});
    CHECK(words_of("1+2 3-4 5") == Words{"1", "+", "2", "3", "-", "4", "5"});
    CHECK(words_of("7'a' 8") == Words{"7'a"});  // as the compiler reads it: then a quote that does not end
    CHECK(words_of("x // y\nz /* a */ b") == Words{"x", "z", "b"});
    CHECK(words_of("x // to the end") == Words{"x"});
    CHECK(words_of("a /*/ b */ c / d") == Words{"a", "c", "/", "d"});
    CHECK(words_of("a/**/b/* */c") == Words{"a", "b", "c"});
    CHECK(words_of(std::string("a\0b", 3)) == Words{"a", std::string(1, '\0'), "b"});
    CHECK(words_of("1' '2") == Words{"1", "'", "2"});
    CHECK(words_of(R"(f("a\"b", '\'', "\\") + 1)") == Words{"f", "(", "\"", ",", "'", ",", "\"", ")", "+", "1"});
    CHECK(words_of("R\"x(a)\" b)x\" c") == Words{"R", "R\"", "c"});
    CHECK(words_of("u8R\"(a \" b)\" c") == Words{"u8R", "R\"", "c"});
    CHECK(words_of("R \"(a\" b") == Words{"R", "\"", "b"});       // a space: no raw text
    CHECK(words_of("WXYR\"(a\" b") == Words{"WXYR", "\"", "b"});  // no such prefix
    const std::vector<Token> tokens = tokens_of(" ab\t\"c\" 12");
    REQUIRE(tokens.size() == 3);
    CHECK(tokens[0].begin == 1);
    CHECK(tokens[0].end == 3);
    CHECK(tokens[1].begin == 4);
    CHECK(tokens[1].end == 7);
    CHECK(tokens[2].end == 10);
    std::string complaint = "from before";
    tokens_of("a", &complaint);
    CHECK(complaint.empty());
    for (const char* const text : {"\"a\n\"", "\"a", "'a", "\"a\\\"", "R\"x(a)\"", "R\"x"}) {
        tokens_of(text, &complaint);
        CHECK(complaint == "a string does not end");
    }
    tokens_of("a /* b", &complaint);
    CHECK(complaint == "a comment does not end");
    tokens_of("a /*/", &complaint);
    CHECK(complaint == "a comment does not end");
}

TEST_CASE("leading_checks: keeps leading require() calls, loops of them and their constants, nothing after") {
    CHECK(leading_checks("\n  const int n = x;\n  require(n > 0, \"n\");\n  const int m = n;\n  return m;\n") ==
          "\n  const int n = x;\n  require(n > 0, \"n\");");
    CHECK(leading_checks(" for (const int x : all) require(x > 0, \"x\"); return 1; ") ==
          " for (const int x : all) require(x > 0, \"x\");");
    CHECK(leading_checks(" for (const int x : all) { sum += x; } require(sum > 0, \"\"); ") == "");
    CHECK(leading_checks(" const int n = 1; return n; ") == "");
    CHECK(leading_checks(" require_sizes(a); check(b); required(c); ") == " require_sizes(a); check(b);");
    const std::string loop = " for (int i = 0; i < size(); ++i) require_at(i);";
    CHECK(leading_checks(loop + " return 1; ") == loop);
    CHECK(leading_checks(" for (int i = 0; i < size(); ++i) sum += i; require(sum); ") == "");
    CHECK(leading_checks(" for (int i = 0; i < size(); ++i) { require(i); } ") == "");
    const std::string constant = " const auto f = [](int a[]) { return a[0]; }; require(f(x), \"\");";
    CHECK(leading_checks(constant + " return 1; ") == constant);
    CHECK(leading_checks(" if (x) require(x); require(y); ") == "");
    CHECK(leading_checks(" require(x)") == " require(x)");  // cut off
    CHECK(leading_checks(" for (") == "");
    CHECK(leading_checks(" for (x)") == "");
    CHECK(leading_checks(" for (x) require") == " for (x) require");
    CHECK(leading_checks(" for") == "");
}

TEST_CASE("blanked: keeps the checks; the rest throws \"not implemented\"") {
    const std::string blank = blanked(source, "int twice(int x)", "twice", "a.h", "a.cpp");
    CHECK(blank.starts_with("#pragma GCC diagnostic ignored \"-Wunused-parameter\"\n"));
    CHECK(blank.find("require(x > 0") != std::string::npos);
    CHECK(blank.find("return 2 * x") == std::string::npos);
    CHECK(is_blank(body_of(blank, "int twice(int x)", "a.cpp"), "twice"));
    CHECK_FALSE(is_blank("const std::string name = named(\"x\");  // " + not_written("twice"), "twice"));
    CHECK_FALSE(is_blank("// ::fail({\"" + not_written("twice") + "\"});\n return 1;", "twice"));  // commented out
    CHECK(blank.find("::fail({\"course: twice is not written yet; its contract is in a.h\"});") != std::string::npos);
    const std::string both = blanked(blank, "int other(int x)", "other", "a.h", "a.cpp");
    CHECK(both.find("#pragma", both.find("// int twice")) == std::string::npos);  // only once, at the top
}

TEST_CASE("objection: rejects code that leaves its function body at compile time, and names the reason") {
    const auto why = [](const std::string& body) { return objection(body, {"attend"}); };
    CHECK(why(" return std::vector<int>{1, 2}.size() - '}'; // } \n") == "");
    CHECK(why(" const auto f = [&](int x) { return x; }; return f(1'000); ") == "");
    CHECK(why("\n#include \"solution.cpp\"\n") == "a preprocessor line (#) is not allowed in a function");
    CHECK(why("\n%: define x\n") == "a preprocessor line (#) is not allowed in a function");
    CHECK(why(" return 1; } static int hook = start(); int f() { return 1; ") == "a brace } closes the function early");
    CHECK(why(" if (x) { return 1; ") == "a brace { is not closed");
    CHECK(why(" if (x) <% return 1; } ") == "<% stands for another character and is not read here");
    CHECK(why(" asm(\".incbin \\\"file\\\"\"); ") == "asm is not allowed in an answer");
    CHECK(why(" __builtin_exit(0); ") == "__builtin_exit is a name reserved for the compiler");
    CHECK(why(" std::exit(0); ") == "exit is not allowed in an answer");
    CHECK(why(" static int x [[gnu::section(\".data\\n.incbin \\\"file\\\"\")]] = 1; ") == "gnu is not allowed in an answer");
    CHECK(why(" std::basic_ifstream<char> in(\"solution\"); ") == "basic_ifstream is not allowed in an answer");
    CHECK(why(" return attend(q, k, v, 1); ") == "attend may not be used in this task: it is what the task asks for");
    CHECK(why(" return attended; ") == "");
    CHECK(why(" /* ") == "a comment does not end");
    CHECK(why(" \" ") == "a string does not end");
    CHECK(why(" return R\"(})\"; ") == "a raw string, R\"...\", is not allowed in a function");
    CHECK(why(" // a comment \\\n } int g() { ") == "a brace } closes the function early");
    CHECK(why(" // a comment \\\n return 1; ") == "a backslash may not end a line");
    CHECK(why(" ex\\\nit(0); ") == "a backslash is allowed only inside quotes");
    CHECK(why(" \\u0065xit(0); ") == "a backslash is allowed only inside quotes");
    CHECK(why(std::string(20001, ' ')) == "it has 20001 characters, at most 20000 are read");
    CHECK(why(std::string(20000, ' ')) == "");
    CHECK(why(" x %> ") == "%> stands for another character and is not read here");
    CHECK(why(" x ?" + std::string("?/ ")) == "?? stands for another character and is not read here");
    CHECK(why(" return a < % b ? ? c : d; ") == "");  // with a space between them, no pair
    CHECK(why(" int a__b; ") == "");
    CHECK(why(" { } } { ") == "a brace } closes the function early");
    CHECK(why(" // a comment \\ \t\n return 1; ") == "a backslash may not end a line");
    CHECK(why(" // a comment \\") == "a backslash may not end a line");
    CHECK(why(" // \\ b \\ \n") == "a backslash may not end a line");
    CHECK(why(" // \\ b \n") == "");
    CHECK(why(" // \\\\\n") == "a backslash may not end a line");  // the second of two
}

TEST_SUITE_END();
