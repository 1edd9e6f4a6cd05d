// Search: finds the next score that can enter a heap.

static intptr_t find_greater(intptr_t first, intptr_t n, float threshold, const float *x) {
    intptr_t i = first;
    for (; i + LANES <= n; i += LANES) {
        vi above = load(x + i, LANES) > splat(threshold);
        int any = 0;
        for (int j = 0; j < LANES; j++) any |= above[j];
        if (any) break;
    }
    while (i < n && !(x[i] > threshold)) i++;
    return i;
}
