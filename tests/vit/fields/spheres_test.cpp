#include "vit/fields/spheres.h"

#include <cmath>

#include "nn/data/file.h"
#include "tests/close.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("spheres");

TEST_CASE("first_hit: the near side of the nearest sphere, and nothing behind the camera") {
    const std::vector<Sphere> spheres{{{5, 0, 0}, 1, {}}, {{2, 0, 0}, 0.5, {}}, {{-3, 0, 0}, 1, {}}};
    const Hit hit = first_hit(spheres, {0, 0, 0}, {2, 0, 0});
    CHECK(hit.sphere == 1);
    CHECK(hit.distance == Approx(0.75));  // 1.5 of the world, in directions of length 2
    CHECK(first_hit(spheres, {0, 0, 0}, {0, 1, 0}).sphere == -1);
    CHECK(first_hit(spheres, {0, 0, 0}, {-1, 0, 0}).sphere == 2);
}

TEST_CASE("draw_spheres: white background, the lit side brighter than the other, antialiased edges") {
    const std::vector<Sphere> red{{{0, 0, 0}, 0.5, {0.9, 0.2, 0.2}}};
    const Camera lit = look_at({1.5, 2.4, 1}, {}, {0, 0, 1}, 9, 9, 45), dark = look_at({-1.5, -2.4, -1}, {}, {0, 0, 1}, 9, 9, 45);
    const Image bright = draw_spheres(red, lit), shadow = draw_spheres(red, dark);
    CHECK(bright(0, 0, 0) == Approx(1));
    CHECK(bright(4, 4, 0) > 0.9f);
    CHECK(shadow(4, 4, 0) == Approx(0.9 * 0.35).epsilon(1e-3));  // no lamp from here: 0.35 of the colour
    const Image once = draw_spheres(red, lit, 1);
    int edges = 0;  // pixels that are a mixture of white and red only where there are several rays
    for (std::size_t k = 0; k < once.pixels.size(); ++k) edges += std::abs(once.pixels[k] - bright.pixels[k]) > 0.2f;
    CHECK(edges > 3);
}

TEST_CASE("labels_of: the index of the sphere in the middle, -1 at the corners") {
    const std::vector<int> labels = labels_of(four_spheres(), look_at({0, -3, 0}, {}, {0, 0, 1}, 5, 5, 45));
    CHECK(labels.size() == 25);
    CHECK(labels[12] == 0);
    CHECK(labels[0] == -1);
}

TEST_CASE("four_spheres: the fourth is yellow, or has exactly the second one's green") {
    CHECK(four_spheres()[3].colour != four_spheres()[1].colour);
    CHECK(four_spheres(true)[3].colour == four_spheres(true)[1].colour);
    const std::vector<Sphere> spheres = four_spheres();
    REQUIRE(spheres.size() == 4);
    const Matrix written{{0, 0, 0, 0.3f, 0.9f, 0.2f, 0.2f},  // x y z radius red green blue
                         {0.5f, 0.3f, 0.1f, 0.22f, 0.2f, 0.8f, 0.3f},
                         {-0.45f, 0.35f, -0.2f, 0.2f, 0.2f, 0.3f, 0.95f},
                         {0.1f, -0.5f, 0.3f, 0.2f, 0.95f, 0.85f, 0.2f}};
    for (int k = 0; k < 4; ++k) {
        const auto& [centre, radius, colour] = spheres[k];
        check_close("sphere " + std::to_string(k),
                    Matrix{{static_cast<float>(centre.x), static_cast<float>(centre.y), static_cast<float>(centre.z),
                            static_cast<float>(radius), static_cast<float>(colour[0]), static_cast<float>(colour[1]),
                            static_cast<float>(colour[2])}},
                    slice_rows(written, k, 1));
        for (int other = 0; other < k; ++other) {  // no two touch, each is inside the cube of side 2
            const Point3 a = spheres[k].centre, b = spheres[other].centre;
            CHECK(std::hypot(a.x - b.x, a.y - b.y, a.z - b.z) > spheres[k].radius + spheres[other].radius);
        }
        for (const double x : {spheres[k].centre.x, spheres[k].centre.y, spheres[k].centre.z})
            CHECK(std::abs(x) + spheres[k].radius < 1);
    }
}

