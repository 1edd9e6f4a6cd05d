// Products of int8 with exact integer sums. Each row of A and each column of B is divided by its own scale, its largest
// magnitude / 127, and rounded to -127 ... 127; the sum times both scales is the result, the same at every level. A scale is
// NaN where an element is NaN or infinite, and so is then the row or column of the result.
//
// A panel of B: each column's scale, 128 times the sum of its integers, then words of four steps of a column.
// A panel of A: each row's scale, then the words of its steps as the level multiplies them.

typedef int16_t vs __attribute__((ext_vector_type(2 * LANES)));
typedef uint16_t vus __attribute__((ext_vector_type(2 * LANES)));

enum { INT8_COLUMN_HEAD = sizeof(float) + sizeof(int32_t), INT8_ROW_HEAD = sizeof(float) };

INLINE vi load_integers(const void *p) { return bits(load(p, LANES)); }

// The largest magnitudes of `width` lines. As integers the bits of magnitudes have their order, NaN above infinity.
INLINE void find_peaks(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *chunk, float *peaks) {
    for (intptr_t i = 0; i < width; i++) peaks[i] = 0;
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = read_chunk(across, lines, k, p, 1, width, x, stride, chunk);
        for (intptr_t s = 0; s < steps; s++) {
            VECTOR_LOOP(width, {
                vi peak = bits(load(peaks + i, lanes)), magnitude = bits(absolute(load(chunk + s * width + i, lanes)));
                vi above = magnitude > peak;
                store(peaks + i, lanes, from_bits((above & magnitude) | (~above & peak)));
            });
        }
    }
}

// Peaks become scales and what to multiply by, which is 0 for lines of zeros (below 1e-36 they count as such) and where
// there is no scale.
INLINE void find_scales(intptr_t width, const float *peaks, float *scales, float *inverses) {
    VECTOR_LOOP(width, {
        vf peak = load(peaks + i, lanes);
        vi nothing = peak < 1e-36f, finite = peak < INFINITY;
        store(scales + i, lanes, choose(nothing, splat(0), choose(finite, peak / 127.0f, splat(NAN))));
        store(inverses + i, lanes, keep_if(finite & ~nothing, 127.0f / peak));
    });
}

// Adding 1.5 * 2^23 rounds to an integer in the low bits; the product is rounded before, at every level, which a fused
// multiply-add would not do. Lines without an inverse may hold NaN.
INLINE vi quantized(vf x, vf inverse) {
    const vf magic = splat(12582912.0f);
    vf scaled = x * inverse;
    vf shifted = scaled + magic;
    return (bits(shifted) - bits(magic)) & (inverse != 0.0f);
}

// The words of four steps of `width` lines at `x`, whose rows lie `width` apart.
typedef void (*word_function)(intptr_t width, const float *x, const float *inverses, uint32_t *words, int32_t *sums);

// Panels of `width` lines; their words are `words_per_four` to four steps of a line. Sums are kept where there is room.
INLINE void pack_int8(word_function write, intptr_t words_per_four, bool keeps_sums, bool across, intptr_t lines,
                      intptr_t k, intptr_t width, const float *x, intptr_t stride, void *panels) {
    float chunk[CHUNK * TILE_COLUMNS], peaks[TILE_COLUMNS], inverses[TILE_COLUMNS];
    uint32_t *panel = panels;
    for (intptr_t line = 0; line < lines; line += width) {
        const float *from = x + line * (across ? 1 : stride);
        find_peaks(across, lines - line, k, width, from, stride, chunk, peaks);
        find_scales(width, peaks, (float *)panel, inverses);
        panel += width;
        int32_t *sums = keeps_sums ? (int32_t *)panel : NULL;
        if (keeps_sums) {
            memset(sums, 0, (size_t)width * sizeof(int32_t));
            panel += width;
        }
        for (intptr_t p = 0; p < k; p += CHUNK) {
            intptr_t steps = read_chunk(across, lines - line, k, p, 4, width, from, stride, chunk);
            for (intptr_t s = 0; s < steps; s += 4, panel += words_per_four * width) {
                write(width, chunk + s * width, inverses, panel, sums);
            }
        }
    }
}

// Four steps of some lines, as integers.
typedef struct {
    vi a, b, c, d;
} four_steps;

INLINE four_steps quantized_steps(intptr_t width, const float *x, const float *inverses, intptr_t lanes) {
    vf inverse = load(inverses, lanes);
    return (four_steps){
        quantized(load(x, lanes), inverse),
        quantized(load(x + width, lanes), inverse),
        quantized(load(x + 2 * width, lanes), inverse),
        quantized(load(x + 3 * width, lanes), inverse),
    };
}

INLINE vi four_bytes(four_steps s) { return (s.a & 0xff) | (s.b & 0xff) << 8 | (s.c & 0xff) << 16 | s.d << 24; }

INLINE void column_words(intptr_t width, const float *x, const float *inverses, uint32_t *words, int32_t *sums) {
    VECTOR_LOOP(width, {
        four_steps s = quantized_steps(width, x + i, inverses + i, lanes);
        store((float *)words + i, lanes, from_bits(four_bytes(s)));
        vi sum = bits(load((const float *)sums + i, lanes)) + (s.a + s.b + s.c + s.d) * 128;
        store((float *)sums + i, lanes, from_bits(sum));
    });
}

