// exact_dense.h: D^2 of all dense rows after every center, one at a time or the best of several.
//
// Rows stand in lists, by the center that they are nearest to. By the triangle inequality (potential.h) a new center
// can only take rows whose D^2 is beyond a quarter of its squared distance to their center. A row's D^2 stands until it
// leaves its list, so a list that has been opened for few of its rows is sorted by falling D^2: those few are then its
// head, and most lists are never opened. A draw looks for its list, then for its row.
//
// Cost      a product with each center so far, and with the rows in reach: all of them where the data have no clusters.
#pragma once

#include "algorithms/seed/potential.h"

namespace latom {

template <class View>
class ExactDense {
public:
    using T = typename View::value_type;

    ExactDense(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential, bool)
        : rows_(rows), distance_(metric, rows), potential_(potential), serial_(ctx) {
        serial_.n_threads = 1;
        if (!potential.known()) return;
        list_.resize(potential.centers().size());
        for (int64_t i = 0; i < rows.n(); ++i)
            if (potential.bound(i) > 0) list_[potential.label(i)].row.push_back(i);
        for (List& list : list_) measure(list);
        sum_lists();
    }

    /// Products of all pairs of rows, if they are known (SeedPlan).
    void look_up(const double* dots, int64_t stride) {
        dots_ = dots;
        stride_ = stride;
    }

    double total() const { return potential_.known() ? prefix_.back() : potential_.total(); }
    int64_t draw(double uniform) const;
    /// Of the draws the one that lowers the potential most; ties to the first.
    Gain best(const Context& ctx, const std::vector<int64_t>& draws);
    /// Takes row c as a center.
    void add(const Context& ctx, int64_t c);
    /// To be called when others go on with the potential.
    void leave(const Context& ctx) { potential_.sum_all(ctx); }
    double products() const { return products_; }

private:
    struct List {
        std::vector<int64_t> row;  // of D^2 > 0; the others can neither be drawn nor taken
        double mass = 0;           // sum of w D^2
        bool sorted = false;
    };
    struct Piece {  // of a list, for one thread
        std::size_t draw, list;
        int64_t from, to;
        double reach;  // rows of at most this D^2 are out of reach
        int64_t looked = 0;
    };
    struct Opened {
        int64_t end = 0;  // rows of the list beyond it are out of reach
        double reach = 0;
    };
    static constexpr int64_t kOpened = 64;  // lists that a thread opens together

    void measure(List& list) const {
        list.mass = 0;
        for (const int64_t i : list.row) list.mass += potential_.mass(i);
    }
    void sort(List& list) const {
        std::sort(list.row.begin(), list.row.end(), [this](int64_t a, int64_t b) {
            return potential_.bound(a) != potential_.bound(b) ? potential_.bound(a) > potential_.bound(b) : a < b;
        });
    }
    /// One thread for so few multiply-adds that the start of another would cost more.
    const Context& threads_for(const Context& ctx, double work) const {
        constexpr double kSerial = 200'000;
        return work < kSerial ? serial_ : ctx;
    }
    /// Products of the pairs (x[b], y[b]).
    void dots_of(const T* const* x, const T* const* y, int64_t count, double* dot) const {
        const int64_t d = rows_.d();
        if (d > kShortDot) return rows_.kernels()->template of<T>().dense_dots(x, y, count, d, dot);
        for (int64_t b = 0; b < count; ++b) dot[b] = short_dot(x[b], y[b], d);
    }
    void sum_lists() {
        prefix_.assign(1, 0.0);
        for (const List& list : list_) prefix_.push_back(prefix_.back() + list.mass);
    }
    std::vector<Piece> pieces(const Context& ctx, const std::vector<int64_t>& draws);
    void open(int64_t c, int64_t first, int64_t count, Opened* out) const;
    int64_t in_reach(const List& list, double reach) const;
    static void cut(std::size_t draw, std::size_t list, const Opened& opened, std::vector<Piece>& out);
    void drop_taken(const Context& ctx, const std::vector<Piece>& all, const std::vector<double>& lost,
                    const std::vector<char>& taken);
    template <class F>
    int64_t sweep(const Piece& piece, int64_t c, F f) const;
    template <class F>
    void sweep_all(const Context& ctx, std::vector<Piece>& pieces, F f);
    void take_first(const Context& ctx, int64_t c);