TEST_CASE("views_of: each camera looks at the origin from the same distance") {
    const std::vector<View> views = views_of(four_spheres(), 5, 8);
    REQUIRE(views.size() == 5);
    for (const View& view : views) {
        CHECK(shape(view.image) == "8 x 8 x 3");
        const Matrix& pose = view.camera.pose;  // it looks along minus its third column
        for (int axis = 0; axis < 3; ++axis) CHECK(pose(axis, 3) == Approx(3 * pose(axis, 2)));
    }
}

TEST_CASE("read_spheres: seven numbers per line; the error names a wrong line") {
    const TemporaryFolder folder;
    const std::string path = folder.path("spheres");
    write_file_atomically(path, "# x y z radius red green blue\n\n0 0.5 -1 0.25 1 0 0.5\n");
    const std::vector<Sphere> spheres = read_spheres(path);
    REQUIRE(spheres.size() == 1);
    CHECK(spheres[0].centre.x == 0);
    CHECK(spheres[0].centre.y == 0.5);
    CHECK(spheres[0].centre.z == -1);
    CHECK(spheres[0].colour[0] == 1);
    CHECK(spheres[0].colour[1] == 0);
    CHECK(spheres[0].radius == 0.25);
    CHECK(spheres[0].colour[2] == 0.5);
    const auto error_with = [&](const std::string& text) {
        write_file_atomically(path, text);
        return error_of([&] { read_spheres(path); });
    };
    CHECK(error_with("1 2 3\n") == path + ": line 1: \"1 2 3\" is not 7 numbers: x y z radius red green blue");
    CHECK(error_with("0 0 zero 1 1 1 1\n") ==
          path + ": line 1: \"0 0 zero 1 1 1 1\" is not 7 numbers: x y z radius red green blue");
    CHECK(error_with("\n0 0 0 1 1 1 1 1\n") ==
          path + ": line 2: \"0 0 0 1 1 1 1 1\" is not 7 numbers: x y z radius red green blue");
    CHECK(error_with("0 0 0 0 1 1 1\n") == path + ": line 1: the radius is 0.000000, it must be positive");
    CHECK(error_with("0 0 0 1 -0.5 1 1\n") == path + ": line 1: the colour -0.500000, it must lie between 0 and 1");
    CHECK(error_with("0 inf 0 1 1 1 1\n") ==
          path + ": line 1: \"0 inf 0 1 1 1 1\" is not 7 numbers: x y z radius red green blue");
    CHECK(error_with("0 0 0 -1 1 1 1\n") == path + ": line 1: the radius is -1.000000, it must be positive");
    CHECK(error_with("0 0 0 1 1 1 2\n") == path + ": line 1: the colour 2.000000, it must lie between 0 and 1");
    CHECK(error_with("\xEF\xBB\xBF 0 0 0 1\t1 1 1 \r\n \r\n").empty());  // a byte order mark, line ends of Windows
    CHECK(error_with("0 0 0 1 1 1 1\r1 0 0 1 1 1 1\r") ==
          path + ": its lines end in carriage returns alone, as on an old Mac; convert it: tr '\\r' '\\n'");
    CHECK(error_with("# nothing\n") == path + ": there are no spheres; give at least one line of x y z radius red green blue");
}

