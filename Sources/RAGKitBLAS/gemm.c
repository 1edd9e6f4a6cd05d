// Matrix products: which variant computes a product, and how threads share it.
//
// With AVX2 or better, kernels of our own compute all products: blocked ones (panels.c, which names the loops and the
// sources) or, for few rows and small products, GEMV-like ones on unpacked operands (simd/gemv.h). At the portable
// level OpenBLAS computes parts of C on one thread each, because its own threads cannot share our pool; on Apple
// platforms Accelerate computes the whole product.
//
// The variant depends on the product's shape alone, and our kernels give the same bits for any part of C, so the number
// of threads changes nothing. OpenBLAS's bits depend on the parts.

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
    SMALL_PRODUCT = 4000,      // multiplications below which a call of the BLAS, or packing, costs more than the product
    GEMV_DOT_ROWS = 24,        // rows of A up to which gemv_dot is faster than packing B
    GEMV_AXPY_K = 256,         // steps of k for which a column panel of B stays in cache while RAGKIT_GEMV_ROWS of A pass
    THREAD_PRODUCT = 1 << 20,  // multiplications that are worth waking another thread for
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

// A variant computes rows i ..< i + rows and columns j ..< j + columns on the calling thread.
typedef void (*variant)(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns);

static void gemm_dot(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    ragkit_kernels()->gemv_dot(rows, columns, p->k, p->alpha, p->a + i * p->lda, p->lda, p->b + j * p->ldb, p->ldb,
                               p->beta, p->c + i * p->ldc + j, p->ldc);
}

static void gemm_axpy(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    intptr_t row = p->transpose_a ? 1 : p->lda, column = p->transpose_a ? p->lda : 1;
    ragkit_kernels()->gemv_axpy(rows, columns, p->k, p->alpha, p->a + i * row, row, column, p->b + j, p->ldb, p->beta,
                                  p->c + i * p->ldc + j, p->ldc);
}

// Small products with both operands transposed, which no kernel reads in order.
static void gemm_naive(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    for (intptr_t r = i; r < i + rows; r++) {
        for (intptr_t s = j; s < j + columns; s++) {
            float total = 0, *place = p->c + r * p->ldc + s;
            for (intptr_t q = 0; q < p->k; q++) total += p->a[q * p->lda + r] * p->b[s * p->ldb + q];
            *place = p->beta == 0 ? p->alpha * total : p->alpha * total + p->beta * *place;
        }
    }
}

static void gemm_blas(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    prepare_blas();
    cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
                (int)rows, (int)columns, (int)p->k, p->alpha, p->a + (p->transpose_a ? i : i * p->lda), (int)p->lda,
                p->b + (p->transpose_b ? j * p->ldb : j), (int)p->ldb, p->beta, p->c + i * p->ldc + j, (int)p->ldc);
}

static variant choose_variant(const ragkit_product *p) {
    if (p->panels || p->format != RAGKIT_FLOAT32) return ragkit_gemm_blocked;
    bool small = p->m * p->n * p->k < SMALL_PRODUCT;
    if (!p->transpose_a && p->transpose_b && (small || p->m <= GEMV_DOT_ROWS)) return gemm_dot;
    if (!p->transpose_b && (small || p->m <= 2 || (p->m <= RAGKIT_GEMV_ROWS && p->k <= GEMV_AXPY_K))) return gemm_axpy;
    if (small) return gemm_naive;
    return p->kernels ? ragkit_gemm_blocked : gemm_blas;
}

// True if there is nothing to multiply; C is then finished.
static bool finish_empty(const ragkit_product *p) {
    if (p->m <= 0 || p->n <= 0) return true;
    if (p->k > 0) return false;
    scale_matrix(p->m, p->n, p->beta, p->c, p->ldc);
    return true;
}

static void multiply_serial(const ragkit_product *p) {
    if (!finish_empty(p)) choose_variant(p)(p, 0, p->m, 0, p->n);
}

static ragkit_product describe(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                               const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                               intptr_t ldc) {
    return (ragkit_product){
        transpose_a, transpose_b, m, n, k, alpha, beta, a, b, c, lda, ldb, ldc,
        .kernels = ragkit_products(ragkit_instruction_level(), RAGKIT_FLOAT32),
    };
}

