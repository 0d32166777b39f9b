// vit_fixture.h: what several tests of image models need: the configuration that a ViT fixture's metadata describe, and images.
#pragma once
#include <vector>

#include "tests/golden.h"
#include "vit/vit.h"

vit::Config vit_of_fixture(const Golden& golden);

// Images of three channels, every number normal, the same for the same seed.
std::vector<Image> normal_images(int count, int height, int width, int seed);
