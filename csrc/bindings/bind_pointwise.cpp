// bind_pointwise.cpp: epochs of gradient steps on pairs for Python.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "core/buffer.h"
#include "latom/pointwise.h"
#include "rows/csr_checks.h"

namespace latom {
namespace {

using namespace pybind11::literals;

PairLoss parse_loss(const Context& ctx, const std::string& name) {
    const std::pair<const char*, PairLoss> losses[] = {
        {"bpr", PairLoss::kBpr},      {"bpo", PairLoss::kBpo},      {"nbpo", PairLoss::kNbpo},
        {"nbpo_s", PairLoss::kNbpoS}, {"nbpo_o", PairLoss::kNbpoO}, {"relevance", PairLoss::kRelevance}};
    for (const auto& [own, loss] : losses)
        if (name == own) return loss;
    fail(ctx, "loss must be one of bpr, bpo, nbpo, nbpo_s, nbpo_o and relevance", "'" + name + "'",
         "Use 'bpr' if unsure.");
}

PairFactors factors_of(const Context& ctx, const std::string& name, Array<float>& rows, Array<float>& columns,
                       int64_t n, int64_t m, double rate, double decay) {
    const auto view = view_of(ctx, rows, name + " factors");
    const int64_t width = view.d;
    check_shape(ctx, name + " factors of rows", rows, {static_cast<py::ssize_t>(n), static_cast<py::ssize_t>(width)});
    check_shape(ctx, name + " factors of columns", columns,
                {static_cast<py::ssize_t>(m), static_cast<py::ssize_t>(width)});
    if (width != whole_lines<float>(width))
        fail(ctx, name + " factors must have a multiple of 16 columns", width, "Pad them with zeros.");
    return {rows.mutable_data(),      columns.mutable_data(),    width,
            static_cast<float>(rate), static_cast<float>(decay), -1};
}

/// Factors are changed in place; returns the mean loss.
double py_pair_epoch(const Call& call, const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                     const std::optional<Array<float>>& weights, const std::string& loss, std::int64_t negatives,
                     double unlabelled, std::int64_t epoch, Array<float>& rows, Array<float>& columns, double rate,
                     double decay, std::optional<Array<float>> noise_rows, std::optional<Array<float>> noise_columns,
                     double noise_decay, std::int64_t ones, bool fixed_columns) {
    const Context ctx = call.context();
    const std::int64_t n = indptr.size() - 1, m = columns.ndim() == 2 ? columns.shape(0) : 0;
    check_indptr(ctx, "positives", indptr.data(), indptr.size(), indices.size());
    check_indices(ctx, "positives", indices.data(), indices.size(), m);
    if (weights) check_shape(ctx, "weights", *weights, {indices.size()});
    if (negatives < 1 || negatives > 4096)
        fail(ctx, "n_negatives must be in [1, 4096]", negatives, "Draw a few negatives per positive.");
    PairProblem problem{{indptr.data(), indices.data(), n},
                        weights ? weights->data() : nullptr,
                        m,
                        parse_loss(ctx, loss),
                        negatives,
                        unlabelled,
                        factors_of(ctx, "signal", rows, columns, n, m, rate, decay),
                        {},
                        false};
    if (noise_rows && noise_columns)
        problem.noise = factors_of(ctx, "noise", *noise_rows, *noise_columns, n, m, rate, noise_decay);
    if (ones < -1 || ones >= problem.signal.width)
        fail(ctx, "ones must be a column of the factors, or -1", ones, "Leave it out.");
    problem.signal.ones = ones;
    problem.fixed_columns = fixed_columns;
    const Released released;
    return pair_epoch(ctx, problem, epoch);
}

}  // namespace

void register_pointwise(py::module_& module) {
    module.def("pair_epoch", &py_pair_epoch, "context"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(),
               "weights"_a.noconvert(), "loss"_a, "negatives"_a, "unlabelled"_a, "epoch"_a, "rows"_a.noconvert(),
               "columns"_a.noconvert(), "rate"_a, "decay"_a, "noise_rows"_a.noconvert() = py::none(),
               "noise_columns"_a.noconvert() = py::none(), "noise_decay"_a = 0.0, "ones"_a = -1,
               "fixed_columns"_a = false);
}

}  // namespace latom
