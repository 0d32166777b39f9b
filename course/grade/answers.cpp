#include "course/grade/answers.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "nn/data/text.h"

static constexpr std::size_t longest_error = 300, most_numbers = 200000;

Matrix Answers::value_of(const std::vector<int>& values) {
    Matrix row(1, static_cast<int>(values.size()));
    std::copy(values.begin(), values.end(), row.begin());
    return row;
}

std::string Answers::one_line(const std::string& words) {
    std::string line = words.substr(0, longest_error);
    for (char& c : line)
        if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
    return line;
}

void Answers::keep(Answer answer) {
    if (file != nullptr) {
        std::fputs(text_of(answer).c_str(), file);
        std::fflush(file);
    }
    list.push_back(std::move(answer));
}

std::string text_of(const Answer& answer) {
    std::string line = answer.name + "\t";
    if (!answer.error.empty()) return line + "! " + answer.error + "\n";
    line += std::to_string(answer.value.rows) + " " + std::to_string(answer.value.cols);
    for (const float x : answer.value) {
        char buffer[40];
        const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::hex);
        line += " " + std::string(buffer, end.ptr);
    }
    return line + "\n";
}

// Removes the next word from `words` and reads it.   returns the number, no value if the word is not a number
template <class Number>
static std::optional<Number> take(std::string_view& words) {
    while (words.starts_with(' ')) words.remove_prefix(1);
    const char* const last = words.data() + words.size();
    Number number{};
    std::from_chars_result end;
    if constexpr (std::is_same_v<Number, float>)
        end = std::from_chars(words.data(), last, number, std::chars_format::hex);
    else
        end = std::from_chars(words.data(), last, number);
    if (end.ec != std::errc()) return std::nullopt;
    words.remove_prefix(end.ptr - words.data());
    if (!words.empty() && !words.starts_with(' ')) return std::nullopt;
    return number;
}

static bool read_answer(std::string_view line, Answer& answer) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos || tab == 0 || tab > 100) return false;
    answer.name = line.substr(0, tab);
    std::string_view words = line.substr(tab + 1);
    if (words.starts_with("! ")) {
        answer.error = words.substr(2, longest_error);
        return !answer.error.empty();
    }
    const std::optional<int> rows = take<int>(words), cols = take<int>(words);
    if (!rows || !cols || *rows < 0 || *cols < 0) return false;
    const std::size_t R = static_cast<std::size_t>(*rows), C = static_cast<std::size_t>(*cols);
    if (R > most_numbers || C > most_numbers || R * C > most_numbers) return false;
    answer.value = Matrix(*rows, *cols);
    for (float& x : answer.value) {
        const std::optional<float> number = take<float>(words);
        if (!number) return false;
        x = *number;
    }
    return words.empty();
}

std::vector<Answer> read_answers(std::string_view text) {
    std::vector<Answer> answers;
    std::size_t at = 0;
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', at)) {
        Answer answer;
        if (!read_answer(text.substr(at, end - at), answer)) break;
        answers.push_back(std::move(answer));
        at = end + 1;
    }
    return answers;
}
