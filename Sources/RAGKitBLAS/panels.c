// Products by panels: op(A) and op(B) are rearranged block by block so that the kernels read both front to back. A block
// of A fills half of the second cache, one panel of B half of the first, a block of B a part of the last.

#include "internal.h"

enum {
    DEPTH = 320,            // most steps of k in a block
    ROW_BYTES = 240 << 10,  // of a block of A
    COLUMNS = 2048,         // of a block of B
};

// Blocks of about one size, a multiple of `multiple`, none larger than `most`.
static intptr_t even_block(intptr_t n, intptr_t most, intptr_t multiple) {
    intptr_t blocks = ragkit_pieces(n, ragkit_max(most / multiple * multiple, multiple));
    return ragkit_pieces(ragkit_pieces(n, blocks), multiple) * multiple;
}

typedef struct {
    const ragkit_product_kernels *kernels;
    const ragkit_format *format;
    intptr_t depth, rows, columns;  // of a block; the depth depends on k alone, as results do on it
    char *a, *b;                    // the blocks
} plan;

static plan make_plan(const ragkit_product_kernels *kernels, const ragkit_product *product, intptr_t rows,
                      intptr_t columns) {
    const ragkit_format *format = &kernels->formats[0];
    plan plan = {.kernels = kernels, .format = format};
    plan.depth = even_block(product->k, DEPTH, 8);
    plan.rows = even_block(rows, ROW_BYTES / (plan.depth * format->row_step), kernels->tile_rows);
    plan.columns = even_block(columns, COLUMNS, kernels->tile_columns);
    size_t a_bytes = (size_t)(plan.rows * plan.depth * format->row_step + 63) / 64 * 64;
    plan.a = ragkit_panel_scratch(a_bytes + (size_t)(plan.columns * plan.depth * format->column_step));
    plan.b = plan.a + a_bytes;
    return plan;
}

static void pack_columns(const plan *plan, const ragkit_product *product, intptr_t j, intptr_t columns, intptr_t p,
                         intptr_t depth) {
    const float *b = product->b + (product->transpose_b ? j * product->ldb + p : p * product->ldb + j);
    plan->format->pack_columns(!product->transpose_b, columns, depth, b, product->ldb, plan->b);
}

static void pack_rows(const plan *plan, const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t height,
                      intptr_t p, intptr_t depth) {
    const float *a = product->a + (product->transpose_a ? p * product->lda + i : i * product->lda + p);
    plan->format->pack_rows(product->transpose_a, rows, depth, height, a, product->lda, plan->a);
}

void ragkit_multiply_panels(const ragkit_product_kernels *kernels, const ragkit_product *product, intptr_t i,
                            intptr_t rows, intptr_t j, intptr_t columns) {
    plan plan = make_plan(kernels, product, rows, columns);
    for (intptr_t column = j; column < j + columns; column += plan.columns) {
        intptr_t block_columns = ragkit_min(plan.columns, j + columns - column);
        for (intptr_t p = 0; p < product->k; p += plan.depth) {
            intptr_t depth = ragkit_min(plan.depth, product->k - p);
            pack_columns(&plan, product, column, block_columns, p, depth);
            for (intptr_t row = i; row < i + rows; row += plan.rows) {
                intptr_t block_rows = ragkit_min(plan.rows, i + rows - row);
                // panels of about one height: a last one of few rows would waste its tiles
                intptr_t height = ragkit_pieces(block_rows, ragkit_pieces(block_rows, kernels->tile_rows));
                pack_rows(&plan, product, row, block_rows, height, p, depth);
                plan.format->multiply(height, block_rows, block_columns, depth, plan.a, plan.b,
                                      kernels->tile_columns * depth * plan.format->column_step, product->alpha,
                                      p == 0 ? product->beta : 1, product->c + row * product->ldc + column,
                                      product->ldc);
            }
        }
    }
}
