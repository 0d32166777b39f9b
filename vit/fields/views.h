// views.h: views of a scene, images with their cameras: the training and test data of a field.
//
//   format   the JSON of NeRF's synthetic scenes: {"camera_angle_x": radians, "frames": [{"file_path": "./train/r_0",
//            "transform_matrix": 4 x 4 camera to world}, ...]}; the images are PNG or PPM files, whose extension may be
//            omitted; transparent pixels of NeRF's PNG files are blended with white, as in its code
//   note     the ray of pixel (i, j) passes through its centre, half a pixel further than in NeRF's code
#pragma once
#include <string>
#include <vector>

#include "vit/fields/volume_rendering.h"

struct View {
    Camera camera;
    Image image;  // 3 channels
};

// Reads the JSON and its images.
//   widest  wider images are reduced to this width, in pixels; 0 = as they are
//   throws  std::invalid_argument with the path, the frame and the fault: a member that is missing or of another kind, no frames, a
//           transform_matrix that is not 4 x 4 or not a rotation and a position, an image that is missing or has no colours
std::vector<View> read_views(const std::string& path, int widest = 0);

// The view with an image of `width` pixels, antialiased; its camera sees the same directions. An image that is not wider stays as it
// is.   throws std::invalid_argument for a width below 1
View reduced(const View& view, int width);

// Writes the JSON and, beside it, NAME-0.ppm, NAME-1.ppm, ... for a path NAME.json.
//   throws  std::invalid_argument when there is no view, or the views have not one field of view
void write_views(const std::string& path, const std::vector<View>& views);

// `count` positions evenly spread over a sphere around the origin, on a spiral: height z = 1 - 2 (i + 1/2) / count, angle
// 2.399963 i (the golden angle) + turn.
std::vector<Point3> points_on_sphere(int count, double distance, double turn = 0);

// The rays and colours of all pixels of all views, stacked.
struct PixelRays {
    Rays rays;       // R of them
    Matrix colours;  // (R, 3)
};
PixelRays pixel_rays(const std::vector<View>& views);

// The rays and colours with these indices.   throws std::invalid_argument for an index out of range
PixelRays chosen(const PixelRays& all, const std::vector<int>& numbers);
