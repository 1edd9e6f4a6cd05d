// Decoding: RAG-token's marginal for every token of the vocabulary, and the top scores.

#include "internal.h"

// MARK: Marginal

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t documents, beams, vocabulary;
    const float *logits, *priors;
    float *lse, *y;
} marginal_job;

static void marginal_range(void *context, intptr_t begin, intptr_t end) {
    const marginal_job *j = context;
    float *shift = ragkit_allocate((size_t)j->documents * sizeof(float));
    for (intptr_t r = begin; r < end; r++) {
        intptr_t group = r / j->beams, first = group * j->documents * j->beams + r % j->beams;
        for (intptr_t d = 0; d < j->documents; d++) {
            shift[d] = j->lse[first + d * j->beams] - j->priors[group * j->documents + d];
        }
        j->kernels->marginal_row(j->documents, j->beams * j->vocabulary, j->vocabulary,
                                 j->logits + first * j->vocabulary, shift, j->y + r * j->vocabulary);
    }
    free(shift);
}

void ragkit_marginal_log_probabilities(intptr_t groups, intptr_t documents, intptr_t beams, intptr_t vocabulary,
                                       const float *logits, const float *priors, float *lse, float *y) {
    if (groups <= 0 || beams <= 0) return;
    marginal_job j = {
        .kernels = ragkit_kernels(), .documents = documents, .beams = beams, .vocabulary = vocabulary, .logits = logits,
        .priors = priors, .lse = lse, .y = y,
    };
    ragkit_log_sum_exp(groups * documents * beams, vocabulary, logits, lse);
    ragkit_parallel_ranges(groups * beams, documents * vocabulary * RAGKIT_EXP_COST, marginal_range, &j);
}

// MARK: Top scores

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t rows, width, group_stride, row_stride, count;
    const float *scores, *offsets;
    int32_t *best;
    float *best_scores;
} top_job;

// Inserts into a list in descending order. Entries come by ascending index, so ties stay in ascending order of index.
static void insert(intptr_t count, intptr_t *size, float score, int32_t index, float *scores, int32_t *indices) {
    intptr_t i = *size < count ? (*size)++ : count - 1;
    for (; i > 0 && score > scores[i - 1]; i--) {
        scores[i] = scores[i - 1];
        indices[i] = indices[i - 1];
    }
    scores[i] = score;
    indices[i] = index;
}

static void top_of_group(const top_job *j, intptr_t group) {
    float *scores = j->best_scores + group * j->count;
    int32_t *indices = j->best + group * j->count;
    intptr_t size = 0;
    for (intptr_t b = 0; b < j->rows; b++) {
        const float *row = j->scores + group * j->group_stride + b * j->row_stride;
        float offset = j->offsets[group * j->rows + b];
        for (intptr_t i = 0; i < j->width; i++) {
            if (size == j->count) {
                float worst = scores[size - 1];
                if (worst > -INFINITY) {
                    // A bound on the score before the offset is added, lowered by more than the rounding error of the sum.
                    float bound = worst - offset;
                    bound -= (fabsf(bound) + fabsf(worst) + fabsf(offset)) * 0x1p-21f;
                    i = j->kernels->find_greater(i, j->width, bound, row);
                    if (i == j->width) break;
                }
            }
            float score = row[i] + offset;
            if (isnan(score)) score = -INFINITY;
            if (size == j->count && !(score > scores[size - 1])) continue;
            insert(j->count, &size, score, (int32_t)(b * j->width + i), scores, indices);
        }
    }
    for (intptr_t i = size; i < j->count; i++) {
        scores[i] = -INFINITY;
        indices[i] = -1;
    }
}

static void top_range(void *context, intptr_t begin, intptr_t end) {
    for (intptr_t g = begin; g < end; g++) top_of_group(context, g);
}

void ragkit_top_scores(intptr_t groups, intptr_t rows, intptr_t width, const float *scores, intptr_t group_stride,
                       intptr_t row_stride, const float *offsets, intptr_t count, int32_t *best, float *best_scores) {
    if (count <= 0) return;
    top_job j = {
        .kernels = ragkit_kernels(), .rows = rows, .width = width, .group_stride = group_stride,
        .row_stride = row_stride, .count = count, .scores = scores, .offsets = offsets, .best = best,
        .best_scores = best_scores,
    };
    ragkit_parallel_ranges(groups, rows * width, top_range, &j);
}
