// spheres.h: a scene with known images, spheres on white, lit by a distant lamp: training data and ground truth for fields.
//
//   model    diffuse: colour * (0.35 + 0.65 max(0, n.L));  highlight: + 0.25 max(0, n.h)^8;  n normal, L direction of the lamp,
//            h the unit vector halfway between L and the direction to the camera
#pragma once
#include <array>
#include <string>
#include <vector>

#include "vit/fields/views.h"

struct Sphere {
    Point3 centre;
    double radius;
    std::array<double, 3> colour;  // red, green, blue in 0 ... 1
};

// Red in the middle, green, blue and yellow around it; `fourth_green`: the fourth has the second one's green.
std::vector<Sphere> four_spheres(bool fourth_green = false);

// One sphere per line: x y z radius red green blue. Empty lines and lines that begin with # are ignored.
//   throws  std::invalid_argument with the path and the line
std::vector<Sphere> read_spheres(const std::string& path);

// The first intersection of a ray: the index of the sphere, and the distance in lengths of the direction; -1 = no intersection.
struct Hit {
    int sphere = -1;
    double distance = 0;
};
Hit first_hit(const std::vector<Sphere>& spheres, const Point3& origin, const Point3& direction);

// The rendered image; each pixel is the mean of samples x samples rays.
Image draw_spheres(const std::vector<Sphere>& spheres, const Camera& camera, int samples = 3);

// The sphere at the centre of each pixel, row by row; -1 = background.
std::vector<int> labels_of(const std::vector<Sphere>& spheres, const Camera& camera);

// Images from `count` positions around the origin, looking at it.
//   turn  rotation of the positions, in radians; another value gives held-out views
std::vector<View> views_of(const std::vector<Sphere>& spheres, int count, int side, double turn = 0, double distance = 3,
                           double field_of_view = 45);
