#include "vit/fields/plenoxels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "nn/base/finite.h"
#include "nn/base/parallel.h"
#include "nn/layers/activation.h"
#include "nn/training/loss.h"

namespace plenoxels {

// --- the grid ---

int Grid::voxels() const {
    return static_cast<int>(std::count_if(links.begin(), links.end(), [](int link) { return link >= 0; }));
}

static void check(const Grid& grid) {
    const auto [Nx, Ny, Nz] = grid.size;
    require(Nx >= 2 && Ny >= 2 && Nz >= 2, "plenoxels: a grid of ", Nx, " x ", Ny, " x ", Nz,
            " voxels; interpolation needs at least 2 along each axis");
    require(static_cast<double>(Nx) * Ny * Nz <= std::numeric_limits<int>::max() / 8, "plenoxels: a grid of ", Nx, " x ", Ny,
            " x ", Nz, " voxels is larger than rows can be numbered");
    require(grid.links.size() == static_cast<std::size_t>(Nx) * Ny * Nz, "plenoxels: ", grid.links.size(),
            " links for a grid of ", Nx, " x ", Ny, " x ", Nz, " voxels, each needs one");
    for (const double radius : grid.radius)
        require(radius > 0 && std::isfinite(radius), "plenoxels: half a side of the box is ", radius,
                ", it must be positive and finite");
    for (const double centre : grid.centre)
        require(std::isfinite(centre), "plenoxels: a coordinate of the centre of the box is ", centre, ", it must be finite");
}

static void check(const Grid& grid, const Weights& w) {
    check(grid);
    const int V = grid.voxels();
    require(w.density.rows() == V && w.density.cols() == 1 && w.harmonics.rows() == V, "plenoxels: densities ", w.density.value(),
            " and harmonics ", w.harmonics.value(), " for ", V, " voxels; each needs one row of both");
}

static void check_harmonics(int count) {
    require(count == 1 || count == 4 || count == 9, "plenoxels: ", count, " spherical harmonics; there are 1, 4 or 9");
}

Grid full_grid(const std::array<int, 3>& size, const std::array<double, 3>& radius, const std::array<double, 3>& centre) {
    double voxels = 1;
    for (const int along : size) voxels *= along;
    require(voxels <= std::numeric_limits<int>::max(), "plenoxels: a grid of ", size[0], " x ", size[1], " x ", size[2],
            " voxels holds more than ", std::numeric_limits<int>::max(), ", the maximum of rows of a matrix");
    Grid grid{.size = size, .links = {}, .radius = radius, .centre = centre};
    for (int cell = 0; cell < size[0] * size[1] * size[2]; ++cell) grid.links.push_back(cell);
    check(grid);
    return grid;
}

Weights make_weights(const Grid& grid, const Config& config, float density) {
    check(grid);
    check_harmonics(config.harmonics);
    require(std::isfinite(density), "plenoxels: a density of ", density, " in every voxel, it must be finite; 0.1 is usual");
    const int V = grid.voxels();
    return {.density = parameter(Matrix(V, 1, density)), .harmonics = parameter(Matrix(V, 3 * config.harmonics))};
}

Parameters parameters(const Weights& w) {
    const long V = w.density.rows(), columns = w.harmonics.cols();
    return {{"density_data", {V, 1}, Stored::as_it_is, {w.density}}, {"sh_data", {V, columns}, Stored::as_it_is, {w.harmonics}}};
}

static Matrix row_of(const std::array<double, 3>& numbers) {
    return {{static_cast<float>(numbers[0]), static_cast<float>(numbers[1]), static_cast<float>(numbers[2])}};
}

void save(const std::string& path, const Grid& grid, const Weights& w) {
    check(grid, w);
    std::vector<TensorToWrite> tensors;
    for (const Parameter& entry : parameters(w)) tensors.push_back({entry.name, entry.shape, published_value(entry)});
    tensors.push_back({"links", {grid.size[0], grid.size[1], grid.size[2]}, {}, {grid.links.begin(), grid.links.end()}});
    tensors.push_back({"radius", {3}, row_of(grid.radius)});
    tensors.push_back({"center", {3}, row_of(grid.centre)});
    write_safetensors(path, tensors);
}

Grid read_grid(const Safetensors& file, const std::string& prefix) {
    Grid grid;
    grid.links = file.integers(prefix + "links");
    const Matrix radius = file.matrix(prefix + "radius"), centre = file.matrix(prefix + "center");
    require(radius.size() == 3 && centre.size() == 3, file.path, ": radius ", radius, " and center ", centre,
            "; both are 3 numbers, one for each axis");
    for (int axis = 0; axis < 3; ++axis) {
        grid.size[axis] = file.dimension(prefix + "links", axis);
        grid.radius[axis] = radius[axis];
        grid.centre[axis] = centre[axis];
    }
    check(grid);
    const int V = grid.voxels();
    std::vector<bool> taken(V);
    for (const int link : grid.links) {
        if (link < 0) continue;
        require(link < V && !taken[link], file.path, ": link ", link, " of ", V, " voxels; the links name the rows 0 to ", V - 1,
                " once each");
        taken[link] = true;
    }
    return grid;
}

// --- where the field is sampled ---

// The grid coordinate of a world coordinate is s p + offset.
static double grid_scale(const Grid& grid, int axis) { return 0.5 * grid.size[axis] / grid.radius[axis]; }
static double grid_offset(const Grid& grid, int axis) {
    return 0.5 * (1 - grid.centre[axis] / grid.radius[axis]) * grid.size[axis] - 0.5;
}

Matrix to_grid(const Matrix& points, const Grid& grid) {
    require(points.cols == 3, "plenoxels: points ", points, " must have 3 columns");
    Matrix coordinates(points.rows, 3);
    for (int i = 0; i < points.rows; ++i)
        for (int axis = 0; axis < 3; ++axis)
            coordinates(i, axis) = static_cast<float>(points(i, axis) * grid_scale(grid, axis) + grid_offset(grid, axis));
    return coordinates;
}

// The eight corners around one point, written to rows[0..7] and weights[0..7].
static void write_corners(const double point[3], const Grid& grid, int* rows, float* weights) {
    int low[3];
    double w[3];  // how far the point lies towards the upper corner
    for (int axis = 0; axis < 3; ++axis) {
        const double p = std::clamp(point[axis], 0.0, grid.size[axis] - 1.0);
        low[axis] = std::min(static_cast<int>(p), grid.size[axis] - 2);
        w[axis] = p - low[axis];
    }
    for (int corner = 0; corner < 8; ++corner) {
        const int dx = corner >> 2, dy = corner >> 1 & 1, dz = corner & 1;
        rows[corner] = grid.link(low[0] + dx, low[1] + dy, low[2] + dz);
        weights[corner] = static_cast<float>((dx ? w[0] : 1 - w[0]) * (dy ? w[1] : 1 - w[1]) * (dz ? w[2] : 1 - w[2]));
    }
}

Corners corners_of(const Matrix& coordinates, const Grid& grid) {
    require(coordinates.cols == 3, "plenoxels: grid coordinates ", coordinates, " must have 3 columns");
    require_finite(coordinates, "plenoxels", "grid coordinates");
    Corners corners{std::vector<int>(static_cast<std::size_t>(coordinates.rows) * 8), Matrix(coordinates.rows, 8)};
    for (int i = 0; i < coordinates.rows; ++i) {
        const double point[3] = {coordinates(i, 0), coordinates(i, 1), coordinates(i, 2)};
        write_corners(point, grid, corners.rows.data() + static_cast<std::size_t>(i) * 8, corners.weights.row(i));
    }
    return corners;
}

Var interpolate(const Var& field, const Corners& corners, Where where) {
    return mix_rows(field, corners.rows, corners.weights, where);
}

std::vector<int> Samples::counts() const {
    std::vector<int> counts;
    for (const Segment& segment : rays.list) counts.push_back(segment.count);
    return counts;
}

namespace {
// A ray in grid coordinates: the point t voxels along it is g + t v.
struct GridRay {
    double g[3], v[3];  // v has length 1
    double delta;       // world units per voxel along this ray
    double near, far;   // where it enters and leaves the box; near > far: it misses the box
};
}  // namespace

static GridRay ray_in_grid(const Rays& rays, int r, const Grid& grid, double near_clip) {
    GridRay ray{.g = {}, .v = {}, .delta = 0, .near = near_clip, .far = std::numeric_limits<double>::infinity()};
    auto& [g, v, delta, near, far] = ray;
    double squares = 0, length = 0;
    for (int axis = 0; axis < 3; ++axis) length += std::pow(static_cast<double>(rays.directions(r, axis)), 2);
    for (int axis = 0; axis < 3; ++axis) {
        g[axis] = rays.origins(r, axis) * grid_scale(grid, axis) + grid_offset(grid, axis);
        v[axis] = rays.directions(r, axis) / std::sqrt(length) * grid_scale(grid, axis);
        squares += v[axis] * v[axis];
    }
    delta = 1 / std::sqrt(squares);
    for (int axis = 0; axis < 3; ++axis) {
        v[axis] *= delta;
        if (v[axis] == 0) continue;
        const double t1 = (-0.5 - g[axis]) / v[axis], t2 = (grid.size[axis] - 0.5 - g[axis]) / v[axis];
        near = std::max(near, std::min(t1, t2));
        far = std::min(far, std::max(t1, t2));
    }
    return ray;
}

static void check(const Rays& rays, const Config& config) {
    require(config.step > 0 && std::isfinite(config.step), "plenoxels: the step is ", config.step,
            " voxels, it must be positive and finite; 0.5 is usual");
    require(config.near_clip >= 0 && std::isfinite(config.near_clip), "plenoxels: rays begin at ", config.near_clip,
            " voxels, it must be finite and at least 0");
    require(same_shape(rays.origins, rays.directions), "plenoxels: origins ", rays.origins, " and directions ", rays.directions,
            " must have the same number of rows");
    require_finite(rays.origins, "plenoxels", "origins of rays");
}

static void require_countable(double samples, const Config& config) {
    const int most = std::numeric_limits<int>::max();
    require(samples < most - 1, "plenoxels: a step of ", text(config.step), " voxels takes more than ", most,
            " samples, the maximum of rows of a matrix; 0.5 is usual");
}

Samples sample_rays(const Rays& rays, const Grid& grid, const Config& config) {
    check(grid);
    check(rays, config);
    const int R = rays.count();
    Samples samples;
    samples.view_directions = unit_directions(rays.directions);
    samples.origins = to_grid(rays.origins, grid);
    samples.directions = Matrix(R, 3);
    samples.voxel_length = samples.entry = samples.exit = Matrix(R, 1);
    std::vector<int> counts(R);
    std::vector<float> ts;
    std::vector<double> coordinates;  // 3 for each sample
    for (int r = 0; r < R; ++r) {
        const auto [g, v, delta, near, far] = ray_in_grid(rays, r, grid, config.near_clip);
        samples.voxel_length(r, 0) = static_cast<float>(delta);
        for (int axis = 0; axis < 3; ++axis) samples.directions(r, axis) = static_cast<float>(v[axis]);
        if (near > far) continue;
        require_countable(static_cast<double>(ts.size()) + (far - near) / static_cast<double>(config.step), config);
        samples.entry(r, 0) = static_cast<float>(near);
        samples.exit(r, 0) = static_cast<float>(far);
        for (double t = near; t <= far; t = near + ++counts[r] * static_cast<double>(config.step)) {
            ts.push_back(static_cast<float>(t));
            for (int axis = 0; axis < 3; ++axis) coordinates.push_back(g[axis] + t * v[axis]);
            samples.ray.push_back(r);
        }
    }
    const int n = static_cast<int>(ts.size());
    samples.rays = Segments::of(counts);
    samples.t = Matrix(n, 1);
    std::copy(ts.begin(), ts.end(), samples.t.begin());
    samples.corners = {std::vector<int>(static_cast<std::size_t>(n) * 8), Matrix(n, 8)};
    parallel_ranges(n, grain_of_rows(8), [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i)
            write_corners(&coordinates[i * 3], grid, &samples.corners.rows[i * 8],
                          samples.corners.weights.row(static_cast<int>(i)));
    });
    return samples;
}

