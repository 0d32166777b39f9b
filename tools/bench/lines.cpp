#include "tools/bench/lines.h"

std::vector<Line> all_lines() {
    std::vector<Line> lines;
    for (const auto& family : {lines_of_products, lines_of_functions, lines_of_models, lines_of_generation, lines_of_growth,
                               lines_of_scenes, lines_of_files})
        for (const Line& line : family()) lines.push_back(line);
    return lines;
}
