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

static Matrix pose_of(const Json& rows, const std::string& path) {
    const std::vector<Json>& list = rows.as_array();
    require(list.size() == 4, path, ": a transform_matrix of ", list.size(), " rows, it must be 4 x 4");
    Matrix pose(3, 4);
    for (int i = 0; i < 4; ++i) {
        const std::vector<Json>& row = list[i].as_array();
        require(row.size() == 4, path, ": a transform_matrix with ", row.size(), " numbers in a row, it must be 4 x 4");
        for (int j = 0; j < 4; ++j) {
            const double number = row[j].as_number();
            if (i < 3) pose(i, j) = static_cast<float>(number);
        }
    }
    return pose;
}

std::vector<View> read_views(const std::string& path) {
    const Json file = read_json(path);
    const double angle = file.at("camera_angle_x").as_number();
    require(angle > 0 && angle < std::numbers::pi, path, ": camera_angle_x is ", angle, ", it must lie between 0 and pi");
    std::vector<View> views;
    for (const Json& frame : file.at("frames").as_array()) {
        std::string name = frame.at("file_path").as_string();
        if (name.starts_with("./")) name = name.substr(2);
        const std::string folder = folder_of_path(path);
        if (!name.ends_with(".ppm") && !name.ends_with(".png")) name += is_file(folder + name + ".png") ? ".png" : ".ppm";
        View view{{}, read_image(folder + name)};
        require(view.picture.channels == 3, path, ": ", name, " is ", shape(view.picture), ", it must have 3 channels");
        view.camera = {.height = view.picture.height,
                       .width = view.picture.width,
                       .focal = view.picture.width / (2 * std::tan(angle / 2)),
                       .centre_x = view.picture.width / 2.0,
                       .centre_y = view.picture.height / 2.0,
                       .pose = pose_of(frame.at("transform_matrix"), path)};
        views.push_back(view);
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
        const std::string picture = name + "-" + std::to_string(v) + ".ppm";
        write_image(folder + picture, views[v].picture);
        text += std::string(v == 0 ? "" : ",") + "\n  {\"file_path\": " + json_string(picture) + ", \"transform_matrix\": [";
        for (int i = 0; i < 3; ++i) {
            text += "[";
            for (int j = 0; j < 4; ++j) text += (j == 0 ? "" : ", ") + short_digits(views[v].camera.pose(i, j), 9);
            text += "], ";
        }
        text += "[0, 0, 0, 1]]}";
    }
    write_file_atomically(path, text + "\n]}\n");
}

std::vector<Point3> places_on_sphere(int count, double distance, double turn) {
    require(count >= 1, "places_on_sphere: ", count, " places, there must be at least 1");
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
        require(
            view.picture.height == view.camera.height && view.picture.width == view.camera.width && view.picture.channels == 3,
            "pixel_rays: a picture of ", shape(view.picture), " from a camera of ", view.camera.height, " x ", view.camera.width,
            " pixels; both must be equally large, with 3 channels");
        const Rays rays = rays_of(view.camera, 0.5);
        std::copy(rays.origins.begin(), rays.origins.end(), all.rays.origins.row(first));
        std::copy(rays.directions.begin(), rays.directions.end(), all.rays.directions.row(first));
        std::copy(view.picture.pixels.begin(), view.picture.pixels.end(), all.colours.row(first));
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
