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

// The first or the last two elements of each four of a and b, in turn.
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

// x holds a step of four lines, the step four later, and so on.
INLINE void store_quads(intptr_t width, vf x, float *panel) {
    quad quads[LANES / 4];
    memcpy(quads, &x, sizeof(x));
    _Pragma("unroll") for (int q = 0; q < LANES / 4; q++) store_quad(panel + 4 * q * width, quads[q]);
}

// LANES steps of four lines.
INLINE void interleave_quads(intptr_t width, const float *x, intptr_t stride, float *panel) {
    vf a = load(x, LANES), b = load(x + stride, LANES), c = load(x + 2 * stride, LANES), d = load(x + 3 * stride, LANES);
    vf ac = FIRST_OF_FOUR(a, c), bd = FIRST_OF_FOUR(b, d);
    store_quads(width, FIRST_OF_FOUR(ac, bd), panel);
    store_quads(width, LAST_OF_FOUR(ac, bd), panel + width);
    ac = LAST_OF_FOUR(a, c);
    bd = LAST_OF_FOUR(b, d);
    store_quads(width, FIRST_OF_FOUR(ac, bd), panel + 2 * width);
    store_quads(width, LAST_OF_FOUR(ac, bd), panel + 3 * width);
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
    intptr_t line = 0;
    // Where steps are left at the end, some before them are taken again.
    for (; k >= LANES && line + 4 <= lines; line += 4) {
        for (intptr_t p = 0; p < k; p += LANES) {
            intptr_t step = ragkit_min(p, k - LANES);
            interleave_quads(width, x + line * stride + step, stride, panel + step * width + line);
        }
    }
    for (; k >= 4 && line + 2 <= lines; line += 2) {
        for (intptr_t p = 0; p < k; p += 4) {
            intptr_t step = ragkit_min(p, k - 4);
            interleave_pairs(width, x + line * stride + step, stride, panel + step * width + line);
        }
    }
    for (; line < lines; line++) {
        for (intptr_t p = 0; p < k; p++) panel[p * width + line] = x[line * stride + p];
    }
}

// `lines` is a constant where it matters: then a step is a few plain moves. Masked ones would cost more.
INLINE void copy_steps(const intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                       float *panel) {
    for (intptr_t p = 0; p < k; p++, x += stride, panel += width) {
        intptr_t line = 0;
        __builtin_prefetch(x + 16 * stride);  // too far apart for the processor to guess
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

// Zeros for the lines that a panel of `width` is short of.
INLINE void clear_lines(intptr_t lines, intptr_t words, intptr_t width, float *panel) {
    for (intptr_t word = 0; lines < width && word < words; word++) {
        for (intptr_t line = lines; line < width; line++) panel[word * width + line] = 0;
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
    clear_lines(lines, k, width, panel);
}

typedef void (*panel_function)(bool across, intptr_t lines, intptr_t k, intptr_t width, const float *x, intptr_t stride,
                               float *panel);

// All panels of a block, whose words hold `together` steps of a line. Columns are taken a few steps of every panel at a
// time: a step's elements lie together.
INLINE void all_panels(panel_function write, intptr_t together, bool across, intptr_t lines, intptr_t k, intptr_t width,
                       const float *x, intptr_t stride, float *panels) {
    intptr_t steps = across ? 8 : k, words = ragkit_pieces(k, together);
    for (intptr_t p = 0; p < k; p += steps) {
        const float *from = x + p * (across ? stride : 1);
        for (intptr_t line = 0; line < lines; line += width) {
            write(across, lines - line, ragkit_min(steps, k - p), width, from + line * (across ? 1 : stride), stride,
                  panels + line * words + p / together * width);
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
