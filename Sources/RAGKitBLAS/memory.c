// Memory from the system.

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "internal.h"

#include <sys/mman.h>
#include <unistd.h>

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

void ragkit_forget_pages(const void *start, size_t bytes) { advise(start, bytes, MADV_DONTNEED); }
