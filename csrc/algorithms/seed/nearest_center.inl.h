// nearest_center.inl.h: the member functions of NearestCenter: for all rows, for sparse ones, for dense ones.
#pragma once

namespace latom {

template <class View>
void NearestCenter<View>::prepare(const Context& ctx, Asks asks) {
    norm2_.clear();
    rule_.clear();
    for (const Center& c : center_) {
        const double norm2 = c.source->norm2(c.row);
        norm2_.push_back(norm2);
        rule_.add(distance_.metric, norm2);
    }
    if constexpr (kIsSparse<View>) {
        extend_index();
    } else {
        panels_.reset();
        coarse_.reset();
        columns_.reset();
        two_.reset();
        if (asks == Asks::kNearest && rows_.d() <= ColumnScreen<View>::kMostColumns && size() >= kLeastCenters &&
            few_numbers(size(), rows_.d())) {
            columns_ = std::make_unique<ColumnScreen<View>>(rows_);
            const auto value = [this](int64_t c) { return center_[c].source->values(center_[c].row); };
            if (columns_->pack(ctx.kernels, size(), value, [this](int64_t c) { return norm2_[c]; }, rule_)) return;
            columns_.reset();
        }
        std::vector<const T*> atoms;
        atoms.reserve(center_.size());
        for (const Center& c : center_) atoms.push_back(c.source->values(c.row));
        if (asks == Asks::kNearest && rows_.d() >= kLowColumns && size() >= kLeastCenters && size() < kFirstTwo) {
            two_ = std::make_unique<FirstTwo<T>>();
            if (two_->pack(ctx.kernels, atoms, rows_.d(), norm2_, rule_)) return;
            two_.reset();
        }
        if (size() < kFewCenters || rows_.d() > kMostColumns) return;
        const auto pack = [&](Screen screen) {
            auto panels = std::make_unique<AtomPanels<T>>(ctx, atoms, rows_.d(), norm2_, rule_.factor, rule_.bias,
                                                          std::vector<int32_t>{}, screen);
            panels->keep(ctx);
            return panels;
        };
        const bool low = rows_.d() < kLowColumns;
        const int64_t least = rounded_.keeps(Screen::kInt8) ? kFewCenters : kCoarseCenters;
        if (asks == Asks::kNearest && coarse_pays_ && !low && size() >= least &&
            has_coarse_screen(ctx.kernels, rows_.d()))
            coarse_ = pack(Screen::kInt8);
        panels_ = pack(low ? Screen::kFloat32 : Screen::kAuto);
        if (keep_ && !low)
            rounded_.reserve(ctx.kernels, (coarse_ ? coarse_ : panels_)->screen(), rows_.n(), rows_.d(),
                             panels_->biased());
    }
}

// Only what was added since the last time.
template <class View>
void NearestCenter<View>::extend_index() {
    if (slot_.empty()) slot_.assign(static_cast<std::size_t>(rows_.d()), -1);
    for (; indexed_ < size(); ++indexed_) {
        const Center& c = center_[indexed_];
        c.source->each(c.row, [&](int64_t t, T v) {
            if (slot_[t] < 0) {
                slot_[t] = static_cast<int32_t>(postings_.size());
                postings_.emplace_back();
            }
            postings_[slot_[t]].push_back({static_cast<int32_t>(indexed_), v});
        });
    }
}

template <class View>
void NearestCenter<View>::find(Scratch& scratch, const Query* query, int64_t count, Answer* answer,
                               [[maybe_unused]] bool once) const {
    if constexpr (kIsSparse<View>) {
        for (int64_t q = 0; q < count; ++q) find_sparse(scratch, query[q], answer[q]);
    } else {
        find_dense(scratch, query, count, answer, once);
    }
}

// f(scratch, first, count) over all queries.
template <class View>
template <class F>
double NearestCenter<View>::in_parallel(const Context& ctx, int64_t count, F f) {
    constexpr int64_t kRows = 56;            // whole tiles
    constexpr double kSerialWork = 200'000;  // multiply-adds: less than the start of a thread costs
    const int64_t chunks = chunk_count(count, kRows);
    Context few = ctx;
    const double entries = kIsSparse<View> ? static_cast<double>(rows_.stored()) / static_cast<double>(rows_.n()) / 16
                                           : static_cast<double>(rows_.d());
    if (static_cast<double>(count * size()) * entries < kSerialWork) few.n_threads = 1;
    scratch_.resize(static_cast<std::size_t>(std::max(workers(ctx, chunks), 1)));
    for (Scratch& s : scratch_) s.products = 0;
    parallel_for(few, chunks,
                 [&](int64_t c, int worker) { f(scratch_[worker], c * kRows, std::min(kRows, count - c * kRows)); });
    double products = 0;
    for (const Scratch& s : scratch_) products += s.products;
    return products;
}

template <class View>
double NearestCenter<View>::find_all(const Context& ctx, const std::vector<Query>& query, std::vector<Answer>& answer) {
    answer.resize(query.size());
    return in_parallel(ctx, static_cast<int64_t>(query.size()), [&](Scratch& s, int64_t from, int64_t count) {
        find(s, query.data() + from, count, answer.data() + from);
    });
}

template <class View>
double NearestCenter<View>::find_earlier(const Context& ctx, const std::vector<Query>& query,
                                         std::vector<Earlier>& earlier) {
    earlier.resize(query.size());
    return in_parallel(ctx, static_cast<int64_t>(query.size()), [&](Scratch& s, int64_t from, int64_t count) {
        if constexpr (kIsSparse<View>)
            for (int64_t q = from; q < from + count; ++q) find_earlier_sparse(s, query[q], q, earlier[q]);
        else find_earlier_dense(s, query.data() + from, from, count, earlier.data() + from);
    });
}

// Products of row i with all centers into score.
template <class View>
void NearestCenter<View>::dots(Scratch& s, int64_t i) const {
    if (s.score.size() < center_.size()) s.score.resize(center_.size(), 0.0);
    rows_.each(i, [&](int64_t t, T x) {
        if (slot_[t] < 0) return;
        const auto& list = postings_[slot_[t]];
        for (const Posting& p : list) {
            const double product = static_cast<double>(x) * static_cast<double>(p.value);
            s.score[p.center] += product;
        }
        s.products += static_cast<double>(list.size());
    });
}

// f(c, D^2, score) for those of the first `count` centers that lie within the limit, by the products in score, which
// are zero afterwards.
template <class View>
template <class F>
void NearestCenter<View>::each_within(Scratch& s, const Query& query, int64_t count, F f) const {
    constexpr int64_t kLanes = 8, kBlock = 64;
    const double x2 = rows_.norm2(query.i), limit = query.limit;
    // Below the score of the limit by more than rounding: D^2 itself decides.
    const double least =
        limit < HUGE_VAL ? least_score(query.i, limit) - 1e-12 * (cosine() ? std::sqrt(x2) : x2 + limit) : -HUGE_VAL;
    for (int64_t from = 0; from < count; from += kBlock) {
        const int64_t end = std::min(count, from + kBlock);
        double most[kLanes];
        std::fill_n(most, kLanes, -HUGE_VAL);
        int64_t c = from;
        for (; c + kLanes <= end; c += kLanes)
            for (int64_t lane = 0; lane < kLanes; ++lane) {
                const double v =
                    cosine() ? s.score[c + lane] * rule_.factor[c + lane] : s.score[c + lane] + rule_.bias[c + lane];
                most[lane] = v > most[lane] ? v : most[lane];
            }
        for (; c < end; ++c) most[0] = std::max(most[0], rule_(s.score[c], c));
        if (*std::max_element(most, most + kLanes) >= least)
            for (c = from; c < end; ++c) {
                const double v = rule_(s.score[c], c);
                if (v < least) continue;
                if (const double d2 = distance_(s.score[c], x2, norm2_[c]); d2 <= limit)
                    f(static_cast<int32_t>(c), d2, v);
            }
        std::fill(s.score.begin() + from, s.score.begin() + end, 0.0);
    }
    std::fill(s.score.begin() + count, s.score.begin() + size(), 0.0);
}

template <class View>
void NearestCenter<View>::find_sparse(Scratch& s, const Query& query, Answer& answer) const {
    dots(s, query.i);
    answer = {query.limit, -1};
    double most = -HUGE_VAL;
    each_within(s, query, size(), [&](int32_t c, double d2, double v) {
        if (v <= most) return;
        most = v;
        answer = {d2, c};
    });
}

template <class View>
void NearestCenter<View>::find_earlier_sparse(Scratch& s, const Query& query, int64_t self, Earlier& earlier) const {
    dots(s, query.i);
    earlier.center.clear();
    earlier.many = false;
    each_within(s, query, self, [&](int32_t c, double, double) { earlier.center.push_back(c); });
}

// The nearest of `count` centers, next(c) their numbers; ties to the lowest; products in float64, four at a time.
template <class View>
template <class Next>
typename NearestCenter<View>::Answer NearestCenter<View>::best_of(Scratch& s, const Query& query, int64_t count,
                                                                  Next next) const {
    const auto row = [this](int64_t c) { return center_[c].source->values(center_[c].row); };
    const AtomTable<T, decltype(row)> table(rows_.kernels(), rows_.d(), rule_, row);
    const T* x = rows_.values(query.i);
    int64_t best = -1;
    double most = -HUGE_VAL, its_dot = 0;
    table.pairs(
        static_cast<std::size_t>(count),
        [&](std::size_t p) { return std::pair(x, static_cast<int64_t>(next(static_cast<int64_t>(p)))); },
        [&](std::size_t p, double score, double dot) {
            const int64_t c = next(static_cast<int64_t>(p));
            if (!(score > most || (score == most && c < best))) return;
            most = score;
            its_dot = dot;
            best = c;
        });
    s.products += static_cast<double>(count * rows_.d());
    s.found = static_cast<int32_t>(best);
    s.score_found = most;
    return best < 0 ? Answer{query.limit, -1} : within(query, static_cast<int32_t>(best), its_dot);
}

// The centers that may be among the k nearest within the limit, as candidates of the block.
template <class View>
void NearestCenter<View>::screen(Scratch& s, const AtomPanels<T>& panels, const Query* query, int64_t count, int64_t k,
                                 bool once) const {
    if (once && rounded_.keeps(panels.screen())) {
        s.block.load(panels, count, {.k = k}, [&](int64_t q, std::uint32_t* cells) {
            const int64_t i = query[q].i;
            return rounded_.row(i, rows_.values(i), rows_.norm2(i), cells);
        });
    } else {
        s.row.clear();
        s.norm2.clear();
        for (int64_t q = 0; q < count; ++q) {
            s.row.push_back(rows_.values(query[q].i));
            s.norm2.push_back(rows_.norm2(query[q].i));
        }
        s.block.load(panels, s.row.data(), s.norm2.data(), count, {.k = k});
    }
    screen_loaded(s.block, panels, {0, panels.panels()}, [&](int64_t q) {
        if (query[q].limit < HUGE_VAL) s.block.raise(q, least_score(query[q].i, query[q].limit));
    });
    s.products += static_cast<double>(count * size() * rows_.d());
}

// The nearest of the candidates of row q of the block: the likeliest are scored first, some at a time.
template <class View>
typename NearestCenter<View>::Answer NearestCenter<View>::best_candidate(Scratch& s, const Query& query,
                                                                         int64_t q) const {
    constexpr std::size_t kTogether = 4;
    s.hopeful.clear();
    for (int64_t c = 0; c < s.block.candidates(q); ++c)
        s.hopeful.push_back({s.block.score_of(q, s.block.upper(q)[c]), s.block.position(q)[c]});
    std::sort(s.hopeful.begin(), s.hopeful.end(), std::greater<>());
    Answer best{query.limit, -1};
    double most = -HUGE_VAL;
    int32_t center = -1;
    for (std::size_t from = 0; from < s.hopeful.size() && s.hopeful[from].first >= most; from += kTogether) {
        const auto count = static_cast<int64_t>(std::min(kTogether, s.hopeful.size() - from));
        const Answer some =
            best_of(s, query, count, [&](int64_t c) { return s.hopeful[from + static_cast<std::size_t>(c)].second; });
        s.left_over += kScore * static_cast<double>(count * rows_.d());
        if (s.score_found > most || (s.score_found == most && s.found < center)) {
            most = s.score_found;
            center = s.found;
            best = some;
        }
    }
    return best;
}

template <class View>
void NearestCenter<View>::find_dense(Scratch& s, const Query* query, int64_t count, Answer* answer, bool once) const {
    const auto all = [](int64_t c) { return c; };
    if (columns_) return find_by_columns(s, query, count, answer);
    if (two_) return find_first(s, query, count, answer);
    if (!panels_) {
        for (int64_t q = 0; q < count; ++q) answer[q] = best_of(s, query[q], size(), all);
        return;
    }
    s.place.resize(static_cast<std::size_t>(count));
    std::iota(s.place.begin(), s.place.end(), int64_t{0});
    if (coarse_) {
        const double before = s.products;
        screen(s, *coarse_, query, count, 1, once);
        s.coarse += s.products - before;
        s.left.clear();
        s.place.clear();
        settle_rows(
            s.block, [&](int64_t q) { answer[q] = best_candidate(s, query[q], q); },
            [&](int64_t q) {
                s.left.push_back(query[q]);
                s.place.push_back(q);
            });
        if (s.left.empty()) return;
        query = s.left.data();
        count = static_cast<int64_t>(s.left.size());
        s.left_over += static_cast<double>(count * size() * rows_.d());
    }
    screen(s, *panels_, query, count, 1, once);
    settle_rows(
        s.block,
        [&](int64_t q) {
            answer[s.place[q]] =
                best_of(s, query[q], s.block.candidates(q), [&](int64_t c) { return s.block.position(q)[c]; });
        },
        [&](int64_t q) { answer[s.place[q]] = best_of(s, query[q], size(), all); });
}

template <class View>
void NearestCenter<View>::find_first(Scratch& s, const Query* query, int64_t count, Answer* answer) const {
    s.row.clear();
    s.norm2.clear();
    for (int64_t q = 0; q < count; ++q) {
        s.row.push_back(rows_.values(query[q].i));
        s.norm2.push_back(rows_.norm2(query[q].i));
    }
    s.lead.resize(static_cast<std::size_t>(count));
    two_->run(s.row.data(), s.norm2.data(), count, s.two, s.lead.data());
    s.products += static_cast<double>(count * size() * rows_.d());
    for (int64_t q = 0; q < count; ++q) {
        const auto& lead = s.lead[q];
        const auto [i, limit] = query[q];
        const double rounding = 1e-12 * (cosine() ? std::sqrt(rows_.norm2(i)) : rows_.norm2(i) + limit);
        if (limit < HUGE_VAL && lead.most < least_score(i, limit) - rounding && lead.others <= lead.most)
            answer[q] = {limit, -1};
        else if (lead.sure) answer[q] = best_of(s, query[q], 1, [&](int64_t) { return lead.atom; });
        else answer[q] = best_of(s, query[q], size(), [](int64_t c) { return c; });
    }
}

// The screen shifts all scores of a row alike (column_screen.h), so that D^2 comes from |x - o|^2. No center scores
// above the best.
template <class View>
void NearestCenter<View>::find_by_columns(Scratch& s, const Query* query, int64_t count, Answer* answer) const {
    const ColumnScreen<View>& screen = *columns_;
    const int64_t width = screen.width(), d = rows_.d();
    s.few.begin(width, d);
    s.products += static_cast<double>(count * size() * d);
    for (; count > 0; count -= width, query += width, answer += width) {
        const int64_t rows = std::min(width, count);
        const double longest = load_columns<false>(
            rows_, screen.origin(), rows, width, [query](int64_t r) { return query[r].i; }, s.few.columns.data());
        const bool scored = screen.score(longest, s.few.columns.data(), nullptr, 0, s.few);
        double own2[64] = {};  // |x - o|^2
        for (int64_t t = 0; scored && !cosine() && t < d; ++t)
            for (int64_t r = 0; r < rows; ++r) {
                const double v = static_cast<double>(s.few.columns[t * width + r]);
                own2[r] += v * v;
            }
        for (int64_t r = 0; r < rows; ++r) {
            const auto [i, limit] = query[r];
            if (scored && limit < HUGE_VAL) {
                const double most = static_cast<double>(s.few.best[r]), rounding = 1e-12;
                const bool out = cosine()
                                     ? most < least_score(i, limit) - rounding * std::sqrt(rows_.norm2(i))
                                     : own2[r] * (1 - 1e-6) - 2 * most > limit + rounding * (rows_.norm2(i) + limit);
                if (out) {
                    answer[r] = {limit, -1};
                    continue;
                }
            }
            const int32_t c = scored ? screen.settled(r, i, s.few.columns.data(), s.few) : screen.best_of_all(i, s.few);
            answer[r] = within(query[r], c, rows_.dot(i, screen.value(c)));
        }
    }
}

template <class View>
void NearestCenter<View>::find_earlier_dense(Scratch& s, const Query* query, int64_t self, int64_t count,
                                             Earlier* earlier) const {
    constexpr int64_t kMany = 16;
    for (int64_t q = 0; q < count; ++q) {
        earlier[q].center.clear();
        earlier[q].many = !panels_;
    }
    if (!panels_) return;
    screen(s, *panels_, query, count, kMany, false);
    for (int64_t q = 0; q < count; ++q) {
        earlier[q].many = s.block.overflowed(q) || s.block.candidates(q) >= kMany;
        for (int64_t c = 0; !earlier[q].many && c < s.block.candidates(q); ++c) {
            const int32_t at = s.block.position(q)[c];
            if (at >= self + q) continue;
            const double dot = rows_.dot(query[q].i, center_[at].source->values(center_[at].row));
            if (within(query[q], at, dot).center >= 0) earlier[q].center.push_back(at);
        }
    }
}

}  // namespace latom
