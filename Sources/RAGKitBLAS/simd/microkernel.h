// The micro-kernel and the macro-kernel (the two loops around it) of a blocked product.
//
// A micro-kernel computes a micro-tile of C, at most MR rows times NR columns, from one packed panel of A and one of B:
// `kc` rank-1 updates, summed in registers. Each element of C is one chain of multiply-adds in the order of k, whatever
// micro-tile it belongs to. So results depend neither on how C is split over threads nor on its number of rows.

// Writes one row of a micro-tile to C, clipped to `columns`; `bias` is nullable.
INLINE void store_row(intptr_t columns, const vf *sums, float alpha, float beta, const float *bias, float *c) {
    _Pragma("unroll") for (int q = 0; q < 2; q++) {
        intptr_t lanes = ragkit_min(LANES, columns - q * LANES);
        if (lanes <= 0) return;
        vf value = sums[q] * alpha;
        if (beta != 0) value = load(c + q * LANES, lanes) * beta + value;
        if (bias) value = value + load(bias + q * LANES, lanes);
        store(c + q * LANES, lanes, value);
    }
}

INLINE void store_micro_tile(const int height, intptr_t columns, const vf sums[][2], float alpha, float beta,
                             const float *bias, float *c, intptr_t ldc) {
    if (columns >= NR) {
        _Pragma("unroll") for (int r = 0; r < height; r++) store_row(NR, sums[r], alpha, beta, bias, c + r * ldc);
    } else {
        _Pragma("unroll") for (int r = 0; r < height; r++) store_row(columns, sums[r], alpha, beta, bias, c + r * ldc);
    }
}

// Memory that a micro-kernel prefetches while it computes, besides its micro-tile of C: rows of A that are packed next
// if rows > 0, else `bytes` contiguous bytes of B's panels.
typedef struct {
    const char *first;
    intptr_t bytes, rows, stride;  // `bytes` of each row
} prefetch_plan;

// The arguments of one micro-kernel call: kc steps of a panel of A and a panel of B, and the place of the result.
typedef struct {
    intptr_t k;
    const void *a, *b;
    float alpha, beta;
    const float *bias;
    float *c;
    intptr_t columns, ldc;
    prefetch_plan prefetch;
} micro_tile;

enum { CACHE_LINE = 64, B_BYTES_PER_ITERATION = 4 * NR };

