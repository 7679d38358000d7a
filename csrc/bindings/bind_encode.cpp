// bind_encode.cpp: atoms, top-k and decoding for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/encode.h"

namespace latom {
namespace {

using namespace pybind11::literals;

Similarity parse_similarity(const Context& ctx, const std::string& name) {
    if (name == "dot") return Similarity::kDot;
    if (name == "cosine") return Similarity::kCosine;
    if (name == "euclidean") return Similarity::kEuclidean;
    fail(ctx, "metric must be 'dot', 'cosine' or 'euclidean'", "'" + name + "'", "Use 'dot' for plain products.");
}

Rank parse_rank(const Context& ctx, const std::string& name) {
    if (name == "identity") return Rank::kScore;
    if (name == "relu") return Rank::kAbove;
    if (name == "abs") return Rank::kMagnitude;
    fail(ctx, "activation must be 'identity', 'relu' or 'abs'", "'" + name + "'", "Use 'identity' for plain scores.");
}

/// An AtomIndex<float> or AtomIndex<double> with the array it reads.
class PyAtomIndex {
public:
    PyAtomIndex(const Call& call, const std::variant<Array<float>, Array<double>>& atoms,
                const std::optional<Array<double>>& bias, const std::string& metric, const std::string& screen,
                const std::string& pairs)
        : atoms_(atoms) {
        const Context ctx = call.context();
        const Similarity similarity = parse_similarity(ctx, metric);
        std::visit(
            [&](const auto& array) {
                const auto view = view_of(ctx, array, "atoms");
                if (bias) check_shape(ctx, "bias", *bias, {static_cast<py::ssize_t>(view.n)});
                const double* b = bias ? bias->data() : nullptr;
                const Released released;
                index_ = make_atom_index(ctx, view, b, similarity, screen, pairs);
            },
            atoms);
    }

    void pack(const Call& call) {
        const Context ctx = call.context();
        const Released released;
        std::visit([&](auto& index) { index->pack(ctx); }, index_);
    }

    /// X of the dtype of the atoms, or in half precision where the atoms are float32.
    py::tuple topk(const Call& call, const PyRows& X, int64_t k, const std::string& activation) {
        const Context ctx = call.context();
        const Rank rank = parse_rank(ctx, activation);
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                const py::ssize_t columns = std::clamp<int64_t>(k, 0, index->m());  // topk refuses another k
                py::array_t<T> score({static_cast<py::ssize_t>(rows.n), columns});
                py::array_t<std::int32_t> best({static_cast<py::ssize_t>(rows.n), columns});
                T* values = score.mutable_data();
                std::int32_t* indices = best.mutable_data();
                TopKStats stats;
                {
                    const Released released;
                    stats = index->topk(ctx, rows, k, rank, {}, values, indices, nullptr);
                }
                return py::make_tuple(score, best, stats.scored, stats.overflowed);
            },
            index_);
    }

    /// (scores, indices) of the k best by score of the atoms that a row does not leave out: indices that rise.
    py::tuple topk_without(const Call& call, const PyRows& X, int64_t k, const Array<std::int64_t>& indptr,
                           const Array<std::int32_t>& indices) {
        const Context ctx = call.context();
        check_indptr(ctx, "without", indptr.data(), indptr.size(), indices.size(), X.n());
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                check_indices(ctx, "without", indices.data(), indices.size(), index->m());
                const py::ssize_t columns = std::clamp<int64_t>(k, 0, index->m());  // topk refuses another k
                py::array_t<T> score({static_cast<py::ssize_t>(rows.n), columns});
                py::array_t<std::int32_t> best({static_cast<py::ssize_t>(rows.n), columns});
                T* values = score.mutable_data();
                std::int32_t* found = best.mutable_data();
                {
                    const Released released;
                    index->topk_without(ctx, rows, k, {indptr.data(), indices.data(), rows.n}, values, found);
                }
                return py::make_tuple(score, best);
            },
            index_);
    }

    /// (labels, float64 scores): the best atom of each row; no scores where they are not asked for.
    py::tuple nearest(const Call& call, const PyRows& X, bool scored) {
        const Context ctx = call.context();
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                py::array_t<std::int32_t> label(rows.n);
                py::array_t<double> score(scored ? rows.n : 0);
                std::int32_t* labels = label.mutable_data();
                double* scores = scored ? score.mutable_data() : nullptr;
                {
                    const Released released;
                    index->nearest(ctx, rows, scores, labels);
                }
                return py::make_tuple(label, score);
            },
            index_);
    }

    /// (indptr, indices, scores) of all atoms that score above the threshold: one number, or one per row.
    py::tuple above(const Call& call, const PyRows& X, const Array<double>& threshold) {
        const Context ctx = call.context();
        if (threshold.size() < 1) fail(ctx, "threshold must be a number or one per row", "none", "Pass one number.");
        if (threshold.size() != 1) check_shape(ctx, "threshold", threshold, {static_cast<py::ssize_t>(X.n())});
        const Thresholds thresholds{threshold.data()[0], threshold.size() == 1 ? nullptr : threshold.data()};
        return std::visit(
            [&](auto& index) -> py::tuple {
                using T = typename std::decay_t<decltype(*index)>::value_type;
                const StoredRows rows = X.stored<T>(ctx);
                Matches<T> matches;
                {
                    const Released released;
                    matches = latom::above(ctx, *index, rows, thresholds);
                }
                return py::make_tuple(to_array(matches.indptr), to_array(matches.indices), to_array(matches.scores));
            },
            index_);
    }

