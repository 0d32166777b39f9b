#include "walkthroughs/page/trace_page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "walkthroughs/page/html.h"
#include "walkthroughs/page/page.h"

// ---- the lines of source ----------------------------------------------------------------------------------------------------

namespace {
// The files that were asked for, each read once.
class Sources {
public:
    // "" for a file that has moved since compilation.
    std::string line(const char* file, unsigned number) {
        if (files.count(file) == 0)
            files[file] = *file != '\0' && is_file(file) ? split_lines(read_file(file)) : std::vector<std::string>{};
        const std::vector<std::string>& lines = files[file];
        if (number == 0 || number > lines.size()) return "";
        const std::string& whole = lines[number - 1];
        return whole.substr(std::min(whole.find_first_not_of(' '), whole.size()));
    }

private:
    std::map<std::string, std::vector<std::string>> files;
};
}  // namespace

static bool is_name_letter(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '.';
}

// "scores" of "const Var scores = matmul_transposed(q, k);", "steps.query" of "steps.query = linear(x, w.query);".
static std::string name_on_the_left(const std::string& code) {
    const std::size_t sign = code.find(" = ");
    if (sign == std::string::npos || sign > code.find("//")) return "";  // a comment names nothing
    std::size_t first = sign;
    while (first > 0 && is_name_letter(code[first - 1])) --first;
    return code.substr(first, sign - first);
}

// The arguments of the first call of this function: {"q", "k"} of "matmul_transposed(q, k)".
static std::vector<std::string> arguments_of(const std::string& code, const std::string& function) {
    const std::size_t call = code.find(function + "(");
    std::vector<std::string> arguments;
    if (call == std::string::npos) return arguments;
    std::string argument;
    int depth = 0;
    for (std::size_t k = call + function.size() + 1; k < code.size() && depth >= 0; ++k) {
        depth += code[k] == '(' || code[k] == '{' || code[k] == '[';
        depth -= code[k] == ')' || code[k] == '}' || code[k] == ']';
        if (depth < 0 || (depth == 0 && code[k] == ',')) {
            arguments.push_back(argument);
            argument.clear();
        } else if (!(argument.empty() && code[k] == ' ')) {
            argument += code[k];
        }
    }
    return arguments;
}

// The name that this line of source has for an input of its operation: "w.query.weight" for input 1 of linear(x, w.query).
static std::string name_of_argument(const std::string& code, const std::string& operation, std::size_t input,
                                    std::size_t inputs) {
    const bool is_norm = operation == "layer_norm" || operation == "rms_norm";
    const std::vector<std::string> arguments = arguments_of(code, operation);
    if (arguments.size() < 2 && inputs > 1) return "";
    const bool packed = (operation == "linear" || is_norm) && input > 0;  // weight and bias come as one argument
    std::string name = packed ? arguments[1] : input < arguments.size() ? arguments[input] : "";
    if (!std::all_of(name.begin(), name.end(), is_name_letter)) return "";
    if (packed) name += input == 2 ? ".bias" : is_norm ? ".gain" : ".weight";
    return name;
}

std::vector<SourceNote> source_notes(const Trace& trace) {
    Sources sources;
    std::vector<SourceNote> notes(trace.values.size());
    for (std::size_t k = 0; k < notes.size(); ++k)
        if (!trace.values[k].inputs.empty())
            notes[k].code = sources.line(trace.values[k].where.file_name(), trace.values[k].where.line());
    for (std::size_t k = 0; k < notes.size(); ++k) {
        const TracedValue& traced = trace.values[k];
        // Of several operations in one line the last one computed the value on the left of the =.
        const bool last_of_line = k + 1 == notes.size() || notes[k + 1].code != notes[k].code;
        if (last_of_line) notes[k].name = name_on_the_left(notes[k].code);
        for (std::size_t which = 0; which < traced.inputs.size(); ++which) {
            const int input = traced.inputs[which];
            if (input < 0 || !trace.values[static_cast<std::size_t>(input)].inputs.empty()) continue;
            std::string& name = notes[static_cast<std::size_t>(input)].name;
            if (name.empty()) name = name_of_argument(notes[k].code, traced.operation, which, traced.inputs.size());
        }
    }
    return notes;
}

