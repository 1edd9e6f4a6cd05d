// What the vector kernels include, apart from them: see level_avx2.c.

#include "../internal.h"

#include <float.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
