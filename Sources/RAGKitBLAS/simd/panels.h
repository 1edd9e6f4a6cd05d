// Packing of A and B into panels, which the micro-kernel reads front to back.
//
// A panel holds `panel_dim` vectors: MR rows of A or NR columns of B. For every step of k their elements lie side by
// side: [k, panel_dim]. Where only dim < panel_dim vectors exist, the rest is zeros. In memory the vectors are rows of
// a matrix (`transposed` false) or its columns (`transposed` true), and `ld` is the distance between the matrix's rows.

// The micro-tile: MR rows of A times NR columns of B.
enum {
    NR = 2 * LANES,
#if LANES == 16
    MR = 12,  // 24 of 32 registers
#else
    MR = 6,  // 12 of 16 registers
#endif
};

typedef quad quad_unaligned __attribute__((aligned(4), may_alias));

INLINE quad load_quad(const float *p) { return *(const quad_unaligned *)p; }
INLINE void store_quad(float *p, quad x) { *(quad_unaligned *)p = x; }

// Interleaves the first or the last two elements of each group of four of a and b.
#if LANES == 16
#define FIRST_OF_FOUR(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define LAST_OF_FOUR(a, b) \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#elif LANES == 8
#define FIRST_OF_FOUR(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define LAST_OF_FOUR(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#else
#define FIRST_OF_FOUR(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define LAST_OF_FOUR(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

// Stores x, which holds four vectors' elements of steps 0, 4, 8, ...
INLINE void store_quads(intptr_t panel_dim, vf x, float *panel) {
    quad quads[LANES / 4];
    memcpy(quads, &x, sizeof(x));
    _Pragma("unroll") for (int q = 0; q < LANES / 4; q++) store_quad(panel + 4 * q * panel_dim, quads[q]);
}

// Packs LANES steps of four rows.
INLINE void interleave_quads(intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    vf a = load(x, LANES), b = load(x + ld, LANES), c = load(x + 2 * ld, LANES), d = load(x + 3 * ld, LANES);
    vf ac = FIRST_OF_FOUR(a, c), bd = FIRST_OF_FOUR(b, d);
    store_quads(panel_dim, FIRST_OF_FOUR(ac, bd), panel);
    store_quads(panel_dim, LAST_OF_FOUR(ac, bd), panel + panel_dim);
    ac = LAST_OF_FOUR(a, c);
    bd = LAST_OF_FOUR(b, d);
    store_quads(panel_dim, FIRST_OF_FOUR(ac, bd), panel + 2 * panel_dim);
    store_quads(panel_dim, LAST_OF_FOUR(ac, bd), panel + 3 * panel_dim);
}

// Packs four steps of two rows.
INLINE void interleave_pairs(intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    quad a = load_quad(x), b = load_quad(x + ld);
    quad low = __builtin_shufflevector(a, b, 0, 4, 1, 5), high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    memcpy(panel, &low, 8);
    memcpy(panel + panel_dim, (const char *)&low + 8, 8);
    memcpy(panel + 2 * panel_dim, &high, 8);
    memcpy(panel + 3 * panel_dim, (const char *)&high + 8, 8);
}

INLINE void interleave_rows(intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    intptr_t row = 0;
    // The last vector of a row may overlap the one before it; the overlap is written twice.
    for (; k >= LANES && row + 4 <= dim; row += 4) {
        for (intptr_t p = 0; p < k; p += LANES) {
            intptr_t step = ragkit_min(p, k - LANES);
            interleave_quads(panel_dim, x + row * ld + step, ld, panel + step * panel_dim + row);
        }
    }
    for (; k >= 4 && row + 2 <= dim; row += 2) {
        for (intptr_t p = 0; p < k; p += 4) {
            intptr_t step = ragkit_min(p, k - 4);
            interleave_pairs(panel_dim, x + row * ld + step, ld, panel + step * panel_dim + row);
        }
    }
    for (; row < dim; row++) {
        for (intptr_t p = 0; p < k; p++) panel[p * panel_dim + row] = x[row * ld + p];
    }
}

