// bind_select.cpp: prepared atoms, and the searches of them: the k best of rows, and all above a threshold.
#include "bindings_cuda/memory.h"
#include "bindings_cuda/prepared.h"
#include "bindings_cuda/report.h"
#include "cuda/above.h"
#include "cuda/topk.h"
#include "latom/encode.h"

namespace latom::cuda {
namespace {

using namespace pybind11::literals;

static_assert(static_cast<int>(Rank::kScore) == 0 && static_cast<int>(Rank::kAbove) == 1 &&
              static_cast<int>(Rank::kMagnitude) == 2);
static_assert(static_cast<int>(Similarity::kDot) == static_cast<int>(Measure::kDot) &&
              static_cast<int>(Similarity::kCosine) == static_cast<int>(Measure::kCosine) &&
              static_cast<int>(Similarity::kEuclidean) == static_cast<int>(Measure::kEuclidean));

template <class T>
Report topk_of(const Prepared<T>& of, Pointer X, std::int64_t n, Pointer norm2, bool known, int activation,
               std::int64_t k, Pointer score, Pointer index, Pointer dot, std::int64_t chunk, const Memory& workspace,
               const std::string& library, Pointer stream) {
    const Atoms<T>& atoms = of.atoms();
    check_extents({n, k, chunk});
    if (k > atoms.m) throw std::invalid_argument("k must be at most m");
    workspace.expect(topk_bytes<T>(n, atoms.d, atoms.m, k, chunk));
    const OnDevice on(of.device());
    const py::gil_scoped_release released;
    const TopKCall<T> call{.atoms = atoms,
                           .X = at<const T>(X),
                           .norm2 = at<double>(norm2),
                           .known = known,
                           .n = n,
                           .k = k,
                           .order = activation,
                           .score = at<T>(score),
                           .index = at<int>(index),
                           .dot = at<double>(dot),
                           .chunk = chunk};
    return {topk(call, workspace.data(), product_of(library, of.device()), stream_of(stream)), of.device(), stream};
}

template <class T>
AboveCall<T> above_call(const Prepared<T>& of, Pointer X, std::int64_t n, Pointer threshold, const Memory& workspace) {
    check_extents({n});
    workspace.expect(above_bytes<T>(n, of.atoms().d, of.atoms().m));
    return {of.atoms(), at<const T>(X), at<const double>(threshold), n};
}

/// (what a Report says, matches, where begin [n + 1] lies).
template <class T>
py::tuple count_above_of(const Prepared<T>& of, Pointer X, std::int64_t n, Pointer threshold, const Memory& workspace,
                         const std::string& library, Pointer stream) {
    const AboveCall<T> call = above_call(of, X, n, threshold, workspace);
    const OnDevice on(of.device());
    const AboveFound found = count_above(call, workspace.data(), product_of(library, of.device()), stream_of(stream));
    const RowCounts counts = fetch(found.counts, stream);
    const py::tuple report =
        py::make_tuple(counts.bad, static_cast<std::int64_t>(counts.scored), counts.overflowed, counts.unheld);
    return py::make_tuple(report, fetch(found.begin + n, stream), reinterpret_cast<Pointer>(found.begin));
}
template <class T>
void write_above_of(const Prepared<T>& of, Pointer X, std::int64_t n, Pointer threshold, const Memory& workspace,
                    Pointer score, Pointer index, Pointer stream) {
    const AboveCall<T> call = above_call(of, X, n, threshold, workspace);
    const OnDevice on(of.device());
    write_above(call, workspace.data(), at<T>(score), at<int>(index), stream_of(stream));
}

/// (entries, where begin [n + 1] lies).
template <class T>
py::tuple count_codes_of(Pointer value, std::int64_t n, std::int64_t k, const Memory& workspace, Pointer stream) {
    check_extents({n, k});
    workspace.expect(codes_bytes(n));
    const OnDevice on(workspace.device());
    const long long* begin = count_codes(at<const T>(value), n, k, workspace.data(), stream_of(stream));
    return py::make_tuple(fetch(begin + n, stream), reinterpret_cast<Pointer>(begin));
}
template <class T>
void write_codes_of(Pointer value, Pointer index, std::int64_t n, std::int64_t k, const Memory& workspace, Pointer out,
                    Pointer out_index, Pointer stream) {
    check_extents({n, k});
    workspace.expect(codes_bytes(n));
    const OnDevice on(workspace.device());
    write_codes(at<const T>(value), at<const int>(index), n, k, workspace.data(), at<T>(out), at<int>(out_index),
                stream_of(stream));
}

template <class T>
void define(py::module_& module, const std::string& type) {
    const auto named = [&](const char* name) { return name + type; };
    py::class_<Prepared<T>>(module, named("Atoms").c_str())
        .def(py::init<Pointer, std::int64_t, std::int64_t, int, Pointer, int, Pointer>(), "atoms"_a, "m"_a, "d"_a,
             "metric"_a, "bias"_a, "device"_a, "stream"_a)
        .def("prepare", &Prepared<T>::prepare, "stream"_a)
        .def(
            "bad",
            [](const Prepared<T>& of, Pointer stream) {
                const OnDevice on(of.device());
                return fetch(&of.atoms().bounds->bad, stream);
            },
            "stream"_a)
        .def_static("bytes", &atoms_bytes<T>, "m"_a, "d"_a)
        .def("topk", &topk_of<T>, "X"_a, "n"_a, "norm2"_a, "known"_a, "activation"_a, "k"_a, "values"_a, "indices"_a,
             "dots"_a, "chunk"_a, "workspace"_a, "library"_a, "stream"_a)
        .def("count_above", &count_above_of<T>, "X"_a, "n"_a, "threshold"_a, "workspace"_a, "library"_a, "stream"_a)
        .def("write_above", &write_above_of<T>, "X"_a, "n"_a, "threshold"_a, "workspace"_a, "values"_a, "indices"_a,
             "stream"_a);
    module.def(named("topk_bytes_").c_str(), &topk_bytes<T>, "n"_a, "d"_a, "m"_a, "k"_a, "chunk"_a);
    module.def(named("above_bytes_").c_str(), &above_bytes<T>, "n"_a, "d"_a, "m"_a);
    module.def(named("count_codes_").c_str(), &count_codes_of<T>, "values"_a, "n"_a, "k"_a, "workspace"_a, "stream"_a);
    module.def(named("write_codes_").c_str(), &write_codes_of<T>, "values"_a, "indices"_a, "n"_a, "k"_a, "workspace"_a,
               "out"_a, "out_indices"_a, "stream"_a);
}

}  // namespace

void define_select(py::module_& module) {
    py::class_<Report>(module, "Report").def("wait", &Report::wait);
    module.def("codes_bytes", &codes_bytes, "n"_a);
    define<float>(module, "f32");
    define<double>(module, "f64");
}

}  // namespace latom::cuda
