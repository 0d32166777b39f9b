#include "vit/fields/views.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nn/base/decimal.h"
#include "nn/data/file.h"
#include "nn/data/json.h"

static std::string folder_of_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

static std::string name_of_frame(const std::string& path, std::size_t number) {
    return path + ": frame " + std::to_string(number);
}

// The member of an object of the file.   throws std::invalid_argument that begins with `where` and ends with the cure
static const Json& needed(const Json& object, const char* name, Json::Kind kind, const std::string& where, const char* cure) {
    require(object.kind == Json::Kind::object, where, " is not a JSON object {...}; ", cure);
    const Json* const value = object.find(name);
    require(value != nullptr && value->kind == kind, where, value == nullptr ? " has no " : " has another kind of value for ",
            name, "; ", cure);
    return *value;
}

// A rotation has columns of length 1 at right angles, and its third is the cross product of the first two.
static void require_rotation(const Matrix& pose, const std::string& where) {
    const double tolerance = 0.01;  // files are written with few digits
    const auto dot = [&](int a, int b) { return pose(0, a) * pose(0, b) + pose(1, a) * pose(1, b) + pose(2, a) * pose(2, b); };
    bool fits = true;
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b <= a; ++b) fits = fits && std::abs(dot(a, b) - (a == b ? 1 : 0)) < tolerance;
    const double determinant = pose(0, 0) * (pose(1, 1) * pose(2, 2) - pose(2, 1) * pose(1, 2)) -
                               pose(1, 0) * (pose(0, 1) * pose(2, 2) - pose(2, 1) * pose(0, 2)) +
                               pose(2, 0) * (pose(0, 1) * pose(1, 2) - pose(1, 1) * pose(0, 2));
    require(fits && determinant > 0, where,
            ": the first three columns of transform_matrix are not a rotation; they are the camera's right, up and backward "
            "directions, each of length 1");
}

static Matrix pose_of(const Json& frame, const std::string& where) {
    const char* const cure = "it is a list of 4 lists of 4 numbers, camera to world";
    const std::vector<Json>& list = needed(frame, "transform_matrix", Json::Kind::array, where, cure).items;
    require(list.size() == 4, where, ": a transform_matrix of ", list.size(), " rows, it must be 4 x 4");
    Matrix pose(3, 4);
    for (int i = 0; i < 4; ++i) {
        require(list[i].items.size() == 4, where, ": row ", i, " of transform_matrix does not hold 4 numbers, it must be 4 x 4");
        for (int j = 0; j < 4; ++j) {
            const Json& number = list[i].items[j];
            require(number.kind == Json::Kind::number, where, ": transform_matrix holds something that is not a number in row ",
                    i);
            if (i < 3) pose(i, j) = static_cast<float>(number.number);
        }
    }
    require_rotation(pose, where);
    return pose;
}

// The path of a frame's image: relative to the JSON file, its extension may be omitted.
static std::string image_path(const std::string& path, std::string name, const std::string& where) {
    if (name.starts_with("./")) name = name.substr(2);
    const std::string stem = name.starts_with("/") ? name : folder_of_path(path) + name;
    for (const char* const extension : {"", ".png", ".ppm"})
        if (is_file(stem + extension)) return stem + extension;
    require(false, where, ": there is no image ", stem,
            ", also with .png or .ppm at the end; file_path is relative to the JSON file");
    return stem;
}

View reduced(const View& view, int width) {
    require(width >= 1, "reduced: a width of ", width, " pixels, it must be at least 1");
    if (view.image.width <= width) return view;
    const double factor = static_cast<double>(width) / view.image.width;
    const int height = std::max(1, static_cast<int>(std::lround(view.image.height * factor)));
    View smaller{view.camera, resize_bilinear_antialiased(view.image, height, width)};
    smaller.camera.height = height;
    smaller.camera.width = width;
    smaller.camera.focal *= factor;
    smaller.camera.centre_x *= factor;
    smaller.camera.centre_y *= factor;
    return smaller;
}

static View view_of(const Json& frame, double angle, const std::string& path, const std::string& where) {
    const char* const cure = "it is the path of a PNG or PPM image";
    const std::string image = image_path(path, needed(frame, "file_path", Json::Kind::string, where, cure).string, where);
    View view{{}, read_image(image)};
    require(view.image.channels == 3, where, ": ", image, " is ", shape(view.image), ", it must have 3 channels");
    view.camera = {.height = view.image.height,
                   .width = view.image.width,
                   .focal = view.image.width / (2 * std::tan(angle / 2)),
                   .centre_x = view.image.width / 2.0,
                   .centre_y = view.image.height / 2.0,
                   .pose = pose_of(frame, where)};
    return view;
}

