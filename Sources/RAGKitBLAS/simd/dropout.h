// Dropout with Philox 4x32-10, several blocks of the generator at once. Each 32-bit word of a block is in a 64-bit
// lane: the multiplication needs that, and the words come out in memory order without a transposition.

enum { WORD_CHUNK = 256, SIDE = LANES / 2 };  // elements whose random words are generated at once; blocks in a vector

typedef struct { vl first[10], second[10]; } round_keys;

INLINE round_keys make_round_keys(uint64_t seed) {
    round_keys keys;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        keys.first[round] = (vl)(uint64_t)k0;
        keys.second[round] = (vl)(uint64_t)k1;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return keys;
}

// Writes the 8 * blocks 16-bit words of blocks first, first + 1, ...; `words` has room for a multiple of two vectors.
INLINE void random_words(uint64_t first, intptr_t blocks, uint64_t stream, const round_keys *keys, uint16_t *words) {
    const vl low = (vl)0xffffffffULL;
    vl number;
    for (int i = 0; i < SIDE; i++) number[i] = (uint64_t)i;
    for (intptr_t b = 0; b < blocks; b += 2 * SIDE) {
        // two vectors, so that their multiplications overlap
        vl c[2][4];
        _Pragma("unroll") for (int j = 0; j < 2; j++) {
            vl block = number + (first + (uint64_t)(b + j * SIDE));
            c[j][0] = block & low;
            c[j][1] = block >> 32;
            c[j][2] = (vl)(stream & 0xffffffffULL);
            c[j][3] = (vl)(stream >> 32);
        }
        _Pragma("unroll") for (int round = 0; round < 10; round++) {
            _Pragma("unroll") for (int j = 0; j < 2; j++) {
                vl p0 = c[j][0] * 0xD2511F53ULL;
                vl p1 = c[j][2] * 0xCD9E8D57ULL;
                c[j][0] = (p1 >> 32) ^ c[j][1] ^ keys->first[round];
                c[j][1] = p1 & low;
                c[j][2] = (p0 >> 32) ^ c[j][3] ^ keys->second[round];
                c[j][3] = p0 & low;
            }
        }
        _Pragma("unroll") for (int j = 0; j < 2; j++) {
            vl front = c[j][0] | (c[j][1] << 32);
            vl back = c[j][2] | (c[j][3] << 32);
            uint64_t pairs[LANES];
            for (int i = 0; i < SIDE; i++) {
                pairs[2 * i] = front[i];
                pairs[2 * i + 1] = back[i];
            }
            memcpy(words + 8 * (b + j * SIDE), pairs, sizeof(pairs));
        }
    }
}

static void dropout(intptr_t n, const ragkit_dropout_plan *plan, uint64_t first, const float *x, const float *residual,
                    float *y) {
    // One chunk of words, from a block boundary, and room for what the last vectors write beyond it.
    uint16_t words[WORD_CHUNK + 16 * SIDE];
    const round_keys keys = make_round_keys(plan->seed);
    const vi threshold = (vi)(int32_t)plan->threshold;
    const float scale = plan->scale;
    intptr_t done = 0;
    while (done < n) {
        uint64_t element = first + (uint64_t)done;
        intptr_t skip = (intptr_t)(element % 8);
        intptr_t length = ragkit_min(WORD_CHUNK - skip, n - done);
        random_words(element / 8, (skip + length + 7) / 8, plan->stream, &keys, words);
        VECTOR_LOOP(length, {
            vi word = __builtin_convertvector(load_halves(words + skip + i, lanes), vi);
            vf v = keep_if(word >= threshold, load(x + done + i, lanes) * scale);
            if (residual) v = v + load(residual + done + i, lanes);
            store(y + done + i, lanes, v);
        });
        done += length;
    }
}
