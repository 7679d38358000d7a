// product.h: the one step of the GPU's top-k that another library computes: float16 scores of rows with atoms.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/simt.h"

namespace latom::cuda {

/// score [rows, stride] = X [rows, depth] W [atoms, depth]^T, all float16, rows one after the other.
///
/// Each sum is one float32 sum (or better) of exact products in any order, within gamma of pack.cuh, rounded to float16
/// any way. depth and stride are multiples of 8, pointers are aligned to 16 bytes; work is queued on the stream.
struct ProductShape {
    std::int64_t rows, atoms, depth, stride;
};
class ScreenProduct {
public:
    virtual ~ScreenProduct() = default;
    virtual void run(const __half* X, const __half* W, __half* score, const ProductShape& shape,
                     cudaStream_t stream) = 0;
};

/// The product of cuBLASLt, loaded from this path (or name) when first asked for. Throws std::runtime_error that says
/// what is missing.
std::unique_ptr<ScreenProduct> make_lt_product(const std::string& library);

/// A plain product by a kernel of our own: where cuBLASLt is not there, and under emulation, where it adds errors up to
/// the bound and rounds any way.
std::unique_ptr<ScreenProduct> make_plain_product();

}  // namespace latom::cuda
