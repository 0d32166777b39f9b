// views.h: photographs of a scene with the cameras that took them: what a field is fitted to, and judged by.
//
//   format   the JSON of NeRF's synthetic scenes: {"camera_angle_x": radians, "frames": [{"file_path": "./train/r_0",
//            "transform_matrix": 4 x 4 camera to world}, ...]}; the pictures are PNG or PPM files, whose ending may be
//            left out; what is transparent in NeRF's PNG files is laid over white, as its authors do
//   note     pixel (i, j) is seen along the ray through its middle, half a pixel further than in NeRF's code
#pragma once
#include <string>
#include <vector>

#include "vit/fields/volume_rendering.h"

struct View {
    Camera camera;
    Image picture;  // 3 channels
};

// throws std::invalid_argument with the path and what is wrong: no frames, a matrix of another size, a picture without colours
std::vector<View> read_views(const std::string& path);

// Writes the JSON and, beside it, NAME-0.ppm, NAME-1.ppm, ... for a path NAME.json.
//   throws  std::invalid_argument when there is no view, or the views have not one field of view
void write_views(const std::string& path, const std::vector<View>& views);

// `count` places evenly spread over a sphere around the origin, on a spiral: height z = 1 - 2 (i + 1/2) / count, angle 2.399963 i
// (the golden angle) + turn.
std::vector<Point3> places_on_sphere(int count, double distance, double turn = 0);

// All pixels of all views, one below the other: rays and what they saw.
struct PixelRays {
    Rays rays;       // R of them
    Matrix colours;  // (R, 3)
};
PixelRays pixel_rays(const std::vector<View>& views);

// The rays and colours with these numbers.   throws std::invalid_argument for a number outside
PixelRays chosen(const PixelRays& all, const std::vector<int>& numbers);