// --- rendering ---

Matrix spherical_harmonics(const Matrix& unit_directions, int count) {
    check_harmonics(count);
    require(unit_directions.cols == 3, "spherical_harmonics: directions ", unit_directions, " must have 3 columns");
    Matrix basis(unit_directions.rows, count);
    for (int r = 0; r < basis.rows; ++r) {
        const double x = unit_directions(r, 0), y = unit_directions(r, 1), z = unit_directions(r, 2);
        const double Y[9] = {0.28209479177387814,  // degree 0: the same from everywhere
                             -0.4886025119029199 * y,
                             0.4886025119029199 * z,
                             -0.4886025119029199 * x,  // degree 1: one side lighter than the other
                             1.0925484305920792 * x * y,
                             -1.0925484305920792 * y * z,
                             0.31539156525252005 * (2 * z * z - x * x - y * y),
                             -1.0925484305920792 * x * z,
                             0.5462742152960396 * (x * x - y * y)};  // degree 2
        for (int k = 0; k < count; ++k) basis(r, k) = static_cast<float>(Y[k]);
    }
    return basis;
}

// Of every sample and channel the basis of its ray: (3n, K).
static Matrix basis_of_samples(const Matrix& basis, const std::vector<int>& ray) {
    Matrix repeated = Matrix::unset(static_cast<int>(ray.size()) * 3, basis.cols);
    parallel_ranges(ray.size(), grain_of_rows(3 * basis.cols), [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i)
            for (int channel = 0; channel < 3; ++channel)
                std::copy_n(basis.row(ray[i]), basis.cols, repeated.row(static_cast<int>(i) * 3 + channel));
    });
    return repeated;
}

