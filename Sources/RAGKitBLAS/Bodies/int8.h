// Products of int8 with exact integer sums. Each row of A and each column of B is divided by its own scale, its largest
// magnitude / 127, and rounded to -127 ... 127; the sum times both scales is the result, the same at every level. A scale is
// NaN where an element is NaN or infinite, and so is then the row or column of the result.
//
// A panel of B: each column's scale, 128 times the sum of its integers, then words of four steps of a column.
// A panel of A: each row's scale, then the words of its steps as the level multiplies them.

typedef int8_t vb __attribute__((ext_vector_type(LANES)));
typedef vb vb_unaligned __attribute__((aligned(1), may_alias));
typedef int16_t vs __attribute__((ext_vector_type(2 * LANES)));
typedef uint16_t vus __attribute__((ext_vector_type(2 * LANES)));

enum { INT8_COLUMN_HEAD = sizeof(float) + sizeof(int32_t), INT8_ROW_HEAD = sizeof(float) };

INLINE vi load_integers(const void *p) { return bits(load(p, LANES)); }

// As integers the bits of magnitudes have their order, NaN above infinity.
INLINE vi larger_magnitude(vi peak, vf x) { return __builtin_elementwise_max(peak, bits(absolute(x))); }

// The largest magnitudes of `lines` lines that are rows.
INLINE void peaks_of_rows(intptr_t lines, intptr_t k, const float *x, intptr_t stride, float *peaks) {
    for (intptr_t line = 0; line < lines; line++, x += stride) {
        vi peak = 0;
        VECTOR_LOOP(k, peak = larger_magnitude(peak, load(x + i, lanes)););
        int32_t largest = __builtin_reduce_max(peak);
        memcpy(peaks + line, &largest, sizeof(largest));
    }
}

// And of lines that are columns.
INLINE void peaks_of_columns(intptr_t lines, intptr_t k, const float *x, intptr_t stride, float *peaks) {
    for (intptr_t p = 0; p < k; p++, x += stride) {
        VECTOR_LOOP(lines, {
            vi peak = larger_magnitude(bits(load(peaks + i, lanes)), load(x + i, lanes));
            store(peaks + i, lanes, from_bits(peak));
        });
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

// The words of four steps of TILE_COLUMNS columns at `x`.
INLINE void four_steps_of_columns(const float *x, const float *inverses, uint32_t *words, int32_t *sums) {
    VECTOR_LOOP(TILE_COLUMNS, {
        vf inverse = load(inverses + i, lanes);
        vi a = quantized(load(x + i, lanes), inverse);
        vi b = quantized(load(x + TILE_COLUMNS + i, lanes), inverse);
        vi c = quantized(load(x + 2 * TILE_COLUMNS + i, lanes), inverse);
        vi d = quantized(load(x + 3 * TILE_COLUMNS + i, lanes), inverse);
        vi word = (a & 0xff) | (b & 0xff) << 8 | (c & 0xff) << 16 | d << 24;
        store((float *)words + i, lanes, from_bits(word));
        vi sum = bits(load((const float *)sums + i, lanes)) + (a + b + c + d) * 128;
        store((float *)sums + i, lanes, from_bits(sum));
    });
}

// How a level's panels of A, or all panels of B, hold four steps of a line.
typedef struct {
    intptr_t words;  // of four steps
    bool keeps_sums;
    // Steps of one line that is a row, `steps` and as many zeros as make them up to a vector; their sum is returned.
    int32_t (*write_row)(intptr_t steps, const float *x, float inverse, uint32_t *words);
} int8_words;

// Lines are rows: each is rounded by itself, then its words are rearranged.
INLINE void words_of_rows(const int8_words *kind, intptr_t lines, intptr_t k, intptr_t width, const float *x,
                          intptr_t stride, const float *inverses, int32_t *sums, uint32_t *panel) {
    static const float zeros[CHUNK];
    float words[TILE_COLUMNS * CHUNK / 2];
    const intptr_t length = CHUNK / 4 * kind->words;  // of a row of `words`
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = ragkit_min(CHUNK, k - p), count = ragkit_pieces(steps, 4) * kind->words;
        for (intptr_t line = 0; line < width; line++) {
            const float *row = line < lines ? x + line * stride + p : zeros;
            int32_t sum = kind->write_row(steps, row, inverses[line], (uint32_t *)words + line * length);
            if (kind->keeps_sums) sums[line] += 128 * sum;
        }
        interleave_rows(width, count, width, words, length, (float *)panel);
        panel += count * width;
    }
}

// Lines are columns, which only B's can be.
INLINE void words_of_columns(intptr_t lines, intptr_t k, const float *x, intptr_t stride, const float *inverses,
                             int32_t *sums, uint32_t *panel) {
    float chunk[CHUNK * TILE_COLUMNS];
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = read_chunk(true, lines, k, p, 4, TILE_COLUMNS, x, stride, chunk);
        for (intptr_t s = 0; s < steps; s += 4, panel += TILE_COLUMNS) {
            four_steps_of_columns(chunk + s * TILE_COLUMNS, inverses, panel, sums);
        }
    }
}

