#pragma once
// What Swift's view of glibc leaves out.
#include <malloc.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <time.h>

// Declared by glibc only under _GNU_SOURCE, which Swift's view of pthread.h does not have.
extern int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *until);
// Until an instant of CLOCK_MONOTONIC.
static inline int taproom_join_until(pthread_t thread, const struct timespec *until) {
    return pthread_clockjoin_np(thread, 0, CLOCK_MONOTONIC, until);
}

// A flag of statvfs(3), which glibc too gives only under _GNU_SOURCE.
#ifndef ST_NOEXEC
#define ST_NOEXEC 8
#endif
