// Attention, backward. For one head and a block of m query rows over n keys, the probabilities are recomputed from the
// scores and the log-sum-exp of each row:
//
//     P = exp(S - lse)       [m, n]      D = rowsum(dO * O) = rowsum(P * dP)   [m], the same with dropout
//     dV += drop(P)^T dO     [n, d]      dS = drop(P) * (dO V^T) - P * D       [m, n]
//     dQ = scale * dS K      [m, d]      dK += scale * dS^T Q                  [n, d]
//
// drop(P) is P with its dropout mask and scale. Source: FlashAttention's backward pass (Dao et al. 2022,
// arXiv:2205.14135, algorithm 4), with whole rows of S instead of tiles. The naive version is
// `AttentionProblem.naive` in the tests.
//
// Query segments that share a key segment, directly or through others, form a group. A work item is one group and one
// head, so no element is written by two threads and the order of sums does not depend on their number.

#include "attention.h"

enum { MAX_PARTS = 8, PART_MEMORY = 1 << 25 };  // copies of the head bias's gradient: number, floats in total

typedef struct {
    const ragkit_attention *attention;
    ragkit_dropout_plan plan;
    intptr_t dropout_row, scratch;  // floats in each of the two buffers
    const float *out, *lse, *d_out;
    intptr_t out_stride, d_out_stride, dq_stride, dk_stride, dv_stride;
    float *dq, *dk, *dv;
    intptr_t groups;
    intptr_t *group_offsets, *segments;  // group g holds query segments segments[group_offsets[g] ..< group_offsets[g+1]]
    intptr_t parts;                      // the groups in parts; each has a copy of the head bias's gradient
    float *d_head_bias, *more_head_bias, *d_segment_bias;  // the last [heads, attended]
} job;

