#include "engines/product_select/row_block.h"

#include <bitset>

#include "core/cache.h"

namespace latom {

using detail::kUlp;
using detail::kWiden;
using detail::round_up;

template <class T>
void RowBlock<T>::load(const AtomPanels<T>& atoms, const T* const* rows, const double* norm2, int64_t count,
                       const Query& query) {
    load(atoms, count, query, [&](int64_t r, std::uint32_t* cells) {
        return round_for_screen(atoms.kernels(), atoms.screen(), rows[r], atoms.d(), norm2[r], atoms.biased(), cells);
    });
}

template <class T>
void RowBlock<T>::load(const AtomPanels<T>& atoms, int64_t count, const Query& query,
                       const std::function<RoundedRow(int64_t, std::uint32_t*)>& round) {
    count_ = count;
    k_ = rank_ = std::min(query.k, atoms.m());
    lost_ = 0;
    magnitude_ = query.magnitude;
    from_above_ = query.from_above;
    room_ = query.room;
    hope_ = query.hope;
    without_ = query.without;
    which_ = query.which;
    // Few atoms cannot fill more places: fresh memory costs more than the screen of a few rows.
    capacity_ = std::min(capacity(k_, query.room), chunk_count(atoms.m() + batch(), 16) * 16 + kMostPanel);
    kernels_ = atoms.kernels();
    atoms_ = &atoms;
    tile_rows_ = kernels_->tile_rows;
    const int64_t padded = tiles() * tile_rows_, cells = atoms.cells(), stride = cells + 16;
    const auto size = static_cast<std::size_t>(padded + kMostTile + kMostPanel);
    for (auto* v : {&rounding_, &length_, &row_bias_, &bias_error_}) v->assign(size, 0.0f);
    tau_.assign(size, HUGE_VALF);
    lead_.assign(size, -HUGE_VALF);
    bar_.assign(size, HUGE_VALF);
    scale_.assign(size, 1.0);
    unit_ = atoms.unit();
    full_.assign(size, static_cast<int32_t>(from_above_ ? capacity_ - kMostPanel : k_ + batch()));
    filled_.assign(size, 0);
    if (without_) allowed_.assign(size, 0);
    overflowed_.assign(size, 0);
    const auto places = static_cast<std::size_t>(count * capacity_);
    if (position_.size() < places) {
        lower_.resize(places);
        upper_.resize(places);
        position_.resize(places);
    }
    cells_.resize(static_cast<std::size_t>(padded * cells));
    rounded_.resize(static_cast<std::size_t>(tile_rows_ * stride));

    const bool exact = atoms.screen() == Screen::kInt16 || atoms.screen() == Screen::kInt8;
    const int64_t roundings = exact ? 8 : atoms.d() + 8;
    const double gamma = 1.01 * static_cast<double>(roundings) * 0x1p-24 + kUlp + atoms.slack();
    for (int64_t tile = 0; tile < tiles(); ++tile) {
        for (int64_t t = 0; t < tile_rows_; ++t) {
            const int64_t r = tile * tile_rows_ + t;
            std::uint32_t* rounded = rounded_.data() + t * stride;
            if (r >= count) {
                std::fill_n(rounded, cells, 0u);
                continue;
            }
            const RoundedRow row = round(r, rounded);
            if (atoms.screen() == Screen::kInt8)  // q + 128
                for (int64_t c = 0; c < cells; ++c) rounded[c] ^= 0x80808080u;
            rounding_[r] = round_up(static_cast<double>(row.error) + gamma * static_cast<double>(row.length)) * kWiden;
            length_[r] = row.length * kWiden;
            // Below that, rho |beta| is less than the 1e-30 of the bound.
            row_bias_[r] = atoms.biased() && row.scale > 0x1p-100 ? static_cast<float>(row.scale) : 0.0f;
            bias_error_[r] = static_cast<float>(kUlp) * row_bias_[r];
            scale_[r] = row.scale;
            set_tau(r, -HUGE_VALF);
        }
        std::uint32_t* out = cells_.data() + tile * tile_rows_ * cells;
        kernels_->interleave(rounded_.data(), tile_rows_, stride, cells, out);
    }
}

template <class T>
void RowBlock<T>::raise(int64_t r, double score) {
    const float tau = threshold_of(r, score);
    if (tau > tau_[r]) set_tau(r, tau);
}

template <class T>
void RowBlock<T>::see(double share) {
    const double mean = share * static_cast<double>(k_), spread = std::sqrt(mean * (1 - share));
    rank_ = std::min(k_, static_cast<int64_t>(mean + 3 * spread) + 3);
}

// The candidates of the tile that begins with this row.
template <class T>
RowCandidates RowBlock<T>::candidates_from(int64_t row) {
    return {rounding_.data() + row,
            length_.data() + row,
            bias_error_.data() + row,
            tau_.data() + row,
            full_.data() + row,
            filled_.data() + row,
            lower_.data() + row * capacity_,
            upper_.data() + row * capacity_,
            position_.data() + row * capacity_,
            capacity_};
}

// Of a tile the rows that take candidates, which are on their way then.
template <class T>
std::uint32_t RowBlock<T>::open_rows(int64_t row) const {
    std::uint32_t open = 0;
    for (int64_t r = row; r < std::min(count_, row + tile_rows_); ++r) {
        open |= static_cast<std::uint32_t>(!overflowed_[r]) << (r - row);
        const int64_t place = r * capacity_ + filled_[r];
        __builtin_prefetch(lower_.data() + place);
        __builtin_prefetch(upper_.data() + place);
        __builtin_prefetch(position_.data() + place);
    }
    return open;
}

// Of the rows row + bit those that are overflowed now.
template <class T>
std::uint32_t RowBlock<T>::tighten_rows(int64_t row, std::uint32_t full) {
    std::uint32_t lost = 0;
    for (; full; full &= full - 1)
        if (!tighten(row + __builtin_ctz(full))) lost |= full & -full;
    return lost;
}

template <class T>
void RowBlock<T>::scan(const AtomPanels<T>& atoms, int64_t first, int64_t last, const int64_t* end) {
    ScreenTile* const screen = screen_kernel(kernels_, atoms.screen());
    const int64_t width = atoms.panel_atoms(), bytes = atoms.panel_bytes();
    // Panels that stay in the second cache while the block's tiles pass over them. Where they are packed here, one, and
    // each tile fetches as many atoms of the next as its steps have lines for.
    const int64_t atom_bytes = atoms.d() * static_cast<int64_t>(sizeof(T));
    const bool ahead = !atoms.kept() && width * atom_bytes <= l2_bytes() / 2;
    const int64_t step = ahead ? 1 : std::max<int64_t>(1, l2_bytes() / 8 * 3 / bytes);
    const int64_t fetched =
        std::clamp<int64_t>(atoms.cells() * static_cast<int64_t>(kCacheLine) / atom_bytes, 1, kAtomRun);
    alignas(kCacheLine) float score[kMostTile * kMostPanel], limit[kMostTile];
    std::uint32_t hit[kMostTile];
    for (int64_t from = first; from < last; from += step) {
        const int64_t count = std::min(step, last - from);
        poll();
        const auto run = atoms.run(from, count, scratch_);
        if (!atoms.sound()) return;
        for (int64_t tile = 0; tile < tiles(); ++tile) {
            const int64_t row = tile * tile_rows_, stop = end ? std::min(count, end[tile] - from) : count;
            const std::uint32_t* cells = cells_.data() + row * atoms.cells();
            const RowCandidates into = candidates_from(row);
            const int64_t later = (from + 1) * width + tile * fetched;
            const void* next = ahead && tile * fetched < width && later < atoms.m() ? atoms.row(later) : nullptr;
            std::uint32_t open = open_rows(row);
            for (int64_t p = 0; p < stop; ++p) {
                limits(row, run.most_length[p], run.most_residual[p], run.most_magnitude[p], limit);
                const PanelScale scale{run.factor + p * width, run.bias + p * width,
                                       next ? next : run.cells + p * bytes};
                std::uint32_t rows = open & screen(cells, run.cells + p * bytes, atoms.cells(), scale,
                                                   {limit, row_bias_.data() + row, magnitude_}, score, hit);
                if (!rows) continue;
                const int64_t position = (from + p) * width, left = atoms.m() - position;
                const std::uint32_t valid = left < width ? (1u << left) - 1 : ~0u;
                const AtomError error{run.length + p * width, run.residual + p * width, run.magnitude + p * width};
                rows = kernels_->collect(rows, hit, valid, score, error, static_cast<int32_t>(position), into);
                if (!rows) continue;
                if (hope_) see(static_cast<double>(from + p + 1) / static_cast<double>(atoms.panels()));
                open &= ~tighten_rows(row, rows);
            }
        }
    }
}

// A bar from `low` on that the lower bounds of k candidates reach; low if fewer do.
template <class T>
float RowBlock<T>::kth_lower(int64_t r, int64_t k, float low, int halvings) const {
    const float* numbers = lower(r);
    if (k > 2) return kernels_->raise_bar(numbers, filled_[r], k, low, halvings);
    float best = -HUGE_VALF, second = -HUGE_VALF;
    for (int32_t c = 0; c < filled_[r]; ++c) {
        second = std::max(second, std::min(best, numbers[c]));
        best = std::max(best, numbers[c]);
    }
    return std::max(low, k == 1 ? best : second);
}

// False if the row is overflowed.
template <class T>
bool RowBlock<T>::tighten(int64_t r) {
    const auto most = static_cast<int32_t>(capacity_ - kMostPanel);
    leave_out(r);
    // Any bar that k candidates reach will do. Where few scores are far above most others, as those of popular items
    // are, the first halvings all fall between these two kinds.
    for (const int halvings : {6, 24}) {
        if (from_above_) break;
        set_tau(r, kth_lower(r, rank_, tau_[r], halvings));
        drop(r);
        if (filled_[r] + batch() / 2 <= most) break;
    }
    full_[r] = std::min(filled_[r] + batch(), most);
    if (filled_[r] + batch() / 2 <= most) return true;
    overflowed_[r] = 1;
    ++lost_;
    bar_[r] = HUGE_VALF;  // few hits, so that its tile is skipped
    return false;
}

// Each candidate is looked up once: those that stay keep their order.
template <class T>
void RowBlock<T>::leave_out(int64_t r) {
    if (!without_) return;
    const int32_t *first = without_->indices + without_->indptr[which_[r]],
                  *last = without_->indices + without_->indptr[which_[r] + 1];
    const int64_t from = r * capacity_;
    int64_t kept = from + allowed_[r];
    constexpr uint32_t kMarks = 4096;
    std::bitset<kMarks> marked;  // most candidates need no search: no atom that is left out has their mark
    for (const int32_t* atom = first; atom < last; ++atom) marked.set(static_cast<uint32_t>(*atom) % kMarks);
    for (int64_t c = kept; c < from + filled_[r]; ++c) {
        const int32_t atom = atoms_->atom(position_[c]);
        if (marked[static_cast<uint32_t>(atom) % kMarks] && std::binary_search(first, last, atom)) continue;
        lower_[kept] = lower_[c];
        upper_[kept] = upper_[c];
        position_[kept++] = position_[c];
    }
    filled_[r] = allowed_[r] = static_cast<int32_t>(kept - from);
}

// Of candidates that leave_out() has seen.
template <class T>
void RowBlock<T>::drop(int64_t r) {
    const int64_t from = r * capacity_;
    filled_[r] =
        static_cast<int32_t>(kernels_->drop_below(tau_[r], filled_[r], &lower_[from], &upper_[from], &position_[from]));
    if (without_) allowed_[r] = filled_[r];
}

template <class T>
void RowBlock<T>::tighten() {
    for (int64_t r = 0; r < count_; ++r)
        if (!overflowed_[r]) tighten(r);
}

template <class T>
void RowBlock<T>::finish() {
    if (from_above_) return;
    for (int64_t r = 0; r < count_; ++r) {
        if (overflowed_[r]) continue;
        leave_out(r);
        lead_[r] = kth_lower(r, k_, -HUGE_VALF, 20);
        set_tau(r, std::max(tau_[r], lead_[r]));
        drop(r);
    }
}

template class RowBlock<float>;
template class RowBlock<double>;

}  // namespace latom
