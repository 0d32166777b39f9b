// plenoxels.h: Plenoxels. A radiance field without a network: a voxel grid of densities and view-dependent colours.
//
//   paper    Fridovich-Keil et al., "Plenoxels: Radiance Fields without Neural Networks", 2022, arXiv 2112.05131
//   shows    that what makes radiance fields work is differentiable rendering and a regulariser, not the network: numbers at the
//            corners of a grid are fitted to photographs in seconds
//   symbols  R rays   n samples on all rays together   V voxels that are not empty   N voxels along an axis
//            K spherical harmonics of each colour channel   sigma density   g, v origin and direction of a ray in the grid
//            delta world length of one voxel along the ray
//   equations [Plenoxels 1] rendering
//   differs  total variation has the derivative of its value; the released renderer skips densities below 1e-10 and stops at a
//            transmittance of 1e-7, here every sample counts
//   neighbour  dff.h computes density and colour with a network; here they are stored in a grid
//   next     plenoxels.cpp, then its walkthrough; dff.h puts features into a field
#pragma once
#include <array>
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/data/parameters.h"
#include "nn/training/train.h"
#include "vit/fields/views.h"

namespace plenoxels {

// The defaults are those of the synthetic scenes.
struct Config {
    int harmonics = 9;               // K: 1, 4 or 9
    float step = 0.5f;               // between samples, in voxels
    float near_clip = 0;             // no sample is nearer to the camera, in voxels along the ray
    float background = 1;            // brightness behind the scene: 1 white, 0 black
    float lambda_density = 1e-5f;    // factor of the total variation of the density
    float lambda_harmonics = 1e-3f;  // and of the harmonics
};

// The sparse voxel grid. Voxel (x, y, z) has its centre at the integers (x, y, z) of grid coordinates; the box reaches half a voxel
// further, from -1/2 to N - 1/2 along each axis.
struct Grid {
    std::array<int, 3> size = {};              // N along x, y, z, at least 2 each
    std::vector<int> links;                    // row of each voxel in Weights, z fastest; -1 = empty: density and colours are 0
    std::array<double, 3> radius = {1, 1, 1};  // half the side of the box in the world
    std::array<double, 3> centre = {0, 0, 0};  // in the world

    int cell(int x, int y, int z) const { return (x * size[1] + y) * size[2] + z; }
    int link(int x, int y, int z) const { return links[cell(x, y, z)]; }
    int voxels() const;  // that are not empty
};

// A grid without empty voxels; the row of a voxel is its index.   throws std::invalid_argument below 2 voxels or for a radius <= 0
Grid full_grid(const std::array<int, 3>& size, const std::array<double, 3>& radius, const std::array<double, 3>& centre = {});

struct Weights {
    Var density;    // (V, 1)    negative densities count as 0
    Var harmonics;  // (V, 3K)   K coefficients of red, then of green, then of blue
};

// Grey fog of uniform density: all coefficients 0.   throws std::invalid_argument when K is not 1, 4 or 9
Weights make_weights(const Grid& grid, const Config& config, float density = 0.1f);

// Names of the published files: density_data, sh_data.
Parameters parameters(const Weights& w);

// The whole scene, links, radius and centre included.
void save(const std::string& path, const Grid& grid, const Weights& w);
// Reads the grid of such a file.   throws std::invalid_argument when the links do not name the rows 0 ... V - 1 once each
Grid read_grid(const Safetensors& file, const std::string& prefix = "");

// --- sampling the field ---

// The eight voxels around each point, for trilinear interpolation.
struct Corners {
    std::vector<int> rows;  // 8 for each point; -1 where the voxel is empty
    Matrix weights;         // (n, 8)  trilinear weights; the eight sum to 1
};

// World points (n, 3) to grid coordinates (n, 3).
Matrix to_grid(const Matrix& points, const Grid& grid);

// The corners around grid coordinates (n, 3); points outside the grid are moved to its edge.
Corners corners_of(const Matrix& coordinates, const Grid& grid);

// Values of a field (V, C) at these points: (n, C).
Var interpolate(const Var& field, const Corners& corners, Where where = Where::current());

// The samples of some rays.
struct Samples {
    Matrix view_directions;  // (R, 3)  unit length, in the world: arguments of the harmonics
    Matrix origins;          // (R, 3)  g, in the grid
    Matrix directions;       // (R, 3)  v, unit length in the grid
    Matrix voxel_length;     // (R, 1)  delta, world length of one voxel along the ray
    Matrix entry, exit;      // (R, 1)  of the box, in voxels along the ray; 0 and 0 for a ray that misses it
    Segments rays;           // the samples of each ray
    std::vector<int> ray;    // n  the ray of each sample
    Matrix t;                // (n, 1)  in voxels along the ray
    Corners corners;

