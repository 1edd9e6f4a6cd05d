// Vectors of LANES floats, the width of the level's registers, and exp, log, tanh, sigmoid and the tail of the normal
// distribution on them. Everything is inlined, since 64-byte vectors must not be passed to functions.

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(LANES)));
typedef int32_t vi __attribute__((ext_vector_type(LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
typedef uint16_t vh __attribute__((ext_vector_type(LANES)));
typedef double vd __attribute__((ext_vector_type(LANES / 2)));
typedef uint64_t vl __attribute__((ext_vector_type(LANES / 2)));
typedef vi vi_unaligned __attribute__((aligned(4), may_alias));
typedef vf vf_unaligned __attribute__((aligned(4), may_alias));
typedef vh vh_unaligned __attribute__((aligned(2), may_alias));

// Aligns a loop of a few cycles per iteration: one that crosses an instruction cache line is about 5 % slower.
#if defined(__has_attribute) && __has_attribute(code_align)
#define ALIGNED __attribute__((code_align(64)))
#else
#define ALIGNED
#endif

// Runs the statements for i = 0, LANES, ... with `lanes` elements each; `lanes` is a constant except in the last iteration.
#define VECTOR_LOOP(n, ...)                         \
    do {                                            \
        intptr_t i = 0;                             \
        for (; i + LANES <= (n); i += LANES) {      \
            const intptr_t lanes = LANES;           \
            __VA_ARGS__                             \
        }                                           \
        if (i < (n)) {                              \
            const intptr_t lanes = (n) - i;         \
            __VA_ARGS__                             \
        }                                           \
    } while (0)

INLINE vf splat(float x) { return (vf)x; }

static const int32_t lane_masks[2 * LANES] = {
#if LANES == 16
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
#elif LANES == 8
    -1, -1, -1, -1, -1, -1, -1, -1,
#else
    -1, -1, -1, -1,
#endif
};

// A mask of the first `lanes` lanes.
INLINE vi first_lanes(intptr_t lanes) { return *(const vi_unaligned *)(lane_masks + LANES - lanes); }

// Partial loads and stores do not touch memory beyond their elements.
INLINE vf load(const float *p, intptr_t lanes) {
    if (lanes == LANES) return *(const vf_unaligned *)p;
#if LANES == 16
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1U << lanes) - 1), p);
#elif LANES == 8
    return (vf)_mm256_maskload_ps(p, (__m256i)first_lanes(lanes));
#else
    return (vf){p[0], lanes > 1 ? p[1] : 0, lanes > 2 ? p[2] : 0, 0};
#endif
}

INLINE void store(float *p, intptr_t lanes, vf x) {
    if (lanes == LANES) {
        *(vf_unaligned *)p = x;
        return;
    }
#if LANES == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1U << lanes) - 1), (__m512)x);
#elif LANES == 8
    _mm256_maskstore_ps(p, (__m256i)first_lanes(lanes), (__m256)x);
#else
    p[0] = x[0];
    if (lanes > 1) p[1] = x[1];
    if (lanes > 2) p[2] = x[2];
#endif
}

INLINE vh load_halves(const uint16_t *p, intptr_t lanes) {
    if (lanes == LANES) return *(const vh_unaligned *)p;
    uint16_t buffer[LANES] = {0};
    memcpy(buffer, p, (size_t)lanes * sizeof(uint16_t));
    return *(const vh_unaligned *)buffer;
}

INLINE void store_halves(uint16_t *p, intptr_t lanes, vh x) {
    if (lanes == LANES) {
        *(vh_unaligned *)p = x;
    } else {
        memcpy(p, &x, (size_t)lanes * sizeof(uint16_t));
    }
}

INLINE vi bits(vf x) { return (vi)x; }
INLINE vf from_bits(vi x) { return (vf)x; }
INLINE vf to_floats(vi x) { return __builtin_convertvector(x, vf); }
INLINE vd low_doubles(vf x) { return __builtin_convertvector(x.lo, vd); }
INLINE vd high_doubles(vf x) { return __builtin_convertvector(x.hi, vd); }

// mask ? x : y; in a mask, the bits of a lane are all equal, as comparisons give them.
INLINE vf choose(vi mask, vf x, vf y) { return from_bits((mask & bits(x)) | (~mask & bits(y))); }
// Loads `lanes` elements and sets the other lanes to `fill`.
INLINE vf load_or(const float *p, intptr_t lanes, float fill) {
    vf x = load(p, lanes);
    return lanes == LANES ? x : choose(first_lanes(lanes), x, splat(fill));
}
INLINE vf keep_if(vi mask, vf x) { return from_bits(mask & bits(x)); }
INLINE vf absolute(vf x) { return from_bits(bits(x) & 0x7fffffff); }
INLINE vf square_root(vf x) { return __builtin_elementwise_sqrt(x); }
// NaN in x is kept. Each compiles to one max or min instruction.
INLINE vf larger(vf bound, vf x) { return choose(bound > x, bound, x); }
INLINE vf smaller(vf bound, vf x) { return choose(bound < x, bound, x); }

// Adds in a fixed order, a tree.
INLINE float sum_lanes(vf x) {
#if LANES == 16
    __auto_type y = x.lo + x.hi;
    __auto_type z = y.lo + y.hi;
#elif LANES == 8
    __auto_type z = x.lo + x.hi;
#else
    vf z = x;
#endif
    return (z.x + z.z) + (z.y + z.w);
}

typedef float quad __attribute__((ext_vector_type(4)));

INLINE quad fold_to_quad(vf x) {
#if LANES == 16
    __auto_type y = x.lo + x.hi;
    return y.lo + y.hi;
#elif LANES == 8
    return x.lo + x.hi;
#else
    return x;
#endif
}

