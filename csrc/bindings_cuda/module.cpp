// module.cpp: latom._cuda: what Python calls on a GPU. Pointers of device memory come as integers.
//
// Python checks arrays, and allocates results in the library of the caller (python/latom/_base/device.py); here sizes
// are checked once more where a wrong one would write past an array.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include "cuda/topk.h"
#include "latom/encode.h"

namespace latom::cuda {
namespace {

namespace py = pybind11;
using namespace pybind11::literals;

static_assert(static_cast<int>(Rank::kScore) == 0 && static_cast<int>(Rank::kAbove) == 1 &&
              static_cast<int>(Rank::kMagnitude) == 2);
static_assert(static_cast<int>(Similarity::kDot) == static_cast<int>(Measure::kDot) &&
              static_cast<int>(Similarity::kCosine) == static_cast<int>(Measure::kCosine) &&
              static_cast<int>(Similarity::kEuclidean) == static_cast<int>(Measure::kEuclidean));

void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    throw std::runtime_error(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status));
}

// The device of a call, and the one before it when the call ends.
class OnDevice {
public:
    explicit OnDevice(int device) {
        check(cudaGetDevice(&before_), "cudaGetDevice");
        check(cudaSetDevice(device), "cudaSetDevice");
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;
    ~OnDevice() { cudaSetDevice(before_); }

private:
    int before_ = 0;
};

cudaStream_t stream_of(std::uintptr_t handle) { return reinterpret_cast<cudaStream_t>(handle); }

/// Device memory of our own, for what comes from numpy and for workspaces.
class Memory {
public:
    Memory(std::int64_t bytes, int device) : bytes_(bytes), device_(device) {
        const OnDevice on(device);
        if (cudaMalloc(&at_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))) != cudaSuccess) {
            at_ = nullptr;
            cudaGetLastError();  // forget it
            throw std::bad_alloc();
        }
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { cudaFree(at_); }

    std::uintptr_t pointer() const { return reinterpret_cast<std::uintptr_t>(at_); }
    std::int64_t bytes() const { return bytes_; }

    void write(const py::buffer& from, std::uintptr_t stream) {
        const py::buffer_info info = from.request();
        copy(at_, info.ptr, info, cudaMemcpyHostToDevice, stream);
    }
    void read(const py::buffer& to, std::uintptr_t stream) const {
        const py::buffer_info info = to.request(true);
        copy(info.ptr, at_, info, cudaMemcpyDeviceToHost, stream);
    }

private:
    void copy(void* to, const void* from, const py::buffer_info& host, cudaMemcpyKind kind,
              std::uintptr_t stream) const {
        if (host.size * host.itemsize > bytes_) throw std::out_of_range("a copy is longer than the device memory");
        const auto length = static_cast<std::size_t>(host.size * host.itemsize);
        const OnDevice on(device_);
        const py::gil_scoped_release released;
        check(cudaMemcpyAsync(to, from, length, kind, stream_of(stream)), "a copy");
        check(cudaStreamSynchronize(stream_of(stream)), "a copy");
    }
    void* at_ = nullptr;
    std::int64_t bytes_;
    int device_;
};

/// The product of a device, made once and kept, as other threads may be using it: by cuBLASLt from this path, or by our
/// own kernel where the path is empty.
ScreenProduct& product_of(const std::string& library, int device) {
    static std::mutex mutex;
    static std::map<std::pair<std::string, int>, std::unique_ptr<ScreenProduct>> products;
    const std::lock_guard<std::mutex> lock(mutex);
    std::unique_ptr<ScreenProduct>& product = products[{library, device}];
    if (!product) {
#if defined(LATOM_CUBLASLT)
        product = library.empty() ? make_plain_product() : make_lt_product(library);
#else
        product = make_plain_product();
#endif
    }
    return *product;
}

struct Report {
    int bad_row, bad_atom, overflowed;
    std::int64_t scored;
};

template <class T>
Report run_topk(const TopKCall<T>& call, const Memory& workspace, const std::string& library, int device,
                std::uintptr_t stream) {
    if (call.n < 1 || call.d < 1 || call.m < 1 || call.k < 1 || call.k > call.m || call.chunk < 1)
        throw std::invalid_argument("extents must be positive, and k at most m");
    if (std::max({call.n, call.d, call.m}) >= std::int64_t{1} << 31)
        throw std::invalid_argument("extents must be below 2^31");
    if (topk_bytes<T>(call.n, call.d, call.m, call.k, call.chunk) > workspace.bytes())
        throw std::invalid_argument("the workspace is too small");
    const OnDevice on(device);
    const py::gil_scoped_release released;
    const AtomBounds* at =
        topk(call, reinterpret_cast<void*>(workspace.pointer()), product_of(library, device), stream_of(stream));
    AtomBounds bounds;
    check(cudaMemcpyAsync(&bounds, at, sizeof bounds, cudaMemcpyDeviceToHost, stream_of(stream)), "a copy");
    check(cudaStreamSynchronize(stream_of(stream)), "a call");
    return {bounds.bad_row, bounds.bad_atom, bounds.overflowed, static_cast<std::int64_t>(bounds.scored)};
}

