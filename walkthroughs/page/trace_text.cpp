#include "walkthroughs/page/trace_text.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/text.h"
#include "walkthroughs/lesson/options.h"
#include "walkthroughs/lesson/pictures.h"
#include "walkthroughs/page/trace_pager.h"

static const TracedValue& existing(const Trace& trace, int index) {
    require(index >= 0 && index < static_cast<int>(trace.values.size()), "trace: there is no value ", index, ", they are 0 to ",
            static_cast<int>(trace.values.size()) - 1);
    return trace.values[static_cast<std::size_t>(index)];
}

static void require_element(const Matrix& m, int i, int j) {
    require(i >= 0 && i < m.rows && j >= 0 && j < m.cols, "trace: there is no element (", i, ", ", j, ") of ", m);
}

static std::string label(const Trace& trace, const std::vector<SourceNote>& notes, int index) {
    const std::string& name = notes[static_cast<std::size_t>(index)].name;
    return name.empty() ? joined({existing(trace, index).operation, " ", index}) : name;
}

static std::string padded(const std::string& words, int width) {
    return words + std::string(static_cast<std::size_t>(std::max(1, width - display_width(words))), ' ');
}

std::vector<std::string> trace_list(const Trace& trace, const std::vector<SourceNote>& notes) {
    std::vector<std::string> lines;
    for (std::size_t k = 0; k < trace.values.size(); ++k) {
        const TracedValue& traced = trace.values[k];
        const std::string number = text(k), room(number.size() < 5 ? 5 - number.size() : 0, ' ');
        const std::string made = joined({traced.operation, " ", traced.value});
        lines.push_back(room + number + "  " + padded(label(trace, notes, static_cast<int>(k)), 26) +
                        (traced.step.empty() ? made : padded(made, 30) + traced.step));
    }
    return lines;
}

static std::string number_text(double x) { return short_digits(x, 6); }

std::vector<std::string> explain_value(const Trace& trace, const std::vector<SourceNote>& notes, int index, int i, int j) {
    const TracedValue& traced = existing(trace, index);
    require_element(traced.value, i, j);
    const std::string place = joined({label(trace, notes, index), "(", i, ",", j, ")"}), said = number_text(traced.value(i, j));
    if (traced.explained.value.empty()) return {place + " = " + said + ", which no formula of this trace gives"};
    const Facts facts = facts_of(trace, index);
    const Formula formula = parse_formula(traced.explained.value);
    return {place + " = " + traced.explained.value, "= " + written_out(formula, facts, i, j),
            "= " + number_text(evaluate(formula, facts, i, j)) + ", and the program has " + said};
}

std::vector<std::string> explain_gradient(const Trace& trace, const std::vector<SourceNote>& notes, int index, int i, int j) {
    const TracedValue& traced = existing(trace, index);
    require_element(traced.value, i, j);
    const std::string place = joined({"d", label(trace, notes, index), "(", i, ",", j, ")"});
    if (traced.gradient.empty()) return {place + ": no gradient flowed here"};
    std::vector<std::string> lines{place + " is what flows back from where it was read"};
    double total = index == trace.loss ? 1 : 0;
    for (const auto& [reader, which] : readers_of(trace, index)) {
        const TracedValue& read = existing(trace, reader);
        const Facts facts = facts_of(trace, reader);
        const std::string words = read.gradient.empty() ? "" : gradient_formula(read.explained, facts, which);
        if (words.empty()) continue;
        const Formula formula = parse_formula(words);
        const double share = evaluate(formula, facts, i, j, which);
        total += share;
        lines.push_back(joined({"+ through ", label(trace, notes, reader), ": ", words}));
        lines.push_back("  = " + written_out(formula, facts, i, j, which) + " = " + number_text(share));
    }
    lines.push_back("= " + number_text(total) + ", and the program has " + number_text(traced.gradient(i, j)));
    return lines;
}

// ---- the pager --------------------------------------------------------------------------------------------------------------

static constexpr const char* help =
    "Enter: the next values   12: value 12   12 0 3: its element (0, 3)   g 12, g 12 0 3: the same of its gradient\n"
    "nan: the first value that is not finite   q: the end\n";

static std::vector<std::string> whole_value(const Trace& trace, const std::vector<SourceNote>& notes, int index, bool gradient) {
    const TracedValue& traced = existing(trace, index);
    const SourceNote& note = notes[static_cast<std::size_t>(index)];
    std::vector<std::string> lines{(gradient ? "gradient of " : "") + label(trace, notes, index) + ", " + traced.operation +
                                   (traced.step.empty() ? "" : ", " + traced.step)};
    if (!note.code.empty()) lines.push_back(joined({traced.where, note.code}));
    std::string inputs;
    for (const int input : traced.inputs)
        if (input >= 0) inputs += joined({inputs.empty() ? "from " : ", ", input, " ", label(trace, notes, input)});
    if (!inputs.empty()) lines.push_back(inputs);
    lines.push_back(grid_text(gradient ? traced.gradient : traced.value));
    return lines;
}

// The answer to one line of input.
static std::vector<std::string> answer(const Trace& trace, const std::vector<SourceNote>& notes, const std::string& line,
                                       std::size_t& next) {
    static constexpr std::size_t at_once = 20;
    if (line.empty()) {
        const std::vector<std::string> list = trace_list(trace, notes);
        const std::size_t first = next >= list.size() ? 0 : next;
        next = std::min(first + at_once, list.size());
        return {list.begin() + static_cast<long>(first), list.begin() + static_cast<long>(next)};
    }
    if (line == "nan") {
        const int index = first_not_finite(trace);
        return index < 0 ? std::vector<std::string>{"every value is finite"} : whole_value(trace, notes, index, false);
    }
    std::vector<int> numbers;
    const bool gradient = line.starts_with("g");
    for (const std::string& word : split(std::string_view(line).substr(gradient ? 1 : 0), ' ')) {
        if (word.empty()) continue;
        const std::optional<long> number = whole_number(word);
        if (!number || *number < 0 || *number > 1'000'000'000) return {help};
        numbers.push_back(static_cast<int>(*number));
    }
    if (numbers.size() == 1) return whole_value(trace, notes, numbers[0], gradient);
    if (numbers.size() != 3) return {help};
    return gradient ? explain_gradient(trace, notes, numbers[0], numbers[1], numbers[2])
                    : explain_value(trace, notes, numbers[0], numbers[1], numbers[2]);
}

void browse_trace(const Trace& trace, std::FILE* in, std::FILE* out) {
    if (isatty(fileno(in)) != 0 && isatty(fileno(out)) != 0) return page_trace(trace, in, out);
    const std::vector<SourceNote> notes = source_notes(trace);
    write_or_throw(joined({"\na trace of ", trace.values.size(), " values\n", help}), out);
    std::size_t next = 0;
    char buffer[1000];
    while (true) {
        write_or_throw("trace> ", out);
        if (std::fgets(buffer, sizeof buffer, in) == nullptr) break;
        std::string line(buffer);
        line.erase(std::min(line.find_last_not_of(" \r\n") + 1, line.size()));
        if (line == "q") break;
        std::string said;
        try {
            for (const std::string& one : answer(trace, notes, line, next)) said += one + (one.ends_with('\n') ? "" : "\n");
        } catch (const std::invalid_argument& refused) {
            said = std::string(refused.what()) + "\n";
        }
        write_or_throw(said, out);
    }
    write_or_throw("\n", out);
}
