#include "nn/autograd/formula.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"

// ---- reading ----------------------------------------------------------------------------------------------------------------

namespace {

// compared := sum (< <= ==) sum;  sum := product (+ -) ...;  product := factor (* /) ...;  factor := number, name, name(...), (...), -factor
class FormulaReader {
public:
    explicit FormulaReader(std::string_view words) : words(words) {}

    Formula whole() {
        Formula formula = compared();
        require(at == words.size(), place(), "something follows the formula");
        return formula;
    }

private:
    std::string_view words;
    std::size_t at = 0;
    int depth = 0;                              // of the factors that are being read
    static constexpr int deepest_factor = 200;  // reading, computing and showing call themselves for each

    std::string place() const { return joined({"formula \"", words, "\", letter ", at, ": "}); }

    bool take(std::string_view wanted) {
        while (at < words.size() && words[at] == ' ') ++at;
        if (!words.substr(at).starts_with(wanted)) return false;
        at += wanted.size();
        while (at < words.size() && words[at] == ' ') ++at;
        return true;
    }

    static Formula call(const std::string& name, std::vector<Formula> arguments) {
        return {Formula::Kind::call, 0, name, std::move(arguments)};
    }

    Formula compared() {
        Formula left = sum();
        for (const char* const sign : {"<=", "==", "<"})
            if (take(sign)) return call(sign, {std::move(left), sum()});
        return left;
    }

    Formula sum() {
        Formula left = product();
        while (true) {
            if (take("+"))
                left = call("+", {std::move(left), product()});
            else if (take("-"))
                left = call("-", {std::move(left), product()});
            else
                return left;
        }
    }

    Formula product() {
        Formula left = factor();
        while (true) {
            if (take("*"))
                left = call("*", {std::move(left), factor()});
            else if (take("/"))
                left = call("/", {std::move(left), factor()});
            else
                return left;
        }
    }

    Formula factor() {
        require(depth < deepest_factor, place(), "brackets and signs lie too deep inside one another");
        ++depth;
        Formula made = factor_below();
        --depth;
        return made;
    }

    Formula factor_below() {
        if (take("-")) return call("negative", {factor()});
        if (take("(")) {
            Formula inside = compared();
            require(take(")"), place(), "a bracket is not closed");
            return inside;
        }
        require(at < words.size(), place(), "the formula ends in the middle");
        return std::isdigit(static_cast<unsigned char>(words[at])) ? number() : named();
    }

    void require_arguments(const Formula& f) const {
        const bool binds = f.name == "sum" || f.name == "let", of_matrix = f.name == "rows" || f.name == "cols";
        if (!binds && !of_matrix && f.name != "if") return;
        const std::size_t needed = of_matrix ? 1 : 3;
        require(f.arguments.size() == needed, place(), f.name, " has ", f.arguments.size(), " arguments, it needs ", needed);
        require(f.name == "if" || f.arguments[0].kind == Formula::Kind::name, place(), "the first argument of ", f.name,
                " must be a name");
    }

    Formula number() {
        double value = 0, unit = 1;
        for (; at < words.size() && std::isdigit(static_cast<unsigned char>(words[at])); ++at)
            value = 10 * value + (words[at] - '0');
        if (at < words.size() && words[at] == '.')
            for (++at; at < words.size() && std::isdigit(static_cast<unsigned char>(words[at])); ++at)
                value += (words[at] - '0') * (unit /= 10);
        return {Formula::Kind::number, value, {}, {}};
    }

    Formula named() {
        const std::size_t first = at;
        while (at < words.size() && (std::isalnum(static_cast<unsigned char>(words[at])) || words[at] == '_')) ++at;
        require(at > first, place(), "a number, a name or a bracket is expected here");
        const std::string name(words.substr(first, at - first));
        if (!take("(")) return {Formula::Kind::name, 0, name, {}};
        Formula made = call(name, {compared()});
        while (take(",")) made.arguments.push_back(compared());
        require(take(")"), place(), "the arguments of ", name, " are not closed");
        require_arguments(made);
        return made;
    }
};

}  // namespace

Formula parse_formula(std::string_view words) { return FormulaReader(words).whole(); }

// ---- computing --------------------------------------------------------------------------------------------------------------

std::string gradient_formula(const Explained& explained, const Facts& facts, int input) {
    if (explained.gradients.empty()) return "";
    require(input >= 0 && input < static_cast<int>(facts.inputs.size()), "gradient_formula: input ", input, " of ",
            facts.inputs.size(), ", counted from 0");
    const std::size_t last = explained.gradients.size() - 1;
    std::string formula = explained.gradients[std::min(static_cast<std::size_t>(input), last)];
    const Matrix* const x = facts.inputs[static_cast<std::size_t>(input)];
    if (formula.empty() || !explained.broadcast || x == nullptr) return formula;
    if (x->cols == 1 && facts.value->cols != 1) formula = "sum(j, cols(y), " + formula + ")";
    if (x->rows == 1 && facts.value->rows != 1) formula = "sum(i, rows(y), " + formula + ")";
    return formula;
}

