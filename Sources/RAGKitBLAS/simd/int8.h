// Products of int8 operands with exact integer sums: the packing and the micro-kernel.
//
// Within a block of kc steps, row i of A has a scale s_i and column j of B a scale t_j, and with q = round(x / scale)
//
//     C[i, j] += s_i t_j sum_p q_a[i, p] q_b[p, j] = s_i t_j (sum_p (q_a[i, p] + 128) q_b[p, j] - 128 sum_p q_b[p, j])
//
// The instructions multiply unsigned by signed bytes, so A is stored as q_a + 128; the last term is computed once, when
// B is packed. A scale is the largest magnitude / 127, so |q| <= 127. Levels that add two products in 16 bits
// (VPMADDUBSW) take the largest sum of two neighbouring magnitudes / 127 for a column: then a pair |q_b| + |q_b'| is
// 128 at most after rounding, and 255 * 128 < 2^15 cannot overflow. A scale is NaN if an element is NaN or infinite; so
// is then the row or column of C.
//
// A panel of A: scales [MR], then words of four steps [k / 4, MR], unsigned bytes.
// A panel of B: scales [NR], 128 times the sums of q_b [NR], then words of four steps [k / 4, NR], signed bytes.
//
// The naive version is in the tests: Int8Operand.swift and KernelProductTests.swift. Source: oneDNN, "Nuances of int8
// computations" (the shift by 128, its compensation and the overflow of VPMADDUBSW).

typedef int8_t vb __attribute__((ext_vector_type(LANES)));
typedef vb vb_unaligned __attribute__((aligned(1), may_alias));
typedef int16_t vs __attribute__((ext_vector_type(2 * LANES)));
typedef uint16_t vus __attribute__((ext_vector_type(2 * LANES)));

enum { INT8_COLUMN_HEADER_BYTES = sizeof(float) + sizeof(int32_t), INT8_ROW_HEADER_BYTES = sizeof(float) };

#if LANES > 4 && !defined(DOT_PRODUCTS)
enum { ADDS_PAIRS_IN_16_BITS = true };
#else
enum { ADDS_PAIRS_IN_16_BITS = false };
#endif

INLINE vi load_integers(const void *p) { return bits(load(p, LANES)); }

// Compares magnitudes as integers, whose order is the same, with NaN above infinity.
INLINE vi larger_magnitude(vi peak, vf x) { return __builtin_elementwise_max(peak, bits(absolute(x))); }

// The mean of two magnitudes, which cannot overflow.
INLINE vf mean_magnitude(vf x, vf y) { return absolute(x) * 0.5f + absolute(y) * 0.5f; }

// Exchanges elements 2 i and 2 i + 1.
INLINE vf neighbours(vf x) { return (vf)((vl)x << 32 | (vl)x >> 32); }

// The largest magnitude of each row, or with `paired` the largest mean of two neighbours' magnitudes.
INLINE void peaks_of_rows(bool paired, intptr_t dim, intptr_t k, const float *x, intptr_t ld, float *peaks) {
    for (intptr_t row = 0; row < dim; row++, x += ld) {
        vi peak = 0;
        VECTOR_LOOP(k, {
            vf here = load(x + i, lanes);
            peak = larger_magnitude(peak, paired ? mean_magnitude(here, neighbours(here)) : here);
        });
        int32_t largest = __builtin_reduce_max(peak);
        memcpy(peaks + row, &largest, sizeof(largest));
    }
}

// The same for columns.
INLINE void peaks_of_columns(bool paired, intptr_t dim, intptr_t k, const float *x, intptr_t ld, float *peaks) {
    const intptr_t step = paired ? 2 : 1;
    for (intptr_t p = 0; p < k; p += step, x += step * ld) {
        VECTOR_LOOP(dim, {
            vf here = load(x + i, lanes);
            if (paired) here = mean_magnitude(here, p + 1 < k ? load(x + ld + i, lanes) : splat(0));
            store(peaks + i, lanes, from_bits(larger_magnitude(bits(load(peaks + i, lanes)), here)));
        });
    }
}

