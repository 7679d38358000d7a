// sparse_select.inl.h: the member functions of SparseSelect, in the order in which a pass calls them.
#pragma once

namespace latom {

namespace detail {
// Float32 rounding of a screened score (|score| <= 1 in screen units), and float64 rounding of a decision.
inline constexpr double kScreenSlack = 2e-6, kDecisionSlack = 1e-9;

// A float32 below v, by more than rounding, for lower bounds that are kept between iterations.
inline float round_down(double v) {
    if (std::abs(v) < 1e-30) return v < 0 ? -1.0f : 0.0f;  // below what float32 can round down
    return static_cast<float>(v > 1e30 ? 1e30 : v - 1e-6 * std::abs(v));
}
}  // namespace detail

template <class View>
void SparseSelect<View>::prepare(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                 const std::vector<double>& drift) {
    const auto m = static_cast<int64_t>(atoms.size());
    kernels_ = ctx.kernels;
    atoms_ = &atoms;
    decision_ = DecisionScale(metric_, atoms);
    order_.resize(static_cast<std::size_t>(m));
    std::iota(order_.begin(), order_.end(), 0);
    drift_.assign(static_cast<std::size_t>(m) + 1, 0.0);
    if (!drift.empty()) {
        std::stable_sort(order_.begin(), order_.end(), [&](int32_t a, int32_t b) { return drift[a] > drift[b]; });
        for (int64_t j = 0; j < m; ++j) drift_[j] = drift[order_[j]];
    }
    position_.resize(static_cast<std::size_t>(m));
    for (int64_t j = 0; j < m; ++j) position_[order_[j]] = static_cast<int32_t>(j);
    // A first pass knows no scores to hold a group's bound against, and few atoms are soon looked at one by one.
    const int64_t group = drift.empty() ? 1 : bounds_.group ? bounds_.group : m < kManyAtoms ? 1 : kGroup;
    if (bounds_.screen) index_.build(ctx, atoms, order_, rows_.d(), rows_.non_negative(), group);

    zero_label_ = 0;
    scale_.clear();
    bias_.clear();
    group_scale_.clear();
    group_bias_.clear();
    largest_norm_ = 1;
    if (metric_ == Metric::kEuclidean) {
        double largest = 0;
        for (int64_t j = 0; j < m; ++j) {
            largest = std::max(largest, atoms[j].norm2);
            if (atoms[j].norm2 < atoms[zero_label_].norm2) zero_label_ = static_cast<int32_t>(j);
        }
        if (largest > 0) largest_norm_ = std::sqrt(largest);
        scale_.resize(static_cast<std::size_t>(m));
        bias_.resize(static_cast<std::size_t>(m));
        for (int64_t j = 0; j < m; ++j) {
            const double norm = std::sqrt(atoms[order_[j]].norm2) / largest_norm_;
            scale_[j] = static_cast<float>(norm);
            bias_[j] = static_cast<float>(-0.5 * norm * norm);
            if (j % group == 0) {
                group_scale_.push_back(scale_[j]);
                group_bias_.push_back(bias_[j]);
            }
            group_scale_.back() = std::max(group_scale_.back(), scale_[j]);
            group_bias_.back() = std::max(group_bias_.back(), bias_[j]);
        }
    }
}

// Screen units keep every number within [-2, 2]: cosines, or scores over largest_norm * max(largest_norm, ||x||).
template <class View>
typename SparseSelect<View>::Units SparseSelect<View>::units(int64_t i) const {
    const double norm = std::sqrt(rows_.norm2(i));
    if (metric_ == Metric::kCosine) return {1 / norm, 1.0f, 0.0f};
    const double larger = std::max(largest_norm_, norm);
    return {1 / (largest_norm_ * larger), static_cast<float>(norm / larger), static_cast<float>(largest_norm_ / larger)};
}

// Distance to an atom whose score is at most `screen`, in screen units: a lower bound on the distance.
template <class View>
double SparseSelect<View>::distance(int64_t i, double screen) const {
    if (metric_ == Metric::kCosine) return std::acos(std::clamp(screen, -1.0, 1.0));
    const double norm2 = rows_.norm2(i), larger = std::max(largest_norm_, std::sqrt(norm2));
    return std::sqrt(std::max(0.0, norm2 - 2 * screen * largest_norm_ * larger));
}

template <class View>
double SparseSelect<View>::run(const Context& ctx, const std::vector<int64_t>& visit, bool known,
                               RowState& state) const {
    const auto n = static_cast<int64_t>(visit.size());
    // Blocks share the work of scoring; they are small enough for a few a thread and an answer to Ctrl-C.
    const double products_a_row = static_cast<double>(rows_.stored()) / static_cast<double>(n) * atoms_->size() + 1;
    const int64_t rows = std::clamp<int64_t>(std::min<double>(n / 32.0, (1 << 30) / products_a_row), 16, kBlockRows);
    const int64_t chunks = chunk_count(n, rows);
    std::vector<Worker> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    std::vector<int64_t> products(static_cast<std::size_t>(chunks));
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch[id];
        w.products = 0;
        const int64_t end = std::min(n, (c + 1) * rows);
        for (int64_t from = c * rows; from < end; from += kScreenRows) {
            const std::size_t first = w.queue.size();
            for (int64_t r = from; r < std::min(end, from + kScreenRows); ++r) {
                if (r + 8 < end) prefetch(visit[r + 8], state);
                enqueue(w, visit[r], known, state);
            }
            screen(w, first, state);
        }
        settle(w, state);
        products[c] = w.products;
    });
    return std::accumulate(products.begin(), products.end(), 0.0);
}

