// The numeric kernels of RAGKit: plain functions over pointers and sizes.
//
// Conventions. Matrices are dense, row-major Float32; sizes and strides count elements (`intptr_t`, Swift's `Int`).
// A function may split its work over the library's one pool of threads; called from inside a pool task it runs inline.
// Results do not depend on the number of threads unless a comment says so.
// `nullable` pointers may be NULL; every other pointer must be valid for the size named, also when a size is 0.
// Pointers need no alignment beyond that of their element type.

#ifndef RAGKIT_BLAS_H
#define RAGKIT_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Threads (pool.c)

/// The number of threads that kernels use, including the caller's. Chosen at the first call: RAGKIT_NUM_THREADS, else
/// the number of cores this process may run on.
intptr_t ragkit_thread_count(void);
/// Excludes the calling thread from the pool, for good, and lowers its priority: it works alone and mostly when other
/// threads leave a core idle.
void ragkit_work_in_background(void);

// MARK: Memory (memory.c)

/// Reserves `bytes` of addresses, aligned to 2 MiB, or returns NULL. A page takes memory only once it is written to;
/// huge pages are used where the system has them. The reservation is never undone.
void *ragkit_reserve(size_t bytes);
/// Returns the memory of the whole pages in this range to the system. The addresses stay usable; their contents are
/// undefined.
void ragkit_discard(void *start, size_t bytes);
/// Drops the whole pages in this range of a file that is mapped read-only from the process's memory. Their contents do not
/// change: the next read loads them from the file.
void ragkit_release_pages(const void *start, size_t bytes);

// MARK: Machine (gemm.c)

/// What computes matrix products, such as "RAGKit AVX2, 2 threads" or, at the portable level, "OpenBLAS 0.3.21 Haswell,
/// 2 threads". The text belongs to the calling thread and is valid until its next call.
const char *ragkit_description(void);

// MARK: Products (gemm.c)

/// C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C. op(X) is X, or its transpose when the flag is set (then A is
/// [k,m] with row stride lda, B is [n,k]). beta = 0 never reads C. k = 0 gives beta * C.
/// The bits depend on the shape, the operands and the instruction level only, except at the portable level: there
/// OpenBLAS or Accelerate computes all but small products, and the bits may depend on the number of threads.
void ragkit_gemm(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                 const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc);
/// `count` independent products of one shape; matrices are `stride_*` elements apart (0: all products use one matrix).
void ragkit_gemm_batched(intptr_t count, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k,
                         float alpha, const float *a, intptr_t lda, intptr_t stride_a, const float *b, intptr_t ldb,
                         intptr_t stride_b, float beta, float *c, intptr_t ldc, intptr_t stride_c);

// MARK: Products with a packed matrix (panels.c, gemm.c)

// A weight [outputs, inputs] that many products use is packed once for all of them. Forward, x · Wᵀ, and backward,
// dy · W, read it in two directions, so each has its own pack:
//
//     ragkit_pack(RAGKIT_FLOAT32, true, inputs, outputs, weight, inputs, forward);     // op(B) = Wᵀ [inputs, outputs]
//     ragkit_gemm_packed(rows, 1, x, inputs, forward, 0, y, outputs);                  // y = x · Wᵀ
//     ragkit_pack(RAGKIT_FLOAT32, false, outputs, inputs, weight, inputs, backward);   // op(B) = W [outputs, inputs]
//     ragkit_gemm_packed(rows, 1, dy, outputs, backward, 1, dx, inputs);               // dx += dy · W
//
// A pack is valid only in the process that made it, because its layout depends on the processor. Many threads may read
// it at once, and it stays valid when the instruction level changes. Row i of a product with a pack has the same bits
// whatever the other rows and the number of threads (except Float32 at the portable level, which OpenBLAS or Accelerate
// computes).