void ragkit_gemm_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                        const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                        intptr_t ldc) {
    ragkit_product product = describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    multiply_serial(&product);
}

// The same product with operands rounded to bfloat16.
static ragkit_product with_bfloat16(ragkit_product product) {
    product.format = RAGKIT_BFLOAT16;
    product.kernels = ragkit_products(ragkit_instruction_level(), RAGKIT_BFLOAT16);
    return product;
}

void ragkit_gemm_bfloat16_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                                 const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                                 intptr_t ldc) {
    ragkit_product product = with_bfloat16(describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
    multiply_serial(&product);
}

// MARK: Shared by the threads

// C is divided into a grid of parts: ic_ways along m (BLIS's loop 3) times jc_ways along n (loop 5).
typedef struct {
    const ragkit_product *product;
    variant variant;
    intptr_t rows, columns;  // of a part
} grid;

static void run_part(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const grid *grid = context;
    const ragkit_product *p = grid->product;
    intptr_t ic_ways = ragkit_ceil_div(p->m, grid->rows);
    intptr_t i = item % ic_ways * grid->rows, j = item / ic_ways * grid->columns;
    grid->variant(p, i, ragkit_min(grid->rows, p->m - i), j, ragkit_min(grid->columns, p->n - j));
}

// The number of parts that are worth their threads.
static intptr_t count_ways(const ragkit_product *p, variant variant) {
#if defined(__APPLE__)
    if (variant == gemm_blas) return 1;  // Accelerate has threads of its own
#endif
    if (variant == gemm_naive) return 1;
    intptr_t threads = ragkit_thread_count();
    intptr_t worthwhile = p->m * p->n / 64 * p->k / (THREAD_PRODUCT / 64);
    // two parts per thread, where they are long enough, balance the load if a core is busy with something else
    if (threads > 1 && worthwhile >= 128 * threads) return 2 * threads;
    return ragkit_min(threads, worthwhile);
}

// Of `ways` parts, the number along m that makes a part's edges shortest: a part packs its own rows of A and columns of
// B, or only reads what is packed. The GEMV variants keep all rows of A, so that B is read once.
static intptr_t choose_ic_ways(const ragkit_product *p, variant variant, intptr_t ways) {
    enum { PACKING_COST = 8 };  // packing an element costs as much as reading it so many times
    const intptr_t columns = p->panels ? p->n / PACKING_COST : p->n;
    intptr_t best = 1;
    for (intptr_t ic = 1; ic <= ways && variant != gemm_dot && variant != gemm_axpy; ic++) {
        if (ways % ic != 0) continue;
        if (p->m / ic + columns / (ways / ic) < p->m / best + columns / (ways / best)) best = ic;
    }
    return best;
}

static void run_grid(const ragkit_product *p, variant variant, intptr_t ways, intptr_t ic_ways) {
    enum { COLUMNS = 32 };  // a multiple of every level's NR
    grid grid = {p, variant, ragkit_ceil_div(p->m, ic_ways), ragkit_ceil_div(p->n, ways / ic_ways)};
    grid.columns = ragkit_ceil_div(grid.columns, COLUMNS) * COLUMNS;
    ragkit_parallel(ragkit_ceil_div(p->m, grid.rows) * ragkit_ceil_div(p->n, grid.columns), run_part, &grid);
}

static void run_variant(const ragkit_product *p, variant variant) {
    const intptr_t ways = count_ways(p, variant);
    const intptr_t ic_ways = choose_ic_ways(p, variant, ways);
    if (ways <= 1) {
        variant(p, 0, p->m, 0, p->n);
    } else if (ic_ways == 1 || variant != ragkit_gemm_blocked || p->panels) {
        run_grid(p, variant, ways, ic_ways);
    } else {  // ic_ways parts need the same columns of B: all threads pack them once
        const intptr_t columns = ragkit_shared_columns(p);
        for (intptr_t j = 0; j < p->n; j += columns) {
            ragkit_epilogue epilogue;
            ragkit_product part = ragkit_share_panels(p, j, ragkit_min(columns, p->n - j), &epilogue);
            run_grid(&part, variant, ways, choose_ic_ways(&part, variant, ways));
        }
    }
}

static void multiply_parallel(const ragkit_product *p) {
    bool finished = false;
    if (!finish_empty(p)) {
        variant variant = choose_variant(p);
        run_variant(p, variant);
        finished = variant == ragkit_gemm_blocked;
    }
    if (p->epilogue && !finished) ragkit_apply_epilogue(p->epilogue, p->m, p->n, p->c, p->ldc);
}

void ragkit_gemm(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a,
                 intptr_t lda, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    ragkit_product product = describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    multiply_parallel(&product);
}

void ragkit_gemm_bfloat16(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                          const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                          intptr_t ldc) {
    ragkit_product product = with_bfloat16(describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
    multiply_parallel(&product);
}

void ragkit_linear(intptr_t rows, intptr_t outputs, intptr_t inputs, float alpha, const float *x, const float *weight,
                   const float *bias, int function, float *pre, float *y) {
    ragkit_product product = describe(false, true, rows, outputs, inputs, alpha, x, inputs, weight, inputs, 0, pre, outputs);
    product.epilogue = &(ragkit_epilogue){bias, function, y};
    multiply_parallel(&product);
}

typedef struct {
    ragkit_product first;
    intptr_t stride_a, stride_b, stride_c;
} batch;

static ragkit_product product_at(const batch *batch, intptr_t i) {
    ragkit_product product = batch->first;
    product.a += i * batch->stride_a;
    product.b += i * batch->stride_b;
    product.c += i * batch->stride_c;
    return product;
}

static void run_products(void *context, intptr_t begin, intptr_t end) {
    for (intptr_t i = begin; i < end; i++) {
        ragkit_product product = product_at(context, i);
        multiply_serial(&product);
    }
}

void ragkit_gemm_batched(intptr_t count, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k,
                         float alpha, const float *a, intptr_t lda, intptr_t stride_a, const float *b, intptr_t ldb,
                         intptr_t stride_b, float beta, float *c, intptr_t ldc, intptr_t stride_c) {
    batch all = {
        describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), stride_a, stride_b, stride_c,
    };
    if (count >= ragkit_thread_count()) {
        ragkit_parallel_ranges(count, ragkit_max(1, m * n * k / 16), run_products, &all);
        return;
    }
    for (intptr_t i = 0; i < count; i++) {  // fewer products than threads: the threads share each one
        ragkit_product product = product_at(&all, i);
        multiply_parallel(&product);
    }
}

// MARK: Products with a pack

static ragkit_product describe_packed(intptr_t m, float alpha, const float *a, intptr_t lda, const void *pack,
                                      float beta, float *c, intptr_t ldc) {
    ragkit_product product = ragkit_product_with_pack(pack);
    product.m = m;
    product.alpha = alpha;
    product.beta = beta;
    product.a = a;
    product.c = c;
    product.lda = lda;
    product.ldc = ldc;
    return product;
}

void ragkit_gemm_packed(intptr_t m, float alpha, const float *a, intptr_t lda, const void *pack, float beta, float *c,
                        intptr_t ldc) {
    ragkit_product product = describe_packed(m, alpha, a, lda, pack, beta, c, ldc);
    multiply_parallel(&product);
}

void ragkit_linear_packed(intptr_t rows, float alpha, const float *x, const void *pack, const float *bias, int function,
                          float *pre, float *y) {
    ragkit_product product = describe_packed(rows, alpha, x, 0, pack, 0, pre, 0);
    product.lda = product.k;
    product.ldc = product.n;
    product.epilogue = &(ragkit_epilogue){bias, function, y};
    multiply_parallel(&product);
}

const char *ragkit_description(void) {
    static _Thread_local char text[160];
    const ragkit_product_kernels *kernels = ragkit_products(ragkit_instruction_level(), RAGKIT_FLOAT32);
    if (kernels) {
        snprintf(text, sizeof(text), "RAGKit %s, %ld threads", kernels->name, (long)ragkit_thread_count());
        return text;
    }
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
