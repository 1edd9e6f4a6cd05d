// Dropout. The mask is a function of seed, stream and element index. So it is never stored, and it depends neither on
// the number of threads nor on the order of the work.

#include "internal.h"

ragkit_dropout_plan ragkit_plan_dropout(ragkit_dropout dropout) {
    ragkit_dropout_plan plan = {0, 1, dropout.seed, dropout.stream};
    if (!(dropout.rate > 0)) return plan;
    double threshold = round((double)dropout.rate * 65536);
    plan.threshold = threshold > 65536 ? 65536 : (uint32_t)threshold;
    // a rate of 1 keeps no element that could be scaled
    plan.scale = plan.threshold >= 65536 ? 0 : (float)(1 / (1 - plan.threshold / 65536.0));
    return plan;
}

typedef struct {
    const ragkit_kernel_table *kernels;
    ragkit_dropout_plan plan;
    uint64_t first;
    const float *x;
    float *y;
} job;

static void dropout_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->dropout(end - begin, &j->plan, j->first + (uint64_t)begin, j->x + begin, NULL, j->y + begin);
}

void ragkit_apply_dropout(intptr_t n, ragkit_dropout dropout, intptr_t first, const float *x, float *y) {
    if (n <= 0) return;
    job j = {ragkit_kernels(), ragkit_plan_dropout(dropout), (uint64_t)first, x, y};
    if (j.plan.threshold == 0) {
        if (x != y) ragkit_affine(n, 1, -0.0f, x, y);
        return;
    }
    ragkit_parallel_ranges(n, 2, dropout_range, &j);
}

void ragkit_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53U * c0, p1 = (uint64_t)0xCD9E8D57U * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
