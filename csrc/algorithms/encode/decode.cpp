// decode.cpp: slices of columns, blocks of rows.
#include "latom/decode.h"

#include <bit>

#include "algorithms/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 64;             // of a block
constexpr int64_t kSliceBytes = 8 << 20;  // of all atoms' columns of a slice: stays in the last cache
constexpr int64_t kSliceColumns = 128;    // at least: shorter runs cost more than they save

template <class T>
int64_t slice_width(const DenseView<T>& atoms, int64_t nnz) {
    const int64_t fit = kSliceBytes / (static_cast<int64_t>(sizeof(T)) * atoms.n) / kSliceColumns * kSliceColumns;
    // Atoms that are gathered once or twice come from memory once or twice anyway.
    return nnz < 2 * atoms.n ? atoms.d : std::clamp<int64_t>(fit, std::min(kSliceColumns, atoms.d), atoms.d);
}

// Without branches, so that it costs less than the row did.
template <class T>
bool all_finite(const T* x, int64_t count) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
    Bits bad = 0;
    for (int64_t c = 0; c < count; ++c) bad |= static_cast<Bits>((std::bit_cast<Bits>(x[c]) & kExponent) == kExponent);
    return bad == 0;
}

}  // namespace

template <class T, class I>
int64_t gather_rows(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out) {
    const auto add = detail::gather_add(ctx.kernels, T{}, I{});
    const int64_t n = codes.n, d = atoms.d, nnz = codes.indptr[n];
    const int64_t width = slice_width(atoms, nnz), blocks = chunk_count(n, kRows);
    std::atomic<int64_t> bad{n};
    // All blocks of one slice before those of the next: threads then share what the cache holds of the atoms.
    parallel_for(ctx, blocks * chunk_count(d, width), [&](int64_t chunk, int) {
        const int64_t column = chunk / blocks * width, count = std::min(width, d - column);
        const int64_t first = chunk % blocks * kRows, last = std::min(n, first + kRows);
        for (int64_t i = first; i < last; ++i) {
            const int64_t p = codes.indptr[i];
            T* row = out + i * d + column;
            if (bias) std::copy_n(bias + column, count, row);
            else std::fill_n(row, count, T{0});
            add(codes.indices + p, codes.values + p, codes.indptr[i + 1] - p, codes.indptr[last] - p,
                atoms.data + column, atoms.stride, count, row);
            if (all_finite(row, count)) continue;
            for (int64_t seen = bad; i < seen && !bad.compare_exchange_weak(seen, i);) {
            }
        }
    });
    return bad;
}

template <class T, class I>
void decode(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out,
            const std::string& function) {
    const int64_t n = codes.n, m = atoms.n;
    const int64_t stray = detail::first_row(ctx, n, [&](int64_t i) {
        for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p)
            if (codes.indices[p] < 0 || codes.indices[p] >= m) return true;
        return false;
    });
    if (stray < n)
        fail(function, "codes must have indices in [0, " + std::to_string(m) + "), the rows of W_dec",
             "another index in row " + std::to_string(stray), "Decode with the atoms that the codes were made with.");
    const int64_t bad = gather_rows(ctx, codes, atoms, bias, out);
    if (bad < n)
        fail(function, "codes, W_dec and b_pre must be finite and give finite sums",
             "NaN or infinity in row " + std::to_string(bad) + " of the result", "Check them, or scale them down.");
}

#define LATOM_INSTANTIATE(T, I)                                                                          \
    template int64_t gather_rows(const Context&, const Codes<T, I>&, const DenseView<T>&, const T*, T*); \
    template void decode(const Context&, const Codes<T, I>&, const DenseView<T>&, const T*, T*, const std::string&);
LATOM_INSTANTIATE(float, int32_t)
LATOM_INSTANTIATE(float, int64_t)
LATOM_INSTANTIATE(double, int32_t)
LATOM_INSTANTIATE(double, int64_t)
#undef LATOM_INSTANTIATE

}  // namespace latom
