// Shared by the forward and the backward pass of attention; see attention.c.

#ifndef RAGKIT_ATTENTION_H
#define RAGKIT_ATTENTION_H

#include "internal.h"

/// Query rows that are computed together. All see the same concatenation of key segments.
typedef struct {
    intptr_t segment;    // the query segment whose list of attended segments is used
    intptr_t row, rows;  // in q
    intptr_t position;   // of the first row in its segment
    intptr_t length;     // of the segment
    intptr_t keys;       // length of the concatenation
    bool bfloat16;       // operands of its products are rounded to bfloat16
} ragkit_query_block;

/// Key rows that are contiguous both in memory and in the concatenation. Blocks of few rows get short runs.
typedef struct {
    intptr_t next;                 // the next entry of `attended`
    intptr_t row, column, length;  // first row in k and v, first column in the concatenation, number of rows
    intptr_t remaining;            // contiguous rows after these
} ragkit_key_run;

/// The length of the concatenation that a query segment attends to.
intptr_t ragkit_attended_keys(const ragkit_attention *attention, intptr_t segment);
/// The number of elements of the dropout stream per query row and head: the longest concatenation of the call, rounded
/// up to a whole Philox block.
intptr_t ragkit_dropout_row(const ragkit_attention *attention);
/// The number of query rows in a block: of `length` rows, as many as keep scores of `keys` columns in the second cache.
intptr_t ragkit_query_rows(intptr_t keys, intptr_t length);
/// The empty run before the first one.
ragkit_key_run ragkit_first_run(const ragkit_attention *attention, const ragkit_query_block *block);
/// Advances to the next run of the block's keys, clipped to columns below `limit`. Returns false at the end.
bool ragkit_next_run(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t limit, ragkit_key_run *run);
/// The number of keys that row `i` of the block sees.
intptr_t ragkit_visible_keys(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t i);
/// scores [rows, stride] = scale * q.k + biases, for columns below `limit`.
void ragkit_attention_scores(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t head,
                             intptr_t limit, float *scores, intptr_t stride);

/// True if products of a query segment round their operands to bfloat16.
bool ragkit_uses_bfloat16(const ragkit_attention *attention, intptr_t segment);
/// One of a block's products, C = alpha * op(A) * op(B) + beta * C, on the calling thread.
void ragkit_block_product(const ragkit_query_block *block, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n,
                          intptr_t k, float alpha, const float *a, intptr_t lda, const float *b, intptr_t ldb,
                          float beta, float *c, intptr_t ldc);

static inline intptr_t ragkit_score_stride(intptr_t keys) { return ragkit_ceil_div(keys, 16) * 16; }

static inline uint64_t ragkit_dropout_first(const ragkit_attention *attention, intptr_t row, intptr_t head,
                                            intptr_t dropout_row) {
    return ((uint64_t)row * (uint64_t)attention->heads + (uint64_t)head) * (uint64_t)dropout_row;
}

#endif
