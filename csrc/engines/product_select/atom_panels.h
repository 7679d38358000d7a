// atom_panels.h: atoms and rows in the low precision of a screen, with what its bounds need (row_block.h has
// them).
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "rows/rows.h"

namespace latom {

namespace detail {
constexpr double kUlp = 0x1p-22;     // two float32 roundings and some
constexpr float kWiden = 1 + 1e-5f;  // bounds are computed in float32
/// A float at least v, v >= 0; where it is subnormal, up to what the bound's 1e-30 covers.
inline float round_up(double v) { return static_cast<float>(v * (1 + 1e-6)); }
}  // namespace detail

enum class Screen { kAuto, kFloat32, kInt16, kBFloat16, kInt8 };

/// With fewer columns a screen of 16 bits saves nothing over float32, and rounds too much.
inline constexpr int64_t kLowColumns = 24;

/// Null where this variant has no such products.
ScreenTile* screen_kernel(const KernelTable* kernels, Screen screen);
/// "auto", "float32", "int16", "bfloat16" or "int8".
Screen parse_screen(const Context& ctx, const std::string& name);

/// kAuto: of those that this variant has, the fastest that leaves few candidates.
Screen fine_screen(const KernelTable* kernels, int64_t d);
/// Whether this variant has int8, and it can hold the sums.
bool has_coarse_screen(const KernelTable* kernels, int64_t d);

/// Atoms at so many positions, from each multiple of it on, are best neighbors in memory: they are fetched together.
constexpr int64_t kAtomRun = 8;

/// A row x as the screen takes it: x^ = scale x, its error |x^ - x~| and a bound on |x^| and |x~|.
struct RoundedRow {
    double scale;
    float error, length;
};
/// Rounds a row into `cells` [row_cells()]. biased: where biases are added, a row is not blown up beyond what they can
/// follow.
template <class T>
RoundedRow round_for_screen(const KernelTable* kernels, Screen screen, const T* row, int64_t d, double norm2,
                            bool biased, std::uint32_t* cells);
/// Cells of 4 bytes in a row of d numbers.
inline int64_t row_cells(Screen screen, int64_t d) {
    return screen == Screen::kFloat32 ? d : screen == Screen::kInt8 ? (d + 3) / 4 : (d + 1) / 2;
}

/// Atoms as panels for the screen's kernel, with what their bounds need. Positions [m] are in the given order.
template <class T>
class AtomPanels {
public:
    /// atoms [m] of d numbers, and norm2 [m], their squared lengths, finite. factor and bias [m] may be empty: 1 and 0.
    /// Without norm2 (then without factor) lengths are found as atoms are packed, and the largest is guessed from some:
    /// where the guess fails, or an atom cannot be used, sound() turns false and results mean nothing.
    /// order [m]: position -> atom, or empty for the order of the atoms.
    /// slack: what |x^| |w^| may be short of, where rows and atoms stand for others
    /// (algorithms/cluster/dense/projection.h).
    AtomPanels(const Context& ctx, std::vector<const T*> atoms, int64_t d, std::vector<double> norm2,
               std::vector<double> factor, std::vector<double> bias, std::vector<int32_t> order, Screen screen,
               double slack = 0);
    ~AtomPanels() { delete kept_.load(std::memory_order_relaxed); }

    /// A run of panels, packed.
    struct Run {
        const std::byte* cells;
        const float *factor, *bias, *length, *residual, *magnitude;  // phi, beta, phi W, phi D, |beta| by position
        const float *most_length, *most_residual, *most_magnitude;   // the largest of each panel
    };
    struct Store {  // of as many panels as were packed
        AlignedVector<std::byte> cells;
        AlignedVector<float> by_position, by_panel;  // five and three rows
        std::vector<std::uint32_t> rounded;          // scratch of run()
        int64_t panels = 0;
    };

    int64_t m() const { return static_cast<int64_t>(atoms_.size()); }
    int64_t d() const { return d_; }
    int64_t panels() const { return panels_; }
    int64_t panel_atoms() const { return kernels_->panel_atoms; }
    int64_t cells() const { return cells_; }  // cells of 4 bytes in a row
    int64_t panel_bytes() const {
        return (cells_ + (screen_ == Screen::kInt8)) * 4 * panel_atoms();
    }  // int8: a line to start from
    int32_t atom(int64_t position) const { return order_.empty() ? static_cast<int32_t>(position) : order_[position]; }
    const T* row(int64_t position) const { return atoms_[atom(position)]; }
    Screen screen() const { return screen_; }  // never kAuto
    double slack() const { return slack_; }
    bool biased() const { return !bias_.empty(); }
    double unit() const { return unit_; }  // g
    bool sound() const { return sound_.load(std::memory_order_relaxed); }
    const KernelTable* kernels() const { return kernels_; }

    /// Packs all atoms at once; otherwise each run() packs into the caller's scratch, fast where the second cache has
    /// the atoms. Threads may run() meanwhile.
    void keep(const Context& ctx);
    bool kept() const { return kept_.load(std::memory_order_acquire); }
    Run run(int64_t first, int64_t count, Store& scratch) const;

private:
    double squared_length(int64_t j) const;
    bool round(int64_t j, double& fitting, std::uint32_t* cells, RoundedRow& row) const;
    void pack(int64_t first, int64_t count, Store& store, int64_t at, bool fetch,
              std::vector<std::uint32_t>& rounded) const;
    static void resize(Store& store, int64_t panels, int64_t panel_bytes, int64_t panel_atoms);
    static Run view(const Store& store, int64_t at, int64_t panel_bytes, int64_t panel_atoms);

    std::vector<const T*> atoms_;
    int64_t d_;
    const KernelTable* kernels_;
    std::vector<double> norm2_, factor_, bias_;
    std::vector<int32_t> order_;
    Screen screen_;
    double slack_;
    int64_t cells_, panels_;
    double unit_ = 1;
    std::atomic<const Store*> kept_{nullptr};  // all panels
    mutable std::atomic<bool> sound_{true};
};

}  // namespace latom
