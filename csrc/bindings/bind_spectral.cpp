// bind_spectral.cpp: singular vectors, powers of graphs, replicates.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "engines/gather/gather_rows.h"
#include "engines/gather/transposed_product.h"
#include "engines/small_solve/small_solve.h"
#include "latom/factorize.h"
#include "latom/spectral.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// Prepared CSR.
template <class T, class I>
class CsrMap final : public LinearMap<T> {
public:
    CsrMap(const Context& ctx, const Rows<CsrView<T, I>>& X, const Transposed<T>& turned)
        : LinearMap<T>(X.n(), X.d()), ctx_(ctx), X_(X), turned_(turned) {}
    void times(const DenseView<T>& F, T* out) const override { multiply(ctx_, X_, F, out); }
    void transposed_times(const DenseView<T>& W, T* out) const override { multiply_transposed(ctx_, turned_, W, out); }

private:
    const Context& ctx_;
    const Rows<CsrView<T, I>>& X_;
    const Transposed<T>& turned_;
};

/// A Python object with times(F) and transposed_times(W): dense products are those of numpy's BLAS.
template <class T>
class PythonMap final : public LinearMap<T> {
public:
    PythonMap(const Context& ctx, const py::object& products, int64_t n, int64_t d)
        : LinearMap<T>(n, d), ctx_(ctx), products_(products) {}
    void times(const DenseView<T>& F, T* out) const override { call("times", F, this->n, out); }
    void transposed_times(const DenseView<T>& W, T* out) const override { call("transposed_times", W, this->d, out); }

private:
    void call(const char* method, const DenseView<T>& factor, int64_t rows, T* out) const {
        const Retaken lock;
        const py::capsule borrowed(factor.data, [](void*) {});
        const py::array_t<T> view({factor.n, factor.d}, factor.data, borrowed);
        const auto made = py::cast<Array<T>>(products_.attr(method)(view));
        check_shape(ctx_, method, made, {static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(factor.d)});
        std::copy_n(made.data(), made.size(), out);
    }

    const Context& ctx_;
    const py::object& products_;
};

template <class T>
struct Triplets {
    Triplets(int64_t n, int64_t d, int64_t k) : U({n, k}), V({d, k}), S(static_cast<py::ssize_t>(k)) {}
    py::array_t<T> U, V;
    py::array_t<double> S;
    py::tuple tuple() const { return py::make_tuple(U, S, V); }
};

void check_svd(const Context& ctx, int64_t n, int64_t d, const SvdOptions& options) {
    if (options.k < 1 || options.k > std::min(n, d) || options.oversamples < 0)
        fail(ctx, "n_components must be in [1, " + std::to_string(std::min(n, d)) + "]", options.k,
             "Ask for no more than X has rows and columns.");
}

std::function<void(int64_t)> teller(const py::object& say) {
    if (say.is_none()) return {};
    return [&say](int64_t done) {
        const Retaken lock;
        say(done);
    };
}

template <class T>
py::tuple svd_of(const Context& ctx, const LinearMap<T>& X, const SvdOptions& options, const py::object& start,
                 Triplets<T>& out) {
    const T* numbers = nullptr;
    if (!start.is_none()) {
        if (!is_array<Array<T>>(start)) throw py::type_error(ctx.function + ": start must have the dtype of X");
        const auto given = py::reinterpret_borrow<Array<T>>(start);
        const auto columns = static_cast<py::ssize_t>(std::min(options.k + options.oversamples, std::min(X.n, X.d)));
        check_shape(ctx, "start", given, {static_cast<py::ssize_t>(X.d), columns});
        numbers = given.data();
    }
    T *U = out.U.mutable_data(), *V = out.V.mutable_data();
    double* S = out.S.mutable_data();
    {
        const Released released;
        randomized_svd(ctx, X, options, numbers, U, S, V);
    }
    return out.tuple();
}

/// (U, S, V) of prepared CSR.
py::tuple py_randomized_svd(const Call& call, const PyRows& X, int64_t k, int64_t oversamples, int64_t iterations,
                            const py::object& say, const py::object& start) {
    const Context ctx = call.context();
    const SvdOptions options{k, oversamples, iterations, teller(say)};
    check_svd(ctx, X.n(), X.d(), options);
    if (!X.sparse()) throw py::type_error(ctx.function + ": X must be CSR here");
    return std::visit(
        [&](const auto& rows) -> py::tuple {
            using Prepared = std::decay_t<decltype(rows)>;
            if constexpr (requires { requires Prepared::sparse; }) {
                using T = typename Prepared::T;
                using I = std::remove_cv_t<std::remove_pointer_t<decltype(rows.columns(0))>>;
                if (!rows.whole()) fail(ctx, "X must be whole", "a subset of rows", "Prepare the rows as a matrix.");
                Triplets<T> out(X.n(), X.d(), k);
                const Transposed<T>* turned;
                {
                    const Released released;
                    turned = &X.transposed<T>(ctx);
                }
                return svd_of(ctx, CsrMap<T, I>(ctx, rows, *turned), options, start, out);
            } else {
                throw py::type_error(ctx.function + ": X must be CSR here");
            }
        },
        [&]() -> const AnyRows& {
            const Released released;
            return X.rows(ctx);
        }());
}

