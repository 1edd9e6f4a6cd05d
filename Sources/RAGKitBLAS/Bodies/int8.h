// Products of int8 with exact integer sums. Of each block of k, every row of A and every column of B is divided by a scale of
// its own and rounded to -127 ... 127; the sum of a block times both scales is added to the result. A scale is NaN where an
// element is NaN or infinite, and so is then the row or column of the result.
//
// A row's scale is its largest magnitude / 127, and so is a column's unless the level adds two products in 16 bits: there
// it is the largest sum of the magnitudes of two neighbours / 127. Rounded, two make 128 at most, times 255 less than 2^15.
//
// A panel of A: each row's scale, then words of four steps of a row as unsigned bytes, to which 128 has been added.
// A panel of B: each column's scale, 128 times the sum of its integers, then words of four steps of a column.

typedef int8_t vb __attribute__((ext_vector_type(LANES)));
typedef vb vb_unaligned __attribute__((aligned(1), may_alias));
typedef int16_t vs __attribute__((ext_vector_type(2 * LANES)));
typedef uint16_t vus __attribute__((ext_vector_type(2 * LANES)));

enum { INT8_COLUMN_HEAD = sizeof(float) + sizeof(int32_t), INT8_ROW_HEAD = sizeof(float) };

#if LANES > 4 && !defined(DOT_PRODUCTS)
enum { ADDS_PAIRS_IN_16_BITS = true };
#else
enum { ADDS_PAIRS_IN_16_BITS = false };
#endif

INLINE vi load_integers(const void *p) { return bits(load(p, LANES)); }

// As integers the bits of magnitudes have their order, NaN above infinity.
INLINE vi larger_magnitude(vi peak, vf x) { return __builtin_elementwise_max(peak, bits(absolute(x))); }

// The mean of two magnitudes, which does not overflow.
INLINE vf mean_magnitude(vf x, vf y) { return absolute(x) * 0.5f + absolute(y) * 0.5f; }

// Elements 2 i and 2 i + 1 exchanged.
INLINE vf neighbours(vf x) { return (vf)((vl)x << 32 | (vl)x >> 32); }

// The largest magnitudes of `lines` lines that are rows, or means of two neighbours' magnitudes.
INLINE void peaks_of_rows(bool paired, intptr_t lines, intptr_t k, const float *x, intptr_t stride, float *peaks) {
    for (intptr_t line = 0; line < lines; line++, x += stride) {
        vi peak = 0;
        VECTOR_LOOP(k, {
            vf here = load(x + i, lanes);
            peak = larger_magnitude(peak, paired ? mean_magnitude(here, neighbours(here)) : here);
        });
        int32_t largest = __builtin_reduce_max(peak);
        memcpy(peaks + line, &largest, sizeof(largest));
    }
}

// And of lines that are columns.
INLINE void peaks_of_columns(bool paired, intptr_t lines, intptr_t k, const float *x, intptr_t stride, float *peaks) {
    const intptr_t together = paired ? 2 : 1;
    for (intptr_t p = 0; p < k; p += together, x += together * stride) {
        VECTOR_LOOP(lines, {
            vf here = load(x + i, lanes);
            if (paired) here = mean_magnitude(here, p + 1 < k ? load(x + stride + i, lanes) : splat(0));
            store(peaks + i, lanes, from_bits(larger_magnitude(bits(load(peaks + i, lanes)), here)));
        });
    }
}