std::vector<View> read_views(const std::string& path, int widest) {
    const Json file = read_json(path);
    const char* const cure = "NeRF's format has camera_angle_x, the horizontal field of view in radians, and frames";
    const double angle = needed(file, "camera_angle_x", Json::Kind::number, path, cure).number;
    require(angle > 0 && angle < std::numbers::pi, path, ": camera_angle_x is ", angle, ", it must lie between 0 and pi");
    std::vector<View> views;
    for (const Json& frame : needed(file, "frames", Json::Kind::array, path, cure).items) {
        const View view = view_of(frame, angle, path, name_of_frame(path, views.size()));
        views.push_back(widest > 0 ? reduced(view, widest) : view);
    }
    require(!views.empty(), path, ": there are no frames; give at least one, with its file_path and transform_matrix");
    return views;
}

void write_views(const std::string& path, const std::vector<View>& views) {
    require(!views.empty(), path, ": there are no views to write; give at least one");
    const std::string folder = folder_of_path(path);
    const std::string name = path.substr(folder.size(), path.rfind(".json") - folder.size());
    const auto angle_of = [](const Camera& camera) { return 2 * std::atan(camera.width / (2 * camera.focal)); };
    const double angle = angle_of(views[0].camera);
    std::string text = "{\"camera_angle_x\": " + short_digits(angle, 9) + ", \"frames\": [";
    for (std::size_t v = 0; v < views.size(); ++v) {
        require(std::abs(angle_of(views[v].camera) - angle) < 1e-9, path, ": view ", v, " has a field of view of ",
                angle_of(views[v].camera), ", the first one ", angle, "; the file holds one for all");
        const Image& image = views[v].image;
        require(image.height == views[v].camera.height && image.width == views[v].camera.width && image.channels == 3, path,
                ": view ", v, " has an image of ", shape(image), " and a camera of ", views[v].camera.height, " x ",
                views[v].camera.width, "; both must have the same size, the image 3 channels");
        const std::string file = name + "-" + std::to_string(v) + ".ppm";
        write_image(folder + file, views[v].image);
        text += std::string(v == 0 ? "" : ",") + "\n  {\"file_path\": " + json_string(file) + ", \"transform_matrix\": [";
        for (int i = 0; i < 3; ++i) {
            text += "[";
            for (int j = 0; j < 4; ++j) text += (j == 0 ? "" : ", ") + short_digits(views[v].camera.pose(i, j), 9);
            text += "], ";
        }
        text += "[0, 0, 0, 1]]}";
    }
    write_file_atomically(path, text + "\n]}\n");
}

std::vector<Point3> points_on_sphere(int count, double distance, double turn) {
    require(count >= 1, "points_on_sphere: ", count, " points, there must be at least 1");
    require(std::isfinite(distance) && distance > 0 && std::isfinite(turn), "points_on_sphere: a distance of ", distance,
            " and a turn of ", turn, "; both must be finite, the distance above 0");
    std::vector<Point3> places;
    for (int i = 0; i < count; ++i) {
        const double z = 1 - 2 * (i + 0.5) / count, across = std::sqrt(1 - z * z), angle = 2.399963 * i + turn;
        places.push_back({distance * across * std::cos(angle), distance * across * std::sin(angle), distance * z});
    }
    return places;
}

PixelRays pixel_rays(const std::vector<View>& views) {
    require(!views.empty(), "pixel_rays: there is no view; give at least one");
    int R = 0;
    for (const View& view : views) R += view.camera.height * view.camera.width;
    PixelRays all{{Matrix(R, 3), Matrix(R, 3)}, Matrix(R, 3)};
    int first = 0;  // row of the view's first pixel
    for (const View& view : views) {
        require(view.image.height == view.camera.height && view.image.width == view.camera.width && view.image.channels == 3,
                "pixel_rays: an image of ", shape(view.image), " from a camera of ", view.camera.height, " x ", view.camera.width,
                " pixels; both must have the same size, with 3 channels");
        const Rays rays = rays_of(view.camera, 0.5);
        std::copy(rays.origins.begin(), rays.origins.end(), all.rays.origins.row(first));
        std::copy(rays.directions.begin(), rays.directions.end(), all.rays.directions.row(first));
        std::copy(view.image.pixels.begin(), view.image.pixels.end(), all.colours.row(first));
        first += rays.count();
    }
    return all;
}

PixelRays chosen(const PixelRays& all, const std::vector<int>& numbers) {
    const int R = static_cast<int>(numbers.size());
    PixelRays some{{Matrix(R, 3), Matrix(R, 3)}, Matrix(R, 3)};
    for (int r = 0; r < R; ++r) {
        require(numbers[r] >= 0 && numbers[r] < all.rays.count(), "chosen: ray ", numbers[r], " of ", all.rays.count(),
                ", they are counted from 0");
        std::copy_n(all.rays.origins.row(numbers[r]), 3, some.rays.origins.row(r));
        std::copy_n(all.rays.directions.row(numbers[r]), 3, some.rays.directions.row(r));
        std::copy_n(all.colours.row(numbers[r]), 3, some.colours.row(r));
    }
    return some;
}
