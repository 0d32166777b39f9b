#include "nn/training/moving_average.h"

#include "nn/base/require.h"

double decay_at(const DecaySchedule& schedule, int update) {
    const double start = schedule.start, end = schedule.end;
    require(update >= 0 && schedule.updates >= 0 && start >= 0 && start <= 1 && end >= 0 && end <= 1, "decay_at: update ", update,
            " of a decay from ", start, " to ", end, " over ", schedule.updates,
            " updates; decays lie between 0 and 1, counts from 0");
    if (update >= schedule.updates) return end;
    return end - (end - start) * (1 - static_cast<double>(update) / schedule.updates);
}

void move_towards(const std::vector<Var>& average, const std::vector<Var>& model, double tau) {
    require(tau >= 0 && tau <= 1, "move_towards: a decay of ", tau, " must lie between 0 and 1");
    require(average.size() == model.size(), "move_towards: the average has ", average.size(), " matrices, the model ",
            model.size(), "; both must have the same number");
    for (std::size_t k = 0; k < average.size(); ++k)
        require(same_shape(average[k].value(), model[k].value()), "move_towards: matrix ", static_cast<int>(k), " is ",
                average[k].value(), ", that of the model is ", model[k].value(), ", the shapes must be equal");
    for (std::size_t k = 0; k < average.size(); ++k)
        require(!average[k].same_as(model[k]), "move_towards: matrix ", static_cast<int>(k), " of the average, ",
                average[k].value(), ", is that of the model itself; an average needs a copy of the weights");
    for (std::size_t k = 0; k < average.size(); ++k) {
        Var target = average[k];  // another handle on the same numbers
        Matrix& theta_average = target.value();
        const Matrix& theta = model[k].value();
        for (std::size_t i = 0; i < theta.size(); ++i)
            theta_average[i] = static_cast<float>(tau * theta_average[i] + (1 - tau) * theta[i]);  // [MeanTeacher 1]
    }
}
