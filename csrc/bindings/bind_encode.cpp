// bind_encode.cpp: atoms, top-k and decoding for Python.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "latom/decode.h"
#include "latom/fold.h"
#include "latom/topk.h"
#include "latom/widen.h"

namespace latom {
namespace {

using namespace pybind11::literals;

Similarity parse_similarity(const std::string& function, const std::string& name) {
    if (name == "dot") return Similarity::kDot;
    if (name == "cosine") return Similarity::kCosine;
    if (name == "euclidean") return Similarity::kEuclidean;
    fail(function, "metric must be 'dot', 'cosine' or 'euclidean'", "'" + name + "'", "Pass one of them.");
}

Rank parse_rank(const std::string& function, const std::string& name) {
    if (name == "identity") return Rank::kScore;
    if (name == "relu") return Rank::kAbove;
    if (name == "abs") return Rank::kMagnitude;
    fail(function, "activation must be 'identity', 'relu' or 'abs'", "'" + name + "'", "Pass one of them.");
}

/// An AtomIndex<float> or AtomIndex<double> with the array it reads.
class PyAtomIndex {
public:
    PyAtomIndex(const std::variant<Array<float>, Array<double>>& atoms, const std::optional<Array<double>>& bias,
                const std::string& metric, const std::string& screen, int n_threads, const std::string& function)
        : atoms_(atoms) {
        const Context ctx = make_context(n_threads);
        const Similarity similarity = parse_similarity(function, metric);
        std::visit(
            [&](const auto& array) {
                using T = typename std::decay_t<decltype(array)>::value_type;
                if (array.ndim() != 2) fail(function, "atoms must have two dimensions", array.ndim(), "Reshape them.");
                if (bias && bias->size() != array.shape(0))
                    fail(function, "bias must have one number an atom, " + std::to_string(array.shape(0)), bias->size(),
                         "Check both.");
                const DenseView<T> view{array.data(), array.shape(0), array.shape(1), array.shape(1)};
                const double* b = bias ? bias->data() : nullptr;
                py::gil_scoped_release release;
                index_ = make_atom_index(ctx, view, b, similarity, screen, function);
            },
            atoms);
    }

    void pack(int n_threads, const std::string& function) {
        const Context ctx = make_context(n_threads);
        py::gil_scoped_release release;
        std::visit([&](auto& index) { index->pack(ctx, function); }, index_);
    }

    /// X of the dtype of the atoms, or uint16 with storage "float16" or "bfloat16" where the atoms are float32.
    py::tuple topk(const py::array& X, const std::string& storage, int64_t k, const std::string& activation,
                   int n_threads, const std::string& function) {
        const Context ctx = make_context(n_threads);
        const Rank rank = parse_rank(function, activation);
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = take<T>(X, storage, function);
                const py::ssize_t columns = std::clamp<int64_t>(k, 0, index->m());  // topk refuses another k
                py::array_t<T> score({X.shape(0), columns});
                py::array_t<std::int32_t> best({X.shape(0), columns});
                T* values = score.mutable_data();
                std::int32_t* indices = best.mutable_data();
                TopKStats stats;
                {
                    py::gil_scoped_release release;
                    stats = index->topk(ctx, rows, k, rank, 0, values, indices, nullptr, function);
                }
                return py::make_tuple(score, best, stats.scored, stats.crowded);
            },
            index_);
    }

    /// (indptr, indices, scores) of all atoms that score above the threshold.
    py::tuple above(const py::array& X, const std::string& storage, double threshold, int n_threads,
                    const std::string& function) {
        const Context ctx = make_context(n_threads);
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = take<T>(X, storage, function);
                Matches<T> matches;
                {
                    py::gil_scoped_release release;
                    matches = latom::above(ctx, *index, rows, threshold, function);
                }
                return py::make_tuple(to_array(matches.indptr), to_array(matches.indices), to_array(matches.scores));
            },
            index_);
    }

private:
    template <class T>
    static StoredRows take(const py::array& X, const std::string& storage, const std::string& function) {
        if (X.ndim() != 2 || !(X.flags() & py::array::c_style))
            throw py::type_error(function + ": X must be a C-contiguous array of two dimensions");
        StoredRows rows{X.data(), X.shape(0), X.shape(1), Storage::kNative};
        if (storage == "float16") rows.storage = Storage::kFloat16;
        if (storage == "bfloat16") rows.storage = Storage::kBFloat16;
        const bool half = rows.storage != Storage::kNative;
        if (half ? !(py::isinstance<py::array_t<std::uint16_t>>(X) && sizeof(T) == 4)
                 : !py::isinstance<py::array_t<T>>(X))
            throw py::type_error(function + ": X must have the dtype of the atoms");
        return rows;
    }

    std::variant<Array<float>, Array<double>> atoms_;
    std::variant<std::unique_ptr<AtomIndex<float>>, std::unique_ptr<AtomIndex<double>>> index_;
};

