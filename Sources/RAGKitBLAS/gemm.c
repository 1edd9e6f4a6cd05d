// Matrix products. Kernels of our own compute them where there is AVX2; elsewhere OpenBLAS computes pieces on one thread
// each, because its own threads cannot share our pool, or on Apple platforms Accelerate the whole product.
//
// What computes a product depends on its shape alone and our kernels give the same bits for any part of it, so the number
// of threads changes nothing. OpenBLAS's bits depend on the pieces.

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
    SKINNY_ROWS = 24,         // rows of A up to which packing B costs more than it saves, if C is made of dots
    FEW_STEPS = 256,          // of k for which a stripe of B stays in cache while RAGKIT_FEW_ROWS of A pass
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

typedef void (*route)(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns);

// Each route computes rows i ..< i + rows and columns j ..< j + columns on the calling thread.

static void by_dots(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    ragkit_kernels()->dot_rows(rows, columns, p->k, p->alpha, p->a + i * p->lda, p->lda, p->b + j * p->ldb, p->ldb,
                               p->beta, p->c + i * p->ldc + j, p->ldc);
}

static void by_sums(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    intptr_t row = p->transpose_a ? 1 : p->lda, column = p->transpose_a ? p->lda : 1;
    ragkit_kernels()->sum_of_rows(rows, columns, p->k, p->alpha, p->a + i * row, row, column, p->b + j, p->ldb, p->beta,
                                  p->c + i * p->ldc + j, p->ldc);
}

// op(A) and op(B) both need A's transpose: small here.
static void by_definition(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    for (intptr_t r = i; r < i + rows; r++) {
        for (intptr_t s = j; s < j + columns; s++) {
            float total = 0, *place = p->c + r * p->ldc + s;
            for (intptr_t q = 0; q < p->k; q++) total += p->a[q * p->lda + r] * p->b[s * p->ldb + q];
            *place = p->beta == 0 ? p->alpha * total : p->alpha * total + p->beta * *place;
        }
    }
}

static void by_blas(const ragkit_product *p, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    prepare_blas();
    cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
                (int)rows, (int)columns, (int)p->k, p->alpha, p->a + (p->transpose_a ? i : i * p->lda), (int)p->lda,
                p->b + (p->transpose_b ? j * p->ldb : j), (int)p->ldb, p->beta, p->c + i * p->ldc + j, (int)p->ldc);
}

static route choose_route(const ragkit_product *p) {
    if (p->panels || p->format != RAGKIT_FLOAT32) return ragkit_multiply_panels;
    bool small = p->m * p->n * p->k < SMALL_PRODUCT;
    if (!p->transpose_a && p->transpose_b && (small || p->m <= SKINNY_ROWS)) return by_dots;
    if (!p->transpose_b && (small || p->m <= 2 || (p->m <= RAGKIT_FEW_ROWS && p->k <= FEW_STEPS))) return by_sums;
    if (small) return by_definition;
    return p->kernels ? ragkit_multiply_panels : by_blas;
}

// True if there is nothing to multiply; then it is done.
static bool finish_empty(const ragkit_product *p) {
    if (p->m <= 0 || p->n <= 0) return true;
    if (p->k > 0) return false;
    scale_matrix(p->m, p->n, p->beta, p->c, p->ldc);
    return true;
}

static void multiply_alone(const ragkit_product *p) {
    if (!finish_empty(p)) choose_route(p)(p, 0, p->m, 0, p->n);
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
    multiply_alone(&product);
}

// The same with bfloat16 operands.
static ragkit_product rounding(ragkit_product product) {
    product.format = RAGKIT_BFLOAT16;
    product.kernels = ragkit_products(ragkit_instruction_level(), RAGKIT_BFLOAT16);
    return product;
}

