// published_vit.h: a published or a saved ViT, and photographs for it.
#pragma once
#include <string>

#include "vit/vit.h"

struct PublishedVit {
    vit::Config config;
    vit::Weights w;
};

// The model of a checkpoint.   throws std::invalid_argument as vit::config_of and load do
PublishedVit read_published_vit(const std::string& weights, const GivenSettings& given);

// The image of the option --image, with as many channels as the model reads: one of 1 channel serves for each.
//   throws  std::invalid_argument for another number of channels
Image read_photograph(const std::string& path, const vit::Config& config);

// A photograph as the model of this checkpoint expects it: vit::preprocess(), with image_mean and image_std of
// preprocessor_config.json in the checkpoint's folder, if there is such a file.
//   throws  std::invalid_argument with its path for an unsupported step (do_resize, do_rescale, do_normalize, do_center_crop,
//           resample, rescale_factor), for another size than that of the model's images, and for not one number for each channel
Image prepared_photograph(const Image& photograph, const vit::Config& config, const std::string& weights);
