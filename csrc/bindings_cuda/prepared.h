// prepared.h: atoms on a device as Python holds them.
#pragma once

#include "bindings_cuda/memory.h"
#include "cuda/atoms.h"

namespace latom::cuda {

/// The caller keeps W [m, d] and bias [m], which lie on the device.
template <class T>
class Prepared {
public:
    Prepared(Pointer W, std::int64_t m, std::int64_t d, int metric, Pointer bias, int device, Pointer stream)
        : memory_((check_extents({m, d}), atoms_bytes<T>(m, d)), device), metric_(metric), bias_(bias) {
        atoms_.W = at<const T>(W), atoms_.m = m, atoms_.d = d;
        prepare(stream);
    }
    /// Again, for what stands in W now.
    void prepare(Pointer stream) {
        const OnDevice on(memory_.device());
        atoms_ = prepare_atoms(atoms_.W, atoms_.m, atoms_.d, static_cast<Measure>(metric_), at<double>(bias_),
                               memory_.data(), stream_of(stream));
    }
    const Atoms<T>& atoms() const { return atoms_; }
    int device() const { return memory_.device(); }

private:
    Memory memory_;
    Atoms<T> atoms_{};
    int metric_;
    Pointer bias_;
};

}  // namespace latom::cuda
