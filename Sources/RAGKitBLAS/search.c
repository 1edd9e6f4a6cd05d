// Exact search by inner product. Scores are computed block by block with matrix products; each thread keeps each
// query's best rows in a bounded heap. The order of hits is total, so the merged heaps do not depend on which thread
// saw which rows.

#include "internal.h"

enum { ROW_BLOCK = 512, QUERY_BLOCK = 128, QUERIES_AT_ONCE = 1024 };

typedef struct {
    float score;
    intptr_t row;
} hit;

typedef struct {
    const ragkit_kernel_table *kernels;
    intptr_t queries, rows, dimension, count;
    const float *query, *base;
    const intptr_t *excluded_offsets, *excluded;  // those of the first query of this call
    hit *heaps;                                   // [workers, queries, count]
    intptr_t *sizes;                              // [workers, queries]
} job;

// NaN ranks last, ties go to the lower row.
static inline bool better(hit a, hit b) {
    bool a_nan = isnan(a.score), b_nan = isnan(b.score);
    if (a_nan != b_nan) return b_nan;
    if (!a_nan && a.score != b.score) return a.score > b.score;
    return a.row < b.row;
}

// The worst hit is on top. Replaces the top by `new` and restores the order.
static void sift_down(hit *heap, intptr_t size, hit new) {
    intptr_t i = 0;
    for (;;) {
        intptr_t child = 2 * i + 1;
        if (child >= size) break;
        if (child + 1 < size && better(heap[child], heap[child + 1])) child++;
        if (!better(new, heap[child])) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = new;
}

static void sift_up(hit *heap, intptr_t i, hit new) {
    while (i > 0 && better(heap[(i - 1) / 2], new)) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = new;
}

static bool is_excluded(const job *j, intptr_t query, intptr_t row) {
    if (!j->excluded) return false;
    intptr_t low = j->excluded_offsets[query], high = j->excluded_offsets[query + 1];
    while (low < high) {
        intptr_t middle = low + (high - low) / 2;
        if (j->excluded[middle] == row) return true;
        if (j->excluded[middle] < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

// A worker sees rows in ascending order, so a row that ties with the worst of a full heap never enters.
static void take_scores(const job *j, intptr_t worker, intptr_t query, intptr_t first_row, intptr_t n,
                        const float *scores) {
    hit *heap = j->heaps + (worker * j->queries + query) * j->count;
    intptr_t *size = j->sizes + worker * j->queries + query;
    for (intptr_t i = 0; i < n; i++) {
        if (*size == j->count && !isnan(heap[0].score)) {
            i = j->kernels->find_greater(i, n, heap[0].score, scores);
            if (i == n) return;
        }
        hit new = {scores[i], first_row + i};
        if (*size == j->count && !better(new, heap[0])) continue;
        if (is_excluded(j, query, new.row)) continue;
        if (*size < j->count) {
            sift_up(heap, (*size)++, new);
        } else {
            sift_down(heap, j->count, new);
        }
    }
}

static void search_block(void *context, intptr_t item, intptr_t worker) {
    const job *j = context;
    intptr_t row = item * ROW_BLOCK, rows = ragkit_min(ROW_BLOCK, j->rows - row);
    float *scores = ragkit_scratch(sizeof(float) * ROW_BLOCK * QUERY_BLOCK);
    for (intptr_t q = 0; q < j->queries; q += QUERY_BLOCK) {
        intptr_t queries = ragkit_min(QUERY_BLOCK, j->queries - q);
        ragkit_gemm_serial(false, true, queries, rows, j->dimension, 1, j->query + q * j->dimension, j->dimension,
                           j->base + row * j->dimension, j->dimension, 0, scores, ROW_BLOCK);
        for (intptr_t i = 0; i < queries; i++) take_scores(j, worker, q + i, row, rows, scores + i * ROW_BLOCK);
    }
}

static int compare(const void *a, const void *b) { return better(*(const hit *)a, *(const hit *)b) ? -1 : 1; }

static void merge(const job *j, intptr_t workers, intptr_t query, hit *all, intptr_t *found, float *scores) {
    intptr_t total = 0;
    for (intptr_t w = 0; w < workers; w++) {
        intptr_t size = j->sizes[w * j->queries + query];
        if (size > 0) memcpy(all + total, j->heaps + (w * j->queries + query) * j->count, (size_t)size * sizeof(hit));
        total += size;
    }
    qsort(all, (size_t)total, sizeof(hit), compare);
    for (intptr_t i = 0; i < j->count; i++) {
        found[i] = i < total ? all[i].row : -1;
        scores[i] = i < total ? all[i].score : -INFINITY;
    }
}

static void search_some(job *j, intptr_t *found, float *scores) {
    intptr_t blocks = ragkit_ceil_div(j->rows, ROW_BLOCK);
    bool small = j->queries * j->rows * j->dimension <= 8 * RAGKIT_GRAIN;
    intptr_t workers = small ? 1 : ragkit_thread_count();
    size_t heap_bytes = (size_t)(workers * j->queries * j->count) * sizeof(hit);
    j->heaps = ragkit_allocate(heap_bytes);
    j->sizes = ragkit_allocate((size_t)(workers * j->queries) * sizeof(intptr_t));
    memset(j->sizes, 0, (size_t)(workers * j->queries) * sizeof(intptr_t));
    if (small) {
        for (intptr_t b = 0; b < blocks; b++) search_block(j, b, 0);
    } else {
        ragkit_parallel(blocks, search_block, j);
    }
    hit *all = ragkit_allocate((size_t)(workers * j->count) * sizeof(hit));
    for (intptr_t q = 0; q < j->queries; q++) merge(j, workers, q, all, found + q * j->count, scores + q * j->count);
    free(all);
    free(j->heaps);
    free(j->sizes);
}

void ragkit_search(intptr_t queries, intptr_t rows, intptr_t dimension, const float *query, const float *base,
                   intptr_t count, const intptr_t *excluded_offsets, const intptr_t *excluded, intptr_t *found,
                   float *scores) {
    if (count <= 0) return;
    for (intptr_t q = 0; q < queries; q += QUERIES_AT_ONCE) {
        job j = {
            .kernels = ragkit_kernels(), .queries = ragkit_min(QUERIES_AT_ONCE, queries - q), .rows = rows,
            .dimension = dimension, .count = count, .query = query + q * dimension, .base = base,
            .excluded_offsets = excluded ? excluded_offsets + q : NULL, .excluded = excluded,
        };
        search_some(&j, found + q * count, scores + q * count);
    }
}
