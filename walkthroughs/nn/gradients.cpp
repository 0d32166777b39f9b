// gradients.cpp: derivatives of a small computation by hand, and by the tape of automatic differentiation.
//
//   shows    that backward reads a list from its end, why the order matters, and why gradients are added and not assigned
//   symbols  c = a b   d = c + a   e = d d   f = 3 d   L = e + f
//   next     attention.cpp
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "walkthroughs/lesson/lesson.h"

struct Graph {
    Var a, b, c, d, e, f, L;  // (1, 1) each
};

static float number(const Var& v) { return v.value()(0, 0); }
static float gradient(const Var& v) { return v.gradient().empty() ? 0 : v.gradient()(0, 0); }

// The whole computation; recorded when a Tape is running.
static Graph compute(const Var& a, const Var& b) {
    const Var c = multiply(a, b);
    const Var d = add(c, a);
    const Var e = multiply(d, d);
    const Var f = scale(d, 3);
    const Var L = add(e, f);
    return {a, b, c, d, e, f, L};
}

static std::string name_of(const Graph& g, const Var& v) {
    const std::vector<Var> vars{g.a, g.b, g.c, g.d, g.e, g.f, g.L};
    for (std::size_t i = 0; i < vars.size(); ++i)
        if (vars[i].same_as(v)) return std::string(1, "abcdefL"[i]);
    return "?";
}

// dL / da by finite differences.
static float growth(const Graph& g, float by) {
    const NoTape evaluation;
    return number(compute(Matrix{{number(g.a) + by}}, g.b.value()).L) - number(g.L);
}

static Graph step_forward(Lesson& lesson, float a, float b) {
    lesson.step("What is computed?", "c = a b   d = c + a   e = d d   f = 3 d   L = e + f");
    const Graph g = compute(parameter(Matrix{{a}}), parameter(Matrix{{b}}));
    lesson.table({{"", "a", "b", "c", "d", "e", "f", "L"},
                  {"value", fixed(number(g.a), 0), fixed(number(g.b), 0), fixed(number(g.c), 0), fixed(number(g.d), 0),
                   fixed(number(g.e), 0), fixed(number(g.f), 0), fixed(number(g.L), 0)}});
    lesson.say("a is used twice, by c and by d. d is used three times: twice by e and once by f.");
    lesson.predict("By how much does L grow when a grows by 0.001?", {growth(g, 0.001f), 0.002});
    return g;
}

static void step_tape(Lesson& lesson, const Graph& g, const Tape& tape) {
    lesson.step("What has been recorded?", "Tape::operations");
    std::vector<std::vector<std::string>> rows{{"", "operation", "result", "inputs", "line"}};
    for (std::size_t i = 0; i < tape.operations.size(); ++i) {
        const Var& operation = tape.operations[i];
        std::string inputs;
        for (const Var& input : operation->inputs) inputs += name_of(g, input) + " ";
        rows.push_back(
            {text(static_cast<int>(i)), operation->operation, name_of(g, operation), inputs, text(operation->where.line())});
    }
    lesson.table(rows);
    lesson.why(
        "an operation is appended when it is computed, after its inputs and before every operation that uses its result. So "
        "nothing has to be sorted: the program ran in a valid order.");
}

// backward() of nn/autograd, showing all gradients after each operation.
static void step_backward(Lesson& lesson, const Graph& g, const Tape& tape) {
    lesson.step("How are gradients passed back?", "from L to a and b: dinput += doutput * d output / d input");
    g.L->gradient = Matrix{{1}};  // d L / d L
    std::vector<std::vector<std::string>> rows{{"after", "da", "db", "dc", "dd", "de", "df", "dL"}};
    for (std::size_t i = tape.operations.size(); i-- > 0;) {
        Record& operation = *tape.operations[i].operator->();
        operation.backward(operation);
        rows.push_back({name_of(g, tape.operations[i]) + " " + operation.operation, fixed(gradient(g.a), 0),
                        fixed(gradient(g.b), 0), fixed(gradient(g.c), 0), fixed(gradient(g.d), 0), fixed(gradient(g.e), 0),
                        fixed(gradient(g.f), 0), fixed(gradient(g.L), 0)});
    }
    lesson.table(rows);
    lesson.why(
        "by hand: de = df = 1. d is used by f (3) and twice by e (8 and 8), so dd = 19 = dc. Through c, db = 19 * 2 = 38, and a "
        "gets 19 * 3 through c and 19 through d: da = 76. When a grows by 0.001, L grows by 0.076.");
}

