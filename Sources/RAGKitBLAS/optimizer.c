// AdamW.

#include "internal.h"

typedef struct {
    const ragkit_kernel_table *kernels;
    const ragkit_adamw_step *step;
    const float *gradient;
    float *parameter, *moment1, *moment2;
} job;

static void adamw_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->adamw(end - begin, j->step, j->gradient + begin, j->parameter + begin, j->moment1 + begin,
                      j->moment2 + begin);
}

void ragkit_adamw(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2) {
    job j = {ragkit_kernels(), step, gradient, parameter, moment1, moment2};
    ragkit_parallel_ranges(n, 3, adamw_range, &j);
}
