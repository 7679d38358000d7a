// few_columns.inl.h: the member functions of FewColumns, in the order in which a pass calls them.
#pragma once

#include <cstring>

namespace latom {

template <class View>
bool FewColumns<View>::pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule) {
    const auto m = static_cast<int64_t>(atoms.size()), d = rows_.d();
    if (!useful_ || d > kMostColumns || m * d > kMostNumbers) return false;
    kernels_ = ctx.kernels;
    rule_ = rule;
    m_ = m;
    padded_ = chunk_count(m, kLine) * kLine;
    value_.resize(static_cast<std::size_t>(m * d));
    atoms_.resize(value_.size());
    for (auto* v : {&bias_, &slope_, &base_}) v->assign(static_cast<std::size_t>(m), 0.0f);
    all_.resize(static_cast<std::size_t>(m));
    std::iota(all_.begin(), all_.end(), 0);
    if (!rule.bias.empty() && origin_.empty()) {
        std::vector<double> sum(static_cast<std::size_t>(d), 0.0);
        for (const Atom<T>& atom : atoms)
            for (int64_t t = 0; t < d; ++t) sum[t] += static_cast<double>(atom.value[t]) / static_cast<double>(m);
        origin_.assign(sum.begin(), sum.end());
    }
    double away = 0;  // |o|
    for (const T v : origin_) away += static_cast<double>(v) * static_cast<double>(v);
    away = std::sqrt(away);
    const double gamma = 1.01 * static_cast<double>(d + 10) * 0x1p-24, tiny = static_cast<double>(d + 10) * 0x1p-148,
                 far = static_cast<double>(d + 16) * 0x1p-52, up = 1 + 1e-6;
    for (int64_t j = 0; j < m; ++j) {
        std::copy_n(atoms[j].value.begin(), d, value_.begin() + j * d);
        const double factor = rule.factor.empty() ? 1.0 : rule.factor[j];
        double norm2 = 0;
        for (int64_t t = 0; t < d; ++t) {
            const double w = factor * (static_cast<double>(atoms[j].value[t]) -
                                       (origin_.empty() ? 0.0 : static_cast<double>(origin_[t])));
            atoms_[j * d + t] = static_cast<float>(w);
            norm2 += w * w;
        }
        if (!(norm2 <= kLargest * kLargest) || !(atoms[j].norm2 <= kLargest * kLargest)) return false;
        const double bias = origin_.empty() ? 0.0 : -0.5 * norm2, length = far * std::sqrt(atoms[j].norm2) * factor;
        bias_[j] = static_cast<float>(bias);
        slope_[j] = static_cast<float>((gamma * std::sqrt(norm2) + tiny + length) * up) + 0x1p-140f;
        double base = gamma * std::abs(bias) + tiny * (2 + std::sqrt(norm2)) + length * away;
        if (!rule.bias.empty()) base += far * std::abs(rule.bias[j]);
        base_[j] = static_cast<float>(base * up) + 0x1p-140f;
    }
    for (Scratch& s : scratch_) s.held = -1;
    return true;
}

// The errors of scores of rows of such a length less the origin, and biases that hold them. Those of somewhat longer
// rows serve as well.
template <class View>
void FewColumns<View>::widen(double longest, Scratch& s) const {
    constexpr double kSlack = 1.2;
    if (longest <= s.held && s.held <= 2 * kSlack * longest) return;
    s.held = kSlack * longest;
    s.error.resize(static_cast<std::size_t>(m_));
    s.bias.resize(static_cast<std::size_t>(m_));
    const auto length = static_cast<float>(s.held * (1 + 1e-6));
    float most = 0;
    for (int64_t j = 0; j < m_; ++j) {
        s.error[j] = (slope_[j] * length + base_[j]) * (1 + 1e-6f);
        s.bias[j] = bias_[j] + s.error[j];
        most = std::max(most, s.error[j]);
    }
    s.error_most = most;
    s.above.assign(static_cast<std::size_t>(padded_), -std::numeric_limits<float>::infinity());
    for (int64_t j = 0; j < m_; ++j) s.above[j] = bias_[j] + 2.0001f * s.error[j];
}