// Scales map `peaks` to `most`. An inverse is what to multiply by; it is 0 for vectors of zeros (all below 1e-36) and
// where the scale is NaN.
INLINE void find_scales(intptr_t panel_dim, float most, const float *peaks, float *scales, float *inverses) {
    VECTOR_LOOP(panel_dim, {
        vf peak = load(peaks + i, lanes);
        vi nothing = peak < 1e-36f, finite = peak < INFINITY;
        store(scales + i, lanes, choose(nothing, splat(0), choose(finite, peak / most, splat(NAN))));
        store(inverses + i, lanes, keep_if(finite & ~nothing, most / peak));
    });
}

// Adding 1.5 * 2^23 rounds to an integer in the low bits. The product is rounded before the addition at every level; a
// fused multiply-add would not do so. Vectors whose inverse is 0 may hold NaN.
INLINE vi quantized(vf x, vf inverse) {
    const vf magic = splat(12582912.0f);
    vf scaled = x * inverse;
    vf shifted = scaled + magic;
    return (bits(shifted) - bits(magic)) & (inverse != 0.0f);
}

// Packs four steps of NR columns, which lie at `x` as [4, NR], and adds to their sums.
INLINE void four_steps_of_columns(const float *x, const float *inverses, uint32_t *words, int32_t *sums) {
    VECTOR_LOOP(NR, {
        vf inverse = load(inverses + i, lanes);
        vi a = quantized(load(x + i, lanes), inverse);
        vi b = quantized(load(x + NR + i, lanes), inverse);
        vi c = quantized(load(x + 2 * NR + i, lanes), inverse);
        vi d = quantized(load(x + 3 * NR + i, lanes), inverse);
        vi word = (a & 0xff) | (b & 0xff) << 8 | (c & 0xff) << 16 | d << 24;
        store((float *)words + i, lanes, from_bits(word));
        vi sum = bits(load((const float *)sums + i, lanes)) + (a + b + c + d) * 128;
        store((float *)sums + i, lanes, from_bits(sum));
    });
}

// Quantises one row, padded with zeros to whole vectors, and returns the sum of its integers.
INLINE int32_t four_steps_of_row(bool is_a, intptr_t steps, const float *x, float inverse, uint32_t *words) {
    vi sum = 0;
    for (intptr_t i = 0; i < steps; i += LANES) {
        vi q = quantized(load(x + i, ragkit_min(LANES, steps - i)), splat(inverse));
        sum += q;
        *(vb_unaligned *)(words + i / 4) = __builtin_convertvector(is_a ? q ^ 0x80 : q, vb);
    }
    return __builtin_reduce_add(sum);
}

// Packs vectors that are rows: each is quantised by itself, then its words are interleaved with the others'.
INLINE void words_of_rows(bool is_a, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld,
                          const float *inverses, int32_t *sums, uint32_t *panel) {
    static const float zeros[CHUNK];
    float words[NR * CHUNK / 4];
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = ragkit_min(CHUNK, k - p), count = ragkit_ceil_div(steps, 4);
        for (intptr_t r = 0; r < panel_dim; r++) {
            const float *row = r < dim ? x + r * ld + p : zeros;
            uint32_t *row_words = (uint32_t *)words + r * (CHUNK / 4);
            int32_t sum = four_steps_of_row(is_a, steps, row, inverses[r], row_words);
            if (!is_a) sums[r] += 128 * sum;
        }
        interleave_rows(panel_dim, count, panel_dim, words, CHUNK / 4, (float *)panel);
        panel += count * panel_dim;
    }
}

// Packs vectors that are columns; only B's can be.
INLINE void words_of_columns(intptr_t dim, intptr_t k, const float *x, intptr_t ld, const float *inverses, int32_t *sums,
                             uint32_t *panel) {
    float chunk[CHUNK * NR];
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = read_chunk(true, dim, k, p, 4, NR, x, ld, chunk);
        for (intptr_t s = 0; s < steps; s += 4, panel += NR) {
            four_steps_of_columns(chunk + s * NR, inverses, panel, sums);
        }
    }
}