private:
    std::variant<Array<float>, Array<double>> atoms_;
    std::variant<std::unique_ptr<AtomIndex<float>>, std::unique_ptr<AtomIndex<double>>> index_;
};

template <class T>
py::array_t<double> py_fold_center(const Call& call, const Array<T>& atoms, const Array<double>& center,
                                   const std::optional<Array<double>>& bias) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, atoms, "atoms");
    check_shape(ctx, "center", center, {static_cast<py::ssize_t>(view.d)});
    if (bias) check_shape(ctx, "bias", *bias, {static_cast<py::ssize_t>(view.n)});
    py::array_t<double> out(view.n);
    double* folded = out.mutable_data();
    {
        const Released released;
        fold_center(ctx, view, center.data(), bias ? bias->data() : nullptr, folded);
    }
    return out;
}

template <class T, class I>
py::array_t<T> py_decode(const Call& call, std::int64_t n, const Array<std::int64_t>& indptr, const Array<I>& indices,
                         const Array<T>& values, const Array<T>& W_dec, const std::optional<Array<T>>& b_pre) {
    const Context ctx = call.context();
    check_indptr(ctx, "codes", indptr.data(), indptr.size(), std::min(indices.size(), values.size()), n);
    const DenseView<T> atoms = view_of(ctx, W_dec, "W_dec");
    if (b_pre) check_shape(ctx, "b_pre", *b_pre, {static_cast<py::ssize_t>(atoms.d)});
    const Codes<T, I> codes{indptr.data(), indices.data(), values.data(), n};
    py::array_t<T> out({codes.n, atoms.d});
    T* rows = out.mutable_data();
    {
        const Released released;
        decode(ctx, codes, atoms, b_pre ? b_pre->data() : nullptr, rows);
    }
    return out;
}

template <class T>
void define_fold_center(py::module_& module) {
    module.def("fold_center", &py_fold_center<T>, "context"_a, "atoms"_a.noconvert(), "center"_a.noconvert(),
               "bias"_a.noconvert() = py::none());
}

template <class T, class I>
void define_decode(py::module_& module) {
    module.def("decode", &py_decode<T, I>, "context"_a, "n"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(),
               "values"_a.noconvert(), "W_dec"_a.noconvert(), "b_pre"_a.noconvert() = py::none());
}

}  // namespace

void register_encode(py::module_& module) {
    py::class_<PyAtomIndex>(module, "AtomIndex")
        .def(
            py::init<const Call&, const std::variant<Array<float>, Array<double>>&, const std::optional<Array<double>>&,
                     const std::string&, const std::string&, const std::string&>(),
            "context"_a, "atoms"_a.noconvert(), "bias"_a.noconvert() = py::none(), "metric"_a = "dot",
            "screen"_a = "auto", "pairs"_a = "auto")
        .def("pack", &PyAtomIndex::pack, "context"_a)
        .def("topk", &PyAtomIndex::topk, "context"_a, "X"_a, "k"_a, "activation"_a = "identity")
        .def("topk_without", &PyAtomIndex::topk_without, "context"_a, "X"_a, "k"_a, "indptr"_a.noconvert(),
             "indices"_a.noconvert())
        .def("nearest", &PyAtomIndex::nearest, "context"_a, "X"_a, "scores"_a = true)
        .def("above", &PyAtomIndex::above, "context"_a, "X"_a, "threshold"_a.noconvert());
    define_fold_center<float>(module);
    define_fold_center<double>(module);
    define_decode<float, std::int32_t>(module);
    define_decode<float, std::int64_t>(module);
    define_decode<double, std::int32_t>(module);
    define_decode<double, std::int64_t>(module);
}

}  // namespace latom
