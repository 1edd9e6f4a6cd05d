// What the files of this target share: the table of vector kernels and the ways to split work.

#ifndef RAGKIT_INTERNAL_H
#define RAGKIT_INTERNAL_H

#include "ragkit_blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/// How many elements of simple work are worth waking another thread for.
enum { RAGKIT_GRAIN = 16384 };

static inline intptr_t ragkit_min(intptr_t a, intptr_t b) { return a < b ? a : b; }
static inline intptr_t ragkit_max(intptr_t a, intptr_t b) { return a > b ? a : b; }
static inline intptr_t ragkit_pieces(intptr_t n, intptr_t size) { return (n + size - 1) / size; }

/// Memory that must be there: sizes are bounded by what the caller already holds, so running out ends the process.
void *ragkit_allocate(size_t bytes);

/// Memory of the calling thread, at least `bytes`, valid until the thread asks again. It is kept from call to call: fresh
/// memory costs a page fault every 4 KB.
void *ragkit_scratch(size_t bytes);
/// A second one, for the products' panels: who calls a product may have the first in use.
void *ragkit_panel_scratch(size_t bytes);
/// And for panels that the calling thread makes with others.
void *ragkit_shared_panel_scratch(size_t bytes);

typedef void (*ragkit_range_task)(void *context, intptr_t begin, intptr_t end);
/// Runs `task` over disjoint ranges covering 0 ..< count, where one unit costs as much as `cost` simple elements.
/// How the ranges fall depends on the number of threads, so `task` must not let results depend on them.
void ragkit_parallel_ranges(intptr_t count, intptr_t cost, ragkit_range_task task, void *context);

/// What the dropout kernel needs of a ragkit_dropout; threshold 0 means none.
typedef struct {
    uint32_t threshold;  // words below it drop the element
    float scale;         // of the elements that are kept
    uint64_t seed, stream;
} ragkit_dropout_plan;

ragkit_dropout_plan ragkit_plan_dropout(ragkit_dropout dropout);