py::array_t<float> py_widen(const Array<std::uint16_t>& half, const std::string& storage, int n_threads,
                            const std::string& function) {
    if (storage != "float16" && storage != "bfloat16")
        fail(function, "storage must be 'float16' or 'bfloat16'", "'" + storage + "'", "Pass one of them.");
    const Context ctx = make_context(n_threads);
    py::array_t<float> out(std::vector<py::ssize_t>(half.shape(), half.shape() + half.ndim()));
    float* numbers = out.mutable_data();
    {
        py::gil_scoped_release release;
        widen(ctx, half.data(), half.size(), storage == "float16" ? Storage::kFloat16 : Storage::kBFloat16, numbers);
    }
    return out;
}

template <class T>
py::array_t<double> py_fold_center(const Array<T>& atoms, const Array<double>& center,
                                   const std::optional<Array<double>>& bias, int n_threads,
                                   const std::string& function) {
    if (atoms.ndim() != 2 || center.size() != atoms.shape(1) || (bias && bias->size() != atoms.shape(0)))
        throw py::value_error(function + ": center must be as long as rows of atoms, bias as there are atoms");
    const Context ctx = make_context(n_threads);
    py::array_t<double> out(atoms.shape(0));
    double* folded = out.mutable_data();
    {
        py::gil_scoped_release release;
        fold_center(ctx, DenseView<T>{atoms.data(), atoms.shape(0), atoms.shape(1), atoms.shape(1)}, center.data(),
                    bias ? bias->data() : nullptr, folded);
    }
    return out;
}

template <class T, class I>
py::array_t<T> py_decode(const Array<std::int64_t>& indptr, const Array<I>& indices, const Array<T>& values,
                         const Array<T>& W_dec, const std::optional<Array<T>>& b_pre, int n_threads,
                         const std::string& function) {
    check_indptr(function, "codes", indptr.data(), indptr.size(), std::min(indices.size(), values.size()));
    if (W_dec.ndim() != 2) fail(function, "W_dec must have two dimensions", W_dec.ndim(), "Reshape it.");
    const DenseView<T> atoms{W_dec.data(), W_dec.shape(0), W_dec.shape(1), W_dec.shape(1)};
    if (b_pre && b_pre->size() != atoms.d)
        fail(function, "b_pre must have one number a column of W_dec, " + std::to_string(atoms.d), b_pre->size(),
             "Check both.");
    const Codes<T, I> codes{indptr.data(), indices.data(), values.data(), indptr.size() - 1};
    const Context ctx = make_context(n_threads);
    py::array_t<T> out({codes.n, atoms.d});
    T* rows = out.mutable_data();
    {
        py::gil_scoped_release release;
        decode(ctx, codes, atoms, b_pre ? b_pre->data() : nullptr, rows, function);
    }
    return out;
}

template <class T>
void define_fold_center(py::module_& module) {
    module.def("fold_center", &py_fold_center<T>, "atoms"_a.noconvert(), "center"_a.noconvert(),
               "bias"_a.noconvert() = py::none(), "n_threads"_a = 0, "function"_a = "fold_center");
}

template <class T, class I>
void define_decode(py::module_& module) {
    module.def("decode", &py_decode<T, I>, "indptr"_a.noconvert(), "indices"_a.noconvert(), "values"_a.noconvert(),
               "W_dec"_a.noconvert(), "b_pre"_a.noconvert() = py::none(), "n_threads"_a = 0, "function"_a = "decode");
}

}  // namespace

void register_encode(py::module_& module) {
    py::class_<PyAtomIndex>(module, "AtomIndex")
        .def(py::init<const std::variant<Array<float>, Array<double>>&, const std::optional<Array<double>>&,
                      const std::string&, const std::string&, int, const std::string&>(),
             "atoms"_a.noconvert(), "bias"_a.noconvert() = py::none(), "metric"_a = "dot", "screen"_a = "auto",
             "n_threads"_a = 0, "function"_a = "AtomIndex")
        .def("pack", &PyAtomIndex::pack, "n_threads"_a = 0, "function"_a = "pack")
        .def("topk", &PyAtomIndex::topk, "X"_a.noconvert(), "storage"_a, "k"_a, "activation"_a = "identity",
             "n_threads"_a = 0, "function"_a = "topk")
        .def("above", &PyAtomIndex::above, "X"_a.noconvert(), "storage"_a, "threshold"_a, "n_threads"_a = 0,
             "function"_a = "above");
    module.def("widen", &py_widen, "half"_a.noconvert(), "storage"_a, "n_threads"_a = 0, "function"_a = "widen");
    define_fold_center<float>(module);
    define_fold_center<double>(module);
    define_decode<float, std::int32_t>(module);
    define_decode<float, std::int64_t>(module);
    define_decode<double, std::int32_t>(module);
    define_decode<double, std::int64_t>(module);
}

}  // namespace latom
