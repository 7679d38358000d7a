// few_columns.inl.h: the member functions of FewColumns, in the order in which a pass calls them.
#pragma once

#include <cstring>

namespace latom {

template <class View>
bool FewColumns<View>::pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule) {
    const auto m = static_cast<int64_t>(atoms.size()), d = rows_.d();
    if (!useful_ || d > ColumnScreen<View>::kMostColumns || !few_numbers(m, d)) return false;
    kernels_ = ctx.kernels;
    m_ = m;
    return screen_.pack(
        kernels_, m, [&](int64_t j) { return atoms[j].value.data(); }, [&](int64_t j) { return atoms[j].norm2; }, rule);
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
        s.begin(width, d);
        s.moves.clear();
        s.middles.resize(static_cast<std::size_t>(kBoxes * screen_.padded()));
        if (by_block) s.chosen_atoms.resize(static_cast<std::size_t>(screen_.padded()));
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
    blocks_.build(ctx, rows_, screen_.origin(), kernels_->best_rows, state.label, m_, some);
    labels_hold_ = false;
    prepare_atoms(ctx);
    Scratch s;
    s.middles.resize(static_cast<std::size_t>(kBoxes * screen_.padded()));
    s.chosen_atoms.resize(static_cast<std::size_t>(screen_.padded()));
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
    if (blocks_.width() != width) blocks_.build(ctx, rows_, screen_.origin(), width, state.label, m_);
    else if (!labels_hold_) blocks_.read(ctx, state.label);
    labels_hold_ = true;
    prepare_atoms(ctx);
}

template <class View>
void FewColumns<View>::prepare_atoms(const Context& ctx) {
    const int64_t d = rows_.d();
    std::vector<float> norm2(static_cast<std::size_t>(m_), 0.0f);
    for (int64_t j = 0; j < m_; ++j)
        for (int64_t t = 0; t < d; ++t) {
            const float w = screen_.atoms()[j * d + t];
            norm2[j] += w * w;
        }
    apart2_.resize(static_cast<std::size_t>(m_ * screen_.padded()));
    const float loose = 8 * static_cast<float>(d + 10) * 0x1p-24f;
    parallel_for(ctx, chunk_count(m_, kBoxes), [&](int64_t c, int) {
        const int64_t from = c * kBoxes, count = std::min(kBoxes, m_ - from);
        float* out = apart2_.data() + from * screen_.padded();
        kernels_->f32.small_product(screen_.atoms() + from * d, count, d, screen_.turned(), screen_.padded(), out);
        for (int64_t k = from; k < from + count; ++k, out += screen_.padded())
            for (int64_t j = 0; j < m_; ++j) {
                const float both = norm2[k] + norm2[j];
                out[j] = std::max(0.0f, both - 2 * out[j]) + (loose * both + std::numeric_limits<float>::min());
            }
    });
}

template <class View>
void FewColumns<View>::run_rows(int64_t from, int64_t to, bool known, RowState& state, Scratch& s) const {
    const int64_t width = kernels_->best_rows;
    s.chosen = 0;
    for (; from < to; from += width) {
        const int64_t count = std::min(width, to - from);
        const auto row = [from](int64_t r) { return from + r; };
        const double longest = load_columns<true>(rows_, screen_.origin(), count, width, row, s.columns.data());
        screen_.settle(count, longest, s.columns.data(), row, nullptr, 0, s);
        int32_t* label = state.label.data() + from;
        int other = 0;
        for (int64_t r = 0; r < count; ++r) other |= label[r] ^ s.label[r];
        for (int64_t r = 0; known && other && r < count; ++r)
            if (label[r] != s.label[r]) s.moves.push_back({from + r, label[r], s.label[r]});
        std::copy_n(s.label.begin(), count, label);
    }
}

// What rows of block b may be nearest to, into s.chosen_atoms; false where float32 cannot tell. Blocks [from, to) come
// in their order: the middles of all are scored with the first.
template <class View>
bool FewColumns<View>::choose_atoms(int64_t b, int64_t from, int64_t to, Scratch& s) const {
    const int64_t place = (b - from) % kBoxes;
    if (place == 0)
        kernels_->f32.small_product(blocks_.middle(b), std::min(kBoxes, to - b), rows_.d(), screen_.turned(),
                                    screen_.padded(), s.middles.data());
    s.chosen = 0;
    if (blocks_[b].count == 0 || !(blocks_[b].longest <= ColumnScreen<View>::kLargest)) return false;
    screen_.widen(blocks_[b].longest, s);
    const BoxAtoms atoms{screen_.turned(), apart2_.data(), s.above.data(), s.error.data(), rows_.d(), m_,
                         screen_.padded()};
    s.chosen = kernels_->box_atoms(atoms, blocks_.half(b), blocks_[b].radius2 * (1 + 1e-5f),
                                   s.middles.data() + place * screen_.padded(), s.chosen_atoms.data());
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
        if (one && block.uniform && label[0] == s.chosen_atoms[0]) continue;
        if (one) std::fill(s.label.begin(), s.label.end(), s.chosen_atoms[0]);
        else
            screen_.settle(
                block.count, block.longest, blocks_.columns(b), [row](int64_t r) { return row[r]; },
                s.chosen_atoms.data(), s.chosen, s);
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
            const T *x = rows_.values(i), *y = screen_.value(j);
            const double dot = d > kShortDot ? kernels_->template of<T>().dense_dot(x, y, d) : short_dot(x, y, d);
            state.own[i] = screen_.rule()(rows_.norm2(i) > 0 ? dot : 0.0, j);
        }
    });
}

}  // namespace latom