// The length in the world of the step of every sample: (n, 1).
static Matrix step_lengths(const Samples& samples, float step) {
    Matrix lengths(samples.t.rows, 1);
    for (int i = 0; i < lengths.rows; ++i) lengths(i, 0) = step * samples.voxel_length(samples.ray[i], 0);
    return lengths;
}

Steps forward(const Rays& rays, const Grid& grid, const Weights& w, const Config& config) {
    check(grid, w);
    const int K = config.harmonics;
    require(w.harmonics.cols() == 3 * K, "plenoxels: harmonics ", w.harmonics.value(), " where the config has ", K,
            " for each of 3 channels");
    Steps s;
    s.samples = sample_rays(rays, grid, config);
    const int n = s.samples.t.rows;
    s.basis = spherical_harmonics(s.samples.view_directions, K);                                              // (R, K)
    s.densities = interpolate(w.density, s.samples.corners);                                                  // (n, 1)
    s.coefficients = interpolate(w.harmonics, s.samples.corners);                                             // (n, 3K)
    s.sigma = activate(s.densities, Activation::relu);                                                        // (n, 1)
    s.optical_depths = multiply(s.sigma, step_lengths(s.samples, config.step));                               // (n, 1)
    const Var terms = multiply(reshape(s.coefficients, 3 * n, K), basis_of_samples(s.basis, s.samples.ray));  // (3n, K)
    const Var grey = reshape(row_sums(terms), n, 3);                                                          // (n, 3)
    s.colours = activate(shift(grey, 0.5f), Activation::relu);                                                // (n, 3)
    s.rendering = render(s.optical_depths, s.colours, s.samples.rays);                                        // [Plenoxels 1]
    s.pixels = over_background(s.rendering, config.background);                                               // (R, 3)
    return s;
}

