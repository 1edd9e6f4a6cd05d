// Products of few rows (GEMV and slightly more) and small products, which read A and B where they lie: packing them
// would cost more than the product. Two forms, as BLIS has for GEMV: fused dot products of rows (dotxf) and fused sums
// of scaled rows (axpyf).

// The dot form's kernel: dot products of four rows of A with N rows of B. With `prefetch` the next N rows of B are
// prefetched. The four sums that one row of B gives are reduced together.
#define DOT_KERNEL(N)                                                                                        \
    INLINE void dot_kernel_4x##N(intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,      \
                               intptr_t ldb, float beta, float *c, intptr_t ldc, bool prefetch) {             \
        vf acc[N][4];                                                                                      \
        _Pragma("unroll") for (int j = 0; j < N; j++) {                                                    \
            _Pragma("unroll") for (int i = 0; i < 4; i++) acc[j][i] = splat(0);                            \
        }                                                                                                  \
        VECTOR_LOOP(k, {                                                                                   \
            if (prefetch) {                                                                                   \
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

DOT_KERNEL(1)
DOT_KERNEL(3)

// One row of A with four rows of B.
INLINE void dot_kernel_1x4(intptr_t k, float alpha, const float *a, const float *b, intptr_t ldb, float beta, float *c) {
    vf acc[4] = {splat(0), splat(0), splat(0), splat(0)};
    VECTOR_LOOP(k, {
        vf x = load(a + i, lanes);
        _Pragma("unroll") for (int j = 0; j < 4; j++) acc[j] = load(b + j * ldb + i, lanes) * x + acc[j];
    });
    quad sums = sum_lanes_of_four(acc[0], acc[1], acc[2], acc[3]) * alpha;
    _Pragma("unroll") for (int j = 0; j < 4; j++) c[j] = beta == 0 ? sums[j] : sums[j] + beta * c[j];
}

INLINE void dot_kernel_1x1(intptr_t k, float alpha, const float *a, const float *b, float beta, float *c) {
    vf acc = splat(0);
    VECTOR_LOOP(k, acc = load(a + i, lanes) * load(b + i, lanes) + acc;);
    float value = alpha * sum_lanes(acc);
    *c = beta == 0 ? value : value + beta * *c;
}

// All rows of A with all rows of B given, over a block of k that keeps A's part in the first cache.
INLINE void dot_block(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                      intptr_t ldb, float beta, float *c, intptr_t ldc) {
    intptr_t quads = m / 4 * 4, j = 0;
    for (; quads > 0 && j + 3 <= n; j += 3) {
        dot_kernel_4x3(k, alpha, a, lda, b + j * ldb, ldb, beta, c + j, ldc, true);
        for (intptr_t i = 4; i < quads; i += 4) {
            dot_kernel_4x3(k, alpha, a + i * lda, lda, b + j * ldb, ldb, beta, c + i * ldc + j, ldc, false);
        }
    }
    for (; quads > 0 && j < n; j++) {
        for (intptr_t i = 0; i < quads; i += 4) {
            dot_kernel_4x1(k, alpha, a + i * lda, lda, b + j * ldb, ldb, beta, c + i * ldc + j, ldc, false);
        }
    }
    for (intptr_t i = quads; i < m; i++) {
        for (j = 0; j + 4 <= n; j += 4) dot_kernel_1x4(k, alpha, a + i * lda, b + j * ldb, ldb, beta, c + i * ldc + j);
        for (; j < n; j++) dot_kernel_1x1(k, alpha, a + i * lda, b + j * ldb, beta, c + i * ldc + j);
    }
}

static void gemv_dot(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                     intptr_t ldb, float beta, float *c, intptr_t ldc) {
    // A block of k of A and of three rows of B fills 24 KB of the first cache (6144 floats); ROWS rows of B stay in the
    // second cache while all their blocks of k are read.
    enum { FIRST_CACHE = 6144, ROWS = 48 };
    intptr_t kc = ragkit_max(128, FIRST_CACHE / (m + 3) / 64 * 64);
    if (k <= kc + kc / 4) kc = k;
    for (intptr_t j = 0; j < n; j += ROWS) {
        for (intptr_t p = 0; p < k; p += kc) {
            dot_block(m, ragkit_min(ROWS, n - j), ragkit_min(kc, k - p), alpha, a + p, lda, b + j * ldb + p, ldb,
                      p == 0 ? beta : 1, c + j, ldc);
        }
    }
}

// The axpy form's kernel: `rows` rows of C, `vectors` vectors wide, the last of `lanes` elements. Each row of B is read once.
INLINE void axpy_kernel(const int rows, const int vectors, intptr_t lanes, intptr_t k, float alpha, const float *a, intptr_t row_a,
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

INLINE void axpy_rows(const int rows, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a, intptr_t column_a,
                      const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    const int vectors = LANES == 16 || rows <= 2 ? 4 : 2;  // what the registers hold
    intptr_t j = 0;
    for (; j + vectors * LANES <= n; j += vectors * LANES) {
        axpy_kernel(rows, vectors, LANES, k, alpha, a, row_a, column_a, b + j, ldb, beta, c + j, ldc);
    }
    for (; j < n; j += LANES) {
        axpy_kernel(rows, 1, ragkit_min(LANES, n - j), k, alpha, a, row_a, column_a, b + j, ldb, beta, c + j, ldc);
    }
}

static void gemv_axpy(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a, intptr_t column_a,
                        const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    for (; m >= 4; m -= 4, a += 4 * row_a, c += 4 * ldc) {
        axpy_rows(4, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc);
    }
    switch (m) {
        case 3: axpy_rows(3, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        case 2: axpy_rows(2, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        case 1: axpy_rows(1, n, k, alpha, a, row_a, column_a, b, ldb, beta, c, ldc); break;
        default: break;
    }
}
