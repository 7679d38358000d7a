// line.inl.h: a cache line of numbers as one value, held in as many registers as the instruction set needs.
//
// The compiler's own vectors of 64 bytes go through memory, a number at a time, where registers are shorter: gathering
// rows with AVX2 took seven times as long. So a Line is an array of vectors that fit; each operation is a loop over
// them, unrolled. Lane l of a Line is number l of the 64 bytes, whatever the registers.

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Line {
    typedef T Part __attribute__((vector_size(kVectorBytes)));
    static constexpr int kParts = 64 / kVectorBytes, kEach = kVectorBytes / sizeof(T), kCount = 64 / sizeof(T);
    Part part[kParts];
};

template <int N>
struct Constant {
    static constexpr int kValue = N;
};

template <class T>
struct Own {  // keeps a scalar operand out of template deduction
    typedef T Type;
};

typedef Line<float> f32x16;
typedef Line<std::int32_t> i32x16;
typedef Line<std::uint32_t> u32x16;
typedef Line<double> f64x8;

template <class V, class T>
inline V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
inline Line<T> line_at(const T* p) {
    Line<T> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) __builtin_memcpy(&v.part[i], p + i * v.kEach, kVectorBytes);
    return v;
}

template <class T>
inline void line_to(T* p, const Line<T>& v) {
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) __builtin_memcpy(p + i * v.kEach, &v.part[i], kVectorBytes);
}

// x in every lane. Not 0 + x, which would have to turn -0 into 0.
template <class V, class T>
inline V spread(T x) {
    return x - V{};
}

template <class T>
inline Line<T> line_of(T x) {
    Line<T> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = spread<typename Line<T>::Part>(x);
    return v;
}

#define LATOM_LINE_OPERATOR(op)                                                                        \
    template <class T>                                                                                 \
    inline Line<T> operator op(const Line<T>& a, const Line<T>& b) {                                   \
        Line<T> v;                                                                                     \
        _Pragma("GCC unroll 4") for (int i = 0; i < v.kParts; ++i) v.part[i] = a.part[i] op b.part[i]; \
        return v;                                                                                      \
    }                                                                                                  \
    template <class T>                                                                                 \
    inline Line<T> operator op(const Line<T>& a, typename Own<T>::Type b) {                            \
        Line<T> v;                                                                                     \
        _Pragma("GCC unroll 4") for (int i = 0; i < v.kParts; ++i) v.part[i] = a.part[i] op b;         \
        return v;                                                                                      \
    }
LATOM_LINE_OPERATOR(+)
LATOM_LINE_OPERATOR(-)
LATOM_LINE_OPERATOR(*)
LATOM_LINE_OPERATOR(/)
LATOM_LINE_OPERATOR(&)
LATOM_LINE_OPERATOR(|)
#undef LATOM_LINE_OPERATOR

template <class T>
inline Line<T> operator-(const Line<T>& a) {
    Line<T> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = -a.part[i];
    return v;
}

template <class T>
inline Line<T> operator>>(const Line<T>& a, int bits) {
    Line<T> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = a.part[i] >> bits;
    return v;
}

template <class T>
inline Line<T> operator<<(const Line<T>& a, int bits) {
    Line<T> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = a.part[i] << bits;
    return v;
}

// a < b ? yes : no, lane by lane.
template <class T, class U>
inline Line<U> where_less(const Line<T>& a, const Line<T>& b, const Line<U>& yes, const Line<U>& no) {
    Line<U> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = a.part[i] < b.part[i] ? yes.part[i] : no.part[i];
    return v;
}

template <class T>
inline Line<T> larger(const Line<T>& a, const Line<T>& b) {
    return where_less(b, a, a, b);
}

template <class T>
inline Line<T> magnitude(const Line<T>& a) {
    return larger(a, -a);
}

// Of numbers below 2^22.
inline f32x16 nearest_integer(const f32x16& v) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    return (v + magic) - magic;
}

template <class To, class T>
inline Line<To> convert(const Line<T>& a) {  // numbers of one size
    Line<To> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = __builtin_convertvector(a.part[i], typename Line<To>::Part);
    return v;
}

template <class To, class T>
inline Line<To> bits_as(const Line<T>& a) {
    Line<To> v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = (typename Line<To>::Part)a.part[i];
    return v;
}

// Halves combined until one number is left: number l with number l + half.
template <class V, class Combine>
inline auto fold_vector(const V& v, Combine combine) {
    constexpr int kCount = sizeof(V) / sizeof(v[0]);
    if constexpr (kCount == 2) {
        return combine(v[0], v[1]);
    } else {
        typedef decltype(v[0] + v[0]) T;
        typedef T Half __attribute__((vector_size(sizeof(V) / 2)));
        Half low, high;
        __builtin_memcpy(&low, &v, sizeof low);
        __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
        return fold_vector(static_cast<Half>(combine(low, high)), combine);
    }
}

template <class T, class Combine>
inline T fold(Line<T> v, Combine combine) {
#pragma GCC unroll 4
    for (int half = v.kParts / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; ++i) v.part[i] = combine(v.part[i], v.part[i + half]);
    return fold_vector(v.part[0], combine);
}

template <class T>
inline T sum_lanes(const Line<T>& v) {
    return fold(v, [](auto a, auto b) { return a + b; });
}

template <class T>
inline T max_lanes(const Line<T>& v) {
    return fold(v, [](auto a, auto b) { return a > b ? a : b; });
}

// A register of numbers as float64.
template <class T>
inline f64x8::Part wide(const T* p) {
    typedef T Narrow __attribute__((vector_size(f64x8::kEach * sizeof(T))));
    return __builtin_convertvector(load<Narrow>(p), f64x8::Part);
}
#if defined(__AVX512F__)  // what the compiler makes of the above goes through memory
inline f64x8::Part wide(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
#elif defined(__AVX2__)
inline f64x8::Part wide(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
#endif

template <class T>
inline f64x8 wide8(const T* p) {
    f64x8 v;
#pragma GCC unroll 4
    for (int i = 0; i < v.kParts; ++i) v.part[i] = wide(p + i * v.kEach);
    return v;
}