template <class View>
void SparseSelect<View>::prefetch(int64_t i, const RowState& state) const {
    rows_.prefetch(i);
    __builtin_prefetch(&state.label[i]);
    __builtin_prefetch(&state.own[i]);
    __builtin_prefetch(&state.far[i]);
}

// Finds how many positions the row must look at, and queues it unless there are none.
template <class View>
void SparseSelect<View>::enqueue(Worker& w, int64_t i, bool known, RowState& state) const {
    const auto m = static_cast<int64_t>(atoms_->size());
    if (!(rows_.norm2(i) > 0)) {
        state.label[i] = zero_label_;
        state.own[i] = decision_(0.0, zero_label_);
        return;
    }
    Queued row{};
    row.i = i;
    row.width = m;
    row.mine = known ? position_[state.label[i]] : -1;
    row.others = -HUGE_VALF;
    row.unseen = HUGE_VAL;
    if (known && bounds_.drift && state.far[i] >= 0) {
        // Under cosine the score itself is compared; Euclidean distances cancel, relative to the larger norm.
        const double slack = metric_ == Metric::kCosine ? detail::kDecisionSlack : detail::kScreenSlack;
        const double room = state.far[i] - distance(i, state.own[i] * units(i).to_screen - slack);
        if (room > 0) {
            const auto reach = [&](double least) {
                return std::partition_point(drift_.begin(), drift_.end() - 1, [=](double v) { return v >= least; }) -
                       drift_.begin();
            };
            const int64_t own_first = row.mine == 0;  // its own atom does not count
            if (reach(room) <= own_first) {
                state.far[i] = detail::round_down(state.far[i] - drift_[own_first]);
                return;
            }
            row.width = std::min(m, (reach(kReserve * room) + 63) / 64 * 64);
            if (row.width < m) row.unseen = state.far[i] - drift_[row.width];
        }
    }
    row.screened = bounds_.screen && rows_.size(i) <= kMaxTerms;
    if (row.screened) quantise(w, row, state);
    w.queue.push_back(row);
}

