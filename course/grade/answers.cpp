#include "course/grade/answers.h"

#include <charconv>
#include <utility>

#include "nn/data/text.h"

static constexpr std::size_t longest_error = 300, most_numbers = 200000;

Matrix Answers::value_of(const std::vector<int>& values) {
    Matrix row(1, static_cast<int>(values.size()));
    for (std::size_t k = 0; k < values.size(); ++k) row[k] = static_cast<float>(values[k]);
    return row;
}

std::string Answers::one_line(const std::string& words) {
    std::string line = words.substr(0, longest_error);
    for (char& c : line)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
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

// The next word of `words` as a number; false at the end.
template <class Number>
static bool take(std::string_view& words, Number& number) {
    while (!words.empty() && words.front() == ' ') words.remove_prefix(1);
    std::from_chars_result end;
    if constexpr (std::is_same_v<Number, float>)
        end = std::from_chars(words.data(), words.data() + words.size(), number, std::chars_format::hex);
    else
        end = std::from_chars(words.data(), words.data() + words.size(), number);
    if (end.ec != std::errc()) return false;
    words.remove_prefix(end.ptr - words.data());
    return words.empty() || words.front() == ' ';
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
    int rows = 0, cols = 0;
    if (!take(words, rows) || !take(words, cols) || rows < 0 || cols < 0) return false;
    if (static_cast<std::size_t>(rows) > most_numbers || static_cast<std::size_t>(cols) > most_numbers) return false;
    if (static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) > most_numbers) return false;
    answer.value = Matrix(rows, cols);
    for (float& x : answer.value)
        if (!take(words, x)) return false;
    return words.empty();
}

std::vector<Answer> read_answers(std::string_view text) {
    std::vector<Answer> answers;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        if (end == std::string_view::npos) break;  // cut off
        Answer answer;
        if (!read_answer(text.substr(at, end - at), answer)) break;
        answers.push_back(std::move(answer));
        at = end + 1;
    }
    return answers;
}
