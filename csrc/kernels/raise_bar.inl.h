// raise_bar.inl.h: a bar that at least k of some numbers reach, close to the k-th largest.
//
//   raise_bar(v, count, k, low, halvings) = b >= low with #{ i : v_i >= b } >= k,   or low if fewer than k reach low
//
// Bisection between low and the largest number: each halving counts once. low may be minus infinity: the least number
// then.
//
// Shapes    v [count]; up to the next multiple of 16 it is read as well, and not used.
// Cost      (halvings + 3) count comparisons, without branches.

// The numbers at [i, i + 16), those beyond count replaced by `rest`.
inline f32x16 load16_until(const float* v, std::int64_t i, std::int64_t count, float rest) {
    std::int32_t lane[16];
    for (int l = 0; l < 16; ++l) lane[l] = l;
    return where_less(line_at(lane), line_of(static_cast<std::int32_t>(count - i)), line_at(v + i), line_of(rest));
}

inline std::int64_t count_reaching(const float* v, std::int64_t count, float bar) {
    const Lanes limit = lanes_of(bar);
    std::int64_t total = 0, i = 0;
    for (; i + kLanes <= count; i += kLanes) total += __builtin_popcount(lanes_reach(lanes_at(v + i), limit));
    if (i < count) total += __builtin_popcount(lanes_reach(lanes_at(v + i), limit) & ((1u << (count - i)) - 1));
    return total;
}

float raise_bar(const float* v, std::int64_t count, std::int64_t k, float low, int halvings) {
    if (count < k) return low;
    f32x16 most = line_of(-__builtin_inff()), least = most;  // the least, negated
    for (std::int64_t i = 0; i < count; i += 16) {
        most = larger(most, load16_until(v, i, count, -__builtin_inff()));
        least = larger(least, -load16_until(v, i, count, __builtin_inff()));
    }
    const float floor = -max_lanes(least);
    float bar = low > floor ? low : floor, high = max_lanes(most);
    if (count_reaching(v, count, bar) < k) return low;
    if (count_reaching(v, count, high) >= k) return high;
    for (; halvings > 0; --halvings) {
        const float middle = 0.5f * bar + 0.5f * high;
        if (count_reaching(v, count, middle) >= k) bar = middle;
        else high = middle;
    }
    return bar;
}