static intptr_t find(intptr_t *parent, intptr_t i) {
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

// Groups in the order of their first query segment, segments ascending in each.
static void make_groups(const ragkit_attention *attention, job *j) {
    intptr_t queries = attention->q_segments, keys = attention->k_segments;
    const intptr_t *offsets = attention->attended_offsets;
    // one node for each key segment and one for each query segment
    intptr_t *parent = ragkit_allocate((size_t)(2 * (keys + queries)) * sizeof(intptr_t));
    intptr_t *group_of = parent + keys + queries;
    for (intptr_t i = 0; i < keys + queries; i++) {
        parent[i] = i;
        group_of[i] = -1;
    }
    for (intptr_t s = 0; s < queries; s++) {
        for (intptr_t a = offsets[s]; a < offsets[s + 1]; a++) {
            parent[find(parent, attention->attended[a])] = find(parent, keys + s);
        }
    }
    j->group_offsets = ragkit_allocate((size_t)(queries + 2) * sizeof(intptr_t));
    j->segments = ragkit_allocate((size_t)queries * sizeof(intptr_t));
    memset(j->group_offsets, 0, (size_t)(queries + 2) * sizeof(intptr_t));
    intptr_t *fill = j->group_offsets + 2;  // the groups' sizes, then the place of each group's next segment
    for (intptr_t s = 0; s < queries; s++) {
        intptr_t root = find(parent, keys + s);
        if (group_of[root] < 0) group_of[root] = j->groups++;
        fill[group_of[root]]++;
    }
    for (intptr_t g = 1; g < j->groups; g++) j->group_offsets[g + 1] += j->group_offsets[g];
    for (intptr_t s = 0; s < queries; s++) {
        j->segments[j->group_offsets[1 + group_of[find(parent, keys + s)]]++] = s;
    }
    free(parent);
}

static void add_bias_gradients(const job *j, const ragkit_query_block *block, intptr_t head, intptr_t limit,
                               const float *ds, intptr_t stride, float *d_head_bias) {
    const ragkit_attention *attention = j->attention;
    const ragkit_kernel_table *kernels = ragkit_kernels();
    const intptr_t *offsets = attention->attended_offsets;
    intptr_t start = 0;
    for (intptr_t a = offsets[block->segment]; a < offsets[block->segment + 1] && start < limit; a++) {
        intptr_t t = attention->attended[a];
        intptr_t whole = attention->k_offsets[t + 1] - attention->k_offsets[t];
        intptr_t length = ragkit_min(whole, limit - start);
        double total = 0;
        for (intptr_t i = 0; i < block->rows; i++) {
            const float *row = ds + i * stride + start;
            if (d_head_bias) {
                float *bias = d_head_bias
                    + (head * attention->bias_rows + block->position + i) * attention->bias_columns;
                kernels->add(length, row, bias, bias);
            }
            if (j->d_segment_bias) total += kernels->sum(length, row);
        }
        if (j->d_segment_bias) j->d_segment_bias[head * offsets[attention->q_segments] + a] += (float)total;
        start += whole;
    }
}

// p: scores on entry, probabilities after dropout on return. ds: dO V^T on entry, the gradient of the scores on return.
// `whole` has room for a row.
static void score_gradient(const job *j, const ragkit_query_block *block, intptr_t head, intptr_t limit, float *p,
                           float *ds, intptr_t stride, float *whole) {
    const ragkit_attention *attention = j->attention;
    const ragkit_kernel_table *kernels = ragkit_kernels();
    intptr_t width = attention->head_dim, column = head * width;
    for (intptr_t i = 0; i < block->rows; i++) {
        intptr_t row = block->row + i, visible = ragkit_visible_keys(attention, block, i);
        float lse = j->lse[row * attention->heads + head];
        float *dropped = p + i * stride, *gradient = ds + i * stride;
        float *probabilities = j->plan.threshold > 0 ? whole : dropped;
        if (lse == -INFINITY) visible = 0;
        kernels->exp_shifted(visible, lse, dropped, probabilities);
        float inner = (float)kernels->dot(width, j->out + row * j->out_stride + column,
                                          j->d_out + row * j->d_out_stride + column);
        if (j->plan.threshold > 0) {
            uint64_t first = ragkit_dropout_first(attention, row, head, j->dropout_row);
            kernels->dropout(visible, &j->plan, first, probabilities, NULL, dropped);
        }
        kernels->attention_gradient(visible, probabilities, dropped, inner, gradient);
        kernels->fill(limit - visible, 0, dropped + visible);
        kernels->fill(limit - visible, 0, gradient + visible);
    }
}

static void backward_block(const job *j, const ragkit_query_block *block, intptr_t head, float *d_head_bias) {
    const ragkit_attention *attention = j->attention;
    intptr_t width = attention->head_dim, column = head * width, stride = ragkit_score_stride(block->keys);
    intptr_t limit = ragkit_visible_keys(attention, block, block->rows - 1);
    const float *q = attention->q + block->row * attention->q_stride + column;
    const float *d_out = j->d_out + block->row * j->d_out_stride + column;
    float *dq = j->dq + block->row * j->dq_stride + column;
    float *p = ragkit_scratch((size_t)(2 * j->scratch + stride) * sizeof(float)), *ds = p + j->scratch;
    const ragkit_key_run start = ragkit_first_run(attention, block);
    ragkit_key_run run = start;
    ragkit_attention_scores(attention, block, head, limit, p, stride);
    while (ragkit_next_run(attention, block, limit, &run)) {
        ragkit_block_product(block, false, true, block->rows, run.length, width, 1, d_out, j->d_out_stride,
                             attention->v + run.row * attention->v_stride + column, attention->v_stride, 0,
                             ds + run.column, stride);
    }
    score_gradient(j, block, head, limit, p, ds, stride, ds + j->scratch);
    float beta = 0;
    run = start;
    while (ragkit_next_run(attention, block, limit, &run)) {
        const float *k = attention->k + run.row * attention->k_stride + column;
        ragkit_block_product(block, true, false, run.length, width, block->rows, 1, p + run.column, stride, d_out,
                             j->d_out_stride, 1, j->dv + run.row * j->dv_stride + column, j->dv_stride);
        ragkit_block_product(block, false, false, block->rows, width, run.length, attention->scale, ds + run.column, stride, k,
                             attention->k_stride, beta, dq, j->dq_stride);
        ragkit_block_product(block, true, false, run.length, width, block->rows, attention->scale, ds + run.column, stride, q,
                             attention->q_stride, 1, j->dk + run.row * j->dk_stride + column, j->dk_stride);
        beta = 1;
    }
    if (beta == 0) {
        for (intptr_t i = 0; i < block->rows; i++) ragkit_kernels()->fill(width, 0, dq + i * j->dq_stride);
    }
    if (d_head_bias || j->d_segment_bias) add_bias_gradients(j, block, head, limit, ds, stride, d_head_bias);
}

static void backward_group(const job *j, intptr_t group, intptr_t head, float *d_head_bias) {
    const ragkit_attention *attention = j->attention;
    for (intptr_t i = j->group_offsets[group]; i < j->group_offsets[group + 1]; i++) {
        intptr_t s = j->segments[i], begin = attention->q_offsets[s], length = attention->q_offsets[s + 1] - begin;
        intptr_t keys = ragkit_attended_keys(attention, s), rows = ragkit_query_rows(keys, length);
        for (intptr_t position = 0; position < length; position += rows) {
            ragkit_query_block block = {
                .segment = s, .row = begin + position, .rows = ragkit_min(rows, length - position),
                .position = position, .length = length, .keys = keys,
                .bfloat16 = ragkit_uses_bfloat16(attention, s),
            };
            backward_block(j, &block, head, d_head_bias);
        }
    }
}

// An item is a part and a head. A part is a range of groups: one group, unless there is a head bias.
static void backward_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    const ragkit_attention *attention = j->attention;
    for (intptr_t item = begin; item < end; item++) {
        intptr_t part = item / attention->heads, head = item % attention->heads;
        float *d_head_bias = j->d_head_bias;
        if (part > 0 && d_head_bias) {
            d_head_bias = j->more_head_bias
                + (part - 1) * attention->heads * attention->bias_rows * attention->bias_columns;
        }
        intptr_t last = (part + 1) * j->groups / j->parts;
        for (intptr_t g = part * j->groups / j->parts; g < last; g++) backward_group(j, g, head, d_head_bias);
    }
}