/// Number formats of a pack; sums are Float32.
/// BFLOAT16: A and B are rounded to bfloat16 (to nearest even), A during the product. The levels agree to within
/// Float32 rounding, except that VDPBF16PS treats subnormal operands and results as zeros.
/// INT8: k is divided into blocks of at most 768 steps. In each block every column of op(B) (in x · Wᵀ: the weights of
/// one output) and every row of A is divided by its scale, its largest magnitude / 127, and rounded to an integer; sums
/// of integers are exact. At the levels avx2 and avx512, which add two products in 16 bits, the scale of a column is
/// the largest sum of two neighbours' magnitudes / 127. A row or column that holds NaN or infinity becomes NaN; one
/// whose magnitudes are all below 1e-36 becomes 0.
enum { RAGKIT_FLOAT32 = 0, RAGKIT_BFLOAT16 = 1, RAGKIT_INT8 = 2 };
/// The size of a pack of op(B) [k,n] in bytes.
size_t ragkit_pack_bytes(int format, intptr_t k, intptr_t n);
/// Packs op(B) [k,n], which is B, or B's transpose when the flag is set (then B is [n,k]), into `pack`. `pack` has
/// ragkit_pack_bytes(format, k, n) bytes, aligned to at least 8, best to 64.
void ragkit_pack(int format, bool transpose_b, intptr_t k, intptr_t n, const float *b, intptr_t ldb, void *pack);
/// C[m,n] = alpha * A[m,k] * op(B)[k,n] + beta * C with k and n of the pack. beta = 0 never reads C. k = 0 gives beta * C.
void ragkit_gemm_packed(intptr_t m, float alpha, const float *a, intptr_t lda, const void *pack, float beta, float *c,
                        intptr_t ldc);
/// ragkit_gemm with A and B rounded to bfloat16, as in a product with a pack of that format.
void ragkit_gemm_bfloat16(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                          const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c,
                          intptr_t ldc);

// MARK: Linear layers (gemm.c)

/// pre = alpha * x · weightᵀ + bias and y = function(pre), while parts of pre are in cache: x [rows,inputs], weight
/// [outputs,inputs], pre and y [rows,outputs]; pre may be y. `bias` [outputs] nullable; functions are those of ragkit_map.
void ragkit_linear(intptr_t rows, intptr_t outputs, intptr_t inputs, float alpha, const float *x, const float *weight,
                   const float *bias, int function, float *pre, float *y);
/// The same with a pack of weightᵀ.
void ragkit_linear_packed(intptr_t rows, float alpha, const float *x, const void *pack, const float *bias, int function,
                          float *pre, float *y);

// MARK: Elementwise (elementwise.c); y may be x

void ragkit_fill(intptr_t n, float value, float *y);
void ragkit_add(intptr_t n, const float *a, const float *b, float *y);
void ragkit_subtract(intptr_t n, const float *a, const float *b, float *y);
void ragkit_multiply(intptr_t n, const float *a, const float *b, float *y);
void ragkit_divide(intptr_t n, const float *a, const float *b, float *y);
/// y = scale * x + offset
void ragkit_affine(intptr_t n, float scale, float offset, const float *x, float *y);
/// y += alpha * x
void ragkit_axpy(intptr_t n, float alpha, const float *x, float *y);
/// y[r, c] = x[r, c] (op) row[c], for + and *
void ragkit_add_row(intptr_t rows, intptr_t width, const float *x, const float *row, float *y);
void ragkit_multiply_row(intptr_t rows, intptr_t width, const float *x, const float *row, float *y);
/// y[r, c] = x[r, c] (op) column[r], for + and *
void ragkit_add_column(intptr_t rows, intptr_t width, const float *x, const float *column, float *y);
void ragkit_multiply_column(intptr_t rows, intptr_t width, const float *x, const float *column, float *y);

/// Functions of one variable. `RAGKIT_GELU` is the exact erf form, `RAGKIT_GELU_TANH` the tanh form.
enum {
    RAGKIT_IDENTITY = 0, RAGKIT_RELU, RAGKIT_GELU, RAGKIT_GELU_TANH, RAGKIT_SILU, RAGKIT_TANH, RAGKIT_SIGMOID,
    RAGKIT_EXP, RAGKIT_LOG, RAGKIT_SQRT, RAGKIT_RSQRT, RAGKIT_ABS, RAGKIT_SQUARE, RAGKIT_RECIPROCAL
};
/// Vectorised, relative error below 2e-7 of the exact value (absolute below 2e-7 near zeros of the function); NaN and
/// infinities as the C library gives them.
void ragkit_map(intptr_t n, int function, const float *x, float *y);
/// dx = f'(x) * dy; dx may be dy.
void ragkit_map_gradient(intptr_t n, int function, const float *x, const float *dy, float *dx);

