#include "nn/data/json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"

static constexpr int deepest = 200;  // levels of nesting; real files stay below 10

static const char* kind_name(Json::Kind kind) {
    switch (kind) {
        case Json::Kind::null: return "null";
        case Json::Kind::boolean: return "a truth value";
        case Json::Kind::number: return "a number";
        case Json::Kind::string: return "a string";
        case Json::Kind::array: return "an array";
        case Json::Kind::object: return "an object";
    }
    return "nothing";
}

static void require_kind(const Json& value, Json::Kind wanted) {
    require(value.kind == wanted, "json: line ", value.line, ": ", kind_name(wanted), " is needed, this is ",
            kind_name(value.kind));
}

bool Json::as_boolean() const {
    require_kind(*this, Kind::boolean);
    return boolean;
}

double Json::as_number() const {
    require_kind(*this, Kind::number);
    return number;
}

std::int64_t Json::as_integer() const {
    require_kind(*this, Kind::number);
    require(whole, "json: line ", line, ": a whole number of at most 64 bits is needed, this is ", number);
    return integer;
}

int Json::as_int() const {
    const std::int64_t wide = as_integer();
    require(wide == static_cast<int>(wide), "json: line ", line, ": ", wide, " does not fit an int");
    return static_cast<int>(wide);
}

const std::string& Json::as_string() const {
    require_kind(*this, Kind::string);
    return string;
}

const std::vector<Json>& Json::as_array() const {
    require_kind(*this, Kind::array);
    return items;
}

const std::vector<JsonMember>& Json::as_object() const {
    require_kind(*this, Kind::object);
    return members;
}

const Json* Json::find(std::string_view name) const {
    for (const JsonMember& member : as_object())
        if (member.name == name) return &member.value;
    return nullptr;
}

const Json* Json::find_unless_null(std::string_view name) const {
    const Json* const value = find(name);
    return value == nullptr || value->kind == Kind::null ? nullptr : value;
}

const Json& Json::at(std::string_view name) const {
    const Json* const value = find(name);
    require(value != nullptr, "json: line ", line, ": the object has no member ", brief_string(name));
    return *value;
}

namespace {
// A recursive-descent parser; each function leaves `at` after what it has read.
class JsonParser {
public:
    JsonParser(std::string_view given, std::string_view source, long most_values)
        : text(given), source(source), most_values(most_values), values_left(most_values) {
        at = text.size() - without_byte_order_mark(text).size();
    }

    // text: spaces value spaces
    Json whole_text() {
        Json value = any_value(0);
        refuse_rest();
        return value;
    }

    // text: spaces { } spaces | spaces { string : value, ..., string : value } spaces
    void members_of_whole_text(const std::function<void(const JsonMember& member)>& visit) {
        skip_spaces();
        if (peek() != '{') needs("an object");
        visit_each_member(visit);
        refuse_rest();
    }

private:
    std::string_view text, source;
    long most_values, values_left;
    std::size_t at = 0;
    std::size_t counted_to = 0;  // lines have been counted up to here
    int line = 1;

    [[noreturn]] void wrong(std::size_t byte, std::string_view what) {
        const long line_number = 1 + std::count(text.begin(), text.begin() + byte, '\n');
        require(false, source, ": line ", line_number, ", byte ", byte, ": ", what);
        std::abort();
    }

    void refuse_rest() {
        skip_spaces();
        if (at < text.size()) wrong(at, "something follows the end of the value");
    }

    [[noreturn]] void wrong_end() { wrong(text.size(), "the text ends too early, it is cut off"); }

    // "WHAT is needed here, not "x"", the character that stands there; the text must not end here.
    [[noreturn]] void needs(const std::string& what) {
        const std::string_view rest = text.substr(at, 4);  // a character has at most 4 bytes
        const std::string found = ", not " + json_string(encode_utf8(decode_utf8(rest).front()));
        const std::string kind = kind_of_bytes(text.substr(0, 512));
        const bool no_number = rest.starts_with("NaN") || rest.starts_with("Inf");  // Python writes them
        const std::string cure = no_number ? "; JSON has no NaN and no infinity, write null" : "";
        wrong(at, what + " is needed here" + found + cure +
                      (kind.empty() || kind.starts_with("JSON") ? "" : "; it looks like " + kind));
    }

    char peek() {
        if (at >= text.size()) wrong_end();
        return text[at];
    }

    void skip_spaces() {
        while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) ++at;
    }

    int current_line() {
        for (; counted_to < at; ++counted_to) line += text[counted_to] == '\n';
        return line;
    }

    // value: null | true | false | number | string | array | object
    Json any_value(int depth) {
        skip_spaces();
        if (--values_left < 0) wrong(at, "more than " + std::to_string(most_values) + " values");
        Json value;
        value.line = current_line();
        const char first = peek();
        if (first == '{') {
            object_members(value, depth);
        } else if (first == '[') {
            array_items(value, depth);
        } else if (first == '"') {
            value.kind = Json::Kind::string;
            value.string = string_characters();
        } else if (first == '-' || (first >= '0' && first <= '9')) {
            number_digits(value);
        } else {
            literal_word(value);
        }
        return value;
    }

