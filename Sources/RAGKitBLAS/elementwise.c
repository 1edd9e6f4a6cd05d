// Elementwise functions: the kernels of simd/elementwise.h, split over the threads.

#include "internal.h"

typedef struct {
    const ragkit_kernel_table *kernels;
    void (*binary)(intptr_t n, const float *a, const float *b, float *y);
    int function;
    intptr_t width;
    float alpha, beta;
    const float *a, *b;
    float *y;
} job;

static void fill_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->fill(end - begin, j->alpha, j->y + begin);
}

void ragkit_fill(intptr_t n, float value, float *y) {
    job j = {.kernels = ragkit_kernels(), .alpha = value, .y = y};
    ragkit_parallel_ranges(n, 1, fill_range, &j);
}

static void binary_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->binary(end - begin, j->a + begin, j->b + begin, j->y + begin);
}

void ragkit_add(intptr_t n, const float *a, const float *b, float *y) {
    job j = {.binary = ragkit_kernels()->add, .a = a, .b = b, .y = y};
    ragkit_parallel_ranges(n, 1, binary_range, &j);
}

void ragkit_subtract(intptr_t n, const float *a, const float *b, float *y) {
    job j = {.binary = ragkit_kernels()->subtract, .a = a, .b = b, .y = y};
    ragkit_parallel_ranges(n, 1, binary_range, &j);
}

void ragkit_multiply(intptr_t n, const float *a, const float *b, float *y) {
    job j = {.binary = ragkit_kernels()->multiply, .a = a, .b = b, .y = y};
    ragkit_parallel_ranges(n, 1, binary_range, &j);
}

void ragkit_divide(intptr_t n, const float *a, const float *b, float *y) {
    job j = {.binary = ragkit_kernels()->divide, .a = a, .b = b, .y = y};
    ragkit_parallel_ranges(n, 1, binary_range, &j);
}

void ragkit_multiply_add(intptr_t n, const float *a, const float *b, float *y) {
    job j = {.binary = ragkit_kernels()->multiply_add, .a = a, .b = b, .y = y};
    ragkit_parallel_ranges(n, 1, binary_range, &j);
}

static void affine_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->affine(end - begin, j->alpha, j->beta, j->a + begin, j->y + begin);
}

void ragkit_affine(intptr_t n, float scale, float offset, const float *x, float *y) {
    job j = {.kernels = ragkit_kernels(), .alpha = scale, .beta = offset, .a = x, .y = y};
    ragkit_parallel_ranges(n, 1, affine_range, &j);
}

static void axpy_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->axpy(end - begin, j->alpha, j->a + begin, j->y + begin);
}

void ragkit_axpy(intptr_t n, float alpha, const float *x, float *y) {
    job j = {.kernels = ragkit_kernels(), .alpha = alpha, .a = x, .y = y};
    ragkit_parallel_ranges(n, 1, axpy_range, &j);
}

// MARK: Rows and columns

static void row_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) j->binary(j->width, j->a + r * j->width, j->b, j->y + r * j->width);
}

void ragkit_add_row(intptr_t rows, intptr_t width, const float *x, const float *row, float *y) {
    job j = {.binary = ragkit_kernels()->add, .width = width, .a = x, .b = row, .y = y};
    ragkit_parallel_ranges(rows, width, row_range, &j);
}

void ragkit_multiply_row(intptr_t rows, intptr_t width, const float *x, const float *row, float *y) {
    job j = {.binary = ragkit_kernels()->multiply, .width = width, .a = x, .b = row, .y = y};
    ragkit_parallel_ranges(rows, width, row_range, &j);
}

static void add_column_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        j->kernels->affine(j->width, 1, j->b[r], j->a + r * j->width, j->y + r * j->width);
    }
}

void ragkit_add_column(intptr_t rows, intptr_t width, const float *x, const float *column, float *y) {
    job j = {.kernels = ragkit_kernels(), .width = width, .a = x, .b = column, .y = y};
    ragkit_parallel_ranges(rows, width, add_column_range, &j);
}

static void multiply_column_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t r = begin; r < end; r++) {
        // -0 keeps the sign of a zero product
        j->kernels->affine(j->width, j->b[r], -0.0f, j->a + r * j->width, j->y + r * j->width);
    }
}

void ragkit_multiply_column(intptr_t rows, intptr_t width, const float *x, const float *column, float *y) {
    job j = {.kernels = ragkit_kernels(), .width = width, .a = x, .b = column, .y = y};
    ragkit_parallel_ranges(rows, width, multiply_column_range, &j);
}

// MARK: Functions of one variable

intptr_t ragkit_function_cost(int function) {
    switch (function) {
    case RAGKIT_IDENTITY:
    case RAGKIT_RELU:
    case RAGKIT_ABS:
    case RAGKIT_SQUARE: return 1;
    default: return RAGKIT_EXP_COST;
    }
}

static void map_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->map(end - begin, j->function, j->a + begin, j->y + begin);
}

void ragkit_map(intptr_t n, int function, const float *x, float *y) {
    job j = {.kernels = ragkit_kernels(), .function = function, .a = x, .y = y};
    ragkit_parallel_ranges(n, ragkit_function_cost(function), map_range, &j);
}

static void map_gradient_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    j->kernels->map_gradient(end - begin, j->function, j->a + begin, j->b + begin, j->y + begin);
}

void ragkit_map_gradient(intptr_t n, int function, const float *x, const float *dy, float *dx) {
    job j = {.kernels = ragkit_kernels(), .function = function, .a = x, .b = dy, .y = dx};
    ragkit_parallel_ranges(n, ragkit_function_cost(function), map_gradient_range, &j);
}
