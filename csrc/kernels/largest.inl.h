// largest.inl.h: the k-th largest magnitude of many series at once, exactly.
//
//   bar[l] = the k-th largest of |x[0][l]|, ..., |x[count - 1][l]|,     1 <= k <= count
//
// Bisection on the bits: magnitudes have the order of the integers that they are stored as. So at least k numbers reach
// the bar, and more only where numbers equal it.
// Shapes    x [count, 64 / sizeof(T)]: a series a lane; bar [64 / sizeof(T)]. No NaN.
// Cost      one comparison a number and bit, 31 or 63; reads x as often.

template <class T>
struct Word;
template <>
struct Word<float> {
    typedef std::int32_t Bits;
};
template <>
struct Word<double> {
    typedef std::int64_t Bits;
};

template <class T>
void kth_magnitude(const T* x, std::int64_t count, std::int64_t k, T* bar) {
    typedef typename Word<T>::Bits Bits;
    typedef Bits Line __attribute__((vector_size(64)));
    constexpr std::int64_t kLine = 64 / sizeof(T);
    constexpr int kTop = 8 * sizeof(T) - 2;  // the sign is left out
    const Line magnitude = Line{} + static_cast<Bits>((static_cast<std::uint64_t>(1) << (kTop + 1)) - 1);
    Line found = {};
    for (int bit = kTop; bit >= 0; --bit) {
        const Line candidate = found | (Line{} + (static_cast<Bits>(1) << bit));
        Line reached = {};
        for (std::int64_t i = 0; i < count; ++i) {
            Line numbers;
            __builtin_memcpy(&numbers, x + i * kLine, sizeof numbers);
            reached -= (numbers & magnitude) >= candidate;  // true is -1
        }
        found = reached >= static_cast<Bits>(k) ? candidate : found;
    }
    __builtin_memcpy(bar, &found, sizeof found);
}
