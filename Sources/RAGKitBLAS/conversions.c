// Conversions between Float32 and the 16-bit formats of checkpoints.

#include "internal.h"

typedef struct {
    void (*widen)(intptr_t n, const uint16_t *x, float *y);
    void (*narrow)(intptr_t n, const float *x, uint16_t *y);
    uint16_t *half;
    float *full;
} job;

static void widen_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->widen(end - begin, j->half + begin, j->full + begin);
}

static void narrow_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->narrow(end - begin, j->full + begin, j->half + begin);
}

void ragkit_from_bfloat16(intptr_t n, const uint16_t *x, float *y) {
    job j = {.widen = ragkit_kernels()->from_bfloat16, .half = (uint16_t *)x, .full = y};
    ragkit_parallel_ranges(n, 1, widen_range, &j);
}

void ragkit_from_float16(intptr_t n, const uint16_t *x, float *y) {
    job j = {.widen = ragkit_kernels()->from_float16, .half = (uint16_t *)x, .full = y};
    ragkit_parallel_ranges(n, 1, widen_range, &j);
}

void ragkit_to_bfloat16(intptr_t n, const float *x, uint16_t *y) {
    job j = {.narrow = ragkit_kernels()->to_bfloat16, .half = y, .full = (float *)x};
    ragkit_parallel_ranges(n, 1, narrow_range, &j);
}