INLINE void prefetch_bytes(const char *first, intptr_t bytes) {
    for (intptr_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(first + i, 0, 2);
}

INLINE void prefetch_row_of_c(const micro_tile *t, intptr_t row) {
    _Pragma("unroll") for (intptr_t i = 0; i < NR; i += CACHE_LINE / (intptr_t)sizeof(float)) {
        __builtin_prefetch(t->c + row * t->ldc + i, 1);
    }
}

// Prefetches one cache line per row, round-robin over the rows, `per_iteration` lines in each iteration over k.
typedef struct {
    const char *next;
    intptr_t row, left, per_iteration;
} prefetch_cursor;

// Spreads the lines evenly, so that no prefetch has to wait for earlier ones.
INLINE prefetch_cursor start_prefetch(const prefetch_plan *plan, intptr_t iterations) {
    intptr_t lines = plan->rows * ragkit_ceil_div(plan->bytes, CACHE_LINE);
    return (prefetch_cursor){plan->first, 0, lines, iterations > 0 ? ragkit_ceil_div(lines, iterations) : 0};
}

INLINE void prefetch_lines(const prefetch_plan *plan, prefetch_cursor *cursor) {
    for (intptr_t i = 0; i < cursor->per_iteration && cursor->left > 0; i++, cursor->left--) {
        __builtin_prefetch(cursor->next, 0, 2);
        cursor->next += plan->stride;
        if (++cursor->row == plan->rows) {
            cursor->next += CACHE_LINE - plan->rows * plan->stride;
            cursor->row = 0;
        }
    }
}

// With 16 registers the load ports are the bottleneck, so prefetches are not spread over the iterations: C is
// prefetched before the loop, and so is B where each of many row panels prefetches only a small part.
enum { FEW_ROW_PANELS = 8, SPREADS_PREFETCH = LANES == 16 };

// Plans what row panel `i` of `count` prefetches while it is multiplied with a panel of B: its share of B's next panel,
// which usually follows this one in memory.
INLINE void prefetch_b_panel(const char *panel, intptr_t panel_bytes, intptr_t i, intptr_t count, prefetch_plan *plan) {
    if (count == 1) {  // each panel of B is read once, at memory speed: prefetch a short distance ahead in it
        plan->first = panel + ragkit_min(1024, panel_bytes);
        plan->bytes = panel_bytes;
        return;
    }
    plan->first = panel + panel_bytes + panel_bytes / count * i;
    plan->bytes = panel_bytes / count;
    if (!SPREADS_PREFETCH && count > FEW_ROW_PANELS) {
        prefetch_bytes(plan->first, plan->bytes);
        plan->bytes = 0;
    }
}

INLINE void prefetch_next_rows(const ragkit_next_rows *next, prefetch_plan *plan) {
    plan->first = (const char *)next->first;
    plan->rows = next->rows;
    plan->bytes = next->k * (intptr_t)sizeof(float);
    plan->stride = next->stride * (intptr_t)sizeof(float);
}

// The loop over k of a micro-kernel, with its prefetches. Runs the statements for p = 0 ..< iterations; each iteration
// reads B_BYTES_PER_ITERATION of the panel of B.
#define K_LOOP(height, t, iterations, ...)                                                  \
    {                                                                                       \
        const prefetch_plan plan = (t)->prefetch;                                           \
        intptr_t p = 0;                                                                     \
        if (SPREADS_PREFETCH) {                                                             \
            for (; p < ragkit_min(iterations, height); p++) {                               \
                prefetch_row_of_c(t, p);                                                    \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else {                                                                            \
            for (intptr_t row = 0; row < (height); row++) prefetch_row_of_c(t, row);        \
        }                                                                                   \
        if (plan.rows > 0) {                                                                \
            prefetch_cursor cursor = start_prefetch(&plan, (iterations) - p);               \
            ALIGNED for (; p < (iterations); p++) {                                         \
                prefetch_lines(&plan, &cursor);                                             \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else if (SPREADS_PREFETCH || plan.bytes > 0) {                                    \
            const char *next = plan.first;                                                  \
            const intptr_t step = plan.bytes / ragkit_max((iterations) - p, 1);             \
            ALIGNED for (; p < (iterations); p++, next += step) {                           \
                prefetch_bytes(next, B_BYTES_PER_ITERATION);                                \
                __VA_ARGS__                                                                 \
            }                                                                               \
        } else {                                                                            \
            ALIGNED for (; p < (iterations); p++) { __VA_ARGS__ }                           \
        }                                                                                   \
    }

// The macro-kernel: loop 2 over the column panels of B (NR) and loop 1 over the row panels of A (MR), so that a panel
// of B stays in the first cache while A's panels pass. A row takes `row_bytes` in a panel of A; `micro_kernels` are
// indexed by the panel's height. `next`, nullable, is prefetched; it is given only when there is one panel of A.
static void macro_kernel(void (*const micro_kernels[])(const micro_tile *), intptr_t row_bytes, intptr_t rows,
                         intptr_t columns, intptr_t b_stride, const ragkit_next_rows *next, micro_tile t) {
    const ragkit_row_panels panels = ragkit_split_rows(rows, MR);
    const micro_tile first = t;
    for (intptr_t j = 0; j < columns; j += NR) {
        t.b = (const char *)first.b + j / NR * b_stride;
        t.bias = first.bias ? first.bias + j : NULL;
        t.columns = columns - j;
        for (intptr_t i = 0, panel = 0; panel < panels.count; panel++) {
            intptr_t height = ragkit_panel_height(&panels, panel);
            t.a = (const char *)first.a + i * row_bytes;
            t.c = first.c + i * t.ldc + j;
            t.prefetch = (prefetch_plan){0};
            if (next) {
                prefetch_next_rows(next, &t.prefetch);
            } else {
                prefetch_b_panel(t.b, b_stride, panel, panels.count, &t.prefetch);
            }
            micro_kernels[height](&t);
            i += height;
        }
    }
}

#if LANES == 16
#define EACH_HEIGHT(CASE, name, sum)                                                                           \
    CASE(1, name, sum) CASE(2, name, sum) CASE(3, name, sum) CASE(4, name, sum) CASE(5, name, sum)             \
    CASE(6, name, sum) CASE(7, name, sum) CASE(8, name, sum) CASE(9, name, sum) CASE(10, name, sum)            \
    CASE(11, name, sum) CASE(12, name, sum)
#else
#define EACH_HEIGHT(CASE, name, sum)                                                                           \
    CASE(1, name, sum) CASE(2, name, sum) CASE(3, name, sum) CASE(4, name, sum) CASE(5, name, sum)             \
    CASE(6, name, sum)
#endif

// Defines `name`, a ragkit_format's macro_kernel, from the function `sum` that computes a micro-tile's sums. There is
// one micro-kernel for each height 1 ... MR, so that the loops over rows unroll.
#define DEFINE_MACRO_KERNEL(name, sum, row_header_bytes, row_step_bytes)                                       \
    EACH_HEIGHT(MICRO_KERNEL_OF_HEIGHT, name, sum)                                                             \
    static void name(intptr_t rows, intptr_t columns, intptr_t k, const void *a, const void *b,                \
                     intptr_t b_stride, float alpha, float beta, const float *bias, float *c, intptr_t ldc,    \
                     const ragkit_next_rows *next) {                                                           \
        static void (*const micro_kernels[])(const micro_tile *) = {                                           \
            NULL, EACH_HEIGHT(NAME_OF_MICRO_KERNEL, name, sum)                                                 \
        };                                                                                                     \
        const intptr_t row_bytes = (intptr_t)(row_header_bytes) + k * (intptr_t)(row_step_bytes);              \
        macro_kernel(micro_kernels, row_bytes, rows, columns, b_stride, next, (micro_tile){                    \
            .k = k, .a = a, .b = b, .alpha = alpha, .beta = beta, .bias = bias, .c = c, .ldc = ldc             \
        });                                                                                                    \
    }
#define MICRO_KERNEL_OF_HEIGHT(H, name, sum)                                                                   \
    static void name##_##H(const micro_tile *t) {                                                              \
        vf sums[H][2];                                                                                         \
        sum(H, t, sums);                                                                                       \
        store_micro_tile(H, t->columns, sums, t->alpha, t->beta, t->bias, t->c, t->ldc);                       \
    }
#define NAME_OF_MICRO_KERNEL(H, name, sum) name##_##H,

#if LANES > 4  // the portable level leaves Float32 to the BLAS
INLINE void float_micro_kernel(const int height, const micro_tile *t, vf sums[][2]) {
    const float *a = t->a, *b = t->b;
    _Pragma("unroll") for (int r = 0; r < height; r++) sums[r][0] = sums[r][1] = splat(0);
    K_LOOP(height, t, t->k, {
        vf low = load(b + p * NR, LANES), high = load(b + p * NR + LANES, LANES);
        _Pragma("unroll") for (int r = 0; r < height; r++) {
            vf x = splat(a[p * height + r]);
            sums[r][0] = x * low + sums[r][0];
            sums[r][1] = x * high + sums[r][1];
        }
    })
}

DEFINE_MACRO_KERNEL(float_macro_kernel, float_micro_kernel, 0, sizeof(float))
#endif
