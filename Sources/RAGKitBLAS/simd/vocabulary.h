// Losses over a vocabulary: the loops over all logits.

// logits = scale * exp(logits - lse) + offset
static void pick_gradient(intptr_t n, float lse, float scale, float offset, float *logits) {
    VECTOR_LOOP(n, store(logits + i, lanes, exponential(load(logits + i, lanes) - lse) * scale + offset););
}

// log sum over the documents of exp(logits - shift), per token; -infinity for a token that has probability 0 in all
// documents.
INLINE vf marginal_vector(intptr_t documents, intptr_t stride, const float *logits, const float *shift,
                          intptr_t lanes) {
    vf best = splat(-INFINITY);
    for (intptr_t j = 0; j < documents; j++) best = larger(best, load(logits + j * stride, lanes) - shift[j]);
    vf base = choose(best == -INFINITY, splat(0), best);
    vf total = splat(0);
    for (intptr_t j = 0; j < documents; j++) {
        total = total + exponential(load(logits + j * stride, lanes) - shift[j] - base);
    }
    return base + logarithm(total);
}

// The sum of the marginal log probabilities of n tokens.
static double marginal(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift) {
    vd low = 0, high = 0;
    VECTOR_LOOP(n, {
        vf p = marginal_vector(documents, stride, logits + i, shift, lanes);
        for (intptr_t k = lanes; k < LANES; k++) p[k] = 0;
        low = low + low_doubles(p);
        high = high + high_doubles(p);
    });
    return sum_double_lanes(low + high);
}

// The marginal log probability of each of n tokens.
static void marginal_row(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                         float *y) {
    VECTOR_LOOP(n, store(y + i, lanes, marginal_vector(documents, stride, logits + i, shift, lanes)););
}

// weights [documents, LANES] = exp(logits - shift - P), the posterior weights of the documents for LANES tokens; 0 for
// a token that has probability 0 in all documents.
INLINE void weights_vector(intptr_t documents, intptr_t stride, const float *logits, const float *shift,
                           intptr_t lanes, float *weights) {
    vf best = splat(-INFINITY);
    for (intptr_t j = 0; j < documents; j++) best = larger(best, load(logits + j * stride, lanes) - shift[j]);
    best = choose(best == -INFINITY, splat(0), best);
    vf total = splat(0);
    for (intptr_t j = 0; j < documents; j++) {
        vf e = exponential(load_or(logits + j * stride, lanes, -INFINITY) - shift[j] - best);
        total = total + e;
        store(weights + j * LANES, LANES, e);
    }
    vf inverse = choose(total == 0.0f, splat(0), 1.0f / total);
    for (intptr_t j = 0; j < documents; j++) {
        store(weights + j * LANES, LANES, load(weights + j * LANES, LANES) * inverse);
    }
}

// sums[j] += sum over the tokens of document j's weight. `scratch` [2, documents, 16].
static void marginal_weights(intptr_t documents, intptr_t stride, intptr_t n, const float *logits, const float *shift,
                             float *scratch, double *sums) {
    float *weights = scratch, *partial = scratch + documents * LANES;
    for (intptr_t start = 0; start < n; start += SUM_BLOCK) {
        memset(partial, 0, (size_t)(documents * LANES) * sizeof(float));
        VECTOR_LOOP(ragkit_min(SUM_BLOCK, n - start), {
            weights_vector(documents, stride, logits + start + i, shift, lanes, weights);
            add(documents * LANES, partial, weights, partial);
        });
        for (intptr_t j = 0; j < documents; j++) sums[j] += (double)sum_lanes(load(partial + j * LANES, LANES));
    }
}

// logits[j] = d_total * weight_j - d_prior[j] * softmax_j; the caller adds the target's term.
static void marginal_gradient(intptr_t documents, intptr_t stride, intptr_t n, float *logits, const float *shift,
                              const float *lse, float d_total, const float *d_prior, float *scratch) {
    VECTOR_LOOP(n, {
        if (d_total != 0) weights_vector(documents, stride, logits + i, shift, lanes, scratch);
        for (intptr_t j = 0; j < documents; j++) {
            float *place = logits + j * stride + i;
            vf d = exponential(load(place, lanes) - lse[j]) * -d_prior[j];
            if (d_total != 0) d = d + load(scratch + j * LANES, LANES) * d_total;
            store(place, lanes, d);
        }
    });
}
