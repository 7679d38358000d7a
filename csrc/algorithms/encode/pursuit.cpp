// pursuit.cpp: rows one block at a time; with a Gram matrix one after the other, else all of a block in step.
#include "latom/pursuit.h"

#include <algorithm>
#include <numeric>

#include "algorithms/encode/screened_pursuit.h"
#include "core/message.h"
#include "rows/row_reader.h"

namespace latom {
namespace {

constexpr double kMostGram = 1 << 30;     // bytes, where it is kept only if it pays
constexpr int64_t kBlockBytes = 2 << 20;  // of the products of a block
constexpr int64_t kMostRows = 70;         // of a block: whole tiles of most kernels
constexpr int64_t kLanes = 2;             // rows that step in turn: what one needs is fetched meanwhile

/// Rows of X, scaled by powers of two to lengths in [1/2, 1), with what their pursuit needs.
template <class T>
struct PursuitBlock {
    typename RowReader<T>::Block read;
    AlignedVector<T> x;
    std::vector<int> exponent;
    std::vector<double> norm2;  // scaled
    int64_t count = 0;
    // Residuals whose products with all atoms are made together.
    AlignedVector<double> left;
    std::vector<double> left2;
    PursuitTiles tiles;
    AlignedVector<float> products;
    int64_t stride = 0;

    void load(const RowReader<T>& reader, const KernelTable* kernels, int64_t from, int64_t end, int64_t d) {
        count = end - from;
        std::vector<int64_t> which(static_cast<std::size_t>(count));
        std::iota(which.begin(), which.end(), from);
        reader.read(which, read);
        x.resize(static_cast<std::size_t>(count * d));
        exponent.assign(static_cast<std::size_t>(count), 0);
        norm2.assign(static_cast<std::size_t>(count), 0.0);
        for (int64_t r = 0; r < count; ++r) {
            if (read.norm2[r] > 0) std::frexp(std::sqrt(read.norm2[r]), &exponent[r]);
            T* row = x.data() + r * d;
            const double scale = std::ldexp(1.0, -exponent[r]);
            for (int64_t t = 0; t < d; ++t) row[t] = static_cast<T>(static_cast<double>(read.row[r][t]) * scale);
            norm2[r] = kernels->of<T>().dense_dot(row, row, d);
        }
    }
    double tol(const PursuitOptions& options, int64_t r) const {
        if (options.tol < 0) return -1;
        return options.relative ? options.tol * norm2[r] : std::ldexp(options.tol, -2 * exponent[r]);
    }

    /// residual(r, out [d]): the r-th of `rows` residuals; returns its squared length.
    template <class Residual>
    void load_residuals(const PursuitAtoms<T>& atoms, int64_t rows, Residual residual) {
        const int64_t d = atoms.d();
        left.resize(static_cast<std::size_t>(rows * d));
        left2.resize(static_cast<std::size_t>(rows));
        for (int64_t r = 0; r < rows; ++r) left2[r] = residual(r, left.data() + r * d);
        atoms.load(rows, [&](int64_t r) { return left.data() + r * d; }, [&](int64_t r) { return left2[r]; }, tiles);
    }
    /// Room for products with so many atoms. Rows do not begin at the same places of the cache.
    void make_room(int64_t rows, int64_t width) {
        stride = width + 48;
        products.resize(static_cast<std::size_t>(rows * stride));
    }
    float* products_of(int64_t r) { return products.data() + r * stride; }
};

template <class T>
class PursuitDictionary final : public Dictionary<T> {
public:
    PursuitDictionary(const Context& ctx, int64_t d, GramUse gram) : atoms_(ctx.kernels, d), use_(gram) {
        if (d < 1) fail(ctx, "atoms must have at least one column", d, "Drop them.");
    }

    int64_t m() const override { return atoms_.m(); }
    int64_t d() const override { return atoms_.d(); }

    void append(const Context& ctx, const T* atoms, int64_t count) override {
        if (count < 0 || m() + count > std::numeric_limits<int32_t>::max() - 64)
            fail(ctx, "atoms must have fewer than 2^31 rows", m() + count, "Split them.");
        const bool keeps = use_ == GramUse::kAlways || fits(m() + count);
        atoms_.append(ctx, atoms, count, keeps);
    }

    void adopt(const Context& ctx, const StoredRows& X, const std::vector<int64_t>& which) override {
        const RowReader<T> reader(ctx.kernels, X);
        typename RowReader<T>::Block block;
        reader.read(which, block);
        reader.check(ctx);
        std::vector<T> rows(which.size() * static_cast<std::size_t>(d()));
        for (std::size_t r = 0; r < which.size(); ++r)
            normalize(block.row[r], block.norm2[r], rows.data() + r * static_cast<std::size_t>(d()));
        append(ctx, rows.data(), static_cast<int64_t>(which.size()));
    }

