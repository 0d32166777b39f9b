// images.h: pictures as fixtures store them, (B, C, H, W), which Safetensors::matrix gives as (B*C*H, W).
#pragma once
#include <vector>

#include "nn/base/matrix.h"
#include "nn/data/image.h"

std::vector<Image> images_of_fixture(const Matrix& numbers, int channels, int height);
Matrix as_in_fixture(const std::vector<Image>& images);