static void clear_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    size_t bytes = (size_t)(j->attention->heads * j->attention->head_dim) * sizeof(float);
    for (intptr_t r = begin + j->attention->k_offsets[0]; r < end + j->attention->k_offsets[0]; r++) {
        memset(j->dk + r * j->dk_stride, 0, bytes);
        memset(j->dv + r * j->dv_stride, 0, bytes);
    }
}

// Adds the bias gradients of the parts and of the heads, in order.
static void combine_biases(const job *j, float *d_segment_bias) {
    const ragkit_attention *attention = j->attention;
    intptr_t size = attention->heads * attention->bias_rows * attention->bias_columns;
    for (intptr_t part = 1; j->d_head_bias && part < j->parts; part++) {
        ragkit_add(size, j->d_head_bias, j->more_head_bias + (part - 1) * size, j->d_head_bias);
    }
    intptr_t attended = attention->attended_offsets[attention->q_segments];
    for (intptr_t a = 0; d_segment_bias && a < attended; a++) {
        double total = 0;
        for (intptr_t h = 0; h < attention->heads; h++) total += (double)j->d_segment_bias[h * attended + a];
        d_segment_bias[a] = (float)total;
    }
}

void ragkit_attention_backward(const ragkit_attention *attention, const float *out, intptr_t out_stride,
                               const float *lse, const float *d_out, intptr_t d_out_stride, float *dq,
                               intptr_t dq_stride, float *dk, intptr_t dk_stride, float *dv, intptr_t dv_stride,
                               float *d_head_bias, float *d_segment_bias) {
    job j = {
        .attention = attention, .plan = ragkit_plan_dropout(attention->dropout),
        .dropout_row = ragkit_dropout_row(attention), .out = out, .lse = lse, .d_out = d_out, .out_stride = out_stride,
        .d_out_stride = d_out_stride, .dq_stride = dq_stride, .dk_stride = dk_stride, .dv_stride = dv_stride,
        .dq = dq, .dk = dk, .dv = dv, .d_head_bias = d_head_bias,
    };
    intptr_t width = attention->heads * attention->head_dim;
    ragkit_parallel_ranges(attention->k_offsets[attention->k_segments] - attention->k_offsets[0], 2 * width,
                           clear_range, &j);
    make_groups(attention, &j);
    intptr_t work = 0;
    for (intptr_t s = 0; s < attention->q_segments; s++) {
        intptr_t keys = ragkit_attended_keys(attention, s), rows = attention->q_offsets[s + 1] - attention->q_offsets[s];
        j.scratch = ragkit_max(j.scratch, ragkit_query_rows(keys, rows) * ragkit_score_stride(keys));
        work += rows * (keys + 1);
    }
    j.parts = j.groups;
    intptr_t size = attention->heads * attention->bias_rows * attention->bias_columns;
    if (d_head_bias) {
        j.parts = ragkit_min(j.groups, ragkit_max(1, ragkit_min(MAX_PARTS, PART_MEMORY / ragkit_max(size, 1))));
        ragkit_fill(size, 0, d_head_bias);
        if (j.parts > 1) {
            j.more_head_bias = ragkit_allocate((size_t)((j.parts - 1) * size) * sizeof(float));
            ragkit_fill((j.parts - 1) * size, 0, j.more_head_bias);
        }
    }
    if (d_segment_bias) {
        size_t bytes = (size_t)(attention->heads * attention->attended_offsets[attention->q_segments]) * sizeof(float);
        j.d_segment_bias = ragkit_allocate(bytes);
        memset(j.d_segment_bias, 0, bytes);
    }
    if (j.groups > 0) {
        intptr_t cost = work / j.parts * (attention->head_dim / 2 + 10);
        ragkit_parallel_ranges(j.parts * attention->heads, ragkit_max(cost, 1), backward_range, &j);
    }
    combine_biases(&j, d_segment_bias);
    free(j.group_offsets);
    free(j.segments);
    free(j.more_head_bias);
    free(j.d_segment_bias);
}
