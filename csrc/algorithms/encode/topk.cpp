// topk.cpp: which way a call takes: all scores in float64, or a fine screen of the atoms, or a coarse one before it.
#include "latom/encode.h"

#include <numeric>

#include "algorithms/encode/pairing.h"
#include "algorithms/encode/screened_topk.h"
#include "core/same_bytes.h"
#include "core/turns.h"
#include "engines/product_select/first_two.h"

namespace latom {
namespace {

// A fixed order in which runs of atoms that were neighbors lie far apart: atoms sorted by their score would raise each
// threshold m times. The runs stay whole, as memory is read faster in order.
std::vector<int32_t> scattered(int64_t m) {
    const int64_t runs = chunk_count(m, kAtomRun);
    int64_t step = static_cast<int64_t>(0.6180339887 * static_cast<double>(runs)) | 1;
    while (std::gcd(step, runs) > 1) step += 2;
    std::vector<int32_t> order;
    order.reserve(static_cast<std::size_t>(m));
    for (int64_t i = 0, run = 0; i < runs; ++i, run = (run + step) % runs)
        for (int64_t j = run * kAtomRun; j < std::min(m, (run + 1) * kAtomRun); ++j)
            order.push_back(static_cast<int32_t>(j));
    return order;
}

template <class T>
class Index final : public AtomIndex<T> {
public:
    Index(const Context& ctx, const DenseView<T>& atoms, const double* bias, Similarity similarity, Screen screen,
          Pairing pairing)
        : scores_(atoms, bias, similarity), screen_(screen), pairing_(pairing) {
        if (m() < 1 || m() > std::numeric_limits<int32_t>::max() - 64)
            fail(ctx, "atoms must have at least one and fewer than 2^31 rows", m(), "Split them.");
        if (d() < 1) fail(ctx, "atoms must have at least one column", d(), "Drop them.");
        if (bias && similarity != Similarity::kDot)
            fail(ctx, "bias must be left out unless metric is 'dot'", "a bias", "Use metric='dot', or no bias.");
        for (int64_t j = 0; bias && j < m(); ++j)
            if (!std::isfinite(bias[j]))
                fail(ctx, "bias must be finite", "NaN or infinity at " + std::to_string(j), "Drop that atom.");
    }

    int64_t m() const override { return scores_.m(); }
    int64_t d() const override { return scores_.d(); }
    void pack(const Context& ctx) override { keep(ctx, measured(ctx)); }

    TopKStats topk(const Context& ctx, const StoredRows& X, int64_t k, Rank rank, const Thresholds& thresholds,
                   T* score, int32_t* index, int64_t* found) override {
        const RowReader<T> reader(ctx.kernels, X);
        return answer({ctx, X, reader, k, rank, thresholds, score, index, found});
    }
    TopKStats topk_without(const Context& ctx, const StoredRows& X, int64_t k, const Pattern<int32_t>& without,
                           T* score, int32_t* index) override {
        const RowReader<T> reader(ctx.kernels, X);
        return answer({ctx, X, reader, k, Rank::kScore, {}, score, index, nullptr, nullptr, &without});
    }
    TopKStats nearest(const Context& ctx, const StoredRows& X, double* score, int32_t* label) override {
        const RowReader<T> reader(ctx.kernels, X);
        if (!score && X.d == d())
            if (const Measured& known = measured(ctx); known.two) return label_few(ctx, X, reader, known, label);
        return answer({ctx, X, reader, 1, Rank::kScore, {}, nullptr, label, nullptr, score});
    }

private:
    TopKStats answer(const TopKJob<T>& job) {
        const Context& ctx = job.ctx;
        const StoredRows& X = job.X;
        const int64_t k = job.k;
        if (X.d != d())
            fail(ctx, "X must have as many columns as atoms, " + std::to_string(d()), X.d,
                 "Pass rows of the features that the atoms have.");
        if (k < 1 || k > m()) fail(ctx, "k must lie in [1, " + std::to_string(m()) + "]", k, "Ask for fewer atoms.");
        TopKStats stats;
        // Below these sizes float64 scores of all atoms cost less than packing them, or too few can be discarded.
        const bool few = reused() ? X.n == 1 && m() * d() < kFewNumbers : X.n <= kFewRows;
        const bool forced = pairing_ == Pairing::kAlways && atoms_are(job);
        if (!forced && (few || 4 * k > m() || d() > kMostColumns)) {
            const AtomScores<T>& scores = scores_.similarity() == Similarity::kDot ? scores_ : measured(ctx).scores;
            if (!all(job, scores, stats) && job.reader.sound()) measured(ctx);  // names the atom that is not finite
        } else {
            stats = screened(job);
        }
        job.reader.check(ctx);
        return stats;
    }

