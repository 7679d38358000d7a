// distances.cpp: products of blocks of rows with tiles of centers, and what follows from them while the cache has them.
#include "latom/distances.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/buffer.h"
#include "core/parallel.h"
#include "rows/atom.h"
#include "rows/every_view.h"
#include "rows/rows.h"

namespace latom {
namespace {

// Squared lengths with which products of float32 stay away from the ends of its range.
bool moderate(double norm2) { return norm2 == 0 || (norm2 > 0x1p-80 && norm2 < 0x1p80); }

constexpr int64_t kWidth = 48;                   // centers of a tile: whole lines, and slabs of kernels/dot.inl.h
constexpr double kMostKept = int64_t{1} << 30;   // bytes of tiles
constexpr double kFar = 1.0 / 16, kNear = 1e-6;  // of the squared lengths (latom/distances.h)

template <class T>
class Tiles final : public CenterDistances<T> {
public:
    template <class View>
    Tiles(const Context& ctx, const Rows<View>& centers, Metric metric);

    int64_t m() const override { return static_cast<int64_t>(atoms_.size()); }
    void run(const Context& ctx, const Rows<DenseView<T>>& X, T* out) const override { fill(ctx, X, out); }
    void run(const Context& ctx, const Rows<CsrView<T, int32_t>>& X, T* out) const override { fill(ctx, X, out); }
    void run(const Context& ctx, const Rows<CsrView<T, int64_t>>& X, T* out) const override { fill(ctx, X, out); }

private:
    struct Scratch {
        AlignedVector<T> cells, products;
        AlignedVector<double> row;  // [kWidth]: products of one row, then squares
        std::vector<double> apart;
        double largest = 0;
    };

    int64_t tiles() const { return chunk_count(m(), kWidth); }
    int64_t width(int64_t tile) const { return std::min(kWidth, whole_lines<T>(m() - tile * kWidth)); }
    void pack(int64_t tile, T* out) const;
    template <class View>
    void fill(const Context& ctx, const Rows<View>& X, T* out) const;
    template <class View>
    void block(const Rows<View>& X, int64_t from, int64_t to, int64_t tile, const T* cells, Scratch& s, T* out) const;
    template <class View>
    void again(const Rows<View>& X, int64_t i, int64_t first, double near, Scratch& s) const;

    int64_t d_;
    Metric metric_;
    bool safe_ = true;  // float32 products neither overflow nor lose what counts
    std::vector<Atom<T>> atoms_;
    std::vector<double> norm2_, inverse_;  // [m]
    AlignedVector<T> tiles_;               // [tiles][d][width], or empty
};

template <class T>
template <class View>
Tiles<T>::Tiles(const Context& ctx, const Rows<View>& centers, Metric metric)
    : d_(centers.d()), metric_(metric), atoms_(static_cast<std::size_t>(centers.n())) {
    for (int64_t j = 0; j < m(); ++j) {
        Atom<T>& atom = atoms_[j];
        atom.value.assign(centers.values(j), centers.values(j) + centers.size(j));
        if constexpr (kIsSparse<View>) atom.column.assign(centers.columns(j), centers.columns(j) + centers.size(j));
        norm2_.push_back(atom.norm2 = centers.norm2(j));
        inverse_.push_back(atom.norm2 > 0 ? 1 / std::sqrt(atom.norm2) : 0.0);
        safe_ &= sizeof(T) == 8 || moderate(atom.norm2);
    }
    const int64_t padded = (tiles() - 1) * kWidth + width(tiles() - 1);
    if (static_cast<double>(sizeof(T)) * static_cast<double>(padded) * static_cast<double>(d_) > kMostKept) return;
    tiles_.resize(static_cast<std::size_t>(padded * d_));
    parallel_for(ctx, tiles(), [&](int64_t tile, int) { pack(tile, tiles_.data() + tile * kWidth * d_); });
}

// The centers of a tile by columns, [d, width].
template <class T>
void Tiles<T>::pack(int64_t tile, T* out) const {
    const int64_t first = tile * kWidth, count = std::min(kWidth, m() - first), w = width(tile);
    std::fill_n(out, d_ * w, T{0});
    for (int64_t j = 0; j < count; ++j) {
        const Atom<T>& atom = atoms_[first + j];
        for (std::size_t p = 0; p < atom.value.size(); ++p)
            out[(atom.column.empty() ? static_cast<int64_t>(p) : atom.column[p]) * w + j] = atom.value[p];
    }
}

template <class T>
template <class View>
void Tiles<T>::fill(const Context& ctx, const Rows<View>& X, T* out) const {
    if (X.d() != d_)
        fail(ctx, "X must have the columns of the centers (" + std::to_string(d_) + ")", X.d(),
             "Pass rows of the same features.");
    constexpr int64_t kGroup = 8;  // rows that the kernel takes together
    const int64_t n = X.n();
    const int64_t rows =
        std::clamp<int64_t>(chunk_count(chunk_count(n, 4 * ctx.n_threads), kGroup) * kGroup, kGroup, 64);
    const int64_t chunks = chunk_count(n, rows), tasks = tiles_.empty() ? tiles() : chunks;
    std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, tasks)));
    parallel_for(ctx, tasks, [&](int64_t task, int worker) {
        Scratch& s = scratch[worker];
        s.products.resize(static_cast<std::size_t>(rows * kWidth));
        s.row.resize(static_cast<std::size_t>(kWidth));
        if (tiles_.empty()) {
            s.cells.resize(static_cast<std::size_t>(d_ * kWidth));
            pack(task, s.cells.data());
            for (int64_t from = 0; from < n; from += rows)
                block(X, from, std::min(n, from + rows), task, s.cells.data(), s, out);
        } else {
            const int64_t from = task * rows, to = std::min(n, from + rows);
            for (int64_t tile = 0; tile < tiles(); ++tile)
                block(X, from, to, tile, tiles_.data() + tile * kWidth * d_, s, out);
        }
    });
    for (const Scratch& s : scratch)
        if (s.largest > static_cast<double>(std::numeric_limits<T>::max()))
            fail(ctx, "X must have distances to the centers that float32 holds", "one beyond 3.4e38",
                 "Pass X as float64.");
}

