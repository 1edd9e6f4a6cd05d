// Small and skinny products, where packing the operands as a BLAS does costs more than the product.

// Dot products of four rows of A with N rows of B, optionally fetching the next N into the cache (A's rows vary fastest below: their sums are made together).
#define DOT_TILE(N)                                                                                        \
    INLINE void dot_tile_4x##N(intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,      \
                               intptr_t ldb, float beta, float *c, intptr_t ldc, bool fetch) {             \
        vf acc[N][4];                                                                                      \
        _Pragma("unroll") for (int j = 0; j < N; j++) {                                                    \
            _Pragma("unroll") for (int i = 0; i < 4; i++) acc[j][i] = splat(0);                            \
        }                                                                                                  \
        VECTOR_LOOP(k, {                                                                                   \
            if (fetch) {                                                                                   \
                _Pragma("unroll") for (int j = N; j < 2 * N; j++) __builtin_prefetch(b + j * ldb + i);     \
            }                                                                                              \
            vf rows[N];                                                                                    \
            _Pragma("unroll") for (int j = 0; j < N; j++) rows[j] = load(b + j * ldb + i, lanes);          \
            _Pragma("unroll") for (int r = 0; r < 4; r++) {                                                \
                vf x = load(a + r * lda + i, lanes);                                                       \
                _Pragma("unroll") for (int j = 0; j < N; j++) acc[j][r] = x * rows[j] + acc[j][r];         \
            }                                                                                              \
        });                                                                                                \
        _Pragma("unroll") for (int j = 0; j < N; j++) {                                                    \
            quad sums = sum_lanes_of_four(acc[j][0], acc[j][1], acc[j][2], acc[j][3]) * alpha;             \
            _Pragma("unroll") for (int i = 0; i < 4; i++) {                                                \
                float *place = c + i * ldc + j;                                                            \
                *place = beta == 0 ? sums[i] : sums[i] + beta * *place;                                    \
            }                                                                                              \
        }                                                                                                  \
    }

DOT_TILE(1)
DOT_TILE(3)

// One row of A with four rows of B.
INLINE void dot_tile_1x4(intptr_t k, float alpha, const float *a, const float *b, intptr_t ldb, float beta, float *c) {
    vf acc[4] = {splat(0), splat(0), splat(0), splat(0)};
    VECTOR_LOOP(k, {
        vf x = load(a + i, lanes);
        _Pragma("unroll") for (int j = 0; j < 4; j++) acc[j] = load(b + j * ldb + i, lanes) * x + acc[j];
    });
    quad sums = sum_lanes_of_four(acc[0], acc[1], acc[2], acc[3]) * alpha;
    _Pragma("unroll") for (int j = 0; j < 4; j++) c[j] = beta == 0 ? sums[j] : sums[j] + beta * c[j];
}

INLINE void dot_tile_1x1(intptr_t k, float alpha, const float *a, const float *b, float beta, float *c) {
    vf acc = splat(0);
    VECTOR_LOOP(k, acc = load(a + i, lanes) * load(b + i, lanes) + acc;);
    float value = alpha * sum_lanes(acc);
    *c = beta == 0 ? value : value + beta * *c;
}

// All of A against rows of B in order, over columns that fit in the first cache.
INLINE void dot_panel(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                      intptr_t ldb, float beta, float *c, intptr_t ldc) {
    intptr_t quads = m / 4 * 4, j = 0;
    for (; quads > 0 && j + 3 <= n; j += 3) {
        dot_tile_4x3(k, alpha, a, lda, b + j * ldb, ldb, beta, c + j, ldc, true);
        for (intptr_t i = 4; i < quads; i += 4) {
            dot_tile_4x3(k, alpha, a + i * lda, lda, b + j * ldb, ldb, beta, c + i * ldc + j, ldc, false);
        }
    }
    for (; quads > 0 && j < n; j++) {
        for (intptr_t i = 0; i < quads; i += 4) {
            dot_tile_4x1(k, alpha, a + i * lda, lda, b + j * ldb, ldb, beta, c + i * ldc + j, ldc, false);
        }
    }
    for (intptr_t i = quads; i < m; i++) {
        for (j = 0; j + 4 <= n; j += 4) dot_tile_1x4(k, alpha, a + i * lda, b + j * ldb, ldb, beta, c + i * ldc + j);
        for (; j < n; j++) dot_tile_1x1(k, alpha, a + i * lda, b + j * ldb, beta, c + i * ldc + j);
    }
}

static void dot_rows(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                     intptr_t ldb, float beta, float *c, intptr_t ldc) {
    // A's columns and a few rows of B in 24 KB; rows of B in the second cache while their columns are gone through.
    enum { FIRST_CACHE = 6144, ROWS = 48 };
    intptr_t columns = ragkit_max(128, FIRST_CACHE / (m + 3) / 64 * 64);
    if (k <= columns + columns / 4) columns = k;
    for (intptr_t j = 0; j < n; j += ROWS) {
        for (intptr_t p = 0; p < k; p += columns) {
            dot_panel(m, ragkit_min(ROWS, n - j), ragkit_min(columns, k - p), alpha, a + p, lda, b + j * ldb + p, ldb,
                      p == 0 ? beta : 1, c + j, ldc);
        }
    }
}

// A few rows of C, `vectors` vectors wide, the last of `lanes`: each row of B is read once.
INLINE void sum_tile(const int rows, const int vectors, intptr_t lanes, intptr_t k, float alpha, const float *a, intptr_t row_a,
                     intptr_t column_a, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    vf sums[4][4];
    _Pragma("unroll") for (int r = 0; r < rows; r++) {
        _Pragma("unroll") for (int q = 0; q < vectors; q++) sums[r][q] = splat(0);
    }
    for (intptr_t p = 0; p < k; p++, a += column_a, b += ldb) {
        vf x[4];
        _Pragma("unroll") for (int q = 0; q < vectors; q++) x[q] = load(b + q * LANES, q + 1 < vectors ? LANES : lanes);
        _Pragma("unroll") for (int r = 0; r < rows; r++) {
            vf weight = splat(a[r * row_a]);
            _Pragma("unroll") for (int q = 0; q < vectors; q++) sums[r][q] = x[q] * weight + sums[r][q];
        }
    }
    _Pragma("unroll") for (int r = 0; r < rows; r++) {
        _Pragma("unroll") for (int q = 0; q < vectors; q++) {
            const intptr_t count = q + 1 < vectors ? LANES : lanes;
            float *place = c + r * ldc + q * LANES;
            vf value = sums[r][q] * alpha;
            if (beta != 0) value = value + load(place, count) * beta;
            store(place, count, value);
        }
    }
}

INLINE void sum_tiles(const int rows, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a, intptr_t column_a,
                      const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    const int vectors = LANES == 16 || rows <= 2 ? 4 : 2;  // as the registers allow
    intptr_t j = 0;
    for (; j + vectors * LANES <= n; j += vectors * LANES) {
        sum_tile(rows, vectors, LANES, k, alpha, a, row_a, column_a, b + j, ldb, beta, c + j, ldc);
    }
    for (; j < n; j += LANES) {
        sum_tile(rows, 1, ragkit_min(LANES, n - j), k, alpha, a, row_a, column_a, b + j, ldb, beta, c + j, ldc);
    }
}

static void sum_of_rows(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a, intptr_t column_a,
                        const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    for (; m >= 4; m -= 4, a += 4 * row_a, c += 4 * ldc) {
        sum_tiles(4, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc);
    }
    switch (m) {
        case 3: sum_tiles(3, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        case 2: sum_tiles(2, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        case 1: sum_tiles(1, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        default: break;
    }
}
