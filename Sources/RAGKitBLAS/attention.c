// Attention, forward. For one head, with query rows Q [m, d] and the concatenated keys and values K, V [n, d]:
//
//     S = scale * Q K^T + biases [m, n]     P = softmax(S)     O = dropout(P) V [m, d]     lse = logsumexp(S) [m]
//
// A work item is a block of query rows and one head. Its scores fit in the second cache and become probabilities there.
// Only the log-sum-exp of each row is stored; the backward pass recomputes the probabilities from it, as FlashAttention
// does (Dao et al. 2022, arXiv:2205.14135). Unlike there, a block holds whole rows of S, so the softmax is the ordinary
// one. The naive version is `AttentionProblem.naive` in the tests.
//
// Dropout: probability (query row i of all query rows, head h, position j in the row's concatenation of key segments)
// is element (i * heads + h) * L + j of the stream, L = the longest concatenation of the call rounded up to a multiple of 8.

#include "attention.h"

enum { MAX_ROWS = 192, SCORES = 49152 };

intptr_t ragkit_attended_keys(const ragkit_attention *attention, intptr_t segment) {
    intptr_t keys = 0;
    for (intptr_t a = attention->attended_offsets[segment]; a < attention->attended_offsets[segment + 1]; a++) {
        intptr_t t = attention->attended[a];
        keys += attention->k_offsets[t + 1] - attention->k_offsets[t];
    }
    return keys;
}

intptr_t ragkit_dropout_row(const ragkit_attention *attention) {
    if (!(attention->dropout.rate > 0)) return 0;
    intptr_t longest = 0;
    for (intptr_t s = 0; s < attention->q_segments; s++) {
        longest = ragkit_max(longest, ragkit_attended_keys(attention, s));
    }
    return ragkit_ceil_div(longest, 8) * 8;
}

intptr_t ragkit_query_rows(intptr_t keys, intptr_t length) {
    intptr_t most = ragkit_max(16, ragkit_min(MAX_ROWS, SCORES / ragkit_max(keys, 1)));
    // blocks of about equal size: products of a last block with few rows would be inefficient
    intptr_t blocks = ragkit_max(1, ragkit_ceil_div(length, most));
    return ragkit_max(1, ragkit_ceil_div(length, blocks));
}

// Few-row attention. With m <= 8 query rows, as in decoding, a product reads d elements per key and does only 2 m d
// operations on them: it is bound by memory (a GEMV). The hardware prefetcher does not help, because a head's part of a
// row, d elements every `stride`, is short. So keys come in runs of 32 rows, and during the product with one run the
// memory of a later product is prefetched: the run's values during S = Q K^T, the next head's keys during O = P V.
static bool has_few_rows(const ragkit_query_block *block) { return block->rows <= RAGKIT_GEMV_ROWS; }

ragkit_key_run ragkit_first_run(const ragkit_attention *attention, const ragkit_query_block *block) {
    return (ragkit_key_run){.next = attention->attended_offsets[block->segment]};
}

bool ragkit_next_run(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t limit, ragkit_key_run *run) {
    enum { FEW_KEYS = 32 };
    intptr_t end = attention->attended_offsets[block->segment + 1];
    run->column += run->length;
    run->row += run->length;
    for (bool merging = run->remaining == 0; merging && run->next < end; run->next++) {
        intptr_t t = attention->attended[run->next];
        intptr_t row = attention->k_offsets[t], length = attention->k_offsets[t + 1] - row;
        if (length == 0) continue;
        if (run->remaining == 0) {
            run->row = row;
        } else if (run->row + run->remaining != row) {
            break;
        }
        run->remaining += length;
    }
    run->length = ragkit_min(run->remaining, limit - run->column);
    if (has_few_rows(block)) run->length = ragkit_min(run->length, FEW_KEYS);
    run->remaining -= run->length;
    return run->length > 0;
}

// Prefetches one head's part of a run's rows.
static void prefetch_run(const ragkit_key_run *run, const float *x, intptr_t stride, intptr_t width) {
    enum { LINE = 64 / sizeof(float) };
    for (intptr_t row = run->row; row < run->row + run->length; row++) {
        for (intptr_t i = 0; i < width; i += LINE) __builtin_prefetch(x + row * stride + i, 0, 2);
    }
}

