// bind_pursuit.cpp: dictionaries for matching pursuit, for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "core/turns.h"
#include "kernels/table.h"
#include "latom/pursuit.h"

namespace latom {
namespace {

using namespace pybind11::literals;

GramUse parse_gram(const Context& ctx, const std::string& name) {
    if (name == "auto") return GramUse::kWherePays;
    if (name == "always") return GramUse::kAlways;
    if (name == "never") return GramUse::kNever;
    fail(ctx, "gram must be 'auto', 'always' or 'never'", "'" + name + "'", "Use 'auto'.");
}

/// A Dictionary<float> or Dictionary<double>. One that may grow is used by one thread at a time.
class PyDictionary {
public:
    PyDictionary(const Call& call, const std::variant<Array<float>, Array<double>>& atoms, bool growable,
                 const std::string& gram)
        : growable_(growable) {
        const Context ctx = call.context();
        const GramUse use = parse_gram(ctx, gram);
        std::visit(
            [&](const auto& array) {
                using T = typename std::decay_t<decltype(array)>::value_type;
                const auto view = view_of(ctx, array, "atoms");
                const Released released;
                auto made = make_dictionary<T>(ctx, view.d, use);
                made->append(ctx, view.data, view.n);
                dictionary_ = std::move(made);
            },
            atoms);
    }

    int64_t m() const {
        return std::visit([](const auto& dictionary) { return dictionary->m(); }, dictionary_);
    }

    py::tuple pursue(const Call& call, const PyRows& X, int64_t steps, bool orthogonal, bool positive, bool repeat,
                     double tol, bool relative) {
        const Context ctx = call.context();
        const PursuitOptions options{orthogonal, positive, repeat, steps, tol, relative};
        check_steps(ctx, steps);
        return std::visit(
            [&](auto& dictionary) -> py::tuple {
                using T = typename std::decay_t<decltype(*dictionary)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                PursuitCodes<T> codes;
                {
                    const Released released;
                    alone(ctx, [&] { codes = dictionary->pursue(ctx, rows, options); });
                }
                return py::make_tuple(to_array(std::move(codes.indptr)), to_array(std::move(codes.indices)),
                                      to_array(std::move(codes.values)), to_array(std::move(codes.error)));
            },
            dictionary_);
    }

    /// (the rows that became atoms, the relative error of each row)
    py::tuple grow(const Call& call, const PyRows& X, int64_t steps, bool orthogonal, double tol, int64_t most) {
        const Context ctx = call.context();
        check_growable(ctx);
        check_steps(ctx, steps);
        const PursuitOptions options{orthogonal, false, true, steps, -1, false};
        std::vector<int64_t> taken;
        py::array_t<double> error(X.n());
        double* errors = error.mutable_data();
        std::visit(
            [&](auto& dictionary) {
                using T = typename std::decay_t<decltype(*dictionary)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                const Released released;
                alone(ctx, [&] { taken = dictionary->grow(ctx, rows, options, tol, most, errors); });
            },
            dictionary_);
        return py::make_tuple(to_array(std::move(taken)), error);
    }

    /// The rows `which` of X, scaled to length 1, as atoms.
    void adopt(const Call& call, const PyRows& X, const Array<std::int64_t>& which) {
        const Context ctx = call.context();
        check_growable(ctx);
        check_indices(ctx, "which", which.data(), which.size(), X.n());
        const std::vector<int64_t> rows_of(which.data(), which.data() + which.size());
        std::visit(
            [&](auto& dictionary) {
                using T = typename std::decay_t<decltype(*dictionary)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                if (rows.d != dictionary->d())
                    fail(ctx, "X must have as many columns as the atoms", rows.d, "Pass rows of that width.");
                const Released released;
                alone(ctx, [&] { dictionary->adopt(ctx, rows, rows_of); });
            },
            dictionary_);
    }

    py::array atoms(const Call& call) {
        const Context ctx = call.context();
        return std::visit(
            [&](auto& dictionary) -> py::array {
                using T = typename std::decay_t<decltype(*dictionary)>::value_type;
                py::array_t<T> out(
                    {static_cast<py::ssize_t>(dictionary->m()), static_cast<py::ssize_t>(dictionary->d())});
                T* numbers = out.mutable_data();
                {
                    const Released released;
                    alone(ctx, [&] { dictionary->copy_atoms(numbers); });
                }
                return out;
            },
            dictionary_);
    }

private:
    static void check_steps(const Context& ctx, int64_t steps) {
        if (steps < 1) fail(ctx, "steps must be positive", steps, "Take at least one.");
    }
    void check_growable(const Context& ctx) const {
        if (!growable_) fail(ctx, "growable must be True for a dictionary that grows", "False", "Make another one.");
    }

