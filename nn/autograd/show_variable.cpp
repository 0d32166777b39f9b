#include "nn/autograd/show_variable.h"

#include <cstdio>

#include "nn/base/show.h"

std::string variable_text(const Var& v) {
    if (!v) return "no value\n";
    std::string words = v->operation;
    if (v->where.line() > 0) words += std::string(" at ") + v->where.file_name() + ":" + text(v->where.line());
    words += " " + grid_text(v.value());
    if (!v.gradient().empty()) words += "gradient " + grid_text(v.gradient());
    return words;
}

void show(const Var& v) {
    std::fputs(variable_text(v).c_str(), stdout);
    std::fflush(stdout);
}

void heat(const Var& v) { heat(v.value()); }

void stats(const Var& v) {
    stats(v.value());
    if (v.gradient().empty()) return;
    std::fputs("gradient ", stdout);
    stats(v.gradient());
}
