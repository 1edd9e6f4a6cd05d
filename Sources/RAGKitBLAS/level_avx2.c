// The vector kernels for AVX2 with fused multiply-add (x86-64-v3).

#if defined(__x86_64__)
#define LANES 8
#define KERNEL_TABLE ragkit_avx2_kernels
#define PRODUCT_TABLE ragkit_avx2_products
#define PRODUCT_NAME "AVX2"
// Included before the attribute, which must not apply to inline functions of system headers.
#include "simd/headers.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#include "simd/kernels.h"
#pragma clang attribute pop
#endif
