// module.cpp: the extension latom._core.
#include <pybind11/stl.h>

#include <cstdlib>

#include "bindings/arrays.h"

#ifndef LATOM_VERSION
#define LATOM_VERSION "0"
#endif

namespace latom {

void register_cluster(py::module_& module);
void register_encode(py::module_& module);
void register_factorize(py::module_& module);
void register_kernels(py::module_& module);
void register_sparsify(py::module_& module);
void register_seed(py::module_& module);

const KernelTable*& active_kernels() {
    static const KernelTable* table = kernel_table(std::getenv("LATOM_ISA") ? std::getenv("LATOM_ISA") : "");
    return table;
}

}  // namespace latom

PYBIND11_MODULE(_core, module) {
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
    module.def("set_isa", [](const std::string& name) { active_kernels() = kernel_table(name); }, py::arg("name"));
    module.def("resolve_threads", &resolve_threads, py::arg("n_threads"));
    register_cluster(module);
    register_encode(module);
    register_factorize(module);
    register_kernels(module);
    register_sparsify(module);
    register_seed(module);
}
