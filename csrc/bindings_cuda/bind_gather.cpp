// bind_gather.cpp: rows from codes on a device, and the parts of their gradients. Indices are int32 or int64.
#include "bindings_cuda/memory.h"
#include "cuda/gather.h"

namespace latom::cuda {
namespace {

using namespace pybind11::literals;

/// f(index) with the pointer in its own type.
template <class F>
void with_index(Pointer index, int bytes, F f) {
    if (bytes == 4) return f(at<const int>(index));
    if (bytes == 8) return f(at<const long long>(index));
    throw std::invalid_argument("indices must be int32 or int64");
}

/// (first row with a stray index, first row that is not finite); numbers beyond all rows where there is none. begin
/// [n + 1] is 0 where each row has k entries.
template <class T>
py::tuple gather_rows_of(Pointer begin, Pointer index, int index_bytes, Pointer value, std::int64_t n, std::int64_t k,
                         Pointer W, std::int64_t m, std::int64_t d, Pointer bias, Pointer out, int device,
                         Pointer stream) {
    check_extents({n, m, d});
    const OnDevice on(device);
    Memory report(sizeof(GatherReport), device);
    GatherReport found;
    {
        const py::gil_scoped_release released;
        with_index(index, index_bytes, [&](auto* indices) {
            using I = std::remove_const_t<std::remove_pointer_t<decltype(indices)>>;
            const DeviceCodes<T, I> codes{at<const long long>(begin), indices, at<const T>(value), n, k};
            gather_rows(codes, at<const T>(W), m, d, at<const T>(bias), at<T>(out), at<GatherReport>(report.pointer()),
                        stream_of(stream));
        });
        check(cudaMemcpyAsync(&found, report.data(), sizeof found, cudaMemcpyDeviceToHost, stream_of(stream)),
              "a copy");
        check(cudaStreamSynchronize(stream_of(stream)), "a call");
    }
    return py::make_tuple(found.stray, found.bad);
}

template <class T>
void products_at_of(Pointer rows, Pointer index, int index_bytes, std::int64_t n, std::int64_t k, Pointer W,
                    std::int64_t d, Pointer out, int device, Pointer stream) {
    check_extents({n, k, d});
    const OnDevice on(device);
    with_index(index, index_bytes, [&](auto* indices) {
        products_at(at<const T>(rows), indices, n, k, at<const T>(W), d, at<T>(out), stream_of(stream));
    });
}

template <class T>
void gather_by_latent_of(Pointer index, int index_bytes, Pointer value, std::int64_t n, std::int64_t k, Pointer rows,
                         std::int64_t d, std::int64_t m, Pointer out, const Memory& workspace, Pointer stream) {
    check_extents({n, k, d, m, n * k});
    workspace.expect(latents_bytes(n, k, m));
    const OnDevice on(workspace.device());
    with_index(index, index_bytes, [&](auto* indices) {
        gather_by_latent(indices, at<const T>(value), n, k, at<const T>(rows), d, m, at<T>(out), workspace.data(),
                         stream_of(stream));
    });
}

template <class T>
void fold_center_of(Pointer W, std::int64_t m, std::int64_t d, Pointer center, Pointer bias, Pointer out, int device,
                    Pointer stream) {
    check_extents({m, d});
    const OnDevice on(device);
    fold_center(at<const T>(W), m, d, at<const double>(center), at<const double>(bias), at<double>(out),
                stream_of(stream));
}

template <class T>
void define(py::module_& module, const std::string& type) {
    const auto named = [&](const char* name) { return name + type; };
    module.def(named("gather_rows_").c_str(), &gather_rows_of<T>, "begin"_a, "indices"_a, "index_bytes"_a, "values"_a,
               "n"_a, "k"_a, "atoms"_a, "m"_a, "d"_a, "bias"_a, "out"_a, "device"_a, "stream"_a);
    module.def(named("products_at_").c_str(), &products_at_of<T>, "rows"_a, "indices"_a, "index_bytes"_a, "n"_a, "k"_a,
               "atoms"_a, "d"_a, "out"_a, "device"_a, "stream"_a);
    module.def(named("gather_by_latent_").c_str(), &gather_by_latent_of<T>, "indices"_a, "index_bytes"_a, "values"_a,
               "n"_a, "k"_a, "rows"_a, "d"_a, "m"_a, "out"_a, "workspace"_a, "stream"_a);
    module.def(named("fold_center_").c_str(), &fold_center_of<T>, "atoms"_a, "m"_a, "d"_a, "center"_a, "bias"_a,
               "out"_a, "device"_a, "stream"_a);
}

}  // namespace

void define_gather(py::module_& module) {
    module.def("latents_bytes", &latents_bytes, "n"_a, "k"_a, "m"_a);
    define<float>(module, "f32");
    define<double>(module, "f64");
}

}  // namespace latom::cuda
