// block_lloyd.cpp: Lloyd's assignment on rows that come block by block.
//
// The selections of Lloyd (dense/dense_select.h, sparse/sparse_select.h) read the rows that they were made with. Here
// these are replaced block by block, and so is what is known of them; centers are taken once per pass. Rows are
// shortened only where one block has all of them. Others may give rows other labels, as where clusters stand empty:
// what is known here is of the labels given here, and stays true.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>

#include "algorithms/cluster/center_step.h"
#include "algorithms/cluster/dense/dense_select.h"
#include "algorithms/cluster/sparse/sparse_select.h"
#include "core/grouped.h"
#include "latom/shards.h"
#include "rows/row_reader.h"
#include "rows/rows.h"

namespace latom {
namespace {

template <class View>
class BlockRun final : public BlockLloyd<View> {
public:
    using T = typename View::value_type;

    BlockRun(int64_t n, Metric metric) : n_(n), metric_(metric) {
        const auto count = static_cast<std::size_t>(n);
        all_.label.assign(count, 0);
        all_.far.assign(count, -1.0f);
        if constexpr (!kIsSparse<View>) {
            all_.second.assign(count, -1);
            all_.near.assign(count, -1.0f);
            all_.pass.assign(count, 0);
            norm2_.resize(count);
        }
    }

    int64_t n() const override { return n_; }
    int64_t m() const override { return static_cast<int64_t>(atoms_.size()); }

    void set_centers(const Context& ctx, const Centers<T>& centers, int64_t d) override {
        const auto m = static_cast<int64_t>(centers.indptr.size()) - 1;
        const bool moved = !atoms_.empty();
        std::vector<AtomScratch<T>> scratch(static_cast<std::size_t>(workers(ctx, m)));
        atoms_.resize(static_cast<std::size_t>(m));
        drift_.assign(moved ? atoms_.size() : 0, 0.0);
        parallel_for(ctx, m, [&](int64_t j, int worker) {
            const int64_t from = centers.indptr[j], to = centers.indptr[j + 1];
            Atom<T> next;
            next.value.assign(centers.values.begin() + from, centers.values.begin() + to);
            if constexpr (kIsSparse<View>) {
                next.column.assign(centers.indices.begin() + from, centers.indices.begin() + to);
                drop_zeros(next);
            }
            next.norm2 = self_dot(ctx.kernels, next);
            if (moved) drift_[j] = measure_move(metric_, atoms_[j], next, d, scratch[worker]).drift;
            atoms_[j] = std::move(next);
        });
        known_ = passed_;
        prepared_ = false;
    }

    double assign(const Context& ctx, const Rows<View>& X, int64_t first, int32_t* labels, double* scores) override {
        rows_ = X;
        if (!select_) {
            LloydSwitches switches;
            switches.blocks = 0;
            switches.keep = false;
            if (X.n() < n_) switches.shorten = 0;
            select_.emplace(*rows_, metric_, switches);
        }
        // An index of centers for rows without negative numbers fits no others.
        if (!prepared_ || (kIsSparse<View> && non_negative_ && !X.non_negative())) {
            select_->prepare(ctx, atoms_, drift_);
            non_negative_ = X.non_negative();
            prepared_ = true;
        }
        each_known(
            [&](auto& all, auto& of_block) { of_block.assign(all.begin() + first, all.begin() + first + X.n()); });
        block_.own.resize(static_cast<std::size_t>(X.n()));
        double products;
        if constexpr (kIsSparse<View>) {
            begin_ = group_rows(ctx, rows_->n(), m(), block_.label.data(), by_label_);
            if (known_ && !select_->scores_all()) score_own(ctx);
            products = select_->run(ctx, by_label_, known_, block_);
        } else {
            products = select_->run(ctx, known_, true, block_);
        }
        if (select_->leaves_scores()) select_->add_scores(ctx, block_);
        each_known(
            [&](auto& all, auto& of_block) { std::copy(of_block.begin(), of_block.end(), all.begin() + first); });
        passed_ = true;
        for (int64_t i = 0; i < X.n(); ++i) {
            if constexpr (!kIsSparse<View>) norm2_[first + i] = X.norm2(i);
            labels[i] = block_.label[i];
            scores[i] = score(block_.own[i], X.norm2(i));
        }
        return products;
    }