    std::vector<int> counts() const;  // samples of each ray
};
// Samples of each ray between entry and exit, `step` voxels apart. An axis along which a ray does not move is ignored when it is
// intersected with the box (as in the published code): such a ray beside the box sees its edge.
Samples sample_rays(const Rays& rays, const Grid& grid, const Config& config);

// --- rendering ---

// Real spherical harmonics of unit directions, (R, K).   throws std::invalid_argument when K is not 1, 4 or 9
Matrix spherical_harmonics(const Matrix& unit_directions, int count);

struct Steps {
    Samples samples;
    Matrix basis;        // (R, K)
    Var densities;       // (n, 1)   interpolated, of either sign
    Var coefficients;    // (n, 3K)
    Var sigma;           // (n, 1)   max(0, density)
    Var optical_depths;  // (n, 1)   sigma * step * delta
    Var colours;         // (n, 3)   max(0, 1/2 + sum of basis times coefficients)
    Rendering rendering;
    Var pixels;  // (R, 3)   over the background
};

// Renders the rays.   throws std::invalid_argument when weights and grid do not fit together
Steps forward(const Rays& rays, const Grid& grid, const Weights& w, const Config& config);

// Mean squared error of the pixels, (1, 1).   throws std::invalid_argument when there is not one row of the target for each ray
Var image_loss(const Steps& steps, const Matrix& target);

// Total variation: the mean over voxels of sqrt(1e-5 + dx^2 + dy^2 + dz^2), summed over the columns of the field; d are the
// differences with the next voxel along each axis, times scale_k. The last voxel of each axis has no next one and is left out.
enum class Missing {
    zero,  // an empty neighbour has the value 0: density
    same,  // it has the value of the voxel itself, and an empty voxel is 0: harmonics
};
//   field    (V, C)
//   cells    indices of the voxels, none of them last along an axis: a random part makes a step cheaper; empty = all
//   source   Plenoxels, "Regularization"; scale N/256 and 1e-5 from the code
Var total_variation(const Var& field, const Grid& grid, Missing missing, const std::array<float, 3>& scale,
                    const std::vector<int>& cells = {}, Where where = Where::current());
std::array<float, 3> published_scale(const Grid& grid);    // N / 256
std::vector<int> cells_with_neighbours(const Grid& grid);  // all voxels that are not last along an axis

// The gradient that the released CUDA code uses instead, which is not the derivative of that value:
// d * scale / sqrt(1e-9 + sum of unscaled d^2), (V, C).
Matrix released_total_variation_gradient(const Matrix& field, const Grid& grid, Missing missing,
                                         const std::array<float, 3>& scale);

// image_loss + lambda_density TV(density) + lambda_harmonics TV(harmonics), (1, 1).
Var loss(const Steps& steps, const Matrix& target, const Grid& grid, const Weights& w, const Config& config);

// --- fitting ---

// RMSProp of the released trainer. A row (voxel) whose gradient is zero was not seen by any ray of the batch: its value and its
// moving average stay as they are.
//   r <- g^2 at first use, then keep r + (1 - keep) g^2
//   w <- w - lr g / (sqrt(r) + 1e-8)
//   note    the trainer's other optimizer, plain gradient descent, is Sgd of nn/training/optimizer.h without momentum
//   throws  std::invalid_argument when there is not one rate for each variable
struct RmsProp : Optimizer {
    std::vector<float> rates;  // of each variable; lr is this times the argument of update()
    float keep;
    std::vector<Matrix> r;  // zeros at first; a zero means "not used yet"

    RmsProp(std::vector<Var> variables, std::vector<float> rates, float keep = 0.95f);

    void update(float learning_rate) override;
};

struct Scene {
    Grid grid;
    Weights weights;
};

// Hyperparameters of fitting; the defaults suit the small scene of the lesson.
struct FitRecipe {
    int steps = 400;
    int batch = 500;               // rays in a step, drawn at random from all views
    float density_rate = 2;        // learning rate of densities
    float harmonics_rate = 0.03f;  // and of harmonics
    float last_rate = 0.1f;        // both are multiplied by last_rate^(step / steps)
    float tv_density = 2e-4f;      // factor of the total variation, whose differences are not scaled here
    float tv_harmonics = 2e-3f;
    float keep = 0.95f;  // of RMSProp
};

// The objective: mean squared error of a batch of rays plus total variation.
class Fitting : public Objective {
public:
    Fitting(const Scene& scene, const PixelRays& pixels, const Config& config, const FitRecipe& recipe, int seed);
    Var loss(int step) override;

    float image_loss = 0;  // of the last batch alone

private:
    Scene scene;
    PixelRays pixels;
    Config config;
    FitRecipe recipe;
    Random random;
};

// Fits the scene to the pixels; its weights change in place.
void fit(const Scene& scene, const PixelRays& pixels, const Config& config, const FitRecipe& recipe, int seed,
         Watcher* watcher = nullptr);

// Renders the scene for a camera, (H*W, 3); the rays pass through the centres of the pixels.
Matrix photograph(const Camera& camera, const Scene& scene, const Config& config);

// --- pruning and upsampling ---

// For each voxel the largest weight T alpha of the samples around it on these rays, 0 for a voxel that no ray sees: (V, 1).
Matrix largest_weights(const Rays& rays, const Grid& grid, const Weights& w, const Config& config);

// The same scene on a grid of another size: each new voxel is interpolated trilinearly from the old field, and is empty where all
// eight old voxels are.
Scene resampled(const Scene& scene, const std::array<int, 3>& size);

// Removes voxels whose value (V, 1) is below the threshold, but keeps the neighbours (also diagonal) of those that stay, since
// trilinear interpolation reads them.   throws std::invalid_argument when no voxel would stay
Scene pruned(const Scene& scene, const Matrix& value, float threshold);

}  // namespace plenoxels
