// json.h: parse and write JSON.
//
//   source   RFC 8259, strictly: no comments, no trailing comma, nothing after the value
//   note     Members keep the order of the file. A duplicate name in an object is an error. Numbers are doubles; whole numbers
//            that fit 64 bits are also kept exactly.
#pragma once
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/require.h"

struct JsonMember;

struct Json {
    enum class Kind { null, boolean, number, string, array, object };

    Kind kind = Kind::null;
    int line = 0;  // of the text, for messages
    bool boolean = false;
    bool whole = false;  // whether `integer` holds the number exactly
    double number = 0;
    std::int64_t integer = 0;
    std::string string;               // UTF-8; may hold the character U+0000
    std::vector<Json> items;          // of an array
    std::vector<JsonMember> members;  // of an object, in the order of the text

    // The value, converted.   throws std::invalid_argument with its actual type and its line
    bool as_boolean() const;
    double as_number() const;
    std::int64_t as_integer() const;
    int as_int() const;
    const std::string& as_string() const;
    const std::vector<Json>& as_array() const;
    const std::vector<JsonMember>& as_object() const;

    // The member of this name, or nullptr.   throws std::invalid_argument when this is not an object
    const Json* find(std::string_view name) const;
    // The same, but nullptr also for null, which files write instead of leaving a member out.
    const Json* find_unless_null(std::string_view name) const;
    // The same, but throws std::invalid_argument also when there is no such member.
    const Json& at(std::string_view name) const;
};

struct JsonMember {
    std::string name;
    Json value;
};

// Parses a text that is one value.
//   source       named in messages: a path, or a description of the text
//   most_values  a text with more values (an array counts as one, plus its items) is refused, because a value takes about 50
//                times as much memory as its text
//   throws       std::invalid_argument "source: line 3, byte 41: what is wrong"
Json parse_json(std::string_view text, std::string_view source, long most_values = 20'000'000);

// Visits the members of a text that is one object; each is released before the next is parsed, so that an object of a hundred
// thousand members needs the memory of one.
//   most_values  of a single member
//   throws       as parse_json, also when the text is not an object; members before the error have been visited then. Duplicate
//                names are not detected
void visit_members(std::string_view text, std::string_view source, long most_values,
                   const std::function<void(const JsonMember& member)>& visit);

// parse_json of a file. All three skip a byte order mark.
Json read_json(const std::string& path);

// What read() returns; an error of it that does not begin with the source gets it in front. The errors of as_integer() and its
// like name only a line.
template <class Read>
auto with_source(std::string_view source, const Read& read) {
    try {
        return read();
    } catch (const std::invalid_argument& error) {
        const std::string words = error.what();
        require(words.starts_with(source), source, ": ", words);
        throw;
    }
}

// Refuses an added_tokens.json, {"[PAD]": 50257}, of a tokenizer whose published code cuts such tokens out of a text first, and whose
// implementation here does not.
//   id_of   the id of a token in the tokenizer's own vocabulary, or -1: a token that is there with the same id adds nothing
//   throws  std::invalid_argument with the first token that is added; nothing for a path without a file
void require_no_added_tokens(const std::string& path, const std::function<int(const std::string& token)>& id_of);

// "a \"b\"\n" with the quotation marks: `words` as a JSON string. Invalid UTF-8 becomes U+FFFD.
std::string json_string(std::string_view words);

// The same for messages; of more than 80 bytes only about the first 60 and the length: "aaaa"... (1000000 bytes).
std::string brief_string(std::string_view words);

// The value as JSON in one line without spaces.
//   throws  std::invalid_argument for infinity and NaN, which JSON cannot represent
std::string json_text(const Json& value);
