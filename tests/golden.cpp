#include "tests/golden.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "course/cause/cause.h"
#include "course/cause/known.h"
#include "course/grade/steps.h"

static const char* const own_folder = "tests/golden";

std::string golden_folder() {
    const char* const folder = std::getenv("GOLDEN_DIR");
    return folder == nullptr || *folder == '\0' ? own_folder : folder;
}

namespace {
struct UsedShare {
    double share = 0;
    std::string name = "every tensor";  // of the tensor that used it
};
}  // namespace

// By fixture, "vit-a"; filled as the tests run.
static std::map<std::string, UsedShare>& used_shares() {
    static std::map<std::string, UsedShare> shares;
    return shares;
}

static std::string hundredths(double number) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.2f", number);
    return buffer;
}

std::string shares_used() {
    std::string lines, stem;
    for (const auto& [fixture, used] : used_shares()) {
        const std::string its_stem = fixture.substr(0, fixture.rfind('-'));
        lines += lines.empty() ? "" : its_stem == stem ? "   " : "\n";
        lines += fixture + " " + hundredths(used.share) + " at " + used.name;
        stem = its_stem;
    }
    return lines;
}

std::vector<std::string> files_of_stem(const std::string& folder, const std::string& stem, const std::string& ending) {
    std::vector<std::string> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(stem + "-") && name.ends_with(ending)) found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<std::string> golden_files(const std::string& stem, const std::string& ending) {
    const std::vector<std::string> found = files_of_stem(golden_folder(), stem, ending);
    REQUIRE_MESSAGE(!found.empty(), "no file ", stem, "-*", ending, " in ", golden_folder());
    return found;
}

static bool is_step(const std::string& full_name) { return full_name.starts_with("expected.") || full_name.starts_with("grad."); }

Golden::Golden(const std::string& path) : file(path) {
    const auto steps =
        std::count_if(file.tensors.begin(), file.tensors.end(), [](const auto& entry) { return is_step(entry.first); });
    open_fixture(path, static_cast<int>(steps));
}

bool Golden::flag(const std::string& key) const {
    const std::string word = file.metadata_text(key);
    const bool yes = word == "true" || word == "True", no = word == "false" || word == "False";
    require(yes || no, describe(), ": metadata ", key, " is ", word, ", neither true nor false");
    return yes;
}

std::string Golden::describe() const { return std::filesystem::path(file.path).filename().string(); }

Matrix Golden::input(const std::string& name) const { return file.matrix("input." + name); }

Matrix Golden::weight(const std::string& name) const { return file.matrix("weights." + name); }

Matrix Golden::expected(const std::string& name) const {
    used.insert("expected." + name);
    return file.matrix("expected." + name);
}

std::vector<int> Golden::integers(const std::string& full_name) const {
    used.insert(full_name);
    return file.integers(full_name);
}

void Golden::load_weights(const Parameters& parameters, const LoadRules& rules) const {
    load(parameters, file, rules, "weights.");
}

void Golden::report(const std::string& step, const std::string& difference, const Where& where) const {
    compare_step(file.path, step, difference.empty());
    if (difference.empty()) return check_none("", where);
    if (!first_difference.empty()) {  // later steps differ because the first did: only counted, for check_all_used
        later_differences.push_back(step);
        return;
    }
    first_difference = step;
    check_none(describe() + ", " + step + " (the first step that differs): " + difference, where);
}

// "31 later steps (layer.0.output, layer.1.query, ...) and 40 gradients"
static std::string later_text(const std::vector<std::string>& later) {
    std::string names;
    int steps = 0, gradients = 0;
    for (const std::string& name : later) {
        if (name.starts_with("grad.")) {
            ++gradients;
        } else if (++steps <= 3) {
            names += (names.empty() ? "" : ", ") + name;
        }
    }
    if (steps > 3) names += ", ...";
    const std::string step_words = steps == 0 ? "" : text(steps) + " later steps (" + names + ")";
    const std::string gradient_words = gradients == 0 ? "" : text(gradients) + " gradients";
    return step_words + (steps > 0 && gradients > 0 ? " and " : "") + gradient_words;
}

void Golden::allow_share(double share, const std::string& reason) {
    INFO(describe(), ": ", share, " of the tolerance may be used: ", reason);
    CHECK(share > highest_share);
    CHECK(!reason.empty());
    allowed_share = share;
}

void Golden::allow_of_row(const std::string& full_name, float factor, const std::string& reason) {
    INFO(describe(), ": elements of ", full_name, " may differ by ", factor, " times the largest of their row: ", reason);
    CHECK(has(full_name));
    CHECK((factor > 0 && factor <= 1e-6f));
    CHECK(!reason.empty());
    allowed_of_row[full_name] = factor;
}