    using RowList = typename ScreenedTopK<T>::RowList;
    using Panels = std::shared_ptr<AtomPanels<T>>;
    /// What the lengths of the atoms tell, which are known to be acceptable.
    struct Measured {
        std::vector<double> norm2;
        AtomScores<T> scores;
        Panels panels;
        std::unique_ptr<FirstTwo<T>> two;  // where atoms are few
    };
    static constexpr int64_t kFewLabels = 128;  // atoms up to which labels alone come from float32
    static constexpr int64_t kFewRows = 6, kFewNumbers = 1 << 22, kMostColumns = 1 << 20;
    static constexpr int64_t kMostRows = 1024, kLeastRows = 64;                            // of a block
    static constexpr int64_t kCandidateBytes = 16 << 20;                                   // of a block
    static constexpr int64_t kCoarseAtoms = 2048, kCoarseRows = 128, kCoarseColumns = 12;  // below, int8 is not tried
    static constexpr int64_t kExamples = 28;    // rows that are decided first
    static constexpr int64_t kCandidate = 128;  // atoms on which int8 saves what a float64 score costs; by measurement
    static constexpr int64_t kReading = 8;      // rows below which it saves the reading of atoms, whatever their number

    const Measured& measured(const Context& ctx) {
        return measured_.get(ctx, [&] {
            std::vector<double> norm2(static_cast<std::size_t>(m()));
            const DenseView<T>& atoms = scores_.atoms();
            RowReader<T>::measure(ctx, atoms, norm2.data());
            for (int64_t j = 0; j < m(); ++j)
                if (!acceptable(atoms.row(j), d(), norm2[j])) refuse_row(ctx, "atoms", j, atoms.row(j), d());
            auto made = std::make_unique<Measured>(Measured{std::move(norm2), scores_, nullptr, nullptr});
            made->scores.set_lengths(made->norm2);
            made->panels = panels(ctx, *made, screen_);
            if (auto two = std::make_unique<FirstTwo<T>>();
                m() <= kFewLabels && two->pack(ctx.kernels, rows_of_atoms(), d(), made->norm2, made->scores.rule()))
                made->two = std::move(two);
            return made;
        });
    }
    Panels panels(const Context& ctx, const Measured& of, Screen screen) const {
        return std::make_shared<AtomPanels<T>>(ctx, rows_of_atoms(), d(), of.norm2, of.scores.factor(),
                                               of.scores.bias(), scattered(m()), screen);
    }
    std::vector<const T*> rows_of_atoms() const {
        std::vector<const T*> rows(static_cast<std::size_t>(m()));
        for (int64_t j = 0; j < m(); ++j) rows[j] = scores_.atoms().row(j);
        return rows;
    }
    // Whether few rows, too, find the atoms packed, or should from now on.
    bool reused() const {
        const Measured* known = measured_.get();
        return known && (known->panels->kept() || coarse());
    }
    // Whoever does not get a turn packs for itself as it scans.
    void keep(const Context& ctx, const Measured& known) {
        if (known.panels->kept()) return;
        if (const Turn turn(ctx, packing_); turn.taken()) known.panels->keep(ctx);
    }