namespace {

struct Variables {
    std::vector<std::pair<std::string, double>> bound;  // the most recent binding of a name is used

    const double* find(const std::string& name) const {
        for (std::size_t k = bound.size(); k-- > 0;)
            if (bound[k].first == name) return &bound[k].second;
        return nullptr;
    }
};

class Evaluator {
public:
    Evaluator(const Facts& facts, int i, int j, int input) : facts(facts) {
        variables.bound = {{"i", i}, {"j", j}, {"p", input}, {"inf", std::numeric_limits<double>::infinity()}};
    }

    double value_of(const Formula& f) {
        if (f.kind == Formula::Kind::number) return f.number;
        if (f.kind == Formula::Kind::name) return named(f.name);
        if (f.name == "sum") {
            double total = 0;
            for_each_term(f, [&] { total += value_of(f.arguments[2]); });
            return total;
        }
        if (f.name == "let") {
            bind(f.arguments.at(0).name, value_of(f.arguments.at(1)));
            const double result = value_of(f.arguments.at(2));
            variables.bound.pop_back();
            return result;
        }
        if (f.name == "if") return value_of(f.arguments.at(0)) != 0 ? value_of(f.arguments.at(1)) : value_of(f.arguments.at(2));
        if (f.name == "rows") return matrix_of(f.arguments.at(0).name).rows;
        if (f.name == "cols") return matrix_of(f.arguments.at(0).name).cols;
        std::vector<double> x;
        for (const Formula& argument : f.arguments) x.push_back(value_of(argument));
        return applied(f.name, x);
    }

    // `each` for k = 0 ... n-1, with k bound.
    void for_each_term(const Formula& f, const std::function<void()>& each) {
        const double terms = value_of(f.arguments.at(1));
        require(terms <= std::numeric_limits<int>::max(), "formula: a sum of ", terms, " terms, which an int cannot count");
        const int count = terms > 0 ? static_cast<int>(terms) : 0;
        bind(f.arguments.at(0).name, 0);
        for (int k = 0; k < count; ++k) {
            variables.bound.back().second = k;
            each();
        }
        variables.bound.pop_back();
    }

    void bind(const std::string& name, double value) { variables.bound.emplace_back(name, value); }

private:
    const Facts& facts;
    Variables variables;

    const std::vector<float>* table(const std::string& name) const {
        if (facts.explained == nullptr) return nullptr;
        const auto found = facts.explained->tables.find(name);
        return found == facts.explained->tables.end() ? nullptr : &found->second;
    }

    double named(const std::string& name) const {
        if (const double* const variable = variables.find(name)) return *variable;
        const std::vector<float>* const numbers = table(name);
        require(numbers != nullptr && numbers->size() == 1, "formula: there is no number ", name);
        return (*numbers)[0];
    }

    const Matrix& matrix_of(const std::string& name) const {
        if (name == "y" || name == "dy") {
            const Matrix* const result = name == "y" ? facts.value : facts.gradient;
            require(result != nullptr, "formula: there is no matrix ", name);
            return *result;
        }
        const bool is_input = name == "a" || name == "b" || name == "c";
        require(is_input, "formula: there is no matrix ", name);
        return input(static_cast<std::size_t>(name[0] - 'a'));
    }

    const Matrix& input(std::size_t number) const {
        require(number < facts.inputs.size() && facts.inputs[number] != nullptr, "formula: there is no input ", number);
        return *facts.inputs[number];
    }

    double element(const Matrix& m, double row, double col, bool broadcast) const {
        const int i = broadcast && m.rows == 1 ? 0 : static_cast<int>(row),
                  j = broadcast && m.cols == 1 ? 0 : static_cast<int>(col);
        require(i >= 0 && i < m.rows && j >= 0 && j < m.cols, "formula: element (", i, ", ", j, ") of ", m);
        return m(i, j);
    }

