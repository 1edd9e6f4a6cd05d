// The products of AVX-512 processors with dot products of bfloat16 (VDPBF16PS) and int8 (VNNI). Everything else is the
// AVX-512 level's.

#if defined(__x86_64__)
#define LANES 16
#define DOT_PRODUCTS
#define PRODUCT_TABLE ragkit_avx512_bf16_products
#define PRODUCT_NAME "AVX-512 with bf16 and VNNI"
// Before the attribute: it must not reach inline functions of system headers.
#include "Bodies/headers.h"
#pragma clang attribute push( \
    __attribute__((target("avx512bf16,avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), \
    apply_to = function)
#include "Bodies/vector.h"
#include "Bodies/packed.h"
#pragma clang attribute pop
#endif