TEST_CASE("first_hit, views_of: a direction of length 0, no views and a distance of 0 are refused") {
    CHECK_THROWS_WITH(first_hit(four_spheres(false), {0, 0, 3}, {0, 0, 0}),
                      "first_hit: the direction is (0.000000, 0.000000, 0.000000), it must be finite and not 0");
    CHECK_THROWS_WITH(first_hit(four_spheres(false), {0, 0, 3}, {0, 0, NAN}),
                      "first_hit: the direction is (0.000000, 0.000000, nan), it must be finite and not 0");
    CHECK_THROWS_WITH(views_of(four_spheres(false), 0, 4, 0, 3, 40),
                      "views_of: 0 views from a distance of 3.000000, there must be at least 1, and the distance above 0");
    CHECK_THROWS_WITH(views_of(four_spheres(false), 2, 4, 0, 0, 40),
                      "views_of: 2 views from a distance of 0.000000, there must be at least 1, and the distance above 0");
}

TEST_CASE("first_hit: a ray that touches a sphere hits it, one that begins on it does not hit it again") {
    const std::vector<Sphere> one{{{5, 1, 0}, 1, {}}};
    CHECK(first_hit(one, {0, 0, 0}, {1, 0, 0}).sphere == 0);  // the discriminant is 0
    CHECK(first_hit(one, {0, 0, 0}, {1, 0, 0}).distance == 5);
    CHECK(first_hit(one, {4, 1, 0}, {1, 0, 0}).sphere == -1);  // t = 0
    CHECK_THROWS_WITH(first_hit(one, {0, 0, 0}, {INFINITY, 0, 0}),
                      "first_hit: the direction is (inf, 0.000000, 0.000000), it must be finite and not 0");
    CHECK(views_of(one, 1, 2, 0, 0.5, 40).size() == 1);
    CHECK_THROWS_WITH(draw_spheres(one, look_at({0, -3, 0}, {}, {0, 0, 1}, 2, 2, 45), 0),
                      "draw_spheres: 0 samples a side of a pixel, at least 1 is needed");
}

TEST_CASE("draw_spheres: the colour of one ray, by hand: the diffuse light times the colour, plus a white highlight") {
    // From (0, 3, 0) the ray hits the sphere at (0, 0.5, 0), where the normal n is (0, 1, 0). The lamp is in the direction
    // l = (0.5, 0.8, 0.33) / 0.99945, whose cosine with n is 0.80044; the cosine of n and the middle of l and the eye is 0.94880.
    // diffuse 0.35 + 0.65 * 0.80044 = 0.87029, highlight 0.25 * 0.94880^8 = 0.16419
    const std::vector<Sphere> one{{{0, 0, 0}, 0.5, {0.5, 0.2, 0}}};
    const Image pixel = draw_spheres(one, look_at({0, 3, 0}, {}, {0, 0, 1}, 1, 1, 40), 1);
    CHECK(pixel(0, 0, 0) == Approx(0.599329).epsilon(1e-5));
    CHECK(pixel(0, 0, 1) == Approx(0.338243).epsilon(1e-5));
    CHECK(pixel(0, 0, 2) == Approx(0.164186).epsilon(1e-5));
    // The same elsewhere; and of a red that is as bright as white, the sum is cut off at 1.
    const std::vector<Sphere> moved{{{1, 2, -1}, 0.5, {1, 0.2, 0}}};
    const Image bright = draw_spheres(moved, look_at({1, 5, -1}, {1, 2, -1}, {0, 0, 1}, 1, 1, 40), 1);
    CHECK(bright(0, 0, 0) == 1);
    CHECK(bright(0, 0, 1) == Approx(0.338243).epsilon(1e-5));
    CHECK(bright(0, 0, 2) == Approx(0.164186).epsilon(1e-5));
}

TEST_CASE("draw_spheres: a radius that is not above 0 is refused") {
    const Camera camera = look_at({0, 0, 3}, {0, 0, 0}, {0, 1, 0}, 2, 2, 60);
    CHECK_THROWS_WITH(draw_spheres({Sphere{{0, 0, 0}, 0, {1, 0, 0}}}, camera),
                      "draw_spheres: a radius of 0.000000, it must be finite and above 0");
    CHECK_THROWS_WITH(draw_spheres({Sphere{{0, 0, 0}, NAN, {1, 0, 0}}}, camera),
                      "draw_spheres: a radius of nan, it must be finite and above 0");
}

TEST_SUITE_END();