template <class View>
int32_t FewColumns<View>::decide(int64_t i, Scratch& s) const {
    if (!(rows_.norm2(i) > 0)) return rule_.zero_label();
    const auto row = [this](int64_t j) { return value_.data() + j * rows_.d(); };
    s.scores.resize(static_cast<std::size_t>(m_));
    AtomTable<T, decltype(row)>(kernels_, rows_.d(), rule_, row).run(rows_.values(i), 0, m_, s.scores.data());
    ++s.near;
    return static_cast<int32_t>(std::max_element(s.scores.begin(), s.scores.end()) - s.scores.begin());
}

template <class View>
double FewColumns<View>::run(const Context& ctx, bool known, RowState& state) {
    const int64_t n = rows_.n(), d = rows_.d();
    passes_ = known ? passes_ + 1 : 0;
    if (!known) worth_ = -1;
    if (may_block_ && known && n >= kBlockRows && n <= std::numeric_limits<int32_t>::max() && m_ <= kBlockAtoms &&
        blocks_pay(ctx, state)) {
        prepare_blocks(ctx, state);
    } else {
        labels_hold_ = false;
    }
    const bool by_block = labels_hold_;
    const int64_t width = kernels_->best_rows, items = by_block ? blocks_.size() : n,
                  chunk = by_block ? kChunk / width : kChunk, chunks = chunk_count(items, chunk);
    scratch_.resize(static_cast<std::size_t>(workers(ctx, chunks)));
    for (Scratch& s : scratch_) {
        s.near = s.scored = 0;
        s.held = -1;
        s.moves.clear();
        s.label.resize(static_cast<std::size_t>(width));
        for (auto* v : {&s.best, &s.second}) v->resize(static_cast<std::size_t>(width));
        s.columns.resize(static_cast<std::size_t>(width * d));
        s.middles.resize(static_cast<std::size_t>(kBoxes * padded_));
        if (by_block) s.which.resize(static_cast<std::size_t>(padded_));
    }
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        const int64_t from = c * chunk, to = std::min(items, from + chunk);
        if (by_block) run_blocks(from, to, state, scratch_[worker]);
        else run_rows(from, to, known, state, scratch_[worker]);
    });
    int64_t near = 0, scored = by_block ? blocks_.size() * m_ : 0;
    for (const Scratch& s : scratch_) {
        near += s.near;
        scored += s.scored;
    }
    useful_ = static_cast<double>(near) <= kTooMany * static_cast<double>(n) + 64;
    return (static_cast<double>(scored) + static_cast<double>(near) * static_cast<double>(m_)) * static_cast<double>(d);
}

// Whether passes by blocks are faster: after as many without as would have paid for making them. A trial with some rows
// tells what they spare.
template <class View>
bool FewColumns<View>::blocks_pay(const Context& ctx, const RowState& state) {
    if (may_block_ > 1 || blocks_.width() == kernels_->best_rows) return true;
    const auto d = static_cast<double>(rows_.d()), m = static_cast<double>(m_), passes = static_cast<double>(passes_);
    const double all = m * (d + kPick), plain = all + kRead * d, making = kBlockRow + kBlockNumber * d,
                 choosing = m * kBoxAtom;
    if (passes * std::max(0.0, plain - choosing) < making) return false;  // even if nothing were left to look at
    if (worth_ < 0) worth_ = std::max(0.0, plain - choosing - share_left(ctx, state) * all);
    return passes * worth_ >= making && worth_ > plain / 8;
}