// The row's terms in 8 bits, split into head lines by sign and tail lists, and the error of the bound.
template <class View>
void SparseSelect<View>::quantise(Worker& w, Queued& row, const RowState& state) const {
    const int64_t i = row.i, count = rows_.size(i), padded = (count + 15) / 16 * 16;
    const T* x = rows_.values(i);
    const auto* column = rows_.columns(i);
    if (static_cast<int64_t>(w.a.size()) < padded) {
        w.a.resize(static_cast<std::size_t>(padded));
        w.p.resize(static_cast<std::size_t>(padded));
        w.negative_lines.resize(static_cast<std::size_t>(padded));
        w.negative_weights.resize(static_cast<std::size_t>(padded));
    }
    const double inverse = 1 / std::sqrt(rows_.norm2(i));
    for (int64_t t = 0; t < count; ++t) w.a[t] = static_cast<float>(x[t] * inverse) * index_.terms[column[t]].sigma;
    for (int64_t t = count; t < padded; ++t) w.a[t] = 0;
    const bool round_up = index_.round_up;
    const RowError error = kernels_->quantise_row(w.a.data(), padded, round_up, bounds_.drop, w.p.data());

    const auto space = static_cast<std::size_t>(2 * padded + 8);
    int64_t end = row.heads[0] = static_cast<int64_t>(w.used), negative = 0;
    if (w.lines.size() < w.used + space) {
        w.lines.resize(2 * (w.used + space));
        w.weights.resize(2 * (w.used + space));
    }
    row.tails[0] = static_cast<int64_t>(w.tails.size());
    double dropped2 = 0;
    for (int64_t t = 0; t < count; ++t) {
        const int p = w.p[t];
        const int32_t line = index_.terms[column[t]].line;
        w.lines[end] = line * index_.signs;
        w.weights[end] = static_cast<uint8_t>(p);
        end += line >= 0 && p > 0;
        if (p < 0 && line >= 0) {
            w.negative_lines[negative] = line * 2 + 1;
            w.negative_weights[negative++] = static_cast<uint8_t>(-p);
        }
        if (line < 0 && p != 0) {
            const auto& list = index_.tails[~line];
            __builtin_prefetch(index_.tail_position.data() + list.begin);
            __builtin_prefetch(index_.tail_value.data() + list.begin);
            w.tails.push_back({list.begin, list.begin, list.begin + list.count, p});
        }
        if (p == 0 && bounds_.drop > 0) {
            const double u = x[t] * inverse;
            dropped2 += u * u;
        }
    }
    const auto pad = [&] {  // the kernel takes terms by four
        for (; (end - row.heads[0]) % 4; ++end) {
            w.lines[end] = 0;
            w.weights[end] = 0;
        }
    };
    pad();
    row.heads[1] = end;
    std::copy_n(w.negative_lines.begin(), negative, w.lines.begin() + end);
    std::copy_n(w.negative_weights.begin(), negative, w.weights.begin() + end);
    end += negative;
    pad();
    row.heads[2] = end;
    w.used = static_cast<std::size_t>(end);
    row.tails[1] = static_cast<int64_t>(w.tails.size());

    // Error of the screened score, as proved in the kernel, widened for float32 rounding. What is dropped is bounded by
    // its norm as well, since atoms have length 1.
    const double widen = 1 + 1e-4 + 1e-7 * static_cast<double>(count);
    const double rounding = detail::kScreenSlack + 4e-7 * 127 * error.abs_sum;
    double dropped = 127.0 * error.dropped;
    if (bounds_.residual && bounds_.drop > 0) dropped = std::min(dropped, std::sqrt(dropped2));
    double above = dropped, below = dropped;
    if (round_up) {
        below += error.abs_sum + 127.0 * error.rest;
    } else {
        above += 0.5 * error.abs_sum + 127.0 * error.rest;
        below = above;
    }
    above = above * widen + rounding;
    below = below * widen + rounding;

    const Units unit = units(i);
    row.step = error.step * unit.step_scale;
    row.shift = static_cast<float>(above) * unit.step_scale;
    row.bias_scale = unit.bias_scale;
    row.spread = static_cast<float>((above + below) * unit.step_scale + 2 * detail::kScreenSlack);
    row.bar = row.mine < 0 ? -HUGE_VALF
                           : static_cast<float>(state.own[i] * unit.to_screen - 2 * detail::kScreenSlack);
}

// Looks for the rows queued since `first`, tile by tile over positions, so that a tile's part of the index stays in cache.
template <class View>
void SparseSelect<View>::screen(Worker& w, std::size_t first, RowState& state) const {
    int64_t widest = 0;
    for (std::size_t r = first; r < w.queue.size(); ++r) widest = std::max(widest, w.queue[r].width);
    w.acc.resize(static_cast<std::size_t>(index_.tile));
    for (int64_t from = 0; from * index_.group < widest; from += index_.tile)
        for (std::size_t r = first; r < w.queue.size(); ++r) {
            Queued& row = w.queue[r];
            const int64_t position = from * index_.group, end = position + index_.tile * index_.group;
            if (row.width <= position) continue;
            if (row.screened) look(w, row, static_cast<int32_t>(r), from);
            else keep_all(w, row, static_cast<int32_t>(r), position, std::min(row.width, end));
            if (w.pairs.size() >= kMaxPairs) decide(w, state);
        }
    refine(w, state);
    w.tails.clear();
    w.used = 0;
}