intptr_t ragkit_visible_keys(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t i) {
    if (!attention->causal) return block->keys;
    intptr_t last = block->position + i + block->keys - block->length;
    return ragkit_max(0, ragkit_min(block->keys, last + 1));
}

// Depends on the segment alone, so that its bits depend neither on the other segments of a batch nor on the split into
// blocks, which differs in the backward pass. For few rows, as in decoding, rounding the keys costs more than it saves.
bool ragkit_uses_bfloat16(const ragkit_attention *attention, intptr_t segment) {
    enum { FEW_ROWS = 24 };
    return attention->bfloat16 && ragkit_instruction_level() == RAGKIT_AVX512_BF16
        && attention->q_offsets[segment + 1] - attention->q_offsets[segment] > FEW_ROWS;
}

void ragkit_block_product(const ragkit_query_block *block, bool transpose_a, bool transpose_b, intptr_t m, intptr_t n,
                          intptr_t k, float alpha, const float *a, intptr_t lda, const float *b, intptr_t ldb,
                          float beta, float *c, intptr_t ldc) {
    (block->bfloat16 ? ragkit_gemm_bfloat16_serial : ragkit_gemm_serial)(transpose_a, transpose_b, m, n, k, alpha, a, lda, b,
                                                                       ldb, beta, c, ldc);
}

void ragkit_attention_scores(const ragkit_attention *attention, const ragkit_query_block *block, intptr_t head,
                             intptr_t limit, float *scores, intptr_t stride) {
    intptr_t column = head * attention->head_dim;
    const float *q = attention->q + block->row * attention->q_stride + column;
    ragkit_key_run run = ragkit_first_run(attention, block);
    while (ragkit_next_run(attention, block, limit, &run)) {
        if (has_few_rows(block)) prefetch_run(&run, attention->v + column, attention->v_stride, attention->head_dim);
        const float *k = attention->k + run.row * attention->k_stride + column;
        ragkit_block_product(block, false, true, block->rows, run.length, attention->head_dim, attention->scale, q,
                             attention->q_stride, k, attention->k_stride, 0, scores + run.column, stride);
    }
    if (!attention->head_bias && !attention->segment_bias) return;
    const ragkit_kernel_table *kernels = ragkit_kernels();
    intptr_t start = 0;
    for (intptr_t a = attention->attended_offsets[block->segment];
         a < attention->attended_offsets[block->segment + 1] && start < limit; a++) {
        intptr_t t = attention->attended[a];
        intptr_t whole = attention->k_offsets[t + 1] - attention->k_offsets[t];
        intptr_t length = ragkit_min(whole, limit - start);
        for (intptr_t i = 0; i < block->rows; i++) {
            float *row = scores + i * stride + start;
            if (attention->head_bias) {
                const float *bias = attention->head_bias
                    + (head * attention->bias_rows + block->position + i) * attention->bias_columns;
                kernels->add(length, row, bias, row);
            }
            if (attention->segment_bias) kernels->affine(length, 1, attention->segment_bias[a], row, row);
        }
        start += whole;
    }
}

// MARK: Forward

typedef struct {
    const ragkit_attention *attention;
    const ragkit_query_block *blocks;
    ragkit_dropout_plan plan;
    intptr_t dropout_row, scratch;  // floats
    float *out, *lse;
    intptr_t out_stride;
} job;

static bool same_products(const ragkit_attention *attention, intptr_t s, intptr_t t) {
    const intptr_t *offsets = attention->attended_offsets;
    intptr_t count = offsets[s + 1] - offsets[s];
    return count == offsets[t + 1] - offsets[t]
        && ragkit_uses_bfloat16(attention, s) == ragkit_uses_bfloat16(attention, t)
        && memcmp(attention->attended + offsets[s], attention->attended + offsets[t], (size_t)count * sizeof(intptr_t))
        == 0;
}

