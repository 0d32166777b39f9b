// published_vit.h: photographs for a published ViT.
#pragma once
#include <string>

#include "vit/vit.h"

// A photograph as the model of this checkpoint expects it: vit::preprocess(), with image_mean and image_std of
// preprocessor_config.json in the checkpoint's folder, if there is such a file.
//   throws  std::invalid_argument with its path for an unsupported step (do_resize, do_normalize, do_center_crop, resample), for
//           another size than that of the model's images, and for not one number for each channel
Image prepared_photograph(const Image& photograph, const vit::Config& config, const std::string& weights);
