#include "nn/data/json.h"

#include <cmath>

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("json");

static std::string refusal(const std::string& text) {
    return error_of([&] { parse_json(text, "x"); });
}

TEST_CASE("parse_json: every kind of value, in the order of the text") {
    const Json value = parse_json(R"( {"z": [1, -2.5, 1e3, true, false, null], "a": {"b": "c"}, "": ""} )", "x");
    REQUIRE(value.kind == Json::Kind::object);
    REQUIRE(value.members.size() == 3);
    CHECK(value.members[0].name == "z");
    CHECK(value.members[1].name == "a");
    const std::vector<Json>& z = value.at("z").as_array();
    REQUIRE(z.size() == 6);
    CHECK(z[0].as_int() == 1);
    CHECK(z[1].as_number() == -2.5);
    CHECK(z[2].as_number() == 1000);
    CHECK(z[3].as_boolean());
    CHECK(!z[4].as_boolean());
    CHECK(z[5].kind == Json::Kind::null);
    CHECK(value.at("a").at("b").as_string() == "c");
    CHECK(value.at("").as_string().empty());
    CHECK(value.find("b") == nullptr);
    CHECK(value.find_unless_null("b") == nullptr);
    const Json with_null = parse_json(R"({"a": null, "c": 1})", "json");
    CHECK(with_null.find("a") != nullptr);
    CHECK(with_null.find_unless_null("a") == nullptr);
    CHECK(with_null.find_unless_null("c")->as_int() == 1);
}

TEST_CASE("parse_json: whole numbers of 64 bits are exact, larger ones are doubles") {
    CHECK(parse_json("9007199254740993", "x").as_integer() == 9007199254740993);  // 2^53 + 1: no double
    CHECK(parse_json("-9223372036854775808", "x").as_integer() == INT64_MIN);
    const Json large = parse_json("9223372036854775808", "x");
    CHECK(!large.whole);
    CHECK(large.as_number() == 0x1p63);
    CHECK(large.integer == 0);
    CHECK(parse_json("-0", "x").as_integer() == 0);
    CHECK(!parse_json("1.0", "x").whole);
    CHECK(!parse_json("1e2", "x").whole);
    CHECK(parse_json("1E2", "x").as_number() == 100);
    CHECK(parse_json(std::string_view("12").substr(0, 1), "x").as_int() == 1);  // the text ends where its view ends
    CHECK(parse_json("[1,\r\n\t2 ]\r\n", "x").items.size() == 2);
}

TEST_CASE("parse_json: escapes, surrogate pairs and the character 0") {
    CHECK(parse_json(R"("\"\\\/\b\f\n\r\t")", "x").string == "\"\\/\b\f\n\r\t");
    CHECK(parse_json(R"("\u00e9\u4E2d")", "x").string == "\u00e9\u4e2d");
    CHECK(parse_json(R"("\uD83D\uDE00")", "x").string == "\U0001F600");
    CHECK(parse_json(R"("\u00AF\u00fa\u00A9")", "x").string == "\u00af\u00fa\u00a9");  // first and last digits, in both cases
    CHECK(parse_json(R"("a\u0000b")", "x").string == std::string("a\0b", 3));
    CHECK(parse_json(R"("\uFFFF")", "x").string == "\uFFFF");
}

TEST_CASE("Json: a value of another type is refused with its type and line") {
    const Json value = parse_json("{\"a\":\n [1.5, \"b\", 3000000000]}", "x");
    CHECK_THROWS_WITH(value.at("a").as_string(), "json: line 2: a string is needed, this is an array");
    CHECK_THROWS_WITH(value.at("b"), "json: line 1: the object has no member \"b\"");
    CHECK(parse_json("\n[1]", "x").line == 2);
    CHECK_THROWS_WITH(value.at("a").find("b"), "json: line 2: an object is needed, this is an array");
    CHECK_THROWS_WITH(value.at("a").items[0].as_integer(),
                      "json: line 2: a whole number of at most 64 bits is needed, this is 1.500000");
    CHECK_THROWS_WITH(value.at("a").items[2].as_int(), "json: line 2: 3000000000 does not fit an int");
    CHECK_THROWS_WITH(value.at("a").items[1].as_number(), "json: line 2: a number is needed, this is a string");
    CHECK_THROWS_WITH(value.as_array(), "json: line 1: an array is needed, this is an object");
    CHECK_THROWS_WITH(value.as_boolean(), "json: line 1: a truth value is needed, this is an object");
}