Var image_loss(const Steps& steps, const Matrix& target) { return mean_squared_error(steps.pixels, target); }

// --- total variation ---

std::array<float, 3> published_scale(const Grid& grid) {
    return {grid.size[0] / 256.f, grid.size[1] / 256.f, grid.size[2] / 256.f};
}

std::vector<int> cells_with_neighbours(const Grid& grid) {
    std::vector<int> cells;
    for (int x = 0; x < grid.size[0] - 1; ++x)
        for (int y = 0; y < grid.size[1] - 1; ++y)
            for (int z = 0; z < grid.size[2] - 1; ++z) cells.push_back(grid.cell(x, y, z));
    return cells;
}

// The row of the next voxel along the axis and that of the voxel itself: 2 for each voxel.
static std::vector<int> pairs_along(const Grid& grid, int axis, Missing missing, const std::vector<int>& cells) {
    const int distance[3] = {grid.size[1] * grid.size[2], grid.size[2], 1};
    std::vector<int> pairs;
    pairs.reserve(cells.size() * 2);
    for (const int cell : cells) {
        const int next = grid.links[cell + distance[axis]], self = grid.links[cell];
        const bool nothing = next < 0 && missing == Missing::same;  // a difference of the voxel with itself
        pairs.push_back(nothing ? -1 : next);
        pairs.push_back(nothing ? -1 : self);
    }
    return pairs;
}