INLINE void pack_int8(bool is_a, bool transposed, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x,
                      intptr_t ld, void *panels) {
    float peaks[NR], inverses[NR];
    const bool paired = !is_a && ADDS_PAIRS_IN_16_BITS;
    uint32_t *panel = panels;
    for (intptr_t first = 0; first < dim; first += panel_dim) {
        const float *from = x + first * (transposed ? 1 : ld);
        const intptr_t some = ragkit_min(dim - first, panel_dim);
        memset(peaks, 0, sizeof(peaks));
        (transposed ? peaks_of_columns : peaks_of_rows)(paired, some, k, from, ld, peaks);
        find_scales(panel_dim, paired ? 63.5f : 127, peaks, (float *)panel, inverses);
        int32_t *sums = (int32_t *)panel + panel_dim;
        if (!is_a) memset(sums, 0, (size_t)panel_dim * sizeof(int32_t));
        panel += is_a ? panel_dim : 2 * panel_dim;
        if (transposed) {
            words_of_columns(some, k, from, ld, inverses, sums, panel);
        } else {
            words_of_rows(is_a, some, k, panel_dim, from, ld, inverses, sums, panel);
        }
        panel += ragkit_ceil_div(k, 4) * panel_dim;
    }
}

static void pack_int8_b(bool transposed, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    pack_int8(false, transposed, columns, k, NR, b, ldb, panels);
}

// A is never transposed here: only products with a pack use int8.
static void pack_int8_a(bool transposed, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                        void *panels) {
    (void)transposed;
    pack_int8(true, false, rows, k, height, a, lda, panels);
}

#if LANES > 4

// sum + the products of x's unsigned bytes with y's signed bytes, four to a lane
INLINE vi add_products(vi sum, vu x, vi y) {
#if defined(DOT_PRODUCTS)
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)y);
#elif LANES == 16
    __m512i pairs = _mm512_maddubs_epi16((__m512i)x, (__m512i)y);
    return sum + (vi)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#else
    __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)y);
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
}

INLINE void add_four_steps(const int height, const uint32_t *a, const uint32_t *b, vi sums[][2]) {
    vi low = load_integers(b);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vu x = (vu)a[r];
        sums[r][0] = add_products(sums[r][0], x, low);
        // With 16 registers none is left for the second vector of B: it stays an operand in memory.
        if (LANES == 8) __asm__("" : "+r"(b));
        sums[r][1] = add_products(sums[r][1], x, load_integers(b + LANES));
    }
}

#else

// sum + the products of both 16-bit halves
INLINE vi add_products(vi sum, vus x, vs y) {
#if defined(__x86_64__)
    return sum + (vi)_mm_madd_epi16((__m128i)x, (__m128i)y);
#else
    vi a = (vi)x, b = (vi)y;
    return sum + (a & 0xffff) * ((vi)((vu)b << 16) >> 16) + (vi)((vu)a >> 16) * (b >> 16);
#endif
}

// Adds steps 0 and 2, then 1 and 3: shifts and masks turn bytes into 16-bit halves.
INLINE void add_four_steps(const int height, const uint32_t *a, const uint32_t *b, vi sums[][2]) {
    vus low = (vus)load_integers(b), high = (vus)load_integers(b + LANES);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vus x = (vus)(vu)a[r] & 0xff;
        sums[r][0] = add_products(sums[r][0], x, (vs)(low << 8) >> 8);
        sums[r][1] = add_products(sums[r][1], x, (vs)(high << 8) >> 8);
    }
    // Loaded again: 16 registers hold the sums and two steps, not four.
    __asm__("" : "+r"(b));
    low = (vus)load_integers(b), high = (vus)load_integers(b + LANES);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vus x = (vus)(vu)a[r] >> 8;
        sums[r][0] = add_products(sums[r][0], x, (vs)low >> 8);
        sums[r][1] = add_products(sums[r][1], x, (vs)high >> 8);
    }
}

#endif

INLINE void int8_micro_kernel(const int height, const micro_tile *t, vf sums[][2]) {
    const float *row_scales = t->a, *column_scales = t->b;
    const int32_t *offsets = (const int32_t *)t->b + NR;
    const uint32_t *a = (const uint32_t *)t->a + height, *b = (const uint32_t *)t->b + 2 * NR;
    vi integers[MR][2];
    _Pragma("unroll") for (int r = 0; r < height; r++) integers[r][0] = integers[r][1] = 0;
    K_LOOP(height, t, t->k / 4, add_four_steps(height, a + p * height, b + p * NR, integers);)
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        _Pragma("unroll") for (int q = 0; q < 2; q++) {
            vf scale = load(column_scales + q * LANES, LANES) * row_scales[r];
            sums[r][q] = to_floats(integers[r][q] - load_integers(offsets + q * LANES)) * scale;
        }
    }
}

DEFINE_MACRO_KERNEL(int8_macro_kernel, int8_micro_kernel, INT8_ROW_HEADER_BYTES, 1)
