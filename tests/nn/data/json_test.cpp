#include "nn/data/json.h"

#include <cmath>

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("json");

static std::string refusal(const std::string& text) {
    return error_of([&] { parse_json(text, "x"); });
}

TEST_CASE("every kind of value, in the order of the text") {
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
}

TEST_CASE("whole numbers of 64 bits are exact, larger ones are doubles") {
    CHECK(parse_json("9007199254740993", "x").as_integer() == 9007199254740993);  // 2^53 + 1: no double
    CHECK(parse_json("-9223372036854775808", "x").as_integer() == INT64_MIN);
    const Json large = parse_json("9223372036854775808", "x");
    CHECK(!large.whole);
    CHECK(large.as_number() == 0x1p63);
    CHECK(parse_json("-0", "x").as_integer() == 0);
    CHECK(!parse_json("1.0", "x").whole);
}

TEST_CASE("escapes, surrogate pairs and the character 0") {
    CHECK(parse_json(R"("\"\\\/\b\f\n\r\t")", "x").string == "\"\\/\b\f\n\r\t");
    CHECK(parse_json(R"("\u00e9\u4E2d")", "x").string == "\u00e9\u4e2d");
    CHECK(parse_json(R"("\uD83D\uDE00")", "x").string == "\U0001F600");
    CHECK(parse_json(R"("a\u0000b")", "x").string == std::string("a\0b", 3));
    CHECK(parse_json(R"("\uFFFF")", "x").string == "\uFFFF");
}

TEST_CASE("a value that is something else says what and where") {
    const Json value = parse_json("{\"a\":\n [1.5, \"b\", 3000000000]}", "x");
    CHECK_THROWS_WITH(value.at("a").as_string(), "json: line 2: a string is needed, this is an array");
    CHECK_THROWS_WITH(value.at("b"), "json: line 1: the object has no member \"b\"");
    CHECK_THROWS_WITH(value.at("a").find("b"), "json: line 2: an object is needed, this is an array");
    CHECK_THROWS_WITH(value.at("a").items[0].as_integer(),
                      "json: line 2: a whole number of at most 64 bits is needed, this is 1.500000");
    CHECK_THROWS_WITH(value.at("a").items[2].as_int(), "json: line 2: 3000000000 does not fit an int");
    CHECK_THROWS_WITH(value.at("a").items[1].as_number(), "json: line 2: a number is needed, this is a string");
    CHECK_THROWS_WITH(value.as_array(), "json: line 1: an array is needed, this is an object");
    CHECK_THROWS_WITH(value.as_boolean(), "json: line 1: a truth value is needed, this is an object");
}

