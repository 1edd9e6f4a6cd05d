// All vector kernels of one instruction level and their table. Included by each level_*.c, once.

#include "vector.h"

#include "elementwise.h"
#include "reductions.h"
#include "softmax.h"
#include "dropout.h"
#include "normalization.h"
#include "vocabulary.h"
#include "optimizer.h"
#include "search.h"
#include "conversions.h"
#include "gemv.h"
#include "gemm.h"

const ragkit_kernel_table KERNEL_TABLE = {
    .fill = fill,
    .add = add,
    .subtract = subtract,
    .multiply = multiply,
    .divide = divide,
    .affine = affine,
    .axpy = axpy,
    .multiply_add = multiply_add,
    .map = map,
    .map_gradient = map_gradient,
    .embed_row = embed_row,
    .sum = sum,
    .sum_of_squares = sum_of_squares,
    .dot = dot,
    .all_finite = all_finite,
    .maximum = maximum,
    .sum_rows = sum_rows,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .log_sum_exp = log_sum_exp,
    .softmax_gradient = softmax_gradient,
    .log_softmax_gradient = log_softmax_gradient,
    .exp_row = exp_row,
    .exp_shifted = exp_shifted,
    .attention_gradient = attention_gradient,
    .layer_norm = layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
    .rms_norm = rms_norm,
    .rms_norm_gradient = rms_norm_gradient,
    .dropout = dropout,
    .pick_gradient = pick_gradient,
    .marginal = marginal,
    .marginal_row = marginal_row,
    .marginal_weights = marginal_weights,
    .marginal_gradient = marginal_gradient,
    .adamw = adamw,
    .find_greater = find_greater,
    .from_bfloat16 = from_bfloat16,
    .from_float16 = from_float16,
    .to_bfloat16 = to_bfloat16,
    .gemv_dot = gemv_dot,
    .gemv_axpy = gemv_axpy,
};
