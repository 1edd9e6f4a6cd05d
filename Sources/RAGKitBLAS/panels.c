// Products by panels: op(A) and op(B) are rearranged block by block so that the kernels read both front to back. A block
// of A fills a quarter to half of the second cache, a block of B a part of the last.

#include "internal.h"

enum {
    ROW_BYTES = 240 << 10,  // of a block of A
    COLUMNS = 2048,         // of a block of B
    STRIP_PANELS = 4,       // of B, before the epilogue's function
};

static intptr_t round_up(intptr_t n, intptr_t multiple) { return ragkit_pieces(n, multiple) * multiple; }

// Blocks of about one size, a multiple of `multiple`, none larger than `most`.
static intptr_t even_block(intptr_t n, intptr_t most, intptr_t multiple) {
    intptr_t blocks = ragkit_pieces(n, ragkit_max(most / multiple * multiple, multiple));
    return round_up(ragkit_pieces(n, blocks), multiple);
}

static intptr_t block_depth(const ragkit_format *format, intptr_t k) { return even_block(k, format->most_steps, 8); }

static intptr_t panel_bytes(const ragkit_product_kernels *kernels, const ragkit_format *format, intptr_t depth) {
    return kernels->tile_columns * (format->column_head + round_up(depth, format->depth) * format->column_step);
}

// Packed, B is block after block of k, a block is panel after panel: products read it front to back.
static intptr_t block_offset(const ragkit_product_kernels *kernels, const ragkit_format *format, intptr_t k,
                             intptr_t n, intptr_t p) {
    intptr_t column = p / block_depth(format, k) * format->column_head + p * format->column_step;
    return round_up(n, kernels->tile_columns) * column;
}

typedef struct {
    const ragkit_product_kernels *kernels;
    const ragkit_format *format;
    intptr_t depth, rows, columns;  // of a block; the depth depends on k alone, as results do on it
    char *a, *b;                    // the blocks
} plan;

static plan make_plan(const ragkit_product *product, intptr_t rows, intptr_t columns) {
    const ragkit_product_kernels *kernels = product->kernels;
    const ragkit_format *format = &kernels->formats[product->format];
    plan plan = {.kernels = kernels, .format = format};
    plan.depth = block_depth(format, product->k);
    intptr_t row_bytes = format->row_head + plan.depth * format->row_step;
    plan.rows = even_block(rows, ROW_BYTES / row_bytes, kernels->tile_rows);
    plan.columns = even_block(columns, COLUMNS, kernels->tile_columns);
    size_t a_bytes = (size_t)round_up(plan.rows * row_bytes, 64);
    size_t b_bytes = product->panels ? 0 : (size_t)(plan.columns / kernels->tile_columns * panel_bytes(kernels, format, plan.depth));
    plan.a = ragkit_panel_scratch(a_bytes + b_bytes);
    plan.b = plan.a + a_bytes;
    return plan;
}

// The panels of columns j ... and steps p ..., and how far apart they are.
typedef struct {
    const char *first;
    intptr_t stride;
} panels;

static panels columns_block(const plan *plan, const ragkit_product *product, intptr_t j, intptr_t columns, intptr_t p,
                            intptr_t depth) {
    const ragkit_format *format = plan->format;
    intptr_t stride = panel_bytes(plan->kernels, format, depth);
    if (product->panels) {
        const char *block = product->panels + block_offset(plan->kernels, format, product->k, product->n, p);
        return (panels){block + j / plan->kernels->tile_columns * stride, stride};
    }
    const float *b = product->b + (product->transpose_b ? j * product->ldb + p : p * product->ldb + j);
    format->pack_columns(!product->transpose_b, columns, depth, b, product->ldb, plan->b);
    return (panels){plan->b, stride};
}

