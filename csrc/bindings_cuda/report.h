// report.h: what a search on a device says of its rows, once it has been done.
#pragma once

#include "bindings_cuda/memory.h"
#include "cuda/bounds.h"

namespace latom::cuda {

/// Copies what lies on the device, when all that is queued has been done.
template <class P>
P fetch(const P* from, Pointer stream) {
    P found;
    const py::gil_scoped_release released;
    check(cudaMemcpyAsync(&found, from, sizeof found, cudaMemcpyDeviceToHost, stream_of(stream)), "a copy");
    check(cudaStreamSynchronize(stream_of(stream)), "a call");
    return found;
}

/// What a search says of its rows, once it has been done: (first bad row, products in float64, rows of the exact
/// path, first row with a score beyond its type).
class Report {
public:
    Report(const RowCounts* counts, int device, Pointer stream) : counts_(counts), device_(device), stream_(stream) {}
    py::tuple wait() const {
        const OnDevice on(device_);
        const RowCounts found = fetch(counts_, stream_);
        return py::make_tuple(found.bad, static_cast<std::int64_t>(found.scored), found.overflowed, found.unheld);
    }

private:
    const RowCounts* counts_;
    int device_;
    Pointer stream_;
};

}  // namespace latom::cuda
