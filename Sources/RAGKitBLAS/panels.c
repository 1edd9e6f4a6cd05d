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

// Rows i ..< i + rows, columns j ..< j + columns and steps p ..< p + depth of a product.
typedef struct {
    const plan *plan;
    const ragkit_product *product;
    intptr_t i, rows, j, columns, p, depth;
    panels b;
    const ragkit_epilogue *epilogue;  // if these are the last steps
} block;

static const float *rows_in_memory(const block *block, intptr_t row) {
    const ragkit_product *product = block->product;
    return product->a + (product->transpose_a ? block->p * product->lda + row : row * product->lda + block->p);
}

// Where A's panel of the block's row `row` is.
static char *row_panel(const block *block, intptr_t row) {
    const ragkit_format *format = block->plan->format;
    return block->plan->a + row * (format->row_head + round_up(block->depth, format->depth) * format->row_step);
}

// The products of the block's rows row ..< row + rows and columns column ..< column + columns, whose panels are made.
static void multiply_part(const block *block, intptr_t row, intptr_t rows, intptr_t column, intptr_t columns,
                          const ragkit_next_rows *next) {
    const ragkit_product *product = block->product;
    const ragkit_format *format = block->plan->format;
    const float *bias = block->epilogue ? block->epilogue->bias : NULL;
    format->multiply(rows, columns, round_up(block->depth, format->depth), row_panel(block, row),
                     block->b.first + column / block->plan->kernels->tile_columns * block->b.stride, block->b.stride,
                     product->alpha, block->p == 0 ? product->beta : 1, bias ? bias + block->j + column : NULL,
                     product->c + (block->i + row) * product->ldc + block->j + column, product->ldc, next);
}

// Makes A's panels. Where rows lie back to front in memory, each panel meets the first of B at once, and meanwhile the rows of
// the next come from memory, up to row `end`. Returns how many columns are done.
static intptr_t pack_rows(const block *block, intptr_t end) {
    const ragkit_product *product = block->product;
    const ragkit_format *format = block->plan->format;
    const ragkit_row_panels panels = ragkit_cut_rows(block->rows, block->plan->kernels->tile_rows);
    if (product->transpose_a) {
        const intptr_t tall = panels.tall * panels.height, height[] = {panels.height, panels.height - 1};
        const intptr_t begin[] = {0, tall}, rows[] = {tall, block->rows - tall};
        for (int part = 0; part < 2 && rows[part] > 0; part++) {
            format->pack_rows(true, rows[part], block->depth, height[part], rows_in_memory(block, block->i + begin[part]),
                              product->lda, row_panel(block, begin[part]));
        }
        return 0;
    }
    const intptr_t columns = ragkit_min(block->plan->kernels->tile_columns, block->columns);
    for (intptr_t row = 0, panel = 0; panel < panels.count; panel++) {
        intptr_t rows = ragkit_panel_height(&panels, panel), following = block->i + row + rows;
        format->pack_rows(false, rows, block->depth, rows, rows_in_memory(block, block->i + row), product->lda,
                          row_panel(block, row));
        ragkit_next_rows next = {
            rows_in_memory(block, following), ragkit_min(panels.height, end - following), block->depth, product->lda,
        };
        multiply_part(block, row, rows, 0, columns, next.rows > 0 ? &next : NULL);
        row += rows;
    }
    return columns;
}

// Adds the product of a block to C. Where a function follows the last steps, they are done in strips, which are still in the
// second cache when it comes to them.
static void multiply_rows(const block *block, intptr_t end) {
    const ragkit_product *product = block->product;
    const intptr_t done = pack_rows(block, end);
    const bool maps = block->epilogue && ragkit_has_function(block->epilogue, product->c);
    const intptr_t strip = maps ? STRIP_PANELS * block->plan->kernels->tile_columns : block->columns;
    for (intptr_t s = 0; s < block->columns; s += strip) {
        intptr_t width = ragkit_min(strip, block->columns - s), from = ragkit_max(s, done);
        multiply_part(block, 0, block->rows, from, s + width - from, NULL);
        if (maps) {
            ragkit_apply_function(block->epilogue, block->i, block->rows, block->j + s, width, product->c, product->ldc);
        }
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
                block block = {
                    .plan = &plan, .product = product, .i = row, .rows = ragkit_min(plan.rows, i + rows - row),
                    .j = column, .columns = block_columns, .p = p, .depth = depth, .b = b,
                    .epilogue = p + depth == product->k ? product->epilogue : NULL,
                };
                multiply_rows(&block, i + rows);
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