    void literal_word(Json& value) {
        static constexpr std::string_view words[] = {"null", "false", "true"};
        for (const std::string_view word : words) {
            const std::string_view here = text.substr(at, word.size());
            if (here.size() < word.size() && word.substr(0, here.size()) == here) wrong_end();
            if (here != word) continue;
            value.kind = word == "null" ? Json::Kind::null : Json::Kind::boolean;
            value.boolean = word == "true";
            at += word.size();
            return;
        }
        needs("a value (a string in quotation marks, a number, true, false, null, an array, an object)");
    }

    // array: [ ] | [ value, ..., value ]
    void array_items(Json& value, int depth) {
        value.kind = Json::Kind::array;
        if (depth >= deepest) wrong(at, "arrays and objects lie too deep inside one another");
        ++at;
        skip_spaces();
        if (peek() == ']') {
            ++at;
            return;
        }
        do {
            value.items.push_back(any_value(depth + 1));
        } while (comma_or(']'));
    }

    // object: { } | { string : value, ..., string : value }
    void object_members(Json& value, int depth) {
        value.kind = Json::Kind::object;
        const std::size_t begin = at;
        if (depth >= deepest) wrong(at, "arrays and objects lie too deep inside one another");
        ++at;
        skip_spaces();
        if (peek() == '}') {
            ++at;
            return;
        }
        do {
            std::string name = member_name();
            value.members.push_back({std::move(name), any_value(depth + 1)});
        } while (comma_or('}'));
        refuse_twins(value, begin);
    }

    // Of the outermost object, so each member lies at depth 1.
    void visit_each_member(const std::function<void(const JsonMember& member)>& visit) {
        ++at;
        skip_spaces();
        if (peek() == '}') {
            ++at;
            return;
        }
        do {
            values_left = most_values;
            std::string name = member_name();
            visit({std::move(name), any_value(1)});
        } while (comma_or('}'));
    }

    // member: spaces string spaces :
    std::string member_name() {
        skip_spaces();
        if (peek() != '"') needs("the name of a member, in quotation marks,");
        std::string name = string_characters();
        skip_spaces();
        if (peek() != ':') needs("a colon");
        ++at;
        return name;
    }

    // After an item: true for a comma, false for the closing bracket.
    bool comma_or(char closing) {
        skip_spaces();
        const char here = peek();
        if (here != ',' && here != closing) needs(closing == ']' ? "a comma or ]" : "a comma or }");
        ++at;
        return here == ',';
    }

    void refuse_twins(const Json& object, std::size_t begin) {
        std::vector<std::string_view> names;
        names.reserve(object.members.size());
        for (const JsonMember& member : object.members) names.push_back(member.name);
        std::sort(names.begin(), names.end());
        const auto twin = std::adjacent_find(names.begin(), names.end());
        if (twin != names.end()) wrong(begin, "the object has two members " + brief_string(*twin));
    }

    // string: " characters and escapes "
    std::string string_characters() {
        const std::size_t begin = at++;
        std::string result;
        while (true) {
            const std::size_t plain = at;
            while (peek() != '"' && text[at] != '\\') {
                if (static_cast<unsigned char>(text[at]) < 0x20) wrong(at, "a control character inside a string must be escaped");
                ++at;
            }
            const std::string_view run = text.substr(plain, at - plain);
            const std::size_t valid = valid_utf8_length(run);
            if (valid < run.size()) wrong(plain + valid, "these bytes are not UTF-8");
            result += run;
            if (text[at++] == '"') break;
            result += escaped_character(begin);
        }
        return result;
    }

    // After the backslash.
    std::string escaped_character(std::size_t string_begin) {
        if (at >= text.size()) wrong(string_begin, "the string that begins here does not end");
        const std::size_t backslash = at - 1;
        switch (text[at++]) {
            case '"': return "\"";
            case '\\': return "\\";
            case '/': return "/";
            case 'b': return "\b";
            case 'f': return "\f";
            case 'n': return "\n";
            case 'r': return "\r";
            case 't': return "\t";
            case 'u': return unicode_character(backslash);
        }
        wrong(backslash, json_string(text.substr(backslash, 2)) + " is not an escape; a backslash is written as two");
    }

