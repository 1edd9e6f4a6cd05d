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

static void sum_of_rows(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a,
                        intptr_t column_a, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    for (intptr_t r = 0; r < m; r++) {
        const float *weights = a + r * row_a;
        float *row = c + r * ldc;
        intptr_t j = 0;
        for (; j + 4 * LANES <= n; j += 4 * LANES) {
            vf acc[4] = {splat(0), splat(0), splat(0), splat(0)};
            for (intptr_t p = 0; p < k; p++) {
                float w = weights[p * column_a];
                const float *source = b + p * ldb + j;
                _Pragma("unroll") for (int q = 0; q < 4; q++) {
                    acc[q] = load(source + q * LANES, LANES) * w + acc[q];
                }
            }
            _Pragma("unroll") for (int q = 0; q < 4; q++) {
                float *place = row + j + q * LANES;
                vf value = acc[q] * alpha;
                if (beta != 0) value = value + load(place, LANES) * beta;
                store(place, LANES, value);
            }
        }
        for (; j < n; j += LANES) {
            intptr_t lanes = ragkit_min(LANES, n - j);
            vf acc = splat(0);
            for (intptr_t p = 0; p < k; p++) acc = load(b + p * ldb + j, lanes) * weights[p * column_a] + acc;
            vf value = acc * alpha;
            if (beta != 0) value = value + load(row + j, lanes) * beta;
            store(row + j, lanes, value);
        }
    }
}
