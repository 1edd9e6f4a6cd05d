// The number formats of products and the table of them.

static void pack_float_rows(bool across, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                            void *panels) {
    float_panels(across, rows, k, height, a, lda, panels);
}

static void pack_float_columns(bool across, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    float_panels(across, columns, k, TILE_COLUMNS, b, ldb, panels);
}

const ragkit_product_kernels PRODUCT_TABLE = {
    .name = LANES == 16 ? "AVX-512" : "AVX2",
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .formats = {
        {
            .depth = 1,
            .row_step = sizeof(float),
            .column_step = sizeof(float),
            .pack_rows = pack_float_rows,
            .pack_columns = pack_float_columns,
            .multiply = multiply_float,
        },
    },
};
