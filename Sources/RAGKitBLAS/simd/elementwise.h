// Elementwise kernels. An element is read before the element at its place is written, so outputs may be inputs.

static void fill(intptr_t n, float value, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, splat(value)););
}

static void add(intptr_t n, const float *a, const float *b, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(a + i, lanes) + load(b + i, lanes)););
}

static void subtract(intptr_t n, const float *a, const float *b, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(a + i, lanes) - load(b + i, lanes)););
}

static void multiply(intptr_t n, const float *a, const float *b, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(a + i, lanes) * load(b + i, lanes)););
}

static void divide(intptr_t n, const float *a, const float *b, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(a + i, lanes) / load(b + i, lanes)););
}

static void affine(intptr_t n, float scale, float offset, const float *x, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(x + i, lanes) * scale + offset););
}

static void axpy(intptr_t n, float alpha, const float *x, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(x + i, lanes) * alpha + load(y + i, lanes)););
}

static void multiply_add(intptr_t n, const float *a, const float *b, float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, load(a + i, lanes) * load(b + i, lanes) + load(y + i, lanes)););
}

static void embed_row(intptr_t n, float scale, const float *words, const float *positions, const float *types,
                      float *y) {
    VECTOR_LOOP(n, {
        vf v = load(words + i, lanes) * scale;
        if (positions) v = v + load(positions + i, lanes);
        if (types) v = v + load(types + i, lanes);
        store(y + i, lanes, v);
    });
}

// x * Phi(x), computed from the tail so that large negative x keep their precision.
INLINE vf gelu(vf x) {
    vf e;
    vf q = normal_tail(absolute(x), &e);
    return x * choose(x < 0.0f, q, 1.0f - q);
}

// x * sigmoid(2u) = x / 2 * (1 + tanh u), u = sqrt(2 / pi) * (x + 0.044715 x^3)
INLINE vf gelu_tanh(vf x) {
    return x * sigmoid(x * (1.5957691216f + x * x * 0.0713548162726f));
}

static void map(intptr_t n, int function, const float *x, float *y) {
#define MAP(expression)                                                     \
    VECTOR_LOOP(n, vf v = load(x + i, lanes); store(y + i, lanes, (expression));); \
    break
    switch (function) {
    case RAGKIT_RELU: MAP(choose(v <= 0.0f, splat(0), v));
    case RAGKIT_GELU: MAP(gelu(v));
    case RAGKIT_GELU_TANH: MAP(gelu_tanh(v));
    case RAGKIT_SILU: MAP(v * sigmoid(v));
    case RAGKIT_TANH: MAP(hyperbolic_tangent(v));
    case RAGKIT_SIGMOID: MAP(sigmoid(v));
    case RAGKIT_EXP: MAP(exponential(v));
    case RAGKIT_LOG: MAP(logarithm(v));
    case RAGKIT_SQRT: MAP(square_root(v));
    case RAGKIT_RSQRT: MAP(1.0f / square_root(v));
    case RAGKIT_ABS: MAP(absolute(v));
    case RAGKIT_SQUARE: MAP(v * v);
    case RAGKIT_RECIPROCAL: MAP(1.0f / v);
    default: memmove(y, x, (size_t)n * sizeof(float));
    }
#undef MAP
}

// The derivatives are constant beyond these bounds, where products such as x * (1 - sigmoid(x)) would overflow.
INLINE vf bounded(vf x) { return smaller(splat(30.0f), larger(splat(-30.0f), x)); }

// Phi(x) + x * phi(x)
INLINE vf gelu_derivative(vf x) {
    vf v = bounded(x);
    vf e;
    vf q = normal_tail(absolute(v), &e);
    return choose(v < 0.0f, q, 1.0f - q) + v * e * 0.398942280401f;
}

INLINE vf gelu_tanh_derivative(vf x) {
    vf v = bounded(x);
    vf s = sigmoid(v * (1.5957691216f + v * v * 0.0713548162726f));
    return s + v * s * (1.0f - s) * (1.5957691216f + v * v * 0.2140644488178f);
}

INLINE vf silu_derivative(vf x) {
    vf v = smaller(splat(120.0f), larger(splat(-120.0f), x));
    vf s = sigmoid(v);
    return s * (1.0f + v * (1.0f - s));
}

INLINE vf tanh_derivative(vf x) {
    vf t = hyperbolic_tangent(x);
    return 1.0f - t * t;
}

INLINE vf sigmoid_derivative(vf x) {
    vf e = exponential(-absolute(x));
    return e / ((e + 1.0f) * (e + 1.0f));
}

static void map_gradient(intptr_t n, int function, const float *x, const float *dy, float *dx) {
#define MAP(expression)                                  \
    VECTOR_LOOP(n, {                                     \
        vf v = load(x + i, lanes);                       \
        vf d = load(dy + i, lanes);                      \
        store(dx + i, lanes, (expression));              \
    });                                                  \
    break
    switch (function) {
    case RAGKIT_RELU: MAP(choose(v <= 0.0f, splat(0), d));
    case RAGKIT_GELU: MAP(gelu_derivative(v) * d);
    case RAGKIT_GELU_TANH: MAP(gelu_tanh_derivative(v) * d);
    case RAGKIT_SILU: MAP(silu_derivative(v) * d);
    case RAGKIT_TANH: MAP(tanh_derivative(v) * d);
    case RAGKIT_SIGMOID: MAP(sigmoid_derivative(v) * d);
    case RAGKIT_EXP: MAP(exponential(v) * d);
    case RAGKIT_LOG: MAP(d / v);
    case RAGKIT_SQRT: MAP(d * 0.5f / square_root(v));
    case RAGKIT_RSQRT: MAP(d * -0.5f / (v * square_root(v)));
    case RAGKIT_ABS: MAP(choose(v > 0.0f, d, choose(v < 0.0f, -d, v * 0.0f)));
    case RAGKIT_SQUARE: MAP(d * (v + v));
    case RAGKIT_RECIPROCAL: MAP(-d / (v * v));
    default: memmove(dx, dy, (size_t)n * sizeof(float));
    }
#undef MAP
}