// next - self along an axis, times the scale: (voxels, C).
static Var differences(const Var& field, const Grid& grid, int axis, Missing missing, float scale, const std::vector<int>& cells,
                       Where where) {
    Matrix signs(static_cast<int>(cells.size()), 2, scale);
    for (int i = 0; i < signs.rows; ++i) signs(i, 1) = -scale;
    return mix_rows(field, pairs_along(grid, axis, missing, cells), signs, where);
}

static void check_cells(const Grid& grid, const std::vector<int>& cells) {
    const auto [Nx, Ny, Nz] = grid.size;
    for (const int cell : cells)
        require(cell >= 0 && cell / (Ny * Nz) < Nx - 1 && cell / Nz % Ny < Ny - 1 && cell % Nz < Nz - 1,
                "total_variation: voxel ", cell, " of a grid of ", Nx, " x ", Ny, " x ", Nz,
                " voxels has no next voxel along every axis");
}

Var total_variation(const Var& field, const Grid& grid, Missing missing, const std::array<float, 3>& scales,
                    const std::vector<int>& chosen, Where where) {
    check(grid);
    check_cells(grid, chosen);
    const std::vector<int> cells = chosen.empty() ? cells_with_neighbours(grid) : chosen;
    const Var dx = differences(field, grid, 0, missing, scales[0], cells, where);  // (cells, C)
    const Var dy = differences(field, grid, 1, missing, scales[1], cells, where);
    const Var dz = differences(field, grid, 2, missing, scales[2], cells, where);
    const Var squares = add(add(square(dx), square(dy)), square(dz));         // (cells, C)
    const Var lengths = sqrt(shift(squares, 1e-5f));                          // (cells, C)
    return scale(sum(lengths), 1 / static_cast<float>(cells.size()), where);  // (1, 1)
}

Matrix released_total_variation_gradient(const Matrix& field, const Grid& grid, Missing missing,
                                         const std::array<float, 3>& scale) {
    check(grid);
    require(field.rows == grid.voxels(), "released_total_variation_gradient: a field ", field, " for ", grid.voxels(),
            " voxels, each needs one row");
    const std::vector<int> cells = cells_with_neighbours(grid);
    std::vector<int> pairs[3];
    for (int axis = 0; axis < 3; ++axis) pairs[axis] = pairs_along(grid, axis, missing, cells);
    const auto value = [&](int row, int column) { return row < 0 ? 0.0 : static_cast<double>(field(row, column)); };
    Matrix gradient(field.rows, field.cols);
    for (std::size_t i = 0; i < cells.size(); ++i)
        for (int c = 0; c < field.cols; ++c) {
            double d[3], squares = 1e-9;
            for (int axis = 0; axis < 3; ++axis) {
                d[axis] = value(pairs[axis][2 * i], c) - value(pairs[axis][2 * i + 1], c);
                squares += d[axis] * d[axis];
            }
            for (int axis = 0; axis < 3; ++axis) {
                const float part =
                    static_cast<float>(d[axis] * scale[axis] / std::sqrt(squares) / static_cast<double>(cells.size()));
                const int next = pairs[axis][2 * i], self = pairs[axis][2 * i + 1];
                if (next >= 0) gradient(next, c) += part;
                if (self >= 0) gradient(self, c) -= part;
            }
        }
    return gradient;
}

