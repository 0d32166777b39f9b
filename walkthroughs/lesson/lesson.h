// lesson.h: how a walkthrough speaks: steps, each with its question, equation, line of code, numbers, reason and something to
// predict, and at the end the claims that were measured.
//
//   use      Lesson lesson(options);
//            lesson.step("Who looks at whom?", "A = softmax(q k^T / sqrt(h))", "Eq. 6");
//            lesson.code("const Matrix A = softmax_rows(scores);");
//            lesson.matrix("A", A);
//            lesson.why("exp(ln 3) = 3, so token 1 gets three parts of four");
//            lesson.predict("row 0 when q is doubled");
//            lesson.claim_at_least("digits never seen before, read correctly", accuracy, 0.95);
//            return lesson.end();
//   looks    step 3   Who looks at whom?             A = softmax(q k^T / sqrt(h))   Eq. 6
//                     A (2, 2)   0.2500  0.7500
//                                0.5000  0.5000
//                     why       exp(ln 3) = 3, so token 1 gets three parts of four
//   note     Numbers inside prose go through fixed(), so that prose and code cannot part.
//            What is told becomes an Item, which is written as text at once and, with --page, as a web page at the end.
#pragma once
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/matrix.h"
#include "nn/base/require.h"
#include "nn/data/image.h"
#include "walkthroughs/lesson/item.h"
#include "walkthroughs/lesson/options.h"
#include "walkthroughs/lesson/pictures.h"
#include "walkthroughs/page/page.h"

class Lesson {
public:
    // Prints what the lesson is and how long it takes.
    explicit Lesson(const Options& options);
    // The same to another file and for another kind of terminal; lines are read from `in` between steps.
    Lesson(const Options& options, std::FILE* out, std::FILE* in, Colours colours);

    // Begins the next step; with --step waits for Enter first, except before the first.
    void step(std::string_view question, std::string_view equation = "", std::string_view source = "");

    // Prose, wrapped. The parts are joined as in require(): words and whole numbers; others go through fixed().
    template <class... Parts>
    void say(const Parts&... parts) {
        tell({.kind = Item::Kind::say, .words = joined({parts...})});
    }
    template <class... Parts>
    void why(const Parts&... parts) {
        tell({.kind = Item::Kind::why, .words = joined({parts...})});
    }
    template <class... Parts>
    void predict(const Parts&... parts) {
        tell({.kind = Item::Kind::predict, .words = joined({parts...})});
    }
    // The same with the answer: below the question, and hidden on a page until it is asked for.
    void predict_and_tell(std::string_view question, std::string_view answer);

    // The line of code that does it: words; or, as they stand in the file, the lines of source that follow the call.
    void code(std::string_view line);
    void code(int lines = 1, Where where = Where::current());
    void matrix(std::string_view name, const Matrix& m, int most = 8);  // shape and numbers, the corners of a large one

    void picture(std::string_view caption, const Image& image);
    void heat(std::string_view caption, const Matrix& m);  // with the smallest and the largest element
    void pictures(const std::vector<Captioned>& blocks);   // made with picture() and heat_map() of pictures.h
    void curves(const std::vector<Series>& series);
    void table(const std::vector<std::vector<std::string>>& rows);
    void lines(const std::vector<std::string>& given);  // as they are, indented

    // "claim    holds   words: 0.9694, at least 0.95". Returns whether it holds; NaN never does.
    bool claim_at_least(std::string_view words, double measured, double bound);
    bool claim_at_most(std::string_view words, double measured, double bound);
    bool claim(std::string_view words, bool holds);

    // The sum of the claims; writes the page that --page asked for.
    //   returns 0 when all hold, 1 when one does not: what main returns
    int end();

    const Colours colours;

private:
    std::FILE* out;
    std::FILE* in;
    bool waiting;  // --step, as long as somebody answers
    int steps = 0, claims = 0, failed = 0;
    KeepSteps keep;  // a lesson looks inside the models that it runs
    Page page;       // what was told, with --page
    std::string page_path;

    void tell(Item item);
    void print(const Item& item);
    void print(std::initializer_list<Part> parts);
    void print_lines(const std::vector<std::string>& given);
    void print_step(const Item& step);
    void print_code(const Item& code);
    void print_matrix(const Item& item);
    void print_claim(const Item& claim);
    void labelled(std::string_view label, const std::string& words);
    std::string bold(std::string_view words) const;
    std::string faint(std::string_view words) const;
    void wait_for_enter();
};

// Gives the lesson on standard output.
//   returns  what main returns: 0, 1 when a claim failed or the program did (also when its output could not be written), 2 after one line on standard error when something
//            that the user named was refused, such as a broken file
int give_lesson(const Options& options, const std::function<void(Lesson&)>& walk);
