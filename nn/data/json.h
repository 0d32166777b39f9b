// json.h: JSON text as a tree of values, and strings back into JSON text.
//
//   source   RFC 8259, strictly: no comments, no comma too many, nothing behind the value
//   note     Members keep the order of the file. A name that occurs twice in one object is refused, because every choice
//            between the two values would be a guess. Numbers are doubles; those written as whole numbers that fit 64 bits are
//            also kept exactly.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

struct JsonMember;

struct Json {
    enum class Kind { null, boolean, number, string, array, object };

    Kind kind = Kind::null;
    int line = 0;  // where it began in the text, for messages
    bool boolean = false;
    bool whole = false;  // a number that `integer` holds exactly
    double number = 0;
    std::int64_t integer = 0;
    std::string string;               // UTF-8; may hold the character U+0000
    std::vector<Json> items;          // of an array
    std::vector<JsonMember> members;  // of an object, in the order of the text

    // The value as what it must be.   throws std::invalid_argument that says what it is instead, and in which line
    bool as_boolean() const;
    double as_number() const;
    std::int64_t as_integer() const;
    int as_int() const;
    const std::string& as_string() const;
    const std::vector<Json>& as_array() const;
    const std::vector<JsonMember>& as_object() const;

    // The member of this name; nullptr when there is none.   throws std::invalid_argument when this is no object
    const Json* find(std::string_view name) const;
    // The same, but throws std::invalid_argument also when there is none.
    const Json& at(std::string_view name) const;
};

struct JsonMember {
    std::string name;
    Json value;
};

// Reads one value that fills the text from end to end.
//   source       named in messages: a path, or what the text is
//   most_values  a text with more values (an array counts as one, and each of its items) is refused: a value takes about 50 times
//                the memory of the two letters that may ask for one
//   throws       std::invalid_argument "source: line 3, byte 41: what is wrong"
Json parse_json(std::string_view text, std::string_view source, long most_values = 20'000'000);

// The members of the object that fills the text from end to end, one after the other; each is let go before the next is read, so
// that an object of a hundred thousand members needs the memory of one.
//   most_values  of a single member
//   throws       as parse_json, also when the text is another kind of value; members before the mistake have been visited then.
//                Two members of one name are for the visitor to refuse
void visit_members(std::string_view text, std::string_view source, long most_values,
                   const std::function<void(const JsonMember& member)>& visit);

// parse_json of a file. A byte order mark at its front is skipped, here and in the two above.
Json read_json(const std::string& path);

// "a \"b\"\n" with the quotation marks: `words` as a JSON string. Bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view words);

// The same for messages: of more than 80 bytes only the first 60, and how many there are: "aaaa"... (1000000 bytes).
std::string brief_string(std::string_view words);

// The value in one line without spaces; parse_json(json_text(v)) is v again.
//   throws  std::invalid_argument for a number that is infinite or not a number: JSON has no word for it
std::string json_text(const Json& value);
