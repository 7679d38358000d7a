// topk.cpp: blocks of rows through the screen, then float64 decisions atom by atom.
#include "latom/topk.h"

#include <mutex>
#include <numeric>

#include "algorithms/encode/entries.h"
#include "algorithms/pair_dots.h"
#include "algorithms/product_select.h"
#include "algorithms/stored_rows.h"

namespace latom {
namespace {

std::vector<int32_t> scattered(int64_t m) {
    // A fixed order in which neighbours lie far apart: atoms sorted by their score would raise each threshold m times.
    int64_t step = static_cast<int64_t>(0.6180339887 * static_cast<double>(m)) | 1;
    while (std::gcd(step, m) > 1) step += 2;
    std::vector<int32_t> order(static_cast<std::size_t>(m));
    step %= m;
    for (int64_t i = 0, j = 0; i < m; ++i, j += j + step < m ? step : step - m) order[i] = static_cast<int32_t>(j);
    return order;
}

template <class T>
class Index final : public AtomIndex<T> {
public:
    Index(const DenseView<T>& atoms, const double* bias, Similarity similarity, Screen screen, const std::string& function)
        : atoms_(atoms), similarity_(similarity), screen_(screen) {
        if (m() < 1 || m() > std::numeric_limits<int32_t>::max() - 64)
            fail(function, "atoms must have at least one and fewer than 2^31 rows", m(), "Split them.");
        if (d() < 1) fail(function, "atoms must have at least one column", d(), "Drop them.");
        if (bias && similarity != Similarity::kDot)
            fail(function, "bias must be left out unless metric is 'dot'", "a bias", "Use metric='dot', or no bias.");
        if (bias) bias_.assign(bias, bias + m());
        for (int64_t j = 0; j < static_cast<int64_t>(bias_.size()); ++j)
            if (!std::isfinite(bias_[j]))
                fail(function, "bias must be finite", "NaN or infinity at " + std::to_string(j), "Drop that atom.");
    }

    int64_t m() const override { return atoms_.n; }
    int64_t d() const override { return atoms_.d; }
    void pack(const Context& ctx, const std::string& function) override {
        measure(ctx, function);
        std::lock_guard<std::mutex> lock(mutex_);
        panels_->keep(ctx);
    }

    TopKStats topk(const Context& ctx, const StoredRows& X, int64_t k, Rank rank, double threshold, T* score,
                   int32_t* index, int64_t* found, const std::string& function) override {
        if (X.d != d()) fail(function, "X must have as many columns as atoms, " + std::to_string(d()), X.d, "Check both.");
        if (k < 1 || k > m()) fail(function, "k must lie in [1, " + std::to_string(m()) + "]", k, "Ask for fewer atoms.");
        const RowReader<T> reader(ctx.kernels, X);
        const Job job{ctx, X, reader, k, rank, threshold, score, index, found, function};
        TopKStats stats;
        // Below these sizes float64 scores of all atoms cost less than packing them, or too few can be discarded.
        if ((X.n <= kFewRows && !reused()) || X.n <= 2 || 4 * k > m() || d() > kMostColumns) {
            if (similarity_ != Similarity::kDot) measure(ctx, function);
            if (!all(job, stats) && reader.sound()) measure(ctx, function);  // names the atom that is not finite
        } else {
            stats = screened(job);
        }
        reader.check(function);
        return stats;
    }

private:
    static constexpr int64_t kFewRows = 6, kMostColumns = 1 << 20;
    static constexpr int64_t kMostRows = 1024, kLeastRows = 64;  // of a block
    static constexpr int64_t kCandidateBytes = 16 << 20;         // of a block
    static constexpr int64_t kCoarseAtoms = 2048, kCoarseRows = 128;  // below, int8 is not tried
    static constexpr int64_t kCandidate = 128;                        // a float64 score costs what int8 saves on so many atoms; by measurement

