// sparse_screen.inl.h: the screen of SparseSelect: a row in 8 bits, and the bounds of groups and atoms.
#pragma once

namespace latom {

namespace detail {
// Float32 rounding of a screened score (|score| <= 1 in screen units), and float64 rounding of a decision.
inline constexpr double kScreenSlack = 2e-6, kDecisionSlack = 1e-9;
}  // namespace detail

// The row's terms in 8 bits, split into head lines by sign and tail lists, and the error of the bound.
template <class View>
void SparseSelect<View>::quantize(Worker& w, Queued& row, const RowState& state) const {
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
    const RowError error = kernels_->quantize_row(w.a.data(), padded, round_up, switches_.drop, w.p.data());

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
        if (p == 0 && switches_.drop > 0) {
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
    set_bounds(row, error, dropped2, state);
}

// The error of the screened score, as proved in kernels/quantize_row.inl.h, widened for float32 rounding; and the bar.
// What is dropped is bounded by its norm as well, since atoms have length 1.
template <class View>
void SparseSelect<View>::set_bounds(Queued& row, const RowError& error, double dropped2, const RowState& state) const {
    const int64_t i = row.i, count = rows_.size(i);
    const double widen = 1 + 1e-4 + 1e-7 * static_cast<double>(count);
    const double rounding = detail::kScreenSlack + 4e-7 * 127 * error.abs_sum;
    double dropped = 127.0 * error.dropped;
    if (switches_.residual && switches_.drop > 0) dropped = std::min(dropped, std::sqrt(dropped2));
    double above = dropped, below = dropped;
    if (index_.round_up) {
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
    row.bar = row.mine < 0 ? -HUGE_VALF : static_cast<float>(state.own[i] * unit.to_screen - 2 * detail::kScreenSlack);
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
            acc[index_.tail_position[tail.at] / index_.group - from] +=
                index_.group == 1 ? product : std::max(0, product);
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
    return std::max(bound, index_.group == 1 ? -HUGE_VALF : 0.0f) * group_scale_[from + j] +
           row.bias_scale * group_bias_[from + j];
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
    w.pairs.push_back({drift_.order[position], index, bound, 0});
    w.products += rows_.size(row.i);
}

}  // namespace latom
