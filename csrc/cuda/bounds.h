// bounds.h: what a call learns about its rows and atoms on the device.
#pragma once

namespace latom::cuda {

enum class Measure { kDot, kCosine, kEuclidean };  // Similarity of include/latom/encode.h

struct AtomBounds {
    float length, rounded, residual, bias;  // the largest u_w |f w|, |w~|, |u_w f w - w~| and |u_w b| of pack.cuh
    unsigned long long largest;             // the bits of the largest f |w|
    int bad;                                // the first atom that is not acceptable, or a number beyond all
};

struct RowCounts {
    int bad;                    // the first row that is not acceptable, or a number beyond all
    int overflowed;             // how many rows the exact path has
    unsigned long long scored;  // products decided in float64
    int unheld;                 // the first row that has a score beyond the type of results, or a number beyond all
};

}  // namespace latom::cuda
