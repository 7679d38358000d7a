// shards.cpp: what rows add to clusters, and the centers that merged parts make.
#include "latom/shards.h"

#include "algorithms/cluster/center_step.h"
#include "algorithms/cluster/cluster_sum.h"
#include "algorithms/cluster/objective.h"
#include "core/grouped.h"
#include "rows/every_view.h"
#include "rows/rows.h"

namespace latom {
namespace {

BinGrid grid_of(double bound) { return BinGrid(bound > 0 ? bound : 1.0); }

struct Change {
    int64_t row;
    double sign;  // 1: it has come; -1: it has gone
};

/// The changes of each cluster j: [begin[j], begin[j + 1]).
std::vector<int64_t> by_cluster(const Context& ctx, const LabelChange& change, int64_t n, int64_t m,
                                std::vector<Change>& changes) {
    return group_items(ctx, n, m, changes, [&](int64_t i, auto put) {
        const int32_t from = change.before ? change.before[i] : -1, to = change.labels[i];
        if (from == to) return;
        if (to >= 0) put(to, Change{i, 1.0});
        if (from >= 0) put(from, Change{i, -1.0});
    });
}

/// add(j, rows, factors, count, worker) of each cluster whose rows change; their weights to weight [m, 3].
template <class View, class Add>
void each_cluster(const Context& ctx, const Rows<View>& rows, const double* weights, const LabelChange& change,
                  int64_t m, Metric metric, const BinGrid& weight_grid, int64_t* weight, Add add) {
    struct Scratch {
        std::vector<int64_t> which;
        std::vector<double> factor;
    };
    std::vector<Change> changes;
    const std::vector<int64_t> begin = by_cluster(ctx, change, rows.n(), m, changes);
    std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, m)));
    parallel_for(ctx, m, [&](int64_t j, int worker) {
        if (begin[j] == begin[j + 1]) return;
        auto& [which, factor] = scratch[worker];
        which.clear();
        factor.clear();
        for (int64_t c = begin[j]; c < begin[j + 1]; ++c) {
            const auto [i, sign] = changes[c];
            const double w = sign * (weights ? weights[i] : 1.0);
            weight_grid.add(w, weight + j * BinGrid::kMostLevels);
            if (w == 0 || !(rows.norm2(i) > 0)) continue;
            which.push_back(i);
            factor.push_back(metric == Metric::kCosine ? w / std::sqrt(rows.norm2(i)) : w);
        }
        add(j, which.data(), factor.data(), static_cast<int64_t>(which.size()), worker);
    });
}

}  // namespace

int sum_levels(const SumBounds& bounds) { return grid_of(bounds.longest).levels(); }

template <class T>
void add_parts(const Context& ctx, const Rows<DenseView<T>>& rows, const double* weights, const LabelChange& change,
               int64_t m, Metric metric, const SumBounds& bounds, int64_t* sum, int64_t* weight) {
    const BinGrid grid = grid_of(bounds.longest);
    each_cluster(ctx, rows, weights, change, m, metric, grid_of(bounds.heaviest), weight,
                 [&](int64_t j, const int64_t* which, const double* factor, int64_t count, int) {
                     add_dense(rows, which, factor, count, grid, sum + j * grid.levels() * rows.d());
                 });
}