TEST_CASE("parse_json: invalid JSON is refused in one line with its position") {
    CHECK(refusal("") == "x: line 1, byte 0: the text ends too early, it is cut off");
    CHECK(refusal("[1,\n 2") == "x: line 2, byte 6: the text ends too early, it is cut off");
    CHECK(refusal("{}\n{}") == "x: line 2, byte 3: something follows the end of the value");
    CHECK(
        refusal("[1,]") ==
        "x: line 1, byte 3: a value (a string in quotation marks, a number, true, false, null, an array, an object) is needed here, not \"]\"");
    CHECK(refusal("<html>").ends_with(
        " is needed here, not \"<\"; it looks like an HTML page; perhaps a download that asked for a log-in"));
    CHECK(refusal("[1 2]") == "x: line 1, byte 3: a comma or ] is needed here, not \"2\"");
    CHECK(refusal("{\"a\" 1}") == "x: line 1, byte 5: a colon is needed here, not \"1\"");
    CHECK(refusal("{\"a\":1 \"b\"}") == "x: line 1, byte 7: a comma or } is needed here, not \"\\\"\"");
    CHECK(refusal("{a:1}") == "x: line 1, byte 1: the name of a member, in quotation marks, is needed here, not \"a\"");
    CHECK(refusal("{\"a\":1,}") == "x: line 1, byte 7: the name of a member, in quotation marks, is needed here, not \"}\"");
    CHECK(refusal("{\"a\":1,\"a\":2}") == "x: line 1, byte 0: the object has two members \"a\"");
    CHECK(
        refusal("nul!") ==
        "x: line 1, byte 0: a value (a string in quotation marks, a number, true, false, null, an array, an object) is needed here, not \"n\"");
    CHECK(refusal("nul") == "x: line 1, byte 3: the text ends too early, it is cut off");
    CHECK(
        refusal("nan") ==
        "x: line 1, byte 0: a value (a string in quotation marks, a number, true, false, null, an array, an object) is needed here, not \"n\"");
    const std::string no_number = "; JSON has no NaN and no infinity, write null";
    for (const std::string words : {"[NaN]", "[-Infinity]", "[Infinity]"}) CHECK(refusal(words).ends_with(no_number));
    CHECK(refusal("[-Infinity]") == "x: line 1, byte 2: a digit is needed here, not \"I\"" + no_number);
    CHECK(refusal("01") == "x: line 1, byte 0: a number must not begin with 0");
    CHECK(refusal("-01") == "x: line 1, byte 0: a number must not begin with 0");
    CHECK(refusal("-") == "x: line 1, byte 1: the text ends too early, it is cut off");
    CHECK(refusal("-a") == "x: line 1, byte 1: a digit is needed here, not \"a\"");
    CHECK(refusal("1.") == "x: line 1, byte 2: the text ends too early, it is cut off");
    CHECK(refusal("[1.]") == "x: line 1, byte 3: a digit is needed here, not \"]\"");
    CHECK(refusal("[1e+]") == "x: line 1, byte 4: a digit is needed here, not \"]\"");
    CHECK(refusal("[-.5]") == "x: line 1, byte 2: a digit is needed here, not \".\"");
    CHECK(refusal("[1.,2]") == "x: line 1, byte 3: a digit is needed here, not \",\"");
    CHECK(refusal("1e999") == "x: line 1, byte 0: the number 1e999 is too large");
    CHECK(refusal("\"a") == "x: line 1, byte 2: the text ends too early, it is cut off");
    CHECK(refusal("\"a\\") == "x: line 1, byte 0: the string that begins here does not end");
    CHECK(refusal("\"\\x\"") == "x: line 1, byte 1: \"\\\\x\" is not an escape; a backslash is written as two");
    CHECK(refusal("\"\\u12g4\"") == "x: line 1, byte 5: a hexadecimal digit, one of four, is needed here, not \"g\"");
    CHECK(refusal("\"\\uD800\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uD800\\n\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uD800\\u0041\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uDC00\\uD800\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"a\nb\"") == "x: line 1, byte 2: a control character inside a string must be escaped");
    CHECK(refusal("\"a\xFF\"") == "x: line 1, byte 2: these bytes are not UTF-8");
    CHECK(refusal(std::string(300, '[')) == "x: line 1, byte 200: arrays and objects lie too deep inside one another");
}

