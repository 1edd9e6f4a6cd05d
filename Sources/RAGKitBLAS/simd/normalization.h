// Layer norm and RMS norm of one row, which stays in cache between its passes.

INLINE float row_sum(intptr_t n, const float *x) {
    vf a = splat(0);
    VECTOR_LOOP(n, a = a + load(x + i, lanes););
    return sum_lanes(a);
}

static void layer_norm(intptr_t n, const float *sum, const float *gain, const float *bias, float epsilon, float *y,
                       float *mean, float *rstd) {
    float average = row_sum(n, sum) / (float)n;
    vf squares = splat(0);
    VECTOR_LOOP(n, {
        vf d = load_or(sum + i, lanes, average) - average;
        squares = squares + d * d;
    });
    float scale = 1.0f / sqrtf(sum_lanes(squares) / (float)n + epsilon);
    VECTOR_LOOP(n, {
        vf v = (load(sum + i, lanes) - average) * scale;
        store(y + i, lanes, v * load(gain + i, lanes) + load(bias + i, lanes));
    });
    if (mean) *mean = average;
    if (rstd) *rstd = scale;
}

// Adds to dgain and dbias.
static void layer_norm_gradient(intptr_t n, const float *sum, float mean, float rstd, const float *gain,
                                const float *dy, float *d_sum, float *dgain, float *dbias) {
    vf first = splat(0), second = splat(0);
    VECTOR_LOOP(n, {
        vf d = load(dy + i, lanes);
        vf xhat = (load(sum + i, lanes) - mean) * rstd;
        vf g = d * load(gain + i, lanes);
        first = first + g;
        second = second + g * xhat;
        store(dgain + i, lanes, load(dgain + i, lanes) + d * xhat);
        store(dbias + i, lanes, load(dbias + i, lanes) + d);
    });
    float a = sum_lanes(first) / (float)n;
    float b = sum_lanes(second) / (float)n;
    VECTOR_LOOP(n, {
        vf xhat = (load(sum + i, lanes) - mean) * rstd;
        vf g = load(dy + i, lanes) * load(gain + i, lanes);
        store(d_sum + i, lanes, (g - a - xhat * b) * rstd);
    });
}

static void rms_norm(intptr_t n, const float *x, const float *gain, float epsilon, float *y, float *rstd) {
    vf squares = splat(0);
    VECTOR_LOOP(n, vf v = load(x + i, lanes); squares = squares + v * v;);
    float scale = 1.0f / sqrtf(sum_lanes(squares) / (float)n + epsilon);
    VECTOR_LOOP(n, store(y + i, lanes, load(x + i, lanes) * scale * load(gain + i, lanes)););
    if (rstd) *rstd = scale;
}

// dx = rstd * (g - xhat * mean(g * xhat)), g = dy * gain; adds to dgain.
static void rms_norm_gradient(intptr_t n, const float *x, float rstd, const float *gain, const float *dy, float *dx,
                              float *dgain) {
    vf inner = splat(0);
    VECTOR_LOOP(n, {
        vf d = load(dy + i, lanes);
        vf xhat = load(x + i, lanes) * rstd;
        inner = inner + d * load(gain + i, lanes) * xhat;
        store(dgain + i, lanes, load(dgain + i, lanes) + d * xhat);
    });
    float a = sum_lanes(inner) / (float)n;
    VECTOR_LOOP(n, {
        vf xhat = load(x + i, lanes) * rstd;
        store(dx + i, lanes, (load(dy + i, lanes) * load(gain + i, lanes) - xhat * a) * rstd);
    });
}