// ---- the data ---------------------------------------------------------------------------------------------------------------

static std::string floats(const Matrix& m) {
    std::string bytes(4 * m.size(), '\0');
    if (!m.empty()) std::memcpy(bytes.data(), m.begin(), bytes.size());
    return base64(bytes);
}

// Values that are too large together: the largest are left out.
static std::set<std::size_t> too_large(const Trace& trace, std::size_t most_numbers) {
    std::size_t total = 0;
    std::vector<std::pair<std::size_t, std::size_t>> sizes;  // numbers, value
    for (std::size_t k = 0; k < trace.values.size(); ++k) {
        sizes.emplace_back(trace.values[k].value.size() + trace.values[k].gradient.size(), k);
        total += sizes.back().first;
    }
    std::sort(sizes.rbegin(), sizes.rend());
    std::set<std::size_t> left_out;
    for (std::size_t n = 0; total > most_numbers; ++n) {
        total -= sizes[n].first;
        left_out.insert(sizes[n].second);
    }
    return left_out;
}

static std::string tables_json(const std::map<std::string, std::vector<float>>& tables) {
    std::string json = "{";
    for (const auto& [name, numbers] : tables) {
        json += (json == "{" ? "" : ",") + json_string(name) + ":[";
        for (std::size_t k = 0; k < numbers.size(); ++k)
            json += (k > 0 ? "," : "") + (std::isfinite(numbers[k]) ? short_digits(static_cast<double>(numbers[k]), 9) : "null");
        json += "]";
    }
    return json + "}";
}

static std::string value_json(const Trace& trace, int index, const SourceNote& note, bool with_numbers,
                              std::set<std::string>& formulas) {
    const TracedValue& traced = trace.values[static_cast<std::size_t>(index)];
    std::string inputs, gradients;
    for (std::size_t which = 0; which < traced.inputs.size(); ++which) {
        inputs += (which > 0 ? "," : "") + text(traced.inputs[which]);
        const std::string formula = gradient_formula(traced.explained, facts_of(trace, index), static_cast<int>(which));
        if (!formula.empty()) formulas.insert(formula);
        gradients += (which > 0 ? "," : "") + json_string(formula);
    }
    if (!traced.explained.value.empty()) formulas.insert(traced.explained.value);
    return joined({"{\"op\":",
                   json_string(traced.operation),
                   ",\"name\":",
                   json_string(note.name),
                   ",\"step\":",
                   json_string(traced.step),
                   ",\"file\":",
                   json_string(traced.inputs.empty() ? "" : traced.where.file_name()),
                   ",\"line\":",
                   static_cast<int>(traced.where.line()),
                   ",\"code\":",
                   json_string(note.code),
                   ",\"inputs\":[",
                   inputs,
                   "],\"r\":",
                   traced.value.rows,
                   ",\"c\":",
                   traced.value.cols,
                   ",\"f\":",
                   json_string(traced.explained.value),
                   ",\"d\":[",
                   gradients,
                   "],\"b\":",
                   traced.explained.broadcast ? "true" : "false",
                   ",\"tables\":",
                   tables_json(traced.explained.tables),
                   with_numbers ? ",\"v\":\"" + floats(traced.value) + "\",\"g\":\"" + floats(traced.gradient) + "\"" : "",
                   "}"});
}

static std::string trace_json(const Trace& trace, std::size_t most_numbers) {
    const std::vector<SourceNote> notes = source_notes(trace);
    const std::set<std::size_t> left_out = too_large(trace, most_numbers);
    std::set<std::string> formulas;
    std::string json = joined({"{\"loss\":", trace.loss, ",\"values\":[\n"});
    for (std::size_t k = 0; k < trace.values.size(); ++k)
        json += (k > 0 ? ",\n" : "") + value_json(trace, static_cast<int>(k), notes[k], left_out.count(k) == 0, formulas);
    json += "],\n\"formulas\":{";
    bool first = true;
    for (const std::string& formula : formulas) {
        json += (first ? "" : ",\n") + json_string(formula) + ":" + formula_json(parse_formula(formula));
        first = false;
    }
    json += "}}";
    // It is embedded in a page: nothing in it may look like the end of a script.
    std::string safe;
    for (const char letter : json) safe += letter == '<' ? "\\u003c" : std::string(1, letter);
    return safe;
}

