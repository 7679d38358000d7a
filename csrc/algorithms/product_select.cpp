#include "algorithms/product_select.h"

#include <numeric>
#include <utility>

#include "algorithms/stored_rows.h"
#include "core/cache.h"
#include "core/prefetch.h"

namespace latom {
namespace {

constexpr double kUlp = 0x1p-22;  // two float32 roundings and some
constexpr float kWiden = 1 + 1e-5f;
constexpr float kLeastBias = 0x1p-126f;  // kUlp of it is more than rounding to a subnormal number loses

auto round_f32(const KernelTable* k, float) { return k->round_f32_f32; }
auto round_f32(const KernelTable* k, double) { return k->round_f64_f32; }
auto round_i16(const KernelTable* k, float) { return k->round_f32_i16; }
auto round_i16(const KernelTable* k, double) { return k->round_f64_i16; }
auto round_i8(const KernelTable* k, float) { return k->round_f32_i8; }
auto round_i8(const KernelTable* k, double) { return k->round_f64_i8; }
auto largest(const KernelTable* k, float) { return k->largest_f32; }
auto largest(const KernelTable* k, double) { return k->largest_f64; }
auto round_bf16(const KernelTable* k, float) { return k->round_f32_bf16; }
auto round_bf16(const KernelTable* k, double) { return k->round_f64_bf16; }

/// Power of two that brings a vector of this squared norm to a length in [1/2, 1), or below where float32 data are so short
/// that the power itself would be no float32; 1 for zero.
template <class T>
constexpr double kMostScale = sizeof(T) == 4 ? 0x1p127 : HUGE_VAL;
template <class T>
double scale_to_unit(double norm2) {
    return norm2 > 0 ? std::min(std::ldexp(1.0, -std::ilogb(std::sqrt(norm2)) - 1), kMostScale<T>) : 1.0;
}

/// A float at least v, v >= 0; where it is subnormal, up to what the bound's 1e-30 covers.
float round_up(double v) { return static_cast<float>(v * (1 + 1e-6)); }

/// Rounds a row into its cells [cells]; the length of what that leaves.
template <class T>
double round_cells(const KernelTable* kernels, Screen screen, const T* row, int64_t d, double scale,
                   std::uint32_t* cells) {
    double residual2;
    if (screen != Screen::kFloat32) cells[row_cells(screen, d) - 1] = 0;
    if (screen == Screen::kInt8) residual2 = round_i8(kernels, T{})(row, d, scale, reinterpret_cast<std::int8_t*>(cells));
    else if (screen == Screen::kBFloat16) residual2 = round_bf16(kernels, T{})(row, d, scale, reinterpret_cast<std::uint16_t*>(cells));
    else if (screen == Screen::kInt16) residual2 = round_i16(kernels, T{})(row, d, scale, reinterpret_cast<std::int16_t*>(cells));
    else residual2 = round_f32(kernels, T{})(row, d, scale, reinterpret_cast<float*>(cells));
    // Squares below 2^-149 are lost: they count where a row was not blown up to length 1.
    return std::sqrt(residual2) + std::sqrt(static_cast<double>(d)) * 0x1p-74;
}

}  // namespace

ScreenTile* screen_kernel(const KernelTable* kernels, Screen screen) {
    if (screen == Screen::kInt16) return kernels->screen_i16;
    if (screen == Screen::kInt8) return kernels->screen_i8;
    return screen == Screen::kBFloat16 ? kernels->screen_bf16 : kernels->screen_f32;
}

Screen parse_screen(const KernelTable* kernels, const std::string& name, const std::string& function) {
    if (name == "auto") return Screen::kAuto;
    std::string known;
    for (const auto& [screen, text] : {std::pair{Screen::kFloat32, "float32"}, {Screen::kInt16, "int16"}, {Screen::kBFloat16, "bfloat16"}, {Screen::kInt8, "int8"}}) {
        if (!screen_kernel(kernels, screen)) continue;
        if (name == text) return screen;
        known += std::string(", '") + text + "'";
    }
    fail(function, "screen must be 'auto' or one that this kernel variant has" + known, "'" + name + "'", "Pass 'auto'.");
}

Screen fine_screen(const KernelTable* kernels, int64_t d) {
    constexpr int64_t kMostColumns = 1 << 14;  // beyond, units of 2^-15 round more than bfloat16
    if (kernels->screen_i16 && (d <= kMostColumns || !kernels->screen_bf16)) return Screen::kInt16;
    return kernels->screen_bf16 ? Screen::kBFloat16 : Screen::kFloat32;
}

bool has_coarse_screen(const KernelTable* kernels, int64_t d) { return kernels->screen_i8 && d <= (1 << 16); }

template <class T>
RoundedRow round_for_screen(const KernelTable* kernels, Screen screen, const T* row, int64_t d, double norm2, bool biased,
                            std::uint32_t* cells) {
    double scale = scale_to_unit<T>(norm2);
    if (const double most = screen == Screen::kInt8 ? largest(kernels, T{})(row, d) : 0; most > 0)
        scale = std::min(127 / most, kMostScale<T>);
    if (biased) scale = std::min(scale, 0x1p60);
    const double length = std::sqrt(norm2) * scale;
    double error = round_cells(kernels, screen, row, d, scale, cells);
    if (screen == Screen::kInt8) error += 0x1p-23 * length;
    return {scale, round_up(error), round_up(length + error)};
}

template <class T>
AtomPanels<T>::AtomPanels(const Context& ctx, std::vector<const T*> atoms, int64_t d, std::vector<double> norm2,
                          std::vector<double> factor, std::vector<double> bias, std::vector<int32_t> order,
                          Screen screen, double slack)
    : atoms_(std::move(atoms)),
      d_(d),
      kernels_(ctx.kernels),
      norm2_(std::move(norm2)),
      factor_(std::move(factor)),
      bias_(std::move(bias)),
      order_(std::move(order)),
      slack_(slack) {
    screen_ = screen;
    if (screen == Screen::kAuto)
        screen_ = fine_screen(kernels_, d);
    if (screen_ == Screen::kInt8 && !has_coarse_screen(kernels_, d)) screen_ = fine_screen(kernels_, d);  // forced on long rows
    cells_ = row_cells(screen_, d);
    panels_ = chunk_count(m(), kernels_->panel_atoms);
    // Factors are at most |factor| times the reciprocal of scale_to_unit (of int8: less): twice the length, or what its cap leaves.
    double largest = 0, longest2 = 0;
    if (norm2_.empty()) {  // some atoms tell the scale
        std::vector<double> some(static_cast<std::size_t>(panel_atoms()));
        for (int64_t panel = 0; panel < panels_; panel += chunk_count(panels_, 4)) {
            measure(panel * panel_atoms(), some.data());
            longest2 = std::max(longest2, *std::max_element(some.begin(), some.end()));
        }
    }
    const double least = 1 / scale_to_unit<T>(1e-300);
    for (int64_t j = 0; j < static_cast<int64_t>(norm2_.size()); ++j) {
        if (factor_.empty()) longest2 = std::max(longest2, norm2_[j]);
        else if (norm2_[j] > 0) largest = std::max(largest, std::abs(factor_[j]) * std::max(2 * std::sqrt(norm2_[j]), least));
        if (biased()) largest = std::max(largest, std::abs(bias_[j]));
    }
    if (longest2 > 0) largest = std::max(largest, 1 / scale_to_unit<T>(longest2));
    if (largest > 0) unit_ = std::ldexp(1.0, -std::ilogb(largest) - 1);
}

// Squared lengths [panel_atoms] of the atoms at `position` and after; 0, and no longer sound, where one cannot be used.
template <class T>
void AtomPanels<T>::measure(int64_t position, double* norm2) const {
    const int64_t width = panel_atoms(), count = std::min(width, m() - position);
    std::fill_n(norm2, width, 0.0);
    const T* rows[32];
    for (int64_t c = 0; c < count; ++c) {
        rows[c] = atoms_[atom(position + c)];
        if (!norm2_.empty()) norm2[c] = norm2_[atom(position + c)];
    }
    if (!norm2_.empty()) return;
    for (int64_t c = 0; c < count; c += 4) {
        for (int64_t next = c + 4; next < std::min(c + 8, count); ++next) prefetch(rows[next], d_);
        detail::dense_dots(kernels_, T{})(rows + c, rows + c, std::min<int64_t>(4, count - c), d_, norm2 + c);
    }
    for (int64_t c = 0; c < count; ++c)
        if (!RowReader<T>::usable(rows[c], d_, norm2[c])) {
            norm2[c] = 0;
            sound_ = false;
        }
}

template <class T>
void AtomPanels<T>::resize(Store& store, int64_t panels, int64_t panel_bytes, int64_t panel_atoms) {
    if (store.panels == panels) return;
    store.cells.resize(static_cast<std::size_t>(panels * panel_bytes));
    store.by_position.resize(static_cast<std::size_t>(5 * panels * panel_atoms));
    store.by_panel.resize(static_cast<std::size_t>(3 * panels));
    store.panels = panels;
}

template <class T>
typename AtomPanels<T>::Run AtomPanels<T>::view(const Store& s, int64_t at, int64_t panel_bytes, int64_t panel_atoms) {
    const int64_t row = s.panels * panel_atoms;
    const float* p = s.by_position.data() + at * panel_atoms;
    const float* q = s.by_panel.data() + at;
    return {s.cells.data() + at * panel_bytes, p, p + row, p + 2 * row, p + 3 * row, p + 4 * row, q, q + s.panels,
            q + 2 * s.panels};
}

template <class T>
void AtomPanels<T>::pack(int64_t first, int64_t count, Store& store, int64_t at,
                         std::vector<std::uint32_t>& rounded) const {
    const int64_t width = panel_atoms(), stride = cells_ + 16;  // not a power of two: lines of a column in different sets
    const int64_t ahead = norm2_.empty() ? width : 2;           // measure() has read those of this panel
    rounded.resize(static_cast<std::size_t>(width * stride));
    double norm2[32];
    for (int64_t panel = first; panel < first + count; ++panel, ++at) {
        const Run run = view(store, at, panel_bytes(), width);
        const auto entry = [](const float* p) -> float& { return *const_cast<float*>(p); };
        auto* out = reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(run.cells));
        std::uint32_t* const start = screen_ == Screen::kInt8 ? std::exchange(out, out + width) : nullptr;
        entry(run.most_length) = entry(run.most_residual) = entry(run.most_magnitude) = 0;
        measure(panel * width, norm2);
        for (int64_t c = 0; c < width; ++c) {
            std::uint32_t* cells = rounded.data() + c * stride;
            float phi = 0, beta = 0, length = 0, residual = 0;
            const int64_t position = panel * width + c, j = position < m() ? atom(position) : -1;
            if (j >= 0 && biased()) beta = static_cast<float>(bias_[j] * unit_);
            if (norm2[c] > 0) {
                if (position + ahead < m()) prefetch(atoms_[atom(position + ahead)], d_);
                const RoundedRow row = round_for_screen(kernels_, screen_, atoms_[j], d(), norm2[c], false, cells);
                double factor = (factor_.empty() ? 1.0 : factor_[j]) / row.scale * unit_;
                if (factor > 0x1p60) {  // beyond what was guessed
                    sound_ = false;
                    factor = 0;
                }
                phi = static_cast<float>(factor);
                length = round_up(std::abs(factor) * static_cast<double>(row.length));
                residual = round_up(std::abs(factor) * static_cast<double>(row.error));
            } else {
                std::fill_n(cells, cells_, 0u);
            }
            if (start) {
                const auto* numbers = reinterpret_cast<const std::int8_t*>(cells);
                start[c] = static_cast<std::uint32_t>(-128 * std::accumulate(numbers, numbers + 4 * cells_, 0));
            }
            entry(run.factor + c) = phi;
            entry(run.bias + c) = beta;
            entry(run.length + c) = length;
            entry(run.residual + c) = residual;
            entry(run.magnitude + c) = std::abs(beta) * kWiden + kLeastBias;
            entry(run.most_length) = std::max(*run.most_length, length);
            entry(run.most_residual) = std::max(*run.most_residual, residual);
            entry(run.most_magnitude) = std::max(*run.most_magnitude, run.magnitude[c]);
        }
        kernels_->interleave(rounded.data(), width, stride, cells_, out);
    }
}

