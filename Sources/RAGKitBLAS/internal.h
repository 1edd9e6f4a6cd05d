// Shared by the files of this target: the tables of kernels, the description of a product, memory and the split of work.

#ifndef RAGKIT_INTERNAL_H
#define RAGKIT_INTERNAL_H

#include "ragkit_blas_testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RAGKIT_GRAIN = 16384,  // elements of simple work that are worth waking another thread for
    RAGKIT_EXP_COST = 4,   // elements of simple work that one exponential costs, about
};

static inline intptr_t ragkit_min(intptr_t a, intptr_t b) { return a < b ? a : b; }
static inline intptr_t ragkit_max(intptr_t a, intptr_t b) { return a > b ? a : b; }
static inline intptr_t ragkit_ceil_div(intptr_t n, intptr_t size) { return (n + size - 1) / size; }

// MARK: Memory (memory.c)

/// Aligned memory, freed with free(). Ends the process if there is none: sizes are bounded by what the caller already holds.
void *ragkit_allocate(size_t bytes);

/// Scratch memory of the calling thread, at least `bytes`, valid until the thread asks again. It is kept between calls,
/// since fresh memory costs a page fault every 4 KB.
void *ragkit_scratch(size_t bytes);
/// A second one, for the blocks that a product packs: the caller of a product may be using the first.
void *ragkit_panel_scratch(size_t bytes);
/// A third one, for packed panels that the calling thread shares with others.
void *ragkit_shared_panel_scratch(size_t bytes);

// MARK: Split of work (pool.c)

typedef void (*ragkit_range_task)(void *context, intptr_t begin, intptr_t end);
/// Runs `task` over disjoint ranges that cover 0 ..< count; one unit costs as much as `cost` simple elements. The
/// ranges depend on the number of threads, so the results of `task` must not depend on them.
void ragkit_parallel_ranges(intptr_t count, intptr_t cost, ragkit_range_task task, void *context);

// MARK: Vector kernels (simd/)

/// A ragkit_dropout in the form that the kernel needs; threshold 0 means no dropout.
typedef struct {
    uint32_t threshold;  // an element whose random word is below it is dropped
    float scale;         // of kept elements
    uint64_t seed, stream;
} ragkit_dropout_plan;

ragkit_dropout_plan ragkit_plan_dropout(ragkit_dropout dropout);

/// The vector kernels of one instruction level. Each runs on the calling thread.
typedef struct {
    // simd/elementwise.h
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
    // simd/reductions.h
    double (*sum)(intptr_t n, const float *x);
    double (*sum_of_squares)(intptr_t n, const float *x);
    double (*dot)(intptr_t n, const float *x, const float *y);
    bool (*all_finite)(intptr_t n, const float *x);
    float (*maximum)(intptr_t n, const float *x, int32_t *index);
    // y[c] = sum over the rows, which lie `stride` apart
    void (*sum_rows)(intptr_t rows, intptr_t width, intptr_t stride, const float *x, double *y);
    // simd/softmax.h: one row each
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
    // simd/normalization.h
    void (*layer_norm)(intptr_t n, const float *sum, const float *gain, const float *bias, float epsilon, float *y,
                       float *mean, float *rstd);
    void (*layer_norm_gradient)(intptr_t n, const float *sum, float mean, float rstd, const float *gain,
                                const float *dy, float *d_sum, float *dgain, float *dbias);
    void (*rms_norm)(intptr_t n, const float *x, const float *gain, float epsilon, float *y, float *rstd);
    void (*rms_norm_gradient)(intptr_t n, const float *x, float rstd, const float *gain, const float *dy, float *dx,
                              float *dgain);
    // simd/dropout.h: y = residual + dropout(x), residual nullable
    void (*dropout)(intptr_t n, const ragkit_dropout_plan *plan, uint64_t first, const float *x, const float *residual,
                    float *y);
    // simd/vocabulary.h
    void (*pick_gradient)(intptr_t n, float lse, float scale, float offset, float *logits);
    double (*marginal)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift);
    // y[v] = the marginal of entry v
    void (*marginal_row)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                         float *y);
    void (*marginal_weights)(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                             float *scratch, double *sums);
    void (*marginal_gradient)(intptr_t documents, intptr_t stride, intptr_t n, float *logits, const float *shift,
                              const float *lse, float d_total, const float *d_prior, float *scratch);
    // simd/optimizer.h
    void (*adamw)(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2);
    // simd/search.h: the first i in first ..< n with x[i] > threshold, or n
    intptr_t (*find_greater)(intptr_t first, intptr_t n, float threshold, const float *x);
    // simd/conversions.h
    void (*from_bfloat16)(intptr_t n, const uint16_t *x, float *y);
    void (*from_float16)(intptr_t n, const uint16_t *x, float *y);
    void (*to_bfloat16)(intptr_t n, const float *x, uint16_t *y);
    // simd/gemv.h: products of few rows, on unpacked operands
    // C[m,n] = alpha * A[m,k] * B[n,k]^T + beta * C: dot products of rows; B is read once
    void (*gemv_dot)(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t lda, const float *b,
                     intptr_t ldb, float beta, float *c, intptr_t ldc);
    // C[m,n] = alpha * op(A)[m,k] * B[k,n] + beta * C: sums of B's scaled rows; element (i, p) of op(A) is at
    // i * row_a + p * column_a
    void (*gemv_axpy)(intptr_t m, intptr_t n, intptr_t k, float alpha, const float *a, intptr_t row_a,
                        intptr_t column_a, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc);
} ragkit_kernel_table;

