// The headers that the vector kernels need, included apart from them: see level_avx2.c.

#include "../internal.h"

#include <float.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
