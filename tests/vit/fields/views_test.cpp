#include "vit/fields/views.h"

#include <cmath>

#include "nn/data/file.h"
#include "tests/close.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("views");

static View small_view(float brightness) { return {look_at({0, -3, 1}, {}, {0, 0, 1}, 2, 4, 50), Image(2, 4, 3, brightness)}; }

TEST_CASE("write_views: cameras and images are read back") {
    const TemporaryFolder folder;
    const std::string path = folder.path("views.json");
    const std::vector<View> views{small_view(0), small_view(1)};
    write_views(path, views);
    CHECK(is_file(folder.path("views-0.ppm")));
    const std::vector<View> read = read_views(path);
    REQUIRE(read.size() == 2);
    for (int v = 0; v < 2; ++v) {
        CHECK(identical(read[v].camera.pose, views[v].camera.pose));
        CHECK(read[v].camera.focal == Approx(views[v].camera.focal));
        CHECK(read[v].camera.centre_y == 1);
        CHECK(read[v].image.pixels == views[v].image.pixels);
    }
}

TEST_CASE("read_views: the format of NeRF's scenes, with image names without extension") {
    const TemporaryFolder folder;
    write_image(folder.path("r_0.ppm"), Image(3, 2, 3, 1));
    const std::string path = folder.path("transforms.json");
    write_file_atomically(
        path,
        "{\"camera_angle_x\": 1.5707963, \"frames\": [{\"file_path\": \"./r_0\", \"rotation\": 0.1, \"transform_matrix\": "
        "[[1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]}]}");
    const std::vector<View> views = read_views(path);
    REQUIRE(views.size() == 1);
    CHECK(views[0].camera.focal == Approx(1));  // half of the width over tan 45 degrees
    CHECK(views[0].camera.centre_x == 1);
    CHECK(views[0].camera.centre_y == 1.5);
    CHECK(identical(views[0].camera.pose, {{1, 0, 0, 5}, {0, 1, 0, 6}, {0, 0, 1, 7}}));
    write_image(folder.path("r_0.png"), Image(2, 2, 3, 0));  // NeRF's own images are PNG files
    CHECK(read_views(path)[0].image.pixels[0] == 0);
}

TEST_CASE("read_views: a broken file throws with its path, the frame and the fault") {
    const TemporaryFolder folder;
    const std::string path = folder.path("views.json"), frame_1 = path + ": frame 1";
    write_image(folder.path("good.ppm"), Image(2, 2, 3));
    write_image(folder.path("grey.pgm"), Image(2, 2, 1));
    const auto error_with = [&](const std::string& text) {
        write_file_atomically(path, text);
        return error_of([&] { read_views(path); });
    };
    const std::string format = "; NeRF's format has camera_angle_x, the horizontal field of view in radians, and frames";
    CHECK(error_with("[1]") == path + " is not a JSON object {...}" + format);
    CHECK(error_with("{\"fl_x\": 100, \"frames\": []}") == path + " has no camera_angle_x" + format);
    CHECK(error_with("{\"camera_angle_x\": 0.7, \"frames\": {}}") == path + " has another kind of value for frames" + format);
    CHECK(error_with("{\"camera_angle_x\": 0.7, \"frames\": []}") ==
          path + ": there are no frames; give at least one, with its file_path and transform_matrix");
    CHECK(error_with("{\"camera_angle_x\": 4, \"frames\": []}") ==
          path + ": camera_angle_x is 4.000000, it must lie between 0 and pi");
    CHECK(error_with("{\"camera_angle_x\": 0, \"frames\": []}") ==
          path + ": camera_angle_x is 0.000000, it must lie between 0 and pi");
    CHECK(error_with("{\"camera_angle_x\": 3.141592653589793, \"frames\": []}") ==
          path + ": camera_angle_x is 3.141593, it must lie between 0 and pi");
    View narrow = small_view(0);
    narrow.camera.focal *= 2;
    CHECK(error_of([&] { write_views(path, {small_view(0), narrow}); }).starts_with(path + ": view 1 has a field of view of "));
    CHECK(error_of([&] { write_views(path, {}); }) == path + ": there are no views to write; give at least one");

    // The second frame is broken.
    const std::string identity = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]";
    const auto error_of_frame = [&](const std::string& name, const std::string& matrix) {
        return error_with("{\"camera_angle_x\": 0.7, \"frames\": [{\"file_path\": \"good\", \"transform_matrix\": " + identity +
                          "}, {\"file_path\": " + name + ", \"transform_matrix\": " + matrix + "}]}");
    };
    CHECK(error_of_frame("\"good\"", "[[1, 0], [0, 1]]") == frame_1 + ": a transform_matrix of 2 rows, it must be 4 x 4");
    CHECK(error_of_frame("\"good\"", "[[1], [0], [0], [0]]") ==
          frame_1 + ": row 0 of transform_matrix does not hold 4 numbers, it must be 4 x 4");
    CHECK(error_of_frame("\"good\"", "[1, 0, 0, 0]") ==
          frame_1 + ": row 0 of transform_matrix does not hold 4 numbers, it must be 4 x 4");
    CHECK(error_of_frame("\"good\"", "[[1, 0, 0, 0], [0, 1, 0, \"x\"], [0, 0, 1, 3], [0, 0, 0, 1]]") ==
          frame_1 + ": transform_matrix holds something that is not a number in row 1");
    const std::string rotation =
        frame_1 +
        ": the first three columns of transform_matrix are not a rotation; they are the camera's right, up and backward "
        "directions, each of length 1";
    CHECK(error_of_frame("\"good\"", "[[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]") == rotation);  // length 2
    CHECK(error_of_frame("\"good\"", "[[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]") == rotation);
    CHECK(error_of_frame("\"good\"", "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, 3], [0, 0, 0, 1]]") == rotation);
    CHECK(error_of_frame("\"good\"", "[[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]") == rotation);  // an angle
    CHECK(error_of_frame("\"good\"", "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 3], [0, 0, 0, 1]]") == rotation);   // mirrored
    CHECK(error_of_frame("3", identity) ==
          frame_1 + " has another kind of value for file_path; it is the path of a PNG or PPM image");
    CHECK(error_of_frame("\"none\"", identity) ==
          frame_1 + ": there is no image " + folder.path("none") +
              ", also with .png or .ppm at the end; file_path is relative to the JSON file");
    CHECK(error_of_frame("\"grey.pgm\"", identity) ==
          frame_1 + ": " + folder.path("grey.pgm") + " is 2 x 2 x 1, it must have 3 channels");
    CHECK(error_with("{\"camera_angle_x\": 0.7, \"frames\": [{\"file_path\": \"good\"}]}") ==
          path + ": frame 0 has no transform_matrix; it is a list of 4 lists of 4 numbers, camera to world");
}

