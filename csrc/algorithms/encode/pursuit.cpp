// pursuit.cpp: rows a block at a time; with a Gram matrix one after the other, else all of a block in step.
#include "latom/pursuit.h"

#include <algorithm>
#include <numeric>

#include "algorithms/encode/row_pursuit.h"
#include "core/message.h"
#include "rows/row_reader.h"

namespace latom {
namespace {

constexpr double kMostGram = 1 << 30;             // bytes, where it is kept only if it pays
constexpr int64_t kBlockBytes = 2 << 20;          // of the products of a block: they stay in the second cache
constexpr int64_t kMostRows = 64, kTogether = 8;  // of a block; rows that one product takes together

/// Rows of X, scaled by powers of two to lengths in [1/2, 1), with what their pursuit needs.
template <class T>
struct PursuitBlock {
    typename RowReader<T>::Block read;
    AlignedVector<T> x, products, tile;
    std::vector<int> exponent;
    std::vector<double> norm2;  // scaled
    std::vector<const T*> rows;
    std::vector<T> factors;
    int64_t count = 0;

    void load(const RowReader<T>& reader, const KernelTable* kernels, int64_t from, int64_t end, int64_t d) {
        count = end - from;
        std::vector<int64_t> which(static_cast<std::size_t>(count));
        std::iota(which.begin(), which.end(), from);
        reader.read(which, read);
        const int64_t padded = padded_rows(count);
        x.resize(static_cast<std::size_t>(padded * d));
        std::fill(x.begin(), x.end(), T{0});
        exponent.assign(static_cast<std::size_t>(count), 0);
        norm2.assign(static_cast<std::size_t>(count), 0.0);
        tile.resize(static_cast<std::size_t>(PursuitAtoms<T>::kTileRows * PursuitAtoms<T>::kPanel));
        for (int64_t r = 0; r < count; ++r) {
            if (read.norm2[r] > 0) std::frexp(std::sqrt(read.norm2[r]), &exponent[r]);
            T* row = x.data() + r * d;
            for (int64_t t = 0; t < d; ++t)
                row[t] = static_cast<T>(std::ldexp(static_cast<double>(read.row[r][t]), -exponent[r]));
            norm2[r] = kernels->of<T>().dense_dot(row, row, d);
        }
    }
    /// One or two rows cost less alone.
    static int64_t padded_rows(int64_t count) {
        return count > 2 ? (count + kTogether - 1) / kTogether * kTogether : count;
    }
    double tol(const PursuitOptions& options, int64_t r) const {
        if (options.tol < 0) return -1;
        return options.relative ? options.tol * norm2[r] : std::ldexp(options.tol, -2 * exponent[r]);
    }
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
        const int64_t fitting = kBlockBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(1, atoms_.width());
        const int64_t rows = std::clamp(fitting / kTogether * kTogether, kTogether, kMostRows);
        std::vector<PursuitCodes<T>> parts(static_cast<std::size_t>(chunk_count(X.n, rows)));
        parallel_for(ctx, chunk_count(X.n, rows), [&](int64_t c, int) {
            PursuitBlock<T> block;
            block.load(reader, ctx.kernels, c * rows, std::min(X.n, (c + 1) * rows), d());
            if (gram) rows_with_gram(block, options, parts[c]);
            else rows_in_step(block, options, parts[c]);
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
            PursuitBlock<T> block;
            block.load(reader, ctx.kernels, from, std::min(X.n, from + kMostRows), d());
            const bool gram = with_gram(ctx, X.n, options);
            const int64_t known = m() / PursuitAtoms<T>::kPanel, before = atoms_.panels();
            const int64_t stride = atoms_.width() + kMostRows + PursuitAtoms<T>::kPanel;
            if (gram) multiply(ctx, block, before, stride);
            for (int64_t r = 0; r < block.count && m() < most; ++r) {
                poll_for(ctx);
                RowPursuit<T> pursuit(atoms_, options);
                if (gram && atoms_.has_gram()) {
                    const T* x = block.x.data() + r * d();
                    T* products = block.products.data() + r * stride;
                    atoms_.products(x, 1, known, atoms_.panels(), products, stride, block.tile.data());
                    one_with_gram(block, r, products, options, pursuit);
                } else {
                    one_alone(block, r, options, pursuit);
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
    static bool fits(int64_t m) { return static_cast<double>(m) * static_cast<double>(m) * sizeof(T) <= kMostGram; }

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

    /// Products of the block's rows with all panels, over threads.
    void multiply(const Context& ctx, PursuitBlock<T>& block, int64_t panels, int64_t stride) const {
        block.products.resize(static_cast<std::size_t>(kMostRows * stride));
        const int64_t padded = PursuitBlock<T>::padded_rows(block.count);
        parallel_for(ctx, chunk_count(padded, kTogether), [&](int64_t c, int) {
            AlignedVector<T> tile(static_cast<std::size_t>(kTogether * PursuitAtoms<T>::kPanel));
            const int64_t some = std::min(kTogether, padded - c * kTogether);
            atoms_.products(block.x.data() + c * kTogether * d(), some, 0, panels,
                            block.products.data() + c * kTogether * stride, stride, tile.data());
        });
    }

    void rows_with_gram(PursuitBlock<T>& block, const PursuitOptions& options, PursuitCodes<T>& out) const {
        const int64_t padded = PursuitBlock<T>::padded_rows(block.count), width = atoms_.width();
        block.products.resize(static_cast<std::size_t>(padded * width));
        atoms_.products(block.x.data(), padded, 0, atoms_.panels(), block.products.data(), width, block.tile.data());
        RowPursuit<T> pursuit(atoms_, options);
        for (int64_t r = 0; r < block.count; ++r) {
            one_with_gram(block, r, block.products.data() + r * width, options, pursuit);
            write(pursuit, block.exponent[r], out);
        }
    }

    /// products [width] of row r with all atoms; they are written over.
    void one_with_gram(PursuitBlock<T>& block, int64_t r, T* products, const PursuitOptions& options,
                       RowPursuit<T>& pursuit) const {
        const auto step = atoms_.kernels()->template of<T>().pursuit_step;
        const int64_t width = atoms_.width();
        pursuit.start(block.x.data() + r * d(), block.norm2[r], block.tol(options, r));
        T best[2];
        int64_t subtracted = 0;
        auto& rows = block.rows;
        auto& factors = block.factors;
        rows.clear();
        factors.clear();
        AlignedVector<T> values;
        while (!pursuit.done()) {
            const auto count = static_cast<int64_t>(rows.size());
            T* kept = options.orthogonal ? nullptr : products;
            const int64_t place =
                step(products, rows.data(), factors.data(), count, width, !options.positive, kept, best);
            const auto of_all = [&]() -> const T* {
                if (kept) return kept;
                values.resize(static_cast<std::size_t>(width));
                T again[2];
                step(products, rows.data(), factors.data(), count, width, true, values.data(), again);
                return values.data();
            };
            pursuit.take(place, best, subtracted, false, of_all);
            if (pursuit.done()) break;
            const auto& support = pursuit.support();
            rows.clear();
            factors.clear();
            if (options.orthogonal) {
                for (std::size_t p = 0; p < support.size(); ++p) {
                    rows.push_back(atoms_.gram(support[p]));
                    factors.push_back(static_cast<T>(pursuit.coefs()[p]));
                }
                subtracted = static_cast<int64_t>(support.size());
            } else {
                rows.push_back(atoms_.gram(pursuit.last_atom()));
                factors.push_back(static_cast<T>(pursuit.last_step()));
                ++subtracted;
                if (!options.repeat) products[pursuit.last_atom()] = std::numeric_limits<T>::quiet_NaN();
            }
        }
    }

    /// All rows of the block take their next atom, then the next: products with residuals go over the atoms together.
    void rows_in_step(PursuitBlock<T>& block, const PursuitOptions& options, PursuitCodes<T>& out) const {
        std::vector<RowPursuit<T>> pursuits;
        for (int64_t r = 0; r < block.count; ++r) {
            pursuits.emplace_back(atoms_, options);
            pursuits.back().start(block.x.data() + r * d(), block.norm2[r], block.tol(options, r));
        }
        std::vector<RowPursuit<T>*> active;
        for (auto& pursuit : pursuits)
            if (!pursuit.done()) active.push_back(&pursuit);
        AlignedVector<T> left(block.x);
        std::vector<double> wide(static_cast<std::size_t>(d()));
        block.products.resize(static_cast<std::size_t>(PursuitBlock<T>::padded_rows(block.count) * atoms_.width()));
        for (bool first = true; !active.empty(); first = false) {
            poll();
            const auto count = static_cast<int64_t>(active.size());
            for (int64_t a = 0; a < count; ++a) {
                T* row = left.data() + a * d();
                if (first) std::copy_n(active[a]->row(), d(), row);
                else active[a]->residual(wide.data());
                for (int64_t t = 0; !first && t < d(); ++t) row[t] = static_cast<T>(wide[t]);
            }
            const int64_t padded = PursuitBlock<T>::padded_rows(count);
            atoms_.products(left.data(), padded, 0, atoms_.panels(), block.products.data(), atoms_.width(),
                            block.tile.data());
            for (int64_t a = 0; a < count; ++a)
                next_atom(block.products.data() + a * atoms_.width(), options, *active[a]);
            std::erase_if(active, [](const RowPursuit<T>* pursuit) { return pursuit->done(); });
        }
        for (int64_t r = 0; r < block.count; ++r) write(pursuits[r], block.exponent[r], out);
    }

    void next_atom(T* products, const PursuitOptions& options, RowPursuit<T>& pursuit) const {
        if (!options.repeat)
            for (const int32_t j : pursuit.support()) products[j] = std::numeric_limits<T>::quiet_NaN();
        T best[2];
        const int64_t place = atoms_.kernels()->template of<T>().pursuit_step(
            products, nullptr, nullptr, 0, atoms_.width(), !options.positive, nullptr, best);
        pursuit.take(place, best, 0, true, [&]() -> const T* { return products; });
    }

    void one_alone(PursuitBlock<T>& block, int64_t r, const PursuitOptions& options, RowPursuit<T>& pursuit) const {
        AlignedVector<T> products(static_cast<std::size_t>(atoms_.width())), left(static_cast<std::size_t>(d()));
        std::vector<double> wide(left.size());
        pursuit.start(block.x.data() + r * d(), block.norm2[r], block.tol(options, r));
        while (!pursuit.done()) {
            pursuit.residual(wide.data());
            for (std::size_t t = 0; t < left.size(); ++t) left[t] = static_cast<T>(wide[t]);
            atoms_.products(left.data(), 1, 0, atoms_.panels(), products.data(), atoms_.width(), block.tile.data());
            next_atom(products.data(), options, pursuit);
        }
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