    double assign_again(const Context& ctx, const View& X, int64_t first, int32_t* labels, double* scores) override {
        if constexpr (kIsSparse<View>) {
            return assign(ctx, Rows<View>(ctx, X), first, labels, scores);
        } else {
            auto norm2 = std::make_shared<std::vector<double>>(static_cast<std::size_t>(X.n));
            RowReader<T>::measure(ctx, X, norm2->data());
            for (int64_t i = 0; i < X.n; ++i)
                if ((*norm2)[i] != norm2_[first + i])
                    fail(ctx, "X must hold the same rows whenever it is read",
                         "another row " + std::to_string(first + i), "Leave it as it is during a fit.");
            return assign(ctx, Rows<View>(ctx, X, std::move(norm2), false), first, labels, scores);
        }
    }

    bool passed() const override { return known_; }

    void add(const Context& ctx, const double* weights, const LabelChange& change, const SumBounds& bounds,
             int64_t* sum, int64_t* weight) const override {
        if constexpr (kIsSparse<View>) throw std::logic_error("BlockLloyd::add: of dense rows alone");
        else add_parts(ctx, *rows_, weights, change, m(), metric_, bounds, sum, weight);
    }

private:
    // Each array of what is known from pass to pass, with that of the block.
    template <class F>
    void each_known(F f) {
        f(all_.label, block_.label);
        f(all_.far, block_.far);
        if constexpr (!kIsSparse<View>) {
            f(all_.second, block_.second);
            f(all_.near, block_.near);
            f(all_.pass, block_.pass);
        }
    }

    // Scores of sparse rows with their own centers, each of which is laid out once.
    void score_own(const Context& ctx) {
        const int64_t d = rows_->d();
        std::vector<AtomScratch<T>> scratch(static_cast<std::size_t>(workers(ctx, m())));
        parallel_for(ctx, m(), [&](int64_t j, int worker) {
            if (begin_[j] == begin_[j + 1]) return;
            const Atom<T>& atom = atoms_[j];
            const T* dense = scratch[worker].load(atom, d);
            const double inverse = atom.norm2 > 0 ? 1 / std::sqrt(atom.norm2) : 0.0;
            for (int64_t r = begin_[j]; r < begin_[j + 1]; ++r) {
                const int64_t i = by_label_[r];
                const double dot = rows_->norm2(i) > 0 ? rows_->dot(i, dense) : 0.0;
                block_.own[i] = metric_ == Metric::kCosine ? dot * inverse : dot + -0.5 * atom.norm2;
            }
            scratch[worker].clear();
        });
    }

    double score(double own, double norm2) const {
        if (metric_ == Metric::kEuclidean) return -std::max(0.0, norm2 - 2 * own);
        return norm2 > 0 ? std::clamp(own / std::sqrt(norm2), -1.0, 1.0) : 0.0;
    }

    int64_t n_;
    Metric metric_;
    RowState all_, block_;       // own of the block alone
    std::vector<double> norm2_;  // [n]
    std::vector<Atom<T>> atoms_;
    std::vector<double> drift_;
    std::vector<int64_t> by_label_, begin_;  // of the block
    bool passed_ = false, known_ = false, prepared_ = false, non_negative_ = true;
    std::optional<Rows<View>> rows_;  // of the block
    std::optional<std::conditional_t<kIsSparse<View>, SparseSelect<View>, DenseSelect<View>>> select_;
};

}  // namespace

template <class View>
std::unique_ptr<BlockLloyd<View>> make_block_lloyd(int64_t n, Metric metric) {
    return std::make_unique<BlockRun<View>>(n, metric);
}

template std::unique_ptr<BlockLloyd<DenseView<float>>> make_block_lloyd(int64_t, Metric);
template std::unique_ptr<BlockLloyd<DenseView<double>>> make_block_lloyd(int64_t, Metric);
template std::unique_ptr<BlockLloyd<CsrView<float, int32_t>>> make_block_lloyd(int64_t, Metric);
template std::unique_ptr<BlockLloyd<CsrView<double, int32_t>>> make_block_lloyd(int64_t, Metric);

}  // namespace latom