template <class T>
py::tuple topk_of(std::uintptr_t X, std::int64_t n, std::int64_t d, std::uintptr_t W, std::int64_t m,
                  std::uintptr_t bias, int metric, int activation, std::int64_t k, std::uintptr_t score,
                  std::uintptr_t index, std::int64_t chunk, const Memory& workspace, const std::string& library,
                  int device, std::uintptr_t stream) {
    const auto at = [](std::uintptr_t p) { return reinterpret_cast<void*>(p); };
    const TopKCall<T> call{.X = static_cast<const T*>(at(X)),
                           .W = static_cast<const T*>(at(W)),
                           .bias = static_cast<const double*>(at(bias)),
                           .n = n,
                           .d = d,
                           .m = m,
                           .k = k,
                           .measure = static_cast<Measure>(metric),
                           .order = activation,
                           .score = static_cast<T*>(at(score)),
                           .index = static_cast<int*>(at(index)),
                           .chunk = chunk};
    const Report report = run_topk(call, workspace, library, device, stream);
    return py::make_tuple(report.bad_row, report.bad_atom, report.scored, report.overflowed);
}

template <class T>
void define_topk(py::module_& module, const char* name) {
    module.def((std::string("topk_") + name).c_str(), &topk_of<T>, "X"_a, "n"_a, "d"_a, "atoms"_a, "m"_a, "bias"_a,
               "metric"_a, "activation"_a, "k"_a, "values"_a, "indices"_a, "chunk"_a, "workspace"_a, "library"_a,
               "device"_a, "stream"_a);
    module.def((std::string("topk_bytes_") + name).c_str(), &topk_bytes<T>, "n"_a, "d"_a, "m"_a, "k"_a, "chunk"_a);
}

/// Float16 scores of rows with atoms as the screen has them, for measuring their error.
void product(const Memory& X, const Memory& W, const Memory& score, std::int64_t rows, std::int64_t atoms,
             std::int64_t depth, const std::string& library, int device, std::uintptr_t stream) {
    if (rows < 1 || atoms < 1 || depth < 1 || atoms % 8 || depth % 8 || 2 * rows * depth > X.bytes() ||
        2 * atoms * depth > W.bytes() || 2 * rows * atoms > score.bytes())
        throw std::invalid_argument("extents must be positive multiples of 8 that the memory holds");
    const auto half = [](const Memory& of) { return reinterpret_cast<__half*>(of.pointer()); };
    const OnDevice on(device);
    product_of(library, device).run(half(X), half(W), half(score), {rows, atoms, depth, atoms}, stream_of(stream));
}

py::tuple devices() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    return py::make_tuple(status == cudaSuccess ? count : 0, status == cudaSuccess ? "" : cudaGetErrorString(status));
}

}  // namespace
}  // namespace latom::cuda

PYBIND11_MODULE(_cuda, module) {
    using namespace latom::cuda;
#if defined(LATOM_CUDA)
    module.attr("emulated") = false;
#else
    module.attr("emulated") = true;
#endif
#if defined(LATOM_CUBLASLT)
    module.attr("has_cublaslt") = true;
#else
    module.attr("has_cublaslt") = false;
#endif
    module.def("devices", &devices, "How many GPUs there are, and why there are none.");
    pybind11::class_<Memory>(module, "Memory")
        .def(pybind11::init<std::int64_t, int>(), pybind11::arg("bytes"), pybind11::arg("device") = 0)
        .def_property_readonly("pointer", &Memory::pointer)
        .def_property_readonly("bytes", &Memory::bytes)
        .def("write", &Memory::write, pybind11::arg("array"), pybind11::arg("stream") = 0)
        .def("read", &Memory::read, pybind11::arg("array"), pybind11::arg("stream") = 0);
    module.def("product", &product, pybind11::arg("X"), pybind11::arg("atoms"), pybind11::arg("score"),
               pybind11::arg("rows"), pybind11::arg("m"), pybind11::arg("depth"), pybind11::arg("library"),
               pybind11::arg("device"), pybind11::arg("stream"));
    define_topk<float>(module, "f32");
    define_topk<double>(module, "f64");
}
