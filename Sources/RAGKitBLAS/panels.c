// Blocked products: op(A) and op(B) are packed block by block, so that the micro-kernel reads both front to back.
//
//     C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C (+ bias[n]),  y = function(C)
//
//     loop 5   columns j of C, NC at a time        ragkit_gemm_blocked
//     loop 4   steps p of k, KC at a time          ragkit_gemm_blocked; packs B's block [KC, NC], unless B has a pack
//     loop 3   rows i of C, MC at a time           ragkit_gemm_blocked; packs A's block [MC, KC] (pack_block_of_a)
//     loop 2   column panels of B, NR wide         macro_kernel (simd/microkernel.h)
//     loop 1   row panels of A, MR high            macro_kernel
//     then     KC rank-1 updates in registers      float_micro_kernel and its like in bfloat16.h and int8.h
//
// MR and NR fill the level's registers (simd/panels.h), KC is in simd/formats.h, MC and NC below: A's block fills a
// quarter to half of the second cache, B's block a part of the last. MC, NC and KC are made even, so that no last block
// is small. A call computes one thread's part of C (gemm.c). The naive version is in the tests'
// KernelProductTests.swift.
//
// Sources: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3); Van Zee & van
// de Geijn 2015, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality", ACM TOMS 41(3), whose names are used here.

#include "internal.h"

enum {
    A_BLOCK_BYTES = 240 << 10,  // MC follows from it
    NC = 2048,
    EPILOGUE_PANELS = 4,  // of B, between two runs of the epilogue's function
};

static intptr_t round_up(intptr_t n, intptr_t multiple) { return ragkit_ceil_div(n, multiple) * multiple; }

// The size of blocks of n: about equal, a multiple of `multiple`, at most `most`.
static intptr_t even_block(intptr_t n, intptr_t most, intptr_t multiple) {
    intptr_t blocks = ragkit_ceil_div(n, ragkit_max(most / multiple * multiple, multiple));
    return round_up(ragkit_ceil_div(n, blocks), multiple);
}

static intptr_t block_kc(const ragkit_format *format, intptr_t k) { return even_block(k, format->kc, 8); }

static intptr_t panel_bytes(const ragkit_product_kernels *kernels, const ragkit_format *format, intptr_t kc) {
    return kernels->nr * (format->column_header_bytes + round_up(kc, format->k_unroll) * format->column_step_bytes);
}

// Where the block that begins at step p lies in a packed B: [blocks of k, panels, panel]. Products read it front to back.
static intptr_t block_offset(const ragkit_product_kernels *kernels, const ragkit_format *format, intptr_t k,
                             intptr_t n, intptr_t p) {
    intptr_t column = p / block_kc(format, k) * format->column_header_bytes + p * format->column_step_bytes;
    return round_up(n, kernels->nr) * column;
}

typedef struct {
    const ragkit_product_kernels *kernels;
    const ragkit_format *format;
    intptr_t kc, mc, nc;  // of this product; kc depends on k alone, since results depend on it
    char *a, *b;          // the packed blocks
} plan;

static plan make_plan(const ragkit_product *product, intptr_t rows, intptr_t columns) {
    const ragkit_product_kernels *kernels = product->kernels;
    const ragkit_format *format = &kernels->formats[product->format];
    plan plan = {.kernels = kernels, .format = format};
    plan.kc = block_kc(format, product->k);
    intptr_t row_bytes = format->row_header_bytes + plan.kc * format->row_step_bytes;
    plan.mc = even_block(rows, A_BLOCK_BYTES / row_bytes, kernels->mr);
    plan.nc = even_block(columns, NC, kernels->nr);
    size_t a_bytes = (size_t)round_up(plan.mc * row_bytes, 64);
    size_t b_bytes = product->panels ? 0 : (size_t)(plan.nc / kernels->nr * panel_bytes(kernels, format, plan.kc));
    plan.a = ragkit_panel_scratch(a_bytes + b_bytes);
    plan.b = plan.a + a_bytes;
    return plan;
}

// Packed panels of B and the bytes from one to the next.
typedef struct {
    const char *first;
    intptr_t stride;
} panels;

// The panels of columns j ..< j + columns and steps p ..< p + kc: packs them, or finds them in B's pack.
static panels block_of_b(const plan *plan, const ragkit_product *product, intptr_t j, intptr_t columns, intptr_t p,
                         intptr_t kc) {
    const ragkit_format *format = plan->format;
    intptr_t stride = panel_bytes(plan->kernels, format, kc);
    if (product->panels) {
        const char *block = product->panels + block_offset(plan->kernels, format, product->k, product->n, p);
        return (panels){block + j / plan->kernels->nr * stride, stride};
    }
    const float *b = product->b + (product->transpose_b ? j * product->ldb + p : p * product->ldb + j);
    format->pack_b(!product->transpose_b, columns, kc, b, product->ldb, plan->b);
    return (panels){plan->b, stride};
}