// Peaks, which become `most`, give scales and what to multiply by, which is 0 for lines of zeros (below 1e-36 they count
// as such) and where there is no scale.
INLINE void find_scales(intptr_t width, float most, const float *peaks, float *scales, float *inverses) {
    VECTOR_LOOP(width, {
        vf peak = load(peaks + i, lanes);
        vi nothing = peak < 1e-36f, finite = peak < INFINITY;
        store(scales + i, lanes, choose(nothing, splat(0), choose(finite, peak / most, splat(NAN))));
        store(inverses + i, lanes, keep_if(finite & ~nothing, most / peak));
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

// Steps of one line that is a row, and as many zeros as make them up to a vector; their sum is returned.
INLINE int32_t four_steps_of_row(bool is_a, intptr_t steps, const float *x, float inverse, uint32_t *words) {
    vi sum = 0;
    for (intptr_t i = 0; i < steps; i += LANES) {
        vi q = quantized(load(x + i, ragkit_min(LANES, steps - i)), splat(inverse));
        sum += q;
        *(vb_unaligned *)(words + i / 4) = __builtin_convertvector(is_a ? q ^ 0x80 : q, vb);
    }
    return __builtin_reduce_add(sum);
}

// Lines are rows: each is rounded by itself, then its words are rearranged.
INLINE void words_of_rows(bool is_a, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                          const float *inverses, int32_t *sums, uint32_t *panel) {
    static const float zeros[CHUNK];
    float words[TILE_COLUMNS * CHUNK / 4];
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = ragkit_min(CHUNK, k - p), count = ragkit_pieces(steps, 4);
        for (intptr_t line = 0; line < width; line++) {
            const float *row = line < lines ? x + line * stride + p : zeros;
            uint32_t *line_words = (uint32_t *)words + line * (CHUNK / 4);
            int32_t sum = four_steps_of_row(is_a, steps, row, inverses[line], line_words);
            if (!is_a) sums[line] += 128 * sum;
        }
        interleave_rows(width, count, width, words, CHUNK / 4, (float *)panel);
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

INLINE void pack_int8(bool is_a, bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x,
                      intptr_t stride, void *panels) {
    float peaks[TILE_COLUMNS], inverses[TILE_COLUMNS];
    const bool paired = !is_a && ADDS_PAIRS_IN_16_BITS;
    uint32_t *panel = panels;
    for (intptr_t line = 0; line < lines; line += width) {
        const float *from = x + line * (across ? 1 : stride);
        const intptr_t some = ragkit_min(lines - line, width);
        memset(peaks, 0, sizeof(peaks));
        (across ? peaks_of_columns : peaks_of_rows)(paired, some, k, from, stride, peaks);
        find_scales(width, paired ? 63.5f : 127, peaks, (float *)panel, inverses);
        int32_t *sums = (int32_t *)panel + width;
        if (!is_a) memset(sums, 0, (size_t)width * sizeof(int32_t));
        panel += is_a ? width : 2 * width;
        if (across) {
            words_of_columns(some, k, from, stride, inverses, sums, panel);
        } else {
            words_of_rows(is_a, some, k, width, from, stride, inverses, sums, panel);
        }
        panel += ragkit_pieces(k, 4) * width;
    }
}

static void pack_int8_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    pack_int8(false, across, columns, k, TILE_COLUMNS, b, ldb, panels);
}

// A is never transposed: its products are those of packs.
static void pack_int8_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                           void *panels) {
    (void)across;
    pack_int8(true, false, rows, k, height, a, lda, panels);
}

#if LANES > 4

// sum + the products of the unsigned bytes of x with the signed ones of y
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

INLINE void add_four_steps(const int height, const uint32_t *rows, const uint32_t *columns, vi sums[][2]) {
    vi low = load_integers(columns);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vu x = (vu)rows[r];
        sums[r][0] = add_products(sums[r][0], x, low);
        // Of 16 registers the sums leave none for this: it is an operand in memory.
        if (LANES == 8) __asm__("" : "+r"(columns));
        sums[r][1] = add_products(sums[r][1], x, load_integers(columns + LANES));
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

// The first and third step, then the second and fourth: shifts make 16-bit halves of bytes.
INLINE void add_four_steps(const int height, const uint32_t *rows, const uint32_t *columns, vi sums[][2]) {
    vus low = (vus)load_integers(columns), high = (vus)load_integers(columns + LANES);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vus x = (vus)(vu)rows[r] & 0xff;
        sums[r][0] = add_products(sums[r][0], x, (vs)(low << 8) >> 8);
        sums[r][1] = add_products(sums[r][1], x, (vs)(high << 8) >> 8);
    }
    // Loaded again: 16 registers hold the sums and two steps, not four.
    __asm__("" : "+r"(columns));
    low = (vus)load_integers(columns), high = (vus)load_integers(columns + LANES);
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vus x = (vus)(vu)rows[r] >> 8;
        sums[r][0] = add_products(sums[r][0], x, (vs)low >> 8);
        sums[r][1] = add_products(sums[r][1], x, (vs)high >> 8);
    }
}

#endif

INLINE void int8_tile(const int height, const tile *t, vf sums[][2]) {
    const float *row_scales = t->a, *column_scales = t->b;
    const int32_t *offsets = (const int32_t *)t->b + TILE_COLUMNS;
    const uint32_t *rows = (const uint32_t *)t->a + height, *columns = (const uint32_t *)t->b + 2 * TILE_COLUMNS;
    vi integers[TILE_ROWS][2];
    _Pragma("unroll") for (int r = 0; r < height; r++) integers[r][0] = integers[r][1] = 0;
    TILE_LOOP(height, t, t->k / 4, add_four_steps(height, rows + p * height, columns + p * TILE_COLUMNS, integers);)
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        _Pragma("unroll") for (int q = 0; q < 2; q++) {
            vf scale = load(column_scales + q * LANES, LANES) * row_scales[r];
            sums[r][q] = to_floats(integers[r][q] - load_integers(offsets + q * LANES)) * scale;
        }
    }
}

MULTIPLY(multiply_int8, int8_tile, INT8_ROW_HEAD, 1)