void ragkit_gemm_bfloat16_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                                 const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                                 intptr_t ldc) {
    ragkit_product product = rounding(describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
    multiply_alone(&product);
}

// MARK: Shared by the threads

typedef struct {
    const ragkit_product *product;
    route route;
    intptr_t rows, columns;  // of a piece
} pieces;

static void run_piece(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const pieces *all = context;
    const ragkit_product *p = all->product;
    intptr_t down = ragkit_pieces(p->m, all->rows);
    intptr_t i = item % down * all->rows, j = item / down * all->columns;
    all->route(p, i, ragkit_min(all->rows, p->m - i), j, ragkit_min(all->columns, p->n - j));
}

// How many pieces are worth their threads.
static intptr_t piece_count(const ragkit_product *p, route route) {
#if defined(__APPLE__)
    if (route == by_blas) return 1;  // Accelerate has threads of its own
#endif
    if (route == by_definition) return 1;
    intptr_t threads = ragkit_thread_count();
    intptr_t worthwhile = p->m * p->n / 64 * p->k / (PIECE_PRODUCT / 64);
    // two pieces a thread, where they are long enough, even out what else the cores do
    if (threads > 1 && worthwhile >= 128 * threads) return 2 * threads;
    return ragkit_min(threads, worthwhile);
}

// A grid of pieces with the shortest edges: each packs its own part of A and B, and only reads what is packed. What reads B
// once keeps all of A's rows.
static intptr_t pieces_down(const ragkit_product *p, route route, intptr_t count) {
    enum { PACKING = 8 };  // reads of an element that rearranging it costs
    const intptr_t columns = p->panels ? p->n / PACKING : p->n;
    intptr_t best = 1;
    for (intptr_t down = 1; down <= count && route != by_dots && route != by_sums; down++) {
        if (count % down != 0) continue;
        if (p->m / down + columns / (count / down) < p->m / best + columns / (count / best)) best = down;
    }
    return best;
}

static void run_grid(const ragkit_product *p, route route, intptr_t count, intptr_t down) {
    enum { COLUMNS = 32 };  // a multiple of the kernels' tiles
    pieces all = {p, route, ragkit_pieces(p->m, down), ragkit_pieces(p->n, count / down)};
    all.columns = ragkit_pieces(all.columns, COLUMNS) * COLUMNS;
    ragkit_parallel(ragkit_pieces(p->m, all.rows) * ragkit_pieces(p->n, all.columns), run_piece, &all);
}

static void run_pieces(const ragkit_product *p, route route) {
    const intptr_t count = piece_count(p, route);
    const intptr_t down = pieces_down(p, route, count);
    if (count <= 1) {
        route(p, 0, p->m, 0, p->n);
    } else if (down == 1 || route != ragkit_multiply_panels || p->panels) {
        run_grid(p, route, count, down);
    } else {  // each of `down` pieces would pack the same columns: they are packed once, together
        const intptr_t columns = ragkit_shared_columns(p);
        for (intptr_t j = 0; j < p->n; j += columns) {
            ragkit_epilogue epilogue;
            ragkit_product part = ragkit_share_panels(p, j, ragkit_min(columns, p->n - j), &epilogue);
            run_grid(&part, route, count, pieces_down(&part, route, count));
        }
    }
}

static void multiply_together(const ragkit_product *p) {
    bool finished = false;
    if (!finish_empty(p)) {
        route route = choose_route(p);
        run_pieces(p, route);
        finished = route == ragkit_multiply_panels;
    }
    if (p->epilogue && !finished) ragkit_finish_all(p->epilogue, p->m, p->n, p->c, p->ldc);
}

void ragkit_gemm(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a,
                 intptr_t lda, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc) {
    ragkit_product product = describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    multiply_together(&product);
}

void ragkit_gemm_bfloat16(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                          const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                          intptr_t ldc) {
    ragkit_product product = rounding(describe(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
    multiply_together(&product);
}

void ragkit_linear(intptr_t rows, intptr_t outputs, intptr_t inputs, float alpha, const float *x, const float *weight,
                   const float *bias, int function, float *pre, float *y) {
    ragkit_product product = describe(false, true, rows, outputs, inputs, alpha, x, inputs, weight, inputs, 0, pre, outputs);
    product.epilogue = &(ragkit_epilogue){bias, function, y};
    multiply_together(&product);
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
        multiply_alone(&product);
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
    for (intptr_t i = 0; i < count; i++) {  // too few to share out whole
        ragkit_product product = product_at(&all, i);
        multiply_together(&product);
    }
}

// MARK: With a pack

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
    multiply_together(&product);
}

void ragkit_linear_packed(intptr_t rows, float alpha, const float *x, const void *pack, const float *bias, int function,
                          float *pre, float *y) {
    ragkit_product product = describe_packed(rows, alpha, x, 0, pack, 0, pre, 0);
    product.lda = product.k;
    product.ldc = product.n;
    product.epilogue = &(ragkit_epilogue){bias, function, y};
    multiply_together(&product);
}

void ragkit_gemm_packed_serial(intptr_t m, float alpha, const float *a, intptr_t lda, const void *pack, float beta,
                               float *c, intptr_t ldc) {
    ragkit_product product = describe_packed(m, alpha, a, lda, pack, beta, c, ldc);
    multiply_alone(&product);
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
