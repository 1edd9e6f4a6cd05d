// The vector kernels for any processor: 16-byte vectors, as in SSE2 and NEON.

#define LANES 4
#define KERNEL_TABLE ragkit_portable_kernels
#define PRODUCT_TABLE ragkit_portable_products
#define PRODUCT_NAME "portable"
#include "simd/headers.h"
#include "simd/kernels.h"
