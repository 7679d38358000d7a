// bind_neighbors.cpp: searches of sparse and dense documents for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/neighbors.h"

namespace latom {
namespace {

using namespace pybind11::literals;

Similarity similarity_named(const Context& ctx, const std::string& name) {
    if (name == "dot") return Similarity::kDot;
    if (name == "cosine") return Similarity::kCosine;
    if (name == "euclidean") return Similarity::kEuclidean;
    fail(ctx, "metric must be 'dot', 'cosine' or 'euclidean'", "'" + name + "'", "Use 'dot' for plain products.");
}

template <class View>
QueryRows<typename View::value_type> queries_of(const Rows<View>& rows) {
    using T = typename View::value_type;
    return {rows.n(), rows.d(), [&rows](int64_t i, QueryTerms<T>& out) {
                out.column.clear();
                out.value.clear();
                out.norm2 = rows.norm2(i);
                rows.each(i, [&](int64_t t, T v) {
                    if (v == 0) return;
                    out.column.push_back(static_cast<int32_t>(t));
                    out.value.push_back(v);
                });
            }};
}

class PyDocumentSearch {
public:
    PyDocumentSearch(const Call& call, py::object documents, const std::string& metric)
        : documents_(std::move(documents)) {
        const Context ctx = call.context();
        const Similarity similarity = similarity_named(ctx, metric);
        const auto& rows = documents_.cast<const PyRows&>();
        if (rows.n() >= std::numeric_limits<int32_t>::max())
            fail(ctx, "the indexed rows must be fewer than 2^31 - 1", rows.n(), "Split them.");
        const Released released;
        rows.visit(ctx, [&](const auto& measured) { search_ = make_document_search(ctx, measured, similarity); });
    }

    int64_t bytes() const {
        return std::visit([](const auto& search) { return search->bytes(); }, search_);
    }

    py::tuple topk(const Call& call, const PyRows& X, int64_t k, double threshold,
                   const std::optional<Array<std::uint8_t>>& allowed, const std::optional<Array<int64_t>>& without,
                   bool prune, int64_t together_from, int64_t tile_bytes) const {
        const Context ctx = call.context();
        return visit(ctx, X, allowed, without, [&](const auto& search, const auto& queries, const Eligible& eligible) {
            using T = typename std::decay_t<decltype(search)>::value_type;
            const py::ssize_t columns = std::clamp<int64_t>(k, 0, search.n());
            const py::ssize_t n = queries.n;
            py::array_t<T> score({n, columns});
            py::array_t<std::int32_t> index({n, columns});
            py::array_t<int64_t> found(n);
            T* scores = score.mutable_data();
            std::int32_t* indices = index.mutable_data();
            int64_t* counts = found.mutable_data();
            SearchStats stats;
            {
                const Released released;
                stats = search.topk(ctx, queries, k, threshold, eligible, {prune, together_from, tile_bytes}, scores,
                                    indices, counts);
            }
            const py::dict told("postings"_a = stats.postings, "decided"_a = stats.decided,
                                "exhausted"_a = stats.exhausted, "sifted"_a = stats.sifted);
            return py::make_tuple(score, index, found, told);
        });
    }

    py::tuple above(const Call& call, const PyRows& X, const Array<double>& threshold,
                    const std::optional<Array<std::uint8_t>>& allowed, const std::optional<Array<int64_t>>& without,
                    bool prune, int64_t together_from, int64_t tile_bytes) const {
        const Context ctx = call.context();
        if (threshold.size() < 1) fail(ctx, "threshold must be a number or one per row", "none", "Pass one number.");
        if (threshold.size() != 1) check_shape(ctx, "threshold", threshold, {static_cast<py::ssize_t>(X.n())});
        const Thresholds thresholds{threshold.data()[0], threshold.size() == 1 ? nullptr : threshold.data()};
        return visit(ctx, X, allowed, without, [&](const auto& search, const auto& queries, const Eligible& eligible) {
            using T = typename std::decay_t<decltype(search)>::value_type;
            Matches<T> matches;
            {
                const Released released;
                matches = search.above(ctx, queries, thresholds, eligible, {prune, together_from, tile_bytes});
            }
            return py::make_tuple(to_array(std::move(matches.indptr)), to_array(std::move(matches.indices)),
                                  to_array(std::move(matches.scores)));
        });
    }

private:
    template <class F>
    py::tuple visit(const Context& ctx, const PyRows& X, const std::optional<Array<std::uint8_t>>& allowed,
                    const std::optional<Array<int64_t>>& without, F f) const {
        return std::visit(
            [&](const auto& search) -> py::tuple {
                using T = typename std::decay_t<decltype(*search)>::value_type;
                if (allowed) check_shape(ctx, "allowed", *allowed, {static_cast<py::ssize_t>(search->n())});
                if (without) check_shape(ctx, "without", *without, {static_cast<py::ssize_t>(X.n())});
                const Eligible eligible{allowed ? allowed->data() : nullptr, without ? without->data() : nullptr};
                QueryRows<T> queries;
                {
                    const Released released;
                    X.visit(ctx, [&](const auto& rows) {
                        if constexpr (std::is_same_v<typename std::decay_t<decltype(rows)>::T, T>)
                            queries = queries_of(rows);
                    });
                }
                if (!queries.read)
                    fail(ctx, "X must be of the type of the indexed rows", "another", "Convert one of them.");
                return f(*search, queries, eligible);
            },
            search_);
    }

    py::object documents_;  // keeps what the search reads
    std::variant<std::unique_ptr<DocumentSearch<float>>, std::unique_ptr<DocumentSearch<double>>> search_;
};

}  // namespace

void register_neighbors(py::module_& module) {
    py::class_<PyDocumentSearch>(module, "DocumentSearch")
        .def(py::init<const Call&, py::object, const std::string&>(), "context"_a, "documents"_a, "metric"_a)
        .def_property_readonly("bytes", &PyDocumentSearch::bytes)
        .def("topk", &PyDocumentSearch::topk, "context"_a, "X"_a, "k"_a, py::kw_only(), "threshold"_a = -HUGE_VAL,
             "allowed"_a.noconvert() = py::none(), "without"_a.noconvert() = py::none(), "prune"_a = true,
             "together_from"_a = Bounds().together_from, "tile_bytes"_a = Bounds().tile_bytes)
        .def("above", &PyDocumentSearch::above, "context"_a, "X"_a, "threshold"_a.noconvert(), py::kw_only(),
             "allowed"_a.noconvert() = py::none(), "without"_a.noconvert() = py::none(), "prune"_a = true,
             "together_from"_a = Bounds().together_from, "tile_bytes"_a = Bounds().tile_bytes);
}

}  // namespace latom
