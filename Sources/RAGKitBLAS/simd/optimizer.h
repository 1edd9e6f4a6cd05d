// AdamW. Each array is read and written once.

static void adamw(intptr_t n, const ragkit_adamw_step *step, const float *gradient, float *parameter, float *moment1,
                  float *moment2) {
    const float b1 = step->beta1, b2 = step->beta2, epsilon = step->epsilon;
    const float scale = step->gradient_scale;
    const float decay = 1.0f - step->learning_rate * step->weight_decay;
    const float root = sqrtf(step->bias_correction2);
    const bool transformers = step->transformers_variant;
    // sqrt(v^) + eps = (sqrt(v) + eps * root) / root, so both variants are m * size / (sqrt(v) + added)
    const float size = step->learning_rate * root / step->bias_correction1;
    const float added = transformers ? epsilon : epsilon * root;
    VECTOR_LOOP(n, {
        vf g = load(gradient + i, lanes) * scale;
        vf m = load(moment1 + i, lanes) * b1 + g * (1.0f - b1);
        vf v = load(moment2 + i, lanes) * b2 + g * g * (1.0f - b2);
        vf p = load(parameter + i, lanes);
        vf update = m * size / (square_root(v) + added);
        p = transformers ? (p - update) * decay : p * decay - update;
        store(moment1 + i, lanes, m);
        store(moment2 + i, lanes, v);
        store(parameter + i, lanes, p);
    });
}
