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

INLINE void store_tile(const int height, intptr_t columns, const vf sums[][2], float alpha, float beta,
                       const float *bias, float *c, intptr_t ldc) {
    if (columns >= TILE_COLUMNS) {
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            store_row(TILE_COLUMNS, sums[r], alpha, beta, bias, c + r * ldc);
        }
    } else {
        _Pragma("unroll") for (int r = 0; r < height; r++) store_row(columns, sums[r], alpha, beta, bias, c + r * ldc);
    }
}

// What is fetched while a tile is summed, so that memory and arithmetic run at the same time, besides the tile's place in C:
// rows of A that are packed next, or if there are none a part of B's panels: what lies behind a panel is mostly the next one.
typedef struct {
    const char *first;
    intptr_t bytes, rows, stride;  // `bytes` of each row
} ahead;

// One tile: k steps of a panel of A and one of B, and where the result goes.
typedef struct {
    intptr_t k;
    const void *a, *b;
    float alpha, beta;
    const float *bias;
    float *c;
    intptr_t columns, ldc;
    ahead ahead;
} tile;

enum { CACHE_LINE = 64, ROUND_BYTES = 4 * TILE_COLUMNS };

INLINE void fetch(const char *first, intptr_t bytes) {
    for (intptr_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(first + i, 0, 2);
}

INLINE void fetch_row_of_c(const tile *t, intptr_t row) {
    _Pragma("unroll") for (intptr_t i = 0; i < TILE_COLUMNS; i += CACHE_LINE / (intptr_t)sizeof(float)) {
        __builtin_prefetch(t->c + row * t->ldc + i, 1);
    }
}

// Of rows a line each in turn, `each` in a round: few enough that none has to wait for those before.
typedef struct {
    const char *next;
    intptr_t row, left, each;
} line_cursor;

INLINE line_cursor lines_of(const ahead *ahead, intptr_t rounds) {
    intptr_t lines = ahead->rows * ragkit_pieces(ahead->bytes, CACHE_LINE);
    return (line_cursor){ahead->first, 0, lines, rounds > 0 ? ragkit_pieces(lines, rounds) : 0};
}

INLINE void fetch_lines(const ahead *ahead, line_cursor *lines) {
    for (intptr_t i = 0; i < lines->each && lines->left > 0; i++, lines->left--) {
        __builtin_prefetch(lines->next, 0, 2);
        lines->next += ahead->stride;
        if (++lines->row == ahead->rows) {
            lines->next += CACHE_LINE - ahead->rows * ahead->stride;
            lines->row = 0;
        }
    }
}

// With 16 registers a load is what a round can spare least: there, C is asked for at once, and B, too, by each of many tiles.
enum { FEW_TILES = 8, SPREADS = LANES == 16 };

// What the tile of a panel of B is to fetch of it and the next.
INLINE void fetch_panels(const char *panel, intptr_t panel_bytes, intptr_t tile, intptr_t tiles, ahead *ahead) {
    if (tiles == 1) {  // it runs at the memory's speed: a short way ahead is right for it
        ahead->first = panel + ragkit_min(1024, panel_bytes);
        ahead->bytes = panel_bytes;
        return;
    }
    ahead->first = panel + panel_bytes + panel_bytes / tiles * tile;
    ahead->bytes = panel_bytes / tiles;
    if (!SPREADS && tiles > FEW_TILES) {
        fetch(ahead->first, ahead->bytes);
        ahead->bytes = 0;
    }
}

INLINE void fetch_next_rows(const ragkit_next_rows *next, ahead *ahead) {
    ahead->first = (const char *)next->first;
    ahead->rows = next->rows;
    ahead->bytes = next->k * (intptr_t)sizeof(float);
    ahead->stride = next->stride * (intptr_t)sizeof(float);
}

// Runs the statements for p = 0 ..< rounds, each of which reads ROUND_BYTES of the panel of B.
#define TILE_LOOP(height, t, rounds, ...)                                                   \
    {                                                                                       \
        const ahead coming = (t)->ahead;                                                    \
        intptr_t p = 0;                                                                     \
        if (SPREADS) {                                                                      \
            for (; p < ragkit_min(rounds, height); p++) {                                   \
                fetch_row_of_c(t, p);                                                       \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else {                                                                            \
            for (intptr_t row = 0; row < (height); row++) fetch_row_of_c(t, row);           \
        }                                                                                   \
        if (coming.rows > 0) {                                                              \
            line_cursor lines = lines_of(&coming, (rounds) - p);                            \
            ALIGNED for (; p < (rounds); p++) {                                             \
                fetch_lines(&coming, &lines);                                               \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else if (SPREADS || coming.bytes > 0) {                                           \
            const char *next = coming.first;                                                \
            const intptr_t step = coming.bytes / ragkit_max((rounds) - p, 1);               \
            ALIGNED for (; p < (rounds); p++, next += step) {                               \
                fetch(next, ROUND_BYTES);                                                   \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else {                                                                            \
            ALIGNED for (; p < (rounds); p++) { __VA_ARGS__ }                               \
        }                                                                                   \
    }

// All tiles of one block, by functions for each height: a panel of B stays in cache while A's panels pass, in which a row takes
// `row_bytes`. `next` comes in while there is but one panel of A.
static void multiply_block(void (*const tiles[])(const tile *), intptr_t row_bytes, intptr_t rows, intptr_t columns,
                           intptr_t b_stride, const ragkit_next_rows *next, tile t) {
    const ragkit_row_panels panels = ragkit_cut_rows(rows, TILE_ROWS);
    const tile first = t;
    for (intptr_t j = 0; j < columns; j += TILE_COLUMNS) {
        t.b = (const char *)first.b + j / TILE_COLUMNS * b_stride;
        t.bias = first.bias ? first.bias + j : NULL;
        t.columns = columns - j;
        for (intptr_t i = 0, panel = 0; panel < panels.count; panel++) {
            intptr_t height = ragkit_panel_height(&panels, panel);
            t.a = (const char *)first.a + i * row_bytes;
            t.c = first.c + i * t.ldc + j;
            t.ahead = (ahead){0};
            if (next) {
                fetch_next_rows(next, &t.ahead);
            } else {
                fetch_panels(t.b, b_stride, panel, panels.count, &t.ahead);
            }
            tiles[height](&t);
            i += height;
        }
    }
}

#if LANES == 16
#define EACH_HEIGHT(CASE, name, sum)                                                                           \
    CASE(1, name, sum) CASE(2, name, sum) CASE(3, name, sum) CASE(4, name, sum) CASE(5, name, sum)             \
    CASE(6, name, sum) CASE(7, name, sum) CASE(8, name, sum) CASE(9, name, sum) CASE(10, name, sum)            \
    CASE(11, name, sum) CASE(12, name, sum)
#else
#define EACH_HEIGHT(CASE, name, sum)                                                                           \
    CASE(1, name, sum) CASE(2, name, sum) CASE(3, name, sum) CASE(4, name, sum) CASE(5, name, sum)             \
    CASE(6, name, sum)
#endif

// Defines `name`, a ragkit_format's `multiply`, from the function `sum` that gives a tile's sums.
#define MULTIPLY(name, sum, row_head, row_step)                                                                \
    EACH_HEIGHT(TILE_OF_HEIGHT, name, sum)                                                                     \
    static void name(intptr_t rows, intptr_t columns, intptr_t k, const void *a, const void *b,                \
                     intptr_t b_stride, float alpha, float beta, const float *bias, float *c, intptr_t ldc,    \
                     const ragkit_next_rows *next) {                                                           \
        static void (*const tiles[])(const tile *) = {NULL, EACH_HEIGHT(NAME_OF_TILE, name, sum)};             \
        const intptr_t row_bytes = (intptr_t)(row_head) + k * (intptr_t)(row_step);                            \
        multiply_block(tiles, row_bytes, rows, columns, b_stride, next,                                        \
                       (tile){.k = k, .a = a, .b = b, .alpha = alpha, .beta = beta, .bias = bias, .c = c, .ldc = ldc}); \
    }
#define TILE_OF_HEIGHT(H, name, sum)                                                                           \
    static void name##_##H(const tile *t) {                                                                    \
        vf sums[H][2];                                                                                         \
        sum(H, t, sums);                                                                                       \
        store_tile(H, t->columns, sums, t->alpha, t->beta, t->bias, t->c, t->ldc);                             \
    }
#define NAME_OF_TILE(H, name, sum) name##_##H,

#if LANES > 4  // the portable level leaves Float32 to the BLAS
INLINE void float_tile(const int height, const tile *t, vf sums[][2]) {
    const float *rows = t->a, *panel = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    TILE_LOOP(height, t, t->k, {
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
