#include "nn/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nn/base/require.h"

float learning_rate(const Schedule& schedule, int step) {
    require(step >= 0 && schedule.warm_up >= 0 && schedule.steps >= 1, "learning_rate: step ", step, " of ", schedule.steps,
            " with ", schedule.warm_up, " of warm-up; none may be negative, and there must be at least 1 step");
    require(schedule.peak >= 0 && std::isfinite(schedule.peak), "learning_rate: a peak of ", schedule.peak,
            ", it must be finite and at least 0; 0.001 is usual");
    require(schedule.floor >= 0 && schedule.floor <= 1, "learning_rate: a floor of ", schedule.floor, ", it must be from 0 to 1");
    if (step < schedule.warm_up) return schedule.peak * static_cast<float>(step + 1) / static_cast<float>(schedule.warm_up);
    if (schedule.descent == Descent::none) return schedule.peak;

    const double length = std::max(1, schedule.steps - schedule.warm_up);
    const double t = std::min(1.0, (step - schedule.warm_up) / length);
    const double height = schedule.descent == Descent::cosine ? (1 + std::cos(std::numbers::pi * t)) / 2 : 1 - t;  // 1 to 0
    return static_cast<float>(schedule.peak * (schedule.floor + (1 - schedule.floor) * height));                   // [SGDR 5]
}
