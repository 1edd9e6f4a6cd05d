// Panels: the operands of a product rearranged so that a tile of the result reads both front to back.
//
// A panel holds `width` lines (rows of A or columns of B) of k steps each: for every step the lines' elements side by
// side. Lines beyond `lines` are zeros. In memory, lines are rows of the matrix (`across` false) or its columns.

// The size of a tile of the result.
enum {
    TILE_COLUMNS = 2 * LANES,
#if LANES == 16
    TILE_ROWS = 12,  // 24 of 32 registers
#else
    TILE_ROWS = 6,  // 12 of 16 registers
#endif
};

typedef quad quad_unaligned __attribute__((aligned(4), may_alias));

INLINE quad load_quad(const float *p) { return *(const quad_unaligned *)p; }
INLINE void store_quad(float *p, quad x) { *(quad_unaligned *)p = x; }

// Four steps of four lines.
INLINE void interleave_quads(intptr_t width, const float *x, intptr_t stride, float *panel) {
    quad a = load_quad(x), b = load_quad(x + stride), c = load_quad(x + 2 * stride), d = load_quad(x + 3 * stride);
    quad ac = __builtin_shufflevector(a, c, 0, 4, 1, 5), bd = __builtin_shufflevector(b, d, 0, 4, 1, 5);
    store_quad(panel, __builtin_shufflevector(ac, bd, 0, 4, 1, 5));
    store_quad(panel + width, __builtin_shufflevector(ac, bd, 2, 6, 3, 7));
    ac = __builtin_shufflevector(a, c, 2, 6, 3, 7);
    bd = __builtin_shufflevector(b, d, 2, 6, 3, 7);
    store_quad(panel + 2 * width, __builtin_shufflevector(ac, bd, 0, 4, 1, 5));
    store_quad(panel + 3 * width, __builtin_shufflevector(ac, bd, 2, 6, 3, 7));
}

// Four steps of two lines.
INLINE void interleave_pairs(intptr_t width, const float *x, intptr_t stride, float *panel) {
    quad a = load_quad(x), b = load_quad(x + stride);
    quad low = __builtin_shufflevector(a, b, 0, 4, 1, 5), high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    memcpy(panel, &low, 8);
    memcpy(panel + width, (const char *)&low + 8, 8);
    memcpy(panel + 2 * width, &high, 8);
    memcpy(panel + 3 * width, (const char *)&high + 8, 8);
}

INLINE void interleave_rows(intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                            float *panel) {
    intptr_t even = k / 4 * 4, line = 0;
    for (; line + 4 <= lines; line += 4) {
        for (intptr_t p = 0; p < even; p += 4) {
            interleave_quads(width, x + line * stride + p, stride, panel + p * width + line);
        }
    }
    for (; line + 2 <= lines; line += 2) {
        for (intptr_t p = 0; p < even; p += 4) {
            interleave_pairs(width, x + line * stride + p, stride, panel + p * width + line);
        }
    }
    for (; line < lines; line++) {
        for (intptr_t p = 0; p < even; p++) panel[p * width + line] = x[line * stride + p];
    }
    for (intptr_t p = even; p < k; p++) {
        for (line = 0; line < lines; line++) panel[p * width + line] = x[line * stride + p];
    }
}

// `lines` is a constant where it matters: then a step is a few plain moves. Masked ones would cost more.
INLINE void copy_steps(const intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *panel) {
    for (intptr_t p = 0; p < k; p++, x += stride, panel += width) {
        intptr_t line = 0;
        if (lines == TILE_COLUMNS) __builtin_prefetch(x + 16 * stride);  // too far apart for the processor to guess
        for (; line + LANES <= lines; line += LANES) store(panel + line, LANES, load(x + line, LANES));
        for (; line + 4 <= lines; line += 4) store_quad(panel + line, load_quad(x + line));
        for (; line + 2 <= lines; line += 2) memcpy(panel + line, x + line, 2 * sizeof(float));
        if (line < lines) panel[line] = x[line];
    }
}

INLINE void copy_columns(intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride, float *panel) {
    switch (lines) {
        case TILE_COLUMNS: copy_steps(TILE_COLUMNS, k, TILE_COLUMNS, x, stride, panel); break;
        case TILE_ROWS: copy_steps(TILE_ROWS, k, width, x, stride, panel); break;
        case TILE_ROWS - 1: copy_steps(TILE_ROWS - 1, k, width, x, stride, panel); break;
        default: copy_steps(lines, k, width, x, stride, panel);
    }
}

// Asks for k elements of each of `lines` rows: too short and too far apart for the processor to guess.
INLINE void fetch_rows(intptr_t lines, intptr_t k, const float *x, intptr_t stride) {
    for (intptr_t line = 0; line < lines; line++) {
        for (intptr_t p = 0; p < k; p += 16) __builtin_prefetch(x + line * stride + p);
    }
}

// One panel: the first of `lines`, at most `width`.
INLINE void float_panel(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                        float *panel) {
    if (across) {
        copy_columns(ragkit_min(lines, width), k, width, x, stride, panel);
    } else {
        fetch_rows(ragkit_min(lines - width, width), k, x + width * stride, stride);  // of the next panel
        interleave_rows(ragkit_min(lines, width), k, width, x, stride, panel);
    }
    for (intptr_t p = 0; lines < width && p < k; p++) {
        for (intptr_t line = lines; line < width; line++) panel[p * width + line] = 0;
    }
}

// All panels of a block. Columns are taken a few steps of every panel at a time: a step's elements lie together.
INLINE void float_panels(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                         float *panels) {
    intptr_t steps = across ? 8 : k;
    for (intptr_t p = 0; p < k; p += steps) {
        const float *from = x + p * (across ? stride : 1);
        for (intptr_t line = 0; line < lines; line += width) {
            float_panel(across, lines - line, ragkit_min(steps, k - p), width, from + line * (across ? 1 : stride),
                        stride, panels + line * k + p * width);
        }
    }
}

// MARK: Panels of other formats are made from a few steps of Float32 at a time

enum { CHUNK = 64 };

// Steps p ... of at most `width` lines, with zeros up to a multiple of `depth` steps. Returns how many steps there are.
INLINE intptr_t read_chunk(bool across, intptr_t lines, intptr_t k, intptr_t p, intptr_t depth, intptr_t width,
                           const float *x, intptr_t stride, float *chunk) {
    intptr_t steps = ragkit_min(CHUNK, k - p), made_up = ragkit_pieces(steps, depth) * depth;
    float_panel(across, lines, steps, width, x + p * (across ? stride : 1), stride, chunk);
    for (intptr_t i = steps * width; i < made_up * width; i++) chunk[i] = 0;
    return made_up;
}
