// AdamW, split over the threads.

#include "internal.h"

typedef struct {
    const ragkit_kernel_table *kernels;
    const ragkit_adamw_step *step;
    const float *gradient;
    float *parameter, *moment1, *moment2;
    intptr_t rows, columns;  // of a matrix with packs
    intptr_t pack_count;
    void *const *packs;
} job;

static void adamw_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->adamw(end - begin, j->step, j->gradient + begin, j->parameter + begin, j->moment1 + begin,
                      j->moment2 + begin);
}

void ragkit_adamw(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2) {
    job j = {
        .kernels = ragkit_kernels(), .step = step, .gradient = gradient, .parameter = parameter, .moment1 = moment1,
        .moment2 = moment2,
    };
    ragkit_parallel_ranges(n, 3, adamw_range, &j);
}

static void adamw_and_packs(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t block = begin; block < end; block++) {
        intptr_t first = block * RAGKIT_PACK_ROWS, last = ragkit_min(first + RAGKIT_PACK_ROWS, j->rows);
        adamw_range(context, first * j->columns, last * j->columns);
        for (intptr_t i = 0; i < j->pack_count; i++) {
            ragkit_pack_rows(j->packs[i], first, last, j->parameter, j->columns);
        }
    }
}

void ragkit_adamw_packing(intptr_t rows, intptr_t columns, const ragkit_adamw_step *step, const float *gradient,
                          float *parameter, float *moment1, float *moment2, intptr_t pack_count, void *const *packs) {
    job j = {
        .kernels = ragkit_kernels(), .step = step, .gradient = gradient, .parameter = parameter, .moment1 = moment1,
        .moment2 = moment2, .rows = rows, .columns = columns, .pack_count = pack_count, .packs = packs,
    };
    ragkit_parallel_ranges(ragkit_ceil_div(rows, RAGKIT_PACK_ROWS), RAGKIT_PACK_ROWS * columns * (3 + pack_count),
                           adamw_and_packs, &j);
}
