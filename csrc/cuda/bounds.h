// bounds.h: what a call learns about its rows and atoms on the device.
#pragma once

namespace latom::cuda {

enum class Measure { kDot, kCosine, kEuclidean };  // Similarity of include/latom/encode.h

struct AtomBounds {
    float length, rounded, residual, bias;  // the largest u_w |f w|, |w~|, |u_w f w - w~| and |u_w b| of pack.cuh
    unsigned long long largest;             // the bits of the largest f |w|
    int bad_atom, bad_row;                  // the first that is not acceptable, or a number beyond all rows
    int overflowed;                         // how many rows the exact path has
    unsigned long long scored;              // products decided in float64
};

}  // namespace latom::cuda