// `dim` is a compile-time constant in the common cases: a step is then a few plain moves, cheaper than masked ones.
INLINE void copy_steps(const intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    for (intptr_t p = 0; p < k; p++, x += ld, panel += panel_dim) {
        intptr_t column = 0;
        __builtin_prefetch(x + 16 * ld);  // the stride is too large for the hardware prefetcher
        for (; column + LANES <= dim; column += LANES) store(panel + column, LANES, load(x + column, LANES));
        for (; column + 4 <= dim; column += 4) store_quad(panel + column, load_quad(x + column));
        for (; column + 2 <= dim; column += 2) memcpy(panel + column, x + column, 2 * sizeof(float));
        if (column < dim) panel[column] = x[column];
    }
}

INLINE void copy_columns(intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x, intptr_t ld, float *panel) {
    switch (dim) {
        case NR: copy_steps(NR, k, NR, x, ld, panel); break;
        case MR: copy_steps(MR, k, panel_dim, x, ld, panel); break;
        case MR - 1: copy_steps(MR - 1, k, panel_dim, x, ld, panel); break;
        default: copy_steps(dim, k, panel_dim, x, ld, panel);
    }
}

// Prefetches k elements of each of `rows` rows, which are too short and too far apart for the hardware prefetcher.
INLINE void prefetch_rows(intptr_t rows, intptr_t k, const float *x, intptr_t ld) {
    for (intptr_t row = 0; row < rows; row++) {
        for (intptr_t p = 0; p < k; p += 16) __builtin_prefetch(x + row * ld + p);
    }
}

// Writes zeros for vectors dim ..< panel_dim of a panel of `words` words each.
INLINE void zero_padding(intptr_t dim, intptr_t words, intptr_t panel_dim, float *panel) {
    for (intptr_t word = 0; dim < panel_dim && word < words; word++) {
        for (intptr_t i = dim; i < panel_dim; i++) panel[word * panel_dim + i] = 0;
    }
}

// Packs one panel: the first panel_dim of `dim` vectors.
INLINE void pack_float_panel(bool transposed, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x,
                             intptr_t ld, float *panel) {
    if (transposed) {
        copy_columns(ragkit_min(dim, panel_dim), k, panel_dim, x, ld, panel);
    } else {
        prefetch_rows(ragkit_min(dim - panel_dim, panel_dim), k, x + panel_dim * ld, ld);  // of the next panel
        interleave_rows(ragkit_min(dim, panel_dim), k, panel_dim, x, ld, panel);
    }
    zero_padding(dim, k, panel_dim, panel);
}

typedef void (*pack_panel_function)(bool transposed, intptr_t dim, intptr_t k, intptr_t panel_dim, const float *x,
                                    intptr_t ld, float *panel);

// Packs all panels of a block. A word of a panel holds k_unroll steps of a vector. Columns are packed a few steps of
// every panel at a time, since a step's elements are contiguous in memory.
INLINE void pack_panels(pack_panel_function pack_panel, intptr_t k_unroll, bool transposed, intptr_t dim, intptr_t k,
                        intptr_t panel_dim, const float *x, intptr_t ld, float *panels) {
    intptr_t steps = transposed ? 8 : k, words = ragkit_ceil_div(k, k_unroll);
    for (intptr_t p = 0; p < k; p += steps) {
        const float *from = x + p * (transposed ? ld : 1);
        for (intptr_t i = 0; i < dim; i += panel_dim) {
            pack_panel(transposed, dim - i, ragkit_min(steps, k - p), panel_dim, from + i * (transposed ? 1 : ld), ld,
                       panels + i * words + p / k_unroll * panel_dim);
        }
    }
}

// MARK: Panels of other formats are converted from short Float32 panels

enum { CHUNK = 64 };

// Packs up to CHUNK steps from step p of at most panel_dim vectors as Float32, with zeros up to a multiple of k_unroll
// steps. Returns the number of steps including the padding.
INLINE intptr_t read_chunk(bool transposed, intptr_t dim, intptr_t k, intptr_t p, intptr_t k_unroll, intptr_t panel_dim,
                           const float *x, intptr_t ld, float *chunk) {
    intptr_t steps = ragkit_min(CHUNK, k - p), padded = ragkit_ceil_div(steps, k_unroll) * k_unroll;
    pack_float_panel(transposed, dim, steps, panel_dim, x + p * (transposed ? ld : 1), ld, chunk);
    for (intptr_t i = steps * panel_dim; i < padded * panel_dim; i++) chunk[i] = 0;
    return padded;
}