static void pack_int8_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    pack_int8(column_words, 1, true, across, columns, k, TILE_COLUMNS, b, ldb, panels);
}

#if defined(DOT_PRODUCTS)

// VPDPBUSD multiplies unsigned bytes by signed ones: A's have 128 added, which adds 128 times the column's sum.

enum { INT8_ROW_WORDS = 1 };

INLINE void row_words(intptr_t width, const float *x, const float *inverses, uint32_t *words, int32_t *sums) {
    (void)sums;
    VECTOR_LOOP(width, {
        four_steps s = quantized_steps(width, x + i, inverses + i, lanes);
        store((float *)words + i, lanes, from_bits(four_bytes(s) ^ (int32_t)0x80808080));
    });
}

INLINE void add_four_steps(const int height, const uint32_t *rows, const uint32_t *columns, vi sums[][2]) {
    vi low = load_integers(columns), high = load_integers(columns + LANES);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        __m512i x = (__m512i)(vu)rows[r];
        sums[r][0] = (vi)_mm512_dpbusd_epi32((__m512i)sums[r][0], x, (__m512i)low);
        sums[r][1] = (vi)_mm512_dpbusd_epi32((__m512i)sums[r][1], x, (__m512i)high);
    }
}

INLINE vi true_sum(vi sum, const int32_t *offsets) { return sum - load_integers(offsets); }

#else

// Words of two 16-bit integers: the first and third step, then the second and fourth. So four steps of a column, too, become
// pairs with two shifts, and no sum of two products can overflow, as it could in 16 bits.

enum { INT8_ROW_WORDS = 2 };

INLINE void row_words(intptr_t width, const float *x, const float *inverses, uint32_t *words, int32_t *sums) {
    (void)sums;
    VECTOR_LOOP(width, {
        four_steps s = quantized_steps(width, x + i, inverses + i, lanes);
        store((float *)words + i, lanes, from_bits((s.a & 0xffff) | s.c << 16));
        store((float *)words + width + i, lanes, from_bits((s.b & 0xffff) | s.d << 16));
    });
}

// sum + the products of both 16-bit halves
INLINE vi add_products(vi sum, vs x, vs y) {
#if LANES == 16
    return sum + (vi)_mm512_madd_epi16((__m512i)x, (__m512i)y);
#elif LANES == 8
    return sum + (vi)_mm256_madd_epi16((__m256i)x, (__m256i)y);
#elif defined(__x86_64__)
    return sum + (vi)_mm_madd_epi16((__m128i)x, (__m128i)y);
#else
    vi a = (vi)x, b = (vi)y;
    return sum + ((vi)((vu)a << 16) >> 16) * ((vi)((vu)b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

INLINE void add_two_steps(const int height, const uint32_t *rows, vs low, vs high, vi sums[][2]) {
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vs x = (vs)(vu)rows[r];
        sums[r][0] = add_products(sums[r][0], x, low);
        sums[r][1] = add_products(sums[r][1], x, high);
    }
}

INLINE void add_four_steps(const int height, const uint32_t *rows, const uint32_t *columns, vi sums[][2]) {
    vus low = (vus)load_integers(columns), high = (vus)load_integers(columns + LANES);
    add_two_steps(height, rows, (vs)(low << 8) >> 8, (vs)(high << 8) >> 8, sums);
    // Loaded again: 16 registers hold the sums and two steps, not four.
    __asm__("" : "+r"(columns));
    low = (vus)load_integers(columns), high = (vus)load_integers(columns + LANES);
    add_two_steps(height, rows + height, (vs)low >> 8, (vs)high >> 8, sums);
}

INLINE vi true_sum(vi sum, const int32_t *offsets) {
    (void)offsets;
    return sum;
}

#endif

static void pack_int8_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                           void *panels) {
    pack_int8(row_words, INT8_ROW_WORDS, false, across, rows, k, height, a, lda, panels);
}

INLINE void int8_tile(const int height, intptr_t k, const void *a, const void *b, ahead ahead, vf sums[][2]) {
    const float *row_scales = a, *column_scales = b;
    const int32_t *offsets = (const int32_t *)b + TILE_COLUMNS;
    const uint32_t *rows = (const uint32_t *)a + height, *columns = (const uint32_t *)b + 2 * TILE_COLUMNS;
    vi integers[TILE_ROWS][2];
    _Pragma("unroll") for (int r = 0; r < height; r++) integers[r][0] = integers[r][1] = 0;
    TILE_LOOP(k / 4, add_four_steps(height, rows + p * INT8_ROW_WORDS * height, columns + p * TILE_COLUMNS, integers);)
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        _Pragma("unroll") for (int q = 0; q < 2; q++) {
            vf scale = load(column_scales + q * LANES, LANES) * row_scales[r];
            sums[r][q] = to_floats(true_sum(integers[r][q], offsets + q * LANES)) * scale;
        }
    }
}

MULTIPLY(multiply_int8, int8_tile, INT8_ROW_HEAD, INT8_ROW_WORDS)
