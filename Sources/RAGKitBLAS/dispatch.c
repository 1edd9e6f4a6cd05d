// The instruction level and its kernels.

#include "internal.h"

#include <stdatomic.h>
#include <stdio.h>

enum { UNKNOWN = -1 };

static _Atomic int usual_level = UNKNOWN;
// Set in a thread whose level a test forces, and in workers, which inherit the level of the thread whose job they run.
static _Thread_local int own_level = UNKNOWN;

// The compiler's checks also ask whether the operating system saves the wide registers.
static int best_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
        && __builtin_cpu_supports("bmi2");
    if (!avx2) return RAGKIT_PORTABLE;
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!avx512) return RAGKIT_AVX2;
    bool dots = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
    return dots ? RAGKIT_AVX512_BF16 : RAGKIT_AVX512;
#else
    return RAGKIT_PORTABLE;
#endif
}

static const ragkit_kernel_table *table(int level) {
#if defined(__x86_64__)
    if (level >= RAGKIT_AVX512) return &ragkit_avx512_kernels;
    if (level == RAGKIT_AVX2) return &ragkit_avx2_kernels;
#endif
    (void)level;
    return &ragkit_portable_kernels;
}

static const ragkit_product_kernels *product_table(int level) {
#if defined(__x86_64__)
    if (level == RAGKIT_AVX512_BF16) return &ragkit_avx512_bf16_products;
    if (level == RAGKIT_AVX512) return &ragkit_avx512_products;
    if (level == RAGKIT_AVX2) return &ragkit_avx2_products;
#endif
    (void)level;
    return &ragkit_portable_products;
}

const ragkit_product_kernels *ragkit_products(int level, int format) {
    const ragkit_product_kernels *kernels = product_table(level);
    return kernels->formats[format].macro_kernel ? kernels : NULL;
}

static int requested_level(void) {
    const char *name = getenv("RAGKIT_INSTRUCTION_LEVEL");
    if (!name || strcmp(name, "avx512_bf16") == 0) return RAGKIT_AVX512_BF16;
    if (strcmp(name, "avx512") == 0) return RAGKIT_AVX512;
    if (strcmp(name, "avx2") == 0) return RAGKIT_AVX2;
    if (strcmp(name, "portable") == 0) return RAGKIT_PORTABLE;
    fprintf(stderr, "RAGKit: RAGKIT_INSTRUCTION_LEVEL=\"%s\" is none of portable, avx2, avx512, avx512_bf16; ignored.\n",
            name);
    return RAGKIT_AVX512_BF16;
}

static int available(int level) { return (int)ragkit_max(RAGKIT_PORTABLE, ragkit_min(level, best_level())); }

int ragkit_force_instruction_level(int level) { return own_level = available(level); }

void ragkit_inherit_instruction_level(int level) { own_level = level; }

int ragkit_instruction_level(void) {
    if (own_level != UNKNOWN) return own_level;
    int level = atomic_load_explicit(&usual_level, memory_order_relaxed);
    if (level != UNKNOWN) return level;
    // Several threads may get here at once; all compute the same value.
    level = available(requested_level());
    atomic_store_explicit(&usual_level, level, memory_order_relaxed);
    return level;
}

const ragkit_kernel_table *ragkit_kernels(void) { return table(ragkit_instruction_level()); }
