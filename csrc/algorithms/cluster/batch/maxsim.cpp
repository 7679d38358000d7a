// maxsim.cpp: late interaction: documents by the sum, over the rows of a query, of the largest product with one of
// theirs.
//
// A screen in float32 takes the rows of a document against all rows of some queries at once. A float32 product in any
// order is off by at most gamma |q| |t|, gamma = (d + 8) 2^-24 (1 + 1%), so the sum of a query's largest products is
// off by at most gamma sum |q| times the longest row of the document; numbers are divided by powers of two first, so
// that none overflows. Documents whose upper bound reaches the k-th highest lower bound are scored in float64.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/buffer.h"
#include "latom/batch.h"
#include "rows/row_reader.h"

namespace latom {
namespace {

/// Rows and their lengths, read whole: queries.
template <class T>
struct QueryRows {
    typename RowReader<T>::Block block;
    std::vector<double> length;
};

/// The power of two that brings lengths up to `longest` below 1.
double shrink(double longest) { return longest > 0 ? std::ldexp(1.0, -(std::ilogb(longest) + 1)) : 1.0; }

template <class T>
class LateInteraction {
public:
    LateInteraction(const Context& ctx, const StoredRows& Q, const int64_t* query_offsets, const StoredRows& D,
                    const int64_t* document_offsets, int64_t documents)
        : ctx_(ctx),
          d_(Q.d),
          documents_(documents),
          q_(query_offsets),
          at_(document_offsets),
          query_reader_(ctx.kernels, Q),
          reader_(ctx.kernels, D) {}

    /// Queries [from, to): their k best each.
    void search(int64_t from, int64_t to, int64_t k, double* scores, int64_t* indices) {
        read_queries(from, to);
        const int64_t some = to - from;
        lower_.resize(static_cast<std::size_t>(some * documents_));
        upper_.resize(lower_.size());
        screen(from, some);
        reader_.check(ctx_);
        parallel_for(ctx_, some, [&](int64_t s, int) { choose(from, s, k, scores + s * k, indices + s * k); });
    }

private:
    static constexpr int64_t kLanes = 16;

    void read_queries(int64_t from, int64_t to) {
        first_ = q_[from];
        rows_ = q_[to] - first_;
        std::vector<int64_t> which(static_cast<std::size_t>(rows_));
        std::iota(which.begin(), which.end(), first_);
        query_reader_.read(which, queries_.block);
        query_reader_.check(ctx_);
        queries_.length.resize(which.size());
        double longest = 0;
        for (int64_t r = 0; r < rows_; ++r) {
            queries_.length[r] = std::sqrt(queries_.block.norm2[r]);
            longest = std::max(longest, queries_.length[r]);
        }
        query_scale_ = shrink(longest);
        width_ = chunk_count(std::max<int64_t>(rows_, 1), kLanes) * kLanes;
        packed_.assign(static_cast<std::size_t>(d_ * width_), 0.0f);
        for (int64_t r = 0; r < rows_; ++r)
            for (int64_t t = 0; t < d_; ++t)
                packed_[t * width_ + r] = static_cast<float>(queries_.block.row[r][t] * query_scale_);
    }

    struct Scratch {
        std::vector<int64_t> which;
        typename RowReader<T>::Block block;
        AlignedVector<float> rows, products, most;
    };

