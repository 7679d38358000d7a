// block_max.inl.h: the largest upper bound of each 64 atoms or groups, and of all.
//
//   ub_j = max(acc_j * step + shift, least) * scale_j + bias_scale * bias_j
//
// Upper bounds ub_j = max(acc_j * step + shift, least) * scale_j + bias_scale * bias_j for j < count; their maximum
// over each 64 in `block`, and the maximum of all as result. Where j is a group of atoms, scale and bias are the
// largest of the group and least is 0, as a negative score may meet any scale; where j is one atom least is minus
// infinity. Without scale and bias (both null): ub_j = acc_j * step + shift.
float block_max(const std::int32_t* acc, std::int64_t count, float step, float shift, float least, const float* scale,
                const float* bias, float bias_scale, float* block) {
    float best = -__builtin_inff();
    std::int64_t j = 0;
    for (; j + 64 <= count; j += 64) {
        f32x16 top;
        if (scale) {
            for (int k = 0; k < 4; ++k) {
                const f32x16 value = convert<float>(line_at(acc + j + 16 * k));
                const f32x16 ub = larger(value * step + shift, line_of(least)) * line_at(scale + j + 16 * k) +
                                  line_at(bias + j + 16 * k) * bias_scale;
                top = k ? larger(top, ub) : ub;
            }
        } else {
            i32x16 largest = line_at(acc + j);  // the bound rises with acc: compare integers, convert once
            for (int k = 1; k < 4; ++k) largest = larger(largest, line_at(acc + j + 16 * k));
            top = convert<float>(largest) * step + shift;
        }
        block[j / 64] = max_lanes(top);
        best = block[j / 64] > best ? block[j / 64] : best;
    }
    if (j < count) {
        float top = -__builtin_inff();
        for (std::int64_t i = j; i < count; ++i) {
            float ub = static_cast<float>(acc[i]) * step + shift;
            if (scale) ub = (ub > least ? ub : least) * scale[i] + bias_scale * bias[i];
            top = ub > top ? ub : top;
        }
        block[j / 64] = top;
        best = top > best ? top : best;
    }
    return best;
}