static double step_slope(Lesson& lesson, float a, float b) {
    lesson.step("Do finite differences agree?", "(L(a + eps) - L(a - eps)) / (2 eps)");
    const float eps = 1.f / 64;
    lesson.code(2);
    const float above = number(compute(Matrix{{a + eps}}, Matrix{{b}}).L);
    const float below = number(compute(Matrix{{a - eps}}, Matrix{{b}}).L);
    const double slope = (above - below) / (2 * static_cast<double>(eps));
    lesson.say("Without a tape the same functions only compute: ", fixed(above), " and ", fixed(below), ", a slope of ",
               fixed(slope), ".");
    return slope;
}

// The same with add_gradient's += replaced by =: only the last contribution remains.
static float assigned_gradient_of_a(const Graph& g) {
    const float dd = gradient(g.d), dc = gradient(g.c);
    float da = dd * 1;      // from d = c + a, which comes first
    da = dc * number(g.b);  // from c = a b
    return da;
}

static float step_assign(Lesson& lesson, const Graph& g) {
    lesson.step("Why += and not =?", "da = dL/dc dc/da + dL/dd dd/da");
    const float wrong = assigned_gradient_of_a(g);
    lesson.say("With = only the last contribution remains: da = 19 * 3 = ", fixed(wrong, 0),
               ", and the 19 through d is lost. da should be ", fixed(gradient(g.a), 0), ".");
    lesson.why(
        "L depends on a along two paths, and the chain rule sums over paths. A value that is used twice gets two contributions. "
        "For the same reason gradients must be set to zero between training steps; otherwise they accumulate.");
    return wrong;
}

// Runs the backward functions in another order than the tape's.
static float step_wrong_order(Lesson& lesson, float a, float b) {
    lesson.step("Why in this order?", "an operation comes after all operations that use its result");
    Tape tape;
    const Graph g = compute(parameter(Matrix{{a}}), parameter(Matrix{{b}}));
    g.L->gradient = Matrix{{1}};
    lesson.code();
    const std::vector<Var> order{g.L, g.e, g.d, g.c, g.f};  // f too late
    for (const Var& operation : order) operation->backward(*operation.operator->());
    lesson.table(
        {{"", "da", "db", "dc", "dd"},
         {"f too late", fixed(gradient(g.a), 0), fixed(gradient(g.b), 0), fixed(gradient(g.c), 0), fixed(gradient(g.d), 0)}});
    lesson.why(
        "d passed on its gradient, 16, before f added 3. Afterwards dd is right but dc, da and db are wrong, without any error. "
        "Reading the list from its end avoids this.");
    lesson.predict("da when c comes before d. Then change the order in the line above and run.");
    return gradient(g.a);
}

// Steps 1 to 3, while a tape is running.
static Graph recorded(Lesson& lesson, float a, float b) {
    Tape tape;
    const Graph g = step_forward(lesson, a, b);
    step_tape(lesson, g, tape);
    step_backward(lesson, g, tape);
    return g;
}

static void walk(Lesson& lesson) {
    const float a = 2, b = 3;
    const Graph g = recorded(lesson, a, b);
    const double slope = step_slope(lesson, a, b);
    const float assigned = step_assign(lesson, g);
    const float disordered = step_wrong_order(lesson, a, b);

    Tape tape;
    const Var a_again = parameter(Matrix{{a}});
    const Graph again = compute(a_again, parameter(Matrix{{b}}));
    backward(again.L);
    lesson.say("Next: nn/attention computes attention weights by hand.");
    lesson.claim_at_most("d L / d a by hand is 76, error of backward()", std::abs(gradient(a_again) - 76), 1e-5);
    lesson.claim_at_most("walking the tape ourselves gives the same, difference", std::abs(gradient(g.a) - gradient(a_again)), 0);
    lesson.claim_at_most("the derivative by finite differences, difference", std::abs(slope - 76), 1e-2);
    lesson.claim("= instead of += and a wrong order give other numbers: " + fixed(assigned, 0) + " and " + fixed(disordered, 0),
                 assigned != 76 && disordered != 76);
}

int main(int argc, char** argv) {
    Options options("nn/gradients", "Automatic differentiation is a list that is read from its end.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, walk);
}
