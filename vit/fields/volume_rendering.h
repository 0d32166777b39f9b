// volume_rendering.h: differentiable volume rendering: cameras, rays, and the colour of a ray through a field of density and colour.
//
//   papers   Max, "Optical Models for Direct Volume Rendering", 1995 (the quadrature)
//            Mildenhall et al., "NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis", 2020, arXiv 2003.08934
//   shows    that a pixel is a weighted mean along its ray and every weight has a derivative, so a scene can be fitted to photographs
//            by gradient descent
//   symbols  R rays   n samples on all rays together   sigma density, per unit of length   delta length of a step
//            T transmittance, the fraction of light that reaches the camera   c colour (or any other value) of a sample
//   equations [NeRF 3]
//   note     a ray is a segment of rows: its samples, nearest first; rays may have different numbers of samples
//   next     plenoxels.h (the field is a voxel grid), dff.h (the field is a network, with features)
#pragma once
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/segments.h"
#include "nn/data/image.h"

// --- rays ---

struct Camera {
    int height = 0, width = 0;          // pixels
    double focal = 1;                   // focal length, in pixels
    double centre_x = 0, centre_y = 0;  // principal point, in pixels
    // Camera to world, (3, 4): the columns are the camera's right, up and backward directions in the world, and its position.
    Matrix pose = Matrix(3, 4);
};

// A camera at `position` that looks at `target`, upright with respect to `up`.
//   field_of_view  horizontal, in degrees
//   throws         std::invalid_argument when position and target coincide, or `up` points along the line of sight
struct Point3 {
    double x = 0, y = 0, z = 0;
};
Camera look_at(const Point3& position, const Point3& target, const Point3& up, int height, int width, double field_of_view);

// One ray per row. A direction need not have length 1.
struct Rays {
    Matrix origins;     // (R, 3)  in the world
    Matrix directions;  // (R, 3)

    int count() const { return origins.rows; }
};

// The rays through given pixels, numbered row by row: pixel (column i, row j) has direction ((i - cx) / f, -(j - cy) / f, -1), rotated
// by the pose. Directions are not normalised: a step of 1 along them is a step of 1 along the optical axis.
//   offset   added to i and j: 0 as in NeRF's code, 0.5 for rays through the centre of a pixel
//   throws   std::invalid_argument for a pixel outside the image
Rays rays_of_pixels(const Camera& camera, const std::vector<int>& pixels, double offset = 0);
Rays rays_of(const Camera& camera, double offset = 0);  // of all pixels

// Every row divided by its length: (R, 3).   throws std::invalid_argument for a direction of length 0
Matrix unit_directions(const Matrix& directions);

// --- the quadrature ---

// Opacity of a layer of this optical depth: 1 - exp(-d), accurate also for tiny d. (n, 1) -> (n, 1)
Var absorbed(const Var& optical_depths, Where where = Where::current());

struct Rendering {
    Var alphas;         // (n, 1)  1 - exp(-sigma delta), the opacity of a sample
    Var transmittance;  // (n, 1)  T up to a sample: exp(-optical depth of the samples before it)
    Var weights;        // (n, 1)  T alpha, the weight of a sample in its pixel
    Var pixels;         // (R, C)  sum of weights times values
    Var remaining;      // (R, 1)  T after the last sample: the weight of the background
};

// Renders rays of samples with these optical depths sigma delta and these values.
//   optical_depths  (n, 1), not negative
//   values          (n, C): colours, features, anything that can be averaged
//   source          NeRF Eq. 3
//   throws          std::invalid_argument when the sizes do not fit
//   example         depths ln 2, ln 2 of one ray: alphas 1/2, 1/2; weights 1/2, 1/4; remaining 1/4
Rendering render(const Var& optical_depths, const Var& values, const Segments& rays, Where where = Where::current());

// Renders other values with known weights: weighted sum along each ray, (R, C).
Var along_rays(const Var& weights, const Var& values, const Segments& rays, Where where = Where::current());

// The pixels in front of a background: + T_end * brightness.
Var over_background(const Rendering& rendering, float brightness, Where where = Where::current());

// --- evaluation ---

// Peak signal-to-noise ratio (PSNR) in dB of numbers from 0 to 1: -10 log10(mean squared error).   throws when the shapes differ
double psnr(const Matrix& ours, const Matrix& truth);

// (H*W, C) as an Image, clamped to 0 ... 1, and back.   throws std::invalid_argument when there are not H*W rows
Image image_of(const Matrix& pixels, int height, int width);
Matrix pixels_of(const Image& image);