    void copy_atoms(T* out) const override {
        for (int64_t j = 0; j < m(); ++j)
            for (int64_t t = 0; t < d(); ++t)
                out[j * d() + t] = static_cast<T>(std::ldexp(static_cast<double>(atoms_.row(j)[t]), atoms_.exponent()));
    }

    PursuitCodes<T> pursue(const Context& ctx, const StoredRows& X, const PursuitOptions& options) override {
        check(ctx, X);
        const bool gram = with_gram(ctx, X.n, options);
        const RowReader<T> reader(ctx.kernels, X);
        const int64_t fitting = kBlockBytes / 4 / std::max<int64_t>(1, atoms_.width());
        const int64_t rows = std::clamp<int64_t>(fitting, ctx.kernels->tile_rows, kMostRows);
        std::vector<PursuitCodes<T>> parts(static_cast<std::size_t>(chunk_count(X.n, rows)));
        std::vector<PursuitBlock<T>> blocks(static_cast<std::size_t>(workers(ctx, chunk_count(X.n, rows))));
        parallel_for(ctx, chunk_count(X.n, rows), [&](int64_t c, int worker) {
            PursuitBlock<T>& block = blocks[worker];
            block.load(reader, ctx.kernels, c * rows, std::min(X.n, (c + 1) * rows), d());
            pursue_block(block, options, gram, parts[c]);
        });
        reader.check(ctx);
        return joined(parts, X.n);
    }

    std::vector<int64_t> grow(const Context& ctx, const StoredRows& X, const PursuitOptions& options, double tol,
                              int64_t most, double* error) override {
        check(ctx, X);
        const RowReader<T> reader(ctx.kernels, X);
        std::vector<int64_t> taken;
        std::vector<T> fresh(static_cast<std::size_t>(d()));
        std::fill_n(error, X.n, std::numeric_limits<double>::quiet_NaN());
        for (int64_t from = 0; from < X.n && m() < most; from += kMostRows) {
            PursuitBlock<T> block, alone;
            block.load(reader, ctx.kernels, from, std::min(X.n, from + kMostRows), d());
            const bool gram = with_gram(ctx, X.n, options);
            const int64_t known = m() / ctx.kernels->panel_atoms;  // panels that stay as they are
            multiply(ctx, block, known);
            for (int64_t r = 0; r < block.count && m() < most; ++r) {
                poll_for(ctx);
                RowPursuit<T> pursuit(atoms_, options);
                start(pursuit, block, r, options);
                alone.load_residuals(atoms_, 1, [&](int64_t, double* out) { return pursuit.residual(out); });
                alone.make_room(1, atoms_.width());
                std::copy_n(block.products_of(r), known * ctx.kernels->panel_atoms, alone.products.data());
                atoms_.products(alone.tiles, known, atoms_.panels(), alone.products.data(), alone.stride);
                ScreenedPursuit<T> lane(atoms_, options, gram && atoms_.has_gram());
                while (!pursuit.done()) {
                    lane.begin(pursuit, alone.products.data(), atoms_.error(alone.tiles, 0));
                    while (lane.busy()) lane.step();
                    if (pursuit.done()) break;
                    alone.load_residuals(atoms_, 1, [&](int64_t, double* out) { return pursuit.residual(out); });
                    atoms_.products(alone.tiles, 0, atoms_.panels(), alone.products.data(), alone.stride);
                }
                const double norm2 = block.norm2[r];
                std::vector<double> left(static_cast<std::size_t>(d()));
                error[from + r] = norm2 > 0 ? pursuit.residual(left.data()) / norm2 : 0;
                if (!(error[from + r] > tol)) continue;
                normalize(block.read.row[r], block.read.norm2[r], fresh.data());
                append(ctx, fresh.data(), 1);
                taken.push_back(from + r);
            }
            reader.check(ctx);
        }
        return taken;
    }

private:
    static bool fits(int64_t m) { return static_cast<double>(m) * static_cast<double>(m) * 2 <= kMostGram; }

    static void poll_for(const Context& ctx) {
        if (ctx.check_interrupt && !running_chunk().ctx) ctx.check_interrupt();
    }

    void check(const Context& ctx, const StoredRows& X) const {
        if (X.d != d())
            fail(ctx, "X must have as many columns as the atoms, " + std::to_string(d()), X.d,
                 "Pass rows of the features that the atoms have.");
    }

    static void normalize(const T* x, double norm2, T* out_begin, int64_t d) {
        const double inverse = 1 / std::sqrt(norm2);
        for (int64_t t = 0; t < d; ++t) out_begin[t] = static_cast<T>(static_cast<double>(x[t]) * inverse);
    }
    void normalize(const T* x, double norm2, T* out) const { normalize(x, norm2, out, d()); }

