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

/// Which columns of one set the rows of one run have: few enough to stay in the cache, unlike the rows themselves.
class HeldColumns {
public:
    /// Before the pairs are shuffled.
    HeldColumns(PairSchedule& schedule, int64_t run, int64_t set) : first_(schedule.rows(run).first) {
        const Span at = schedule.samples(run, set);
        start_.resize(static_cast<std::size_t>(schedule.rows(run).size()) + 1);
        columns_.resize(static_cast<std::size_t>(at.size()));
        const Pair* pairs = schedule.pairs() + at.first;
        int64_t row = 0;
        for (int64_t t = 0; t < at.size(); ++t) {
            while (row < pairs[t].row - first_) start_[++row] = t;
            columns_[t] = pairs[t].column;
        }
        while (row < static_cast<int64_t>(start_.size()) - 1) start_[++row] = at.size();
    }

    bool operator()(int64_t row, int32_t column) const {
        const int64_t begin = start_[row - first_];
        int64_t count = start_[row - first_ + 1] - begin;
        if (count == 0) return false;
        const int32_t* at = columns_.data() + begin;
        while (count > 1) {  // without a branch that depends on what is read
            const int64_t half = count / 2;
            at += at[half] <= column ? half : 0;
            count -= half;
        }
        return *at == column;
    }

private:
    int64_t first_;
    std::vector<int64_t> start_;
    std::vector<int32_t> columns_;
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
          held_(schedule, run, set),
          columns_(schedule.columns(set)),
          columns_size_(schedule.columns_size(set)),
          chosen_(static_cast<std::size_t>(kAhead * (problem.negatives + 1))),
          score_(static_cast<std::size_t>(problem.negatives + 1)),
          pull_(score_.size()),
          noise_(score_.size()),
          noise_pull_(score_.size()) {}

    Measure steps(std::uint64_t seed) {
        const Philox draws(seed, Purpose::kPair);
        draw(draws, samples_.first);
        for (int64_t first = samples_.first; first < samples_.last; first += kAhead) {
            const int64_t last = shuffle(draws, first);
            for (int64_t t = first; t < last; ++t) choose(pairs_[t], words_[t - first], t - first);
            for (int64_t t = first; t < last; ++t) step(pairs_[t], t - first, t % kMeasured == 0);
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
        draw(draws, samples_.first);
        for (int64_t first = 0; first < std::max<int64_t>(positives, 1); first += kAhead) {
            const int64_t last = std::min(first + kAhead, positives);
            shuffle(draws, samples_.first + first);
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
    /// The words of the samples from `first` on, and fetches the pairs that these trade places with.
    void draw(const Philox& draws, int64_t first) {
        next_.clear();
        for (int64_t t = first; t < std::min(first + kAhead, samples_.last); ++t) {
            Words& words = next_.emplace_back(draws, t);
            partner_[t - first] = t + scaled(words(), samples_.last - t);
            __builtin_prefetch(pairs_ + partner_[t - first]);
        }
    }

    /// Puts the pairs of the samples that were drawn, from `first` on, in their places, and fetches their factors;
    /// draws those that follow. Returns the end.
    int64_t shuffle(const Philox& draws, int64_t first) {
        const int64_t last = std::min(first + kAhead, samples_.last);
        for (int64_t t = first; t < last; ++t) {
            std::swap(pairs_[t], pairs_[partner_[t - first]]);
            fetch(problem_.signal, pairs_[t]);
            if (problem_.noise.rows) fetch(problem_.noise, pairs_[t]);
        }
        std::swap(words_, next_);
        draw(draws, last);
        return last;
    }

    static void fetch(const PairFactors& factors, const Pair& pair) {
        prefetch(factors.rows + pair.row * factors.width, factors.width);
        prefetch(factors.columns + pair.column * factors.width, factors.width);
    }

    /// The positive's column, then negatives; those that were not found are left out.
    void choose(const Pair& pair, Words& words, int64_t place) {
        int32_t* index = index_of(place);
        int64_t count = 0;
        index[count++] = pair.column;
        for (int64_t c = 0; c < problem_.negatives; ++c)
            for (int tries = 0; tries < kTries; ++tries) {
                const int32_t column = columns_[scaled(words(), columns_size_)];
                if (held_(pair.row, column)) continue;
                prefetch(problem_.signal.columns + column * problem_.signal.width, problem_.signal.width);
                index[count++] = column;
                break;
            }
        counts_[place] = count;
    }
    int32_t* index_of(int64_t place) { return chosen_.data() + place * (problem_.negatives + 1); }

    void step(const Pair& pair, int64_t place, bool measured) {
        index_ = index_of(place);
        count_ = counts_[place];
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
        index_ = index_of(0);
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
            if (held_(row, column)) continue;
            return relevance_step(row, column, 0, times_, measured);
        }
    }

    void dots(const PairFactors& factors, const float* x, float* out) const {
        kernels_->f32_i32.dots_at(index_, count_, count_, x, factors.columns, factors.width, out);
    }
    void move(const PairFactors& factors, float* x, const float* pull) const {
        const float keep = 1 - factors.rate * factors.decay;
        if (problem_.fixed_columns) {
            for (int64_t t = 0; t < factors.width; ++t) x[t] *= keep;
            kernels_->f32_i32.gather_add(index_, pull, count_, 0, factors.columns, factors.width, factors.width, x);
        } else {
            kernels_->pull_rows(index_, pull, count_, keep, x, factors.columns, factors.width);
        }
        if (factors.ones >= 0) x[factors.ones] = 1;
    }
    void note(double loss) {
        measure_.sum += loss;
        ++measure_.count;
    }

    const KernelTable* kernels_;
    const PairProblem& problem_;
    Pair* pairs_;
    Span samples_, rows_;
    HeldColumns held_;
    const int32_t* columns_;
    int64_t columns_size_, count_ = 0;
    std::vector<int32_t> chosen_;  // columns of the samples drawn
    int32_t* index_ = nullptr;     // those of the sample at work
    int64_t counts_[kAhead], partner_[kAhead];
    std::vector<float> score_, pull_, noise_, noise_pull_;
    std::vector<Words> words_, next_;
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
