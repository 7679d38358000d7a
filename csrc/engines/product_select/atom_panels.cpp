#include "engines/product_select/atom_panels.h"

#include <numeric>
#include <utility>

#include "core/prefetch.h"

namespace latom {
namespace {

using detail::kWiden;
using detail::round_up;
constexpr int64_t kAhead = 4;            // atoms that are on their way while one is rounded
constexpr float kLeastBias = 0x1p-126f;  // detail::kUlp of it is more than rounding to a subnormal number loses

/// Power of two that brings a vector of this squared norm to a length in [1/2, 1), or below where float32 data are so
/// short that the power itself would be no float32; 1 for zero.
template <class T>
constexpr double kMostScale = sizeof(T) == 4 ? 0x1p127 : HUGE_VAL;
template <class T>
double scale_to_unit(double norm2) {
    return norm2 > 0 ? std::min(std::ldexp(1.0, -std::ilogb(std::sqrt(norm2)) - 1), kMostScale<T>) : 1.0;
}

/// Rounds a row into its cells [cells].
template <class T>
RoundedRow round_cells(const KernelTable* kernels, Screen screen, const T* row, int64_t d, double scale,
                       std::uint32_t* cells) {
    double residual2 = 0, length2 = 0;
    if (screen != Screen::kFloat32) cells[row_cells(screen, d) - 1] = 0;
    const auto round = [&]<class Out>(double (*kernel)(const T*, std::int64_t, double, Out*, double*)) {
        residual2 = kernel(row, d, scale, reinterpret_cast<Out*>(cells), &length2);
    };
    if (screen == Screen::kInt8) round(kernels->of<T>().round_i8);
    else if (screen == Screen::kBFloat16) round(kernels->of<T>().round_bf16);
    else if (screen == Screen::kInt16) round(kernels->of<T>().round_i16);
    else round(kernels->of<T>().round_f32);
    // Squares below 2^-149 are lost: they count where a row was not blown up to length 1.
    double error = std::sqrt(residual2) + std::sqrt(static_cast<double>(d)) * 0x1p-74;
    const double length = std::sqrt(length2);
    if (screen == Screen::kInt8) error += 0x1p-23 * (length + error);
    return {scale, round_up(error), round_up(length + error)};
}

}  // namespace

ScreenTile* screen_kernel(const KernelTable* kernels, Screen screen) {
    if (screen == Screen::kInt16) return kernels->screen_i16;
    if (screen == Screen::kInt8) return kernels->screen_i8;
    return screen == Screen::kBFloat16 ? kernels->screen_bf16 : kernels->screen_f32;
}

Screen parse_screen(const Context& ctx, const std::string& name) {
    if (name == "auto") return Screen::kAuto;
    std::string known;
    for (const auto& [screen, text] : {std::pair{Screen::kFloat32, "float32"},
                                       {Screen::kInt16, "int16"},
                                       {Screen::kBFloat16, "bfloat16"},
                                       {Screen::kInt8, "int8"}}) {
        if (!screen_kernel(ctx.kernels, screen)) continue;
        if (name == text) return screen;
        known += std::string(", '") + text + "'";
    }
    fail(ctx, "screen must be 'auto' or one that this kernel variant has" + known, "'" + name + "'",
         "Leave it at 'auto'.");
}

Screen fine_screen(const KernelTable* kernels, int64_t d) {
    constexpr int64_t kMostColumns = 1 << 14;  // beyond, units of 2^-15 round more than bfloat16
    if (kernels->screen_i16 && (d <= kMostColumns || !kernels->screen_bf16)) return Screen::kInt16;
    return kernels->screen_bf16 ? Screen::kBFloat16 : Screen::kFloat32;
}

bool has_coarse_screen(const KernelTable* kernels, int64_t d) { return kernels->screen_i8 && d <= (1 << 16); }

template <class T>
RoundedRow round_for_screen(const KernelTable* kernels, Screen screen, const T* row, int64_t d, double norm2,
                            bool biased, std::uint32_t* cells) {
    double scale = scale_to_unit<T>(norm2);
    if (const double most = screen == Screen::kInt8 ? kernels->of<T>().largest_magnitude(row, d) : 0; most > 0)
        scale = std::min(127 / most, kMostScale<T>);
    if (biased) scale = std::min(scale, 0x1p60);
    return round_cells(kernels, screen, row, d, scale, cells);
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
    const bool too_long = screen == Screen::kInt8 && !has_coarse_screen(kernels_, d);  // forced
    screen_ = screen == Screen::kAuto || too_long ? fine_screen(kernels_, d) : screen;
    cells_ = row_cells(screen_, d);
    panels_ = chunk_count(m(), kernels_->panel_atoms);
    // Factors are at most |factor| times the reciprocal of scale_to_unit (of int8: less): twice the length, or what its
    // cap leaves.
    double largest = 0, longest2 = 0;
    if (norm2_.empty()) {  // some atoms tell the scale
        for (int64_t j = 0; j < m(); j += chunk_count(m(), 64)) longest2 = std::max(longest2, squared_length(j));
    }
    const double least = 1 / scale_to_unit<T>(1e-300);
    for (int64_t j = 0; j < static_cast<int64_t>(norm2_.size()); ++j) {
        if (factor_.empty()) longest2 = std::max(longest2, norm2_[j]);
        else if (norm2_[j] > 0)
            largest = std::max(largest, std::abs(factor_[j]) * std::max(2 * std::sqrt(norm2_[j]), least));
    }
    for (const double b : bias_) largest = std::max(largest, std::abs(b));
    if (longest2 > 0) largest = std::max(largest, 1 / scale_to_unit<T>(longest2));
    if (largest > 0) unit_ = std::ldexp(1.0, -std::ilogb(largest) - 1);
}

// Squared length of an atom; 0, and no longer sound, where it cannot be used.
template <class T>
double AtomPanels<T>::squared_length(int64_t j) const {
    if (!norm2_.empty()) return norm2_[j];
    const double norm2 = kernels_->of<T>().dense_dot(atoms_[j], atoms_[j], d_);
    if (acceptable(atoms_[j], d_, norm2)) return norm2;
    sound_ = false;
    return 0;
}

// Rounds atom j; false if its length is 0. Where lengths have to be found, `fitting` is a scale for atoms like the last
// that was measured, or 0: where it fits, the atom is read once instead of twice. Other lengths are measured, and so
// are numbers that are not finite, as the error is not then.
template <class T>
bool AtomPanels<T>::round(int64_t j, double& fitting, std::uint32_t* cells, RoundedRow& row) const {
    if (fitting > 0) {
        row = round_cells(kernels_, screen_, atoms_[j], d_, fitting, cells);
        if (row.length >= 0.25f && row.length < 1) return true;
    }
    const double square = squared_length(j);
    if (!(square > 0)) return false;
    row = round_for_screen(kernels_, screen_, atoms_[j], d_, square, false, cells);
    const bool again = norm2_.empty() && screen_ != Screen::kInt8 && square > 1e-280 && square < 1e280;
    fitting = again ? scale_to_unit<T>(1.5 * square) : 0;  // and a little room for longer ones
    return true;
}

template <class T>
void AtomPanels<T>::resize(Store& store, int64_t panels, int64_t panel_bytes, int64_t panel_atoms) {
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
    return {s.cells.data() + at * panel_bytes,
            p,
            p + row,
            p + 2 * row,
            p + 3 * row,
            p + 4 * row,
            q,
            q + s.panels,
            q + 2 * s.panels};
}

template <class T>
void AtomPanels<T>::pack(int64_t first, int64_t count, Store& store, int64_t at, bool fetch,
                         std::vector<std::uint32_t>& rounded) const {
    const int64_t width = panel_atoms(),
                  stride = cells_ + 16;  // not a power of two: lines of a column in different sets
    rounded.resize(static_cast<std::size_t>(width * stride));
    fetch &= d_ * static_cast<int64_t>(sizeof(T)) <= 4096;  // longer ones the processor loads ahead by itself
    double fitting = 0;
    for (int64_t panel = first; panel < first + count; ++panel, ++at) {
        const Run run = view(store, at, panel_bytes(), width);
        const auto entry = [](const float* p) -> float& { return *const_cast<float*>(p); };
        auto* out = reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(run.cells));
        std::uint32_t* const start = screen_ == Screen::kInt8 ? std::exchange(out, out + width) : nullptr;
        entry(run.most_length) = entry(run.most_residual) = entry(run.most_magnitude) = 0;
        for (int64_t c = 0; c < width; ++c) {
            std::uint32_t* cells = rounded.data() + c * stride;
            float phi = 0, beta = 0, length = 0, residual = 0;
            const int64_t position = panel * width + c, j = position < m() ? atom(position) : -1;
            if (j >= 0 && biased()) beta = static_cast<float>(bias_[j] * unit_);
            if (fetch && position + kAhead < m()) prefetch(atoms_[atom(position + kAhead)], d_);
            if (RoundedRow row; j >= 0 && round(j, fitting, cells, row)) {
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
    auto made = std::make_unique<Store>();  // nobody sees it before it is whole
    resize(*made, panels_, panel_bytes(), panel_atoms());
    const int64_t chunks = chunk_count(panels_, kPanels);
    std::vector<std::vector<std::uint32_t>> rounded(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        pack(c * kPanels, std::min(kPanels, panels_ - c * kPanels), *made, c * kPanels, true, rounded[worker]);
    });
    const Store* first = nullptr;
    if (kept_.compare_exchange_strong(first, made.get(), std::memory_order_release)) made.release();
}

template <class T>
typename AtomPanels<T>::Run AtomPanels<T>::run(int64_t first, int64_t count, Store& scratch) const {
    if (const Store* all = kept_.load(std::memory_order_acquire))
        return view(*all, first, panel_bytes(), panel_atoms());
    resize(scratch, count, panel_bytes(), panel_atoms());
    pack(first, count, scratch, 0, false, scratch.rounded);
    return view(scratch, 0, panel_bytes(), panel_atoms());
}

template RoundedRow round_for_screen(const KernelTable*, Screen, const float*, int64_t, double, bool, std::uint32_t*);
template RoundedRow round_for_screen(const KernelTable*, Screen, const double*, int64_t, double, bool, std::uint32_t*);
template class AtomPanels<float>;
template class AtomPanels<double>;

}  // namespace latom
