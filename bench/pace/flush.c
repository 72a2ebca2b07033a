// Writes a page and flushes it to the disk at a given rate, as one commit after the other does to a server's log, and
// says how long that took. A latency counts from the instant that was fixed beforehand, as in pace.c.
// Usage: flush FILE RATE SECONDS; prints flushes, 0, and in microseconds the median and the 99th percentile.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// A segment of PostgreSQL's log and a page of it, in bytes.
enum { SEGMENT = 16 << 20, PAGE = 8192 };

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void must(int succeeded) {
    if (succeeded) return;
    perror("flush");
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    long rate = atol(argv[2]), count = rate * atol(argv[3]);
    if (count < 1) return 2;
    static char page[PAGE];
    int file = open(argv[1], O_CREAT | O_RDWR, 0600);
    must(file >= 0);
    // The segment has its blocks beforehand, as PostgreSQL's have: a flush writes the page alone.
    for (off_t at = 0; at < SEGMENT; at += PAGE) must(pwrite(file, page, PAGE, at) == PAGE);
    must(fsync(file) == 0);
    int64_t *latencies = calloc((size_t)count, sizeof *latencies), start = now();
    for (long i = 0; i < count; i++) {
        int64_t due = start + i * 1000000000LL / rate;
        struct timespec until = {due / 1000000000LL, due % 1000000000LL};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {}
        must(pwrite(file, page, PAGE, (off_t)i * PAGE % SEGMENT) == PAGE);
        must(fdatasync(file) == 0);
        latencies[i] = now() - due;
    }
    qsort(latencies, (size_t)count, sizeof *latencies, ascending);
    printf("%ld 0 %ld %ld\n", count, (long)(latencies[count / 2] / 1000), (long)(latencies[count * 99 / 100] / 1000));
    return 0;
}