TEST_CASE("reduced: the image has fewer pixels, and its corner pixels look past the same edges") {
    View view = small_view(0.25f);  // 2 x 4 pixels
    view.image = Image(8, 16, 3, 0.25f);
    view.camera = look_at({0, -3, 1}, {}, {0, 0, 1}, 8, 16, 50);
    const View smaller = reduced(view, 4);
    CHECK(smaller.image.height == 2);
    CHECK(smaller.image.width == 4);
    CHECK(smaller.image(1, 3, 2) == Approx(0.25));
    // The upper left corner of an image is the point (0, 0) whatever the number of pixels: the same ray.
    const Matrix corner = rays_of_pixels(view.camera, {0}).directions, same = rays_of_pixels(smaller.camera, {0}).directions;
    for (int k = 0; k < 3; ++k) CHECK(corner(0, k) == Approx(same(0, k)));
    CHECK(pixel_rays({smaller}).rays.count() == 8);
    CHECK(reduced(view, 2).image.height == 1);
    CHECK(reduced(view, 1).image.height == 1);  // half a pixel, but at least one
    CHECK(reduced(view, 16).image.width == 16);
    CHECK(reduced(view, 100).image.width == 16);
    CHECK(error_of([&] { reduced(view, 0); }) == "reduced: a width of 0 pixels, it must be at least 1");

    const TemporaryFolder folder;
    write_views(folder.path("views.json"), {view});
    CHECK(read_views(folder.path("views.json"))[0].image.width == 16);
    CHECK(read_views(folder.path("views.json"), 4)[0].image.width == 4);
    CHECK(read_views(folder.path("views.json"), 1)[0].image.width == 1);
}

TEST_CASE("points_on_sphere: all at the same distance, from top to bottom, their mean near the origin") {
    const std::vector<Point3> points = points_on_sphere(20, 3);
    REQUIRE(points.size() == 20);
    double x = 0, y = 0;
    for (const Point3& p : points) {
        CHECK(std::sqrt(p.x * p.x + p.y * p.y + p.z * p.z) == Approx(3));
        x += p.x / 20, y += p.y / 20;
    }
    CHECK(points[0].z == Approx(3 * 0.95));
    CHECK(points[19].z == Approx(-3 * 0.95));
    CHECK(std::abs(x) < 0.2);
    CHECK(std::abs(y) < 0.2);
    CHECK(points_on_sphere(1, 2, 1.5707963)[0].y == Approx(2));  // z = 0, a quarter turn
}

