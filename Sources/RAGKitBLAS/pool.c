// The library's one pool of threads.
//
// Any worker may join an open job. The caller takes items too, closes the job when no item is left, and waits only for
// the workers that joined. So a worker that sleeps, or that the system has not scheduled, costs nothing, and the child
// of a fork, which has no workers, still finishes its work.

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#elif defined(__APPLE__)
#include <pthread/qos.h>
#endif

enum { MAX_THREADS = 1024, SPIN_NANOSECONDS = 50000, BACKGROUND_PRIORITY = 10 };

// `job_state`: the job's number in the upper 32 bits, then one bit that is set while it is open, then the number of
// workers that run it.
static const uint64_t GENERATION = 1ULL << 32, OPEN = 1ULL << 31;
static _Atomic uint64_t job_state;

// Written only while the job is closed and no worker runs it.
static ragkit_task job_task;
static void *job_context;
static intptr_t job_count;
static int job_level;  // the instruction level of its owner
static _Atomic intptr_t job_next;

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;  // held by the thread that uses the pool
static pthread_mutex_t sleep_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Atomic int sleepers;
static _Atomic bool stopping;

static _Atomic intptr_t thread_count;  // 0 until the first call that needs it
static pthread_t workers[MAX_THREADS];
static intptr_t workers_running;  // guarded by `owner`

static _Thread_local bool inside_task;

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static intptr_t default_thread_count(void) {
    const char *text = getenv("RAGKIT_NUM_THREADS");
    if (text) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (end != text && *end == 0 && errno == 0 && value >= 1) return ragkit_min(value, MAX_THREADS);
        fprintf(stderr, "RAGKit: RAGKIT_NUM_THREADS=\"%s\" is not a number of at least 1; using all cores.\n", text);
    }
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) {
        return ragkit_min(CPU_COUNT(&set), MAX_THREADS);
    }
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : ragkit_min(online, MAX_THREADS);
}

intptr_t ragkit_thread_count(void) {
    intptr_t count = atomic_load_explicit(&thread_count, memory_order_relaxed);
    if (count > 0) return count;
    intptr_t expected = 0;
    atomic_compare_exchange_strong(&thread_count, &expected, default_thread_count());
    return atomic_load(&thread_count);
}

static void take_items(intptr_t worker) {
    for (;;) {
        intptr_t item = atomic_fetch_add_explicit(&job_next, 1, memory_order_relaxed);
        if (item >= job_count) return;
        job_task(job_context, item, worker);
    }
}

// Joins the open job unless its number is `*seen`. Returns true if it worked on the job.
static bool join_job(uint64_t *seen, intptr_t worker) {
    uint64_t state = atomic_load(&job_state);
    while (state / GENERATION != *seen && (state & OPEN)) {
        if (atomic_compare_exchange_weak(&job_state, &state, state + 1)) {
            *seen = state / GENERATION;
            ragkit_inherit_instruction_level(job_level);
            take_items(worker);
            atomic_fetch_sub(&job_state, 1);
            return true;
        }
    }
    return false;
}

static void *work(void *argument) {
    intptr_t worker = (intptr_t)argument;
    uint64_t seen = 0;  // jobs are numbered from 1
    inside_task = true;
    while (!atomic_load(&stopping)) {
        if (join_job(&seen, worker)) continue;
        int64_t deadline = nanoseconds() + SPIN_NANOSECONDS;
        bool joined = false;
        do {
            for (int i = 0; i < 32 && !joined; i++) {
                pause_briefly();
                joined = join_job(&seen, worker);
            }
        } while (!joined && !atomic_load(&stopping) && nanoseconds() < deadline);
        if (joined) continue;
        pthread_mutex_lock(&sleep_mutex);
        atomic_fetch_add(&sleepers, 1);
        for (;;) {
            // Checked after `sleepers` is raised: either this thread sees the new job, or the job's owner sees the sleeper.
            uint64_t state = atomic_load(&job_state);
            if (((state & OPEN) && state / GENERATION != seen) || atomic_load(&stopping)) break;
            pthread_cond_wait(&wake, &sleep_mutex);
        }
        atomic_fetch_sub(&sleepers, 1);
        pthread_mutex_unlock(&sleep_mutex);
    }
    return NULL;
}