// The sum of each of four vectors.
INLINE quad sum_lanes_of_four(vf a, vf b, vf c, vf d) {
    quad w = fold_to_quad(a), x = fold_to_quad(b), y = fold_to_quad(c), z = fold_to_quad(d);
    quad wx = __builtin_shufflevector(w, x, 0, 4, 1, 5) + __builtin_shufflevector(w, x, 2, 6, 3, 7);
    quad yz = __builtin_shufflevector(y, z, 0, 4, 1, 5) + __builtin_shufflevector(y, z, 2, 6, 3, 7);
    return __builtin_shufflevector(wx, yz, 0, 1, 4, 5) + __builtin_shufflevector(wx, yz, 2, 3, 6, 7);
}

INLINE double sum_double_lanes(vd x) {
#if LANES == 16
    __auto_type y = x.lo + x.hi;
    return (y.x + y.z) + (y.y + y.w);
#elif LANES == 8
    return (x.x + x.z) + (x.y + x.w);
#else
    return x.x + x.y;
#endif
}

// A tree; __builtin_reduce_max of floats compiles to a chain.
INLINE float max_lanes(vf x) {
#if LANES == 16
    __auto_type y = __builtin_elementwise_max(x.lo, x.hi);
    __auto_type z = __builtin_elementwise_max(y.lo, y.hi);
#elif LANES == 8
    __auto_type z = __builtin_elementwise_max(x.lo, x.hi);
#else
    vf z = x;
#endif
    __auto_type w = __builtin_elementwise_max(z.lo, z.hi);
    return w.x > w.y ? w.x : w.y;
}

// Rounds to bfloat16 (16 bits, to nearest even); NaN stays NaN.
INLINE vu bfloat16_bits(vf x) {
#if defined(DOT_PRODUCTS)
    // The instruction turns subnormal numbers into zeros, as the dot products do.
    return (vu)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    vu b = (vu)x;
    vu rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
    vu quiet = (b >> 16) | 0x40;
    vu nan = (vu)(x != x);
    return (nan & quiet) | (~nan & rounded);
#endif
}

// exp: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for exp(r) (Cephes' coefficients), and 2^n in two factors so
// that subnormal and the largest finite results are right. Adding 1.5 * 2^23 rounds to an integer in the low bits.
INLINE vf exponential(vf x) {
    x = smaller(splat(89.0f), larger(splat(-104.0f), x));
    const vf magic = splat(12582912.0f);
    vf shifted = x * 1.44269504088896341f + magic;
    vf n = shifted - magic;
    vf r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
#if LANES == 16
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    vi power = bits(shifted) - bits(magic), half = power >> 1;
    return p * from_bits((half + 127) << 23) * from_bits((power - half + 127) << 23);
#endif
}

// log: x = 2^n m with m in [sqrt(1/2), sqrt 2), a polynomial in m - 1 (Cephes' coefficients).
INLINE vf logarithm(vf x) {
    vi subnormal = x < FLT_MIN;
    vf scaled = choose(subnormal, x * 8388608.0f, x);
    vi exponent = (vi)((vu)bits(scaled) >> 23) - 126;
    vf m = from_bits((bits(scaled) & 0x007fffff) | 0x3f000000);
    vi small = m < 0.707106781186547524f;
    vf n = to_floats(exponent + small) - keep_if(subnormal, splat(23.0f));
    m = m + keep_if(small, m) - 1.0f;
    vf z = m * m;
    vf p = splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vf y = p * m * z;
    y = y + n * -2.12194440e-4f;
    y = y - z * 0.5f;
    y = (m + y) + n * 0.693359375f;
    y = choose(x == INFINITY, x, y);
    y = choose(x == 0.0f, splat(-INFINITY), y);
    return choose((x < 0.0f) | (x != x), splat(NAN), y);
}

// 1 / (1 + exp(-x)), without overflow on either side.
INLINE vf sigmoid(vf x) {
    vf e = exponential(-absolute(x));
    return choose(x < 0.0f, e, splat(1.0f)) / (e + 1.0f);
}

// tanh: an odd polynomial near 0 (Cephes' coefficients), 1 - 2 / (exp(2x) + 1) elsewhere.
INLINE vf hyperbolic_tangent(vf x) {
    vf a = absolute(x);
    vf z = x * x;
    vf p = splat(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vf near = p * z * x + x;
    vf far = 1.0f - 2.0f / (exponential(a + a) + 1.0f);
    far = from_bits(bits(far) | (bits(x) & (int32_t)0x80000000));
    return choose(a < 0.625f, near, far);
}

// Q(a) = 1 - Phi(a), the upper tail of the normal distribution for a >= 0, and e = exp(-a^2 / 2), its density times
// sqrt(2 pi). Q = e * t * polynomial(t) with t = 1 / (1 + 0.3 a); the coefficients are our own weighted minimax fit on
// 0 ... 14, 1.3e-8 off; rounding brings the absolute error to 2e-7 at a = 0, less elsewhere, and x * Q(x) below 8e-8.
INLINE vf normal_tail(vf a, vf *e) {
    vf t = 1.0f / (1.0f + a * 0.3f);
    vf p = splat(0.031301353f);
    p = p * t - 0.13422224f;
    p = p * t + 0.15573093f;
    p = p * t + 0.006886699f;
    p = p * t + 0.0860671f;
    p = p * t + 0.11738733f;
    p = p * t + 0.11685553f;
    p = p * t + 0.11999331f;
    *e = exponential(a * a * -0.5f);
    return *e * (p * t);
}
