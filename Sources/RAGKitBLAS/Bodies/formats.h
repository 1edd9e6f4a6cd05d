// The number formats of products and the table of them.

#if LANES > 4
static void pack_float_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                            void *panels) {
    all_panels(float_panel, 1, across, rows, k, height, a, lda, panels);
}

static void pack_float_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    all_panels(float_panel, 1, across, columns, k, TILE_COLUMNS, b, ldb, panels);
}
#endif

// Steps of k in a block of Float32 or bfloat16. With each block C is read and written once more, so there should be few. A
// panel of B goes past the second cache's speed, if a tile is as large as 32 registers allow; for the half as wide tiles of
// 16 registers it must stay in the first cache, with the panels of A that pass.
enum { MOST_STEPS = LANES == 16 ? 768 : 320 };

const ragkit_product_kernels PRODUCT_TABLE = {
    .name = PRODUCT_NAME,
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .formats = {
#if LANES > 4
        [RAGKIT_FLOAT32] = {
            .depth = 1,
            .most_steps = MOST_STEPS,
            .row_step = sizeof(float),
            .column_step = sizeof(float),
            .pack_rows = pack_float_rows,
            .pack_columns = pack_float_columns,
            .multiply = multiply_float,
        },
#endif
        [RAGKIT_BFLOAT16] = {
            .depth = 2,
            .most_steps = MOST_STEPS,
            .row_step = BFLOAT16_ROW_STEP,
            .column_step = sizeof(uint16_t),
            .pack_rows = pack_bfloat16_rows,
            .pack_columns = pack_bfloat16_columns,
            .multiply = multiply_bfloat16,
        },
        [RAGKIT_INT8] = {
            .depth = 4,
            .most_steps = RAGKIT_INT8_STEPS,
            .row_head = INT8_ROW_HEAD,
            .row_step = 1,
            .column_head = INT8_COLUMN_HEAD,
            .column_step = 1,
            .pack_rows = pack_int8_rows,
            .pack_columns = pack_int8_columns,
            .multiply = multiply_int8,
        },
    },
};
