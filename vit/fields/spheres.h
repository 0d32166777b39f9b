// spheres.h: a scene whose pictures are known exactly: spheres on white, lit by a distant lamp. What a fitted field is judged by.
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

// One sphere per line: x y z radius red green blue. Empty lines and lines that begin with # do not count.
//   throws  std::invalid_argument with the path and the line
std::vector<Sphere> read_spheres(const std::string& path);

// What a ray meets first: the number of a sphere and the distance in lengths of the direction; -1 for none.
struct Hit {
    int sphere = -1;
    double distance = 0;
};
Hit first_hit(const std::vector<Sphere>& spheres, const Point3& origin, const Point3& direction);

// The picture, every pixel the mean of samples x samples rays.
Image draw_spheres(const std::vector<Sphere>& spheres, const Camera& camera, int samples = 3);

// The sphere that the middle of each pixel shows, row by row; -1 where it shows the background.
std::vector<int> labels_of(const std::vector<Sphere>& spheres, const Camera& camera);

// Pictures from `count` places around the origin, looking at it.
//   turn  of the places, in radians: another one for views to be judged
std::vector<View> views_of(const std::vector<Sphere>& spheres, int count, int side, double turn = 0, double distance = 3,
                           double field_of_view = 45);
