#include "vit/fields/volume_rendering.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rows.h"
#include "nn/base/finite.h"

// --- rays ---

static Point3 difference_of(const Point3& a, const Point3& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

static Point3 cross(const Point3& a, const Point3& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

static Point3 unit(const Point3& a, const char* rule) {
    const double length = std::sqrt(a.x * a.x + a.y * a.y + a.z * a.z);
    require(length > 1e-9 && std::isfinite(length), "look_at: a direction of (", a.x, ", ", a.y, ", ", a.z, "); ", rule);
    return {a.x / length, a.y / length, a.z / length};
}

Camera look_at(const Point3& position, const Point3& target, const Point3& up, int height, int width, double field_of_view) {
    require(height > 0 && width > 0 && field_of_view > 0 && field_of_view < 180, "look_at: an image of ", height, " x ", width,
            " pixels and ", field_of_view, " degrees; sizes must be positive, the angle between 0 and 180");
    const Point3 backward = unit(difference_of(position, target), "position and target must be finite and not the same point");
    const Point3 right = unit(cross(up, backward), "the direction up must be finite and not lie on the line of sight");
    const Point3 upward = cross(backward, right);
    Camera camera{.height = height, .width = width, .centre_x = width / 2.0, .centre_y = height / 2.0};
    camera.focal = width / (2 * std::tan(field_of_view * std::numbers::pi / 360));
    const Point3 columns[4] = {right, upward, backward, position};
    for (int k = 0; k < 4; ++k) {
        camera.pose(0, k) = static_cast<float>(columns[k].x);
        camera.pose(1, k) = static_cast<float>(columns[k].y);
        camera.pose(2, k) = static_cast<float>(columns[k].z);
    }
    return camera;
}

Rays rays_of_pixels(const Camera& camera, const std::vector<int>& pixels, double offset) {
    require(camera.height > 0 && camera.width > 0, "rays_of_pixels: an image of ", camera.height, " x ", camera.width,
            " pixels, both must be at least 1");
    require(camera.pose.rows == 3 && camera.pose.cols == 4, "rays_of_pixels: a pose is (3, 4), not ", camera.pose);
    require_finite(camera.pose, "rays_of_pixels", "numbers of the pose");
    require(camera.focal > 0 && std::isfinite(camera.focal), "rays_of_pixels: the focal length is ", camera.focal,
            " pixels, it must be positive and finite");
    require(std::isfinite(offset), "rays_of_pixels: an offset of ", offset, " pixels, it must be finite; 0.5 is the middle");
    const int R = static_cast<int>(pixels.size());
    Rays rays{Matrix(R, 3), Matrix(R, 3)};
    for (int r = 0; r < R; ++r) {
        require(pixels[r] >= 0 && pixels[r] < camera.height * camera.width, "rays_of_pixels: pixel ", pixels[r],
                " is outside an image of ", camera.height, " x ", camera.width, ", they are counted from 0, row by row");
        const double i = pixels[r] % camera.width + offset, j = pixels[r] / camera.width + offset;
        const double in_camera[3] = {(i - camera.centre_x) / camera.focal, -(j - camera.centre_y) / camera.focal, -1};
        for (int axis = 0; axis < 3; ++axis) {
            double turned = 0;
            for (int k = 0; k < 3; ++k) turned += camera.pose(axis, k) * in_camera[k];
            rays.directions(r, axis) = static_cast<float>(turned);
            rays.origins(r, axis) = camera.pose(axis, 3);
        }
    }
    return rays;
}

Rays rays_of(const Camera& camera, double offset) {
    require(camera.height > 0 && camera.width > 0, "rays_of: an image of ", camera.height, " x ", camera.width,
            " pixels, both must be at least 1");
    require(static_cast<double>(camera.height) * camera.width <= std::numeric_limits<int>::max(), "rays_of: an image of ",
            camera.height, " x ", camera.width, " pixels, more than the 2147483647 rows of a matrix");
    std::vector<int> all(static_cast<std::size_t>(camera.height) * camera.width);
    for (std::size_t pixel = 0; pixel < all.size(); ++pixel) all[pixel] = static_cast<int>(pixel);
    return rays_of_pixels(camera, all, offset);
}

Matrix unit_directions(const Matrix& directions) {
    require(directions.cols == 3, "unit_directions: directions have 3 columns, not ", directions.cols);
    Matrix unit(directions.rows, 3);
    for (int r = 0; r < directions.rows; ++r) {
        const double x = directions(r, 0), y = directions(r, 1), z = directions(r, 2);
        const double length = std::sqrt(x * x + y * y + z * z);
        require(length > 0 && std::isfinite(length), "unit_directions: direction ", r, " has length ", length,
                ", it must be finite and not 0");
        for (int axis = 0; axis < 3; ++axis) unit(r, axis) = static_cast<float>(directions(r, axis) / length);
    }
    return unit;
}

// --- the quadrature ---

// forward   y = 1 - exp(-d)
// backward  dd += dy exp(-d) = dy (1 - y)
static void absorbed_backward(Record& y) {
    Matrix& dd = gradient_to_add_to(y.inputs[0]);
    for (std::size_t k = 0; k < dd.size(); ++k) dd[k] += y.gradient[k] * (1 - y.value[k]);
}

static Explained absorbed_explained(const Record&, const std::vector<Var>&) {
    return {.value = "1 - exp(-a(i,j))", .gradients = {"dy(i,j) * (1 - y(i,j))"}};
}

Var absorbed(const Var& optical_depths, Where where) {
    Matrix y = Matrix::unset(optical_depths.rows(), optical_depths.cols());
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = -std::expm1(-optical_depths.value()[k]);
    return record_operation("absorbed", std::move(y), {optical_depths}, {absorbed_backward, absorbed_explained}, where);
}

Rendering render(const Var& optical_depths, const Var& values, const Segments& rays, Where where) {
    require(optical_depths.cols() == 1 && optical_depths.rows() == values.rows() && rays.rows() == values.rows(), where,
            "render: optical depths ", optical_depths.value(), " and values ", values.value(), " on rays with ", rays.rows(),
            " samples; every sample needs one row of each");
    for (int i = 0; i < optical_depths.rows(); ++i)
        require(!(optical_depths.value()(i, 0) < 0), where, "render: the optical depth of sample ", i, " is ",
                optical_depths.value()(i, 0), ", a density that amplifies light; it must be 0 or more, as relu makes it");
    Rendering r;
    const Var depth_before = sums_before(optical_depths, rays, where);   // (n, 1)
    const Var depth_of_ray = segment_sums(optical_depths, rays, where);  // (R, 1)
    r.transmittance = exp(scale(depth_before, -1, where), where);        // (n, 1)  T_i = exp(-sum_{j<i} sigma_j delta_j)
    r.alphas = absorbed(optical_depths, where);                          // (n, 1)  1 - exp(-sigma_i delta_i)
    r.weights = multiply(r.transmittance, r.alphas, where);              // (n, 1)
    r.pixels = along_rays(r.weights, values, rays, where);               // (R, C)  sum_i T_i alpha_i c_i   [NeRF 3]
    r.remaining = exp(scale(depth_of_ray, -1, where), where);            // (R, 1)
    return r;
}

Var along_rays(const Var& weights, const Var& values, const Segments& rays, Where where) {
    return segment_sums(multiply(weights, values, where), rays, where);
}

Var over_background(const Rendering& rendering, float brightness, Where where) {
    return add(rendering.pixels, scale(rendering.remaining, brightness, where), where);
}

// --- judging images ---

double psnr(const Matrix& ours, const Matrix& truth) {
    require(same_shape(ours, truth) && !ours.empty(), "psnr: ", ours, " against ", truth,
            ", the shapes must be equal and not empty");
    double squares = 0;
    for (std::size_t k = 0; k < ours.size(); ++k) squares += std::pow(static_cast<double>(ours[k]) - truth[k], 2);
    return -10 * std::log10(squares / static_cast<double>(ours.size()));
}

Image image_of(const Matrix& pixels, int height, int width) {
    require(height > 0 && width > 0 && pixels.rows == height * width, "image_of: ", pixels, " does not fill ", height, " x ",
            width, " pixels; there must be a row for each");
    Image image(height, width, pixels.cols);
    for (std::size_t k = 0; k < pixels.size(); ++k) image.pixels[k] = std::clamp(pixels[k], 0.f, 1.f);
    return image;
}

Matrix pixels_of(const Image& image) {
    Matrix pixels(image.height * image.width, image.channels);
    std::copy(image.pixels.begin(), image.pixels.end(), pixels.begin());
    return pixels;
}