    struct Job {
        const Context& ctx;
        const StoredRows& X;
        const RowReader<T>& reader;
        int64_t k;
        Rank rank;
        double threshold;
        T* score;
        int32_t* index;
        int64_t* found;
        const std::string& function;
    };
    struct Later {  // a candidate that may not be needed
        float upper;
        int32_t atom;
    };
    struct Worker {
        typename RowReader<T>::Block rows;
        RowBlock<T> block;
        std::vector<const T*> some;
        std::vector<double> norm2;
        std::vector<float> lower;
        std::vector<Entry> entries, more, found;
        std::vector<Later> later;
        std::vector<int64_t> begin, later_begin, more_begin;  // of each row
        std::vector<std::uint32_t> order;     // entries atom by atom
        std::vector<std::uint32_t> at;        // [m + 1]
        std::vector<double> scores;           // [m], of a crowded row
        TopKStats stats;
    };

    // Lengths of the atoms, what follows from them, and whether they can be used; once.
    void measure(const Context& ctx, const std::string& function) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (panels_) return;
        std::vector<double> norm2(static_cast<std::size_t>(m()));
        RowReader<T>::measure(ctx, atoms_, norm2.data());
        for (int64_t j = 0; j < m(); ++j)
            if (!RowReader<T>::usable(atoms_.row(j), d(), norm2[j]))
                fail(function, std::string("atoms") + RowReader<T>::kUsable, "another value in row " + std::to_string(j),
                     "Drop such atoms, or scale them.");
        norm2_ = std::move(norm2);
        for (int64_t j = 0; j < m(); ++j) {
            if (similarity_ == Similarity::kCosine) factor_.push_back(norm2_[j] > 0 ? 1 / std::sqrt(norm2_[j]) : 0.0);
            if (similarity_ == Similarity::kEuclidean) bias_.push_back(-0.5 * norm2_[j]);
        }
        panels_ = std::make_unique<AtomPanels<T>>(ctx, rows_of_atoms(), d(), norm2_, factor_, bias_, scattered(m()), screen_);
    }
    std::vector<const T*> rows_of_atoms() const {
        std::vector<const T*> rows(static_cast<std::size_t>(m()));
        for (int64_t j = 0; j < m(); ++j) rows[j] = atoms_.row(j);
        return rows;
    }
    bool measured() {
        std::lock_guard<std::mutex> lock(mutex_);
        return panels_ != nullptr;
    }
    // Whether few rows, too, find the atoms packed, or should from now on.
    bool reused() {
        std::lock_guard<std::mutex> lock(mutex_);
        return coarse_ || (panels_ && panels_->kept());
    }

    // A number that the decision score of an atom above the threshold exceeds, whatever the rounding.
    double least(double norm2, double threshold) const {
        if (similarity_ == Similarity::kDot) return threshold;
        if (similarity_ == Similarity::kCosine) return threshold * std::sqrt(norm2) - 1e-12 * std::sqrt(norm2);
        return 0.5 * (threshold + norm2) - 1e-12 * (std::abs(threshold) + norm2);
    }

    double score_of(double dot, int64_t j) const {
        if (!factor_.empty()) dot *= factor_[j];
        return bias_.empty() ? dot : dot + bias_[j];
    }

    TopKStats screened(const Job& job) {
        const int64_t n = job.X.n, threads = job.ctx.n_threads;
        const int64_t fit = kCandidateBytes / (12 * RowBlock<T>::capacity(job.k, coarse_room()));
        const int64_t rows = std::clamp(chunk_count(n, 2 * threads), kLeastRows, std::clamp(fit, kLeastRows, kMostRows));
        const int64_t blocks = chunk_count(n, rows);
        TopKStats stats;
        if (blocks == 1 && bias_.empty() && similarity_ == Similarity::kDot && !measured()) {
            AtomPanels<T> once(job.ctx, rows_of_atoms(), d(), {}, {}, {}, scattered(m()), screen_);
            if (sliced(job, once, rows, stats)) return stats;
        }
        measure(job.ctx, job.function);
        if (blocks < threads) {
            if (blocks > 1 || reused()) keep(job.ctx, *panels_);
            sliced(job, *panels_, rows, stats);
            return stats;
        }
        std::vector<Block> every;
        for (int64_t first = 0; first < n; first += rows) {
            every.push_back({first, std::vector<int64_t>(static_cast<std::size_t>(std::min(rows, n - first)))});
            std::iota(every.back().rows.begin(), every.back().rows.end(), int64_t{0});
        }
        if (const AtomPanels<T>* coarse = coarse_panels(job)) {
            every = decide(job, *coarse, every, false, stats);
            if (too_many(job, stats.scored, every, n)) coarse_fails_ = true;
        }
        if (!every.empty()) {
            keep(job.ctx, *panels_);
            decide(job, *panels_, every, true, stats);
        }
        return stats;
    }