    double applied(const std::string& name, const std::vector<double>& x) const {
        if (x.size() == 3 && name == "input") return element(input(static_cast<std::size_t>(x[0])), x[1], x[2], false);
        if (x.size() == 1 && table(name) != nullptr) {
            const std::vector<float>& numbers = *table(name);
            require(x[0] >= 0 && x[0] < static_cast<double>(numbers.size()), "formula: ", name, " has ", numbers.size(),
                    " numbers, there is no number ", x[0]);
            return numbers[static_cast<std::size_t>(x[0])];
        }
        if (x.size() == 2) {
            const double a = x[0], b = x[1];
            if (name == "+") return a + b;
            if (name == "-") return a - b;
            if (name == "*") return a * b;
            if (name == "/") return a / b;
            if (name == "<") return a < b;
            if (name == "<=") return a <= b;
            if (name == "==") return a == b;
            if (name == "min") return a < b || a != a ? a : b;
            if (name == "max") return a > b || a != a ? a : b;
            if (name == "mod") return a - b * std::floor(a / b);
            return element(matrix_of(name), a, b,
                           facts.explained != nullptr && facts.explained->broadcast && name != "y" && name != "dy");
        }
        require(x.size() == 1, "formula: ", name, " of ", x.size(), " arguments is not known");
        if (name == "negative") return -x[0];
        if (name == "exp") return std::exp(x[0]);
        if (name == "log") return std::log(x[0]);
        if (name == "sqrt") return std::sqrt(x[0]);
        if (name == "tanh") return std::tanh(x[0]);
        if (name == "erf") return std::erf(x[0]);
        if (name == "abs") return std::abs(x[0]);
        if (name == "floor") return std::floor(x[0]);
        fail({"formula: there is no function ", name});
    }
};

}  // namespace

double evaluate(const Formula& formula, const Facts& facts, int i, int j, int input) {
    return Evaluator(facts, i, j, input).value_of(formula);
}

// ---- showing ----------------------------------------------------------------------------------------------------------------

static std::string digits(double x) { return std::isnan(x) ? "nan" : short_digits(x, 4); }

// Precedence of each kind of term: a term of lower precedence than its surroundings needs brackets.
static int tightness(const Formula& f) {
    if (f.name == "<" || f.name == "<=" || f.name == "==") return 0;
    if (f.name == "+" || f.name == "-" || f.name == "sum") return 1;
    if (f.name == "*" || f.name == "/") return 2;
    return 3;
}

namespace {

class Writer {
public:
    Writer(const Facts& facts, int i, int j, int input, int most) : evaluator(facts, i, j, input), most(most) {}

    std::string words(const Formula& f, int depth = 0) {
        if (f.kind != Formula::Kind::call) return digits(evaluator.value_of(f));
        const std::string& name = f.name;
        if (name == "sum") return depth == 0 ? all_terms(f) : digits(evaluator.value_of(f));
        if (name == "let") return words(body_of(f), depth);
        if (name == "if") return words(evaluator.value_of(f.arguments[0]) != 0 ? f.arguments[1] : f.arguments[2], depth);
        if (name == "negative") return joined({"-", inside(f.arguments[0], 3, depth)});
        const int own = tightness(f);
        if (own < 3) {
            const bool ordered = name == "-" || name == "/";  // a - (b + c)
            return inside(f.arguments[0], own, depth) + " " + name + " " + inside(f.arguments[1], own + (ordered ? 1 : 0), depth);
        }
        const bool function =
            name == "exp" || name == "log" || name == "sqrt" || name == "tanh" || name == "erf" || name == "abs";
        return function ? name + "(" + words(f.arguments[0], depth + 1) + ")" : digits(evaluator.value_of(f));
    }

private:
    Evaluator evaluator;
    int most;

    // What a let computes, once its name is bound.
    const Formula& body_of(const Formula& let) {
        evaluator.bind(let.arguments[0].name, evaluator.value_of(let.arguments[1]));
        return let.arguments[2];
    }

    std::string inside(const Formula& f, int around, int depth) {
        if (f.name == "let") return inside(body_of(f), around, depth);
        const std::string plain = words(f, depth);
        const bool single = plain.find(' ') == std::string::npos;
        const bool loose = f.name == "if" || tightness(f) < around;
        return !single && loose ? "(" + plain + ")" : plain.starts_with('-') && around > 1 ? "(" + plain + ")" : plain;
    }

    // Terms whose condition does not hold are left out.
    std::string all_terms(const Formula& f) {
        std::string line;
        int count = 0, left_out = 0;
        double rest = 0;
        evaluator.for_each_term(f, [&] {
            const Formula& term = f.arguments[2];
            if (term.name == "if" && evaluator.value_of(term.arguments[0]) == 0) return;
            if (++count > most) {
                ++left_out;
                rest += evaluator.value_of(term);
                return;
            }
            line += (line.empty() ? "" : " + ") + inside(term, 1, 1);
        });
        if (left_out > 0) line += joined({" + ", digits(rest), " (", left_out, " more)"});
        return line.empty() ? "0" : line;
    }
};

}  // namespace

std::string written_out(const Formula& formula, const Facts& facts, int i, int j, int input, int most) {
    require(most >= 1, "written_out: at most ", most, " terms; at least 1 is needed");
    return Writer(facts, i, j, input, most).words(formula);
}

std::string formula_json(const Formula& f) {
    if (f.kind == Formula::Kind::number) return short_digits(f.number, 17);
    if (f.kind == Formula::Kind::name) return joined({"\"", f.name, "\""});
    std::string list = joined({"[\"", f.name, "\""});
    for (const Formula& argument : f.arguments) list += joined({",", formula_json(argument)});
    return list + "]";
}
