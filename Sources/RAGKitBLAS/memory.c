// Memory: pages from the system, allocations, and the scratch memory of each thread.

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "internal.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

// MARK: Pages

enum { HUGE_PAGE = 2 << 20 };

static char *round_address(char *address, uintptr_t multiple) {
    return address + (multiple - (uintptr_t)address % multiple) % multiple;
}

void *ragkit_reserve(size_t bytes) {
    if (bytes > SIZE_MAX - HUGE_PAGE) return NULL;
    int flags = MAP_PRIVATE | MAP_ANON;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE;
#endif
    char *memory = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    char *start = round_address(memory, HUGE_PAGE);
#if defined(MADV_HUGEPAGE)
    madvise(start, bytes, MADV_HUGEPAGE);
#endif
    return start;
}

static void advise(const void *start, size_t bytes, int advice) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *first = round_address((char *)start, page), *end = (char *)start + bytes;
    end -= (uintptr_t)end % page;
    if (first < end) madvise(first, (size_t)(end - first), advice);
}

void ragkit_discard(void *start, size_t bytes) {
#if defined(__linux__)
    advise(start, bytes, MADV_DONTNEED);
#else
    advise(start, bytes, MADV_FREE);
#endif
}

void ragkit_release_pages(const void *start, size_t bytes) { advise(start, bytes, MADV_DONTNEED); }

// MARK: Allocations

void *ragkit_allocate(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes > 0 ? bytes : 1) != 0) {
        fprintf(stderr, "RAGKit: out of memory (%zu bytes of scratch space).\n", bytes);
        abort();
    }
    return memory;
}

// MARK: Scratch memory

typedef struct {
    size_t bytes;
    void *memory;
} buffer;

enum { GENERAL, PANELS, SHARED_PANELS, BUFFERS };

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void free_scratch(void *value) {
    buffer *own = value;
    for (int i = 0; i < BUFFERS; i++) free(own[i].memory);
    free(own);
}

static void make_scratch_key(void) { pthread_key_create(&scratch_key, free_scratch); }

static void *scratch(int which, size_t bytes) {
    pthread_once(&scratch_once, make_scratch_key);
    buffer *own = pthread_getspecific(scratch_key);
    if (!own) {
        own = ragkit_allocate(BUFFERS * sizeof(*own));
        memset(own, 0, BUFFERS * sizeof(*own));
        pthread_setspecific(scratch_key, own);
    }
    if (own[which].bytes < bytes) {
        free(own[which].memory);
        own[which].memory = ragkit_allocate(bytes);
        own[which].bytes = bytes;
    }
    return own[which].memory;
}

void *ragkit_scratch(size_t bytes) { return scratch(GENERAL, bytes); }

void *ragkit_panel_scratch(size_t bytes) { return scratch(PANELS, bytes); }

void *ragkit_shared_panel_scratch(size_t bytes) { return scratch(SHARED_PANELS, bytes); }