    TopKStats screened(const TopKJob<T>& job) {
        const int64_t n = job.X.n, threads = job.ctx.n_threads;
        const int64_t fit = kCandidateBytes / (12 * RowBlock<T>::capacity(job.k, coarse_room()));
        const int64_t rows =
            std::clamp(chunk_count(n, 2 * threads), kLeastRows, std::clamp(fit, kLeastRows, kMostRows));
        const int64_t blocks = chunk_count(n, rows);
        const bool paired = pairs_pay(job);
        if (!paired && blocks == 1 && scores_.similarity() == Similarity::kDot && !measured_.get()) {
            ScreenedTopK<T> run(job, scores_, idle_);
            const AtomPanels<T> once(job.ctx, rows_of_atoms(), d(), {}, {}, scores_.bias(), scattered(m()), screen_);
            run.expect();  // no list comes after these that they could tell of
            run.decide_sliced(once, lists(n, rows, {})[0], true, 0);
            if (once.sound()) return run.stats();
        }
        const Measured& known = measured(job.ctx);
        const AtomPanels<T>& panels = *known.panels;
        ScreenedTopK<T> run(job, known.scores, idle_);
        if (!paired && blocks < threads) {
            run.expect();  // no list comes after these that they could tell of
            const bool again = reused();
            Panels coarse = again ? coarse_panels(job, known) : nullptr;
            for (RowList& list : lists(n, rows, {})) {
                if (coarse) {
                    list = run.decide_sliced(*coarse, list, false, coarse_room());
                    if (unlucky(too_many(job, run.stats().scored, static_cast<int64_t>(list.size()), n)))
                        coarse = give_up_coarse();
                }
                if (list.empty()) continue;
                if (blocks > 1 || again) keep(job.ctx, known);
                run.decide_sliced(panels, list, true, 0);
            }
            return run.stats();
        }

        Panels coarse = n >= kCoarseRows ? coarse_panels(job, known) : nullptr;
        if (!coarse) keep(job.ctx, known);
        RowList examples, left;
        for (int64_t e = 0; n >= kCoarseRows && e < kExamples; ++e) examples.push_back(e * n / kExamples);
        if (!examples.empty())
            left = run.decide_sliced(coarse ? *coarse : panels, examples, !coarse, coarse ? coarse_room() : 0);
        if (coarse && too_many(job, run.stats().scored, static_cast<int64_t>(left.size()), kExamples))
            coarse = give_up_coarse();
        run.expect();
        std::vector<RowList> every;
        const AtomPanels<T>& first = coarse ? *coarse : panels;
        if (RowList some; paired && first.kept() && run.decide_pairs(first, some)) {
            left.clear();  // the examples are among all
            every = parts(some, std::clamp(chunk_count(static_cast<int64_t>(some.size()), threads), kLeastRows, rows));
        } else {
            every = lists(n, rows, examples);
        }
        if (coarse) {
            every = run.decide(*coarse, every, false, coarse_room());
            int64_t undecided = static_cast<int64_t>(left.size());
            for (const RowList& list : every) undecided += static_cast<int64_t>(list.size());
            if (too_many(job, run.stats().scored, undecided, n)) give_up_coarse();
        }
        if (!left.empty()) every.push_back(left);
        if (!every.empty()) {
            keep(job.ctx, known);
            run.decide(panels, every, true, 0);
        }
        return run.stats();
    }

    // All rows but those of `without`, which rise, in lists of so many.
    static std::vector<RowList> lists(int64_t n, int64_t rows, const RowList& without) {
        std::vector<RowList> out;
        for (int64_t first = 0; first < n; first += rows) {
            RowList& list = out.emplace_back(static_cast<std::size_t>(std::min(rows, n - first)));
            std::iota(list.begin(), list.end(), first);
            std::erase_if(list, [&](int64_t i) { return std::binary_search(without.begin(), without.end(), i); });
            if (list.empty()) out.pop_back();
        }
        return out;
    }

    static std::vector<RowList> parts(const RowList& which, int64_t rows) {
        std::vector<RowList> out;
        const auto count = static_cast<int64_t>(which.size());
        for (int64_t from = 0; from < count; from += rows)
            out.emplace_back(which.begin() + from, which.begin() + std::min(count, from + rows));
        return out;
    }

