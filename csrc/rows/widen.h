// widen.h: half precision as float32; exact.
#pragma once

#include <cstdint>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// out [count] = half [count], which are float16 or bfloat16 bits.
void widen(const Context& ctx, const std::uint16_t* half, int64_t count, Storage storage, float* out);

}  // namespace latom