Var loss(const Steps& steps, const Matrix& target, const Grid& grid, const Weights& w, const Config& config) {
    const Var of_density = total_variation(w.density, grid, Missing::zero, published_scale(grid));
    const Var of_harmonics = total_variation(w.harmonics, grid, Missing::same, published_scale(grid));
    return add(image_loss(steps, target),
               add(scale(of_density, config.lambda_density), scale(of_harmonics, config.lambda_harmonics)));
}

// --- fitting ---

static void require_sound(const std::vector<Var>& variables, const std::vector<float>& rates, float keep) {
    require(rates.size() == variables.size(), "RmsProp: ", rates.size(), " learning rates for ", variables.size(),
            " variables, each has its own");
    for (const float rate : rates)
        require(rate >= 0 && std::isfinite(rate), "RmsProp: a learning rate of ", rate, ", it must be finite and at least 0");
    require(keep >= 0 && keep < 1, "RmsProp: ", keep, " of the memory is kept, it must be from 0 to below 1; 0.95 is usual");
}

RmsProp::RmsProp(std::vector<Var> given, std::vector<float> given_rates, float keep) : rates(std::move(given_rates)), keep(keep) {
    variables = std::move(given);
    require_sound(variables, rates, keep);
    for (const Var& variable : variables) {
        require(variable.requires_gradient(), "RmsProp: a variable of shape ", variable.value(),
                " is a constant, make it with parameter()");
        r.emplace_back(variable.rows(), variable.cols());
    }
}

// One voxel: its value, its running mean of squares and its gradient, `count` numbers each.
static void update_row(float* value, float* r, const float* gradient, int count, float lr, float keep) {
    bool seen = false;
    for (int j = 0; j < count; ++j) seen = seen || gradient[j] != 0;
    if (!seen) return;
    for (int j = 0; j < count; ++j) {
        const float g = gradient[j];
        r[j] = r[j] == 0 ? g * g : keep * r[j] + (1 - keep) * g * g;
        value[j] -= lr * g / (std::sqrt(r[j]) + 1e-8f);
    }
}

void RmsProp::update(float learning_rate) {
    require_sound(variables, rates, keep);
    require(learning_rate >= 0 && std::isfinite(learning_rate), "RmsProp: a learning rate of ", learning_rate,
            ", it must be finite and at least 0");
    require(r.size() == variables.size(), "RmsProp: ", variables.size(), " variables but ", r.size(),
            " moments; make a new optimizer when variables are added or taken away");
    for (std::size_t v = 0; v < variables.size(); ++v) {
        const Matrix& gradient = variables[v].gradient();
        if (gradient.empty()) continue;
        Matrix& value = variables[v].value();
        require(same_shape(gradient, value) && same_shape(r[v], value), "RmsProp: a gradient of shape ", gradient,
                " and a moment of shape ", r[v], " for a variable of shape ", value, ", all three must be equal");
        parallel_ranges(value.rows, grain_of_rows(value.cols), [&](std::size_t first, std::size_t last) {
            for (int i = static_cast<int>(first); i < static_cast<int>(last); ++i)
                update_row(value.row(i), r[v].row(i), gradient.row(i), value.cols, learning_rate * rates[v], keep);
        });
    }
    ++steps;
}