    // Rows of X: `rows` counts from `first`.
    struct Block {
        int64_t first;
        std::vector<int64_t> rows;
    };

    // All rows of the blocks through one screen. Returns those that it leaves, unless these are decided too.
    std::vector<Block> decide(const Job& job, const AtomPanels<T>& panels, const std::vector<Block>& blocks, bool all,
                              TopKStats& stats) const {
        const auto count = static_cast<int64_t>(blocks.size());
        std::vector<Worker> scratch(static_cast<std::size_t>(workers(job.ctx, count)));
        std::vector<Block> left(blocks.size());
        parallel_for(job.ctx, count, [&](int64_t b, int id) {
            const auto& [first, rows] = blocks[b];
            Worker& w = scratch[id];
            job.reader.read(first, rows.back() + 1, w.rows);
            screen(job, panels, w, rows, 0, panels.panels());
            left[b] = {first, settle(job, w, first, rows, 0, static_cast<int64_t>(rows.size()), {&w.block}, all)};
        });
        for (const Worker& w : scratch) add(stats, w.stats);
        std::erase_if(left, [](const Block& block) { return block.rows.empty(); });
        return left;
    }

    // Atoms in int8, packed, or null where they do not pay, as a few rows tell.
    const AtomPanels<T>* coarse_panels(const Job& job) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (coarse_fails_) return nullptr;
        if (coarse_) return coarse_.get();
        const auto* kernels = job.ctx.kernels;
        if (screen_ != Screen::kAuto || m() < kCoarseAtoms || job.X.n < kCoarseRows || !has_coarse_screen(kernels, d())) return nullptr;
        auto panels = std::make_unique<AtomPanels<T>>(job.ctx, rows_of_atoms(), d(), norm2_, factor_, bias_, scattered(m()), Screen::kInt8);
        panels->keep(job.ctx);
        Block some{0, std::vector<int64_t>(static_cast<std::size_t>(std::min<int64_t>(job.X.n, 2 * kernels->tile_rows)))};
        std::iota(some.rows.begin(), some.rows.end(), int64_t{0});
        TopKStats tried;
        const std::vector<Block> left = decide(job, *panels, {some}, false, tried);
        coarse_fails_ = too_many(job, tried.scored, left, static_cast<int64_t>(some.rows.size()));
        if (coarse_fails_) return nullptr;
        coarse_ = std::move(panels);
        return coarse_.get();
    }

    // Whether a fine screen of n rows would have been faster: so many were scored in float64, or left after a screen in vain.
    bool too_many(const Job& job, int64_t scored, const std::vector<Block>& left, int64_t n) const {
        const int64_t saved = m() / kCandidate;  // a row
        for (const Block& block : left) scored += static_cast<int64_t>(block.rows.size()) * (job.k + 2 * saved);
        return scored > n * (job.k + saved);
    }

    int64_t coarse_room() const { return std::clamp<int64_t>(m() / 32, 256, 1024); }

    void keep(const Context& ctx, AtomPanels<T>& panels) {
        std::lock_guard<std::mutex> lock(mutex_);
        panels.keep(ctx);
    }

