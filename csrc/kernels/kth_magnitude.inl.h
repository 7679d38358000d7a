// kth_magnitude.inl.h: the k-th largest magnitude of many columns at once, exactly; and the largest of one row.
//
//   largest_magnitude = max |x_t|
//   bar[l] = the k-th largest of |x[0][l]|, ..., |x[count - 1][l]|,     1 <= k <= count
//
// Bisection on the bits: magnitudes have the order of the integers that they are stored as. So at least k numbers reach
// the bar, and more only where numbers equal it.
// Shapes    x [count, 64 / sizeof(T)], one column per lane; bar [64 / sizeof(T)]. No NaN.
// Cost      one comparison per number and bit, 31 or 63; reads x as often.

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
    typedef Line<Bits> Numbers;
    constexpr int kTop = 8 * sizeof(T) - 2;  // the sign is left out
    const Numbers one = line_of(Bits{1}), zero = {};
    const Bits unsigned_part = static_cast<Bits>((static_cast<std::uint64_t>(1) << (kTop + 1)) - 1);
    Numbers found = {};
    for (int bit = kTop; bit >= 0; --bit) {
        const Numbers candidate = found | (static_cast<Bits>(1) << bit);
        Numbers reached = {};
        for (std::int64_t i = 0; i < count; ++i) {
            const Numbers numbers = bits_as<Bits>(line_at(x + i * Line<T>::kCount)) & unsigned_part;
            reached = reached + where_less(numbers, candidate, zero, one);
        }
        found = where_less(reached, line_of(static_cast<Bits>(k)), found, candidate);
    }
    line_to(bar, bits_as<T>(found));
}

template <class T>
double largest_magnitude(const T* x, std::int64_t d) {
    typedef Line<T> L;
    L most = {};
    std::int64_t p = 0;
    for (; p + L::kCount <= d; p += L::kCount) {
        const L v = line_at(x + p);
        most = larger(most, larger(v, -v));
    }
    T lane[L::kCount], largest = 0;
    line_to(lane, most);
    for (const T v : lane) largest = largest < v ? v : largest;
    for (; p < d; ++p) {
        const T v = x[p] < 0 ? -x[p] : x[p];
        largest = largest < v ? v : largest;
    }
    return static_cast<double>(largest);
}
