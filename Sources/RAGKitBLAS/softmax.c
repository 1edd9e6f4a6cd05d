// Softmax, log-softmax and log-sum-exp of rows.

#include "internal.h"

typedef struct {
    const ragkit_kernel_table *kernels;
    void (*map)(intptr_t n, const float *x, float *y);
    void (*gradient)(intptr_t n, const float *y, const float *dy, float *dx);
    intptr_t width;
    const float *x, *dy;
    float *y;
} job;

static void map_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) j->map(j->width, j->x + r * j->width, j->y + r * j->width);
}

void ragkit_softmax(intptr_t rows, intptr_t width, const float *x, float *y) {
    job j = {.map = ragkit_kernels()->softmax, .width = width, .x = x, .y = y};
    ragkit_parallel_ranges(rows, width * RAGKIT_EXP_COST, map_range, &j);
}

void ragkit_log_softmax(intptr_t rows, intptr_t width, const float *x, float *y) {
    job j = {.map = ragkit_kernels()->log_softmax, .width = width, .x = x, .y = y};
    ragkit_parallel_ranges(rows, width * RAGKIT_EXP_COST, map_range, &j);
}

static void log_sum_exp_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) j->y[r] = j->kernels->log_sum_exp(j->width, j->x + r * j->width, NULL);
}

void ragkit_log_sum_exp(intptr_t rows, intptr_t width, const float *x, float *y) {
    job j = {.kernels = ragkit_kernels(), .width = width, .x = x, .y = y};
    ragkit_parallel_ranges(rows, width * RAGKIT_EXP_COST, log_sum_exp_range, &j);
}

static void gradient_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        j->gradient(j->width, j->x + r * j->width, j->dy + r * j->width, j->y + r * j->width);
    }
}

void ragkit_softmax_gradient(intptr_t rows, intptr_t width, const float *y, const float *dy, float *dx) {
    job j = {.gradient = ragkit_kernels()->softmax_gradient, .width = width, .x = y, .dy = dy, .y = dx};
    ragkit_parallel_ranges(rows, width, gradient_range, &j);
}

void ragkit_log_softmax_gradient(intptr_t rows, intptr_t width, const float *y, const float *dy, float *dx) {
    job j = {.gradient = ragkit_kernels()->log_softmax_gradient, .width = width, .x = y, .dy = dy, .y = dx};
    ragkit_parallel_ranges(rows, width * RAGKIT_EXP_COST, gradient_range, &j);
}
