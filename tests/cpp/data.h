// data.h: random inputs for the tests, made of Philox words so that every platform sees the same numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/philox.h"
#include "kernels/dispatch.h"
#include "latom/context.h"
#include "latom/views.h"

namespace test {

using namespace latom;

class Random {
public:
    explicit Random(std::uint64_t seed) : source_(seed, static_cast<Purpose>(77)) {}
    double uniform() { return source_.uniform(counter_++); }
    int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
    double symmetric() { return 2 * uniform() - 1; }

private:
    Philox source_;
    std::uint64_t counter_ = 0;
};

inline Context context(const std::string& isa, int threads, std::uint64_t seed = 0) {
    Context ctx;
    ctx.function = "test";
    ctx.seed = seed;
    ctx.n_threads = threads;
    ctx.kernels = kernel_table(isa);
    return ctx;
}

/// CSR that owns its arrays, with columns in both widths.
template <class T>
struct Sparse {
    int64_t n = 0, d = 0;
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> column32;
    std::vector<int64_t> column64;
    std::vector<T> value;

    void push(int64_t t, T v) {
        column32.push_back(static_cast<int32_t>(t));
        column64.push_back(t);
        value.push_back(v);
    }
    void end_row() {
        indptr.push_back(static_cast<int64_t>(value.size()));
        ++n;
    }
    void copy_row(int64_t i, T factor = 1) {
        for (int64_t p = indptr[i], end = indptr[i + 1]; p < end; ++p) push(column64[p], factor * value[p]);
        end_row();
    }
    CsrView<T, int32_t> view32() const { return {indptr.data(), column32.data(), value.data(), n, d}; }
    CsrView<T, int64_t> view64() const { return {indptr.data(), column64.data(), value.data(), n, d}; }

    /// The given rows, as a matrix.
    Sparse rows(const std::vector<int64_t>& chosen) const {
        Sparse out;
        out.d = d;
        for (const int64_t i : chosen) {
            for (int64_t p = indptr[i]; p < indptr[i + 1]; ++p) out.push(column64[p], value[p]);
            out.end_row();
        }
        return out;
    }
};

/// n rows of about `length` entries, frequent columns first, as in texts.
template <class T>
Sparse<T> random_sparse(std::uint64_t seed, int64_t n, int64_t d, int64_t length, bool is_signed) {
    Random random(seed);
    Sparse<T> X;
    X.d = d;
    std::vector<char> has(static_cast<std::size_t>(d));
    for (int64_t i = 0; i < n; ++i) {
        std::fill(has.begin(), has.end(), 0);
        const int64_t want = 1 + random.below(2 * length);
        for (int64_t p = 0; p < want; ++p) {
            const double u = random.uniform();
            has[static_cast<std::size_t>(u * u * static_cast<double>(d))] = 1;
        }
        const double scale = std::exp(3 * random.symmetric());
        for (int64_t t = 0; t < d; ++t)
            if (has[t]) X.push(t, static_cast<T>(scale * (is_signed ? random.symmetric() : 0.05 + random.uniform())));
        X.end_row();
    }
    return X;
}

/// n rows in d columns that crowd around a few directions, so that centers creep over many steps and bounds stay tight.
template <class T>
Sparse<T> crowded_sparse(std::uint64_t seed, int64_t n, int64_t d, bool is_signed) {
    Random random(seed);
    Sparse<T> X;
    X.d = d;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t direction = random.below(3);
        for (int64_t t = 0; t < d; ++t)
            if (random.uniform() < 0.9)
                X.push(t, static_cast<T>((is_signed ? 0.0 : 1.0) + (t % 3 == direction) + 0.9 * random.symmetric()));
        X.end_row();
    }
    return X;
}

/// random_sparse with what makes trouble: rows that are empty, zero, equal, opposite, far longer or shorter than
/// others.
template <class T>
Sparse<T> troubled_sparse(std::uint64_t seed, int64_t n, int64_t d, int64_t length, bool is_signed) {
    Sparse<T> X = random_sparse<T>(seed, n, d, length, is_signed);
    X.end_row();  // empty
    X.push(d / 2, T{0});
    X.end_row();  // stored zero
    for (int64_t i = 0; i < 6; ++i) X.copy_row(i);
    for (int64_t i = 0; i < 3; ++i) X.copy_row(i, T{2});
    if (is_signed)
        for (int64_t i = 0; i < 4; ++i) X.copy_row(i, T{-1});
    X.copy_row(7, static_cast<T>(1e12));
    X.copy_row(8, static_cast<T>(1e-12));
    return X;
}

}  // namespace test