// Scores what is left and takes down what each row of the queue has learnt.
template <class View>
void SparseSelect<View>::settle(Worker& w, RowState& state) const {
    decide(w, state);
    for (const Queued& row : w.queue) {
        const double others = static_cast<double>(row.others) + detail::kScreenSlack;
        state.far[row.i] = detail::round_down(std::min(distance(row.i, others), row.unseen));
    }
    w.queue.clear();
}

// Bounds of the groups [from, from + index_.tile) for one row; those that may matter are refined.
template <class View>
void SparseSelect<View>::look(Worker& w, Queued& row, int32_t index, int64_t from) const {
    const int64_t end = chunk_count(row.width, index_.group);
    const int64_t count = std::min(index_.tile, end - from), width = (count + 63) / 64 * 64;
    int32_t* acc = w.acc.data();
    std::fill_n(acc, width, 0);
    const int64_t begin = row.heads[0], terms = row.heads[2] - begin;
    kernels_->accumulate(acc, index_.tile_data(from), index_.stride(from), w.lines.data() + begin,
                         w.weights.data() + begin, terms, width);
    w.products += terms * count;
    for (int64_t t = row.tails[0]; t < row.tails[1]; ++t) {
        Tail& tail = w.tails[t];
        const int64_t before = tail.at, stop = (from + count) * index_.group;
        for (; tail.at < tail.end && index_.tail_position[tail.at] < stop; ++tail.at) {
            const int32_t product = tail.p * index_.tail_value[tail.at];
            acc[index_.tail_position[tail.at] / index_.group - from] += index_.group == 1 ? product : std::max(0, product);
        }
        w.products += tail.at - before;
    }

    const float* scale = group_scale_.empty() ? nullptr : group_scale_.data() + from;
    const float* bias = group_bias_.empty() ? nullptr : group_bias_.data() + from;
    const bool single = index_.group == 1;
    const float best = kernels_->block_max(acc, count, row.step, row.shift, single ? -HUGE_VALF : 0.0f, scale, bias,
                                           row.bias_scale, w.block);
    if (single) row.bar = std::max(row.bar, best - row.spread);
    for (int64_t j0 = 0; j0 < count; j0 += 64) {
        if (w.block[j0 / 64] < row.bar) {
            row.others = std::max(row.others, w.block[j0 / 64]);
            continue;
        }
        for (int64_t j = j0; j < std::min(count, j0 + 64); ++j) {
            const float bound = group_bound(w, row, from, j);
            if (bound < row.bar) row.others = std::max(row.others, bound);
            else if (single) keep(w, row, index, from + j, bound);
            else w.refined.push_back(static_cast<std::uint64_t>(from + j) << 32 | static_cast<std::uint32_t>(index));
        }
    }
}

// The bound of group from + j, as block_max computes it.
template <class View>
float SparseSelect<View>::group_bound(const Worker& w, const Queued& row, int64_t from, int64_t j) const {
    const float bound = static_cast<float>(w.acc[j]) * row.step + row.shift;
    if (group_scale_.empty()) return bound;
    return std::max(bound, index_.group == 1 ? -HUGE_VALF : 0.0f) * group_scale_[from + j] + row.bias_scale * group_bias_[from + j];
}

// The screen's sums of a group's eight atoms.
template <class View>
void SparseSelect<View>::group_sums(Worker& w, const Queued& row, int64_t group, int32_t* acc) const {
    for (int part : {1, 0}) {  // negative terms first: their sum is negated
        const int64_t begin = row.heads[part], terms = row.heads[part + 1] - begin;
        if (terms == 0) continue;
        kernels_->accumulate_group(acc, index_.group_data(group), w.lines.data() + begin, index_.signs - 1,
                                   w.weights.data() + begin, terms);
        if (part == 1)
            for (int64_t j = 0; j < kGroup; ++j) acc[j] = -acc[j];
        w.products += terms * kGroup;
    }
    const auto positions = index_.tail_position.begin();
    const int64_t first = group * kGroup;
    for (int64_t t = row.tails[0]; t < row.tails[1]; ++t) {
        const Tail& tail = w.tails[t];
        const auto end = positions + tail.end;
        for (auto at = std::lower_bound(positions + tail.begin, end, first); at != end && *at < first + kGroup; ++at)
            acc[*at - first] += tail.p * index_.tail_value[at - positions];
    }
}

