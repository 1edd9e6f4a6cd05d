// The products for AVX-512 with dot products of bfloat16 (VDPBF16PS) and int8 (VNNI). All other kernels are those of
// the AVX-512 level.

#if defined(__x86_64__)
#define LANES 16
#define DOT_PRODUCTS
#define PRODUCT_TABLE ragkit_avx512_bf16_products
#define PRODUCT_NAME "AVX-512 with bf16 and VNNI"
// Included before the attribute, which must not apply to inline functions of system headers.
#include "simd/headers.h"
#pragma clang attribute push( \
    __attribute__((target("avx512bf16,avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), \
    apply_to = function)
#include "simd/vector.h"
#include "simd/gemm.h"
#pragma clang attribute pop
#endif