template <class T>
void AtomPanels<T>::keep(const Context& ctx) {
    if (kept()) return;
    constexpr int64_t kPanels = 8;
    // Until kept_ is set nobody reads store_: not after an interrupt, nor another thread that is in run() now.
    resize(store_, panels_, panel_bytes(), panel_atoms());
    const int64_t chunks = chunk_count(panels_, kPanels);
    std::vector<std::vector<std::uint32_t>> rounded(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        pack(c * kPanels, std::min(kPanels, panels_ - c * kPanels), store_, c * kPanels, rounded[worker]);
    });
    kept_.store(true, std::memory_order_release);
}

template <class T>
typename AtomPanels<T>::Run AtomPanels<T>::run(int64_t first, int64_t count, Store& scratch) const {
    if (kept()) return view(store_, first, panel_bytes(), panel_atoms());
    resize(scratch, count, panel_bytes(), panel_atoms());
    std::vector<std::uint32_t> rounded;
    pack(first, count, scratch, 0, rounded);
    return view(scratch, 0, panel_bytes(), panel_atoms());
}

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
    k_ = std::min(query.k, atoms.m());
    magnitude_ = query.magnitude;
    from_above_ = query.from_above;
    room_ = query.room;
    capacity_ = capacity(k_, query.room);
    kernels_ = atoms.kernels();
    atoms_ = &atoms;
    tile_rows_ = kernels_->tile_rows;
    const int64_t padded = tiles() * tile_rows_, cells = atoms.cells(), stride = cells + 16;
    const auto size = static_cast<std::size_t>(padded + kMostTile);
    for (auto* v : {&rounding_, &length_, &row_bias_, &bias_error_}) v->assign(size, 0.0f);
    tau_.assign(size, HUGE_VALF);
    lead_.assign(size, -HUGE_VALF);
    bar_.assign(size, HUGE_VALF);
    scale_.assign(size, 1.0);
    unit_ = atoms.unit();
    full_.assign(size, static_cast<int32_t>(from_above_ ? capacity_ - kMostPanel : k_ + batch()));
    filled_.assign(size, 0);
    crowded_.assign(size, 0);
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