extern const ragkit_kernel_table ragkit_portable_kernels;
#if defined(__x86_64__)
extern const ragkit_kernel_table ragkit_avx2_kernels;
extern const ragkit_kernel_table ragkit_avx512_kernels;
#endif

/// The kernels of the level in use.
const ragkit_kernel_table *ragkit_kernels(void);

/// Sets the level of the calling thread, a worker, to that of the thread whose job it runs.
void ragkit_inherit_instruction_level(int level);

// MARK: Products (gemm.c, panels.c)

enum {
    RAGKIT_FORMATS = 3,
    RAGKIT_INT8_KC = 768,  // steps of k that share int8 scales, at most
    RAGKIT_GEMV_ROWS = 8,  // rows of A up to which gemv_axpy is faster than packing B, if B stays in cache
};

/// The row panels of a block of A: as few as possible; the first `tall` have `height` rows, the others one row less.
typedef struct {
    intptr_t count, height, tall;
} ragkit_row_panels;

static inline ragkit_row_panels ragkit_split_rows(intptr_t rows, intptr_t mr) {
    intptr_t count = ragkit_ceil_div(rows, mr), height = count > 0 ? ragkit_ceil_div(rows, count) : 0;
    return (ragkit_row_panels){count, height, rows - count * (height - 1)};
}

static inline intptr_t ragkit_panel_height(const ragkit_row_panels *panels, intptr_t panel) {
    return panel < panels->tall ? panels->height : panels->height - 1;
}

/// Rows of A, not yet packed, that a macro-kernel prefetches.
typedef struct {
    const float *first;
    intptr_t rows, k, stride;
} ragkit_next_rows;

/// A number format of products: how A and B are packed into panels (simd/panels.h) and the macro-kernel that multiplies
/// panels (simd/microkernel.h).
typedef struct {
    intptr_t k_unroll;  // steps of k in one word of a panel; k is padded with zeros to a multiple of it
    intptr_t kc;        // steps of k in a block, at most (KC)
    intptr_t row_header_bytes, row_step_bytes;        // of a row in a panel of A: its header, and each step of k
    intptr_t column_header_bytes, column_step_bytes;  // of a column in a panel of B
    // Packs panels of `height` rows of A, or of nr columns of B. `transposed`: these rows or columns are columns in memory.
    void (*pack_a)(bool transposed, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                   void *panels);
    void (*pack_b)(bool transposed, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels);
    // C[rows, columns] = alpha * A * B + beta * C + bias[columns] (nullable) from panels. A's are as ragkit_split_rows
    // splits them, B's lie `b_stride` bytes apart, k includes the padding; `next`, nullable, is prefetched.
    void (*macro_kernel)(intptr_t rows, intptr_t columns, intptr_t k, const void *a, const void *b, intptr_t b_stride,
                         float alpha, float beta, const float *bias, float *c, intptr_t ldc,
                         const ragkit_next_rows *next);
} ragkit_format;

