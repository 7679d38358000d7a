// module.cpp: latom._cuda: what Python calls on a GPU. Pointers of device memory come as integers.
//
// Python checks arrays, and allocates results in the library of the caller (python/latom/_base/device.py); here sizes
// are checked once more where a wrong one would write past an array.
#include <map>
#include <memory>
#include <mutex>

#include "bindings_cuda/memory.h"

namespace latom::cuda {

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

namespace {

using namespace pybind11::literals;

/// Float16 scores of rows with atoms as the screen has them, for measuring their error.
void product(const Memory& X, const Memory& W, const Memory& score, std::int64_t rows, std::int64_t atoms,
             std::int64_t depth, const std::string& library, int device, Pointer stream) {
    if (rows < 1 || atoms < 1 || depth < 1 || atoms % 8 || depth % 8 || 2 * rows * depth > X.bytes() ||
        2 * atoms * depth > W.bytes() || 2 * rows * atoms > score.bytes())
        throw std::invalid_argument("extents must be positive multiples of 8 that the memory holds");
    const auto half = [](const Memory& of) { return at<__half>(of.pointer()); };
    const OnDevice on(device);
    product_of(library, device).run(half(X), half(W), half(score), {rows, atoms, depth, atoms}, stream_of(stream));
}

py::tuple devices() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    return py::make_tuple(status == cudaSuccess ? count : 0, status == cudaSuccess ? "" : cudaGetErrorString(status));
}

/// (free, total) bytes of a device.
py::tuple memory_info(int device) {
    const OnDevice on(device);
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return py::make_tuple(free, total);
}

/// A copy of what others hold on a device.
void copy_out(Pointer from, const py::buffer& to, int device, Pointer stream) {
    const py::buffer_info info = to.request(true);
    const OnDevice on(device);
    const py::gil_scoped_release released;
    check(cudaMemcpyAsync(info.ptr, at<void>(from), static_cast<std::size_t>(info.size * info.itemsize),
                          cudaMemcpyDeviceToHost, stream_of(stream)),
          "a copy");
    check(cudaStreamSynchronize(stream_of(stream)), "a copy");
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
    module.def("memory_info", &memory_info, "device"_a);
    py::class_<Memory>(module, "Memory")
        .def(py::init<std::int64_t, int>(), "bytes"_a, "device"_a = 0)
        .def_property_readonly("pointer", &Memory::pointer)
        .def_property_readonly("bytes", &Memory::bytes)
        .def("write", &Memory::write, "array"_a, "stream"_a = 0)
        .def("read", &Memory::read, "array"_a, "stream"_a = 0, "offset"_a = 0)
        .def("fill", &Memory::fill, "byte"_a, "stream"_a = 0);
    py::class_<RowFeed>(module, "RowFeed")
        .def(py::init<std::int64_t, int>(), "bytes"_a, "device"_a = 0)
        .def("put", &RowFeed::put, "block"_a)
        .def("use", &RowFeed::use, "slot"_a, "stream"_a)
        .def("done", &RowFeed::done, "slot"_a, "stream"_a)
        .def_property_readonly("stream", &RowFeed::stream);
    module.def("copy_out", &copy_out, "pointer"_a, "array"_a, "device"_a, "stream"_a);
    module.def("product", &product, "X"_a, "atoms"_a, "score"_a, "rows"_a, "m"_a, "depth"_a, "library"_a, "device"_a,
               "stream"_a);
    define_select(module);
    define_cluster(module);
    define_gather(module);
    define_csr(module);
}