// Splits the query rows into blocks and returns their number; `blocks` is nullable. Neighbouring segments that attend
// to the same keys, such as the beams of one document, are merged if a row's position in its segment has no effect.
static intptr_t make_blocks(const ragkit_attention *attention, ragkit_query_block *blocks) {
    bool mergeable = !attention->causal && !attention->head_bias && !attention->segment_bias;
    intptr_t count = 0;
    for (intptr_t s = 0; s < attention->q_segments;) {
        intptr_t next = s + 1;
        while (mergeable && next < attention->q_segments && same_products(attention, s, next)) next++;
        intptr_t begin = attention->q_offsets[s], length = attention->q_offsets[next] - begin;
        intptr_t keys = ragkit_attended_keys(attention, s), rows = ragkit_query_rows(keys, length);
        for (intptr_t position = 0; position < length; position += rows) {
            if (blocks) {
                blocks[count] = (ragkit_query_block){
                    .segment = s, .row = begin + position, .rows = ragkit_min(rows, length - position),
                    .position = position, .length = length, .keys = keys,
                    .bfloat16 = ragkit_uses_bfloat16(attention, s),
                };
            }
            count++;
        }
        s = next;
    }
    return count;
}

static void forward_item(const job *j, const ragkit_query_block *block, intptr_t head, float *scores) {
    const ragkit_attention *attention = j->attention;
    const ragkit_kernel_table *kernels = ragkit_kernels();
    intptr_t width = attention->head_dim, column = head * width, stride = ragkit_score_stride(block->keys);
    intptr_t limit = ragkit_visible_keys(attention, block, block->rows - 1);
    float inverse[MAX_ROWS];
    ragkit_attention_scores(attention, block, head, limit, scores, stride);
    for (intptr_t i = 0; i < block->rows; i++) {
        float *row = scores + i * stride, maximum = -INFINITY, total = 0;
        intptr_t visible = ragkit_visible_keys(attention, block, i);
        if (visible > 0) total = kernels->exp_row(visible, row, row, &maximum);
        kernels->fill(limit - visible, 0, row + visible);
        if (j->plan.threshold > 0) {
            uint64_t first = ragkit_dropout_first(attention, block->row + i, head, j->dropout_row);
            kernels->dropout(visible, &j->plan, first, row, NULL, row);
        }
        inverse[i] = total == 0 ? 0 : 1.0f / total;
        if (j->lse) j->lse[(block->row + i) * attention->heads + head] = total == 0 ? -INFINITY : maximum + logf(total);
    }
    float *out = j->out + block->row * j->out_stride + column;
    float beta = 0;
    bool prefetches_next_head = has_few_rows(block) && head + 1 < attention->heads;
    ragkit_key_run run = ragkit_first_run(attention, block);
    while (ragkit_next_run(attention, block, limit, &run)) {
        if (prefetches_next_head) prefetch_run(&run, attention->k + column + width, attention->k_stride, width);
        ragkit_block_product(block, false, false, block->rows, width, run.length, 1, scores + run.column, stride,
                             attention->v + run.row * attention->v_stride + column, attention->v_stride, beta, out,
                             j->out_stride);
        beta = 1;
    }
    for (intptr_t i = 0; i < block->rows; i++) {
        float *row = out + i * j->out_stride;
        if (beta == 0 || inverse[i] == 0) {
            kernels->fill(width, 0, row);
        } else {
            kernels->affine(width, inverse[i], 0, row, row);
        }
    }
}

static void forward_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    float *scores = ragkit_scratch((size_t)j->scratch * sizeof(float));
    for (intptr_t i = begin; i < end; i++) {
        forward_item(j, &j->blocks[i / j->attention->heads], i % j->attention->heads, scores);
    }
}

void ragkit_attention_forward(const ragkit_attention *attention, float *out, intptr_t out_stride, float *lse) {
    intptr_t count = make_blocks(attention, NULL);
    if (count == 0) return;
    ragkit_query_block *blocks = ragkit_allocate((size_t)count * sizeof(*blocks));
    make_blocks(attention, blocks);
    job j = {
        .attention = attention, .blocks = blocks, .plan = ragkit_plan_dropout(attention->dropout),
        .dropout_row = ragkit_dropout_row(attention), .out = out, .lse = lse, .out_stride = out_stride,
    };
    intptr_t work = 0;
    for (intptr_t i = 0; i < count; i++) {
        j.scratch = ragkit_max(j.scratch, blocks[i].rows * ragkit_score_stride(blocks[i].keys));
        work += blocks[i].rows * (blocks[i].keys + 1);
    }
    // a multiply-add of the two products costs about an eighth of an element of simple work
    intptr_t cost = work / count * (attention->head_dim / 4 + 6);
    ragkit_parallel_ranges(count * attention->heads, ragkit_max(cost, 1), forward_range, &j);
    free(blocks);
}