static void wake_sleepers(void) {
    if (atomic_load(&sleepers) == 0) return;
    pthread_mutex_lock(&sleep_mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_mutex);
}

// Start and stop need `owner`.
static void start_workers(intptr_t count) {
    while (workers_running < count) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 8 << 20);  // Swift code runs on them too
        int failed = pthread_create(&workers[workers_running], &attributes, work, (void *)(workers_running + 1));
        pthread_attr_destroy(&attributes);
        if (failed) return;  // fewer workers do the same work
        workers_running++;
    }
}

static void stop_workers(void) {
    atomic_store(&stopping, true);
    pthread_mutex_lock(&sleep_mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_mutex);
    for (intptr_t i = 0; i < workers_running; i++) pthread_join(workers[i], NULL);
    workers_running = 0;
    atomic_store(&stopping, false);
}

void ragkit_set_thread_count(intptr_t count) {
    if (inside_task) return;  // it would wait for itself
    pthread_mutex_lock(&owner);
    stop_workers();
    atomic_store(&thread_count, ragkit_max(1, ragkit_min(count, MAX_THREADS)));
    pthread_mutex_unlock(&owner);
}

void ragkit_work_in_background(void) {
    inside_task = true;
#if defined(__linux__)
    // On Linux, 0 means the calling thread alone. On a shared core, work at 10 gets about a tenth of the time beside
    // work at 0.
    setpriority(PRIO_PROCESS, 0, BACKGROUND_PRIORITY);
#elif defined(__APPLE__)
    pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#endif
}

void ragkit_parallel(intptr_t count, ragkit_task task, void *context) {
    if (count <= 1 || inside_task || ragkit_thread_count() == 1 || pthread_mutex_trylock(&owner) != 0) {
        for (intptr_t item = 0; item < count; item++) task(context, item, 0);
        return;
    }
    start_workers(ragkit_thread_count() - 1);
    job_task = task;
    job_context = context;
    job_count = count;
    job_level = ragkit_instruction_level();
    atomic_store_explicit(&job_next, 0, memory_order_relaxed);
    uint64_t number = atomic_load(&job_state) / GENERATION + 1;
    if (number == UINT32_MAX) number = 1;
    atomic_store(&job_state, number * GENERATION | OPEN);
    wake_sleepers();
    inside_task = true;
    take_items(0);
    inside_task = false;
    atomic_fetch_and(&job_state, ~OPEN);
    for (int spins = 0; (atomic_load(&job_state) & (OPEN - 1)) != 0; spins++) {
        pause_briefly();
        if (spins >= 2000) {  // a worker has lost its core: let the system schedule it
            struct timespec nap = {0, 20000};
            nanosleep(&nap, NULL);
        }
    }
    pthread_mutex_unlock(&owner);
}

typedef struct {
    intptr_t count, size;
    ragkit_range_task task;
    void *context;
} ranges;

static void run_range(void *context, intptr_t item, intptr_t worker) {
    (void)worker;
    const ranges *all = context;
    intptr_t begin = item * all->size;
    all->task(all->context, begin, ragkit_min(begin + all->size, all->count));
}

void ragkit_parallel_ranges(intptr_t count, intptr_t cost, ragkit_range_task task, void *context) {
    if (count <= 0) return;
    intptr_t grain = ragkit_max(1, RAGKIT_GRAIN / ragkit_max(cost, 1));
    intptr_t threads = ragkit_thread_count();
    if (threads == 1 || inside_task || count <= grain) {
        task(context, 0, count);
        return;
    }
    // several ranges per thread balance the load if a core is busy with something else
    ranges all = {count, ragkit_max(grain, ragkit_ceil_div(count, threads * 4)), task, context};
    ragkit_parallel(ragkit_ceil_div(count, all.size), run_range, &all);
}