// Distances of rows [from, to) to the centers of a tile.
template <class T>
template <class View>
void Tiles<T>::block(const Rows<View>& X, int64_t from, int64_t to, int64_t tile, const T* cells, Scratch& s,
                     T* out) const {
    const int64_t first = tile * kWidth, count = std::min(kWidth, m() - first), w = width(tile);
    const double* c2 = norm2_.data() + first;
    if constexpr (!kIsSparse<View>)  // a whole matrix: its rows follow each other
        X.kernels()->template of<T>().small_product(X.values(from), to - from, d_, cells, w, s.products.data());
    for (int64_t i = from; i < to; ++i) {
        const double x2 = X.norm2(i);
        double* __restrict v = s.row.data();
        const T* __restrict product = s.products.data() + (i - from) * w;
        bool safe = true;
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            X.kernels()->template of<T, I>().sparse_scores(X.values(i), X.columns(i), X.size(i), cells, w, v);
        } else {
            safe = sizeof(T) == 8 || (safe_ && moderate(x2));
            for (int64_t j = 0; j < count; ++j) v[j] = static_cast<double>(product[j]);
        }
        if (metric_ == Metric::kCosine) {
            if constexpr (!kIsSparse<View>)
                for (int64_t j = 0; !safe && j < count; ++j) v[j] = X.dot(i, atoms_[first + j].value.data());
            const double inverse = x2 > 0 ? 1 / std::sqrt(x2) : 0.0;
            for (int64_t j = 0; j < count; ++j)
                v[j] = std::min(2.0, std::max(0.0, 1 - v[j] * inverse * inverse_[first + j]));
        } else {
            for (int64_t j = 0; j < count; ++j) v[j] = x2 + c2[j] - 2 * v[j];
            if constexpr (!kIsSparse<View>) again(X, i, first, safe ? (sizeof(T) == 8 ? kNear : kFar) : HUGE_VAL, s);
            for (int64_t j = 0; j < count; ++j) v[j] = std::sqrt(std::max(0.0, v[j]));
            double largest = 0;
            for (int64_t j = 0; j < count; ++j) largest = std::max(largest, v[j]);
            s.largest = std::max(s.largest, largest);
        }
        T* __restrict to_row = out + i * m() + first;
        for (int64_t j = 0; j < count; ++j) to_row[j] = static_cast<T>(v[j]);
    }
}

// Squares of row i that are small beside the squared lengths, again with more digits.
template <class T>
template <class View>
void Tiles<T>::again(const Rows<View>& X, int64_t i, int64_t first, double near, Scratch& s) const {
    const int64_t count = std::min(kWidth, m() - first);
    const double x2 = X.norm2(i), *c2 = norm2_.data() + first;
    double* v = s.row.data();
    bool any = false;
    for (int64_t j = 0; j < count; ++j) any |= !(v[j] > near * (x2 + c2[j]));
    if (!any) return;
    s.apart.resize(static_cast<std::size_t>(d_));
    for (int64_t j = 0; j < count; ++j) {
        if (v[j] > near * (x2 + c2[j])) continue;
        const T *x = X.values(i), *c = atoms_[first + j].value.data();
        if (near > kNear) v[j] = x2 + c2[j] - 2 * X.dot(i, c);
        if (v[j] > kNear * (x2 + c2[j])) continue;
        for (int64_t t = 0; t < d_; ++t) s.apart[t] = static_cast<double>(x[t]) - static_cast<double>(c[t]);
        v[j] = X.kernels()->f64.dense_dot(s.apart.data(), s.apart.data(), d_);
    }
}

}  // namespace

template <class View>
std::unique_ptr<CenterDistances<typename View::value_type>> make_center_distances(const Context& ctx,
                                                                                  const Rows<View>& centers,
                                                                                  Metric metric) {
    return std::make_unique<Tiles<typename View::value_type>>(ctx, centers, metric);
}

#define LATOM_INSTANTIATE(View)                                                                       \
    template std::unique_ptr<CenterDistances<View::value_type>> make_center_distances(const Context&, \
                                                                                      const Rows<View>&, Metric);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
