// Softmax kernels for one row, which stays in cache. Exponentials are summed in Float32 within short blocks and in
// Double across blocks.

enum { SUM_BLOCK = 1024 };

INLINE float row_maximum(intptr_t n, const float *x) {
    // four independent chains, which hide the latency of max
    vf best[4] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
    intptr_t whole = n / (4 * LANES) * (4 * LANES);
    for (intptr_t i = 0; i < whole; i += 4 * LANES) {
        _Pragma("unroll") for (int j = 0; j < 4; j++) best[j] = larger(best[j], load(x + i + j * LANES, LANES));
    }
    VECTOR_LOOP(n - whole, best[0] = larger(best[0], load_or(x + whole + i, lanes, -INFINITY)););
    return max_lanes(larger(larger(best[0], best[1]), larger(best[2], best[3])));
}

// Sums exp(x - shift) over a row and runs `keep` for each vector e of it. Lanes beyond the row are -infinity, whose
// exponential is 0.
#define EXP_SUM_BLOCKS(n, keep)                                                        \
    double total = 0;                                                                  \
    for (intptr_t start = 0; start < (n); start += SUM_BLOCK) {                        \
        intptr_t length = ragkit_min(SUM_BLOCK, (n) - start);                          \
        vf partial = splat(0);                                                         \
        VECTOR_LOOP(length, {                                                          \
            vf e = exponential(load_or(x + start + i, lanes, -INFINITY) - shift);      \
            partial = partial + e;                                                     \
            keep                                                                       \
        });                                                                            \
        total += (double)sum_lanes(partial);                                           \
    }

static float exp_row(intptr_t n, const float *x, float *y, float *maximum) {
    float shift = row_maximum(n, x);
    *maximum = shift;
    if (shift == -INFINITY) {  // avoids infinity - infinity, which is NaN
        bool nan = false;
        for (intptr_t i = 0; i < n; i++) nan = nan || x[i] != x[i];
        fill(n, nan ? NAN : 0.0f, y);
        return nan ? NAN : 0.0f;
    }
    EXP_SUM_BLOCKS(n, store(y + start + i, lanes, e););
    return (float)total;
}

static void exp_shifted(intptr_t n, float shift, const float *x, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, exponential(load(x + i, lanes) - shift)););
}

static void softmax(intptr_t n, const float *x, float *y) {
    float maximum;
    float total = exp_row(n, x, y, &maximum);
    if (total == 0) return;
    affine(n, 1.0f / total, 0, y, y);
}

// `plain`, nullable, is the sum of x itself.
static float log_sum_exp(intptr_t n, const float *x, double *plain) {
    float shift = row_maximum(n, x);
    if (plain) *plain = sum(n, x);
    if (shift == -INFINITY) {
        for (intptr_t i = 0; i < n; i++) {
            if (x[i] != x[i]) return NAN;
        }
        return -INFINITY;
    }
    EXP_SUM_BLOCKS(n, );
    return shift + (float)log(total);
}

static void log_softmax(intptr_t n, const float *x, float *y) {
    float lse = log_sum_exp(n, x, NULL);
    if (lse == -INFINITY) {
        fill(n, -INFINITY, y);
    } else {
        VECTOR_LOOP(n, store(y + i, lanes, load(x + i, lanes) - lse););
    }
}

static void softmax_gradient(intptr_t n, const float *y, const float *dy, float *dx) {
    float inner = (float)dot(n, y, dy);
    VECTOR_LOOP(n, store(dx + i, lanes, load(y + i, lanes) * (load(dy + i, lanes) - inner)););
}

static void log_softmax_gradient(intptr_t n, const float *y, const float *dy, float *dx) {
    float total = (float)sum(n, dy);
    VECTOR_LOOP(n, store(dx + i, lanes, load(dy + i, lanes) - exponential(load(y + i, lanes)) * total););
}

static void attention_gradient(intptr_t n, const float *p, const float *dropped, float shift, float *dp) {
    VECTOR_LOOP(n, {
        vf y = load(dropped + i, lanes) * load(dp + i, lanes) - load(p + i, lanes) * shift;
        store(dp + i, lanes, y);
    });
}
