// The epilogue of a product, as BLAS-like libraries name it: what happens to C after the sums, while it is in registers
// or cache. The bias is added by the micro-kernel (simd/microkernel.h), the function runs after a few column panels
// (panels.c); variants without panels apply both to the finished product.

#include "internal.h"

bool ragkit_has_function(const ragkit_epilogue *epilogue, const float *c) {
    return epilogue->y != c || epilogue->function != RAGKIT_IDENTITY;
}

void ragkit_apply_function(const ragkit_epilogue *epilogue, intptr_t i, intptr_t rows, intptr_t j, intptr_t columns,
                           const float *c, intptr_t ldc) {
    const ragkit_kernel_table *kernels = ragkit_kernels();
    for (intptr_t at = i * ldc + j; rows > 0; rows--, at += ldc) {
        kernels->map(columns, epilogue->function, c + at, epilogue->y + at);
    }
}

typedef struct {
    const ragkit_epilogue *epilogue;
    intptr_t columns, ldc;
    float *c;
} epilogue_job;

static void epilogue_range(void *context, intptr_t begin, intptr_t end) {
    const epilogue_job *j = context;
    const float *bias = j->epilogue->bias;
    for (intptr_t i = begin; bias && i < end; i++) {
        ragkit_kernels()->add(j->columns, j->c + i * j->ldc, bias, j->c + i * j->ldc);
    }
    if (!ragkit_has_function(j->epilogue, j->c)) return;
    ragkit_apply_function(j->epilogue, begin, end - begin, 0, j->columns, j->c, j->ldc);
}

void ragkit_apply_epilogue(const ragkit_epilogue *epilogue, intptr_t rows, intptr_t columns, float *c, intptr_t ldc) {
    epilogue_job job = {epilogue, columns, ldc, c};
    ragkit_parallel_ranges(rows, columns * ragkit_function_cost(epilogue->function), epilogue_range, &job);
}
