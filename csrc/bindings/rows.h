// rows.h: the one prepared X, as Python holds it: arrays that stay alive, measured once, its transpose made on demand.
//
// Every binding takes a PyRows. What it keeps is made once, whichever thread asks first, and only read afterwards.
#pragma once

#include <memory>
#include <tuple>
#include <variant>

#include "bindings/arrays.h"
#include "core/buffer.h"
#include "core/turns.h"
#include "rows/rows.h"
#include "rows/transposed.h"

namespace latom {

/// Rows of every kind that algorithms are compiled for; empty before they have been measured.
using AnyRows =
    std::variant<std::monostate, Rows<DenseView<float>>, Rows<DenseView<double>>, Rows<CsrView<float, int32_t>>,
                 Rows<CsrView<float, int64_t>>, Rows<CsrView<double, int32_t>>, Rows<CsrView<double, int64_t>>>;

class PyRows {
public:
    /// X: a C-contiguous 2-d array of float32 or float64, or of uint16 with storage "float16" or "bfloat16"; or the
    /// tuple (indptr int64, indices, data, (rows, columns)). Returns null for CSR whose columns are not sorted and
    /// distinct.
    static std::unique_ptr<PyRows> prepare(const Call& call, const py::object& X, const std::string& storage,
                                           const std::string& name);

    int64_t n() const { return n_; }
    int64_t d() const { return d_; }
    bool sparse() const { return sparse_; }

    /// The rows, checked and measured. Half precision is widened to float32 for it, once.
    const AnyRows& rows(const Context& ctx) const;
    template <class F>
    decltype(auto) visit(const Context& ctx, F f) const {
        using Result = decltype(f(std::declval<const Rows<DenseView<float>>&>()));
        return std::visit(
            [&](const auto& rows) -> Result {
                if constexpr (std::is_same_v<std::decay_t<decltype(rows)>, std::monostate>)
                    throw std::logic_error("PyRows: not measured");
                else return f(rows);
            },
            rows(ctx));
    }
    /// Whether these are dense rows stored as T, and no subset.
    template <class T>
    bool holds() const {
        const auto* dense = std::get_if<StoredRows>(&arrays_);
        return dense && !part_ && dense->storage == Storage::kNative && number_bytes_ == static_cast<int>(sizeof(T));
    }
    /// Dense rows as they are stored, for who reads them once: T must be their type, or float for half precision.
    template <class T>
    StoredRows stored(const Context& ctx) const;
    /// X by columns.
    template <class T>
    const Transposed<T>& transposed(const Context& ctx) const;

    /// The rows `chosen` of the PyRows `whole`, without a copy of any number.
    static std::unique_ptr<PyRows> subset(const py::object& whole, const Call& call, const Array<std::int64_t>& chosen);
    py::array_t<double> norm2(const Call& call) const;
    bool non_negative(const Call& call) const;
    int64_t zero_rows(const Call& call) const;

private:
    PyRows() = default;
    template <class I, class T>
    bool take_csr(const Context& ctx, const Array<std::int64_t>& indptr, const Array<I>& indices, const Array<T>& data);
    struct Measured {
        AlignedVector<float> wide;  // of half precision
        AnyRows rows;
    };
    std::unique_ptr<Measured> measure(const Context& ctx) const;

    py::object keep_;
    std::string name_;
    int64_t n_ = 0, d_ = 0;
    bool sparse_ = false;
    std::variant<StoredRows, CsrView<float, int32_t>, CsrView<float, int64_t>, CsrView<double, int32_t>,
                 CsrView<double, int64_t>>
        arrays_;
    int number_bytes_ = 4;  // of a dense number: 2, 4 or 8
    bool part_ = false;     // a subset: rows_ is all there is
    AnyRows rows_;          // of a subset
    mutable Once<Measured> measured_;
    mutable std::tuple<Once<Transposed<float>>, Once<Transposed<double>>> transposed_;
};

}  // namespace latom
