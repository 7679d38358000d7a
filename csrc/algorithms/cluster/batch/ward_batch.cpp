// ward_batch.cpp: one dendrogram per problem, cut into clusters.
#include <algorithm>

#include "algorithms/cluster/batch/ward_tree.h"
#include "latom/batch.h"
#include "rows/row_reader.h"

namespace latom {
namespace {

/// What a worker reuses from problem to problem.
template <class T>
struct WardScratch {
    std::vector<int64_t> which;
    typename RowReader<T>::Block block;
    WardTree<T> tree;
    Forest forest;
    std::vector<int64_t> number, size;
};

/// scipy's linkage matrix [n - 1, 4]: the two clusters by rising number, height, rows.
template <class T>
void write_linkage(const std::vector<Merge>& merges, int64_t n, WardScratch<T>& s, double* out) {
    s.forest.reset(n);
    s.number.resize(static_cast<std::size_t>(n));
    std::iota(s.number.begin(), s.number.end(), int64_t{0});
    s.size.assign(static_cast<std::size_t>(n), 1);
    for (std::size_t t = 0; t < merges.size(); ++t, out += 4) {
        const int64_t a = s.forest.root(merges[t].gone), b = s.forest.root(merges[t].into);
        const int64_t rows = s.size[a] + s.size[b], root = s.forest.join(a, b);
        out[0] = static_cast<double>(std::min(s.number[a], s.number[b]));
        out[1] = static_cast<double>(std::max(s.number[a], s.number[b]));
        out[2] = std::sqrt(merges[t].height2);
        out[3] = static_cast<double>(rows);
        s.number[root] = n + static_cast<int64_t>(t);
        s.size[root] = rows;
    }
}

}  // namespace

template <class T>
void ward_batch(const Context& ctx, const StoredRows& X, const int64_t* offsets, int64_t count, Metric metric,
                const WardCut& cut, int32_t* labels, int64_t* found, double* merges) {
    const RowReader<T> reader(ctx.kernels, X);
    std::vector<int64_t> first(static_cast<std::size_t>(count), 0);  // merge of each problem
    for (int64_t b = 1; b < count; ++b) first[b] = first[b - 1] + std::max<int64_t>(offsets[b] - offsets[b - 1] - 1, 0);
    std::vector<WardScratch<T>> scratch(static_cast<std::size_t>(workers(ctx, count)));
    parallel_for(ctx, count, [&](int64_t b, int worker) {
        WardScratch<T>& s = scratch[worker];
        const int64_t from = offsets[b], n = offsets[b + 1] - from;
        found[b] = 0;
        if (n == 0) return;
        s.which.resize(static_cast<std::size_t>(n));
        std::iota(s.which.begin(), s.which.end(), from);
        reader.read(s.which, s.block);
        if (!reader.sound()) return;
        const auto& tree = s.tree.grow(ctx.kernels, s.block.row[0], s.block.norm2.data(), n, X.d, metric,
                                       cut.one_minus_cosine, nullptr);
        int64_t made = 0;
        if (cut.clusters) made = n - std::clamp<int64_t>(cut.clusters[b], 1, n);
        else
            while (made < n - 1 && std::sqrt(tree[made].height2) <= cut.height) ++made;
        found[b] = label_merged(tree, made, n, s.forest, labels + from);
        if (merges) write_linkage(tree, n, s, merges + 4 * first[b]);
    });
    reader.check(ctx);
}

template void ward_batch<float>(const Context&, const StoredRows&, const int64_t*, int64_t, Metric, const WardCut&,
                                int32_t*, int64_t*, double*);
template void ward_batch<double>(const Context&, const StoredRows&, const int64_t*, int64_t, Metric, const WardCut&,
                                 int32_t*, int64_t*, double*);

}  // namespace latom