// MARK: Reductions (reductions.c); sums in Double inside, fixed order

double ragkit_sum(intptr_t n, const float *x);
double ragkit_sum_of_squares(intptr_t n, const float *x);
/// y[c] (+)= sum over r of x[r, c]; `accumulate` adds to y instead of overwriting it.
void ragkit_sum_rows(intptr_t rows, intptr_t width, const float *x, bool accumulate, float *y);
/// y[r] = sum over c of x[r, c]
void ragkit_sum_columns(intptr_t rows, intptr_t width, const float *x, float *y);
/// y[r] = max over c of x[r, c] (width >= 1); indices nullable: first position of the maximum. NaN counts as the maximum.
void ragkit_max_columns(intptr_t rows, intptr_t width, const float *x, float *y, int32_t *indices);
/// y[r] = sum over c of a[r, c] * b[r, c]
void ragkit_dot_rows(intptr_t rows, intptr_t width, const float *a, const float *b, float *y);

// MARK: Softmax and normalisation (softmax.c, normalization.c)

/// Rows of softmax / log-softmax; y may be x. Rows of width 0 are skipped; a row of -infinity only gives 0 / -infinity.
void ragkit_softmax(intptr_t rows, intptr_t width, const float *x, float *y);
void ragkit_log_softmax(intptr_t rows, intptr_t width, const float *x, float *y);
/// y[r] = log sum exp over the row; -infinity if the width is 0 or all elements are -infinity.
void ragkit_log_sum_exp(intptr_t rows, intptr_t width, const float *x, float *y);
/// dx = y * (dy - sum(dy * y)), y = softmax(x)
void ragkit_softmax_gradient(intptr_t rows, intptr_t width, const float *y, const float *dy, float *dx);
/// dx = dy - exp(y) * sum(dy), y = log_softmax(x)
void ragkit_log_softmax_gradient(intptr_t rows, intptr_t width, const float *y, const float *dy, float *dx);

/// Random bits from Philox 4x32-10 (Salmon et al. 2011): key = seed, counter = (element / 8, stream). Element e takes
/// the (e mod 8)-th 16-bit word of its block and is dropped when that word < round(rate * 65536); kept values are
/// scaled by 1 / (1 - round(rate * 65536) / 65536). A block's 16-bit words are the low, then the high half of each of
/// its four 32-bit words. rate 0 means no dropout; the other fields are then not read.
typedef struct { float rate; uint64_t seed; uint64_t stream; } ragkit_dropout;
/// y = dropout(x); the gradient is the same function applied to dy. `first` is the index of x[0] in the stream.
void ragkit_apply_dropout(intptr_t n, ragkit_dropout dropout, intptr_t first, const float *x, float *y);
/// One block of Philox 4x32-10.
void ragkit_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/// sum = residual + dropout(x)  (residual nullable), y = (sum - mean) * rstd * gain + bias; mean and variance in
/// Float32 with two passes. `sum`, `mean` and `rstd` [rows] nullable.
void ragkit_layer_norm(intptr_t rows, intptr_t width, const float *x, const float *residual, ragkit_dropout dropout,
                       const float *gain, const float *bias, float epsilon, float *sum, float *y, float *mean,
                       float *rstd);
/// d_sum = the gradient of `sum`, which is also the residual's; dx (nullable) = dropout(d_sum). With `accumulate`,
/// dgain and dbias [width] are added to, else overwritten.
void ragkit_layer_norm_gradient(intptr_t rows, intptr_t width, const float *sum, const float *mean, const float *rstd,
                                const float *gain, const float *dy, ragkit_dropout dropout, float *d_sum, float *dx,
                                bool accumulate, float *dgain, float *dbias);
/// T5's norm: y = x * rsqrt(mean(x^2) + epsilon) * gain; rstd [rows] nullable.
void ragkit_rms_norm(intptr_t rows, intptr_t width, const float *x, const float *gain, float epsilon, float *y,
                     float *rstd);
