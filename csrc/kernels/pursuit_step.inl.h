// pursuit_step.inl.h: correlations after a step of matching pursuit, and the two largest of them, in one pass.
//
//   a[j] = start[j] - (factor[0] rows[0][j] + factor[1] rows[1][j] + ...)
//
// Shapes    start and each of rows [width], width whole lines of 64 bytes; factor [count]. out [width] may be null, or
//           start itself. magnitude: rank by |a|.
// Numerics  in T: from start[j] on, each product is rounded and then subtracted, in order. Same bits in every variant.
// Returns   the lowest place of the largest number, with best = [largest, second]: at most so much is reached at any
//           other place. NaN is never best: it marks places that must not be taken. 0 and minus infinity if all are.
// Cost      2 count flops per number, and the rows read once; out is written once if asked for.

template <class T>
struct PlaceOf {
    typedef std::int32_t Type;
};
template <>
struct PlaceOf<double> {
    typedef std::int64_t Type;
};

// Each lane's largest number with its first place, and the largest of the others.
template <class T>
struct BestLanes {
    typedef typename PlaceOf<T>::Type I;
    Line<T> best, second;
    Line<I> place;

    inline void take(const Line<T>& v, const Line<I>& at) {
        const Line<T> lesser = where_less(best, v, best, v);
        second = where_less(second, lesser, lesser, second);
        place = where_less(best, v, at, place);
        best = where_less(best, v, v, best);
    }
};

// N lines side by side, as one alone waits for each subtraction; the next are on their way.
template <int N, class T>
inline void pursuit_lines(const T* start, const T* const* rows, const T* factor, std::int64_t count, std::int64_t at,
                          bool magnitudes, BestLanes<T>& best, Line<typename PlaceOf<T>::Type>& place, T* out) {
    Line<T> sum[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) sum[i] = line_at(start + at + i * Line<T>::kCount);
    for (std::int64_t p = 0; p < count; ++p) {
        const T* row = rows[p] + at;
        const T f = factor[p];
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) __builtin_prefetch(row + (N + i) * Line<T>::kCount);
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
            const Line<T> product = line_at(row + i * Line<T>::kCount) * f;
            sum[i] = sum[i] - product;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        if (out) line_to(out + at + i * Line<T>::kCount, sum[i]);
        best.take(magnitudes ? magnitude(sum[i]) : sum[i], place);
        place = place + Line<T>::kCount;
    }
}

template <class T>
std::int64_t pursuit_step(const T* start, const T* const* rows, const T* factor, std::int64_t count, std::int64_t width,
                          bool magnitudes, T* out, T* best) {
    typedef typename PlaceOf<T>::Type I;
    constexpr int kCount = Line<T>::kCount, kTogether = kVectorBytes == 64 ? 8 : 4;
    const T none = -static_cast<T>(__builtin_inff());
    BestLanes<T> lanes = {line_of(none), line_of(none), line_of(I{0})};
    I first[kCount];
    for (int l = 0; l < kCount; ++l) first[l] = l;
    Line<I> place = line_at(first);
    std::int64_t at = 0;
    for (; at + kTogether * kCount <= width; at += kTogether * kCount)
        pursuit_lines<kTogether>(start, rows, factor, count, at, magnitudes, lanes, place, out);
    for (; at < width; at += kCount) pursuit_lines<1>(start, rows, factor, count, at, magnitudes, lanes, place, out);
    T value[kCount], second[kCount];
    I where[kCount];
    line_to(value, lanes.best);
    line_to(second, lanes.second);
    line_to(where, lanes.place);
    int top = 0;
    for (int l = 1; l < kCount; ++l)
        if (value[l] > value[top] || (value[l] == value[top] && where[l] < where[top])) top = l;
    best[0] = value[top];
    best[1] = second[top];
    for (int l = 0; l < kCount; ++l) {
        if (l != top && value[l] > best[1]) best[1] = value[l];
        if (second[l] > best[1]) best[1] = second[l];
    }
    return where[top];
}
