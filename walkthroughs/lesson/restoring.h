// restoring.h: for lessons on masked image modelling: images, training, baselines and the display of results.
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

// Normalised images; image * standard_deviation + mean lies in 0 ... 1.
struct Dataset {
    std::string one = "digit";  // what one image is called in the lesson
    std::vector<Image> train, test;
    float mean = 0;
    float standard_deviation = 1;
};

// The data of a lesson: the handwritten digits, or the user's own images, in IDX files as vit takes them.
struct DatasetFiles {
    std::string train_images, test_images, train_labels, test_labels;  // the digits by default
    int train_count = 0;                                               // 0: all
    int patch_size = 0;                                                // 0: a quarter of the height, or less
    DatasetFiles();

    // --train-images, --test-images, --train-count, --patch-size, and with labels --train-labels and --test-labels
    void declare(Options& options, bool with_labels = false);
    bool own() const;
};

// These images, normalised to mean 0 and standard deviation 1; of the test file the first 500. The test digits were written by
// other people.
//   throws  std::invalid_argument when a file holds no image, all pixels are equal, or the images differ in size
Dataset images_to_restore(const DatasetFiles& files);

// The digits.
Dataset digits_to_restore();

// The patch grid: of --patch-size, or of the largest size up to a quarter of the height that divides height and width.
PatchGrid grid_of(const Dataset& dataset, const DatasetFiles& files);

// Plane waves (see plane_waves.h): `count` test images and no training images, because every batch draws new ones.
Dataset waves_to_restore(int count, int size, int seed);

// An image as brightness, 0 dark and 1 bright.
Image as_light(const Image& image, const Dataset& dataset);

// `count` training images drawn at random, or new waves if there is no training set.
std::vector<Image> draw_batch(const Dataset& dataset, int count, Random& random);

// The recipe of these lessons: AdamW without weight decay, a short warm-up, then cosine decay to 5 % of the peak.
Recipe restoring_recipe(int steps);

// A model that is trained to restore masked patches.
class Restoring : public Objective {
public:
    virtual Var batch_loss(int batch, Random& random) = 0;  // on a new batch, (1, 1), recorded on the running tape
    virtual float test_loss() = 0;                          // on held-out images

    explicit Restoring(int seed) : random(seed) {}
    Var loss(int) override { return batch_loss(batch, random); }
    int batch = 32;  // images per step

private:
    Random random;
};

// Trains it.   returns the test loss, measured 16 times during training; `what` names the curve and the progress line
Series train_to_restore(Restoring& restoring, const Parameters& table, int steps, const std::string& what);

// The errors of a model and of the baselines on the same masked patches.
struct ErrorsWithBaselines {
    Errors model, mean, median, copy;
};
ErrorsWithBaselines errors_with_baselines(const Dataset& dataset, const std::vector<Image>& predicted, const Matrix& mask,
                                          int patch_size, Measure measure);

// The table of these numbers.
std::vector<std::vector<std::string>> error_table(const ErrorsWithBaselines& found);

// Masked, restored and original, in turn, of the first `count` test images, as brightness.
std::vector<Image> triples(const Dataset& dataset, const std::vector<Image>& predicted, const Matrix& mask, int patch_size,
                           int count);

// Shows them in the lesson, three per row; and writes them to a PPM file, unless the path is empty.
void show_triples(Lesson& lesson, const std::vector<Image>& triples);
void write_triples(const std::string& path, const std::vector<Image>& triples);

// "14 15 8 5"
std::string list_text(const std::vector<int>& numbers);
