// pointwise.cpp: gradient steps on pairs, in rounds of tasks that share no factor.
#include "latom/pointwise.h"

#include "algorithms/factorize/pair_losses.h"
#include "algorithms/factorize/pair_schedule.h"
#include "core/prefetch.h"
#include "kernels/table.h"

namespace latom {
namespace {

constexpr int64_t kAhead = 16;     // samples drawn, and their factors fetched, before they are worked on
constexpr int64_t kMeasured = 16;  // every so many samples the loss is taken
constexpr int kTries = 64;         // draws for a negative before it is left out: the row has nearly all columns

/// The words of a sample's stream, one after another.
class Words {
public:
    Words(const Philox& draws, int64_t sample)
        : draws_(&draws), counter_(static_cast<std::uint64_t>(sample) << 20), words_(draws.words(counter_)) {}
    std::uint32_t operator()() {
        if (at_ == 4) {
            words_ = draws_->words(++counter_);
            at_ = 0;
        }
        return words_[at_++];
    }

private:
    const Philox* draws_;
    std::uint64_t counter_;
    std::array<std::uint32_t, 4> words_;
    std::size_t at_ = 0;
};

struct Measure {
    double sum = 0;
    int64_t count = 0;
};

/// The work of one run of rows with one set of columns.
class Task {
public:
    Task(const KernelTable* kernels, const PairProblem& problem, PairSchedule& schedule, int64_t run, int64_t set)
        : kernels_(kernels),
          problem_(problem),
          pairs_(schedule.pairs()),
          samples_(schedule.samples(run, set)),
          rows_(schedule.rows(run)),
          columns_(schedule.columns(set)),
          columns_size_(schedule.columns_size(set)),
          index_(static_cast<std::size_t>(problem.negatives + 1)),
          score_(index_.size()),
          pull_(index_.size()),
          noise_(index_.size()),
          noise_pull_(index_.size()) {}

    Measure steps(std::uint64_t seed) {
        const Philox draws(seed, Purpose::kPair);
        for (int64_t first = samples_.first; first < samples_.last; first += kAhead) {
            const int64_t last = std::min(first + kAhead, samples_.last);
            draw(draws, first, last);
            for (int64_t t = first; t < last; ++t) {
                choose(pairs_[t], words_[t - first]);
                step(pairs_[t], t % kMeasured == 0);
            }
            if (first % 1024 < kAhead) poll();
        }
        return measure_;
    }

    /// Rel-MF: positives, and between them pairs without one, `total` in the epoch over all pairs, each of which counts
    /// for `times`.
    Measure relevance_steps(std::uint64_t seed, double total, double times, int64_t task) {
        times_ = times;
        const Philox draws(seed, Purpose::kPair), others(seed, Purpose::kUnlabelled);
        const double share = static_cast<double>(rows_.size()) / static_cast<double>(problem_.positives.n) *
                             static_cast<double>(columns_size_) / static_cast<double>(problem_.m);
        const auto count = static_cast<int64_t>(total * share);
        const int64_t positives = samples_.size();
        int64_t done = 0;
        for (int64_t first = 0; first < std::max<int64_t>(positives, 1); first += kAhead) {
            const int64_t last = std::min(first + kAhead, positives);
            draw(draws, samples_.first + first, samples_.first + last);
            for (int64_t t = first; t < last; ++t) {
                const Pair& pair = pairs_[samples_.first + t];
                relevance_step(pair.row, pair.column, pair.weight, 1, t % kMeasured == 0);
            }
            const int64_t until = positives ? count * last / positives : count;
            for (; done < until; ++done) unlabelled(Words(others, (task << 40) + done), done % kMeasured == 0);
            if (first % 1024 < kAhead) poll();
        }
        return measure_;
    }

private:
    /// Puts the pairs of samples [first, last) in an order by chance, and fetches their factors.
    void draw(const Philox& draws, int64_t first, int64_t last) {
        words_.clear();
        for (int64_t t = first; t < last; ++t) {
            Words& words = words_.emplace_back(draws, t);
            std::swap(pairs_[t], pairs_[t + scaled(words(), samples_.last - t)]);
            const int64_t row = pairs_[t].row, column = pairs_[t].column;
            const PairFactors& factors = problem_.signal;
            prefetch(factors.rows + row * factors.width, factors.width);
            prefetch(factors.columns + column * factors.width, factors.width);
            const int64_t begin = problem_.positives.indptr[row], end = problem_.positives.indptr[row + 1];
            __builtin_prefetch(problem_.positives.indices + (begin + end) / 2);
        }
    }

    bool has(int64_t row, int32_t column) const {
        const int32_t* at = problem_.positives.indices + problem_.positives.indptr[row];
        int64_t count = problem_.positives.indptr[row + 1] - problem_.positives.indptr[row];
        if (count == 0) return false;
        while (count > 1) {  // without a branch that depends on what is read
            const int64_t half = count / 2;
            at += at[half] <= column ? half : 0;
            count -= half;
        }
        return *at == column;
    }