// Adds the product over steps p ..< p + depth to rows i ..< i + rows of the columns that `b` holds. Where a function follows
// the last steps, they are done in strips, which are still in the second cache when it comes to them.
static void multiply_rows(const plan *plan, const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j,
                          intptr_t columns, intptr_t p, intptr_t depth, panels b) {
    const ragkit_format *format = plan->format;
    // panels of about one height: a last one of few rows would waste its tiles
    intptr_t height = ragkit_pieces(rows, ragkit_pieces(rows, plan->kernels->tile_rows));
    const float *a = product->a + (product->transpose_a ? p * product->lda + i : i * product->lda + p);
    format->pack_rows(product->transpose_a, rows, depth, height, a, product->lda, plan->a);

    const ragkit_epilogue *epilogue = p + depth == product->k ? product->epilogue : NULL;
    const float *bias = epilogue ? epilogue->bias : NULL;
    const bool maps = epilogue && ragkit_has_function(epilogue, product->c);
    const intptr_t strip = maps ? STRIP_PANELS * plan->kernels->tile_columns : columns;
    for (intptr_t s = 0; s < columns; s += strip, b.first += STRIP_PANELS * b.stride) {
        intptr_t width = ragkit_min(strip, columns - s);
        format->multiply(height, rows, width, round_up(depth, format->depth), plan->a, b.first, b.stride,
                         product->alpha, p == 0 ? product->beta : 1, bias ? bias + j + s : NULL,
                         product->c + i * product->ldc + j + s, product->ldc);
        if (maps) ragkit_apply_function(epilogue, i, rows, j + s, width, product->c, product->ldc);
    }
}

void ragkit_multiply_panels(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    plan plan = make_plan(product, rows, columns);
    for (intptr_t column = j; column < j + columns; column += plan.columns) {
        intptr_t block_columns = ragkit_min(plan.columns, j + columns - column);
        for (intptr_t p = 0; p < product->k; p += plan.depth) {
            intptr_t depth = ragkit_min(plan.depth, product->k - p);
            panels b = columns_block(&plan, product, column, block_columns, p, depth);
            for (intptr_t row = i; row < i + rows; row += plan.rows) {
                multiply_rows(&plan, product, row, ragkit_min(plan.rows, i + rows - row), column, block_columns, p,
                              depth, b);
            }
        }
    }
}

// MARK: Packs

enum { HEADER_BYTES = 64, WIDEST_TILE = 32 };

// What a pack begins with. It names the level it was made at, whose kernels its products use whatever the level is then.
typedef struct {
    intptr_t k, n;
    int32_t format, level;
    bool transposed;  // of a plain copy: where the BLAS computes the product
} header;

// Enough at every level.
size_t ragkit_pack_bytes(int format, intptr_t k, intptr_t n) {
    const size_t columns = (size_t)(ragkit_pieces(n, WIDEST_TILE) * WIDEST_TILE), steps = (size_t)k;
    const size_t column[RAGKIT_FORMATS] = {
        [RAGKIT_FLOAT32] = steps * sizeof(float),
        [RAGKIT_BFLOAT16] = (steps + 1) / 2 * 2 * sizeof(uint16_t),
        [RAGKIT_INT8] = (steps / RAGKIT_INT8_STEPS + 1) * (sizeof(float) + sizeof(int32_t)) + (steps + 3) / 4 * 4,
    };
    return HEADER_BYTES + columns * column[format];
}

typedef struct {
    const ragkit_product_kernels *kernels;
    const ragkit_format *format;
    intptr_t k, n, ldb;
    bool transpose_b;
    const float *b;
    char *panels;
} packing;

static void pack_range(void *context, intptr_t begin, intptr_t end) {
    const packing *all = context;
    intptr_t width = all->kernels->tile_columns, whole = block_depth(all->format, all->k);
    intptr_t j = begin * width, columns = ragkit_min(end * width, all->n) - j;
    for (intptr_t p = 0; p < all->k; p += whole) {
        intptr_t depth = ragkit_min(whole, all->k - p);
        char *panels = all->panels + block_offset(all->kernels, all->format, all->k, all->n, p)
            + begin * panel_bytes(all->kernels, all->format, depth);
        const float *b = all->b + (all->transpose_b ? j * all->ldb + p : p * all->ldb + j);
        all->format->pack_columns(!all->transpose_b, columns, depth, b, all->ldb, panels);
    }
}

static void copy_range(void *context, intptr_t begin, intptr_t end) {
    const packing *all = context;
    intptr_t width = all->transpose_b ? all->k : all->n;
    for (intptr_t i = begin; i < end; i++) {
        memcpy((float *)all->panels + i * width, all->b + i * all->ldb, (size_t)width * sizeof(float));
    }
}