/// The blocked products of one instruction level, whose micro-tile is mr rows times nr columns (MR, NR).
typedef struct {
    const char *name;
    intptr_t mr, nr;
    ragkit_format formats[RAGKIT_FORMATS];  // by RAGKIT_FLOAT32 and so on
} ragkit_product_kernels;

extern const ragkit_product_kernels ragkit_portable_products;
#if defined(__x86_64__)
extern const ragkit_product_kernels ragkit_avx2_products;
extern const ragkit_product_kernels ragkit_avx512_products;
extern const ragkit_product_kernels ragkit_avx512_bf16_products;
#endif

/// A level's kernels for products in `format`, or NULL if the BLAS computes them (Float32 at the portable level).
const ragkit_product_kernels *ragkit_products(int level, int format);

/// The epilogue of a product, applied while its elements are in registers or cache: C += bias, then y = function(C).
typedef struct {
    const float *bias;  // [n], nullable
    int function;
    float *y;  // its rows are ldc apart, as C's; may be C
} ragkit_epilogue;

/// True if there is something to do after the bias.
bool ragkit_has_function(const ragkit_epilogue *epilogue, const float *c);
/// y = function(C) for rows i ..< i + rows and columns j ..< j + columns, on the calling thread.
void ragkit_apply_function(const ragkit_epilogue *epilogue, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns,
                           const float *c, intptr_t ldc);
/// Applies the whole epilogue to a finished product, on all threads.
void ragkit_apply_epilogue(const ragkit_epilogue *epilogue, intptr_t rows, intptr_t columns, float *c, intptr_t ldc);
/// Elements of simple work that one element of a function (RAGKIT_RELU and so on) costs, about.
intptr_t ragkit_function_cost(int function);

/// C[m,n] = alpha * op(A) * op(B) + beta * C: the arguments of ragkit_gemm, and the kernels that compute it.
typedef struct {
    bool transpose_a, transpose_b;
    intptr_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    intptr_t lda, ldb, ldc;
    const ragkit_product_kernels *kernels;  // NULL: the BLAS
    int format;                             // of the panels
    const char *panels;                     // nullable: all of op(B), packed; then `b` is not read
    const ragkit_epilogue *epilogue;        // nullable
} ragkit_product;

/// Rows i ..< i + rows and columns j ..< j + columns of a blocked product and its epilogue, on the calling thread; k >=
/// 1, j is a multiple of nr.
void ragkit_gemm_blocked(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns);

/// ragkit_gemm_bfloat16 on the calling thread alone.
void ragkit_gemm_bfloat16_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                                 const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                                 intptr_t ldc);

enum { RAGKIT_PACK_ROWS = 32 };
/// Packs rows first ..< end of B (as it lies in memory) again, on the calling thread; other rows stay as they were
/// packed. first is a multiple of RAGKIT_PACK_ROWS, and so is end, or it is the number of rows. Not for int8.
void ragkit_pack_rows(void *pack, intptr_t first, intptr_t end, const float *b, intptr_t ldb);

/// The number of columns of B, at least one panel's, that fit into the memory for panels that threads share.
intptr_t ragkit_shared_columns(const ragkit_product *product);
/// Packs columns j ..< j + columns of op(B), on all threads, and returns the product of these columns. The panels last
/// until the calling thread packs others.
ragkit_product ragkit_share_panels(const ragkit_product *product, intptr_t j, intptr_t columns,
                                   ragkit_epilogue *epilogue);

/// A product with the pack's B, k and n; its other fields are zero.
ragkit_product ragkit_product_with_pack(const void *pack);

#endif