Fitting::Fitting(const Scene& scene, const PixelRays& pixels, const Config& config, const FitRecipe& recipe, int seed)
    : scene(scene), pixels(pixels), config(config), recipe(recipe), random(seed) {
    require(recipe.batch > 0 && pixels.rays.count() > 0, "plenoxels: a batch of ", recipe.batch, " rays out of ",
            pixels.rays.count(), ", both must be positive");
    require(pixels.colours.rows == pixels.rays.count() && pixels.colours.cols == 3, "plenoxels: colours ", pixels.colours, " of ",
            pixels.rays.count(), " rays, each needs a red, a green and a blue");
    require(recipe.steps >= 0, "plenoxels: ", recipe.steps, " steps of fitting, there cannot be fewer than 0");
    for (const float rate : {recipe.density_rate, recipe.harmonics_rate, recipe.last_rate})
        require(rate >= 0 && std::isfinite(rate), "plenoxels: a learning rate of ", rate, ", it must be finite and at least 0");
    require(recipe.keep >= 0 && recipe.keep < 1, "plenoxels: RMSProp keeps ", recipe.keep,
            " of its memory, it must be from 0 to below 1; 0.95 is usual");
}

Var Fitting::loss(int) {
    std::vector<int> numbers(recipe.batch);
    for (int& number : numbers) number = random.below(pixels.rays.count());
    const PixelRays batch = chosen(pixels, numbers);
    const Steps steps = forward(batch.rays, scene.grid, scene.weights, config);
    const Var of_image = plenoxels::image_loss(steps, batch.colours);
    image_loss = of_image.value()(0, 0);
    const std::array<float, 3> unscaled = {1, 1, 1};
    Var total = of_image;
    if (recipe.tv_density > 0)
        total = add(total, scale(total_variation(scene.weights.density, scene.grid, Missing::zero, unscaled), recipe.tv_density));
    if (recipe.tv_harmonics > 0)
        total =
            add(total, scale(total_variation(scene.weights.harmonics, scene.grid, Missing::same, unscaled), recipe.tv_harmonics));
    return total;
}

void fit(const Scene& scene, const PixelRays& pixels, const Config& config, const FitRecipe& recipe, int seed, Watcher* watcher) {
    Fitting fitting(scene, pixels, config, recipe, seed);
    RmsProp optimizer({scene.weights.density, scene.weights.harmonics}, {recipe.density_rate, recipe.harmonics_rate},
                      recipe.keep);
    zero_gradients(optimizer.variables);
    for (int step = 0; step < recipe.steps; ++step) {
        const float lr = std::pow(recipe.last_rate, static_cast<float>(step) / static_cast<float>(recipe.steps));
        const float loss = train_step(fitting, step, optimizer, lr, no_clipping);
        if (watcher != nullptr && !watcher->after_step(step, loss)) break;
    }
}

Matrix photograph(const Camera& camera, const Scene& scene, const Config& config) {
    const NoTape evaluation;
    const int at_once = 4096,
              R = camera.height * camera.width;  // rays: the samples of a large image need not be in memory all at once
    Matrix pixels(R, 3);
    for (int first = 0; first < R; first += at_once) {
        std::vector<int> numbers(std::min(at_once, R - first));
        for (std::size_t k = 0; k < numbers.size(); ++k) numbers[k] = first + static_cast<int>(k);
        const Steps steps = forward(rays_of_pixels(camera, numbers, 0.5), scene.grid, scene.weights, config);
        std::copy(steps.pixels.value().begin(), steps.pixels.value().end(), pixels.row(first));
    }
    return pixels;
}

// --- pruning and upsampling ---

Matrix largest_weights(const Rays& rays, const Grid& grid, const Weights& w, const Config& config) {
    const NoTape evaluation;
    const Steps steps = forward(rays, grid, w, config);
    Matrix largest(grid.voxels(), 1);
    for (int i = 0; i < steps.samples.t.rows; ++i)
        for (int corner = 0; corner < 8; ++corner) {
            const int row = steps.samples.corners.rows[static_cast<std::size_t>(i) * 8 + corner];
            if (row >= 0) largest(row, 0) = std::max(largest(row, 0), steps.rendering.weights.value()(i, 0));
        }
    return largest;
}