static packing packing_into(void *pack, const float *b, intptr_t ldb) {
    const header *about = pack;
    packing all = {
        .kernels = ragkit_products(about->level, about->format), .k = about->k, .n = about->n, .ldb = ldb,
        .transpose_b = about->transposed, .b = b, .panels = (char *)pack + HEADER_BYTES,
    };
    if (all.kernels) all.format = &all.kernels->formats[about->format];
    return all;
}

void ragkit_pack(int format, bool transpose_b, intptr_t k, intptr_t n, const float *b, intptr_t ldb, void *pack) {
    *(header *)pack = (header){
        .k = k, .n = n, .format = format, .level = ragkit_instruction_level(), .transposed = transpose_b,
    };
    if (k <= 0 || n <= 0) return;
    packing all = packing_into(pack, b, ldb);
    if (!all.kernels) {
        ragkit_parallel_ranges(transpose_b ? n : k, transpose_b ? k : n, copy_range, &all);
        return;
    }
    ragkit_parallel_ranges(ragkit_pieces(n, all.kernels->tile_columns), 2 * k * all.kernels->tile_columns, pack_range,
                           &all);
}

// Steps p ..< p + steps of the panels of one block, which begins at step `block`.
static void pack_steps(const packing *all, intptr_t block, intptr_t depth, intptr_t p, intptr_t steps) {
    intptr_t width = all->kernels->tile_columns;
    intptr_t stride = panel_bytes(all->kernels, all->format, depth);
    char *panel = all->panels + block_offset(all->kernels, all->format, all->k, all->n, block)
        + (p - block) * width * all->format->column_step;
    for (intptr_t j = 0; j < all->n; j += width, panel += stride) {
        all->format->pack_columns(true, ragkit_min(width, all->n - j), steps, all->b + p * all->ldb + j, all->ldb, panel);
    }
}

void ragkit_pack_rows(void *pack, intptr_t first, intptr_t end, const float *b, intptr_t ldb) {
    packing all = packing_into(pack, b, ldb);
    if (!all.kernels) {
        copy_range(&all, first, end);
    } else if (all.transpose_b) {  // rows are columns of op(B): whole panels
        pack_range(&all, first / all.kernels->tile_columns, ragkit_pieces(end, all.kernels->tile_columns));
    } else {  // rows are steps of every panel
        intptr_t whole = block_depth(all.format, all.k);
        for (intptr_t p = first; p < end;) {
            intptr_t block = p / whole * whole, depth = ragkit_min(whole, all.k - block);
            intptr_t steps = ragkit_min(end, block + depth) - p;
            pack_steps(&all, block, depth, p, steps);
            p += steps;
        }
    }
}

ragkit_product ragkit_product_with_pack(const void *pack) {
    const header *about = pack;
    const char *contents = (const char *)pack + HEADER_BYTES;
    ragkit_product product = {
        .n = about->n, .k = about->k, .kernels = ragkit_products(about->level, about->format), .format = about->format,
    };
    if (product.kernels) {
        product.panels = contents;
    } else {
        product.b = (const float *)contents;
        product.transpose_b = about->transposed;
        product.ldb = about->transposed ? about->k : about->n;
    }
    return product;
}

// MARK: Panels for the pieces of one product

enum { SHARED_BYTES = 16 << 20 };

intptr_t ragkit_shared_columns(const ragkit_product *product) {
    size_t column = (ragkit_pack_bytes(product->format, product->k, WIDEST_TILE) - HEADER_BYTES) / WIDEST_TILE;
    return even_block(product->n, SHARED_BYTES / (intptr_t)column, product->kernels->tile_columns);
}

ragkit_product ragkit_share_panels(const ragkit_product *product, intptr_t j, intptr_t columns,
                                   ragkit_epilogue *epilogue) {
    const float *b = product->b + (product->transpose_b ? j * product->ldb : j);
    char *pack = ragkit_shared_panel_scratch(ragkit_pack_bytes(product->format, product->k, columns));
    ragkit_pack(product->format, product->transpose_b, product->k, columns, b, product->ldb, pack);
    ragkit_product part = *product;
    part.n = columns;
    part.panels = pack + HEADER_BYTES;
    part.c += j;
    if (product->epilogue) {
        *epilogue = *product->epilogue;
        if (epilogue->bias) epilogue->bias += j;
        epilogue->y += j;
        part.epilogue = epilogue;
    }
    return part;
}