    // Few rows: the threads share out the atoms, then the rows. False where the panels are not sound; nothing of that block is
    // written.
    bool sliced(const Job& job, const AtomPanels<T>& panels, int64_t rows, TopKStats& stats) const {
        const int64_t n = job.X.n, threads = job.ctx.n_threads, slices = std::min(threads, panels.panels());
        for (int64_t first = 0; first < n; first += rows) {
            const int64_t count = std::min(rows, n - first), group = chunk_count(count, 4 * threads);
            std::vector<Worker> scratch(static_cast<std::size_t>(slices));
            std::vector<int64_t> every(static_cast<std::size_t>(count));
            std::iota(every.begin(), every.end(), int64_t{0});
            parallel_for(job.ctx, slices, [&](int64_t s, int) {
                job.reader.read(first, count, scratch[s].rows);
                screen(job, panels, scratch[s], every, panels.panels() * s / slices, panels.panels() * (s + 1) / slices);
            });
            if (!panels.sound()) return false;
            std::vector<const RowBlock<T>*> parts;
            for (const Worker& w : scratch) parts.push_back(&w.block);
            const int64_t groups = chunk_count(count, group);
            std::vector<Worker> deciding(static_cast<std::size_t>(workers(job.ctx, groups)));
            parallel_for(job.ctx, groups, [&](int64_t g, int id) {
                deciding[id].rows = scratch[0].rows;
                settle(job, deciding[id], first, every, g * group, std::min(count, (g + 1) * group), parts, true);
            });
            for (const Worker& w : deciding) add(stats, w.stats);
        }
        return true;
    }

    static void add(TopKStats& total, const TopKStats& part) {
        total.scored += part.scored;
        total.crowded += part.crowded;
    }

    // Candidates of the rows `which` of w.rows among panels [from, to).
    void screen(const Job& job, const AtomPanels<T>& panels, Worker& w, const std::vector<int64_t>& which, int64_t from,
                int64_t to) const {
        w.some.clear();
        w.norm2.clear();
        for (const int64_t r : which) {
            w.some.push_back(w.rows.row[r]);
            w.norm2.push_back(w.rows.norm2[r]);
        }
        typename RowBlock<T>::Query query;
        query.k = job.k;
        query.magnitude = job.rank == Rank::kMagnitude;
        query.room = panels.screen() == Screen::kInt8 ? coarse_room() : 0;
        const auto count = static_cast<int64_t>(which.size());
        w.block.load(panels, w.some.data(), w.norm2.data(), count, query);
        for (int64_t r = 0; job.rank == Rank::kAbove && r < count; ++r) w.block.raise(r, least(w.norm2[r], job.threshold));
        w.block.scan(panels, from, to);
        w.block.finish();
    }

    // Scores the candidates of rows which[from, to) and writes the best; each of `parts` holds row which[r] at r. First come those
    // whose lower bounds lead: the k-th best score of these is a threshold that few of the others may reach. Rows that the screen
    // could not decide are returned, or where `all` says so decided by all their scores.
    std::vector<int64_t> settle(const Job& job, Worker& w, int64_t first, const std::vector<int64_t>& which, int64_t from, int64_t to,
                                const std::vector<const RowBlock<T>*>& parts, bool all) const {
        std::vector<int64_t> crowded;
        w.entries.clear();
        w.later.clear();
        w.begin.assign(1, 0);
        w.later_begin.assign(1, 0);
        for (int64_t r = from; r < to; ++r) {
            const auto row = static_cast<int32_t>(which[r]);
            bool whole = true;
            for (const auto* part : parts) whole &= !part->crowded(r);
            if (!whole) crowded.push_back(row);
            const float tau = whole ? threshold(job.k, w, r, parts) : HUGE_VALF;
            for (const auto* part : parts)
                for (int64_t c = 0; whole && c < part->candidates(r); ++c) {
                    if (part->lower(r)[c] >= tau) w.entries.push_back({0, row, part->atom(r, c)});
                    else if (part->upper(r)[c] >= tau) w.later.push_back({part->upper(r)[c], part->atom(r, c)});
                }
            w.begin.push_back(static_cast<int64_t>(w.entries.size()));
            w.later_begin.push_back(static_cast<int64_t>(w.later.size()));
        }
        score_entries(job.ctx.kernels, w, w.entries);

        w.more.clear();
        w.more_begin.assign(1, 0);
        for (int64_t r = from; r < to; ++r) {
            float tau = -HUGE_VALF;
            w.scores.clear();
            for (int64_t e = w.begin[r - from]; e < w.begin[r - from + 1]; ++e) w.scores.push_back(key(job.rank, w.entries[e].score));
            if (static_cast<int64_t>(w.scores.size()) >= job.k) {
                const auto kth = w.scores.begin() + (job.k - 1);
                std::nth_element(w.scores.begin(), kth, w.scores.end(), std::greater<>());
                tau = parts[0]->threshold_of(r, *kth);
            }
            for (int64_t c = w.later_begin[r - from]; c < w.later_begin[r - from + 1]; ++c)
                if (w.later[c].upper >= tau) w.more.push_back({0, static_cast<int32_t>(which[r]), w.later[c].atom});
            w.more_begin.push_back(static_cast<int64_t>(w.more.size()));
        }
        score_entries(job.ctx.kernels, w, w.more);

        std::size_t left = 0;
        for (int64_t r = from; r < to; ++r) {
            if (left < crowded.size() && crowded[left] == which[r]) {
                ++left;
                continue;
            }
            w.found.assign(w.entries.begin() + w.begin[r - from], w.entries.begin() + w.begin[r - from + 1]);
            w.found.insert(w.found.end(), w.more.begin() + w.more_begin[r - from], w.more.begin() + w.more_begin[r - from + 1]);
            write(job, first + which[r], w.rows.norm2[which[r]], w.found.data(), static_cast<int64_t>(w.found.size()));
        }
        if (!all) return crowded;
        for (const int64_t r : crowded) {
            poll();
            w.scores.resize(static_cast<std::size_t>(m()));
            score_all(job.ctx.kernels, w.rows.row[r], 0, m(), w.scores.data());
            w.stats.scored += m();
            ++w.stats.crowded;
            write_all(job, w, first + r, w.rows.norm2[r], w.scores.data());
        }
        return {};
    }

