// vit_fixture.h: what several tests of image models need: configurations that a fixture's metadata describe, and images.
#pragma once
#include <optional>
#include <vector>

#include "tests/golden.h"
#include "vit/vit.h"

vit::Config vit_of_fixture(const Golden& golden);

// "img_size", "patch_size", "in_chans": square images.
PatchGrid square_grid_of(const Golden& golden);

// "image_height", "image_width", "patch_size", "in_chans".
PatchGrid grid_of(const Golden& golden);

// "init_values": "none" and 0 mean that there is no LayerScale.
std::optional<float> layer_scale_of(const Golden& golden);

// Images whose numbers are uniform in [0, 1).
std::vector<Image> uniform_images(Random& random, int count, const PatchGrid& grid);

// Images of three channels, every number normal, the same for the same seed.
std::vector<Image> normal_images(int count, int height, int width, int seed);