/// (U, S, V) of what a Python object multiplies with.
py::tuple py_randomized_svd_of(const Call& call, const py::object& products, int64_t n, int64_t d, bool wide, int64_t k,
                               int64_t oversamples, int64_t iterations, const py::object& say,
                               const py::object& start) {
    const Context ctx = call.context();
    const SvdOptions options{k, oversamples, iterations, teller(say)};
    check_svd(ctx, n, d, options);
    const auto run = [&]<class T>(T) {
        Triplets<T> out(n, d, k);
        return svd_of(ctx, PythonMap<T>(ctx, products, n, d), options, start, out);
    };
    return wide ? run(double{}) : run(float{});
}

/// Y is changed in place; returns R.
template <class T>
py::array_t<double> py_orthonormalize(const Call& call, Array<T>& Y, int passes) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, Y, "Y");
    if (view.d % whole_lines<T>(1) != 0) fail(ctx, "Y must have whole lines of columns", view.d, "Pad it with zeros.");
    py::array_t<double> R({view.d, view.d});
    double* factor = R.mutable_data();
    T* numbers = Y.mutable_data();
    {
        const Released released;
        orthonormalize(ctx, view.n, view.d, numbers, passes, factor);
    }
    return R;
}

/// (embedding, means, scales), these of its columns before they are standardized: 0 and 1 where they are not.
py::object py_projected_powers(const Call& call, const PyRows& A, int64_t width, double density,
                               const OptionalWeights& factor, const std::vector<double>& weights, bool transition,
                               bool normalize, bool concatenate, bool from_start, bool standardize) {
    const Context ctx = call.context();
    if (A.n() != A.d())
        fail(ctx, "A must be square", std::to_string(A.n()) + " x " + std::to_string(A.d()), "Pass an adjacency.");
    if (width < 1 || weights.empty()) fail(ctx, "width must be positive", width, "Ask for a column.");
    const RandomProjection R{width, density, weights_of(ctx, factor, A.n())};
    const int64_t columns = width * (concatenate ? static_cast<int64_t>(weights.size()) : 1);
    py::array_t<double> mean(static_cast<py::ssize_t>(columns)), scale(static_cast<py::ssize_t>(columns));
    std::fill_n(mean.mutable_data(), columns, 0.0);
    std::fill_n(scale.mutable_data(), columns, 1.0);
    const PowerOptions options{weights,
                               transition,
                               normalize,
                               concatenate,
                               from_start,
                               standardize ? mean.mutable_data() : nullptr,
                               standardize ? scale.mutable_data() : nullptr};
    const AnyRows& any = [&]() -> const AnyRows& {
        const Released released;
        return A.rows(ctx);
    }();
    return std::visit(
        [&](const auto& rows) -> py::object {
            using Prepared = std::decay_t<decltype(rows)>;
            if constexpr (requires { requires Prepared::sparse; }) {
                if (!rows.whole()) fail(ctx, "A must be whole", "a subset of rows", "Prepare the rows as a matrix.");
                py::array_t<typename Prepared::T> out({A.n(), columns});
                auto* numbers = out.mutable_data();
                {
                    const Released released;
                    projected_powers(ctx, rows, R, options, numbers);
                }
                return py::make_tuple(out, mean, scale);
            } else {
                throw py::type_error(ctx.function + ": A must be CSR");
            }
        },
        any);
}

