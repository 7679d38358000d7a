// bind_csr.cpp: sparse centers on a device, and the search of them for rows in CSR.
#include "bindings_cuda/memory.h"
#include "bindings_cuda/report.h"
#include "cuda/csr_nearest.h"

namespace latom::cuda {
namespace {

using namespace pybind11::literals;

/// The caller keeps begin [m + 1], column and value [entries], which lie on the device.
template <class T>
class PreparedCsr {
public:
    PreparedCsr(Pointer begin, Pointer column, Pointer value, std::int64_t m, std::int64_t d, std::int64_t entries,
                int metric, int device, Pointer stream)
        : memory_((check_extents({m, d}), csr_centers_bytes<T>(m, entries)), device) {
        const OnDevice on(device);
        centers_ = prepare_csr_centers(rows_at(begin, column, value, 0), m, d, entries, static_cast<Measure>(metric),
                                       memory_.data(), stream_of(stream));
    }

    /// All rows and all centers.
    Report nearest(Pointer begin, Pointer column, Pointer value, Pointer norm2, std::int64_t n, Pointer label,
                   Pointer score, std::int64_t chunk, std::int64_t slab, const Memory& workspace,
                   Pointer stream) const {
        CsrNearestCall<T> call{};
        call.rows = rows_at(begin, column, value, norm2);
        call.label = at<int>(label), call.score = at<double>(score);
        return queue(call, n, chunk, slab, workspace, stream);
    }
    /// Rows `which`, each among the first `width` centers of `order` and the one that it knows.
    Report improve(Pointer begin, Pointer column, Pointer value, Pointer norm2, Pointer order, Pointer which,
                   Pointer width, const py::array_t<int, py::array::c_style>& host_width, Pointer known,
                   Pointer known_own, Pointer label, Pointer own, Pointer others, std::int64_t chunk, std::int64_t slab,
                   const Memory& workspace, Pointer stream) const {
        CsrNearestCall<T> call{};
        call.rows = rows_at(begin, column, value, norm2);
        call.order = at<const int>(order), call.which = at<const int>(which), call.width = at<const int>(width);
        call.host_width = host_width.data();
        call.known = at<const int>(known), call.known_own = at<const double>(known_own);
        call.label = at<int>(label), call.own = at<double>(own), call.others = at<double>(others);
        return queue(call, host_width.size(), chunk, slab, workspace, stream);
    }

private:
    Report queue(CsrNearestCall<T>& call, std::int64_t n, std::int64_t chunk, std::int64_t slab,
                 const Memory& workspace, Pointer stream) const {
        check_extents({n, chunk});
        workspace.expect(csr_nearest_bytes(n, centers_.d, centers_.m, chunk, slab));
        const OnDevice on(memory_.device());
        call.centers = centers_, call.n = n, call.chunk = chunk, call.slab = slab;
        return {csr_nearest(call, workspace.data(), stream_of(stream)), memory_.device(), stream};
    }
    static CsrRows<T> rows_at(Pointer begin, Pointer column, Pointer value, Pointer norm2) {
        return {at<const long long>(begin), at<const int>(column), at<const T>(value), at<const double>(norm2)};
    }

    Memory memory_;
    CsrCenters<T> centers_{};
};

template <class T>
void define(py::module_& module, const char* name) {
    py::class_<PreparedCsr<T>>(module, name)
        .def(py::init<Pointer, Pointer, Pointer, std::int64_t, std::int64_t, std::int64_t, int, int, Pointer>(),
             "begin"_a, "column"_a, "value"_a, "m"_a, "d"_a, "entries"_a, "metric"_a, "device"_a, "stream"_a)
        .def_static("bytes", &csr_centers_bytes<T>, "m"_a, "entries"_a)
        .def("nearest", &PreparedCsr<T>::nearest, "begin"_a, "column"_a, "value"_a, "norm2"_a, "n"_a, "label"_a,
             "score"_a, "chunk"_a, "slab"_a, "workspace"_a, "stream"_a)
        .def("improve", &PreparedCsr<T>::improve, "begin"_a, "column"_a, "value"_a, "norm2"_a, "order"_a, "which"_a,
             "width"_a, "host_width"_a, "known"_a, "known_own"_a, "label"_a, "own"_a, "others"_a, "chunk"_a, "slab"_a,
             "workspace"_a, "stream"_a);
}

}  // namespace

void define_csr(py::module_& module) {
    module.def("csr_nearest_bytes", &csr_nearest_bytes, "n"_a, "d"_a, "m"_a, "chunk"_a, "slab"_a);
    define<float>(module, "CsrCentersf32");
    define<double>(module, "CsrCentersf64");
}

}  // namespace latom::cuda