// ---- the page ---------------------------------------------------------------------------------------------------------------

static constexpr const char* style = R"css(
body{max-width:none;display:grid;grid-template-columns:minmax(15rem,24rem) minmax(0,1fr);gap:0 1.5rem;height:100vh;padding:.5rem 1rem}
nav{overflow:auto;height:calc(100vh - 1rem)} #list{list-style:none;margin:.5rem 0;padding:0;font-size:.85rem} #list a{display:block;padding:.15rem .4rem;text-decoration:none;border-radius:3px}
#list code{display:block;color:var(--faint);white-space:pre;overflow:hidden;text-overflow:ellipsis;margin-top:.5rem;font-size:.75rem}
#list a[aria-current]{background:var(--box);outline:1px solid var(--line)} #list .bad b{color:var(--bad)}
main{overflow:auto;height:calc(100vh - 1rem)} button,input{font:inherit} button[aria-pressed=true]{font-weight:bold}
.bar{display:flex;flex-wrap:wrap;gap:.4rem .8rem;align-items:center;margin:.4rem 0} #inputs{display:flex;flex-wrap:wrap;gap:1rem} #inputs figure{margin:0;max-width:100%}
.sum{background:var(--box);padding:.6rem .8rem;border-radius:4px;line-height:1.8} .m a{color:inherit;text-decoration:none} td.lit{outline:2px solid #2fd6ff;outline-offset:-2px} td.here{outline:3px solid var(--link);outline-offset:-3px}
canvas{max-width:100%;image-rendering:pixelated;cursor:crosshair} .more{display:inline;padding:0 .3rem} #nan{color:var(--bad)}
@media(max-width:50rem){body{display:block;height:auto} nav{height:14rem;border-bottom:1px solid var(--line)} main{height:auto}}
@media print{main,nav{height:auto} nav{display:block}}
)css";

static constexpr const char* script =
#include "walkthroughs/page/trace_script.inc"
    ;

std::string trace_html(const Trace& trace, const std::string& title, std::size_t most_numbers) {
    require(!trace.values.empty(), "trace_html: ", title,
            ": the trace holds no value; the program computed nothing with a Var, or it has fewer backward passes than "
            "--trace-backward says");
    return page_head(title + ", trace", style) +
           "<body>\n<button class=\"skip\" id=\"to-numbers\">to the numbers</button>\n<nav aria-label=\"values in the order in which they were computed\"><h1>" +
           escaped(title) +
           "</h1>\n<label>find <input id=\"find\" type=\"search\"></label>\n<ol id=\"list\"></ol></nav>\n<main>\n"
           "<h2 id=\"name\"></h2>\n<p class=\"faint\" id=\"about\"></p>\n<pre id=\"code\"></pre>\n"
           "<div class=\"bar\"><button id=\"to-value\">value</button><button id=\"to-gradient\">gradient</button>"
           "<button id=\"nan\" hidden>first value that is not a number</button>"
           "<label>compare with another trace <input id=\"against\" type=\"file\" accept=\".html\"></label> <span id=\"verdict\" "
           "role=\"status\"></span></div>\n"
           "<div id=\"why\" aria-live=\"polite\"></div>\n<div id=\"matrix\" class=\"scroll\"></div>\n"
           "<div id=\"beside\" hidden><h3 id=\"beside-name\"></h3><div id=\"beside-matrix\" class=\"scroll\"></div></div>\n"
           "<h3 id=\"from\">what it is computed from</h3>\n<div id=\"inputs\"></div>\n</main>\n"
           "<script type=\"application/json\" id=\"trace\">" +
           trace_json(trace, most_numbers) + "</script>\n<script>" + script + "</script>\n" + page_foot();
}
