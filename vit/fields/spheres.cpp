#include "vit/fields/spheres.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/data/file_kind.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

static double dot(const Point3& a, const Point3& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static Point3 sum_of_points(const Point3& a, const Point3& b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
static Point3 times(const Point3& a, double factor) { return {a.x * factor, a.y * factor, a.z * factor}; }
static Point3 normalised(const Point3& a) { return times(a, 1 / std::sqrt(dot(a, a))); }

std::vector<Sphere> four_spheres(bool fourth_green) {
    const std::array<double, 3> green{0.2, 0.8, 0.3}, yellow{0.95, 0.85, 0.2};
    return {{{0, 0, 0}, 0.3, {0.9, 0.2, 0.2}},
            {{0.5, 0.3, 0.1}, 0.22, green},
            {{-0.45, 0.35, -0.2}, 0.2, {0.2, 0.3, 0.95}},
            {{0.1, -0.5, 0.3}, 0.2, fourth_green ? green : yellow}};
}

// The numbers of a line, separated by spaces; reading stops at a word that is not a number.
static std::vector<double> numbers_of_line(const std::string& line) {
    const char* const spaces = " \t";
    std::vector<double> numbers;
    for (std::size_t begin = line.find_first_not_of(spaces); begin != std::string::npos;) {
        const std::size_t end = std::min(line.find_first_of(spaces, begin), line.size());
        const std::optional<double> number = decimal_number(line.substr(begin, end - begin));
        if (!number) return {};
        numbers.push_back(*number);
        begin = line.find_first_not_of(spaces, end);
    }
    return numbers;
}

static Sphere sphere_of_line(const std::string& line, const std::string& where) {
    const std::vector<double> n = numbers_of_line(line);
    require(n.size() == 7, where, ": ", brief_string(line), " is not 7 numbers: x y z radius red green blue");
    require(n[3] > 0, where, ": the radius is ", n[3], ", it must be positive");
    for (int c = 4; c < 7; ++c) require(n[c] >= 0 && n[c] <= 1, where, ": the colour ", n[c], ", it must lie between 0 and 1");
    return {{n[0], n[1], n[2]}, n[3], {n[4], n[5], n[6]}};
}

std::vector<Sphere> read_spheres(const std::string& path) {
    std::vector<Sphere> spheres;
    int number = 0;
    for (const std::string& line : lines_of_file(read_text_file(path), path)) {
        ++number;
        const std::size_t first = line.find_first_not_of(" \t");
        if (first == std::string::npos || line[first] == '#') continue;
        spheres.push_back(sphere_of_line(line, path + ": line " + std::to_string(number)));
    }
    require(!spheres.empty(), path, ": there are no spheres; give at least one line of x y z radius red green blue");
    return spheres;
}

Hit first_hit(const std::vector<Sphere>& spheres, const Point3& origin, const Point3& direction) {
    Hit nearest;
    const double a = dot(direction, direction);
    require(a > 0 && std::isfinite(a), "first_hit: the direction is (", direction.x, ", ", direction.y, ", ", direction.z,
            "), it must be finite and not 0");
    for (std::size_t k = 0; k < spheres.size(); ++k) {
        // |o + t d - c|^2 = r^2, a square equation in t; the smaller root is the side that faces the camera
        const Point3 from_centre = sum_of_points(origin, times(spheres[k].centre, -1));
        const double half_b = dot(from_centre, direction);
        const double c = dot(from_centre, from_centre) - spheres[k].radius * spheres[k].radius;
        const double discriminant = half_b * half_b - a * c;
        if (discriminant < 0) continue;
        const double t = (-half_b - std::sqrt(discriminant)) / a;
        if (t > 0 && (nearest.sphere < 0 || t < nearest.distance)) nearest = {static_cast<int>(k), t};
    }
    return nearest;
}

static std::array<double, 3> light_from(const std::vector<Sphere>& spheres, const Point3& origin, const Point3& direction) {
    const Hit hit = first_hit(spheres, origin, direction);
    if (hit.sphere < 0) return {1, 1, 1};
    const Sphere& sphere = spheres[hit.sphere];
    const Point3 lamp = normalised({0.5, 0.8, 0.33});
    const Point3 point = sum_of_points(origin, times(direction, hit.distance));
    const Point3 normal = normalised(sum_of_points(point, times(sphere.centre, -1)));
    const Point3 halfway = normalised(sum_of_points(lamp, times(normalised(direction), -1)));
    const double diffuse = 0.35 + 0.65 * std::max(0.0, dot(normal, lamp));
    const double highlight = 0.25 * std::pow(std::max(0.0, dot(normal, halfway)), 8);
    std::array<double, 3> light{};
    for (int c = 0; c < 3; ++c) light[c] = std::clamp(sphere.colour[c] * diffuse + highlight, 0.0, 1.0);
    return light;
}

static Point3 row_as_point(const Matrix& m, int row) { return {m(row, 0), m(row, 1), m(row, 2)}; }

Image draw_spheres(const std::vector<Sphere>& spheres, const Camera& camera, int samples) {
    require(samples > 0, "draw_spheres: ", samples, " samples a side of a pixel, at least 1 is needed");
    for (const Sphere& sphere : spheres)
        require(std::isfinite(sphere.radius) && sphere.radius > 0, "draw_spheres: a radius of ", sphere.radius,
                ", it must be finite and above 0");
    // The same camera with finer pixels: its image is averaged.
    const Camera fine{.height = camera.height * samples,
                      .width = camera.width * samples,
                      .focal = camera.focal * samples,
                      .centre_x = camera.centre_x * samples,
                      .centre_y = camera.centre_y * samples,
                      .pose = camera.pose};
    const Rays rays = rays_of(fine, 0.5);
    Image image(camera.height, camera.width, 3);
    for (int r = 0; r < rays.count(); ++r) {
        const std::array<double, 3> light = light_from(spheres, row_as_point(rays.origins, r), row_as_point(rays.directions, r));
        for (int c = 0; c < 3; ++c)
            image(r / fine.width / samples, r % fine.width / samples, c) += static_cast<float>(light[c] / (samples * samples));
    }
    return image;
}

std::vector<int> labels_of(const std::vector<Sphere>& spheres, const Camera& camera) {
    const Rays rays = rays_of(camera, 0.5);
    std::vector<int> labels;
    for (int r = 0; r < rays.count(); ++r)
        labels.push_back(first_hit(spheres, row_as_point(rays.origins, r), row_as_point(rays.directions, r)).sphere);
    return labels;
}

std::vector<View> views_of(const std::vector<Sphere>& spheres, int count, int side, double turn, double distance,
                           double field_of_view) {
    require(count >= 1 && distance > 0, "views_of: ", count, " views from a distance of ", distance,
            ", there must be at least 1, and the distance above 0");
    std::vector<View> views;
    for (const Point3& point : points_on_sphere(count, distance, turn)) {
        const Camera camera = look_at(point, {}, {0, 0, 1}, side, side, field_of_view);
        views.push_back({camera, draw_spheres(spheres, camera)});
    }
    return views;
}
