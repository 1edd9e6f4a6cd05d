// The vector kernels for AVX-512 (x86-64-v4).

#if defined(__x86_64__)
#define LANES 16
#define KERNEL_TABLE ragkit_avx512_kernels
#define PRODUCT_TABLE ragkit_avx512_products
#define PRODUCT_NAME "AVX-512"
// Included before the attribute, which must not apply to inline functions of system headers.
#include "simd/headers.h"
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "simd/kernels.h"
#pragma clang attribute pop
#endif