    /// index_: the positive's column, then negatives; those that were not found are left out.
    void choose(const Pair& pair, Words& words) {
        index_[0] = pair.column;
        count_ = 1;
        for (int64_t c = 0; c < problem_.negatives; ++c)
            for (int tries = 0; tries < kTries; ++tries) {
                const int32_t column = columns_[scaled(words(), columns_size_)];
                if (has(pair.row, column)) continue;
                index_[count_++] = column;
                break;
            }
    }

    void step(const Pair& pair, bool measured) {
        if (count_ == 1) return;
        const PairFactors &signal = problem_.signal, &noise = problem_.noise;
        float* x = signal.rows + pair.row * signal.width;
        dots(signal, x, score_.data());
        float* a = nullptr;
        if (noise.rows) {
            a = noise.rows + pair.row * noise.width;
            dots(noise, a, noise_.data());
        }
        if (problem_.loss == PairLoss::kBpr) pairwise(measured);
        else pointwise(a != nullptr, measured);
        move(signal, x, pull_.data());
        if (a) move(noise, a, noise_pull_.data());
    }

    void pairwise(bool measured) {
        double first = 0;
        for (int64_t c = 1; c < count_; ++c) {
            const double margin = static_cast<double>(score_[0]) - static_cast<double>(score_[c]);
            const double pull = sigmoid(-margin);
            first += pull;
            pull_[c] = static_cast<float>(-pull * problem_.signal.rate);
            if (measured) note(log_loss(true, sigmoid(margin), 0));
        }
        pull_[0] = static_cast<float>(first * problem_.signal.rate);
    }

    void pointwise(bool noisy, bool measured) {
        for (int64_t c = 0; c < count_; ++c) {
            const double p = sigmoid(score_[c]), gamma = noisy ? sigmoid(noise_[c]) : 0;
            const double times = c ? 1 : static_cast<double>(count_ - 1);
            const Pull pull = c ? pull_of_negative(problem_.loss, p, gamma) : pull_of_positive(problem_.loss, p, gamma);
            pull_[c] = static_cast<float>(times * pull.signal * problem_.signal.rate);
            noise_pull_[c] = static_cast<float>(times * pull.noise * problem_.noise.rate);
            if (measured) note(log_loss(c == 0, p, gamma));
        }
    }

    void relevance_step(int64_t row, int32_t column, double a, double times, bool measured) {
        const PairFactors& signal = problem_.signal;
        float* x = signal.rows + row * signal.width;
        index_[0] = column;
        count_ = 1;
        dots(signal, x, score_.data());
        const double p = sigmoid(score_[0]);
        pull_[0] = static_cast<float>(times * pull_of_relevance(a, problem_.unlabelled, p) * signal.rate);
        move(signal, x, pull_.data());
        if (measured) note(times * relevance_loss(a, problem_.unlabelled, p));
    }

    void unlabelled(Words words, bool measured) {
        for (int tries = 0; tries < kTries; ++tries) {
            const int64_t row = rows_.first + scaled(words(), rows_.size());
            const int32_t column = columns_[scaled(words(), columns_size_)];
            if (has(row, column)) continue;
            return relevance_step(row, column, 0, times_, measured);
        }
    }

    void dots(const PairFactors& factors, const float* x, float* out) const {
        kernels_->f32_i32.dots_at(index_.data(), count_, count_, x, factors.columns, factors.width, out);
    }
    void move(const PairFactors& factors, float* x, const float* pull) const {
        kernels_->pull_rows(index_.data(), pull, count_, 1 - factors.rate * factors.decay, x, factors.columns,
                            factors.width);
    }
    void note(double loss) {
        measure_.sum += loss;
        ++measure_.count;
    }

    const KernelTable* kernels_;
    const PairProblem& problem_;
    Pair* pairs_;
    Span samples_, rows_;
    const int32_t* columns_;
    int64_t columns_size_, count_ = 0;
    std::vector<int32_t> index_;
    std::vector<float> score_, pull_, noise_, noise_pull_;
    std::vector<Words> words_;
    double times_ = 1;  // what a pair without a positive counts for
    Measure measure_;
};

}  // namespace

double pair_epoch(const Context& ctx, const PairProblem& problem, int64_t epoch) {
    const std::uint64_t seed = epoch_seed(ctx.seed, epoch);
    PairSchedule schedule(ctx, problem, seed);
    const int64_t parts = schedule.parts(), n = problem.positives.n;
    const auto nnz = static_cast<double>(problem.positives.indptr[n]);
    const double drawn = nnz * static_cast<double>(problem.negatives);
    const double without = static_cast<double>(n) * static_cast<double>(problem.m) - nnz;
    std::vector<Measure> measured(static_cast<std::size_t>(parts * parts));
    for (int64_t round = 0; round < parts; ++round)
        parallel_for(ctx, parts, [&](int64_t run, int) {
            const int64_t set = (run + round) % parts, at = run * parts + set;
            Task task(ctx.kernels, problem, schedule, run, set);
            measured[at] = problem.loss == PairLoss::kRelevance
                               ? task.relevance_steps(seed, drawn, without / std::max(drawn, 1.0), at)
                               : task.steps(seed);
        });
    Measure total;
    for (const Measure& part : measured) {
        total.sum += part.sum;
        total.count += part.count;
    }
    return total.count ? total.sum / static_cast<double>(total.count) : 0;
}

}  // namespace latom
