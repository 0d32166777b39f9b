// lesson.h: the page of a walkthrough: steps, each with a question, equation, code, numbers, a reason and a prediction, and at
// the end the measured claims.
//
//   use      Lesson lesson(options);
//            lesson.step("Which tokens attend to which?", "A = softmax(q k^T / sqrt(h))", "Eq. 6");
//            lesson.code();  // shows the next line of the source
//            const Matrix A = softmax_rows(scores).value();
//            lesson.matrix("A", A);
//            lesson.why("exp(ln 3) = 3, so token 1 gets three quarters of the weight");
//            lesson.predict("row 0 when q is doubled");
//            lesson.predict("How many of 9 digits are right?", {right, 0.5});   // asked with --quiz or --step, else answered at the end
//            lesson.claim_at_least("unseen digits read correctly", accuracy, 0.95);
//            return lesson.end();
//   output   step 3   Which tokens attend to which?   A = softmax(q k^T / sqrt(h))   Eq. 6
//                     A (2, 2)   0.2500  0.7500
//                                0.5000  0.5000
//                     why       exp(ln 3) = 3, so token 1 gets three quarters of the weight
//   note     Numbers inside prose are computed and formatted by fixed(), so that prose and code always agree.
//            Everything becomes an Item, which is written as text at once and, with --page, as a web page at the end.
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

// The answer to a prediction, computed by the run: a number with its tolerance, or text.
struct LessonAnswer {
    std::string shown;
    double number = 0, within = -1;  // within < 0: words

    LessonAnswer(const std::string& words) : shown(words) {}
    LessonAnswer(double number, double within);
};

class Lesson {
public:
    // Prints the title and the duration.
    explicit Lesson(const Options& options);
    // The same with given output, input (for --step), colours and width in columns.
    Lesson(const Options& options, std::FILE* out, std::FILE* in, Colours colours, int page_width = 80);

    // Begins the next step; with --step waits for Enter first, except before the first.
    void step(std::string_view question, std::string_view equation = "", std::string_view source = "");

    // Wrapped prose. The parts are joined as in require(): words and whole numbers; format other numbers with fixed().
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

    // A prediction that the run answers. With --quiz or --step it is asked, and the reply checked; otherwise end() prints the
    // answer.
    // A page hides the answer until it is unfolded.
    void predict(std::string_view question, const LessonAnswer& answer);

    // The lines of source that follow the call, so that what is shown is what runs. Long lines continue below, indented.
    void code(int lines = 1, Where where = Where::current());
    void matrix(std::string_view name, const Matrix& m, int most = 8);  // shape and numbers, only the corners of a large matrix

    void picture(std::string_view caption, const Image& image);
    // A heat map with minimum and maximum; names of its rows and columns, such as tokens.
    void heat(std::string_view caption, const Matrix& m, const std::vector<std::string>& row_names = {},
              const std::vector<std::string>& col_names = {});
    void pictures(const std::vector<Captioned>& blocks);  // made with picture() and heat_map() of pictures.h
    void curves(const std::vector<Series>& series, const AxisNames& axes = {});
    void table(const std::vector<std::vector<std::string>>& rows);
    void lines(const std::vector<std::string>& given);  // indented, not wrapped

    // "claim    holds   words: 0.9694, at least 0.95". Returns whether it holds; it does not for NaN.
    bool claim_at_least(std::string_view words, double measured, double bound);
    bool claim_at_most(std::string_view words, double measured, double bound);
    bool claim(std::string_view words, bool holds);

    // Prints how many claims hold, and the answers of predictions that were not asked; writes the page of --page.
    //   returns  the exit status: 0 when all hold, else 1
    int end();

    const Colours colours;
    const int page_width;  // no line is wider, except those of lines()

private:
    std::FILE* out;
    std::FILE* in;
    bool waiting;  // --step, until the input ends
    bool asking;   // --quiz or --step, until the input ends
    int steps = 0, claims = 0, failed = 0;
    std::vector<std::string> answers;  // of predictions that were not asked, a line each
    KeepSteps keep;                    // a lesson looks inside the models that it runs
    Page page;                         // the content, for --page
    std::string page_path;

    void tell(Item item);
    void print(const Item& item);
    void print(std::initializer_list<Part> parts);
    void print_lines(const std::vector<std::string>& given);
    void print_step(const Item& step);
    void print_code(const Item& code);
    void print_matrix(const Item& item);
    void print_pictures(const std::vector<Captioned>& blocks);
    void print_claim(const Item& claim);
    void labelled(std::string_view label, const std::string& words);
    std::string bold(std::string_view words) const;
    std::string faint(std::string_view words) const;
    void wait_for_enter();
    std::string line_of_input();  // without its end; ends waiting and asking where the input ends
};

// Runs a lesson on standard output.
//   returns  the exit status: 0; 1 when a claim or the program failed (also when output could not be written); 2, after one line
//            on standard error, when an input of the user was refused, such as a broken file
int give_lesson(const Options& options, const std::function<void(Lesson&)>& walk);

// That line: the program, why, and, when one of the project's own files is not there, where to start the program.
std::string refusal(const Options& options, const std::string& why);