// The voxel centres of a new grid of the same box, in the coordinates of the old one.
static Matrix coordinates_of_cells(const Grid& fine, const Grid& old) {
    Matrix coordinates(static_cast<int>(fine.links.size()), 3);
    for (int x = 0; x < fine.size[0]; ++x)
        for (int y = 0; y < fine.size[1]; ++y)
            for (int z = 0; z < fine.size[2]; ++z) {
                const int voxel[3] = {x, y, z};
                for (int axis = 0; axis < 3; ++axis)  // the same fraction of the box, measured from its edge at -1/2
                    coordinates(fine.cell(x, y, z), axis) =
                        static_cast<float>((voxel[axis] + 0.5) * old.size[axis] / fine.size[axis] - 0.5);
            }
    return coordinates;
}

Scene resampled(const Scene& scene, const std::array<int, 3>& size) {
    check(scene.grid, scene.weights);
    Scene fine{full_grid(size, scene.grid.radius, scene.grid.centre), {}};
    const Corners corners = corners_of(coordinates_of_cells(fine.grid, scene.grid), scene.grid);
    std::vector<int> kept;  // the new voxels next to an old one that is not empty
    for (std::size_t cell = 0; cell < fine.grid.links.size(); ++cell) {
        bool something = false;
        for (int corner = 0; corner < 8; ++corner)
            something = something || (corners.rows[cell * 8 + corner] >= 0 && corners.weights[cell * 8 + corner] > 0);
        fine.grid.links[cell] = something ? static_cast<int>(kept.size()) : -1;
        if (something) kept.push_back(static_cast<int>(cell));
    }
    const NoTape evaluation;
    fine.weights.density = parameter(gather_rows(interpolate(scene.weights.density, corners), kept).value());
    fine.weights.harmonics = parameter(gather_rows(interpolate(scene.weights.harmonics, corners), kept).value());
    return fine;
}

// Whether a voxel of the 3 x 3 x 3 around (x, y, z) is marked.
static bool near_marked(const Grid& grid, const std::vector<bool>& marked, int x, int y, int z) {
    for (int i = std::max(x - 1, 0); i <= std::min(x + 1, grid.size[0] - 1); ++i)
        for (int j = std::max(y - 1, 0); j <= std::min(y + 1, grid.size[1] - 1); ++j)
            for (int k = std::max(z - 1, 0); k <= std::min(z + 1, grid.size[2] - 1); ++k)
                if (marked[grid.cell(i, j, k)]) return true;
    return false;
}

Scene pruned(const Scene& scene, const Matrix& value, float threshold) {
    const Grid& grid = scene.grid;
    check(grid, scene.weights);
    require(value.rows == grid.voxels() && value.cols == 1, "pruned: values ", value, " for ", grid.voxels(),
            " voxels, each needs one");
    std::vector<bool> marked(grid.links.size());
    for (std::size_t cell = 0; cell < marked.size(); ++cell)
        marked[cell] = grid.links[cell] >= 0 && value(grid.links[cell], 0) >= threshold;
    Scene sparse{grid, {}};
    std::vector<int> kept;  // old rows
    for (int x = 0; x < grid.size[0]; ++x)
        for (int y = 0; y < grid.size[1]; ++y)
            for (int z = 0; z < grid.size[2]; ++z) {
                const int cell = grid.cell(x, y, z), old = grid.links[cell];
                const bool stays = old >= 0 && near_marked(grid, marked, x, y, z);
                sparse.grid.links[cell] = stays ? static_cast<int>(kept.size()) : -1;
                if (stays) kept.push_back(old);
            }
    require(!kept.empty(), "pruned: no voxel reaches ", threshold, ", nothing would stay of the scene; take a lower threshold");
    const NoTape evaluation;
    sparse.weights.density = parameter(gather_rows(scene.weights.density, kept).value());
    sparse.weights.harmonics = parameter(gather_rows(scene.weights.harmonics, kept).value());
    return sparse;
}

}  // namespace plenoxels