template <class View>
ClusterParts cluster_parts(const Context& ctx, const Rows<View>& rows, const double* weights, const LabelChange& change,
                           int64_t m, Metric metric, const SumBounds& bounds) {
    const BinGrid grid = grid_of(bounds.longest);
    const int64_t d = rows.d(), levels = grid.levels();
    ClusterParts out;
    out.levels = grid.levels();
    out.weight.assign(static_cast<std::size_t>(m) * BinGrid::kMostLevels, 0);
    if constexpr (!kIsSparse<View>) {
        out.sum.assign(static_cast<std::size_t>(m * levels * d), 0);
        add_parts(ctx, rows, weights, change, m, metric, bounds, out.sum.data(), out.weight.data());
        return out;
    }
    std::vector<std::vector<int32_t>> column(static_cast<std::size_t>(m));
    std::vector<std::vector<int64_t>> value(column.size());
    std::vector<ClusterSum<View>> sums(static_cast<std::size_t>(workers(ctx, m)));
    each_cluster(ctx, rows, weights, change, m, metric, grid_of(bounds.heaviest), out.weight.data(),
                 [&](int64_t j, const int64_t* which, const double* factor, int64_t count, int worker) {
                     ClusterSum<View>& sum = sums[worker];
                     sum.reset(grid, d);
                     sum.add(rows, which, factor, count);
                     sum.each_integers([&](int64_t t, const int64_t* part, int64_t) {
                         if (std::all_of(part, part + levels, [](int64_t v) { return v == 0; })) return;
                         column[j].push_back(static_cast<int32_t>(t));
                         value[j].insert(value[j].end(), part, part + levels);
                     });
                 });
    out.indptr.push_back(0);
    for (int64_t j = 0; j < m; ++j) {
        out.indices.insert(out.indices.end(), column[j].begin(), column[j].end());
        out.sum.insert(out.sum.end(), value[j].begin(), value[j].end());
        out.indptr.push_back(static_cast<int64_t>(out.indices.size()));
    }
    return out;
}

namespace {

/// put(column, sum of a or null, sum of b or null) for the columns that cluster j has in either, rising.
template <class Put>
void merge_cluster(const PartsView& a, const PartsView& b, int64_t j, int levels, Put put) {
    int64_t p = a.indptr[j], q = b.indptr[j];
    const int64_t p_end = a.indptr[j + 1], q_end = b.indptr[j + 1];
    while (p < p_end || q < q_end) {
        const bool left = p < p_end && (q == q_end || a.indices[p] <= b.indices[q]),
                   right = q < q_end && (p == p_end || b.indices[q] <= a.indices[p]);
        put(left ? a.indices[p] : b.indices[q], left ? a.sum + p * levels : nullptr,
            right ? b.sum + q * levels : nullptr);
        p += left;
        q += right;
    }
}

}  // namespace

ClusterParts merge_parts(const Context& ctx, const PartsView& a, const PartsView& b, int64_t m, int levels,
                         bool minus) {
    const auto value = [minus](const int64_t* own, const int64_t* other, int l) {  // may wrap: any numbers may come
        const auto has = static_cast<std::uint64_t>(own ? own[l] : 0),
                   more = static_cast<std::uint64_t>(other ? other[l] : 0);
        return static_cast<int64_t>(minus ? has - more : has + more);
    };
    const auto stays = [&](const int64_t* own, const int64_t* other) {
        for (int l = 0; l < levels; ++l)
            if (value(own, other, l) != 0) return true;
        return false;
    };
    ClusterParts out;
    out.levels = levels;
    out.indptr.assign(static_cast<std::size_t>(m + 1), 0);
    parallel_for(ctx, m, [&](int64_t j, int) {
        int64_t count = 0;
        merge_cluster(a, b, j, levels,
                      [&](int32_t, const int64_t* own, const int64_t* other) { count += stays(own, other); });
        out.indptr[j + 1] = count;
    });
    for (int64_t j = 0; j < m; ++j) out.indptr[j + 1] += out.indptr[j];
    out.indices.resize(static_cast<std::size_t>(out.indptr[m]));
    out.sum.resize(out.indices.size() * static_cast<std::size_t>(levels));
    parallel_for(ctx, m, [&](int64_t j, int) {
        int64_t at = out.indptr[j];
        merge_cluster(a, b, j, levels, [&](int32_t column, const int64_t* own, const int64_t* other) {
            if (!stays(own, other)) return;
            out.indices[at] = column;
            for (int l = 0; l < levels; ++l) out.sum[at * levels + l] = value(own, other, l);
            ++at;
        });
    });
    return out;
}