void ragkit_rms_norm_gradient(intptr_t rows, intptr_t width, const float *x, const float *rstd, const float *gain,
                              const float *dy, float *dx, bool accumulate, float *dgain);

// MARK: Rows (rows.c)

/// y[i] = x[indices[i]] for rows of `width`. The caller checks the indices.
void ragkit_gather_rows(intptr_t count, intptr_t width, const int32_t *indices, const float *x, float *y);
/// y[indices[i]] += alpha * x[i], in ascending order of i.
void ragkit_scatter_add_rows(intptr_t count, intptr_t width, intptr_t y_rows, const int32_t *indices, float alpha,
                             const float *x, float *y);
/// y[i] = scale * words[ids[i]] + positions[position[i]] + types[type[i]]; positions, types (with their indices) nullable.
void ragkit_embed(intptr_t count, intptr_t width, float scale, const int32_t *ids, const float *words,
                  const int32_t *position, const float *positions, const int32_t *type, const float *types, float *y);
/// y[s] = mean of rows offsets[s] ..< offsets[s+1] of x, 0 if there are none; and its gradient.
void ragkit_segment_mean(intptr_t segments, intptr_t width, const intptr_t *offsets, const float *x, float *y);
void ragkit_segment_mean_gradient(intptr_t segments, intptr_t width, const intptr_t *offsets, const float *dy, float *dx);
/// y[c, r] = x[r, c]
void ragkit_transpose(intptr_t rows, intptr_t width, const float *x, float *y);

// MARK: Attention (attention.c, attention_gradient.c)

/// Attention of query rows over key segments. Query segment s is rows q_offsets[s] ..< q_offsets[s+1] of q. It attends
/// to the key segments attended[a], a in attended_offsets[s] ..< attended_offsets[s+1], as if their rows were
/// concatenated in that order: one softmax over all of them. Key segment t is rows k_offsets[t] ..< k_offsets[t+1] of k
/// and v.
/// Head h uses columns h * head_dim ..< (h+1) * head_dim of q, k, v and out, whose rows are `*_stride` apart.
/// score = scale * q.k + head_bias[h, row in its query segment, row in its key segment] + segment_bias[a].
/// causal: query row r of a segment of length m sees keys j <= r + (n - m), n = length of the concatenation.
/// The output of a query row that sees no key is 0, its lse -infinity.
typedef struct {
    const float *q, *k, *v;
    intptr_t q_stride, k_stride, v_stride;
    intptr_t heads, head_dim;
    intptr_t q_segments, k_segments;
    const intptr_t *q_offsets;         // [q_segments + 1]
    const intptr_t *k_offsets;         // [k_segments + 1]
    const intptr_t *attended_offsets;  // [q_segments + 1]
    const intptr_t *attended;          // [attended_offsets[q_segments]]
    bool causal;
    float scale;
    const float *head_bias;            // nullable [heads, bias_rows, bias_columns]
    intptr_t bias_rows, bias_columns;
    const float *segment_bias;         // nullable [attended count]
    ragkit_dropout dropout;            // of the probabilities; attention.c defines the order of the elements
    // Rounds the operands of products to bfloat16, forward and backward, for query segments of more than 24 rows and
    // where the processor has instructions for it.
    bool bfloat16;
} ragkit_attention;

/// out [q rows, heads * head_dim], lse [q rows, heads] nullable (the log-sum-exp of each row's scores).
void ragkit_attention_forward(const ragkit_attention *attention, float *out, intptr_t out_stride, float *lse);
/// Overwrites dq, dk, dv (0 for keys that no query attends to) and d_head_bias, d_segment_bias (both nullable).
void ragkit_attention_backward(const ragkit_attention *attention, const float *out, intptr_t out_stride,
                               const float *lse, const float *d_out, intptr_t d_out_stride, float *dq,
                               intptr_t dq_stride, float *dk, intptr_t dk_stride, float *dv, intptr_t dv_stride,
                               float *d_head_bias, float *d_segment_bias);

// MARK: Losses over a vocabulary (vocabulary.c)