TEST_CASE("what is no JSON is refused in one line with its place") {
    CHECK(refusal("") == "x: line 1, byte 0: the text ends too early");
    CHECK(refusal("[1,\n 2") == "x: line 2, byte 6: the text ends too early");
    CHECK(refusal("{}\n{}") == "x: line 2, byte 3: something stands behind the end of the value");
    CHECK(refusal("[1,]") == "x: line 1, byte 3: a value is needed here");
    CHECK(refusal("[1 2]") == "x: line 1, byte 3: a comma or ] is needed here");
    CHECK(refusal("{\"a\" 1}") == "x: line 1, byte 5: a colon is needed here");
    CHECK(refusal("{\"a\":1 \"b\"}") == "x: line 1, byte 7: a comma or } is needed here");
    CHECK(refusal("{a:1}") == "x: line 1, byte 1: the name of a member is needed here, in quotation marks");
    CHECK(refusal("{\"a\":1,}") == "x: line 1, byte 7: the name of a member is needed here, in quotation marks");
    CHECK(refusal("{\"a\":1,\"a\":2}") == "x: line 1, byte 0: the object has two members \"a\"");
    CHECK(refusal("nul!") == "x: line 1, byte 0: a value is needed here");
    CHECK(refusal("nul") == "x: line 1, byte 3: the text ends too early");
    CHECK(refusal("nan") == "x: line 1, byte 0: a value is needed here");
    CHECK(refusal("01") == "x: line 1, byte 0: a number must not begin with 0");
    CHECK(refusal("-01") == "x: line 1, byte 0: a number must not begin with 0");
    CHECK(refusal("-") == "x: line 1, byte 1: the text ends too early");
    CHECK(refusal("-a") == "x: line 1, byte 1: a digit is needed here");
    CHECK(refusal("1.") == "x: line 1, byte 2: the text ends too early");
    CHECK(refusal("[1.]") == "x: line 1, byte 3: a digit is needed here");
    CHECK(refusal("[1e+]") == "x: line 1, byte 4: a digit is needed here");
    CHECK(refusal("1e999") == "x: line 1, byte 0: this number is too large");
    CHECK(refusal("\"a") == "x: line 1, byte 2: the text ends too early");
    CHECK(refusal("\"a\\") == "x: line 1, byte 0: the string that begins here does not end");
    CHECK(refusal("\"\\x\"") == "x: line 1, byte 1: no such escape");
    CHECK(refusal("\"\\u12g4\"") == "x: line 1, byte 5: four hexadecimal digits are needed here");
    CHECK(refusal("\"\\uD800\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uD800\\n\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uD800\\u0041\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"\\uDC00\\uD800\"") == "x: line 1, byte 1: half a surrogate pair");
    CHECK(refusal("\"a\nb\"") == "x: line 1, byte 2: a control character inside a string must be escaped");
    CHECK(refusal("\"a\xFF\"") == "x: line 1, byte 2: these bytes are no UTF-8");
    CHECK(refusal(std::string(300, '[')) == "x: line 1, byte 200: arrays and objects lie too deep inside one another");
}

TEST_CASE("two hundred arrays inside one another are read, one more is not") {
    CHECK(refusal(std::string(200, '[') + std::string(200, ']')) == "");
    CHECK(refusal(std::string(201, '[') + std::string(201, ']')) != "");
    std::string objects;
    for (int depth = 0; depth < 201; ++depth) objects += "{\"a\":";
    CHECK(refusal(objects) == "x: line 1, byte 1000: arrays and objects lie too deep inside one another");
}

TEST_CASE("more values than allowed are refused") {
    CHECK_NOTHROW(parse_json("[0,0,0]", "x", 4));
    CHECK_THROWS_WITH(parse_json("[0,0,0]", "x", 3), "x: line 1, byte 5: too many values");
}

TEST_CASE("a text cut off anywhere is refused") {
    const std::string whole = R"({"a": [1.5e-3, "\u00e9\ud83d\ude00\n", true], "b": {"c": null}})";
    CHECK(refusal(whole) == "");
    for (std::size_t length = 0; length < whole.size(); ++length) CHECK_MESSAGE(refusal(whole.substr(0, length)) != "", length);
}

TEST_CASE("json_string and json_text can be read back") {
    const std::string words =
        "quote \" slash \\ newline \n tab \t zero " + std::string(1, '\0') + " delete \x7F \u00e9\U0001F600";
    CHECK(parse_json(json_string(words), "x").string == words);
    CHECK(json_string("a\n\"") == R"("a\n\"")");
    CHECK(json_string("\x01") == R"("\u0001")");
    CHECK(json_string("\xFF") == "\"\uFFFD\"");
    const std::string text = R"({"a":[1,-2.5,0.1,1e+300,true,false,null],"b":{"c":"d"},"e":[],"f":{}})";
    CHECK(json_text(parse_json(text, "x")) == text);
    CHECK(parse_json(json_text(parse_json("0.1234567890123456789", "x")), "x").number == 0.1234567890123456789);
    Json infinite;
    infinite.kind = Json::Kind::number;
    infinite.number = INFINITY;
    CHECK_THROWS_WITH(json_text(infinite), "json: inf cannot be written, JSON has no word for it");
}

TEST_CASE("a file is named in the error") {
    const TemporaryFolder folder;
    const std::string path = folder.file("a.json", "{\n");
    CHECK(error_of([&] { read_json(path); }) == path + ": line 2, byte 2: the text ends too early");
    CHECK(read_json(folder.file("b.json", "[1]")).items.size() == 1);
}
