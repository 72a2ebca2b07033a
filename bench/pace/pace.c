// Subscribes at a given rate and says how long the answers took. Each connection sends at instants that are fixed
// beforehand, and a latency counts from that instant: who is late because the answer before was late is late indeed.
// Half of the customers are new, as in wrk/subscribe.lua.
// Usage: pace PORT PATH CONNECTIONS RATE SECONDS EXISTING; prints answers, refusals that are not 409, and in
// microseconds the median and the 99th percentile.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int port, connections, rate, seconds;
static long existing;
static const char *path;
static int64_t start;

struct lane {
    pthread_t thread;
    int number;
    long count, refused;
    int64_t *latencies;
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_connection(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, client = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("pace: connect");
        exit(1);
    }
    return client;
}

// Reads one answer. Returns its status, 0 when the connection broke; `*closes` says whether it is the last here.
static int read_answer(int client, int *closes) {
    char buffer[16384];
    size_t length = 0;
    while (length < sizeof buffer - 1) {
        ssize_t count = read(client, buffer + length, sizeof buffer - 1 - length);
        if (count <= 0) return 0;
        length += (size_t)count;
        buffer[length] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        char *field = strcasestr(buffer, "\r\nContent-Length:");
        int is_whole = field && field < end
            ? length >= (size_t)(end + 4 - buffer) + strtoul(field + 17, NULL, 10)
            : strstr(end, "0\r\n\r\n") != NULL;
        if (!is_whole) continue;
        field = strcasestr(buffer, "\r\nConnection: close");
        *closes = field && field < end;
        return atoi(buffer + 9);
    }
    return 0;
}

static void *run(void *argument) {
    struct lane *lane = argument;
    unsigned short seed[3] = {(unsigned short)lane->number, (unsigned short)getpid(), (unsigned short)time(NULL)};
    long limit = (long)rate * seconds / connections;
    int client = open_connection(), closes = 0;
    lane->latencies = calloc((size_t)limit, sizeof(int64_t));
    for (long i = 0; i < limit; i++) {
        int64_t due = start + (i * connections + lane->number) * 1000000000LL / rate;
        struct timespec until = {due / 1000000000LL, due % 1000000000LL};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {}
        long customer = 1 + nrand48(seed) % existing;
        if (nrand48(seed) & 1) customer += existing * (1 + nrand48(seed));
        char body[64], request[512];
        int length = snprintf(body, sizeof body, "{\"customer_id\":\"c%ld\"}", customer);
        length = snprintf(request, sizeof request,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                          "Content-Length: %d\r\n\r\n%s", path, length, body);
        int status = write(client, request, (size_t)length) == length ? read_answer(client, &closes) : 0;
        lane->latencies[lane->count++] = now() - due;
        if (status != 200 && status != 409) lane->refused++;
        if (status == 0 || closes) {
            close(client);
            client = open_connection();
        }
    }
    close(client);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    port = atoi(argv[1]);
    path = argv[2];
    connections = atoi(argv[3]);
    rate = atoi(argv[4]);
    seconds = atoi(argv[5]);
    existing = atol(argv[6]);
    start = now() + 100000000LL;
    struct lane *lanes = calloc((size_t)connections, sizeof *lanes);
    for (int i = 0; i < connections; i++) {
        lanes[i].number = i;
        pthread_create(&lanes[i].thread, NULL, run, &lanes[i]);
    }
    long count = 0, refused = 0;
    int64_t *all = calloc((size_t)rate * (size_t)seconds + 1, sizeof *all);
    for (int i = 0; i < connections; i++) {
        pthread_join(lanes[i].thread, NULL);
        memcpy(all + count, lanes[i].latencies, (size_t)lanes[i].count * sizeof *all);
        count += lanes[i].count;
        refused += lanes[i].refused;
    }
    if (count == 0) return 1;
    qsort(all, (size_t)count, sizeof *all, ascending);
    printf("%ld %ld %ld %ld\n", count, refused, (long)(all[count / 2] / 1000), (long)(all[count * 99 / 100] / 1000));
    return 0;
}