/// For each row: lse[r], picked[r] = logits[r, targets[r]] - lse[r] (0 if targets[r] < 0), and total[r] = sum over v of
/// (logits[r, v] - lse[r]), summed in Double. `total` nullable.
void ragkit_pick_log_softmax(intptr_t rows, intptr_t vocabulary, const float *logits, const int32_t *targets, float *lse,
                             float *picked, float *total);
/// Replaces logits by d_picked * d picked/d logits + d_total * d total/d logits. d_total nullable.
void ragkit_pick_log_softmax_gradient(intptr_t rows, intptr_t vocabulary, float *logits, const int32_t *targets,
                                      const float *lse, const float *d_picked, const float *d_total);
/// RAG-token's marginal. Group g has `documents` rows of logits (rows g * documents + j) and priors[g, j] (log
/// probabilities): P(v) = logsumexp_j(logits[j, v] - lse_j + priors[j]); picked[g] = P(targets[g]) (0 if the target is
/// negative), total[g] = sum over v of P(v) (nullable).
void ragkit_marginal(intptr_t groups, intptr_t documents, intptr_t vocabulary, const float *logits, const float *priors,
                     const int32_t *targets, float *lse, float *picked, float *total);
/// Replaces logits by their gradient and overwrites d_priors [groups, documents]. d_total nullable.
void ragkit_marginal_gradient(intptr_t groups, intptr_t documents, intptr_t vocabulary, float *logits,
                              const float *priors, const int32_t *targets, const float *lse, const float *d_picked,
                              const float *d_total, float *d_priors);

// MARK: Decoding (decoding.c)

/// RAG-token's marginal for every entry of the vocabulary. Row (g * documents + j) * beams + b of `logits` is beam b of
/// group g given document j: y[g * beams + b, v] = logsumexp_j(logits[.., v] - lse[..] + priors[g, j]), lse = log sum
/// exp of each row of logits.
void ragkit_marginal_log_probabilities(intptr_t groups, intptr_t documents, intptr_t beams, intptr_t vocabulary,
                                       const float *logits, const float *priors, float *lse, float *y);
/// The `count` best scores of each group of `rows` rows. Row b of group g begins at g * group_stride + b * row_stride,
/// and offsets[g * rows + b] is added to its `width` scores. best[g, i] = b * width + column, by descending score, ties
/// by ascending index, NaN as -infinity. If count > rows * width, the rest is -1 and -infinity.
void ragkit_top_scores(intptr_t groups, intptr_t rows, intptr_t width, const float *scores, intptr_t group_stride,
                       intptr_t row_stride, const float *offsets, intptr_t count, int32_t *best, float *best_scores);

// MARK: Optimizer (optimizer.c)

typedef struct {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float bias_correction1, bias_correction2;  // 1 - beta^step
    float gradient_scale;                      // the factor that clips the gradient
    bool transformers_variant;  // eps added before the second correction, decay after the update (transformers.AdamW)
} ragkit_adamw_step;
/// One AdamW update in one pass over memory. torch variant: p *= 1 - lr * decay; p -= lr * m^ / (sqrt(v^) + eps).
void ragkit_adamw(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2);
/// ragkit_adamw of a matrix [rows, columns] that also rebuilds its packs (Float32 or bfloat16, either direction), a few
/// rows at a time while these are in cache.
void ragkit_adamw_packing(intptr_t rows, intptr_t columns, const ragkit_adamw_step *step, const float *gradient,
                          float *parameter, float *moment1, float *moment2, intptr_t pack_count, void *const *packs);

// MARK: Search (search.c)

/// Exact inner-product search: for each query the `count` (<= rows) rows of highest score, best first, ties by lower
/// row. NaN scores rank last. excluded: for query i, rows excluded[excluded_offsets[i] ..< excluded_offsets[i+1]],
/// sorted ascending, are skipped (both nullable together). If fewer than `count` rows are allowed, the rest is row -1
/// and score -infinity.
void ragkit_search(intptr_t queries, intptr_t rows, intptr_t dimension, const float *query, const float *base,
                   intptr_t count, const intptr_t *excluded_offsets, const intptr_t *excluded, intptr_t *found,
                   float *scores);

// MARK: Conversions (conversions.c)

void ragkit_from_bfloat16(intptr_t n, const uint16_t *x, float *y);
void ragkit_from_float16(intptr_t n, const uint16_t *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
