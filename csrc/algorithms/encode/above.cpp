// above.cpp: all atoms above a threshold, as the k best of rows for as large a k as each row needs.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/message.h"
#include "latom/encode.h"

namespace latom {

template <class T>
Matches<T> above(const Context& ctx, AtomIndex<T>& atoms, const StoredRows& X, const Thresholds& thresholds) {
    for (int64_t i = 0; i < (thresholds.by_row ? X.n : 1); ++i)
        if (std::isnan(thresholds[i]))
            fail(ctx, "threshold must be a number", "NaN at " + std::to_string(i), "Use -numpy.inf for every atom.");
    constexpr int64_t kFirst = 64, kRows = 4096, kPlaces = 1 << 22;
    const int64_t number = X.storage == Storage::kNative ? static_cast<int64_t>(sizeof(T)) : 2;
    Matches<T> out;
    out.indptr.push_back(0);
    std::vector<T> score;
    std::vector<int32_t> index, order;
    std::vector<int64_t> found;
    // Some consecutive rows at a time; where one has more than k, those not yet written are asked again for more.
    int64_t k = std::min(kFirst, atoms.m());
    for (int64_t first = 0; first < X.n;) {
        const int64_t rows = std::min(X.n - first, std::clamp<int64_t>(kPlaces / k, 1, kRows));
        const StoredRows part{static_cast<const char*>(X.data) + first * X.d * number, rows, X.d, X.storage};
        score.resize(static_cast<std::size_t>(rows * k));
        index.resize(score.size());
        found.resize(static_cast<std::size_t>(rows));
        const Thresholds own{thresholds.all, thresholds.by_row ? thresholds.by_row + first : nullptr};
        atoms.topk(ctx, part, k, Rank::kAbove, own, score.data(), index.data(), found.data());
        int64_t most = 0, r = 0;
        for (; r < rows && (found[r] < k || k == atoms.m()); ++r) {
            most = std::max(most, found[r]);
            order.resize(static_cast<std::size_t>(found[r]));
            std::iota(order.begin(), order.end(), 0);
            const int32_t* atom = index.data() + r * k;
            std::sort(order.begin(), order.end(), [=](int32_t a, int32_t b) { return atom[a] < atom[b]; });
            for (const int32_t p : order) {
                out.indices.push_back(atom[p]);
                out.scores.push_back(score[r * k + p]);
            }
            out.indptr.push_back(static_cast<int64_t>(out.indices.size()));
        }
        first += r;
        if (r < rows) k = std::min(4 * k, atoms.m());
        else if (4 * most < k) k = std::max(k / 4, std::min(kFirst, atoms.m()));
    }
    return out;
}

template Matches<float> above(const Context&, AtomIndex<float>&, const StoredRows&, const Thresholds&);
template Matches<double> above(const Context&, AtomIndex<double>&, const StoredRows&, const Thresholds&);

}  // namespace latom