// What rows of a tile are compared with, at a panel of these largest errors. All lanes alike, so that they are vectors.
template <class T>
void RowBlock<T>::limits(int64_t row, float length, float residual, float magnitude, float* limit) const {
    const float *bar = bar_.data() + row, *rounding = rounding_.data() + row, *lengths = length_.data() + row,
                *bias = bias_error_.data() + row;
#pragma GCC ivdep
    for (int t = 0; t < kMostTile; ++t)
        limit[t] = bar[t] - kWiden * (rounding[t] * length + lengths[t] * residual + bias[t] * magnitude + 1e-30f);
}

template <class T>
void RowBlock<T>::scan(const AtomPanels<T>& atoms, int64_t first, int64_t last, const int64_t* end) {
    ScreenTile* const screen = screen_kernel(kernels_, atoms.screen());
    const int64_t width = atoms.panel_atoms(), bytes = atoms.panel_bytes();
    // Panels that stay in the second cache while the block's tiles pass over them.
    const int64_t step = std::max<int64_t>(1, l2_bytes() / 8 * 3 / bytes);
    float limit[kMostTile], score[kMostTile * kMostPanel];
    std::uint32_t hit[kMostTile];
    for (int64_t from = first; from < last; from += step) {
        const int64_t count = std::min(step, last - from);
        poll();
        const auto run = atoms.run(from, count, scratch_);
        if (!atoms.sound()) return;
        for (int64_t tile = 0; tile < tiles(); ++tile) {
            const int64_t row = tile * tile_rows_, stop = end ? std::min(count, end[tile] - from) : count;
            const std::uint32_t* cells = cells_.data() + row * atoms.cells();
            const RowCandidates into{rounding_.data() + row, length_.data() + row, bias_error_.data() + row,
                                     tau_.data() + row, full_.data() + row, filled_.data() + row,
                                     lower_.data() + row * capacity_, upper_.data() + row * capacity_,
                                     position_.data() + row * capacity_, capacity_};
            std::uint32_t open = 0;  // rows that take candidates
            for (int64_t r = row; r < std::min(count_, row + tile_rows_); ++r) {
                open |= static_cast<std::uint32_t>(!crowded_[r]) << (r - row);
                const int64_t next = r * capacity_ + filled_[r];
                __builtin_prefetch(lower_.data() + next);
                __builtin_prefetch(upper_.data() + next);
                __builtin_prefetch(position_.data() + next);
            }
            for (int64_t p = 0; p < stop; ++p) {
                limits(row, run.most_length[p], run.most_residual[p], run.most_magnitude[p], limit);
                const PanelScale scale{run.factor + p * width, run.bias + p * width};
                std::uint32_t rows = open & screen(cells, run.cells + p * bytes, atoms.cells(), scale,
                                                   {limit, row_bias_.data() + row, magnitude_}, score, hit);
                if (!rows) continue;
                const int64_t position = (from + p) * width, left = atoms.m() - position;
                const std::uint32_t valid = left < width ? (1u << left) - 1 : ~0u;
                const AtomError error{run.length + p * width, run.residual + p * width, run.magnitude + p * width};
                rows = kernels_->collect(rows, hit, valid, score, error, static_cast<int32_t>(position), into);
                for (; rows; rows &= rows - 1)
                    if (!tighten(row + __builtin_ctz(rows))) open &= ~(rows & -rows);
            }
        }
    }
}