/// The vector kernels of one instruction level. Each works on the calling thread.
typedef struct {
    // Bodies/elementwise.h
    void (*fill)(intptr_t n, float value, float *y);
    void (*add)(intptr_t n, const float *a, const float *b, float *y);
    void (*subtract)(intptr_t n, const float *a, const float *b, float *y);
    void (*multiply)(intptr_t n, const float *a, const float *b, float *y);
    void (*divide)(intptr_t n, const float *a, const float *b, float *y);
    void (*affine)(intptr_t n, float scale, float offset, const float *x, float *y);
    void (*axpy)(intptr_t n, float alpha, const float *x, float *y);
    void (*multiply_add)(intptr_t n, const float *a, const float *b, float *y);
    void (*map)(intptr_t n, int function, const float *x, float *y);
    void (*map_gradient)(intptr_t n, int function, const float *x, const float *dy, float *dx);
    // y = scale * words + positions + types, the last two nullable
    void (*embed_row)(intptr_t n, float scale, const float *words, const float *positions, const float *types, float *y);
    // Bodies/reductions.h
    double (*sum)(intptr_t n, const float *x);
    double (*sum_of_squares)(intptr_t n, const float *x);
    double (*dot)(intptr_t n, const float *x, const float *y);
    bool (*all_finite)(intptr_t n, const float *x);
    float (*maximum)(intptr_t n, const float *x, int32_t *index);
    // y[c] = sum over the rows, which lie `stride` apart
    void (*sum_rows)(intptr_t rows, intptr_t width, intptr_t stride, const float *x, double *y);
    // Bodies/softmax.h: one row each
    void (*softmax)(intptr_t n, const float *x, float *y);
    void (*log_softmax)(intptr_t n, const float *x, float *y);
    float (*log_sum_exp)(intptr_t n, const float *x, double *sum);
    void (*softmax_gradient)(intptr_t n, const float *y, const float *dy, float *dx);
    void (*log_softmax_gradient)(intptr_t n, const float *y, const float *dy, float *dx);
    // y = exp(x - max x), the sum of y returned, the maximum in `*maximum`; y may be x
    float (*exp_row)(intptr_t n, const float *x, float *y, float *maximum);
    // y = exp(x - shift)
    void (*exp_shifted)(intptr_t n, float shift, const float *x, float *y);
    // ds = dropped * dp - p * shift, where `dropped` is p after dropout, or p
    void (*attention_gradient)(intptr_t n, const float *p, const float *dropped, float shift, float *dp);
    // Bodies/normalization.h
    void (*layer_norm)(intptr_t n, const float *sum, const float *gain, const float *bias, float epsilon, float *y,
                       float *mean, float *rstd);
    void (*layer_norm_gradient)(intptr_t n, const float *sum, float mean, float rstd, const float *gain,
                                const float *dy, float *d_sum, float *dgain, float *dbias);
    void (*rms_norm)(intptr_t n, const float *x, const float *gain, float epsilon, float *y, float *rstd);
    void (*rms_norm_gradient)(intptr_t n, const float *x, float rstd, const float *gain, const float *dy, float *dx,
                              float *dgain);
    // Bodies/dropout.h: y = residual + dropout(x), residual nullable
    void (*dropout)(intptr_t n, const ragkit_dropout_plan *plan, uint64_t first, const float *x, const float *residual,
                    float *y);
    // Bodies/vocabulary.h
    void (*pick_gradient)(intptr_t n, float lse, float scale, float offset, float *logits);
    double (*marginal)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift);
    // y[v] = the marginal of entry v
    void (*marginal_row)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                         float *y);
    void (*marginal_weights)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                             float *scratch, double *sums);
    void (*marginal_gradient)(intptr_t documents, intptr_t stride, intptr_t n, float *logits, const float *shift,
                              const float *lse, float d_total, const float *d_prior, float *scratch);
    // Bodies/optimizer.h
    void (*adamw)(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2);
    // Bodies/search.h: the first i in first ..< n with x[i] > threshold, or n
    intptr_t (*find_greater)(intptr_t first, intptr_t n, float threshold, const float *x);
    // Bodies/conversions.h
    void (*from_bfloat16)(intptr_t n, const uint16_t *x, float *y);
    void (*from_float16)(intptr_t n, const uint16_t *x, float *y);
    void (*to_bfloat16)(intptr_t n, const float *x, uint16_t *y);
    // Bodies/products.h
    // C[m,n] = alpha * A[m,k] * B[n,k]^T + beta * C: dot products of rows, B read once
    void (*dot_rows)(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                     intptr_t ldb, float beta, float *c, intptr_t ldc);
    // C[m,n] = alpha * op(A)[m,k] * B[k,n] + beta * C: sums of rows; A's element (i, p) lies at i * row_a + p * column_a
    void (*sum_of_rows)(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a,
                        intptr_t column_a, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc);
} ragkit_kernel_table;

extern const ragkit_kernel_table ragkit_portable_kernels;
#if defined(__x86_64__)
extern const ragkit_kernel_table ragkit_avx2_kernels;
extern const ragkit_kernel_table ragkit_avx512_kernels;
#endif

/// The kernels of the level in use.
const ragkit_kernel_table *ragkit_kernels(void);

/// Makes the calling thread, a worker, compute at the level of the thread whose job it has.
void ragkit_follow_instruction_level(int level);

enum {
    RAGKIT_FORMATS = 3,
    RAGKIT_INT8_STEPS = 768,  // of k that share scales, at most
};

enum {
    RAGKIT_FEW_ROWS = 8,  // of A up to which sums of B's rows where they lie are faster than panels
};

/// How rows become panels: as few as there can be, the first `tall` of `height` rows, the others one row lower.
typedef struct {
    intptr_t count, height, tall;
} ragkit_row_panels;

static inline ragkit_row_panels ragkit_cut_rows(intptr_t rows, intptr_t most) {
    intptr_t count = ragkit_pieces(rows, most), height = count > 0 ? ragkit_pieces(rows, count) : 0;
    return (ragkit_row_panels){count, height, rows - count * (height - 1)};
}

static inline intptr_t ragkit_panel_height(const ragkit_row_panels *panels, intptr_t panel) {
    return panel < panels->tall ? panels->height : panels->height - 1;
}