TEST_CASE("parse_json: two hundred nested arrays are read, one more is refused") {
    CHECK(refusal(std::string(200, '[') + std::string(200, ']')) == "");
    CHECK(refusal(std::string(201, '[') + std::string(201, ']')) != "");
    std::string objects;
    for (int depth = 0; depth < 201; ++depth) objects += "{\"a\":";
    CHECK(refusal(objects) == "x: line 1, byte 1000: arrays and objects lie too deep inside one another");
}

TEST_CASE("parse_json: more values than allowed are refused") {
    CHECK_NOTHROW(parse_json("[0,0,0]", "x", 4));
    CHECK_THROWS_WITH(parse_json("[0,0,0]", "x", 3), "x: line 1, byte 5: more than 3 values");
}

TEST_CASE("parse_json: a truncated text is refused, wherever it is cut") {
    const std::string whole = R"({"a": [1.5e-3, "\u00e9\ud83d\ude00\n", true], "b": {"c": null}})";
    CHECK(refusal(whole) == "");
    for (std::size_t length = 0; length < whole.size(); ++length) CHECK_MESSAGE(refusal(whole.substr(0, length)) != "", length);
}

TEST_CASE("json_string, json_text: can be parsed back") {
    const std::string words =
        "quote \" slash \\ newline \n tab \t zero " + std::string(1, '\0') + " delete \x7F \u00e9\U0001F600";
    CHECK(parse_json(json_string(words), "x").string == words);
    CHECK(json_string("a\n\"") == R"("a\n\"")");
    CHECK(json_string("\x01") == R"("\u0001")");
    CHECK(json_string("a b\x1F\x7F") == R"("a b\u001f\u007f")");
    CHECK(json_string("\xFF") == "\"\uFFFD\"");
    const std::string text = R"({"a":[1,-2.5,0.1,1e+300,true,false,null],"b":{"c":"d"},"e":[],"f":{}})";
    CHECK(json_text(parse_json(text, "x")) == text);
    CHECK(parse_json(json_text(parse_json("0.1234567890123456789", "x")), "x").number == 0.1234567890123456789);
    Json infinite;
    infinite.kind = Json::Kind::number;
    infinite.number = INFINITY;
    CHECK_THROWS_WITH(json_text(infinite), "json: inf cannot be written, JSON has no way to write it");
}

TEST_CASE("read_json: errors name the file") {
    const TemporaryFolder folder;
    const std::string path = folder.file("a.json", "{\n");
    CHECK(error_of([&] { read_json(path); }) == path + ": line 2, byte 2: the text ends too early, it is cut off");
    CHECK(read_json(folder.file("b.json", "[1]")).items.size() == 1);
}

