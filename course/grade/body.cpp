#include "course/grade/body.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "nn/base/require.h"
#include "nn/data/text.h"

// --- tokens ---

static bool begins_word(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || static_cast<signed char>(c) < 0;
}
static bool in_word(char c) { return begins_word(c) || std::isdigit(static_cast<unsigned char>(c)); }

// The index after the literal that opens at text[at] with a quote; npos when it does not end on its line.
static std::size_t after_quoted(const std::string& text, std::size_t at) {
    const std::string stops{text[at], '\\', '\n'};
    const char quote = text[at];
    for (at = text.find_first_of(stops, at + 1); at != std::string::npos; at = text.find_first_of(stops, at + 2))
        if (text[at] != '\\') return text[at] == quote ? at + 1 : std::string::npos;
    return std::string::npos;
}

// The same for R"mark(...)mark", text[at] is the first quote.
static std::size_t after_raw(const std::string& text, std::size_t at) {
    const std::size_t open = text.find('(', at);
    if (open == std::string::npos) return open;
    const std::string close = ")" + text.substr(at + 1, open - at - 1) + "\"";
    const std::size_t end = text.find(close, open);
    return end == std::string::npos ? end : end + close.size();
}

// The index after the white space or the comment that begins at text[at]: `at` when neither does, npos when a comment does not end.
static std::size_t after_blank(const std::string& text, std::size_t at) {
    if (std::isspace(static_cast<unsigned char>(text[at]))) return at + 1;
    if (text.compare(at, 2, "//") == 0) return std::min(text.find('\n', at), text.size());
    if (text.compare(at, 2, "/*") != 0) return at;
    const std::size_t close = text.find("*/", at + 2);
    return close == std::string::npos ? close : close + 2;
}

// The index after the word, the number (1'000, 0x1p-3f) or the single character at text[at]. The text ends in a 0, which belongs to
// neither.
static std::size_t after_word(const std::string& text, std::size_t at) {
    std::size_t end = at + 1;
    if (begins_word(text[at])) {
        while (in_word(text[end])) ++end;
    } else if (std::isdigit(static_cast<unsigned char>(text[at]))) {
        while (in_word(text[end]) || text[end] == '.' || (text[end] == '\'' && in_word(text[end + 1])) ||
               ((text[end] == '+' || text[end] == '-') && std::string("eEpP").find(text[end - 1]) != std::string::npos))
            ++end;
    }
    return end;
}

std::vector<Token> tokens_of(const std::string& text, std::string* complaint) {
    std::vector<Token> tokens;
    std::string ignored;
    std::string& why = complaint ? *complaint : ignored;
    why.clear();
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        std::size_t end = after_blank(text, at);
        if (end == std::string::npos) {
            why = "a comment does not end";
            return tokens;
        }
        if (end != at) {
            at = end;
            continue;
        }
        std::string word;
        if (c == '"' || c == '\'') {
            const bool raw = c == '"' && !tokens.empty() && tokens.back().end == at && tokens.back().word.ends_with('R') &&
                             tokens.back().word.size() <= 3;
            end = raw ? after_raw(text, at) : after_quoted(text, at);
            if (end == std::string::npos) {
                why = "a string does not end";
                return tokens;
            }
            word = raw ? "R\"" : std::string(1, c);
        } else {
            end = after_word(text, at);
            word = text.substr(at, end - at);
        }
        tokens.push_back({word, at, end});
        at = end;
    }
    return tokens;
}

// --- finding ---

namespace {
struct Found {
    std::size_t begin, end;  // of the text between the braces
};
}  // namespace

using TokenAt = std::vector<Token>::const_iterator;

// The brace that closes the one at `open`; `end` when none does.
static TokenAt closing(TokenAt open, TokenAt end) {
    int depth = 0;
    for (TokenAt token = open; token != end; ++token) {
        depth += token->word == "{";
        depth -= token->word == "}";
        if (depth == 0) return token;
    }
    return end;
}

static Found find(const std::string& text, const std::string& signature, const std::string& place) {
    const std::vector<Token> tokens = tokens_of(text), wanted = tokens_of(signature + " {");
    const auto same_word = [](const Token& a, const Token& b) { return a.word == b.word; };
    std::vector<Found> found;
    for (TokenAt at = tokens.begin(); at != tokens.end(); ++at) {
        at = std::search(at, tokens.end(), wanted.begin(), wanted.end(), same_word);
        if (at == tokens.end()) break;
        const TokenAt open = std::prev(at + wanted.size()), close = closing(open, tokens.end());
        require(close != tokens.end(), place, ": the braces of ", signature, " do not close");
        found.push_back({open->end, close->begin});
    }
    require(found.size() == 1, place, ": the function ", signature, " appears ", found.size(), " times, expected once");
    return found.front();
}

std::string body_of(const std::string& text, const std::string& signature, const std::string& place) {
    const Found found = find(text, signature, place);
    return text.substr(found.begin, found.end - found.begin);
}

std::string with_body(const std::string& text, const std::string& signature, const std::string& body, const std::string& place) {
    const Found found = find(text, signature, place);
    return text.substr(0, found.begin) + body + text.substr(found.end);
}