    bool with_gram(const Context& ctx, int64_t n, const PursuitOptions& options) {
        if (use_ == GramUse::kNever) return false;
        const double uses = 2.0 * static_cast<double>(n) * static_cast<double>(options.steps);
        const bool pays = fits(m()) && (atoms_.has_gram() || static_cast<double>(m()) <= uses);
        return (use_ == GramUse::kAlways || pays) && atoms_.make_gram(ctx);
    }

    void start(RowPursuit<T>& pursuit, const PursuitBlock<T>& block, int64_t r, const PursuitOptions& options) const {
        pursuit.start(block.x.data() + r * d(), block.norm2[r], block.tol(options, r));
    }

    /// Products of the block's rows with the first panels, over threads.
    void multiply(const Context& ctx, PursuitBlock<T>& block, int64_t panels) const {
        const int64_t rows = ctx.kernels->tile_rows;
        block.make_room(block.count, atoms_.width());  // products() of the last panel fills what is beyond it
        parallel_for(ctx, chunk_count(block.count, rows), [&](int64_t c, int) {
            PursuitTiles tiles;
            atoms_.load(
                std::min(rows, block.count - c * rows),
                [&](int64_t r) { return block.x.data() + (c * rows + r) * d(); },
                [&](int64_t r) { return block.norm2[c * rows + r]; }, tiles);
            atoms_.products(tiles, 0, panels, block.products_of(c * rows), block.stride);
        });
    }

    /// Products of what is left of all rows, steps with them as far as they tell atoms apart, and again.
    void pursue_block(PursuitBlock<T>& block, const PursuitOptions& options, bool gram, PursuitCodes<T>& out) const {
        std::vector<RowPursuit<T>> pursuits;
        for (int64_t r = 0; r < block.count; ++r) start(pursuits.emplace_back(atoms_, options), block, r, options);
        std::vector<RowPursuit<T>*> active;
        for (auto& pursuit : pursuits) active.push_back(&pursuit);
        std::vector<ScreenedPursuit<T>> lanes(kLanes, ScreenedPursuit<T>(atoms_, options, gram));
        block.make_room(block.count, atoms_.width());
        while (true) {
            std::erase_if(active, [](const RowPursuit<T>* pursuit) { return pursuit->done(); });
            if (active.empty()) break;
            poll();
            const auto count = static_cast<int64_t>(active.size());
            block.load_residuals(atoms_, count, [&](int64_t r, double* to) { return active[r]->residual(to); });
            atoms_.products(block.tiles, 0, atoms_.panels(), block.products.data(), block.stride);
            int64_t next = 0;
            for (bool busy = true; busy;) {
                busy = false;
                for (auto& lane : lanes) {
                    if (!lane.busy() && next < count) {
                        lane.begin(*active[next], block.products_of(next), atoms_.error(block.tiles, next));
                        ++next;
                    }
                    if (lane.busy()) lane.step();
                    busy |= lane.busy() || next < count;
                }
            }
        }
        for (int64_t r = 0; r < block.count; ++r) write(pursuits[r], block.exponent[r], out);
    }

    void write(const RowPursuit<T>& pursuit, int exponent, PursuitCodes<T>& out) const {
        const auto& support = pursuit.support();
        std::vector<std::size_t> order(support.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return support[a] < support[b]; });
        for (const std::size_t p : order) {
            const T value = static_cast<T>(std::ldexp(pursuit.coefs()[p], exponent - atoms_.exponent()));
            if (value == T{0}) continue;
            out.indices.push_back(support[p]);
            out.values.push_back(value);
        }
        std::vector<double> left(static_cast<std::size_t>(d()));
        out.error.push_back(std::ldexp(pursuit.residual(left.data()), 2 * exponent));
        out.indptr.push_back(static_cast<int64_t>(out.indices.size()));
    }

    static PursuitCodes<T> joined(std::vector<PursuitCodes<T>>& parts, int64_t n) {
        PursuitCodes<T> all;
        all.indptr.reserve(static_cast<std::size_t>(n) + 1);
        all.indptr.push_back(0);
        for (PursuitCodes<T>& part : parts) {
            const int64_t before = static_cast<int64_t>(all.indices.size());
            for (const int64_t end : part.indptr) all.indptr.push_back(before + end);
            all.indices.insert(all.indices.end(), part.indices.begin(), part.indices.end());
            all.values.insert(all.values.end(), part.values.begin(), part.values.end());
            all.error.insert(all.error.end(), part.error.begin(), part.error.end());
            part = {};
        }
        return all;
    }

    PursuitAtoms<T> atoms_;
    GramUse use_;
};

}  // namespace

template <class T>
std::unique_ptr<Dictionary<T>> make_dictionary(const Context& ctx, int64_t d, GramUse gram) {
    return std::make_unique<PursuitDictionary<T>>(ctx, d, gram);
}

template std::unique_ptr<Dictionary<float>> make_dictionary(const Context&, int64_t, GramUse);
template std::unique_ptr<Dictionary<double>> make_dictionary(const Context&, int64_t, GramUse);

}  // namespace latom