    // What the lower bounds of k candidates of row r reach, if so many do.
    static float threshold(int64_t k, Worker& w, int64_t r, const std::vector<const RowBlock<T>*>& parts) {
        if (parts.size() == 1) return parts[0]->threshold(r);
        w.lower.clear();
        for (const auto* part : parts) w.lower.insert(w.lower.end(), part->lower(r), part->lower(r) + part->candidates(r));
        if (static_cast<int64_t>(w.lower.size()) <= k) return -HUGE_VALF;
        std::nth_element(w.lower.begin(), w.lower.begin() + (k - 1), w.lower.end(), std::greater<>());
        return w.lower[k - 1];
    }

    // Atom by atom, so that each is read once and in order.
    void score_entries(const KernelTable* kernels, Worker& w, std::vector<Entry>& entries) const {
        const std::size_t count = entries.size();
        w.stats.scored += static_cast<int64_t>(count);
        order_by_atom(entries, m(), w.order, w.at);
        detail::pair_dots<T>(
            kernels, count, d(),
            [&](std::size_t p) {
                const Entry& e = entries[w.order[p]];
                return std::pair(w.rows.row[e.row], atoms_.row(e.atom));
            },
            [&](std::size_t p, double dot) {
                Entry& e = entries[w.order[p]];
                e.score = score_of(dot, e.atom);
            });
    }

    // Float64 scores of all atoms for a few rows: bound by reading the atoms once. False if one is not finite.
    bool all(const Job& job, TopKStats& stats) {
        std::atomic<bool> sound{true};
        Context ctx = job.ctx;  // a thread takes some 40 us to start
        ctx.n_threads = static_cast<int>(std::clamp<int64_t>((std::min<int64_t>(job.X.n, 8) * m() * d()) >> 19, 1, ctx.n_threads));
        constexpr int64_t kRows = 8, kAtoms = 256;
        typename RowReader<T>::Block rows;
        std::vector<double> scores(static_cast<std::size_t>(std::min(kRows, job.X.n) * m()));
        for (int64_t first = 0; first < job.X.n; first += kRows) {
            const int64_t count = std::min(kRows, job.X.n - first);
            job.reader.read(first, count, rows);
            parallel_for(ctx, chunk_count(m(), kAtoms), [&](int64_t c, int) {
                const int64_t from = c * kAtoms, to = std::min(m(), from + kAtoms);
                for (int64_t r = 0; r < count; ++r) score_all(job.ctx.kernels, rows.row[r], from, to, scores.data() + r * m());
            });
            std::vector<Worker> scratch(static_cast<std::size_t>(workers(ctx, count)));
            parallel_for(ctx, count, [&](int64_t r, int id) {
                const double* own = scores.data() + r * m();
                if (std::all_of(own, own + m(), [](double s) { return std::isfinite(s); }))
                    write_all(job, scratch[id], first + r, rows.norm2[r], own);
                else
                    sound = false;
            });
            stats.scored += count * m();
        }
        return sound;
    }