/// (losses, iterations, list of H). H [sum of k, d], where it is given: what each starts from, one below the other.
py::tuple py_factorize_replicates(const Call& call, const PyRows& X, const std::vector<int64_t>& k,
                                  const std::vector<int64_t>& stream, const std::vector<int64_t>& start, double noise,
                                  double tol, double mean, int64_t max_iter, int64_t sweeps, double inner_tol,
                                  const py::object& H) {
    const Context ctx = call.context();
    if (k.size() != stream.size()) fail(ctx, "stream must have one for each replicate", stream.size(), "Pass as many.");
    if (k.size() != start.size()) fail(ctx, "start must have one for each replicate", start.size(), "Pass as many.");
    int64_t together = 0;
    for (const int64_t own : k) {
        if (own < 1) fail(ctx, "k must be positive", own, "Ask for a component.");
        together += own;
    }
    const Replicates all{k, stream, start, !H.is_none(), noise, tol, mean, max_iter};
    const AnyRows& any = [&]() -> const AnyRows& {
        const Released released;
        return X.rows(ctx);
    }();
    const auto run = [&](const auto& rows) -> py::tuple {
        using Prepared = std::decay_t<decltype(rows)>;
        if constexpr (std::is_same_v<Prepared, std::monostate>) {
            throw std::logic_error("PyRows: not measured");
        } else {
            using T = typename Prepared::T;
            if (!rows.whole()) fail(ctx, "X must be whole", "a subset of rows", "Prepare the rows as a matrix.");
            const T* from = nullptr;
            if (all.given) {
                if (!is_array<Array<T>>(H)) throw py::type_error("H must be an array of X's type, C-contiguous");
                const auto first = py::reinterpret_borrow<Array<T>>(H);
                check_shape(ctx, "H", first, {together, X.d()});
                from = first.data();
            }
            std::vector<ReplicateResult<T>> out(k.size());
            py::list found;
            for (std::size_t r = 0; r < k.size(); ++r) {
                py::array_t<T> own({k[r], X.d()});
                out[r].H = own.mutable_data();
                if (all.given) {
                    std::copy_n(from, own.size(), out[r].H);
                    from += own.size();
                }
                found.append(own);
            }
            {
                const Released released;
                factorize_replicates(ctx, rows, all, {0, sweeps, inner_tol}, out);
            }
            std::vector<double> loss;
            std::vector<int64_t> n_iter;
            for (const auto& one : out) {
                loss.push_back(one.loss);
                n_iter.push_back(one.n_iter);
            }
            return py::make_tuple(to_array(loss), to_array(n_iter), found);
        }
    };
    return std::visit(run, any);
}

/// W [n, k] for CSR X, weights of its entries and F [d, k].
template <class T>
py::array_t<T> py_weighted_rows(const Call& call, const PyRows& X, const Array<T>& weights, const Array<T>& F,
                                double l2) {
    const Context ctx = call.context();
    const DenseView<T> factor = view_of(ctx, F, "F");
    check_shape(ctx, "F", F, {static_cast<py::ssize_t>(X.d()), static_cast<py::ssize_t>(factor.d)});
    py::array_t<T> out({X.n(), factor.d});
    T* numbers = out.mutable_data();
    const auto run = [&](const auto& rows) {
        using Prepared = std::decay_t<decltype(rows)>;
        if constexpr (requires { requires Prepared::sparse && std::is_same_v<typename Prepared::T, T>; }) {
            if (weights.size() != rows.view().nnz() || !rows.whole())
                fail(ctx, "weights must have one for each stored entry", weights.size(), "Pass as many.");
            weighted_rows(ctx, rows.view(), weights.data(), factor, l2, numbers);
        } else {
            throw std::invalid_argument(ctx.function + ": factors must have the dtype of X, which must be CSR");
        }
    };
    {
        const Released released;
        std::visit(run, X.rows(ctx));
    }
    return out;
}

template <class T>
void define(py::module_& module) {
    module.def("orthonormalize", &py_orthonormalize<T>, "context"_a, "Y"_a.noconvert(), "passes"_a = 2);
    module.def("weighted_rows", &py_weighted_rows<T>, "context"_a, "X"_a, "weights"_a.noconvert(), "F"_a.noconvert(),
               "l2"_a);
}

}  // namespace

void register_spectral(py::module_& module) {
    define<float>(module);
    define<double>(module);
    module.def("randomized_svd", &py_randomized_svd, "context"_a, "X"_a, "k"_a, "oversamples"_a, "iterations"_a,
               "say"_a = py::none(), "start"_a = py::none());
    module.def("randomized_svd_of", &py_randomized_svd_of, "context"_a, "products"_a, "n"_a, "d"_a, "wide"_a, "k"_a,
               "oversamples"_a, "iterations"_a, "say"_a = py::none(), "start"_a = py::none());
    module.def("projected_powers", &py_projected_powers, "context"_a, "A"_a, "width"_a, "density"_a, "factor"_a,
               "weights"_a, "transition"_a, "normalize"_a, "concatenate"_a, "from_start"_a, "standardize"_a);
    module.def("factorize_replicates", &py_factorize_replicates, "context"_a, "X"_a, "k"_a, "stream"_a, "start"_a,
               "noise"_a, "tol"_a, "mean"_a, "max_iter"_a, "sweeps"_a, "inner_tol"_a, "H"_a = py::none());
}

}  // namespace latom
