// bfloat16 is the upper half of a Float32; float16 has 5 exponent and 10 fraction bits.

static void from_bfloat16(intptr_t n, const uint16_t *x, float *y) {
    VECTOR_LOOP(n, {
        vu wide = __builtin_convertvector(load_halves(x + i, lanes), vu);
        store(y + i, lanes, (vf)(wide << 16));
    });
}

// The multiplication corrects the exponent's bias and normalises subnormal numbers, both exactly.
static void from_float16(intptr_t n, const uint16_t *x, float *y) {
    VECTOR_LOOP(n, {
        vi wide = __builtin_convertvector(load_halves(x + i, lanes), vi);
        vi magnitude = (wide & 0x7fff) << 13;
        vi sign = (wide & 0x8000) << 16;
        vi finite = bits(from_bits(magnitude) * 0x1p112f);
        vi special = (wide & 0x7c00) == 0x7c00;
        store(y + i, lanes, from_bits(sign | (special & (magnitude | 0x7f800000)) | (~special & finite)));
    });
}

static void to_bfloat16(intptr_t n, const float *x, uint16_t *y) {
    VECTOR_LOOP(n, {
        store_halves(y + i, lanes, __builtin_convertvector(bfloat16_bits(load(x + i, lanes)), vh));
    });
}