TEST_CASE("pixel_rays: stacks the pixels of all views, and chosen selects from them") {
    const std::vector<View> views{small_view(0), small_view(1)};
    const PixelRays all = pixel_rays(views);
    CHECK(all.rays.count() == 16);
    CHECK(all.colours(7, 2) == 0);
    CHECK(all.colours(8, 0) == 1);
    CHECK(identical(slice_rows(all.rays.directions, 8, 8), rays_of(views[1].camera, 0.5).directions));
    const PixelRays some = chosen(all, {9, 0});
    CHECK(identical(slice_rows(some.rays.directions, 0, 1), slice_rows(all.rays.directions, 9, 1)));
    CHECK(identical(some.colours, {{1, 1, 1}, {0, 0, 0}}));
    CHECK_THROWS_WITH(chosen(all, {16}), "chosen: ray 16 of 16, they are counted from 0");
    CHECK_THROWS_WITH(chosen(all, {-1}), "chosen: ray -1 of 16, they are counted from 0");
}

TEST_CASE("pixel_rays: an image of another size than its camera's throws") {
    View view = small_view(0);
    for (const Image& image : {Image(2, 3, 3), Image(3, 4, 3), Image(2, 4, 1)}) {
        view.image = image;
        CHECK(error_of([&] { pixel_rays({view}); }) ==
              "pixel_rays: an image of " + shape(image) +
                  " from a camera of 2 x 4 pixels; both must have the same size, with 3 channels");
    }
}

TEST_CASE("pixel_rays, points_on_sphere, chosen: an empty list and rays that do not exist are refused") {
    CHECK_THROWS_WITH(pixel_rays({}), "pixel_rays: there is no view; give at least one");
    CHECK_THROWS_WITH(points_on_sphere(0, 3, 0), "points_on_sphere: 0 points, there must be at least 1");
    CHECK_THROWS_WITH(chosen(pixel_rays({small_view(0)}), {8}), "chosen: ray 8 of 8, they are counted from 0");
}

TEST_CASE("read_views: of the 48 matrices that exchange and mirror axes, the 24 rotations are accepted") {
    const TemporaryFolder folder;
    const std::string path = folder.path("views.json");
    write_image(folder.path("good.ppm"), Image(2, 2, 3));
    const int orders[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};  // the last three are mirrored
    int accepted = 0;
    for (int order = 0; order < 6; ++order)
        for (int signs = 0; signs < 8; ++signs) {
            std::string rows;
            bool rotation = order < 3;
            for (int i = 0; i < 3; ++i) {
                const bool minus = (signs >> i & 1) == 1;
                rotation = rotation != minus;
                rows += "[";
                for (int j = 0; j < 3; ++j) rows += std::to_string(j != orders[order][i] ? 0 : minus ? -1 : 1) + ", ";
                rows += "3], ";
            }
            write_file_atomically(
                path, "{\"camera_angle_x\": 0.7, \"frames\": [{\"file_path\": \"good\", \"transform_matrix\": [" + rows +
                          "[0, 0, 0, 1]]}]}");
            const std::string error = error_of([&] { read_views(path); });
            CHECK((error == "") == rotation);
            accepted += error == "";
        }
    CHECK(accepted == 24);
}

TEST_CASE("points_on_sphere: a distance that is not above 0, and numbers that are not finite, are refused") {
    const std::string rule = "; both must be finite, the distance above 0";
    CHECK(error_of([] { points_on_sphere(1, 0); }) == "points_on_sphere: a distance of 0.000000 and a turn of 0.000000" + rule);
    CHECK(error_of([] { points_on_sphere(1, NAN); }).ends_with(rule));
    CHECK(error_of([] { points_on_sphere(1, 1, INFINITY); }).ends_with(rule));
}

TEST_CASE("write_views: an image of another size than its camera, or without colours, is refused") {
    const TemporaryFolder folder;
    View view = small_view(0.5f);
    const auto refusal = [&](const Image& image) {
        view.image = image;
        return error_of([&] { write_views(folder.path("v.json"), {view}); });
    };
    CHECK(refusal(Image(2, 4, 3)).empty());
    for (const Image& image : {Image(3, 4, 3), Image(2, 5, 3), Image(2, 4, 1)})
        CHECK(refusal(image) == folder.path("v.json") + ": view 0 has an image of " + shape(image) +
                                    " and a camera of 2 x 4; both must have the same size, the image 3 channels");
}

TEST_SUITE_END();
