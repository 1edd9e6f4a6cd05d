// Tiles: a few rows times two vectors of the result, summed in registers over one block of k.
//
// Every element of the result is one chain of multiply-adds in the order of k, whatever tile it falls in: results depend
// neither on how a product is split over threads nor on the number of its rows.

// One row of a tile into C, as far as there are columns; `bias` is nullable.
INLINE void store_row(intptr_t columns, const vf *sums, float alpha, float beta, const float *bias, float *c) {
    _Pragma("unroll") for (int q = 0; q < 2; q++) {
        intptr_t lanes = ragkit_min(LANES, columns - q * LANES);
        if (lanes <= 0) return;
        vf value = sums[q] * alpha;
        if (beta != 0) value = load(c + q * LANES, lanes) * beta + value;
        if (bias) value = value + load(bias + q * LANES, lanes);
        store(c + q * LANES, lanes, value);
    }
}

INLINE void store_tile(const int height, intptr_t rows, intptr_t columns, const vf sums[][2], float alpha, float beta,
                       const float *bias, float *c, intptr_t ldc) {
    if (rows >= height && columns >= TILE_COLUMNS) {
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            store_row(TILE_COLUMNS, sums[r], alpha, beta, bias, c + r * ldc);
        }
    } else {
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            if (r < rows) store_row(columns, sums[r], alpha, beta, bias, c + r * ldc);
        }
    }
}

// What lies behind a panel, mostly the next one, is fetched while the tiles pass over it, so that memory and arithmetic run
// at the same time. Each of a few tiles asks for a part of its share in every round; each of many for the whole at once,
// since loads are what a round can spare least.
typedef struct {
    const char *first;
    intptr_t bytes;  // that the rounds are to ask for
} ahead;

enum { FEW_TILES = 8, CACHE_LINE = 64, ROUND_BYTES = 4 * TILE_COLUMNS };

INLINE void fetch(const char *first, intptr_t bytes) {
    for (intptr_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(first + i, 0, 2);
}

INLINE ahead share_of_next(const void *panel, intptr_t panel_bytes, intptr_t tile, intptr_t tiles) {
    // a single tile runs at the memory's speed: a short way ahead is right for it
    if (tiles == 1) return (ahead){(const char *)panel + ragkit_min(1024, panel_bytes), panel_bytes};
    ahead share = {(const char *)panel + panel_bytes + panel_bytes / tiles * tile, panel_bytes / tiles};
    if (tiles > FEW_TILES) {
        fetch(share.first, share.bytes);
        share.bytes = 0;
    }
    return share;
}

// Runs the statements for p = 0 ..< rounds, each of which reads ROUND_BYTES of the panel of B.
#define TILE_LOOP(rounds, ...)                                                                   \
    if (ahead.bytes == 0) {                                                                      \
        ALIGNED for (intptr_t p = 0; p < (rounds); p++) { __VA_ARGS__ }                          \
    } else {                                                                                     \
        const char *next = ahead.first;                                                          \
        const intptr_t step = ahead.bytes / (rounds);                                            \
        ALIGNED for (intptr_t p = 0; p < (rounds); p++, next += step) {                          \
            fetch(next, ROUND_BYTES);                                                            \
            __VA_ARGS__                                                                          \
        }                                                                                        \
    }

// C's lines come from afar: they are asked for before the sums, to be there after them.
INLINE void fetch_tile(const int height, intptr_t rows, float *c, intptr_t ldc) {
    _Pragma("unroll") for (int r = 0; r < height; r++) {
        __builtin_prefetch(c + ragkit_min(r, rows - 1) * ldc, 1);
        if (LANES == 16) __builtin_prefetch(c + ragkit_min(r, rows - 1) * ldc + LANES, 1);
    }
}

// The sums of one tile over k steps from a panel of A and one of B.
typedef void (*tile_function)(const int height, intptr_t k, const void *a, const void *b, ahead ahead, vf sums[][2]);

// All tiles of one block: a panel of B stays in cache while A's panels, `a_stride` bytes apart, pass.
INLINE void multiply_block(tile_function tile, const int height, intptr_t rows, intptr_t columns, intptr_t k,
                           const void *a, intptr_t a_stride, const void *b, intptr_t b_stride, float alpha, float beta,
                           const float *bias, float *c, intptr_t ldc) {
    intptr_t tiles = ragkit_pieces(rows, height);
    for (intptr_t j = 0; j < columns; j += TILE_COLUMNS) {
        const char *panel = (const char *)b + j / TILE_COLUMNS * b_stride;
        for (intptr_t t = 0; t < tiles; t++) {
            intptr_t i = t * height;
            vf sums[TILE_ROWS][2];
            fetch_tile(height, rows - i, c + i * ldc + j, ldc);
            tile(height, k, (const char *)a + t * a_stride, panel, share_of_next(panel, b_stride, t, tiles), sums);
            store_tile(height, rows - i, columns - j, sums, alpha, beta, bias ? bias + j : NULL, c + i * ldc + j, ldc);
        }
    }
}

#if LANES == 16
#define EACH_HEIGHT(CASE) \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define EACH_HEIGHT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

// Defines `name`, a ragkit_format's `multiply`, from a tile function; a row of A takes row_head + k * row_step bytes of a
// panel.
#define MULTIPLY(name, tile, row_head, row_step)                                                                 \
    static void name(intptr_t height, intptr_t rows, intptr_t columns, intptr_t k, const void *a, const void *b, \
                     intptr_t b_stride, float alpha, float beta, const float *bias, float *c, intptr_t ldc) {    \
        const tile_function sum = tile;                                                                          \
        intptr_t a_stride = height * ((intptr_t)(row_head) + k * (intptr_t)(row_step));                          \
        switch (height) { EACH_HEIGHT(TILES_OF_HEIGHT) }                                                         \
    }
#define TILES_OF_HEIGHT(H) \
    case H: multiply_block(sum, H, rows, columns, k, a, a_stride, b, b_stride, alpha, beta, bias, c, ldc); break;

#if LANES > 4  // the portable level leaves Float32 to the BLAS
INLINE void float_tile(const int height, intptr_t k, const void *a, const void *b, ahead ahead, vf sums[][2]) {
    const float *rows = a, *panel = b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    TILE_LOOP(k, {
        vf low = load(panel + p * TILE_COLUMNS, LANES), high = load(panel + p * TILE_COLUMNS + LANES, LANES);
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            vf x = splat(rows[p * height + r]);
            sums[r][0] = x * low + sums[r][0];
            sums[r][1] = x * high + sums[r][1];
        }
    })
}

MULTIPLY(multiply_float, float_tile, 0, sizeof(float))
#endif