template <class View>
void SparseSelect<View>::prefetch_group(const Worker& w, std::uint64_t key) const {
    const Queued& row = w.queue[static_cast<std::uint32_t>(key)];
    const int8_t* values = index_.group_data(static_cast<int64_t>(key >> 32));
    for (int64_t t = row.heads[0]; t < row.heads[2]; ++t)
        __builtin_prefetch(values + (w.lines[t] >> (index_.signs - 1)) * kGroup);
}

// Bounds of the atoms of every group that a row asked for, group by group, so that its entries stay in cache.
template <class View>
void SparseSelect<View>::refine(Worker& w, RowState& state) const {
    std::sort(w.refined.begin(), w.refined.end());
    for (std::size_t k = 0; k < w.refined.size(); ++k) {
        const std::uint64_t key = w.refined[k];
        if (k + 2 < w.refined.size()) prefetch_group(w, w.refined[k + 2]);
        const auto group = static_cast<int64_t>(key >> 32), first = group * kGroup;
        const auto index = static_cast<int32_t>(key);
        Queued& row = w.queue[index];
        int32_t acc[kGroup] = {};
        group_sums(w, row, group, acc);
        for (int64_t j = first; j < std::min<int64_t>(first + kGroup, atoms_->size()); ++j) {
            float bound = static_cast<float>(acc[j - first]) * row.step + row.shift;
            if (!scale_.empty()) bound = bound * scale_[j] + row.bias_scale * bias_[j];
            if (bound >= row.bar) keep(w, row, index, j, bound);
            else row.others = std::max(row.others, bound);
        }
        if (w.pairs.size() >= kMaxPairs) decide(w, state);
    }
    w.refined.clear();
}

// An atom that may win waits for its float64 score.
template <class View>
void SparseSelect<View>::keep(Worker& w, const Queued& row, int32_t index, int64_t position, float bound) const {
    if (position == row.mine) return;
    w.pairs.push_back({order_[position], index, bound, 0});
    w.products += rows_.size(row.i);
}

// The plain way: every atom is scored in float64.
template <class View>
void SparseSelect<View>::keep_all(Worker& w, const Queued& row, int32_t index, int64_t from, int64_t to) const {
    for (int64_t j = from; j < to; ++j)
        if (j != row.mine) w.pairs.push_back({order_[j], index, HUGE_VALF, 0});
    w.products += (to - from) * rows_.size(row.i);
}

// Scores the collected pairs atom by atom and lets the best win: the highest score, then the lowest atom.
template <class View>
void SparseSelect<View>::decide(Worker& w, RowState& state) const {
    // The bar may have risen since a pair was collected.
    std::erase_if(w.pairs, [&](const Pair& pair) {
        Queued& row = w.queue[pair.row];
        if (pair.bound >= row.bar) return false;
        row.others = std::max(row.others, pair.bound);
        return true;
    });
    std::sort(w.pairs.begin(), w.pairs.end(), [](const Pair& a, const Pair& b) { return a.atom < b.atom; });
    const Atom<T>* loaded = nullptr;
    const T* dense = nullptr;
    for (Pair& pair : w.pairs) {
        const Atom<T>& atom = (*atoms_)[pair.atom];
        if (&atom != loaded) dense = w.scratch.load(atom, rows_.d());
        loaded = &atom;
        pair.score = decision_(rows_.dot(w.queue[pair.row].i, dense), pair.atom);
    }
    w.scratch.clear();
    for (const Pair& pair : w.pairs) {
        Queued& row = w.queue[pair.row];
        double& own = state.own[row.i];
        int32_t& label = state.label[row.i];
        double loser = pair.score;
        if (row.mine < 0) {  // the first score of a row that had none
            row.mine = position_[pair.atom];
            loser = -HUGE_VAL;
            own = pair.score;
            label = pair.atom;
        } else if (pair.score > own || (pair.score == own && pair.atom < label)) {
            row.mine = position_[pair.atom];
            loser = own;
            own = pair.score;
            label = pair.atom;
        }
        row.others = std::max(row.others, static_cast<float>(loser * units(row.i).to_screen));
    }
    w.pairs.clear();
}

}  // namespace latom