// Rows i ..< i + rows, columns j ..< j + columns and steps p ..< p + kc of a product.
typedef struct {
    const plan *plan;
    const ragkit_product *product;
    intptr_t i, rows, j, columns, p, kc;
    panels b;
    const ragkit_epilogue *epilogue;  // NULL unless this is the last block of k
} block;

static const float *unpacked_row(const block *block, intptr_t row) {
    const ragkit_product *product = block->product;
    return product->a + (product->transpose_a ? block->p * product->lda + row : row * product->lda + block->p);
}

// The panel of A that begins at row `row` of the block.
static char *row_panel(const block *block, intptr_t row) {
    const ragkit_format *format = block->plan->format;
    return block->plan->a + row * (format->row_header_bytes + round_up(block->kc, format->k_unroll) * format->row_step_bytes);
}

// Runs the macro-kernel on rows row ..< row + rows and columns column ..< column + columns of a block that is packed.
static void multiply_part(const block *block, intptr_t row, intptr_t rows, intptr_t column, intptr_t columns,
                          const ragkit_next_rows *next) {
    const ragkit_product *product = block->product;
    const ragkit_format *format = block->plan->format;
    const float *bias = block->epilogue ? block->epilogue->bias : NULL;
    format->macro_kernel(rows, columns, round_up(block->kc, format->k_unroll), row_panel(block, row),
                         block->b.first + column / block->plan->kernels->nr * block->b.stride, block->b.stride,
                         product->alpha, block->p == 0 ? product->beta : 1, bias ? bias + block->j + column : NULL,
                         product->c + (block->i + row) * product->ldc + block->j + column, product->ldc, next);
}

// Packs A's block. If A is not transposed, each row panel is multiplied with the first panel of B as soon as it is
// packed; meanwhile the rows of the next panel are prefetched, up to row `end`. Returns the number of columns that are done.
static intptr_t pack_block_of_a(const block *block, intptr_t end) {
    const ragkit_product *product = block->product;
    const ragkit_format *format = block->plan->format;
    const ragkit_row_panels panels = ragkit_split_rows(block->rows, block->plan->kernels->mr);
    if (product->transpose_a) {
        const intptr_t tall = panels.tall * panels.height, height[] = {panels.height, panels.height - 1};
        const intptr_t begin[] = {0, tall}, rows[] = {tall, block->rows - tall};
        for (int part = 0; part < 2 && rows[part] > 0; part++) {
            format->pack_a(true, rows[part], block->kc, height[part], unpacked_row(block, block->i + begin[part]),
                           product->lda, row_panel(block, begin[part]));
        }
        return 0;
    }
    const intptr_t columns = ragkit_min(block->plan->kernels->nr, block->columns);
    for (intptr_t row = 0, panel = 0; panel < panels.count; panel++) {
        intptr_t rows = ragkit_panel_height(&panels, panel), following = block->i + row + rows;
        format->pack_a(false, rows, block->kc, rows, unpacked_row(block, block->i + row), product->lda,
                       row_panel(block, row));
        ragkit_next_rows next = {
            unpacked_row(block, following), ragkit_min(panels.height, end - following), block->kc, product->lda,
        };
        multiply_part(block, row, rows, 0, columns, next.rows > 0 ? &next : NULL);
        row += rows;
    }
    return columns;
}

// Adds the product of one block to C. If the epilogue has a function, a few column panels are finished at a time, so
// that they are still in the second cache when the function reads them.
static void multiply_block(const block *block, intptr_t end) {
    const ragkit_product *product = block->product;
    const intptr_t done = pack_block_of_a(block, end);
    const bool maps = block->epilogue && ragkit_has_function(block->epilogue, product->c);
    const intptr_t step = maps ? EPILOGUE_PANELS * block->plan->kernels->nr : block->columns;
    for (intptr_t column = 0; column < block->columns; column += step) {
        intptr_t columns = ragkit_min(step, block->columns - column), from = ragkit_max(column, done);
        multiply_part(block, 0, block->rows, from, column + columns - from, NULL);
        if (maps) {
            ragkit_apply_function(block->epilogue, block->i, block->rows, block->j + column, columns, product->c,
                                  product->ldc);
        }
    }
}