// A bar from `low` on that the lower bounds of k candidates reach; low if fewer do.
template <class T>
float RowBlock<T>::kth_lower(int64_t r, float low, int halvings) const {
    const float* numbers = lower(r);
    if (k_ > 2) return kernels_->raise_bar(numbers, filled_[r], k_, low, halvings);
    float best = -HUGE_VALF, second = -HUGE_VALF;
    for (int32_t c = 0; c < filled_[r]; ++c) {
        second = std::max(second, std::min(best, numbers[c]));
        best = std::max(best, numbers[c]);
    }
    return std::max(low, k_ == 1 ? best : second);
}

// False if the row is crowded.
template <class T>
bool RowBlock<T>::tighten(int64_t r) {
    if (!from_above_) {
        set_tau(r, kth_lower(r, tau_[r], 6));  // any bar that k candidates reach will do
        drop(r);
    }
    const auto most = static_cast<int32_t>(capacity_ - kMostPanel);
    full_[r] = std::min(filled_[r] + batch(), most);
    if (filled_[r] + batch() / 2 <= most) return true;
    crowded_[r] = 1;
    bar_[r] = HUGE_VALF;  // few hits, so that its tile is skipped
    return false;
}

template <class T>
void RowBlock<T>::drop(int64_t r) {
    const int64_t from = r * capacity_;
    filled_[r] = static_cast<int32_t>(
        kernels_->drop_below(tau_[r], filled_[r], &lower_[from], &upper_[from], &position_[from]));
}

template <class T>
void RowBlock<T>::finish() {
    if (from_above_) return;
    for (int64_t r = 0; r < count_; ++r) {
        if (crowded_[r]) continue;
        lead_[r] = kth_lower(r, -HUGE_VALF, 20);
        set_tau(r, std::max(tau_[r], lead_[r]));
        drop(r);
    }
}

template RoundedRow round_for_screen(const KernelTable*, Screen, const float*, int64_t, double, bool, std::uint32_t*);
template RoundedRow round_for_screen(const KernelTable*, Screen, const double*, int64_t, double, bool, std::uint32_t*);
template class AtomPanels<float>;
template class AtomPanels<double>;
template class RowBlock<float>;
template class RowBlock<double>;

}  // namespace latom
