// Products of bfloat16 operands with Float32 sums: the packing and the micro-kernel.
//
// A panel of B holds pairs of steps, [k / 2, NR] words of 32 bits, the first step of a pair in the lower half (the VNNI
// layout). With VDPBF16PS a panel of A is packed alike, [k / 2, MR]; elsewhere it is rounded but stays Float32, [k, MR].
//
// VDPBF16PS adds the second product of a pair, then the first, and treats subnormal operands and results as zeros. The
// other levels add the same rounded operands in the same order, but keep subnormal numbers.

// Packs vectors that are rows. The two steps of a pair are neighbours in memory, so each row is rounded first; then its
// words are interleaved with the other rows'.
INLINE void pair_rows(intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    float words[NR * CHUNK / 2];
    prefetch_rows(ragkit_min(dim - panel_dim, panel_dim), k, x + panel_dim * ld, ld);  // of the next panel
    dim = ragkit_min(dim, panel_dim);
    for (intptr_t p = 0; p < k; p += CHUNK) {
        intptr_t steps = ragkit_min(CHUNK, k - p), pairs = ragkit_ceil_div(steps, 2);
        for (intptr_t r = 0; r < dim; r++) {
            float *row = words + r * (CHUNK / 2);
            row[pairs - 1] = 0;  // for an odd number of steps
            VECTOR_LOOP(steps, {
                vu rounded = bfloat16_bits(load(x + r * ld + p + i, lanes));
                store_halves((uint16_t *)row + i, lanes, __builtin_convertvector(rounded, vh));
            });
        }
        interleave_rows(dim, pairs, panel_dim, words, CHUNK / 2, panel + p / 2 * panel_dim);
    }
}

// Packs vectors that are columns: a pair of steps is two rows of the matrix. `dim` is a compile-time constant in the
// common cases.
INLINE void pair_steps(const intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    static const float zeros[NR];
    for (intptr_t p = 0; p < k; p += 2, x += 2 * ld, panel += panel_dim) {
        const float *second = p + 1 < k ? x + ld : zeros;
        __builtin_prefetch(x + 16 * ld);  // the stride is too large for the hardware prefetcher
        __builtin_prefetch(x + 17 * ld);
        VECTOR_LOOP(dim, {
            vu low = bfloat16_bits(load(x + i, lanes)), high = bfloat16_bits(load(second + i, lanes));
            store(panel + i, lanes, (vf)(low | high << 16));
        });
    }
}

INLINE void pair_columns(intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    switch (dim) {
        case NR: pair_steps(NR, k, NR, x, ld, panel); break;
        case MR: pair_steps(MR, k, panel_dim, x, ld, panel); break;
        default: pair_steps(dim, k, panel_dim, x, ld, panel);
    }
}

INLINE void pack_bfloat16_panel(bool transposed, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x,
                                intptr_t ld, float *panel) {
    if (transposed) {
        pair_columns(ragkit_min(dim, panel_dim), k, panel_dim, x, ld, panel);
    } else {
        pair_rows(dim, k, panel_dim, x, ld, panel);
    }
    zero_padding(dim, ragkit_ceil_div(k, 2), panel_dim, panel);
}

static void pack_pairs(bool transposed, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld,
                       float *panels) {
    pack_panels(pack_bfloat16_panel, 2, transposed, dim, k, panel_dim, x, ld, panels);
}

static void pack_bfloat16_b(bool transposed, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    pack_pairs(transposed, columns, k, NR, b, ldb, panels);
}

INLINE vu load_words(const uint32_t *p) { return (vu)load((const float *)p, LANES); }

#if defined(DOT_PRODUCTS)

enum { BFLOAT16_ROW_STEP_BYTES = sizeof(uint16_t) };

static void pack_bfloat16_a(bool transposed, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                            void *panels) {
    pack_pairs(transposed, rows, k, height, a, lda, panels);
}

INLINE void bfloat16_micro_kernel(const int height, const micro_tile *t, vf sums[][2]) {
    const uint32_t *a = t->a, *b = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    K_LOOP(height, t, t->k / 2, {
        __m512bh low = (__m512bh)load_words(b + p * NR);
        __m512bh high = (__m512bh)load_words(b + p * NR + LANES);
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            __m512bh x = (__m512bh)(vu)a[p * height + r];
            sums[r][0] = (vf)_mm512_dpbf16_ps((__m512)sums[r][0], x, low);
            sums[r][1] = (vf)_mm512_dpbf16_ps((__m512)sums[r][1], x, high);
        }
    })
}

#else

enum { BFLOAT16_ROW_STEP_BYTES = sizeof(float) };

// Rounds A as VDPBF16PS's operands are, but stores it as Float32.
static void pack_bfloat16_a(bool transposed, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                            void *panels) {
    float chunk[CHUNK * MR], *panel = panels;
    for (intptr_t row = 0; row < rows; row += height) {
        const float *from = a + row * (transposed ? 1 : lda);
        for (intptr_t p = 0; p < k; p += CHUNK) {
            intptr_t count = height * read_chunk(transposed, rows - row, k, p, 2, height, from, lda, chunk);
            VECTOR_LOOP(count, store(panel + i, lanes, (vf)(bfloat16_bits(load(chunk + i, lanes)) << 16)););
            panel += count;
        }
    }
}

// Adds one rank-1 update: a step of all rows times two vectors of B.
INLINE void add_step(const int height, const float *a, vf low, vf high, vf sums[][2]) {
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        vf x = splat(a[r]);
        sums[r][0] = x * low + sums[r][0];
        sums[r][1] = x * high + sums[r][1];
    }
}

INLINE void bfloat16_micro_kernel(const int height, const micro_tile *t, vf sums[][2]) {
    const float *a = t->a;
    const uint32_t *b = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    K_LOOP(height, t, t->k / 2, {
        const uint32_t *words = b + p * NR;
        vu low = load_words(words), high = load_words(words + LANES);
        add_step(height, a + (2 * p + 1) * height, (vf)(low & 0xffff0000), (vf)(high & 0xffff0000), sums);
        // Loaded again: 16 registers hold the sums and one step, not two.
        __asm__("" : "+r"(words));
        low = load_words(words), high = load_words(words + LANES);
        add_step(height, a + 2 * p * height, (vf)(low << 16), (vf)(high << 16), sums);
    })
}

#endif

DEFINE_MACRO_KERNEL(bfloat16_macro_kernel, bfloat16_micro_kernel, 0, BFLOAT16_ROW_STEP_BYTES)
