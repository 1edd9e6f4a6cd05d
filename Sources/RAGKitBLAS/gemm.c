// Matrix products. On Linux OpenBLAS computes pieces on one thread each, because its own threads cannot share our pool;
// on Apple platforms a product is one Accelerate call. Small and skinny products have kernels of their own.

#include "internal.h"

#include <pthread.h>
#include <stdio.h>

#if defined(__APPLE__)
#define ACCELERATE_NEW_LAPACK 1
#include <Accelerate/Accelerate.h>
static void prepare_blas(void) {}
#else
// Declared here because distributions put cblas.h in different places.
enum { CblasRowMajor = 101, CblasNoTrans = 111, CblasTrans = 112 };
extern void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                        int lda, const float *b, int ldb, float beta, float *c, int ldc);
extern void openblas_set_num_threads(int count);
extern char *openblas_get_corename(void);
extern char *openblas_get_config(void);

static void set_one_thread(void) { openblas_set_num_threads(1); }
static void prepare_blas(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_one_thread);
}
#endif

enum {
    SMALL_PRODUCT = 4000,     // multiplications below which a call of BLAS costs more than the product
    SKINNY_ROWS = 24,         // rows of A up to which packing B costs more than it saves
    PIECE_PRODUCT = 1 << 20,  // multiplications worth waking another thread for
};

static void scale_matrix(intptr_t m, intptr_t n, float beta, float *c, intptr_t ldc) {
    for (intptr_t i = 0; i < m; i++) {
        if (beta == 0) {
            ragkit_kernels()->fill(n, 0, c + i * ldc);
        } else {
            ragkit_kernels()->affine(n, beta, 0, c + i * ldc, c + i * ldc);
        }
    }
}

// op(A) and op(B) both need A's transpose: rare, and small here.
static void transposed_product(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda,
                               const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    for (intptr_t i = 0; i < m; i++) {
        for (intptr_t j = 0; j < n; j++) {
            float total = 0;
            for (intptr_t p = 0; p < k; p++) total += a[p * lda + i] * b[j * ldb + p];
            c[i * ldc + j] = beta == 0 ? alpha * total : alpha * total + beta * c[i * ldc + j];
        }
    }
}

static void blas_product(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                         const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                         intptr_t ldc) {
    prepare_blas();
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, (int)m,
                (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void ragkit_gemm_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                        const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                        intptr_t ldc) {
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        scale_matrix(m, n, beta, c, ldc);
        return;
    }
    bool small = m * n * k < SMALL_PRODUCT;
    if (!transpose_a && transpose_b && (small || m <= SKINNY_ROWS)) {
        ragkit_kernels()->dot_rows(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    } else if (!transpose_b && (small || m <= 2)) {
        intptr_t row = transpose_a ? 1 : lda, column = transpose_a ? lda : 1;
        ragkit_kernels()->sum_of_rows(m, n, k, alpha, a, row, column, b, ldb, beta, c, ldc);
    } else if (small) {
        transposed_product(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    } else {
        blas_product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }
}

typedef struct {
    bool transpose_a, transpose_b;
    intptr_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    intptr_t lda, ldb, ldc;
    intptr_t rows, columns;  // of a piece
    intptr_t stride_a, stride_b, stride_c;
} product;

#if !defined(__APPLE__)
static void run_piece(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const product *p = context;
    intptr_t down = ragkit_pieces(p->m, p->rows);
    intptr_t i = item % down * p->rows, j = item / down * p->columns;
    ragkit_gemm_serial(p->transpose_a, p->transpose_b, ragkit_min(p->rows, p->m - i), ragkit_min(p->columns, p->n - j),
                       p->k, p->alpha, p->a + (p->transpose_a ? i : i * p->lda), p->lda,
                       p->b + (p->transpose_b ? j * p->ldb : j), p->ldb, p->beta, p->c + i * p->ldc + j, p->ldc);
}
#endif

void ragkit_gemm(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a,
                 intptr_t lda, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
#if !defined(__APPLE__)
    intptr_t threads = ragkit_thread_count();
    intptr_t worthwhile = m > 0 && n > 0 ? m * n / 64 * ragkit_max(k, 1) / (PIECE_PRODUCT / 64) : 0;
    intptr_t pieces = ragkit_min(threads, worthwhile);
    // two pieces a thread, where they are long enough, even out what else the cores do
    if (threads > 1 && worthwhile >= 128 * threads) pieces = 2 * threads;
    if (pieces > 1) {
        // A grid of pieces with the shortest edges: each packs its own part of A and B.
        intptr_t best = 1;
        for (intptr_t down = 1; down <= pieces; down++) {
            if (pieces % down != 0) continue;
            if (m / down + n / (pieces / down) < m / best + n / (pieces / best)) best = down;
        }
        // multiples of the kernels' tiles
        intptr_t rows = ragkit_pieces(ragkit_pieces(m, best), 8) * 8;
        intptr_t columns = ragkit_pieces(ragkit_pieces(n, pieces / best), 24) * 24;
        product all = {
            .transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k, .alpha = alpha,
            .beta = beta, .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc, .rows = rows, .columns = columns,
        };
        ragkit_parallel(ragkit_pieces(m, rows) * ragkit_pieces(n, columns), run_piece, &all);
        return;
    }
#endif
    ragkit_gemm_serial(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

static void run_products(void *context, intptr_t begin, intptr_t end) {
    const product *p = context;
    for (intptr_t i = begin; i < end; i++) {
        ragkit_gemm_serial(p->transpose_a, p->transpose_b, p->m, p->n, p->k, p->alpha, p->a + i * p->stride_a, p->lda,
                           p->b + i * p->stride_b, p->ldb, p->beta, p->c + i * p->stride_c, p->ldc);
    }
}

void ragkit_gemm_batched(intptr_t count, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k,
                         float alpha, const float *a, intptr_t lda, intptr_t stride_a, const float *b, intptr_t ldb,
                         intptr_t stride_b, float beta, float *c, intptr_t ldc, intptr_t stride_c) {
    if (count < ragkit_thread_count()) {  // too few to share out whole
        for (intptr_t i = 0; i < count; i++) {
            ragkit_gemm(transpose_a, transpose_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
                        c + i * stride_c, ldc);
        }
        return;
    }
    product all = {
        .transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta,
        .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc, .stride_a = stride_a, .stride_b = stride_b,
        .stride_c = stride_c,
    };
    ragkit_parallel_ranges(count, ragkit_max(1, m * n * k / 16), run_products, &all);
}

const char *ragkit_description(void) {
    static _Thread_local char text[160];
#if defined(__APPLE__)
    snprintf(text, sizeof(text), "Accelerate");
#else
    // openblas_get_config: "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
    const char *config = openblas_get_config();
    const char *space = strchr(config, ' ');
    const char *end = space ? strchr(space + 1, ' ') : NULL;
    int length = end ? (int)(end - config) : (int)strlen(config);
    snprintf(text, sizeof(text), "%.*s %s, %ld threads", length, config, openblas_get_corename(),
             (long)ragkit_thread_count());
#endif
    return text;
}
