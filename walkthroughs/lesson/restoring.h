// restoring.h: pictures to restore, the page that shows what became of them, and the guesses to beat, for lessons.
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/data/parameters.h"
#include "nn/data/patches.h"
#include "nn/training/train.h"
#include "vit/mask_pixels/restoration.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/options.h"

// Pictures as a model sees them: in light * deviation + mean they are 0 ... 1 again.
struct Pictures {
    std::string one = "digit";  // what one of them is called on the page
    std::vector<Image> train, test;
    float mean = 0;
    float deviation = 1;
};

// Which pictures a lesson learns from: the handwritten digits, or those of the reader, in IDX files as vit takes them.
struct PictureFiles {
    std::string train_images, test_images, train_labels, test_labels;  // the digits at first
    int train_count = 0;                                               // 0: all
    int patch_size = 0;                                                // 0: a quarter of the height, or less
    PictureFiles();

    // --train-images, --test-images, --train-count, --patch-size, and where labels are needed --train-labels and --test-labels
    void declare(Options& options, bool with_labels = false);
    bool own() const;
};

// These pictures, their pixels moved to mean 0 and standard deviation 1. Of the test file the first 500 are judged. The digits there
// were written by other people.
//   throws  std::invalid_argument when a file holds no picture, all pixels are equal, or the pictures differ in size
Pictures pictures_to_restore(const PictureFiles& files);

// The digits.
Pictures digits_to_restore();

// How they are cut: into squares of --patch-size, or of the largest side up to a quarter of the height that divides both sides.
PatchGrid grid_of(const Pictures& pictures, const PictureFiles& files);

// Plane waves (see plane_waves.h): none to train on, because every batch draws its own, and `count` to be judged.
Pictures waves_to_restore(int count, int size, int seed);

// One of them as light, 0 dark and 1 bright.
Image as_light(const Image& picture, const Pictures& pictures);

// `count` pictures to train on, each drawn anew: from the train set, or a new wave where that is empty.
std::vector<Image> draw_batch(const Pictures& pictures, int count, Random& random);

// How every model of these lessons learns: AdamW without decay, a short warm-up, then a cosine down to a twentieth.
Recipe restoring_recipe(int steps);

// A model that learns to restore.
class Restoring : public Objective {
public:
    virtual Var batch_loss(int batch, Random& random) = 0;  // of pictures that it draws, (1, 1), recorded on the running tape
    virtual float test_loss() = 0;                          // the error on pictures that are not trained on

    explicit Restoring(int seed) : random(seed) {}
    Var loss(int) override { return batch_loss(batch, random); }
    int batch = 32;  // pictures in a step

private:
    Random random;
};

//   returns    the test loss, measured 16 times on the way; `what` names the curve and the progress line
Series learn_to_restore(Restoring& restoring, const Parameters& table, int steps, const std::string& what);

// What a model and the guesses make of the same hidden patches.
struct Judged {
    Errors model, mean, median, copy;
};
Judged judge(const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask, int patch_size, Measure measure);

// The table of these numbers.
std::vector<std::vector<std::string>> judged_table(const Judged& judged);

// Masked, restored, original, masked, restored, ... of the first `count` pictures of the test set, as light.
std::vector<Image> triples(const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask, int patch_size,
                           int count);

// Draws them into the lesson, three beside one another; and writes them to a PPM file, unless the path is empty.
void show_triples(Lesson& lesson, const std::vector<Image>& triples);
void write_triples(const std::string& path, const std::vector<Image>& triples);

// "14 15 8 5"
std::string list_text(const std::vector<int>& numbers);
