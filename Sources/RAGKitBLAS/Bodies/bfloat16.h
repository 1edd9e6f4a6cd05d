// Products of bfloat16 with Float32 sums. A panel of B holds two steps of a column in each 32-bit word, the first in the
// lower half.
//
// VDPBF16PS takes such pairs from A too. It adds the second product, then the first, and treats subnormal operands and
// results as zeros, which the other levels do not; else they add the same rounded operands in the same order.

// Lines are rows: pairs of steps lie side by side, so a row is rounded first and its words are rearranged then.
INLINE void pair_rows(intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride, float *panel) {
    float words[TILE_COLUMNS * CHUNK / 2];
    fetch_rows(ragkit_min(lines - width, width), k, x + width * stride, stride);  // of the next panel
    lines = ragkit_min(lines, width);
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = ragkit_min(CHUNK, k - p), pairs = ragkit_pieces(steps, 2);
        for (intptr_t line = 0; line < lines; line++) {
            float *row = words + line * (CHUNK / 2);
            row[pairs - 1] = 0;  // where a last step has no second
            VECTOR_LOOP(steps, {
                vu rounded = bfloat16_bits(load(x + line * stride + p + i, lanes));
                store_halves((uint16_t *)row + i, lanes, __builtin_convertvector(rounded, vh));
            });
        }
        interleave_rows(lines, pairs, width, words, CHUNK / 2, panel + p / 2 * width);
    }
}

// Lines are columns: a pair of steps is two rows. `lines` is a constant where it matters.
INLINE void pair_steps(const intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *panel) {
    static const float zeros[TILE_COLUMNS];
    for (intptr_t p = 0; p < k; p += 2, x += 2 * stride, panel += width) {
        const float *second = p + 1 < k ? x + stride : zeros;
        __builtin_prefetch(x + 16 * stride);  // too far apart for the processor to guess
        __builtin_prefetch(x + 17 * stride);
        VECTOR_LOOP(lines, {
            vu low = bfloat16_bits(load(x + i, lanes)), high = bfloat16_bits(load(second + i, lanes));
            store(panel + i, lanes, (vf)(low | high << 16));
        });
    }
}

INLINE void pair_columns(intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride, float *panel) {
    switch (lines) {
        case TILE_COLUMNS: pair_steps(TILE_COLUMNS, k, TILE_COLUMNS, x, stride, panel); break;
        case TILE_ROWS: pair_steps(TILE_ROWS, k, width, x, stride, panel); break;
        default: pair_steps(lines, k, width, x, stride, panel);
    }
}

INLINE void pair_panel(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *panel) {
    if (across) {
        pair_columns(ragkit_min(lines, width), k, width, x, stride, panel);
    } else {
        pair_rows(lines, k, width, x, stride, panel);
    }
    clear_lines(lines, ragkit_pieces(k, 2), width, panel);
}

static void pack_pairs(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *panels) {
    all_panels(pair_panel, 2, across, lines, k, width, x, stride, panels);
}

static void pack_bfloat16_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb,
                                  void *panels) {
    pack_pairs(across, columns, k, TILE_COLUMNS, b, ldb, panels);
}

INLINE vu load_words(const uint32_t *p) { return (vu)load((const float *)p, LANES); }

#if defined(DOT_PRODUCTS)

enum { BFLOAT16_ROW_STEP = sizeof(uint16_t) };

static void pack_bfloat16_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                               void *panels) {
    pack_pairs(across, rows, k, height, a, lda, panels);
}

INLINE void bfloat16_tile(const int height, const tile *t, vf sums[][2]) {
    const uint32_t *rows = t->a, *panel = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    TILE_LOOP(height, t, t->k / 2, {
        __m512bh low = (__m512bh)load_words(panel + p * TILE_COLUMNS);
        __m512bh high = (__m512bh)load_words(panel + p * TILE_COLUMNS + LANES);
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            __m512bh x = (__m512bh)(vu)rows[p * height + r];
            sums[r][0] = (vf)_mm512_dpbf16_ps((__m512)sums[r][0], x, low);
            sums[r][1] = (vf)_mm512_dpbf16_ps((__m512)sums[r][1], x, high);
        }
    })
}

#else

enum { BFLOAT16_ROW_STEP = sizeof(float) };

// A is rounded as the dot products would, but kept in Float32.
static void pack_bfloat16_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                               void *panels) {
    float chunk[CHUNK * TILE_ROWS], *panel = panels;
    for (intptr_t row = 0; row < rows; row += height) {
        const float *from = a + row * (across ? 1 : lda);
        for (intptr_t p = 0; p < k; p += CHUNK) {
            intptr_t count = height * read_chunk(across, rows - row, k, p, 2, height, from, lda, chunk);
            VECTOR_LOOP(count, store(panel + i, lanes, (vf)(bfloat16_bits(load(chunk + i, lanes)) << 16)););
            panel += count;
        }
    }
}

// One step of all rows with two vectors of B.
INLINE void add_step(const int height, const float *rows, vf low, vf high, vf sums[][2]) {
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vf x = splat(rows[r]);
        sums[r][0] = x * low + sums[r][0];
        sums[r][1] = x * high + sums[r][1];
    }
}

INLINE void bfloat16_tile(const int height, const tile *t, vf sums[][2]) {
    const float *rows = t->a;
    const uint32_t *panel = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    TILE_LOOP(height, t, t->k / 2, {
        const uint32_t *words = panel + p * TILE_COLUMNS;
        vu low = load_words(words), high = load_words(words + LANES);
        add_step(height, rows + (2 * p + 1) * height, (vf)(low & 0xffff0000), (vf)(high & 0xffff0000), sums);
        // Loaded again: 16 registers hold the sums and one step, not two.
        __asm__("" : "+r"(words));
        low = load_words(words), high = load_words(words + LANES);
        add_step(height, rows + 2 * p * height, (vf)(low << 16), (vf)(high << 16), sums);
    })
}

#endif

MULTIPLY(multiply_bfloat16, bfloat16_tile, 0, BFLOAT16_ROW_STEP)