    // Characters beyond U+FFFF are written as two escapes: 10 bits of (character - 0x10000) in each.
    std::string unicode_character(std::size_t backslash) {
        const char32_t first = four_hex_digits();
        if (first < 0xD800 || first > 0xDFFF) return encode_utf8(first);
        const bool second_follows = first < 0xDC00 && text.substr(at, 2) == "\\u";
        if (!second_follows) wrong(backslash, "half a surrogate pair");
        at += 2;
        const char32_t second = four_hex_digits();
        if (second < 0xDC00 || second > 0xDFFF) wrong(backslash, "half a surrogate pair");
        return encode_utf8(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
    }

    char32_t four_hex_digits() {
        char32_t number = 0;
        for (int k = 0; k < 4; ++k) {
            const char digit = peek();
            const std::string_view digits = "0123456789abcdef";
            const std::size_t value = digits.find(digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit);
            if (value == std::string_view::npos) needs("a hexadecimal digit, one of four,");
            number = number * 16 + static_cast<char32_t>(value);
            ++at;
        }
        return number;
    }

    // number: [-] (0 | 1-9 digits) [. digits] [e [+|-] digits]
    void number_digits(Json& value) {
        value.kind = Json::Kind::number;
        const std::size_t begin = at;
        if (peek() == '-') ++at;
        const std::size_t first_digit = at;
        skip_digits();
        if (text[first_digit] == '0' && at > first_digit + 1) wrong(begin, "a number must not begin with 0");
        if (at < text.size() && text[at] == '.') {
            ++at;
            skip_digits();
        }
        if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
            ++at;
            if (peek() == '+' || peek() == '-') ++at;
            skip_digits();
        }
        const std::string_view digits = text.substr(begin, at - begin);
        const std::optional<double> number = decimal_number(digits);
        if (!number) wrong(begin, "the number " + std::string(digits.substr(0, 40)) + " is too large");
        value.number = *number;
        const std::optional<long> integer = whole_number(digits);  // none with a point or an exponent
        value.whole = integer.has_value();
        value.integer = integer.value_or(0);
    }

    void skip_digits() {
        if (peek() < '0' || peek() > '9') needs("a digit");
        while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    }
};
}  // namespace

Json parse_json(std::string_view text, std::string_view source, long most_values) {
    return JsonParser(text, source, most_values).whole_text();
}

void visit_members(std::string_view text, std::string_view source, long most_values,
                   const std::function<void(const JsonMember& member)>& visit) {
    require(static_cast<bool>(visit), source, ": visit_members needs a function that takes each member");
    JsonParser(text, source, most_values).members_of_whole_text(visit);
}

Json read_json(const std::string& path) {
    const std::string text = read_text_file(path);
    const std::string kind = kind_of_bytes(text.substr(0, 512));
    require(kind.empty() || kind.starts_with("JSON"), path, ": is not a JSON file, it looks like ", kind);
    return parse_json(text, path);
}

std::string json_string(std::string_view words) {
    std::string result = "\"";
    for (const char32_t c : decode_utf8(words)) {
        if (c == '"' || c == '\\') {
            result += '\\';
            result += static_cast<char>(c);
        } else if (c == '\n') {
            result += "\\n";
        } else if (c < 0x20 || c == 0x7F) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            result += escape;
        } else {
            result += encode_utf8(c);
        }
    }
    return result + '"';
}

void require_no_added_tokens(const std::string& path, const std::function<int(const std::string&)>& id_of) {
    require(static_cast<bool>(id_of), path, ": require_no_added_tokens needs a function that knows the ids");
    if (!is_file(path)) return;
    const Json json = read_json(path);
    if (json.kind == Json::Kind::null) return;
    require(json.kind == Json::Kind::object, path, ": an object of tokens and their numbers is needed, as {\"[PAD]\": 50257}");
    for (const JsonMember& member : json.members)
        require(member.value.whole && member.value.integer == id_of(member.name), path, ": line ", member.value.line,
                ": adds the token ", brief_string(member.name), " with the id ", brief_string(json_text(member.value)),
                "; added tokens are not read here, and without them a text would get other ids");
}

std::string brief_string(std::string_view words) {
    if (words.size() <= 80) return json_string(words);
    std::size_t end = 60;
    while (end > 50 && (words[end] & 0xC0) == 0x80) --end;  // do not cut a multi-byte character
    return json_string(words.substr(0, end)) + "... (" + text(words.size()) + " bytes)";
}

// The fewest digits that read back as the same number.
static std::string number_text(const Json& value) {
    if (value.whole) return std::to_string(value.integer);
    require(std::isfinite(value.number), "json: ", value.number, " cannot be written, JSON has no way to write it");
    std::string digits;
    for (int precision = 15; precision <= 17; ++precision) {
        digits = short_digits(value.number, precision);
        if (decimal_number(digits) == value.number) break;
    }
    return digits;
}

std::string json_text(const Json& value) {
    switch (value.kind) {
        case Json::Kind::null: return "null";
        case Json::Kind::boolean: return value.boolean ? "true" : "false";
        case Json::Kind::number: return number_text(value);
        case Json::Kind::string: return json_string(value.string);
        case Json::Kind::array: {
            std::string result;
            for (const Json& item : value.items) result += (result.empty() ? "" : ",") + json_text(item);
            return "[" + result + "]";
        }
        case Json::Kind::object: {
            std::string result;
            for (const JsonMember& member : value.members)
                result += (result.empty() ? "" : ",") + json_string(member.name) + ":" + json_text(member.value);
            return "{" + result + "}";
        }
    }
    return "";
}
