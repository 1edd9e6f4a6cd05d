// Log-softmax losses over a vocabulary, which read every logit but keep a few numbers per row: the log-sum-exp, the
// target's log probability and the sum of all log probabilities.

#include "internal.h"

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t documents, vocabulary;
    const float *logits_in, *priors, *lse_in, *d_picked, *d_total;
    const int32_t *targets;
    float *logits, *lse, *picked, *total, *d_priors;
} job;

static void pick_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        const float *row = j->logits_in + r * j->vocabulary;
        double plain = 0;
        float lse = j->kernels->log_sum_exp(j->vocabulary, row, j->total ? &plain : NULL);
        j->lse[r] = lse;
        j->picked[r] = j->targets[r] < 0 ? 0 : row[j->targets[r]] - lse;
        if (j->total) j->total[r] = (float)(plain - (double)j->vocabulary * (double)lse);
    }
}

void ragkit_pick_log_softmax(intptr_t rows, intptr_t vocabulary, const float *logits, const int32_t *targets,
                             float *lse, float *picked, float *total) {
    job j = {
        .kernels = ragkit_kernels(), .vocabulary = vocabulary, .logits_in = logits, .targets = targets, .lse = lse,
        .picked = picked, .total = total,
    };
    ragkit_parallel_ranges(rows, vocabulary * RAGKIT_EXP_COST, pick_range, &j);
}

// d logits = d_picked * (onehot - p) + d_total * (1 - V p)
static void pick_gradient_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        float *row = j->logits + r * j->vocabulary;
        float d_picked = j->targets[r] < 0 ? 0 : j->d_picked[r];
        float d_total = j->d_total ? j->d_total[r] : 0;
        float scale = -(d_picked + d_total * (float)j->vocabulary);
        if (scale == 0) {
            j->kernels->fill(j->vocabulary, d_total, row);
        } else {
            j->kernels->pick_gradient(j->vocabulary, j->lse_in[r], scale, d_total, row);
        }
        if (j->targets[r] >= 0) row[j->targets[r]] += d_picked;
    }
}

void ragkit_pick_log_softmax_gradient(intptr_t rows, intptr_t vocabulary, float *logits, const int32_t *targets,
                                      const float *lse, const float *d_picked, const float *d_total) {
    job j = {
        .kernels = ragkit_kernels(), .vocabulary = vocabulary, .logits = logits, .targets = targets, .lse_in = lse,
        .d_picked = d_picked, .d_total = d_total,
    };
    ragkit_parallel_ranges(rows, vocabulary * RAGKIT_EXP_COST, pick_gradient_range, &j);
}

// MARK: RAG-token's marginal

// shift[d] = lse - prior, so that logits - shift is log P(token, document d).
static void make_shifts(const job *j, intptr_t group, const float *lse, float *shift) {
    for (intptr_t d = 0; d < j->documents; d++) {
        shift[d] = lse[group * j->documents + d] - j->priors[group * j->documents + d];
    }
}

// log P(target) of one group, in Double
static double marginal_at(const job *j, const float *logits, const float *shift, int32_t target) {
    double best = -INFINITY;
    for (intptr_t d = 0; d < j->documents; d++) {
        best = fmax(best, (double)logits[d * j->vocabulary + target] - (double)shift[d]);
    }
    if (best == -INFINITY) return best;
    double total = 0;
    for (intptr_t d = 0; d < j->documents; d++) {
        total += exp((double)logits[d * j->vocabulary + target] - (double)shift[d] - best);
    }
    return best + log(total);
}

static void marginal_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    float *shift = ragkit_allocate((size_t)j->documents * sizeof(float));
    for (intptr_t g = begin; g < end; g++) {
        const float *logits = j->logits_in + g * j->documents * j->vocabulary;
        make_shifts(j, g, j->lse, shift);
        j->picked[g] = j->targets[g] < 0 ? 0 : (float)marginal_at(j, logits, shift, j->targets[g]);
        if (j->total) {
            j->total[g] = (float)j->kernels->marginal(j->documents, j->vocabulary, j->vocabulary, logits, shift);
        }
    }
    free(shift);
}

void ragkit_marginal(intptr_t groups, intptr_t documents, intptr_t vocabulary, const float *logits, const float *priors,
                     const int32_t *targets, float *lse, float *picked, float *total) {
    job j = {
        .kernels = ragkit_kernels(), .documents = documents, .vocabulary = vocabulary, .logits_in = logits,
        .priors = priors, .targets = targets, .lse = lse, .picked = picked, .total = total,
    };
    ragkit_log_sum_exp(groups * documents, vocabulary, logits, lse);
    ragkit_parallel_ranges(groups, documents * vocabulary * RAGKIT_EXP_COST, marginal_range, &j);
}

// With w_d(v) = exp(logits - shift - P(v)) the posterior weight of document d and dP(v) = d_picked [v = target] +
// d_total: d prior_d = sum over v of dP(v) w_d(v), and d logits_d(v) = dP(v) w_d(v) - softmax_d(v) d prior_d.
static void marginal_gradient_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    size_t documents = (size_t)j->documents;
    float *shift = ragkit_allocate((2 + 2 * 16) * documents * sizeof(float));
    float *at_target = shift + documents, *scratch = at_target + documents;
    double *sums = ragkit_allocate(documents * sizeof(double));
    for (intptr_t g = begin; g < end; g++) {
        float *logits = j->logits + g * j->documents * j->vocabulary;
        float *d_priors = j->d_priors + g * j->documents;
        int32_t target = j->targets[g];
        float d_total = j->d_total ? j->d_total[g] : 0;
        make_shifts(j, g, j->lse_in, shift);
        memset(sums, 0, documents * sizeof(double));
        if (d_total != 0) {
            j->kernels->marginal_weights(j->documents, j->vocabulary, j->vocabulary, logits, shift, scratch,
                                         sums);
        }
        double p = target < 0 ? 0 : marginal_at(j, logits, shift, target);
        for (intptr_t d = 0; d < j->documents; d++) {
            at_target[d] = 0;
            if (target >= 0 && p > -INFINITY) {
                double weight = exp((double)logits[d * j->vocabulary + target] - (double)shift[d] - p);
                at_target[d] = (float)(weight * (double)j->d_picked[g]);
            }
            d_priors[d] = (float)(sums[d] * (double)d_total + (double)at_target[d]);
        }
        j->kernels->marginal_gradient(j->documents, j->vocabulary, j->vocabulary, logits, shift,
                                      j->lse_in + g * j->documents, d_total, d_priors, scratch);
        if (target < 0) continue;
        for (intptr_t d = 0; d < j->documents; d++) logits[d * j->vocabulary + target] += at_target[d];
    }
    free(shift);
    free(sums);
}

void ragkit_marginal_gradient(intptr_t groups, intptr_t documents, intptr_t vocabulary, float *logits,
                              const float *priors, const int32_t *targets, const float *lse, const float *d_picked,
                              const float *d_total, float *d_priors) {
    job j = {
        .kernels = ragkit_kernels(), .documents = documents, .vocabulary = vocabulary, .logits = logits,
        .priors = priors, .targets = targets, .lse_in = lse, .d_picked = d_picked, .d_total = d_total,
        .d_priors = d_priors,
    };
    ragkit_parallel_ranges(groups, documents * vocabulary * RAGKIT_EXP_COST, marginal_gradient_range, &j);
}