// Of all scores, the share that blocks of some rows look at. Rows lie denser in blocks of all, which then look at less.
template <class View>
double FewColumns<View>::share_left(const Context& ctx, const RowState& state) {
    const int64_t n = rows_.n(), pieces = chunk_count(std::min(n, kTried), kPiece), step = n / pieces;
    std::vector<int32_t> some;
    for (int64_t p = 0; p < pieces; ++p)
        for (int64_t i = p * step; i < std::min(n, p * step + std::min(step, kPiece)); ++i)
            some.push_back(static_cast<int32_t>(i));
    struct Trial {
        NeighborBlocks<View>& blocks;
        ~Trial() { blocks.clear(); }  // also where an interrupt ends it: these are not the blocks of all rows
    } const trial{blocks_};
    blocks_.build(ctx, rows_, origin_, kernels_->best_rows, state.label, m_, some);
    labels_hold_ = false;
    prepare_atoms(ctx);
    Scratch s;
    s.middles.resize(static_cast<std::size_t>(kBoxes * padded_));
    s.which.resize(static_cast<std::size_t>(padded_));
    double left = 0;
    for (int64_t b = 0; b < blocks_.size(); ++b) {
        const int64_t from = b / kBoxes * kBoxes;
        const bool chosen = choose_atoms(b, from, std::min(blocks_.size(), from + kBoxes), s);
        if (chosen && s.chosen == 1) continue;
        left += static_cast<double>(blocks_[b].count) * static_cast<double>(chosen ? s.chosen : m_);
    }
    return left / (static_cast<double>(some.size()) * static_cast<double>(m_));
}

// Blocks that hold the labels of the state, and what they ask of the atoms.
template <class View>
void FewColumns<View>::prepare_blocks(const Context& ctx, const RowState& state) {
    const int64_t width = kernels_->best_rows;
    if (blocks_.width() != width) blocks_.build(ctx, rows_, origin_, width, state.label, m_);
    else if (!labels_hold_) blocks_.read(ctx, state.label);
    labels_hold_ = true;
    prepare_atoms(ctx);
}

template <class View>
void FewColumns<View>::prepare_atoms(const Context& ctx) {
    const int64_t d = rows_.d();
    turned_.assign(static_cast<std::size_t>(d * padded_), 0.0f);
    std::vector<float> norm2(static_cast<std::size_t>(m_), 0.0f);
    for (int64_t j = 0; j < m_; ++j)
        for (int64_t t = 0; t < d; ++t) {
            const float w = atoms_[j * d + t];
            turned_[t * padded_ + j] = w;
            norm2[j] += w * w;
        }
    apart2_.resize(static_cast<std::size_t>(m_ * padded_));
    const float loose = 8 * static_cast<float>(d + 10) * 0x1p-24f;
    parallel_for(ctx, chunk_count(m_, kBoxes), [&](int64_t c, int) {
        const int64_t from = c * kBoxes, count = std::min(kBoxes, m_ - from);
        float* out = apart2_.data() + from * padded_;
        kernels_->f32.small_product(atoms_.data() + from * d, count, d, turned_.data(), padded_, out);
        for (int64_t k = from; k < from + count; ++k, out += padded_)
            for (int64_t j = 0; j < m_; ++j) {
                const float both = norm2[k] + norm2[j];
                out[j] = std::max(0.0f, both - 2 * out[j]) + (loose * both + std::numeric_limits<float>::min());
            }
    });
}

// Labels of the rows row(0), ..., row(count - 1), of these columns, by the atoms s.which (none chosen: all) into s.label.
template <class View>
template <class Row>
void FewColumns<View>::settle(int64_t count, double longest, const float* columns, Row row, Scratch& s) const {
    if (!(longest <= kLargest)) {
        for (int64_t r = 0; r < count; ++r) s.label[r] = decide(row(r), s);
        return;
    }
    const int64_t among = s.chosen > 0 ? s.chosen : m_;
    kernels_->best_two(columns, rows_.d(), atoms_.data(), s.bias.data(), s.chosen > 0 ? s.which.data() : all_.data(),
                       among, s.label.data(), s.best.data(), s.second.data());
    s.scored += count * among;
    const auto clear = static_cast<float>(2 * s.error_most * (1 + 1e-6));
    const float *best = s.best.data(), *second = s.second.data();
    int near = 0;
    for (int64_t r = 0; r < count; ++r) near |= !(best[r] - second[r] > clear);
    for (int64_t r = 0; near && r < count; ++r) {
        const double lead = static_cast<double>(best[r]) - static_cast<double>(second[r]);
        if (!(lead > 2 * static_cast<double>(s.error[s.label[r]]))) s.label[r] = decide(row(r), s);
    }
}