    void screen(int64_t from, int64_t some) {
        std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx_, documents_)));
        parallel_for(ctx_, documents_, [&](int64_t document, int worker) {
            Scratch& s = scratch[worker];
            const int64_t n = at_[document + 1] - at_[document];
            double longest = 0;
            if (n > 0) {
                read(document, s);
                for (const double v : s.block.norm2) longest = std::max(longest, std::sqrt(v));
                multiply(n, shrink(longest), s);
            }
            const double unit = query_scale_ * shrink(longest);
            const double gamma = (static_cast<double>(d_) + 8) * 0x1p-24 * 1.01;
            for (int64_t query = 0; query < some; ++query) {
                double sum = 0, lengths = 0;
                for (int64_t r = q_[from + query] - first_; n > 0 && r < q_[from + query + 1] - first_; ++r) {
                    sum += static_cast<double>(s.most[r]);
                    lengths += queries_.length[r];
                }
                // Numbers that vanish in float32 are below 2^-126 of 1.
                const double error = gamma * lengths * longest +
                                     (static_cast<double>(d_ * rows_) * 0x1p-120 + 1e-15 * std::abs(sum)) / unit;
                const int64_t p = query * documents_ + document;
                lower_[p] = sum / unit - error;
                upper_[p] = sum / unit + error;
            }
        });
    }

    void read(int64_t document, Scratch& s) const {
        s.which.resize(static_cast<std::size_t>(at_[document + 1] - at_[document]));
        std::iota(s.which.begin(), s.which.end(), at_[document]);
        reader_.read(s.which, s.block);
    }

    // The largest product of each query row with the n rows of a document.
    void multiply(int64_t n, double scale, Scratch& s) const {
        constexpr int64_t kRows = 64;
        s.most.assign(static_cast<std::size_t>(width_), -HUGE_VALF);
        s.rows.resize(static_cast<std::size_t>(kRows * d_));
        s.products.resize(static_cast<std::size_t>(kRows * width_));
        for (int64_t from = 0; from < n; from += kRows) {
            const int64_t count = std::min(kRows, n - from);
            for (int64_t r = 0; r < count; ++r)
                for (int64_t t = 0; t < d_; ++t)
                    s.rows[r * d_ + t] = static_cast<float>(s.block.row[from + r][t] * scale);
            ctx_.kernels->f32.small_product(s.rows.data(), count, d_, packed_.data(), width_, s.products.data());
            for (int64_t r = 0; r < count; ++r) {
                const float* product = s.products.data() + r * width_;
                float* most = s.most.data();
                for (int64_t c = 0; c < width_; ++c) most[c] = most[c] < product[c] ? product[c] : most[c];
            }
            poll();
        }
    }

    double exact(int64_t query, int64_t document, Scratch& s) const {
        const int64_t n = at_[document + 1] - at_[document];
        if (n == 0) return 0;
        read(document, s);
        double sum = 0;
        std::vector<const T*> y(static_cast<std::size_t>(n));
        std::vector<double> dot(static_cast<std::size_t>(n));
        for (int64_t r = q_[query] - first_; r < q_[query + 1] - first_; ++r) {
            std::fill(y.begin(), y.end(), queries_.block.row[r]);
            ctx_.kernels->of<T>().dense_dots(s.block.row.data(), y.data(), n, d_, dot.data());
            sum += *std::max_element(dot.begin(), dot.end());
        }
        return sum;
    }

    void choose(int64_t from, int64_t s, int64_t k, double* scores, int64_t* indices) const {
        const double *lower = lower_.data() + s * documents_, *upper = upper_.data() + s * documents_;
        std::vector<double> best(lower, lower + documents_);
        std::nth_element(best.begin(), best.begin() + (k - 1), best.end(), std::greater<>());
        std::vector<std::pair<double, int64_t>> left;
        Scratch scratch;
        for (int64_t c = 0; c < documents_; ++c)
            if (upper[c] >= best[k - 1]) {
                left.emplace_back(-exact(from + s, c, scratch), c);
                poll();
            }
        std::partial_sort(left.begin(), left.begin() + k, left.end());
        for (int64_t p = 0; p < k; ++p) {
            scores[p] = 0 - left[p].first;  // not -0
            indices[p] = left[p].second;
        }
    }

    const Context& ctx_;
    int64_t d_, documents_, first_ = 0, rows_ = 0, width_ = 0;
    const int64_t *q_, *at_;
    double query_scale_ = 1;
    RowReader<T> query_reader_, reader_;
    QueryRows<T> queries_;
    AlignedVector<float> packed_;
    std::vector<double> lower_, upper_;
};

}  // namespace

template <class T>
void maxsim(const Context& ctx, const StoredRows& Q, const int64_t* query_offsets, int64_t queries, const StoredRows& D,
            const int64_t* document_offsets, int64_t documents, int64_t k, double* scores, int64_t* indices) {
    constexpr int64_t kRows = 512;  // of queries that are screened together
    LateInteraction<T> run(ctx, Q, query_offsets, D, document_offsets, documents);
    for (int64_t from = 0; from < queries;) {
        int64_t to = from + 1;
        while (to < queries && query_offsets[to + 1] - query_offsets[from] <= kRows) ++to;
        run.search(from, to, k, scores + from * k, indices + from * k);
        from = to;
    }
}

template void maxsim<float>(const Context&, const StoredRows&, const int64_t*, int64_t, const StoredRows&,
                            const int64_t*, int64_t, int64_t, double*, int64_t*);
template void maxsim<double>(const Context&, const StoredRows&, const int64_t*, int64_t, const StoredRows&,
                             const int64_t*, int64_t, int64_t, double*, int64_t*);

}  // namespace latom