TEST_CASE("parse_json: a low surrogate without a high one is refused") {
    CHECK(refusal("\"\\uDC00\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uDFFFabc\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uDC00\\uDC00\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uD800\\uD800\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(parse_json(R"("\uD800\uDC00\uDBFF\uDFFF")", "x").string == "\U00010000\U0010FFFF");
    CHECK(parse_json(R"("\uD7FF\uE000")", "x").string == "\uD7FF\uE000");
}

TEST_CASE("parse_json, read_json: a byte order mark is skipped at the front and refused elsewhere") {
    const std::string mark = "\xEF\xBB\xBF";
    CHECK(parse_json(mark + "[1]", "x").items.size() == 1);
    CHECK(
        refusal(mark + mark + "[1]") ==
        "x: line 1, byte 3: a value (a string in quotation marks, a number, true, false, null, an array, an object) is needed here, not \"\uFEFF\"");
    CHECK(refusal("[1]" + mark) == "x: line 1, byte 3: something follows the end of the value");
    const TemporaryFolder folder;
    CHECK(read_json(folder.file("a.json", mark + "{}")).members.empty());
}

TEST_CASE("read_json: a file of another kind is named") {
    const TemporaryFolder folder;
    const std::string path = folder.file("vocab.json", "\x1F\x8B\x08 and so on");
    CHECK(error_of([&] { read_json(path); }) ==
          path + ": is not text, it looks like a file compressed with gzip; unpack it first: gunzip -k FILE");
}

TEST_CASE("visit_members: each member in order, and the value limit is that of one member") {
    std::string seen;
    const auto visit = [&](const JsonMember& member) { seen += member.name + "=" + json_text(member.value) + ";"; };
    visit_members(R"( {"b": [1, 2], "a": {"c": null}} )", "x", 3, visit);
    CHECK(seen == R"(b=[1,2];a={"c":null};)");
    seen.clear();
    visit_members("{}", "x", 1, visit);
    CHECK(seen.empty());
    const auto error = [&](const std::string& text) { return error_of([&] { visit_members(text, "x", 3, visit); }); };
    CHECK(error("[1]") == "x: line 1, byte 0: an object is needed here, not \"[\"");
    CHECK(error("{\"a\": [1, 2, 3]}") == "x: line 1, byte 13: more than 3 values");
    CHECK(error("{\"a\": 1} {}") == "x: line 1, byte 9: something follows the end of the value");
    CHECK(error("{\"a\": 1,}") == "x: line 1, byte 8: the name of a member, in quotation marks, is needed here, not \"}\"");
    CHECK(error("{\"a\": 1") == "x: line 1, byte 7: the text ends too early, it is cut off");
}

TEST_CASE("visit_members: the object counts as one of two hundred nested ones") {
    const auto error = [](std::size_t arrays) {
        const std::string text = "{\"a\":" + std::string(arrays, '[') + std::string(arrays, ']') + "}";
        return error_of([&] { visit_members(text, "x", 300, [](const JsonMember&) {}); });
    };
    CHECK(error(199) == "");
    CHECK(error(200) == "x: line 1, byte 204: arrays and objects lie too deep inside one another");
}

TEST_CASE("brief_string: up to 80 bytes unchanged, of more the first 60, never part of a character") {
    CHECK(brief_string("a\n") == R"("a\n")");
    CHECK(brief_string(std::string(80, 'a')) == "\"" + std::string(80, 'a') + "\"");
    CHECK(brief_string(std::string(81, 'a')) == "\"" + std::string(60, 'a') + "\"... (81 bytes)");
    std::string euros;
    for (int k = 0; k < 30; ++k) euros += "\u20AC";  // 3 bytes each, 60 is the end of one
    CHECK(brief_string(euros) == "\"" + euros.substr(0, 60) + "\"... (90 bytes)");
    CHECK(brief_string("a" + euros) == "\"a" + euros.substr(0, 57) + "\"... (91 bytes)");
}

TEST_CASE("read_json: a file of another kind is refused with its kind; a number alone is JSON") {
    const TemporaryFolder folder;
    const std::string path = folder.file("a.json", "P6 1 1 255 abc");
    CHECK(error_of([&] { read_json(path); }) == path + ": is not a JSON file, it looks like a PPM or PGM image");
    CHECK(read_json(folder.file("b.json", "7")).number == 7);
    CHECK(read_json(folder.file("c.json", "{\"a\":1}")).members.size() == 1);
}

TEST_CASE("visit_members, require_no_added_tokens: a missing function is refused") {
    CHECK(error_of([] { visit_members("{\"a\": 1}", "t.json", 10, nullptr); }) ==
          "t.json: visit_members needs a function that takes each member");
    CHECK(error_of([] { require_no_added_tokens("no such file", nullptr); }) ==
          "no such file: require_no_added_tokens needs a function that knows the ids");
}

TEST_CASE("require_no_added_tokens: tokens that the vocabulary holds under the same id are no addition") {
    const TemporaryFolder folder;
    const auto id_of = [](const std::string& token) { return token == "[PAD]" ? 3 : -1; };
    const auto refusal = [&](const char* text) {
        return error_of([&] { require_no_added_tokens(folder.file("added.json", text), id_of); });
    };
    CHECK(error_of([&] { require_no_added_tokens(folder.path("none.json"), id_of); }) == "");
    CHECK(refusal("null") == "");
    CHECK(refusal("{\"[PAD]\": 3}") == "");
    CHECK(refusal("{\"[PAD]\": 4}")
              .ends_with(": line 1: adds the token \"[PAD]\" with the id \"4\"; added tokens are not read here, "
                         "and without them a text would get other ids"));
    CHECK(refusal("{\"[PAD]\": 3,\n\"new\": 0}").find(": line 2: adds the token \"new\" with the id \"0\"") != std::string::npos);
    CHECK(refusal("[3]").ends_with(": an object of tokens and their numbers is needed, as {\"[PAD]\": 50257}"));
}