    const Rows<View>& rows_;
    SquaredDistance distance_;
    Potential<View>& potential_;
    Context serial_;
    std::vector<List> list_;      // by label
    std::vector<double> prefix_;  // of their masses
    double products_ = 0;
    const double* dots_ = nullptr;  // of all pairs of rows, or null
    int64_t stride_ = 0;
};

template <class View>
int64_t ExactDense<View>::draw(double uniform) const {
    if (!potential_.known()) return potential_.draw(uniform);
    if (!(total() > 0)) return -1;
    const auto above = std::upper_bound(prefix_.begin() + 1, prefix_.end(), uniform * total());
    auto at = std::min<std::size_t>(static_cast<std::size_t>(above - prefix_.begin()) - 1, list_.size() - 1);
    while (at > 0 && !(list_[at].mass > 0))
        --at;  // rounding may leave a little after the end: the last possible row takes it
    double left = uniform * total() - prefix_[at];
    int64_t found = -1;
    for (const int64_t i : list_[at].row) {
        const double v = potential_.mass(i);
        if (!(v > 0)) continue;
        found = i;
        if (left < v) break;
        left -= v;
    }
    return found;
}

// Rows of a list, from its first on, among which are all those beyond `reach`.
template <class View>
int64_t ExactDense<View>::in_reach(const List& list, double reach) const {
    const auto begin = list.row.begin(), end = list.row.end();
    if (!list.sorted) return end - begin;
    return std::partition_point(begin, end, [&](int64_t i) { return potential_.bound(i) > reach; }) - begin;
}

template <class View>
void ExactDense<View>::cut(std::size_t draw, std::size_t list, const Opened& opened, std::vector<Piece>& out) {
    constexpr int64_t kRows = 4096;
    for (int64_t from = 0; from < opened.end; from += kRows)
        out.push_back({draw, list, from, std::min(opened.end, from + kRows), opened.reach});
}

// What row c may be nearest to in lists [first, first + count).
template <class View>
void ExactDense<View>::open(int64_t c, int64_t first, int64_t count, Opened* out) const {
    const auto& centers = potential_.centers();
    constexpr int64_t kBatch = 16;
    const T *x[kBatch] = {}, *y[kBatch];
    double dot[kBatch];
    std::fill_n(y, kBatch, rows_.values(c));
    for (int64_t a = first; a < first + count; a += kBatch) {
        const int64_t batch = std::min(kBatch, first + count - a);
        for (int64_t b = 0; b < batch; ++b) {
            const int64_t row = std::max<int64_t>(centers[a + b], 0);
            if (dots_) dot[b] = dots_[c * stride_ + row];
            x[b] = rows_.values(row);
        }
        if (!dots_) dots_of(x, y, batch, dot);
        for (int64_t b = 0; b < batch; ++b) {
            const int64_t row = centers[a + b];  // none: a center that is no row
            const double reach =
                row < 0 ? 0.0 : potential_.reach(row, distance_(dot[b], rows_.norm2(row), rows_.norm2(c)));
            out[a + b - first] = {in_reach(list_[a + b], reach), reach};
        }
    }
}

// What rows may be nearest to the draws: by draw, then by list.
template <class View>
std::vector<typename ExactDense<View>::Piece> ExactDense<View>::pieces(const Context& ctx,
                                                                       const std::vector<int64_t>& draws) {
    const auto lists = static_cast<int64_t>(list_.size()), count = static_cast<int64_t>(draws.size());
    const double work = static_cast<double>(lists) * static_cast<double>(rows_.d());
    const int64_t chunks = chunk_count(lists, kOpened);
    std::vector<Opened> opened(static_cast<std::size_t>(count * lists));
    parallel_for(threads_for(ctx, work * static_cast<double>(count)), count * chunks, [&](int64_t at, int) {
        const int64_t draw = at / chunks, first = at % chunks * kOpened;
        open(draws[draw], first, std::min(kOpened, lists - first), opened.data() + draw * lists + first);
    });
    products_ += work * static_cast<double>(count);
    std::vector<Piece> out;
    for (std::size_t k = 0; k < draws.size(); ++k)
        for (std::size_t a = 0; a < list_.size(); ++a) cut(k, a, opened[k * list_.size() + a], out);
    return out;
}

/// f(i, D^2(i, c)) for the rows of a piece in reach of c; how many these are.
template <class View>
template <class F>
int64_t ExactDense<View>::sweep(const Piece& piece, int64_t c, F f) const {
    constexpr std::size_t kBatch = 16;
    const T *x[kBatch] = {}, *y[kBatch];
    int64_t row[kBatch], looked = 0;
    double dot[kBatch];
    std::fill_n(y, kBatch, rows_.values(c));
    std::size_t filled = 0;
    const auto flush = [&] {
        dots_of(x, y, static_cast<int64_t>(filled), dot);
        for (std::size_t b = 0; b < filled; ++b)
            f(row[b], row[b] == c ? 0.0 : distance_(dot[b], rows_.norm2(row[b]), rows_.norm2(c)));
        looked += static_cast<int64_t>(filled);
        filled = 0;
    };
    const auto& rows = list_[piece.list].row;
    for (int64_t at = piece.from; at < piece.to; ++at) {
        if (!(potential_.bound(rows[at]) > piece.reach)) continue;
        if (dots_) {
            const int64_t i = rows[at];
            f(i, i == c ? 0.0 : distance_(dots_[c * stride_ + i], rows_.norm2(i), rows_.norm2(c)));
            ++looked;
            continue;
        }
        row[filled] = rows[at];
        x[filled] = rows_.values(rows[at]);
        if (++filled == kBatch) flush();
    }
    flush();
    return looked;
}

// f(piece) in parallel where that pays; f says how many rows it looked at.
template <class View>
template <class F>
void ExactDense<View>::sweep_all(const Context& ctx, std::vector<Piece>& pieces, F f) {
    double work = 0;
    for (const Piece& p : pieces) work += static_cast<double>((p.to - p.from) * rows_.d());
    parallel_for(threads_for(ctx, work), static_cast<int64_t>(pieces.size()),
                 [&](int64_t p, int) { pieces[p].looked = f(p); });
    for (const Piece& p : pieces) products_ += static_cast<double>(p.looked * rows_.d());
    // Lists of which less than half was in reach.
    std::vector<std::size_t> loose;
    double rows = 0;
    for (std::size_t p = 0; p < pieces.size();) {
        List& list = list_[pieces[p].list];
        const std::size_t at = pieces[p].list;
        int64_t looked = 0, seen = 0;
        for (; p < pieces.size() && pieces[p].list == at; ++p) {
            looked += pieces[p].looked;
            seen += pieces[p].to - pieces[p].from;
        }
        if (list.sorted || 2 * looked >= seen) continue;
        list.sorted = true;
        loose.push_back(at);
        rows += static_cast<double>(list.row.size());
    }
    constexpr double kSorted = 64;  // multiply-adds in the time that a row takes to be sorted
    parallel_for(threads_for(ctx, kSorted * rows), static_cast<int64_t>(loose.size()),
                 [&](int64_t at, int) { sort(list_[loose[at]]); });
}

template <class View>
Gain ExactDense<View>::best(const Context& ctx, const std::vector<int64_t>& draws) {
    std::vector<Piece> all = pieces(ctx, draws);
    std::vector<double> gain(all.size(), 0.0), total(draws.size(), 0.0);
    sweep_all(ctx, all, [&](int64_t p) {
        double sum = 0;
        const int64_t looked = sweep(all[p], draws[all[p].draw], [&](int64_t i, double d2) {
            const double less = potential_.bound(i) - d2;
            if (less > 0) sum += potential_.weight(i) * less;
        });
        gain[p] = sum;
        return looked;
    });
    for (std::size_t p = 0; p < all.size(); ++p) total[all[p].draw] += gain[p];
    return most_gain(draws, total);
}

template <class View>
void ExactDense<View>::take_first(const Context& ctx, int64_t c) {
    List& list = list_.emplace_back();
    for (int64_t i = 0; i < rows_.n(); ++i)
        if (potential_.weight(i) > 0) list.row.push_back(i);
    potential_.begin(c);
    std::vector<Piece> all;
    cut(0, 0, {static_cast<int64_t>(list.row.size()), 0.0}, all);
    sweep_all(ctx, all,
              [&](int64_t p) { return sweep(all[p], c, [&](int64_t i, double d2) { potential_.take(i, d2); }); });
    std::erase_if(list.row, [this](int64_t i) { return !(potential_.bound(i) > 0); });
    measure(list);
    sum_lists();
}

// Rows leave their lists that row c, the last center, has taken; the mass that each piece has lost.
template <class View>
void ExactDense<View>::drop_taken(const Context& ctx, const std::vector<Piece>& all, const std::vector<double>& lost,
                                  const std::vector<char>& taken) {
    const auto label = static_cast<int32_t>(list_.size());
    std::vector<std::size_t> first;  // piece of each list that loses rows
    double rows = 0;
    for (std::size_t p = 0, last = 0; p < all.size(); p = last) {
        bool loses = false;
        for (last = p; last < all.size() && all[last].list == all[p].list; ++last) loses = loses || taken[last];
        if (!loses) continue;
        first.push_back(p);
        rows += static_cast<double>(list_[all[p].list].row.size());
    }
    constexpr double kDropped = 8;  // multiply-adds in the time that a row takes here
    parallel_for(threads_for(ctx, kDropped * rows), static_cast<int64_t>(first.size()), [&](int64_t at, int) {
        const std::size_t p = first[at];
        List& list = list_[all[p].list];
        double mass = list.mass;
        for (std::size_t q = p; q < all.size() && all[q].list == all[p].list; ++q) mass -= lost[q];
        std::erase_if(list.row, [&](int64_t i) { return potential_.label(i) == label; });
        // A difference of nearly equal numbers is no sum.
        if (2 * mass < list.mass || list.row.empty()) measure(list);
        else list.mass = mass;
    });
}

template <class View>
void ExactDense<View>::add(const Context& ctx, int64_t c) {
    if (!potential_.known()) return take_first(ctx, c);
    std::vector<Piece> all = pieces(ctx, {c});
    potential_.begin(c);
    std::vector<std::vector<int64_t>> taken(all.size());
    std::vector<double> lost(all.size(), 0.0);
    std::vector<char> taken_any(all.size(), 0);
    sweep_all(ctx, all, [&](int64_t p) {
        double sum = 0;
        bool any = false;
        std::vector<int64_t> rows;
        const int64_t looked = sweep(all[p], c, [&](int64_t i, double d2) {
            const double before = potential_.mass(i);
            if (!potential_.take(i, d2)) return;
            sum += before;
            any = true;
            if (d2 > 0) rows.push_back(i);
        });
        lost[p] = sum;
        taken_any[p] = any;
        taken[p] = std::move(rows);
        return looked;
    });
    drop_taken(ctx, all, lost, taken_any);
    List fresh;
    for (const auto& some : taken) fresh.row.insert(fresh.row.end(), some.begin(), some.end());
    measure(fresh);
    list_.push_back(std::move(fresh));
    sum_lists();
}

}  // namespace latom
