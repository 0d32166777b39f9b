// restoring.h: pictures to restore, the page that shows what became of them, and the two guesses to beat, for lessons on hidden patches.
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "vit/mask_pixels/restoration.h"
#include "walkthroughs/lesson/lesson.h"

// Pictures as a model sees them: in light * deviation + mean they are 0 ... 1 again.
struct Pictures {
    std::vector<Image> train, test;
    float mean = 0;
    float deviation = 1;
};

// The handwritten digits, their pixels moved to mean 0 and deviation 1; those to be judged were written by other people.
Pictures digits_to_restore();

// Plane waves (see plane_waves.h): none to train on, because every batch draws its own, and `count` to be judged.
Pictures waves_to_restore(int count, int size, int seed);

// One of them as light, 0 dark and 1 bright.
Image as_light(const Image& picture, const Pictures& pictures);

// `count` pictures to train on, each drawn anew: from the train set, or a new wave where that is empty.
std::vector<Image> draw_batch(const Pictures& pictures, int count, Random& random);

// What a model and the two guesses make of the same hidden patches.
struct Judged {
    Errors model, mean, copy;
};
Judged judge(const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask, int patch_size, Measure measure);

// The table of these numbers.
std::vector<std::vector<std::string>> judged_table(const Judged& judged);

// Masked, restored, original of the first `count` pictures of the test set, drawn into the lesson, and appended to `pages`.
void show_triples(Lesson& lesson, const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask, int patch_size, int count,
                  std::vector<Image>& pages);

// Writes what show_triples collected, three pictures a row, as a PPM or PGM; does nothing without a path.
void write_pages(const std::string& path, const std::vector<Image>& pages);
