// plain_product.cu: float16 scores without cuBLASLt, one thread per score: slow on a GPU, and right.
#include "cuda/product.h"

#include "cuda/dot8.cuh"

namespace latom::cuda {
namespace {

#if defined(__CUDACC__)

constexpr int kSide = 16;

LATOM_KERNEL void __launch_bounds__(kSide* kSide)
    multiply(const __half* X, const __half* W, __half* score, ProductShape shape) {
    const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kSide + threadIdx.x;
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * kSide + threadIdx.y;
    if (i >= shape.rows || j >= shape.atoms) return;
    float sum = 0;
    for (std::int64_t p = 0; p < shape.depth; ++p)
        sum = __fmaf_rn(__half2float(X[i * shape.depth + p]), __half2float(W[j * shape.depth + p]), sum);
    score[i * shape.stride + j] = __float2half_rn(sum);
}

class PlainProduct final : public ScreenProduct {
public:
    void run(const __half* X, const __half* W, __half* score, const ProductShape& shape, cudaStream_t stream) override {
        // A grid's second extent is below 2^16, and a chunk of rows shorter than that.
        const dim3 grid(static_cast<unsigned>((shape.atoms + kSide - 1) / kSide),
                        static_cast<unsigned>((shape.rows + kSide - 1) / kSide));
        simt::launch(multiply, grid, dim3(kSide, kSide), stream, X, W, score, shape);
    }
};

#else

// The float16 neighbor of v: the nearest, or the next one away from it.
std::uint16_t beside(double v, bool up) {
    const __half h = __float2half_rn(static_cast<float>(v));
    auto bits = static_cast<std::uint16_t>(__half_as_ushort(h));
    const double got = static_cast<double>(__half2float(h));
    if (got == v || (got > v) == up) return bits;
    unsigned key = bits & 0x8000u ? 0xffffu & ~bits : bits | 0x8000u;
    key += up ? 1 : -1;
    return static_cast<std::uint16_t>(key & 0x8000u ? key & 0x7fffu : 0xffffu & ~key);
}

class PlainProduct final : public ScreenProduct {
public:
    void run(const __half* X, const __half* W, __half* score, const ProductShape& shape, cudaStream_t stream) override {
        latom_simt_queue(stream, [=, this] { multiply(X, W, score, shape); });
    }

private:
    void multiply(const __half* X, const __half* W, __half* score, const ProductShape& shape) {
        const double gamma = static_cast<double>(shape.depth) * 0x1p-22;
        std::uniform_real_distribution<double> part(-1, 1);
        for (std::int64_t i = 0; i < shape.rows; ++i)
            for (std::int64_t j = 0; j < shape.atoms; ++j) {
                double sum = 0, xx = 0, ww = 0;
                for (std::int64_t p = 0; p < shape.depth; ++p) {
                    const double x = __half2float(X[i * shape.depth + p]), w = __half2float(W[j * shape.depth + p]);
                    sum += x * w, xx += x * x, ww += w * w;
                }
                const double error = gamma * std::sqrt(xx * ww);
                sum += (random_() & 1 ? 1 : part(random_)) * (random_() & 1 ? error : -error);
                score[i * shape.stride + j] = __ushort_as_half(beside(sum, random_() & 1));
            }
    }
    std::mt19937 random_{1};
};

#endif

}  // namespace

std::unique_ptr<ScreenProduct> make_plain_product() { return std::make_unique<PlainProduct>(); }

}  // namespace latom::cuda
