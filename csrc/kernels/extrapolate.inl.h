// extrapolate.inl.h: a step beyond the present factor, kept non-negative.
//
//   old[p] <- max(0, x[p] + beta (x[p] - old[p]))
//
// Numerics  in T; product and sums are rounded one by one. Same bits in every variant.
// Cost      one pass.

template <class T>
void extrapolate(const T* x, T beta, std::int64_t count, T* old) {
    typedef typename Line<T>::Part Vector;
    constexpr std::int64_t kWidth = Line<T>::kEach;
    std::int64_t p = 0;
    for (; p + kWidth <= count; p += kWidth) {
        const Vector now = load<Vector>(x + p), step = beta * (now - load<Vector>(old + p));
        const Vector ahead = now + step, zero = {}, kept = ahead > zero ? ahead : zero;
        __builtin_memcpy(old + p, &kept, sizeof kept);
    }
    for (; p < count; ++p) {
        const T step = beta * (x[p] - old[p]), ahead = x[p] + step;
        old[p] = ahead > 0 ? ahead : 0;
    }
}
