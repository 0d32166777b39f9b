// golden.h: compare our numbers with those of the published implementations (tests/golden).
//
//   rule   |ours - golden| <= 1e-5 + 1e-4 |golden|, element by element; NaN never agrees
//   noise  rounding may use half of the tolerance (highest_share), so that a small mistake or an inaccurate sum shows before the
//          rule is broken. The test program ends with the largest share that each fixture used:
//              vit-a 0.18 at grad.classifier.weight
//          Fixtures of another folder need only fulfil the rule
//   files  NAME-CASE.safetensors with weights.*, input.*, expected.*, grad.* and the hyperparameters as metadata;
//          the environment variable GOLDEN_DIR names another folder of such files
//   use    for (const std::string& path : golden_files("vit")) {
//              const Golden golden(path);
//              const vit::Config config{.width = golden.file.metadata_int("hidden_size"), ...};
//              ...
//              golden.check("embeddings", steps.z0);  // compares with expected.embeddings
//              check_gradients(parameters, golden);
//              golden.check_all_used();               // every expected number was compared
//          }
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/data/safetensors.h"
#include "tests/close.h"

inline constexpr double highest_share = 0.5;  // of the tolerance

// The folder of the fixtures: GOLDEN_DIR, or tests/golden.
std::string golden_folder();

// The largest fraction of the tolerance that each fixture has used so far, and at which tensor: one line per stem.
std::string shares_used();

// All files STEM-*.safetensors of a folder (or with another ending), sorted.
std::vector<std::string> files_of_stem(const std::string& folder, const std::string& stem, const std::string& ending);
// The same in golden_folder(). The test fails when there is none.
std::vector<std::string> golden_files(const std::string& stem, const std::string& ending = ".safetensors");

// largest_share() of close.h, with an additional tolerance of `factor` times the largest element of the row.
Share largest_share_of_rows(const Matrix& ours, const Matrix& golden, Tolerance tolerance, float factor);

class Golden {
public:
    explicit Golden(const std::string& path);

    Safetensors file;  // its metadata, and every tensor under its full name

    bool has(const std::string& full_name) const { return file.has(full_name); }
    // A boolean metadata entry: true or True, false or False; anything else fails the test.
    bool flag(const std::string& key) const;
    std::string describe() const;  // "vit-a.safetensors", the beginning of every message

    Matrix input(const std::string& name) const;                    // input.NAME as Safetensors::matrix gives it
    Matrix expected(const std::string& name) const;                 // expected.NAME; counts as used
    Matrix weight(const std::string& name) const;                   // weights.NAME
    std::vector<int> integers(const std::string& full_name) const;  // "input.labels"; "expected.x" counts as used

    // Loads our parameters from weights.*; names must match exactly.
    void load_weights(const Parameters& parameters, const LoadRules& rules = {}) const;

    // Compares with expected.NAME. Only the first step that differs fails an assertion; later ones are counted.
    void check(const std::string& name, const Matrix& ours, Tolerance tolerance = {}, Where where = Where::current()) const;
    void check(const std::string& name, float ours, Tolerance tolerance = {}, Where where = Where::current()) const;
    // The same for a tensor of any full name: "grad.classifier.weight".
    void compare(const std::string& full_name, const Matrix& ours, Tolerance tolerance = {},
                 Where where = Where::current()) const;
    void check_integers(const std::string& name, const std::vector<int>& ours, Where where = Where::current()) const;

    // For a fixture on which float32 in PyTorch itself uses more than 0.4 of the tolerance: allows 1.25 times that share.
    void allow_share(double share, const std::string& reason);
    // For a tensor whose small elements are differences of large ones: an additional tolerance of `factor` times the largest
    // element of the row.
    void allow_of_row(const std::string& full_name, float factor, const std::string& reason);

    // Leaves expected.NAME out on purpose.
    void leave_out(const std::string& name, const std::string& reason) const;

    // The expected.* of the file that were not compared: " expected.logits expected.loss", or "".
    std::string not_used() const;
    // One assertion that there are none, and one that reports how many steps and gradients differed after the first.
    void check_all_used(Where where = Where::current()) const;

private:
    mutable std::set<std::string> used;    // full names
    mutable std::string first_difference;  // the first step that failed
    double allowed_share = highest_share;
    std::map<std::string, float> allowed_of_row;  // factors, by full name
    mutable std::vector<std::string> later_differences;

    void report(const std::string& step, const std::string& difference, const Where& where) const;
    // For the first step that differs, a guess at the cause (course/cause), or "".
    std::string why(const std::string& full_name, const Matrix& ours) const;
    friend void check_gradients(const Parameters&, const Golden&, Tolerance, Where);
};

// Compares the gradient of every parameter with grad.NAME. A parameter without grad.NAME must have no gradient, and every grad.*
// must belong to a parameter.
void check_gradients(const Parameters& parameters, const Golden& golden, Tolerance tolerance = {},
                     Where where = Where::current());

// The grad.* of the file that no parameter of ours is compared with.
std::string gradients_not_used(const Parameters& parameters, const Golden& golden);