    // Whether the rows of X are the atoms, in a way that pairs can be screened: both sides of one are scaled alike.
    bool atoms_are(const TopKJob<T>& job) {
        const DenseView<T>& atoms = scores_.atoms();
        if (job.X.storage != Storage::kNative || job.X.n != m() || job.rank != Rank::kScore || job.without)
            return false;
        if (atoms.stride != d()) return false;
        if (job.X.data != atoms.data &&
            !same_bytes(job.ctx, job.X.data, atoms.data, m() * d() * static_cast<int64_t>(sizeof(T))))
            return false;
        const Measured& known = measured(job.ctx);
        return known.scores.bias().empty() || biases_follow(known.norm2);
    }
    bool pairs_pay(const TopKJob<T>& job) {
        const bool wanted = pairing_ == Pairing::kAuto ? pairs_fit<T>(m(), d(), job.k) : pairing_ == Pairing::kAlways;
        return wanted && atoms_are(job);
    }

    // Atoms in int8, packed, or null where they are known not to pay, or a frame below is packing them.
    Panels coarse_panels(const TopKJob<T>& job, const Measured& known) {
        if (coarse_fails_.load(std::memory_order_relaxed) || screen_ != Screen::kAuto || m() < kCoarseAtoms ||
            d() < kCoarseColumns || !has_coarse_screen(job.ctx.kernels, d()))
            return nullptr;
        if (Panels packed = coarse()) return packed;
        const Turn turn(job.ctx, packing_);
        if (!turn.taken()) return nullptr;
        if (Panels packed = coarse()) return packed;
        Panels packed = panels(job.ctx, known, Screen::kInt8);
        packed->keep(job.ctx);
        set_coarse(packed);
        return packed;
    }
    Panels give_up_coarse() {
        coarse_fails_.store(true, std::memory_order_relaxed);
        set_coarse(nullptr);
        return nullptr;
    }
    // Whether 8 bits have failed so often for few rows at a time that they are not worth another try.
    bool unlucky(bool failed) {
        if (!failed) {
            if (failures_.load(std::memory_order_relaxed) > 0) failures_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        return failures_.fetch_add(4, std::memory_order_relaxed) > 16;
    }
    Panels coarse() const {
        const std::lock_guard<std::mutex> lock(brief_lock());
        return coarse_;
    }
    void set_coarse(Panels panels) {
        const std::lock_guard<std::mutex> lock(brief_lock());
        coarse_.swap(panels);  // what was there is freed outside of the lock
    }
    // Whether a fine screen of n rows would have been faster: so many were scored in float64, or left after a screen in
    // vain.
    bool too_many(const TopKJob<T>& job, int64_t scored, int64_t left, int64_t n) const {
        const int64_t saved = m() * std::max<int64_t>(1, kReading / n) / kCandidate;  // per row
        return scored + left * (job.k + 2 * saved) > n * (job.k + saved);
    }
    int64_t coarse_room() const { return std::clamp<int64_t>(m() / 32, 256, 1024); }

    // The best of few atoms for each row: float32 tells most of them.
    TopKStats label_few(const Context& ctx, const StoredRows& X, const RowReader<T>& reader, const Measured& known,
                        int32_t* label) const {
        constexpr int64_t kRows = 64;
        struct Worker {
            RowList which;
            typename RowReader<T>::Block rows;
            typename FirstTwo<T>::Scratch scratch;
            std::vector<typename FirstTwo<T>::Lead> lead;
            std::vector<double> scores;
            int64_t scored = 0;
        };
        Context few = ctx;
        few.n_threads = static_cast<int>(std::clamp<int64_t>((X.n * m() * d()) >> 19, 1, ctx.n_threads));
        const int64_t chunks = chunk_count(X.n, kRows);
        std::vector<Worker> workers_of(static_cast<std::size_t>(workers(few, chunks)));
        parallel_for(few, chunks, [&](int64_t c, int id) {
            Worker& w = workers_of[id];
            const int64_t first = c * kRows, count = std::min(kRows, X.n - first);
            w.which.resize(static_cast<std::size_t>(count));
            std::iota(w.which.begin(), w.which.end(), first);
            reader.read(w.which, w.rows);
            w.lead.resize(w.which.size());
            known.two->run(w.rows.row.data(), w.rows.norm2.data(), count, w.scratch, w.lead.data());
            for (int64_t r = 0; r < count; ++r) {
                label[first + r] = w.lead[r].atom;
                if (w.lead[r].sure) continue;
                w.scores.resize(static_cast<std::size_t>(m()));
                known.scores.score_all(ctx.kernels, w.rows.row[r], 0, m(), w.scores.data());
                label[first + r] =
                    static_cast<int32_t>(std::max_element(w.scores.begin(), w.scores.end()) - w.scores.begin());
                w.scored += m();
            }
        });
        reader.check(ctx);
        TopKStats stats;
        for (const Worker& w : workers_of) stats.scored += w.scored;
        return stats;
    }

    // Float64 scores of all atoms for a few rows: bound by reading the atoms once. False if one is not finite.
    bool all(const TopKJob<T>& job, const AtomScores<T>& of, TopKStats& stats) const {
        std::atomic<bool> sound{true};
        Context ctx = job.ctx;  // a thread that sleeps takes some 40 us to come
        ctx.n_threads =
            static_cast<int>(std::clamp<int64_t>((std::min<int64_t>(job.X.n, 8) * m() * d()) >> 18, 1, ctx.n_threads));
        constexpr int64_t kRows = 8;
        const int64_t share = std::clamp<int64_t>(m() / (4 * ctx.n_threads), 256, 1024);  // of the atoms
        typename RowReader<T>::Block rows;
        std::vector<double> scores(static_cast<std::size_t>(std::min(kRows, job.X.n) * m()));
        for (const RowList& list : lists(job.X.n, kRows, {})) {
            const auto count = static_cast<int64_t>(list.size());
            job.reader.read(list, rows);
            parallel_for(ctx, chunk_count(m(), share), [&](int64_t c, int) {
                const int64_t from = c * share, to = std::min(m(), from + share);
                for (int64_t r = 0; r < count; ++r)
                    of.score_all(job.ctx.kernels, rows.row[r], from, to, scores.data() + r * m());
            });
            std::vector<std::vector<Entry>> scratch(static_cast<std::size_t>(workers(ctx, count)));
            parallel_for(ctx, count, [&](int64_t r, int id) {
                const double* own = scores.data() + r * m();
                if (std::all_of(own, own + m(), [](double s) { return std::isfinite(s); }))
                    of.write_all(job, list[r], rows.norm2[r], own, scratch[id]);
                else sound = false;
            });
            stats.scored += count * m();
        }
        return sound;
    }

    const AtomScores<T> scores_;  // without what follows from lengths
    const Screen screen_;
    const Pairing pairing_;
    Once<Measured> measured_;
    Turns packing_;  // of atoms, in 16 and in 8 bits
    Panels coarse_;  // read and set under brief_lock()
    std::atomic<bool> coarse_fails_{false};
    std::atomic<int> failures_{0};  // four for each, less the successes since
    Idle<ScreenWorker<T>> idle_;
};

}  // namespace

template <class T>
std::unique_ptr<AtomIndex<T>> make_atom_index(const Context& ctx, const DenseView<T>& atoms, const double* bias,
                                              Similarity similarity, const std::string& screen,
                                              const std::string& pairs) {
    return std::make_unique<Index<T>>(ctx, atoms, bias, similarity, parse_screen(ctx, screen),
                                      parse_pairing(ctx, pairs));
}

template std::unique_ptr<AtomIndex<float>> make_atom_index(const Context&, const DenseView<float>&, const double*,
                                                           Similarity, const std::string&, const std::string&);
template std::unique_ptr<AtomIndex<double>> make_atom_index(const Context&, const DenseView<double>&, const double*,
                                                            Similarity, const std::string&, const std::string&);

}  // namespace latom