INLINE void pack_int8(const int8_words *kind, bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x,
                      intptr_t stride, void *panels) {
    float peaks[TILE_COLUMNS], inverses[TILE_COLUMNS];
    uint32_t *panel = panels;
    for (intptr_t line = 0; line < lines; line += width) {
        const float *from = x + line * (across ? 1 : stride);
        const intptr_t some = ragkit_min(lines - line, width);
        memset(peaks, 0, sizeof(peaks));
        (across ? peaks_of_columns : peaks_of_rows)(some, k, from, stride, peaks);
        find_scales(width, peaks, (float *)panel, inverses);
        panel += width;
        int32_t *sums = (int32_t *)panel;
        if (kind->keeps_sums) {
            memset(sums, 0, (size_t)width * sizeof(int32_t));
            panel += width;
        }
        if (across) {
            words_of_columns(some, k, from, stride, inverses, sums, panel);
        } else {
            words_of_rows(kind, some, k, width, from, stride, inverses, sums, panel);
        }
        panel += ragkit_pieces(k, 4) * kind->words * width;
    }
}

// Runs the statements, which write LANES steps of a row as the integers `q`.
#define ROW_OF_INTEGERS(...)                                                              \
    vi sum = 0;                                                                           \
    for (intptr_t i = 0; i < steps; i += LANES) {                                         \
        vi q = quantized(load(x + i, ragkit_min(LANES, steps - i)), splat(inverse));      \
        sum += q;                                                                         \
        __VA_ARGS__                                                                       \
    }                                                                                     \
    return __builtin_reduce_add(sum);

INLINE void store_bytes(uint32_t *words, vi x) { *(vb_unaligned *)words = __builtin_convertvector(x, vb); }

INLINE int32_t row_of_b(intptr_t steps, const float *x, float inverse, uint32_t *words) {
    ROW_OF_INTEGERS(store_bytes(words + i / 4, q);)
}

static void pack_int8_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    const int8_words kind = {1, true, row_of_b};
    pack_int8(&kind, across, columns, k, TILE_COLUMNS, b, ldb, panels);
}

#if defined(DOT_PRODUCTS)

// VPDPBUSD multiplies unsigned bytes by signed ones: A's have 128 added, which adds 128 times the column's sum.

enum { INT8_ROW_WORDS = 1 };

INLINE int32_t row_of_a(intptr_t steps, const float *x, float inverse, uint32_t *words) {
    ROW_OF_INTEGERS(store_bytes(words + i / 4, q ^ 0x80);)
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

INLINE vh second_before_third(vh x) {
#if LANES == 16
    return __builtin_shufflevector(x, x, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
#elif LANES == 8
    return __builtin_shufflevector(x, x, 0, 2, 1, 3, 4, 6, 5, 7);
#else
    return __builtin_shufflevector(x, x, 0, 2, 1, 3);
#endif
}

INLINE int32_t row_of_a(intptr_t steps, const float *x, float inverse, uint32_t *words) {
    ROW_OF_INTEGERS(store_halves((uint16_t *)(words + i / 2), LANES,
                                 second_before_third(__builtin_convertvector(q, vh)));)
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

// A is never transposed: its products are those of packs.
static void pack_int8_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                           void *panels) {
    (void)across;
    const int8_words kind = {INT8_ROW_WORDS, false, row_of_a};
    pack_int8(&kind, false, rows, k, height, a, lda, panels);
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