Share largest_share_of_rows(const Matrix& ours, const Matrix& golden, Tolerance tolerance, float factor) {
    if (!same_shape(ours, golden)) return largest_share(ours, golden, tolerance);
    Share largest;
    for (int i = 0; i < golden.rows; ++i) {
        float largest_of_row = 0;
        for (int j = 0; j < golden.cols; ++j) largest_of_row = std::max(largest_of_row, std::abs(golden(i, j)));
        const Tolerance of_row{.absolute = tolerance.absolute + factor * largest_of_row, .relative = tolerance.relative};
        const Share share = largest_share(slice_rows(ours, i, 1), slice_rows(golden, i, 1), of_row);
        if (share.share > largest.share) largest = {.share = share.share, .row = i, .col = share.col};
    }
    return largest;
}

void Golden::compare(const std::string& full_name, const Matrix& ours, Tolerance tolerance, Where where) const {
    used.insert(full_name);
    const Matrix golden = file.matrix(full_name);
    const auto of_row = allowed_of_row.find(full_name);
    const bool row_counts = of_row != allowed_of_row.end() && same_shape(ours, golden);
    const Share largest =
        row_counts ? largest_share_of_rows(ours, golden, tolerance, of_row->second) : largest_share(ours, golden, tolerance);
    UsedShare& used_here = used_shares()[std::filesystem::path(file.path).stem().string()];
    if (largest.share > used_here.share) used_here = {largest.share, full_name};
    std::string complaint = row_counts && largest.share <= 1 ? "" : difference(ours, golden, tolerance);
    if (complaint.empty() && largest.share > allowed_share && golden_folder() == own_folder)
        complaint = "element (" + text(largest.row) + ", " + text(largest.col) + ") uses " + hundredths(largest.share) +
                    " of the tolerance, rounding may use " + hundredths(allowed_share);
    else if (!complaint.empty())
        complaint += why(full_name, ours);
    report(full_name, complaint, where);
}

void Golden::check(const std::string& name, const Matrix& ours, Tolerance tolerance, Where where) const {
    compare("expected." + name, ours, tolerance, where);
}

std::string Golden::why(const std::string& full_name, const Matrix& ours) const {
    if (!first_difference.empty()) return "";  // later steps differ because the first did
    const std::string said = cause(ours, as_matrix(file, full_name), known_of(file, full_name));
    return said.empty() ? "" : before_cause + said;
}

void Golden::check(const std::string& name, float ours, Tolerance tolerance, Where where) const {
    check(name, Matrix(1, 1, ours), tolerance, where);
}

void Golden::check_integers(const std::string& name, const std::vector<int>& ours, Where where) const {
    const std::vector<int> golden = integers("expected." + name);
    std::string complaint;
    if (ours.size() != golden.size()) {
        complaint = "ours are " + text(ours.size()) + " integers, golden " + text(golden.size());
    } else {
        const std::size_t k = std::mismatch(ours.begin(), ours.end(), golden.begin()).first - ours.begin();
        if (k < ours.size()) complaint = "element " + text(k) + ": ours " + text(ours[k]) + ", golden " + text(golden[k]);
    }
    if (!complaint.empty() && ours.size() == golden.size()) {
        Matrix numbers = as_matrix(file, "expected." + name);
        std::copy(ours.begin(), ours.end(), numbers.begin());
        complaint += why("expected." + name, numbers);
    }
    report("expected." + name, complaint, where);
}

void Golden::leave_out(const std::string& name, const std::string& reason) const {
    INFO(describe(), ": expected.", name, " is left out: ", reason);
    CHECK(has("expected." + name));
    CHECK(!reason.empty());
    used.insert("expected." + name);
}

std::string Golden::not_used() const {
    std::string left;
    for (const auto& [name, tensor] : file.tensors)
        if (name.starts_with("expected.") && used.count(name) == 0) left += " " + name;
    return left;
}

void Golden::check_all_used(Where where) const {
    const std::string left = not_used();
    check_none(left.empty() ? "" : describe() + ": nothing was compared with" + left, where);
    check_none(later_differences.empty() ? "" : describe() + ": and " + later_text(later_differences) + " differ", where);
}

static bool all_zero(const Matrix& m) {
    return std::all_of(m.begin(), m.end(), [](float x) { return x == 0; });
}

std::string gradients_not_used(const Parameters& parameters, const Golden& golden) {
    std::set<std::string> ours;
    for (const Parameter& parameter : parameters) ours.insert("grad." + parameter.name);
    std::string left;
    for (const auto& [name, tensor] : golden.file.tensors)
        if (name.starts_with("grad.") && ours.count(name) == 0) left += " " + name;
    return left;
}

void check_gradients(const Parameters& parameters, const Golden& golden, Tolerance tolerance, Where where) {
    // From the loss backwards, as gradients flow: the first that differs is nearest to the mistake.
    for (auto entry = parameters.rbegin(); entry != parameters.rend(); ++entry) {
        const Parameter& parameter = *entry;
        const std::string name = "grad." + parameter.name;
        const Matrix ours = published_gradient(parameter);
        if (golden.has(name))
            golden.compare(name, ours, tolerance, where);
        else
            check_none(
                all_zero(ours) ? "" : golden.describe() + ": ours has a gradient for " + parameter.name + ", golden has none",
                where);
    }
    const std::string left = gradients_not_used(parameters, golden);
    check_none(left.empty() ? "" : golden.describe() + ": no parameter of ours was compared with" + left, where);
}