    template <class F>
    void alone(const Context& ctx, F f) {
        if (!growable_) return f();
        const Turn turn(ctx, turns_);
        if (!turn.taken())
            fail(ctx, "self must not be used by a signal handler that interrupts its own call", "such a call",
                 "Call it afterwards.");
        f();
    }

    bool growable_;
    Turns turns_;
    std::variant<std::unique_ptr<Dictionary<float>>, std::unique_ptr<Dictionary<double>>> dictionary_;
};

// ---- the kernels, for tests

void check_pursuit(py::ssize_t width, bool fits) {
    if (width < 1 || width % kPursuitBlock || !fits)
        throw py::value_error("pursuit: rows must have " + std::to_string(kPursuitBlock) + " numbers, or a multiple");
}

/// (out, block) of rows [2 count, width], which are woven together, and factor [2 count].
py::tuple pursuit_pairs(const Array<float>& start, const Array<std::int16_t>& rows, const Array<std::int16_t>& factor,
                        float unit, bool magnitudes) {
    check_pursuit(start.size(), start.ndim() == 1 && rows.ndim() == 2 && rows.shape(1) == start.size() &&
                                    factor.size() == rows.shape(0) && rows.shape(0) % 2 == 0);
    const py::ssize_t width = start.size(), count = rows.shape(0) / 2;
    std::vector<std::uint32_t> woven(static_cast<std::size_t>(count * width)), factors;
    std::vector<const std::uint32_t*> pairs;
    for (py::ssize_t p = 0; p < count; ++p) {
        std::uint32_t* pair = woven.data() + p * width;
        for (int odd = 0; odd < 2; ++odd)
            active_kernels()->weave_row(rows.data() + (2 * p + odd) * width, odd, width, pair);
        pairs.push_back(pair);
        const auto half = [&](py::ssize_t q) {
            return static_cast<std::uint32_t>(static_cast<std::uint16_t>(factor.at(q)));
        };
        factors.push_back(half(2 * p) | half(2 * p + 1) << 16);
    }
    py::array_t<float> out(width), block(width / kPursuitBlock);
    active_kernels()->pursuit_pairs(start.data(), pairs.data(), factors.data(), count, unit, width, magnitudes,
                                    out.mutable_data(), block.mutable_data());
    return py::make_tuple(out, block);
}

/// (out, block)
py::tuple pursuit_row(const Array<std::int16_t>& row, float factor, const Array<float>& start, bool magnitudes) {
    check_pursuit(start.size(), start.ndim() == 1 && row.ndim() == 1 && row.size() == start.size());
    py::array_t<float> out(start.size(), start.data()), block(start.size() / kPursuitBlock);
    active_kernels()->pursuit_row(row.data(), factor, start.size(), magnitudes, out.mutable_data(),
                                  block.mutable_data());
    return py::make_tuple(out, block);
}

}  // namespace

void register_pursuit(py::module_& module) {
    py::class_<PyDictionary>(module, "Dictionary")
        .def(py::init<const Call&, const std::variant<Array<float>, Array<double>>&, bool, const std::string&>(),
             "context"_a, "atoms"_a.noconvert(), "growable"_a = false, "gram"_a = "auto")
        .def_property_readonly("m", &PyDictionary::m)
        .def("atoms", &PyDictionary::atoms, "context"_a)
        .def("pursue", &PyDictionary::pursue, "context"_a, "X"_a, "steps"_a, "orthogonal"_a = false,
             "positive"_a = false, "repeat"_a = true, "tol"_a = -1.0, "relative"_a = false)
        .def("grow", &PyDictionary::grow, "context"_a, "X"_a, "steps"_a, "orthogonal"_a, "tol"_a, "most"_a)
        .def("adopt", &PyDictionary::adopt, "context"_a, "X"_a, "which"_a.noconvert());
}

void register_pursuit_kernels(py::module_& kernels) {
    kernels.def("pursuit_pairs", &pursuit_pairs, "start"_a.noconvert(), "rows"_a.noconvert(), "factor"_a.noconvert(),
                "unit"_a, "magnitudes"_a);
    kernels.def("pursuit_row", &pursuit_row, "row"_a.noconvert(), "factor"_a, "start"_a.noconvert(), "magnitudes"_a);
}

}  // namespace latom
