// thread_symbols.cpp: by these two symbols threadpoolctl knows latom, asks for its limit of threads and sets it
// (python/latom/_base/threads.py). Beside them the extension exports only what Python starts it with.
#include <pybind11/pybind11.h>

#include "core/parallel.h"

extern "C" {

PYBIND11_EXPORT int latom_get_num_threads() { return latom::thread_limit(); }

PYBIND11_EXPORT void latom_set_num_threads(int most) { latom::set_thread_limit(most); }
}
