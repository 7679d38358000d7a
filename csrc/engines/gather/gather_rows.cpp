// gather_rows.cpp: slices of columns, and blocks of rows within each.
#include "engines/gather/gather_rows.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <type_traits>

#include "core/parallel.h"
#include "engines/gather/slices.h"
#include "kernels/table.h"

namespace latom {
namespace {

constexpr int64_t kRows = 64;  // of a block
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
    const auto add = ctx.kernels->of<T, I>().gather_add;
    const int64_t n = codes.n, d = atoms.d, nnz = codes.indptr[n];
    // Atoms that are gathered once or twice come from memory once or twice anyway.
    const int64_t width = nnz < 2 * atoms.n ? d : slice_columns<T>(atoms.n, d), blocks = chunk_count(n, kRows);
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

template int64_t gather_rows(const Context&, const Codes<float, int32_t>&, const DenseView<float>&, const float*,
                             float*);
template int64_t gather_rows(const Context&, const Codes<float, int64_t>&, const DenseView<float>&, const float*,
                             float*);
template int64_t gather_rows(const Context&, const Codes<double, int32_t>&, const DenseView<double>&, const double*,
                             double*);
template int64_t gather_rows(const Context&, const Codes<double, int64_t>&, const DenseView<double>&, const double*,
                             double*);

}  // namespace latom
