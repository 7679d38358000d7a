// centers.h: centers as Python gets them.
#pragma once

#include "bindings/arrays.h"
#include "latom/cluster.h"

namespace latom {

/// (indptr, indices, values) of compressed centers, values [m, d] of dense ones.
template <class T>
py::object centers_to_python(const Centers<T>& c, int64_t m, int64_t d) {
    if (c.indices.empty() && static_cast<int64_t>(c.values.size()) == m * d && !c.values.empty())
        return to_array(c.values).reshape({m, d});
    return py::make_tuple(to_array(c.indptr), to_array(c.indices), to_array(c.values));
}

}  // namespace latom
