// module.cpp: the extension latom._core.
#include <pybind11/stl.h>

#include <atomic>
#include <cstdlib>

#include "bindings/arrays.h"
#include "core/loop_times.h"
#include "kernels/table.h"

#ifndef LATOM_VERSION
#define LATOM_VERSION "0"
#endif

namespace latom {

void register_batch(py::module_& module);
void register_cluster(py::module_& module);
void register_distances(py::module_& module);
void register_encode(py::module_& module);
void register_engines(py::module_& kernels);
void register_factorize(py::module_& module);
void register_kernels(py::module_& kernels);
void register_least_squares(py::module_& module);
void register_neighbors(py::module_& module);
void register_pointwise(py::module_& module);
void register_pursuit(py::module_& module);
void register_pursuit_kernels(py::module_& kernels);
void register_quality(py::module_& module);
void register_quality_kernels(py::module_& kernels);
void register_rows(py::module_& module);
void register_seed(py::module_& module);
void register_shards(py::module_& module);
void register_spectral(py::module_& module);
void register_sums(py::module_& kernels);
void register_train(py::module_& module);

namespace {

std::atomic<const KernelTable*>& kernels_in_force() {
    static std::atomic<const KernelTable*> table{
        kernel_table(std::getenv("LATOM_ISA") ? std::getenv("LATOM_ISA") : "")};
    return table;
}

}  // namespace

const KernelTable* active_kernels() { return kernels_in_force().load(std::memory_order_relaxed); }

void set_active_kernels(const KernelTable* table) { kernels_in_force().store(table, std::memory_order_relaxed); }

}  // namespace latom

// Declared free of the interpreter's lock: docs/decisions/0005-free-threading.md says why each object may be.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    using namespace latom;
    module.doc() = "latom's compiled core. Private: import latom instead.";
    try {
        active_kernels();
    } catch (const std::invalid_argument& error) {
        throw py::import_error(error.what());
    }
    module.attr("__version__") = LATOM_VERSION;
    module.def("available_isas", &available_isas);
    module.def("isa", [] { return std::string(active_kernels()->isa); });
    module.def("set_isa", [](const std::string& name) { set_active_kernels(kernel_table(name)); }, py::arg("name"));
    module.def("resolve_threads", &resolve_threads, py::arg("n_threads"));
    module.def("watch_loops", [](int threads) { loop_clock().start(threads); }, py::arg("threads"));
    module.def("watched_loops", [] {
        const LoopTimes times = loop_clock().times();
        return py::make_tuple(times.seconds, times.predicted, times.loops);
    });
    register_batch(module);
    register_cluster(module);
    register_distances(module);
    register_encode(module);
    register_factorize(module);
    register_least_squares(module);
    register_neighbors(module);
    register_pointwise(module);
    register_pursuit(module);
    register_quality(module);
    register_rows(module);
    register_seed(module);
    register_shards(module);
    register_spectral(module);
    register_train(module);
    // Only tests ask for it, and describing its functions would take a third of the import.
    module.def("__getattr__", [module](const std::string& name) -> py::object {
        if (name != "kernels") throw py::attribute_error("module 'latom._core' has no attribute '" + name + "'");
        auto kernels = py::module_(module).def_submodule("kernels", "Single kernels of the variant in use, for tests.");
        register_kernels(kernels);
        register_sums(kernels);
        register_pursuit_kernels(kernels);
        register_quality_kernels(kernels);
        register_engines(kernels);
        return kernels;
    });
}
