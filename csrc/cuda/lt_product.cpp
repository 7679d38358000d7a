// lt_product.cpp: the product by cuBLASLt, loaded by dlopen: nothing links it, and a machine without it can import us.
//
// Row-major scores [rows, atoms] are, column by column, the matrix W X^T [atoms, rows] that cuBLASLt is asked for. Sums
// are kept in float32 and never split over several partial results, which gamma of pack.cuh stands on.
#include <cublasLt.h>
#include <dlfcn.h>

#include <stdexcept>

#include "cuda/product.h"

namespace latom::cuda {
namespace {

#define LATOM_LT_FUNCTIONS(F)               \
    F(cublasLtCreate)                       \
    F(cublasLtDestroy)                      \
    F(cublasLtMatmul)                       \
    F(cublasLtMatmulDescCreate)             \
    F(cublasLtMatmulDescDestroy)            \
    F(cublasLtMatmulDescSetAttribute)       \
    F(cublasLtMatrixLayoutCreate)           \
    F(cublasLtMatrixLayoutDestroy)          \
    F(cublasLtMatmulPreferenceCreate)       \
    F(cublasLtMatmulPreferenceDestroy)      \
    F(cublasLtMatmulPreferenceSetAttribute) \
    F(cublasLtMatmulAlgoGetHeuristic)

struct Library {
#define LATOM_LT_MEMBER(name) decltype(&::name) name = nullptr;
    LATOM_LT_FUNCTIONS(LATOM_LT_MEMBER)
#undef LATOM_LT_MEMBER

    explicit Library(const std::string& path) {
        void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!handle) throw std::runtime_error(std::string("cuBLASLt cannot be loaded: ") + dlerror());
#define LATOM_LT_LOAD(name)                                        \
    name = reinterpret_cast<decltype(name)>(dlsym(handle, #name)); \
    if (!name) throw std::runtime_error(path + " has no " #name);
        LATOM_LT_FUNCTIONS(LATOM_LT_LOAD)
#undef LATOM_LT_LOAD
    }
};

void check(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS)
        throw std::runtime_error(std::string(what) + " of cuBLASLt failed with status " + std::to_string(status));
}

// What cuBLASLt makes and wants destroyed.
template <class Handle>
class Owned {
public:
    explicit Owned(cublasStatus_t (*destroy)(Handle)) : destroy_(destroy) {}
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    ~Owned() {
        if (handle_) destroy_(handle_);
    }
    Handle* out() { return &handle_; }
    operator Handle() const { return handle_; }

private:
    cublasStatus_t (*destroy_)(Handle);
    Handle handle_ = nullptr;
};

class LtProduct final : public ScreenProduct {
public:
    explicit LtProduct(const std::string& path) : lt_(path), handle_(lt_.cublasLtDestroy) {
        check(lt_.cublasLtCreate(handle_.out()), "cublasLtCreate");
    }

    void run(const __half* X, const __half* W, __half* score, const ProductShape& shape, cudaStream_t stream) override {
        Owned<cublasLtMatmulDesc_t> product(lt_.cublasLtMatmulDescDestroy);
        check(lt_.cublasLtMatmulDescCreate(product.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
        const cublasOperation_t transposed = CUBLAS_OP_T;
        check(lt_.cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
              "cublasLtMatmulDescSetAttribute");
        Owned<cublasLtMatrixLayout_t> a(lt_.cublasLtMatrixLayoutDestroy), b(lt_.cublasLtMatrixLayoutDestroy),
            c(lt_.cublasLtMatrixLayoutDestroy);
        const auto layout = [&](Owned<cublasLtMatrixLayout_t>& of, std::int64_t rows, std::int64_t columns,
                                std::int64_t stride) {
            check(lt_.cublasLtMatrixLayoutCreate(of.out(), CUDA_R_16F, static_cast<std::uint64_t>(rows),
                                                 static_cast<std::uint64_t>(columns), stride),
                  "cublasLtMatrixLayoutCreate");
        };
        layout(a, shape.depth, shape.atoms, shape.depth);
        layout(b, shape.depth, shape.rows, shape.depth);
        layout(c, shape.atoms, shape.rows, shape.stride);
        Owned<cublasLtMatmulPreference_t> preference(lt_.cublasLtMatmulPreferenceDestroy);
        check(lt_.cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
        const std::uint32_t unsplit = CUBLASLT_REDUCTION_SCHEME_NONE;
        check(lt_.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &unsplit,
                                                       sizeof unsplit),
              "cublasLtMatmulPreferenceSetAttribute");
        cublasLtMatmulHeuristicResult_t best;
        int found = 0;
        check(lt_.cublasLtMatmulAlgoGetHeuristic(handle_, product, a, b, c, c, preference, 1, &best, &found),
              "cublasLtMatmulAlgoGetHeuristic");
        if (!found) throw std::runtime_error("cuBLASLt has no product of these shapes with unsplit float32 sums");
        const float one = 1, zero = 0;
        check(lt_.cublasLtMatmul(handle_, product, &one, W, a, X, b, &zero, score, c, score, c, &best.algo, nullptr, 0,
                                 stream),
              "cublasLtMatmul");
    }

private:
    Library lt_;
    Owned<cublasLtHandle_t> handle_;
};

}  // namespace

std::unique_ptr<ScreenProduct> make_lt_product(const std::string& library) {
    return std::make_unique<LtProduct>(library);
}

}  // namespace latom::cuda