// --- blanks ---

// The end of the statement that begins at `token`.
static TokenAt after_statement(TokenAt token, TokenAt end) {
    int depth = 0;
    for (; token != end; ++token) {
        const std::string& word = token->word;
        depth += word == "(" || word == "{" || word == "[";
        depth -= word == ")" || word == "}" || word == "]";
        if (depth == 0 && word == ";") return ++token;
    }
    return end;
}

static bool is_check(const std::string& word) { return word == "require" || word.starts_with("require_") || word == "check"; }

// for (...) require(...);
static bool is_loop_of_checks(TokenAt token, TokenAt end) {
    if (token->word != "for") return false;
    int depth = 0;
    for (bool begun = false; ++token != end; begun = true) {
        if (begun && depth == 0) return is_check(token->word);
        depth += token->word == "(";
        depth -= token->word == ")";
    }
    return false;
}

std::string leading_checks(const std::string& body) {
    const std::vector<Token> tokens = tokens_of(body);
    std::string kept;
    for (TokenAt token = tokens.begin(); token != tokens.end();) {
        const TokenAt end = after_statement(token, tokens.end());
        const bool check = is_check(token->word) || is_loop_of_checks(token, end);
        if (!check && token->word != "const") break;
        if (check) kept = body.substr(0, std::prev(end)->end);
        token = end;
    }
    return kept;
}

std::string not_written(const std::string& name) { return "course: " + name + " is not written yet"; }

bool is_blank(const std::string& body, const std::string& name) {
    for (const Token& token : tokens_of(body))
        if (token.word == "\"" && body.substr(token.begin, token.end - token.begin).find(not_written(name)) != std::string::npos)
            return true;
    return false;
}

std::string blanked(const std::string& text, const std::string& signature, const std::string& name, const std::string& contract,
                    const std::string& place) {
    const std::string checks = leading_checks(body_of(text, signature, place));
    const std::string body = checks + "\n    // Yours to write: " + name + ", see " + contract + "\n    ::fail({\"" +
                             not_written(name) + "; its contract is in " + contract + "\"});\n";
    const std::string blank = with_body(text, signature, body, place);
    const std::string quiet = "#pragma GCC diagnostic ignored \"-Wunused-";
    if (blank.starts_with(quiet)) return blank;
    std::string pragmas;
    for (const char* const kind : {"parameter", "variable", "function", "but-set-variable", "const-variable", "local-typedefs"})
        pragmas += quiet + kind + "\"\n";
    return pragmas + blank;
}

// --- what is refused ---

// Ways out of the program, into files and other processes, or around the types. The grader does not rely on this list: what the
// body computes is compared outside the process in which it runs. The list gives a plain message early.
static const std::vector<std::string> never = split(
    "asm import module export extern reinterpret_cast system popen fork vfork execv execl execve execvp "
    "execlp exit _exit _Exit abort kill raise signal atexit getenv setenv environ fopen freopen open "
    "openat creat unlink remove rename rmdir ifstream ofstream fstream filesystem dlopen dlsym syscall "
    "ptrace mmap munmap socket connect setjmp longjmp quick_exit at_quick_exit terminate read_file "
    "write_file_atomically AtomicFile RandomAccessFile _Pragma gnu clang thread jthread daemon setsid "
    "truncate basic_ifstream basic_ofstream basic_fstream basic_filebuf",
    ' ');

std::string objection(const std::string& body, const std::vector<std::string>& without) {
    if (body.size() > 20000) return "it has " + std::to_string(body.size()) + " characters, at most 20000 are read";
    std::string complaint;
    const std::vector<Token> tokens = tokens_of(body, &complaint);
    if (!complaint.empty()) return complaint;
    int depth = 0;
    for (TokenAt token = tokens.begin(); token != tokens.end(); ++token) {
        const std::string& word = token->word;
        const TokenAt next = std::next(token);
        const std::string pair = next != tokens.end() && next->begin == token->end ? word + next->word : word;
        if (word == "#" || pair == "%:") return "a preprocessor line (#) is not allowed in a function";
        if (word == "\\") return "a backslash is allowed only inside quotes";
        if (word == "R\"") return "a raw string, R\"...\", is not allowed in a function";
        if (pair == "<%" || pair == "%>" || pair == "??") return pair + " stands for another character and is not read here";
        if (word.starts_with("__")) return word + " is a name reserved for the compiler";
        if (std::find(never.begin(), never.end(), word) != never.end()) return word + " is not allowed in an answer";
        if (std::find(without.begin(), without.end(), word) != without.end())
            return word + " may not be used in this task: it is what the task asks for";
        depth += word == "{";
        depth -= word == "}";
        if (depth < 0) return "a brace } closes the function early";
    }
    if (depth != 0) return "a brace { is not closed";
    // A backslash at the end of a line joins it to the next one, also inside comments and quotes.
    for (std::size_t at = body.find('\\'); at != std::string::npos; at = body.find('\\', at + 1)) {
        const std::size_t next = body.find_first_not_of(" \t\r\v\f", at + 1);
        if (next == std::string::npos || body[next] == '\n') return "a backslash may not end a line";
    }
    return "";
}