template <class View>
Centers<typename View::value_type> next_centers(const Context& ctx, const Rows<View>& centers, const PartsView& parts,
                                                Metric metric, const SumBounds& bounds, UpdateStats& stats) {
    using T = typename View::value_type;
    constexpr bool kSparse = kIsSparse<View>;
    const BinGrid grid = grid_of(bounds.longest), weight_grid = grid_of(bounds.heaviest);
    const int64_t m = centers.n(), d = centers.d(), levels = grid.levels();
    std::vector<Atom<T>> atoms(static_cast<std::size_t>(m));
    std::vector<double> shift(static_cast<std::size_t>(m), 0.0);
    std::vector<AtomScratch<T>> scratch(static_cast<std::size_t>(workers(ctx, m)));
    parallel_for(ctx, m, [&](int64_t j, int worker) {
        Atom<T>& atom = atoms[j];
        centers.each(j, [&](int64_t t, T v) {
            if constexpr (kSparse) atom.column.push_back(static_cast<int32_t>(t));
            atom.value.push_back(v);
        });
        atom.norm2 = self_dot(ctx.kernels, atom);
        std::vector<int32_t> column;
        std::vector<double> sum;
        if constexpr (kSparse) {
            const int64_t from = parts.indptr[j], count = parts.indptr[j + 1] - from;
            sum.resize(static_cast<std::size_t>(count));
            ctx.kernels->binned_values(parts.sum + from * levels, count, 1, grid.unit(), grid.levels(), sum.data());
            std::size_t kept = 0;
            for (int64_t p = 0; p < count; ++p)
                if (sum[p] != 0) {
                    column.push_back(parts.indices[from + p]);
                    sum[kept++] = sum[p];
                }
            sum.resize(kept);
        } else {
            sum.resize(static_cast<std::size_t>(d));
            ctx.kernels->binned_values(parts.sum + j * levels * d, d, d, grid.unit(), grid.levels(), sum.data());
        }
        Atom<T> next;
        const double total = weight_grid.value(parts.weight + j * BinGrid::kMostLevels);
        if (!center_of_sum(ctx.kernels, metric, column, sum, total, kSparse, next)) return;
        shift[j] = measure_move(metric, atom, next, d, scratch[worker]).shift2;
        atom = std::move(next);
    });
    Centers<T> out;
    out.indptr.push_back(0);
    for (int64_t j = 0; j < m; ++j) {
        stats.moved += shift[j] > 0;
        stats.shift += shift[j];
        out.indices.insert(out.indices.end(), atoms[j].column.begin(), atoms[j].column.end());
        out.values.insert(out.values.end(), atoms[j].value.begin(), atoms[j].value.end());
        out.indptr.push_back(static_cast<int64_t>(out.values.size()));
    }
    return out;
}

template <class View>
double sums_objective(const Rows<View>& centers, const PartsView& parts, Metric metric, const SumBounds& bounds,
                      double squares) {
    if constexpr (kIsSparse<View>) {
        return -1;
    } else {
        const int64_t d = centers.d();
        if (!objective_by_sums(d, centers.n())) return -1;
        const BinGrid grid = grid_of(bounds.longest);
        SumsObjective sum(metric, grid, grid_of(bounds.heaviest), squares);
        for (int64_t j = 0; j < centers.n(); ++j) {
            const auto* value = centers.values(j);
            Atom<typename View::value_type> atom{{}, {value, value + d}, centers.norm2(j)};
            sum.add(sum.term(centers.kernels(), atom, parts.sum + j * grid.levels() * d,
                             parts.weight + j * BinGrid::kMostLevels));
        }
        return sum.value();
    }
}

#define LATOM_INSTANTIATE(View)                                                                                        \
    template ClusterParts cluster_parts(const Context&, const Rows<View>&, const double*, const LabelChange&, int64_t, \
                                        Metric, const SumBounds&);                                                     \
    template Centers<View::value_type> next_centers(const Context&, const Rows<View>&, const PartsView&, Metric,       \
                                                    const SumBounds&, UpdateStats&);                                   \
    template double sums_objective(const Rows<View>&, const PartsView&, Metric, const SumBounds&, double);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

template void add_parts(const Context&, const Rows<DenseView<float>>&, const double*, const LabelChange&, int64_t,
                        Metric, const SumBounds&, int64_t*, int64_t*);
template void add_parts(const Context&, const Rows<DenseView<double>>&, const double*, const LabelChange&, int64_t,
                        Metric, const SumBounds&, int64_t*, int64_t*);

}  // namespace latom