/// Rows of A in memory that are rearranged next.
typedef struct {
    const float *first;
    intptr_t rows, k, stride;
} ragkit_next_rows;

/// How products in one number format are made: rows of A and columns of B become panels (Bodies/panels.h), whose products
/// are summed in registers (Bodies/tiles.h).
typedef struct {
    intptr_t depth;                     // zeros make k up to a multiple of it
    intptr_t most_steps;                // of k in a block
    intptr_t row_head, row_step;        // bytes of a row in a panel of A: once, and for each step of k
    intptr_t column_head, column_step;  // and of a column in a panel of B
    // Panels of `height` rows, and of tile_columns columns. In memory they are rows of the matrix, or lie across its rows.
    void (*pack_rows)(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                      void *panels);
    void (*pack_columns)(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels);
    // C[rows, columns] = alpha * A * B + beta * C + bias[columns] (nullable) from panels of rows as ragkit_cut_rows gives them;
    // k as made up, B's panels `b_stride` bytes apart; `next`, nullable, is fetched meanwhile
    void (*multiply)(intptr_t rows, intptr_t columns, intptr_t k, const void *a, const void *b,
                     intptr_t b_stride, float alpha, float beta, const float *bias, float *c, intptr_t ldc,
                     const ragkit_next_rows *next);
} ragkit_format;

/// The products of one instruction level.
typedef struct {
    const char *name;
    intptr_t tile_rows, tile_columns;
    ragkit_format formats[RAGKIT_FORMATS];  // by RAGKIT_FLOAT32 and so on
} ragkit_product_kernels;

extern const ragkit_product_kernels ragkit_portable_products;
#if defined(__x86_64__)
extern const ragkit_product_kernels ragkit_avx2_products;
extern const ragkit_product_kernels ragkit_avx512_products;
extern const ragkit_product_kernels ragkit_avx512_bf16_products;
#endif

/// A level's kernels for products in `format`, or NULL where those are left to the BLAS (Float32 at the portable level).
const ragkit_product_kernels *ragkit_products(int level, int format);

/// What becomes of a product's elements while they are in registers and in cache: C += bias, then y = function(C).
typedef struct {
    const float *bias;  // [n], nullable
    int function;
    float *y;  // rows as far apart as C's; may be C
} ragkit_epilogue;

/// True if y is not C.
bool ragkit_has_function(const ragkit_epilogue *epilogue, const float *c);
/// y = function(C) for rows i ..< i + rows and columns j ..< j + columns, on the calling thread.
void ragkit_apply_function(const ragkit_epilogue *epilogue, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns,
                           const float *c, intptr_t ldc);
/// The bias and the function of all elements, by all threads.
void ragkit_finish_all(const ragkit_epilogue *epilogue, intptr_t rows, intptr_t columns, float *c, intptr_t ldc);

/// C[m,n] = alpha * op(A) * op(B) + beta * C: everything ragkit_gemm is told, and what computes it.
typedef struct {
    bool transpose_a, transpose_b;
    intptr_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    intptr_t lda, ldb, ldc;
    const ragkit_product_kernels *kernels;  // NULL: the BLAS
    int format;                             // of the panels
    const char *panels;                     // nullable: all of B's, made before; then `b` is not read
    const ragkit_epilogue *epilogue;        // nullable
} ragkit_product;

/// Rows i ..< i + rows and columns j ..< j + columns of a product by panels and its epilogue, on the calling thread;
/// k >= 1, j a multiple of tile_columns.
void ragkit_multiply_panels(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns);

/// How many columns of a product's B fill the memory that threads share for its panels, at least one panel.
intptr_t ragkit_shared_columns(const ragkit_product *product);
/// Makes the panels of columns j ..< j + columns of B, by all threads, and returns the product of those columns. They last
/// until the calling thread asks for others.
ragkit_product ragkit_share_panels(const ragkit_product *product, intptr_t j, intptr_t columns,
                                   ragkit_epilogue *epilogue);

/// A product with the pack's B, k and n; the rest is zeros.
ragkit_product ragkit_product_with_pack(const void *pack);

#endif
