// bind_cluster.cpp: Lloyd's steps on a device.
#include "bindings_cuda/memory.h"
#include "bindings_cuda/prepared.h"
#include "cuda/cluster.h"

namespace latom::cuda {
namespace {

using namespace pybind11::literals;

int levels_of(double longest) { return grids_of(longest, 1).row.levels; }

/// Sums of clusters, all 0 at first; what they are made with.
class Sums {
public:
    Sums(std::int64_t m, std::int64_t d, bool cosine, double longest, double heaviest, int device, Pointer stream)
        : m_(m),
          d_(d),
          cosine_(cosine),
          grids_(grids_of(longest, heaviest)),
          memory_((check_extents({m, d}), bytes(m, d, longest)), device) {
        Parts parts(memory_.data());
        sums_ = placed(parts, m, d, grids_.row.levels);
        memory_.fill(0, stream);
    }
    static std::int64_t bytes(std::int64_t m, std::int64_t d, double longest) {
        Parts parts(nullptr);
        placed(parts, m, d, levels_of(longest));
        return parts.used();
    }

    template <class T>
    void follow(Pointer X, std::int64_t n, Pointer norm2, Pointer weight, Pointer label, Pointer before,
                Pointer changed, const Memory& workspace, Pointer stream) {
        check_extents({n});
        workspace.expect(sums_bytes(n, m_));
        const OnDevice on(memory_.device());
        const LabeledRows<T> rows{.X = at<const T>(X),
                                  .norm2 = at<const double>(norm2),
                                  .weight = at<const double>(weight),
                                  .label = at<const int>(label),
                                  .before = at<int>(before),
                                  .n = n,
                                  .d = d_};
        follow_labels(rows, m_, cosine_, grids_, sums_, at<int>(changed), workspace.data(), stream_of(stream));
    }
    template <class T>
    void move(Pointer centers, Pointer shift, const Memory& workspace, Pointer stream) {
        workspace.expect(move_bytes<T>(m_, d_));
        const OnDevice on(memory_.device());
        move_centers(at<T>(centers), m_, d_, cosine_, grids_, sums_, at<double>(shift), workspace.data(),
                     stream_of(stream));
    }
    py::array sizes(Pointer stream) const { return fetch<int>(sums_.size, {m_}, stream); }
    py::array totals(Pointer stream) const {
        return fetch<std::int64_t>(sums_.sum, {m_, grids_.row.levels, d_}, stream);
    }
    py::array weights(Pointer stream) const { return fetch<std::int64_t>(sums_.weight, {m_, 3}, stream); }

private:
    static ClusterSums placed(Parts& parts, std::int64_t m, std::int64_t d, int levels) {
        return {parts.take<long long>(m * levels * d), parts.take<long long>(m * 3), parts.take<int>(m),
                parts.take<int>(m)};
    }
    template <class P>
    py::array fetch(const void* from, std::vector<py::ssize_t> shape, Pointer stream) const {
        py::array_t<P> out(std::move(shape));
        void* const to = out.mutable_data();
        const auto length = static_cast<std::size_t>(out.nbytes());
        const OnDevice on(memory_.device());
        {
            const py::gil_scoped_release released;
            check(cudaMemcpyAsync(to, from, length, cudaMemcpyDeviceToHost, stream_of(stream)), "a copy");
            check(cudaStreamSynchronize(stream_of(stream)), "a copy");
        }
        return out;
    }

    std::int64_t m_, d_;
    bool cosine_;
    Grids grids_;
    Memory memory_;
    ClusterSums sums_{};
};

template <class T>
void define(py::class_<Sums>& sums, py::module_& module, const std::string& type) {
    const auto named = [&](const char* name) { return name + type; };
    sums.def(named("follow_").c_str(), &Sums::follow<T>, "X"_a, "n"_a, "norm2"_a, "weight"_a, "label"_a, "before"_a,
             "changed"_a, "workspace"_a, "stream"_a);
    sums.def(named("move_").c_str(), &Sums::move<T>, "centers"_a, "shift"_a, "workspace"_a, "stream"_a);
    module.def(named("move_bytes_").c_str(), &move_bytes<T>, "m"_a, "d"_a);
    module.def(
        named("score_nearest_").c_str(),
        [](const Prepared<T>& of, Pointer dot, Pointer label, Pointer norm2, std::int64_t n, Pointer score,
           Pointer stream) {
            check_extents({n});
            const OnDevice on(of.device());
            score_nearest(of.atoms(), at<const double>(dot), at<const int>(label), at<const double>(norm2), n,
                          at<double>(score), stream_of(stream));
        },
        "atoms"_a, "dot"_a, "label"_a, "norm2"_a, "n"_a, "score"_a, "stream"_a);
}

}  // namespace

void define_cluster(py::module_& module) {
    py::class_<Sums> sums(module, "Sums");
    sums.def(py::init<std::int64_t, std::int64_t, bool, double, double, int, Pointer>(), "m"_a, "d"_a, "cosine"_a,
             "longest"_a, "heaviest"_a, "device"_a, "stream"_a)
        .def_static("bytes", &Sums::bytes, "m"_a, "d"_a, "longest"_a)
        .def("sizes", &Sums::sizes, "stream"_a)
        .def("totals", &Sums::totals, "stream"_a)
        .def("weights", &Sums::weights, "stream"_a);
    module.def("sums_bytes", &sums_bytes, "n"_a, "m"_a);
    module.def(
        "sum_costs",
        [](Pointer score, Pointer weight, std::int64_t n, bool cosine, Pointer out, int device, Pointer stream) {
            check_extents({n});
            const OnDevice on(device);
            sum_costs(at<const double>(score), at<const double>(weight), n, cosine, at<double>(out), stream_of(stream));
        },
        "score"_a, "weight"_a, "n"_a, "cosine"_a, "out"_a, "device"_a, "stream"_a);
    define<float>(sums, module, "f32");
    define<double>(sums, module, "f64");
}

}  // namespace latom::cuda
