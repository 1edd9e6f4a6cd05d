// What the forward and backward passes of attention share; see attention.c.

#ifndef RAGKIT_ATTENTION_H
#define RAGKIT_ATTENTION_H

#include "internal.h"

/// Query rows that are computed together: all see the same concatenation of key segments.
typedef struct {
    intptr_t segment;   // whose attended list counts
    intptr_t row, rows; // in q
    intptr_t position;  // of the first row in its segment
    intptr_t length;    // of the segment
    intptr_t keys;      // length of the concatenation
    bool rounds;        // its products' operands, to bfloat16
} ragkit_query_block;

/// Key rows that lie back to back in memory and in the concatenation, a few at a time for blocks of few rows.
typedef struct {
    intptr_t next;  // the attended entry to go on with
    intptr_t row, column, length;
    intptr_t rest;  // rows that follow back to back
} ragkit_key_run;

/// The concatenation's length for a query segment.
intptr_t ragkit_attended_keys(const ragkit_attention *attention, intptr_t segment);
/// The longest concatenation rounded up to a whole Philox block: one row's share of the dropout stream.
intptr_t ragkit_dropout_row(const ragkit_attention *attention);
/// How many of `length` query rows to compute at once so that scores of `keys` columns stay in the second cache.
intptr_t ragkit_query_rows(intptr_t keys, intptr_t length);
/// To begin with: no rows.
ragkit_key_run ragkit_first_run(const ragkit_attention *attention, const ragkit_query_block *block);
/// Steps to the next run of the block's keys whose columns begin below `limit`, clipped to it; false at the end.
bool ragkit_next_run(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t limit, ragkit_key_run *run);
/// Keys that the block's row `i` sees.
intptr_t ragkit_visible_keys(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t i);
/// scores [rows, stride] = scale * q.k + biases, columns below `limit`.
void ragkit_attention_scores(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t head,
                             intptr_t limit, float *scores, intptr_t stride);

/// Whether products of a query segment round their operands.
bool ragkit_rounds_segment(const ragkit_attention *attention, intptr_t segment);
/// One of a block's products, C = alpha * op(A) * op(B) + beta * C, on the calling thread.
void ragkit_block_product(const ragkit_query_block *block, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n,
                          intptr_t k, float alpha, const float *a, intptr_t lda, const float *b, intptr_t ldb,
                          float beta, float *c, intptr_t ldc);

static inline intptr_t ragkit_score_stride(intptr_t keys) { return ragkit_pieces(keys, 16) * 16; }

static inline uint64_t ragkit_dropout_first(const ragkit_attention *attention, intptr_t row, intptr_t head,
                                            intptr_t dropout_row) {
    return ((uint64_t)row * (uint64_t)attention->heads + (uint64_t)head) * (uint64_t)dropout_row;
}

#endif
