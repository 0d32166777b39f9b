// json.cpp: any bytes as JSON. What is read can be written, and reading that gives the same text again.
// covers nn/data/json.cpp JsonParser|parse_json|json_text|json_string|number_text|visit_members
#include "nn/data/json.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string text;
    try {
        text = json_text(parse_json({reinterpret_cast<const char*>(data), size}, "fuzz"));
    } catch (const std::invalid_argument&) {
        return 0;
    }
    if (json_text(parse_json(text, "fuzz")) != text) std::abort();
    try {  // the members visited one by one equal those of the whole object
        std::string members;
        visit_members(text, "fuzz", 1000, [&](const JsonMember& member) {
            members += (members.empty() ? "" : ",") + json_string(member.name) + ":" + json_text(member.value);
        });
        if ("{" + members + "}" != text) std::abort();
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
