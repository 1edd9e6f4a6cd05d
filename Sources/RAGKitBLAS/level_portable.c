// The vector kernels for every processor: 16-byte vectors, which SSE2 and NEON have.

#define LANES 4
#define KERNEL_TABLE ragkit_portable_kernels
#include "Bodies/headers.h"
#include "Bodies/kernels.h"
