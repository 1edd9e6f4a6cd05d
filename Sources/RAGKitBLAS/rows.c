// Row gather, scatter-add, embedding sum, segment mean, transpose.

#include "internal.h"

enum { COLUMN_TILE = 64, TRANSPOSE_TILE = 32 };

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t count, width, tile;
    float scale;
    const int32_t *indices, *position, *type;
    const intptr_t *offsets;
    const float *x, *positions, *types;
    float *y;
} job;

static void gather_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t i = begin; i < end; i++) {
        memcpy(j->y + i * j->width, j->x + (intptr_t)j->indices[i] * j->width, (size_t)j->width * sizeof(float));
    }
}

void ragkit_gather_rows(intptr_t count, intptr_t width, const int32_t *indices, const float *x, float *y) {
    job j = {.width = width, .indices = indices, .x = x, .y = y};
    ragkit_parallel_ranges(count, width, gather_range, &j);
}

// Adds one tile of columns of every row, in the order of the rows.
static void scatter_tile(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const job *j = context;
    intptr_t column = item * j->tile, columns = ragkit_min(j->tile, j->width - column);
    for (intptr_t i = 0; i < j->count; i++) {
        float *row = j->y + (intptr_t)j->indices[i] * j->width + column;
        j->kernels->axpy(columns, j->scale, j->x + i * j->width + column, row);
    }
}

void ragkit_scatter_add_rows(intptr_t count, intptr_t width, intptr_t y_rows, const int32_t *indices, float alpha,
                             const float *x, float *y) {
    (void)y_rows;
    if (count <= 0 || width <= 0) return;
    intptr_t threads = count * width <= RAGKIT_GRAIN ? 1 : ragkit_thread_count();
    // a multiple of a cache line
    intptr_t tile = ragkit_max(COLUMN_TILE, ragkit_ceil_div(ragkit_ceil_div(width, threads), 16) * 16);
    job j = {
        .kernels = ragkit_kernels(), .count = count, .width = width, .tile = threads == 1 ? width : tile,
        .scale = alpha, .indices = indices, .x = x, .y = y,
    };
    ragkit_parallel(ragkit_ceil_div(width, j.tile), scatter_tile, &j);
}

static void embed_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t i = begin; i < end; i++) {
        const float *position = j->positions ? j->positions + (intptr_t)j->position[i] * j->width : NULL;
        const float *type = j->types ? j->types + (intptr_t)j->type[i] * j->width : NULL;
        j->kernels->embed_row(j->width, j->scale, j->x + (intptr_t)j->indices[i] * j->width, position, type,
                              j->y + i * j->width);
    }
}

void ragkit_embed(intptr_t count, intptr_t width, float scale, const int32_t *ids, const float *words,
                  const int32_t *position, const float *positions, const int32_t *type, const float *types, float *y) {
    job j = {
        .kernels = ragkit_kernels(), .width = width, .scale = scale, .indices = ids, .position = position,
        .type = type, .x = words, .positions = positions, .types = types, .y = y,
    };
    ragkit_parallel_ranges(count, width * 2, embed_range, &j);
}

static void segment_mean_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    double *totals = ragkit_allocate((size_t)j->width * sizeof(double));
    for (intptr_t s = begin; s < end; s++) {
        intptr_t length = j->offsets[s + 1] - j->offsets[s];
        j->kernels->sum_rows(length, j->width, j->width, j->x + j->offsets[s] * j->width, totals);
        double scale = length > 0 ? 1.0 / (double)length : 0;
        for (intptr_t c = 0; c < j->width; c++) j->y[s * j->width + c] = (float)(totals[c] * scale);
    }
    free(totals);
}

void ragkit_segment_mean(intptr_t segments, intptr_t width, const intptr_t *offsets, const float *x, float *y) {
    if (segments <= 0) return;
    job j = {.kernels = ragkit_kernels(), .width = width, .offsets = offsets, .x = x, .y = y};
    intptr_t rows = offsets[segments] - offsets[0];
    ragkit_parallel_ranges(segments, (rows / segments + 1) * width, segment_mean_range, &j);
}

static void segment_mean_gradient_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t s = begin; s < end; s++) {
        intptr_t length = j->offsets[s + 1] - j->offsets[s];
        for (intptr_t r = j->offsets[s]; r < j->offsets[s + 1]; r++) {
            j->kernels->affine(j->width, 1.0f / (float)length, -0.0f, j->x + s * j->width, j->y + r * j->width);
        }
    }
}

void ragkit_segment_mean_gradient(intptr_t segments, intptr_t width, const intptr_t *offsets, const float *dy,
                                  float *dx) {
    if (segments <= 0) return;
    job j = {.kernels = ragkit_kernels(), .width = width, .offsets = offsets, .x = dy, .y = dx};
    intptr_t rows = offsets[segments] - offsets[0];
    ragkit_parallel_ranges(segments, (rows / segments + 1) * width, segment_mean_gradient_range, &j);
}

// Transposes in square tiles, which stay in cache. `count` is the number of x's rows; a unit of the range is a tile of
// columns.
static void transpose_range(void *context, intptr_t begin, intptr_t end) {
    const job *j = context;
    for (intptr_t c0 = begin * TRANSPOSE_TILE; c0 < ragkit_min(end * TRANSPOSE_TILE, j->width); c0 += TRANSPOSE_TILE) {
        intptr_t c1 = ragkit_min(c0 + TRANSPOSE_TILE, j->width);
        for (intptr_t r0 = 0; r0 < j->count; r0 += TRANSPOSE_TILE) {
            intptr_t r1 = ragkit_min(r0 + TRANSPOSE_TILE, j->count);
            for (intptr_t c = c0; c < c1; c++) {
                for (intptr_t r = r0; r < r1; r++) j->y[c * j->count + r] = j->x[r * j->width + c];
            }
        }
    }
}

void ragkit_transpose(intptr_t rows, intptr_t width, const float *x, float *y) {
    job j = {.count = rows, .width = width, .x = x, .y = y};
    ragkit_parallel_ranges(ragkit_ceil_div(width, TRANSPOSE_TILE), rows * TRANSPOSE_TILE, transpose_range, &j);
}
