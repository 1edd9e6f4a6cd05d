// For tests and this target's own files only: nothing here is used by RAGKit's Swift sources.

#ifndef RAGKIT_BLAS_TESTING_H
#define RAGKIT_BLAS_TESTING_H

#include "ragkit_blas.h"

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Threads (pool.c)

/// Changes the number of threads (at least 1). Waits for work under way; does nothing if called from inside a pool task.
void ragkit_set_thread_count(intptr_t count);
/// Work items are numbered 0 ..< count; `worker` is 0 ..< ragkit_thread_count(), unique among the items that run at once.
typedef void (*ragkit_task)(void *context, intptr_t item, intptr_t worker);
/// Runs `task` for every item and returns when all are done. Nested calls, and calls while another thread uses the
/// pool, run inline on the calling thread, as worker 0.
void ragkit_parallel(intptr_t count, ragkit_task task, void *context);

// MARK: Instruction level (dispatch.c)

/// AVX512_BF16 is AVX-512 with the dot products of bf16 (VDPBF16PS) and int8 (VNNI); it differs from AVX512 in products only.
enum { RAGKIT_PORTABLE = 0, RAGKIT_AVX2 = 1, RAGKIT_AVX512 = 2, RAGKIT_AVX512_BF16 = 3 };
/// The instruction level in use: the best that the processor has, or a lower one that
/// RAGKIT_INSTRUCTION_LEVEL=portable|avx2|avx512|avx512_bf16 names.
int ragkit_instruction_level(void);
/// Makes the calling thread, and pool tasks it starts, use `level` or the best level of this processor, whichever is
/// lower. Returns that level. Other threads keep theirs.
int ragkit_force_instruction_level(int level);

// MARK: Kernels

/// ragkit_gemm on the calling thread alone.
void ragkit_gemm_serial(bool transpose_a, bool transpose_b, intptr_t m, intptr_t n, intptr_t k, float alpha,
                        const float *a, intptr_t lda, const float *b, intptr_t ldb, float beta, float *c, intptr_t ldc);
/// y += a * b
void ragkit_multiply_add(intptr_t n, const float *a, const float *b, float *y);
/// Sum of x * y, in Double, in a fixed order.
double ragkit_dot(intptr_t n, const float *x, const float *y);
/// True if every element is finite.
bool ragkit_all_finite(intptr_t n, const float *x);
/// Rounds to nearest even; NaN stays NaN.
void ragkit_to_bfloat16(intptr_t n, const float *x, uint16_t *y);

#ifdef __cplusplus
}
#endif

#endif