    // Scores of x with atoms [from, to) into out [m].
    void score_all(const KernelTable* kernels, const T* x, int64_t from, int64_t to, double* out) const {
        const auto dots = detail::dense_dots(kernels, T{});
        const T *atoms[4], *rows[4] = {x, x, x, x};
        // Four runs of neighbours at once: long streams, which the processor loads ahead.
        const int64_t run = chunk_count(to - from, 4);
        double dot[4];
        for (int64_t j = from; j < from + run; ++j) {
            int64_t count = 0;
            for (; count < 4 && j + count * run < to; ++count) atoms[count] = atoms_.row(j + count * run);
            dots(atoms, rows, count, d(), dot);
            for (int64_t i = 0; i < count; ++i) out[j + i * run] = score_of(dot[i], j + i * run);
        }
    }

    void write_all(const Job& job, Worker& w, int64_t i, double norm2, const double* scores) const {
        w.entries.clear();
        double bar = -HUGE_VAL;  // k earlier atoms reach it
        for (int64_t j = 0; j < m(); ++j) {
            if (!(key(job.rank, scores[j]) > bar)) continue;
            w.entries.push_back({scores[j], 0, static_cast<int32_t>(j)});
            if (static_cast<int64_t>(w.entries.size()) < 4 * job.k + 64) continue;
            std::nth_element(w.entries.begin(), w.entries.begin() + (job.k - 1), w.entries.end(), before(job.rank));
            w.entries.resize(static_cast<std::size_t>(job.k));
            bar = key(job.rank, w.entries.back().score);
        }
        write(job, i, norm2, w.entries.data(), static_cast<int64_t>(w.entries.size()));
    }

    // Ranks the entries of row i and writes the k best.
    void write(const Job& job, int64_t i, double norm2, Entry* entries, int64_t count) const {
        const int64_t k = job.k, kept = std::min(k, count);
        if (kept < count) std::nth_element(entries, entries + kept, entries + count, before(job.rank));
        std::sort(entries, entries + kept, before(job.rank));
        const double inverse = norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0;
        int64_t found = 0;
        for (int64_t r = 0; r < k; ++r) {
            double score = r < kept ? entries[r].score : 0;
            if (similarity_ == Similarity::kCosine) score = std::clamp(score * inverse, -1.0, 1.0);
            if (similarity_ == Similarity::kEuclidean) score = std::min(0.0, 2 * score - norm2);
            const bool none = r >= kept || (job.rank == Rank::kAbove && !(score > job.threshold));
            found += !none;
            job.score[i * k + r] = none ? T{0} : static_cast<T>(score);
            job.index[i * k + r] = none ? 0 : entries[r].atom;
        }
        if (job.found) job.found[i] = found;
    }

    DenseView<T> atoms_;
    Similarity similarity_;
    Screen screen_;
    std::mutex mutex_;  // of what measure() and keep() make once
    std::vector<double> norm2_, factor_, bias_;
    std::unique_ptr<AtomPanels<T>> panels_, coarse_;
    std::atomic<bool> coarse_fails_{false};
};

}  // namespace

template <class T>
std::unique_ptr<AtomIndex<T>> make_atom_index(const Context& ctx, const DenseView<T>& atoms, const double* bias,
                                              Similarity similarity, const std::string& screen,
                                              const std::string& function) {
    return std::make_unique<Index<T>>(atoms, bias, similarity, parse_screen(ctx.kernels, screen, function), function);
}

template std::unique_ptr<AtomIndex<float>> make_atom_index(const Context&, const DenseView<float>&, const double*,
                                                           Similarity, const std::string&, const std::string&);
template std::unique_ptr<AtomIndex<double>> make_atom_index(const Context&, const DenseView<double>&, const double*,
                                                            Similarity, const std::string&, const std::string&);

}  // namespace latom
