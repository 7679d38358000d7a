// test_far_entries.cpp: least squares on rows whose entries stand beyond 2^31 and 2^32 in their arrays, as in a matrix
// of so many. Pages that nobody touches take no memory, so the machine needs address space alone.
#include <algorithm>
#include <cstring>
#include <vector>

#include "check.h"
#include "data.h"
#include "engines/gather/gather_rows.h"
#include "factors.h"
#include "latom/least_squares.h"
#include "rows/rows.h"

#ifdef __linux__
#include <sys/mman.h>

using namespace latom;
using namespace test;

namespace {

/// Numbers of which only the last ones are touched.
template <class T>
class Far {
public:
    Far(int64_t before, int64_t count) : bytes_(static_cast<std::size_t>(before + count) * sizeof(T)) {
        void* memory =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        data_ = memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
    }
    Far(int64_t before, const std::vector<T>& numbers) : Far(before, static_cast<int64_t>(numbers.size())) {
        if (data_) std::copy(numbers.begin(), numbers.end(), data_ + before);
    }
    Far(const Far&) = delete;
    ~Far() {
        if (data_) munmap(data_, bytes_);
    }
    T* data() const { return data_; }

private:
    std::size_t bytes_;
    T* data_;
};

constexpr int64_t kRank = 19;

struct Numbers {
    std::vector<float> solved, predicted, stepped, product;
    bool operator==(const Numbers&) const = default;
};

/// What the entries of `view` give; e: predictions, where entries stand.
template <class I>
Numbers results(const Context& ctx, const CsrView<float, I>& view, float* e) {
    const std::vector<float> V = positive<float>(5, view.d * kRank), U = positive<float>(6, view.n * kRank);
    const Doubles G = plain_gram(V, view.d, kRank), ridge(static_cast<std::size_t>(view.n), 0.3);
    const Rows<CsrView<float, I>> X(ctx, view);
    const int64_t first = view.indptr[0], count = view.indptr[view.n] - first;
    Numbers out;
    for (const RowSolver solver : {RowSolver::kCholesky, RowSolver::kConjugate}) {
        LeastSquares<float> problem{
            {V.data(), view.d, kRank, kRank}, G.data(), ridge.data(), EntryRule::kImplicit, 1.7, nullptr, solver, 3, 0};
        std::vector<float> rows(U);
        const LeastSquaresResult result = solve_least_squares(ctx, X, problem, rows.data());
        CHECK_EQUAL(result.failed, 0);
        out.solved.insert(out.solved.end(), rows.begin(), rows.end());
        predict_stored(ctx, X, problem.V, rows.data(), e);
        out.predicted.insert(out.predicted.end(), e + first, e + first + count);
        solve_block(ctx, X, problem, 3, 7, e, rows.data());
        out.stepped.insert(out.stepped.end(), rows.begin(), rows.end());
        out.stepped.insert(out.stepped.end(), e + first, e + first + count);
    }
    out.product.resize(static_cast<std::size_t>(view.n * kRank));
    gather_rows(ctx, Codes<float, I>{view.indptr, view.indices, view.data, view.n},
                DenseView<float>{V.data(), view.d, kRank, kRank}, static_cast<const float*>(nullptr),
                out.product.data());
    return out;
}

template <class I>
void check_far(const Sparse<float>& X, const std::vector<I>& columns, int64_t before) {
    const Far<I> indices(before, columns);
    const Far<float> values(before, X.value), e(before, static_cast<int64_t>(X.value.size()));
    if (!indices.data() || !values.data() || !e.data()) return;  // no such address space
    std::vector<int64_t> indptr(X.indptr);
    for (int64_t& p : indptr) p += before;
    std::vector<float> near_e(X.value.size());
    for (const int threads : {1, 3}) NOTE("entries from " << before << " on, " << threads << " threads") {
            const Context ctx = context(available_isas().back(), threads);
            const Numbers wanted = results(
                ctx, CsrView<float, I>{X.indptr.data(), columns.data(), X.value.data(), X.n, X.d}, near_e.data());
            CHECK(results(ctx, CsrView<float, I>{indptr.data(), indices.data(), values.data(), X.n, X.d}, e.data()) ==
                  wanted);
        }
}

}  // namespace

TEST(entries_beyond_32_bits) {
    const Sparse<float> X = random_sparse<float>(11, 70, 40, 12, true);
    for (const int64_t before : {(int64_t{1} << 31) - 100, (int64_t{1} << 32) + 5}) {
        check_far(X, X.column32, before);
        check_far(X, X.column64, before);
    }
}

#endif
