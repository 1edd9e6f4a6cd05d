// The vector kernels for every processor: 16-byte vectors, which SSE2 and NEON have.

#define LANES 4
#define KERNEL_TABLE ragkit_portable_kernels
#define PRODUCT_TABLE ragkit_portable_products
#define PRODUCT_NAME "portable"
#include "Bodies/headers.h"
#include "Bodies/kernels.h"
