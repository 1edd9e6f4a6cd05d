// The table of a level's micro-tile and of its number formats.

#if LANES > 4
static void pack_float_a(bool transposed, intptr_t rows, intptr_t k, intptr_t height, const float *a, intptr_t lda,
                         void *panels) {
    pack_panels(pack_float_panel, 1, transposed, rows, k, height, a, lda, panels);
}

static void pack_float_b(bool transposed, intptr_t columns, intptr_t k, const float *b, intptr_t ldb, void *panels) {
    pack_panels(pack_float_panel, 1, transposed, columns, k, NR, b, ldb, panels);
}
#endif

// The largest block of k for Float32 and bfloat16. Each block reads and writes C once, so a large KC is better. With 32
// registers the micro-kernel is fast enough although a panel of B [KC, NR] comes from the second cache; with 16
// registers, and half the NR, the panel must stay in the first cache beside the panels of A.
enum { KC = LANES == 16 ? 768 : 320 };

const ragkit_product_kernels PRODUCT_TABLE = {
    .name = PRODUCT_NAME,
    .mr = MR,
    .nr = NR,
    .formats = {
#if LANES > 4
        [RAGKIT_FLOAT32] = {
            .k_unroll = 1,
            .kc = KC,
            .row_step_bytes = sizeof(float),
            .column_step_bytes = sizeof(float),
            .pack_a = pack_float_a,
            .pack_b = pack_float_b,
            .macro_kernel = float_macro_kernel,
        },
#endif
        [RAGKIT_BFLOAT16] = {
            .k_unroll = 2,
            .kc = KC,
            .row_step_bytes = BFLOAT16_ROW_STEP_BYTES,
            .column_step_bytes = sizeof(uint16_t),
            .pack_a = pack_bfloat16_a,
            .pack_b = pack_bfloat16_b,
            .macro_kernel = bfloat16_macro_kernel,
        },
        [RAGKIT_INT8] = {
            .k_unroll = 4,
            .kc = RAGKIT_INT8_KC,
            .row_header_bytes = INT8_ROW_HEADER_BYTES,
            .row_step_bytes = 1,
            .column_header_bytes = INT8_COLUMN_HEADER_BYTES,
            .column_step_bytes = 1,
            .pack_a = pack_int8_a,
            .pack_b = pack_int8_b,
            .macro_kernel = int8_macro_kernel,
        },
    },
};