template <class View>
void FewColumns<View>::run_rows(int64_t from, int64_t to, bool known, RowState& state, Scratch& s) const {
    const int64_t width = kernels_->best_rows;
    s.chosen = 0;
    for (; from < to; from += width) {
        const int64_t count = std::min(width, to - from);
        const auto row = [from](int64_t r) { return from + r; };
        const double longest = load_columns<true>(rows_, origin_, count, width, row, s.columns.data());
        if (longest <= kLargest) widen(longest, s);
        settle(count, longest, s.columns.data(), row, s);
        int32_t* label = state.label.data() + from;
        int other = 0;
        for (int64_t r = 0; r < count; ++r) other |= label[r] ^ s.label[r];
        for (int64_t r = 0; known && other && r < count; ++r)
            if (label[r] != s.label[r]) s.moves.push_back({from + r, label[r], s.label[r]});
        std::copy_n(s.label.begin(), count, label);
    }
}

// What rows of block b may be nearest to, into s.which; false where float32 cannot tell. Blocks [from, to) come in their
// order: the middles of all are scored with the first.
template <class View>
bool FewColumns<View>::choose_atoms(int64_t b, int64_t from, int64_t to, Scratch& s) const {
    const int64_t place = (b - from) % kBoxes;
    if (place == 0)
        kernels_->f32.small_product(blocks_.middle(b), std::min(kBoxes, to - b), rows_.d(), turned_.data(), padded_,
                                    s.middles.data());
    s.chosen = 0;
    if (blocks_[b].count == 0 || !(blocks_[b].longest <= kLargest)) return false;
    widen(blocks_[b].longest, s);
    const BoxAtoms atoms{turned_.data(), apart2_.data(), s.above.data(), s.error.data(), rows_.d(), m_, padded_};
    s.chosen = kernels_->box_atoms(atoms, blocks_.half(b), blocks_[b].radius2 * (1 + 1e-5f),
                                   s.middles.data() + place * padded_, s.which.data());
    return true;
}

template <class View>
void FewColumns<View>::run_blocks(int64_t from, int64_t to, RowState& state, Scratch& s) {
    for (int64_t b = from; b < to; ++b) {
        auto& block = blocks_[b];
        const bool chosen = choose_atoms(b, from, to, s), one = chosen && s.chosen == 1;
        if (block.count == 0) continue;
        int32_t* label = blocks_.labels(b);
        const int32_t* row = blocks_.rows(b);
        if (one && block.uniform && label[0] == s.which[0]) continue;
        if (one) std::fill(s.label.begin(), s.label.end(), s.which[0]);
        else settle(block.count, block.longest, blocks_.columns(b), [row](int64_t r) { return row[r]; }, s);
        int other = 0;
        for (int64_t r = 0; r < block.count; ++r) other |= label[r] ^ s.label[r];
        if (!other) continue;
        block.uniform = true;
        for (int64_t r = 0; r < block.count; ++r) {
            if (label[r] != s.label[r]) {
                s.moves.push_back({row[r], label[r], s.label[r]});
                state.label[row[r]] = label[r] = s.label[r];
            }
            block.uniform &= label[r] == label[0];
        }
    }
}

template <class View>
void FewColumns<View>::score_own(const Context& ctx, RowState& state) const {
    const int64_t n = rows_.n(), d = rows_.d();
    state.own.resize(static_cast<std::size_t>(n));
    parallel_for(ctx, chunk_count(n, kChunk), [&](int64_t c, int) {
        for (int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i) {
            const int32_t j = state.label[i];
            const T *x = rows_.values(i), *y = value_.data() + j * d;
            const double dot = d > kShortDot ? kernels_->template of<T>().dense_dot(x, y, d) : short_dot(x, y, d);
            state.own[i] = rule_(rows_.norm2(i) > 0 ? dot : 0.0, j);
        }
    });
}

}  // namespace latom
