// Layer norm (with dropout and residual) and RMS norm. Gradients of gain and bias are summed in Float32 within blocks
// of a fixed number of rows and in Double, in order, across blocks.

#include "internal.h"

enum { ROW_BLOCK = 64 };

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t rows, width;
    const float *x, *residual, *gain, *bias, *dy, *mean_in, *rstd_in;
    ragkit_dropout_plan plan;
    float epsilon;
    float *sum, *y, *mean, *rstd, *dx;
    float *partial;  // [blocks, 2 or 1, width]
} job;

static void layer_norm_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        intptr_t at = r * j->width;
        const float *source = j->x + at;
        float *kept = j->sum ? j->sum + at : j->y + at;
        if (j->plan.threshold > 0) {
            j->kernels->dropout(j->width, &j->plan, (uint64_t)at, source, j->residual ? j->residual + at : NULL, kept);
            source = kept;
        } else if (j->residual) {
            j->kernels->add(j->width, source, j->residual + at, kept);
            source = kept;
        } else if (j->sum) {
            memmove(kept, source, (size_t)j->width * sizeof(float));
        }
        j->kernels->layer_norm(j->width, source, j->gain, j->bias, j->epsilon, j->y + at, j->mean ? j->mean + r : NULL,
                               j->rstd ? j->rstd + r : NULL);
    }
}

void ragkit_layer_norm(intptr_t rows, intptr_t width, const float *x, const float *residual, ragkit_dropout dropout,
                       const float *gain, const float *bias, float epsilon, float *sum, float *y, float *mean,
                       float *rstd) {
    job j = {
        .kernels = ragkit_kernels(), .width = width, .x = x, .residual = residual, .gain = gain, .bias = bias,
        .plan = ragkit_plan_dropout(dropout), .epsilon = epsilon, .sum = sum, .y = y, .mean = mean, .rstd = rstd,
    };
    ragkit_parallel_ranges(rows, width * 2, layer_norm_range, &j);
}

// target (+)= the blocks' partial sums, which are `stride` elements apart
static void combine(intptr_t blocks, intptr_t width, intptr_t stride, const float *partial, bool accumulate,
                    float *target) {
    for (intptr_t c = 0; c < width; c++) {
        double total = accumulate ? (double)target[c] : 0;
        for (intptr_t b = 0; b < blocks; b++) total += (double)partial[b * stride + c];
        target[c] = (float)total;
    }
}

static void layer_norm_gradient_block(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const job *j = context;
    float *dgain = j->partial + item * 2 * j->width, *dbias = dgain + j->width;
    memset(dgain, 0, (size_t)(2 * j->width) * sizeof(float));
    intptr_t end = ragkit_min(j->rows, (item + 1) * ROW_BLOCK);
    for (intptr_t r = item * ROW_BLOCK; r < end; r++) {
        intptr_t at = r * j->width;
        j->kernels->layer_norm_gradient(j->width, j->x + at, j->mean_in[r], j->rstd_in[r], j->gain, j->dy + at,
                                        j->sum + at, dgain, dbias);
        if (!j->dx) continue;
        if (j->plan.threshold > 0) {
            j->kernels->dropout(j->width, &j->plan, (uint64_t)at, j->sum + at, NULL, j->dx + at);
        } else if (j->dx != j->sum) {
            memcpy(j->dx + at, j->sum + at, (size_t)j->width * sizeof(float));
        }
    }
}

static void run_blocks(ragkit_task task, job *j, intptr_t blocks) {
    if (j->rows * j->width <= RAGKIT_GRAIN) {
        for (intptr_t b = 0; b < blocks; b++) task(j, b, 0);
    } else {
        ragkit_parallel(blocks, task, j);
    }
}

void ragkit_layer_norm_gradient(intptr_t rows, intptr_t width, const float *sum, const float *mean, const float *rstd,
                                const float *gain, const float *dy, ragkit_dropout dropout, float *d_sum, float *dx,
                                bool accumulate, float *dgain, float *dbias) {
    intptr_t blocks = ragkit_ceil_div(rows, ROW_BLOCK);
    job j = {
        .kernels = ragkit_kernels(), .rows = rows, .width = width, .x = sum, .mean_in = mean, .rstd_in = rstd,
        .gain = gain, .dy = dy, .plan = ragkit_plan_dropout(dropout), .sum = d_sum, .dx = dx,
    };
    j.partial = ragkit_allocate((size_t)(blocks * 2 * width) * sizeof(float));
    run_blocks(layer_norm_gradient_block, &j, blocks);
    combine(blocks, width, 2 * width, j.partial, accumulate, dgain);
    combine(blocks, width, 2 * width, j.partial + width, accumulate, dbias);
    free(j.partial);
}

static void rms_norm_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        intptr_t at = r * j->width;
        j->kernels->rms_norm(j->width, j->x + at, j->gain, j->epsilon, j->y + at, j->rstd ? j->rstd + r : NULL);
    }
}

void ragkit_rms_norm(intptr_t rows, intptr_t width, const float *x, const float *gain, float epsilon, float *y,
                     float *rstd) {
    job j = {
        .kernels = ragkit_kernels(), .width = width, .x = x, .gain = gain, .epsilon = epsilon, .y = y, .rstd = rstd,
    };
    ragkit_parallel_ranges(rows, width * 2, rms_norm_range, &j);
}

static void rms_norm_gradient_block(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const job *j = context;
    float *dgain = j->partial + item * j->width;
    memset(dgain, 0, (size_t)j->width * sizeof(float));
    intptr_t end = ragkit_min(j->rows, (item + 1) * ROW_BLOCK);
    for (intptr_t r = item * ROW_BLOCK; r < end; r++) {
        intptr_t at = r * j->width;
        j->kernels->rms_norm_gradient(j->width, j->x + at, j->rstd_in[r], j->gain, j->dy + at, j->dx + at, dgain);
    }
}

void ragkit_rms_norm_gradient(intptr_t rows, intptr_t width, const float *x, const float *rstd, const float *gain,
                              const float *dy, float *dx, bool accumulate, float *dgain) {
    intptr_t blocks = ragkit_ceil_div(rows, ROW_BLOCK);
    job j = {
        .kernels = ragkit_kernels(), .rows = rows, .width = width, .x = x, .rstd_in = rstd, .gain = gain, .dy = dy,
        .dx = dx,
    };
    j.partial = ragkit_allocate((size_t)(blocks * width) * sizeof(float));
    run_blocks(rms_norm_gradient_block, &j, blocks);
    combine(blocks, width, width, j.partial, accumulate, dgain);
    free(j.partial);
}
