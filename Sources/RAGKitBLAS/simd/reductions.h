// Reductions of contiguous elements. Sums are in Double lanes, so their error hardly grows with n.

#define SUM_LOOP(n, expression)                                           \
    vd low = 0, high = 0;                                                 \
    VECTOR_LOOP(n, {                                                      \
        expression                                                        \
    });                                                                   \
    return sum_double_lanes(low + high)

static double sum(intptr_t n, const float *x) {
    SUM_LOOP(n, vf v = load(x + i, lanes); low = low + low_doubles(v); high = high + high_doubles(v););
}

static double sum_of_squares(intptr_t n, const float *x) {
    SUM_LOOP(n, vf v = load(x + i, lanes);
             vd a = low_doubles(v); vd b = high_doubles(v);
             low = low + a * a; high = high + b * b;);
}

static double dot(intptr_t n, const float *x, const float *y) {
    SUM_LOOP(n, vf v = load(x + i, lanes); vf w = load(y + i, lanes);
             low = low + low_doubles(v) * low_doubles(w);
             high = high + high_doubles(v) * high_doubles(w););
}

// In infinity and NaN all exponent bits are set.
static bool all_finite(intptr_t n, const float *x) {
    vi bad = 0;
    VECTOR_LOOP(n, bad |= (bits(load(x + i, lanes)) & 0x7f800000) == 0x7f800000;);
    for (int i = 0; i < LANES; i++) {
        if (bad[i]) return false;
    }
    return true;
}

// The maximum, or NaN if there is one, and its first position. `index` is nullable.
static float maximum(intptr_t n, const float *x, int32_t *index) {
    vf best = splat(-INFINITY);
    vi nan = 0;
    VECTOR_LOOP(n, {
        vf v = load_or(x + i, lanes, -INFINITY);
        best = larger(best, v);
        nan |= v != v;
    });
    bool has_nan = false;
    for (int i = 0; i < LANES; i++) has_nan = has_nan || nan[i];
    float result = has_nan ? NAN : max_lanes(best);
    if (index) {
        intptr_t i = 0;
        if (has_nan) {
            while (x[i] == x[i]) i++;
        } else {
            // whole vectors first, so that the search is as fast as the maximum
            for (; i + LANES <= n; i += LANES) {
                vi found = load(x + i, LANES) == splat(result);
                int any = 0;
                for (int j = 0; j < LANES; j++) any |= found[j];
                if (any) break;
            }
            while (x[i] != result) i++;
        }
        *index = (int32_t)i;
    }
    return result;
}

static void sum_rows(intptr_t rows, intptr_t width, intptr_t stride, const float *x, double *y) {
    memset(y, 0, (size_t)width * sizeof(double));
    intptr_t r = 0;
    for (; r < rows; r++) {
        const float *row = x + r * stride;
        intptr_t c = 0;
        for (; c + LANES <= width; c += LANES) {
            vf v = load(row + c, LANES);
            vd low, high;
            memcpy(&low, y + c, sizeof(low));
            memcpy(&high, y + c + LANES / 2, sizeof(high));
            low = low + low_doubles(v);
            high = high + high_doubles(v);
            memcpy(y + c, &low, sizeof(low));
            memcpy(y + c + LANES / 2, &high, sizeof(high));
        }
        for (; c < width; c++) y[c] += (double)row[c];
    }
}