void ragkit_gemm_blocked(const ragkit_product *product, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns) {
    plan plan = make_plan(product, rows, columns);
    for (intptr_t column = j; column < j + columns; column += plan.nc) {
        intptr_t block_columns = ragkit_min(plan.nc, j + columns - column);
        for (intptr_t p = 0; p < product->k; p += plan.kc) {
            intptr_t kc = ragkit_min(plan.kc, product->k - p);
            panels b = block_of_b(&plan, product, column, block_columns, p, kc);
            for (intptr_t row = i; row < i + rows; row += plan.mc) {
                block block = {
                    .plan = &plan, .product = product, .i = row, .rows = ragkit_min(plan.mc, i + rows - row),
                    .j = column, .columns = block_columns, .p = p, .kc = kc, .b = b,
                    .epilogue = p + kc == product->k ? product->epilogue : NULL,
                };
                multiply_block(&block, i + rows);
            }
        }
    }
}

// MARK: Packs

enum { HEADER_BYTES = 64, MAX_NR = 32 };

// The start of a pack. Products with the pack use the kernels of the level it was made at, whatever the level in use.
typedef struct {
    intptr_t k, n;
    int32_t format, level;
    bool transposed;  // op(B) is B's transpose
} header;

// The largest size that any level needs.
size_t ragkit_pack_bytes(int format, intptr_t k, intptr_t n) {
    const size_t columns = (size_t)(ragkit_ceil_div(n, MAX_NR) * MAX_NR), steps = (size_t)k;
    const size_t column[RAGKIT_FORMATS] = {
        [RAGKIT_FLOAT32] = steps * sizeof(float),
        [RAGKIT_BFLOAT16] = (steps + 1) / 2 * 2 * sizeof(uint16_t),
        [RAGKIT_INT8] = (steps / RAGKIT_INT8_KC + 1) * (sizeof(float) + sizeof(int32_t)) + (steps + 3) / 4 * 4,
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

// Packs panels begin ..< end, of NR columns each.
static void pack_range(void *context, intptr_t begin, intptr_t end) {
    const packing *all = context;
    intptr_t nr = all->kernels->nr, whole = block_kc(all->format, all->k);
    intptr_t j = begin * nr, columns = ragkit_min(end * nr, all->n) - j;
    for (intptr_t p = 0; p < all->k; p += whole) {
        intptr_t kc = ragkit_min(whole, all->k - p);
        char *panels = all->panels + block_offset(all->kernels, all->format, all->k, all->n, p)
            + begin * panel_bytes(all->kernels, all->format, kc);
        const float *b = all->b + (all->transpose_b ? j * all->ldb + p : p * all->ldb + j);
        all->format->pack_b(!all->transpose_b, columns, kc, b, all->ldb, panels);
    }
}

// Copies B unpacked, where the BLAS computes the product.
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
    ragkit_parallel_ranges(ragkit_ceil_div(n, all.kernels->nr), 2 * k * all.kernels->nr, pack_range, &all);
}

// Packs steps p ..< p + steps of all panels of one block, which begins at step `block`.
static void pack_steps(const packing *all, intptr_t block, intptr_t kc, intptr_t p, intptr_t steps) {
    intptr_t nr = all->kernels->nr;
    intptr_t stride = panel_bytes(all->kernels, all->format, kc);
    char *panel = all->panels + block_offset(all->kernels, all->format, all->k, all->n, block)
        + (p - block) * nr * all->format->column_step_bytes;
    for (intptr_t j = 0; j < all->n; j += nr, panel += stride) {
        all->format->pack_b(true, ragkit_min(nr, all->n - j), steps, all->b + p * all->ldb + j, all->ldb, panel);
    }
}

void ragkit_pack_rows(void *pack, intptr_t first, intptr_t end, const float *b, intptr_t ldb) {
    packing all = packing_into(pack, b, ldb);
    if (!all.kernels) {
        copy_range(&all, first, end);
    } else if (all.transpose_b) {  // B's rows are columns of op(B): whole panels
        pack_range(&all, first / all.kernels->nr, ragkit_ceil_div(end, all.kernels->nr));
    } else {  // B's rows are steps of k: a part of every panel
        intptr_t whole = block_kc(all.format, all.k);
        for (intptr_t p = first; p < end;) {
            intptr_t block = p / whole * whole, kc = ragkit_min(whole, all.k - block);
            intptr_t steps = ragkit_min(end, block + kc) - p;
            pack_steps(&all, block, kc, p, steps);
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

// MARK: Panels of B that the threads of one product share

enum { SHARED_BYTES = 16 << 20 };

intptr_t ragkit_shared_columns(const ragkit_product *product) {
    size_t column = (ragkit_pack_bytes(product->format, product->k, MAX_NR) - HEADER_BYTES) / MAX_NR;
    return even_block(product->n, SHARED_BYTES / (intptr_t)column, product->kernels->nr);
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
