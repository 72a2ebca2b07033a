// An e-commerce platform that takes every order: as fast as it can, or after so many milliseconds. It takes one request
// from a connection at a time and keeps no orders.
// Usage: platform THREADS MILLISECONDS, with the listening socket as standard input.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static useconds_t pause_microseconds;

// Reads one request to the end of its body. Returns its length, or 0 when there is none.
static size_t read_request(int client, char *buffer, size_t size) {
    size_t length = 0;
    while (length < size - 1) {
        ssize_t count = read(client, buffer + length, size - 1 - length);
        if (count <= 0) return 0;
        length += (size_t)count;
        buffer[length] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        char *field = strcasestr(buffer, "\r\nContent-Length:");
        size_t body = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
        if (length >= (size_t)(end + 4 - buffer) + body) return length;
    }
    return 0;
}

static void serve(int client) {
    char request[8192], answer[512], id[129];
    while (read_request(client, request, sizeof request)) {
        char *order = strstr(request, "/order/");
        if (!order || sscanf(order + 7, "%128[^ ]", id) != 1) return;
        if (pause_microseconds) usleep(pause_microseconds);
        int closes = strcasestr(request, "\r\nConnection: close") != NULL;
        char body[256];
        int length = snprintf(body, sizeof body,
                              "{\"order_id\":\"bench\",\"request_id\":\"%s\",\"status\":\"created\"}", id);
        length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", length,
                          closes ? "Connection: close\r\n" : "", body);
        if (write(client, answer, (size_t)length) != length) return;
        if (closes) return;
    }
}

static void *work(void *unused) {
    (void)unused;
    while (1) {
        int client = accept(0, NULL, NULL);
        if (client < 0) continue;
        serve(client);
        close(client);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    pause_microseconds = (useconds_t)atoi(argv[2]) * 1000;
    pthread_t thread;
    for (int i = 1; i < atoi(argv[1]); i++) pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    return 0;
}
