// Reductions. Long sums are split into blocks of a fixed size whose results are added in order, so that the number of
// threads does not change the result.

#include "internal.h"

enum { BLOCK = RAGKIT_GRAIN, ROW_BLOCK = 256, COLUMN_TILE = 512 };

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t n, width;
    const float *x, *y;
    double (*one)(intptr_t n, const float *x);
    double (*two)(intptr_t n, const float *x, const float *y);
    double *partial;
    float *out;
    int32_t *indices;
} job;

static void reduce_block(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const job *j = context;
    intptr_t start = item * BLOCK, length = ragkit_min(BLOCK, j->n - start);
    j->partial[item] = j->one ? j->one(length, j->x + start) : j->two(length, j->x + start, j->y + start);
}

static double reduce(job *j) {
    intptr_t blocks = ragkit_ceil_div(j->n, BLOCK);
    if (blocks <= 0) return 0;
    double one = 0;
    j->partial = blocks == 1 ? &one : ragkit_allocate((size_t)blocks * sizeof(double));
    ragkit_parallel(blocks, reduce_block, j);
    double total = j->partial[0];
    for (intptr_t i = 1; i < blocks; i++) total += j->partial[i];
    if (blocks > 1) free(j->partial);
    return total;
}

double ragkit_sum(intptr_t n, const float *x) {
    job j = {.n = n, .x = x, .one = ragkit_kernels()->sum};
    return reduce(&j);
}

double ragkit_sum_of_squares(intptr_t n, const float *x) {
    job j = {.n = n, .x = x, .one = ragkit_kernels()->sum_of_squares};
    return reduce(&j);
}

double ragkit_dot(intptr_t n, const float *x, const float *y) {
    job j = {.n = n, .x = x, .y = y, .two = ragkit_kernels()->dot};
    return reduce(&j);
}

static double not_finite(intptr_t n, const float *x) { return ragkit_kernels()->all_finite(n, x) ? 0 : 1; }

bool ragkit_all_finite(intptr_t n, const float *x) {
    job j = {.n = n, .x = x, .one = not_finite};
    return reduce(&j) == 0;
}

// MARK: Over rows

static void sum_tile(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const job *j = context;
    intptr_t tiles = ragkit_ceil_div(j->width, COLUMN_TILE);
    intptr_t row = item / tiles * ROW_BLOCK, column = item % tiles * COLUMN_TILE;
    j->kernels->sum_rows(ragkit_min(ROW_BLOCK, j->n - row), ragkit_min(COLUMN_TILE, j->width - column), j->width,
                         j->x + row * j->width + column, j->partial + item / tiles * j->width + column);
}

void ragkit_sum_rows(intptr_t rows, intptr_t width, const float *x, bool accumulate, float *y) {
    if (width <= 0) return;
    intptr_t blocks = ragkit_ceil_div(rows, ROW_BLOCK);
    if (blocks <= 0) {
        if (!accumulate) ragkit_fill(width, 0, y);
        return;
    }
    job j = {.kernels = ragkit_kernels(), .n = rows, .width = width, .x = x};
    j.partial = ragkit_allocate((size_t)(blocks * width) * sizeof(double));
    intptr_t items = blocks * ragkit_ceil_div(width, COLUMN_TILE);
    if (rows * width <= RAGKIT_GRAIN) {
        for (intptr_t i = 0; i < items; i++) sum_tile(&j, i, 0);
    } else {
        ragkit_parallel(items, sum_tile, &j);
    }
    for (intptr_t b = 1; b < blocks; b++) {
        const double *more = j.partial + b * width;
        for (intptr_t c = 0; c < width; c++) j.partial[c] += more[c];
    }
    for (intptr_t c = 0; c < width; c++) y[c] = (float)(j.partial[c] + (accumulate ? (double)y[c] : 0));
    free(j.partial);
}

// MARK: Over columns

static void sum_columns_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) j->out[r] = (float)j->kernels->sum(j->width, j->x + r * j->width);
}

void ragkit_sum_columns(intptr_t rows, intptr_t width, const float *x, float *y) {
    job j = {.kernels = ragkit_kernels(), .width = width, .x = x, .out = y};
    ragkit_parallel_ranges(rows, width, sum_columns_range, &j);
}

static void max_columns_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        j->out[r] = j->kernels->maximum(j->width, j->x + r * j->width, j->indices ? j->indices + r : NULL);
    }
}

void ragkit_max_columns(intptr_t rows, intptr_t width, const float *x, float *y, int32_t *indices) {
    if (width <= 0) return;
    job j = {.kernels = ragkit_kernels(), .width = width, .x = x, .out = y, .indices = indices};
    ragkit_parallel_ranges(rows, width, max_columns_range, &j);
}

static void dot_rows_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        j->out[r] = (float)j->kernels->dot(j->width, j->x + r * j->width, j->y + r * j->width);
    }
}

void ragkit_dot_rows(intptr_t rows, intptr_t width, const float *a, const float *b, float *y) {
    job j = {.kernels = ragkit_kernels(), .width = width, .x = a, .y = b, .out = y};
    ragkit_parallel_ranges(rows, width, dot_rows_range, &j);
}
