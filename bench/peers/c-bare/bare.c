// The replay of `charge` with as little as a FastCGI program can do: one thread in epoll, no libfcgi, no log, whoever
// waits in one statement of one session. What it reaches is what nginx, FastCGI and PostgreSQL leave to any function.
// Usage: DATABASE_URL=… bare STATEMENT SUCCESS, with the listening socket as standard input. The statement takes an array
// of subscriptions and one of request ids, and gives each its row in their order. The answer is the row as JSON: 200 when
// its outcome is SUCCESS, else 409. A connection is kept when nginx asks for it (fastcgi_keep_conn).
#define _GNU_SOURCE
#include <errno.h>
#include <fastcgi.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_INPUT = 16384, LONGEST_ANSWER = 2048, LONGEST_ID = 64, MOST_WAITING = 64 };

struct connection {
    int descriptor, id, is_kept, is_waiting, is_gone;
    size_t length;
    unsigned char input[LONGEST_INPUT];
    char subscription[LONGEST_ID + 1], request[LONGEST_ID + 1];
};

static const char *success;
static PGconn *session;
static int events;
static struct connection *waiting[MOST_WAITING], *asked[MOST_WAITING];
static int waiting_count, asked_count;

static void watch(int descriptor, void *whose) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = whose};
    if (epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event)) abort();
}

static void end(struct connection *it) {
    if (it->is_waiting) {
        // Its answer is on its way; nobody will read it.
        if (!it->is_gone) epoll_ctl(events, EPOLL_CTL_DEL, it->descriptor, NULL);
        it->is_gone = 1;
        return;
    }
    close(it->descriptor);
    free(it);
}

static size_t write_record(unsigned char *at, int type, int id, size_t length) {
    FCGI_Header header = {.version = FCGI_VERSION_1, .type = type, .requestIdB1 = id >> 8, .requestIdB0 = id,
                          .contentLengthB1 = length >> 8, .contentLengthB0 = length};
    memcpy(at, &header, sizeof header);
    return sizeof header + length;
}

static void answer(struct connection *it, PGresult *rows, int row) {
    unsigned char output[LONGEST_ANSWER + 64];
    char *text = (char *)output + sizeof(FCGI_Header);
    int is_success = strcmp(PQgetvalue(rows, row, PQfnumber(rows, "outcome")), success) == 0;
    size_t length = snprintf(text, LONGEST_ANSWER, "Status: %d\r\nContent-Type: application/json\r\n\r\n",
                             is_success ? 200 : 409);
    for (int i = 0; i < PQnfields(rows) && length < LONGEST_ANSWER; i++)
        length += snprintf(text + length, LONGEST_ANSWER - length, "%c\"%s\":\"%s\"", i ? ',' : '{', PQfname(rows, i),
                           PQgetvalue(rows, row, i));
    if (length + 1 >= LONGEST_ANSWER) abort();
    text[length++] = '}';
    size_t total = write_record(output, FCGI_STDOUT, it->id, length);
    total += write_record(output + total, FCGI_STDOUT, it->id, 0);
    memset(output + total + sizeof(FCGI_Header), 0, sizeof(FCGI_EndRequestBody));
    total += write_record(output + total, FCGI_END_REQUEST, it->id, sizeof(FCGI_EndRequestBody));
    int is_taken = !it->is_gone && write(it->descriptor, output, total) == (ssize_t)total;
    it->is_waiting = 0;
    it->length = 0;
    if (!it->is_kept || !is_taken) end(it);
}

static void ask(void) {
    if (asked_count || !waiting_count) return;
    char subscriptions[MOST_WAITING * (LONGEST_ID + 1) + 2], requests[sizeof subscriptions];
    char *subscription = subscriptions, *request = requests;
    for (int i = 0; i < waiting_count; i++) {
        subscription += sprintf(subscription, "%c%s", i ? ',' : '{', waiting[i]->subscription);
        request += sprintf(request, "%c%s", i ? ',' : '{', waiting[i]->request);
    }
    strcpy(subscription, "}");
    strcpy(request, "}");
    memcpy(asked, waiting, sizeof asked);
    asked_count = waiting_count;
    waiting_count = 0;
    const char *parameters[] = {subscriptions, requests};
    if (!PQsendQueryPrepared(session, "it", 2, parameters, NULL, NULL, 0) || PQflush(session)) abort();
}

static void take_rows(void) {
    if (!PQconsumeInput(session)) abort();
    if (PQisBusy(session)) return;
    PGresult *rows = PQgetResult(session);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK || PQntuples(rows) != asked_count) {
        fputs(PQerrorMessage(session), stderr);
        abort();
    }
    while (PQgetResult(session)) {}
    for (int i = 0; i < asked_count; i++) answer(asked[i], rows, i);
    asked_count = 0;
    PQclear(rows);
}

static size_t take_length(const unsigned char **at) {
    size_t length = *(*at)++;
    if (length < 0x80) return length;
    length = (length & 0x7f) << 24 | (*at)[0] << 16 | (*at)[1] << 8 | (*at)[2];
    *at += 3;
    return length;
}

// nginx sends all of them in one record.
static void take_parameters(struct connection *it, const unsigned char *at, const unsigned char *end) {
    while (at < end) {
        size_t name = take_length(&at), value = take_length(&at);
        if (name == 11 && memcmp(at, "REQUEST_URI", 11) == 0) {
            char path[256];
            snprintf(path, sizeof path, "%.*s", (int)value, (const char *)at + name);
            sscanf(path, "/subscription/%64[^/]/charge/%64s", it->subscription, it->request);
        }
        at += name + value;
    }
}

static void read_from(struct connection *it) {
    ssize_t count = read(it->descriptor, it->input + it->length, sizeof it->input - it->length);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) end(it);
        return;
    }
    it->length += count;
    FCGI_Header header;
    for (size_t at = 0; at + sizeof header <= it->length;) {
        memcpy(&header, it->input + at, sizeof header);
        size_t length = header.contentLengthB1 << 8 | header.contentLengthB0;
        const unsigned char *content = it->input + at + sizeof header;
        at += sizeof header + length + header.paddingLength;
        if (at > it->length) return;
        if (header.type == FCGI_BEGIN_REQUEST) {
            it->id = header.requestIdB1 << 8 | header.requestIdB0;
            it->is_kept = content[2] & FCGI_KEEP_CONN;
        } else if (header.type == FCGI_PARAMS && length) {
            take_parameters(it, content, content + length);
        } else if (header.type == FCGI_STDIN && !length) {
            if (waiting_count == MOST_WAITING) abort();
            it->is_waiting = 1;
            waiting[waiting_count++] = it;
        }
    }
}

static void accept_all(void) {
    int descriptor;
    while ((descriptor = accept4(STDIN_FILENO, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *it = calloc(1, sizeof *it);
        it->descriptor = descriptor;
        watch(descriptor, it);
        read_from(it);
    }
}

static void open_session(const char *statement) {
    session = PQconnectdb(getenv("DATABASE_URL"));
    PGresult *prepared = PQprepare(session, "it", statement, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) {
        fputs(PQerrorMessage(session), stderr);
        exit(1);
    }
    PQclear(prepared);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    success = argv[2];
    signal(SIGPIPE, SIG_IGN);
    open_session(argv[1]);
    events = epoll_create1(0);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    watch(STDIN_FILENO, NULL);
    watch(PQsocket(session), session);
    for (;;) {
        struct epoll_event found[MOST_WAITING];
        int count = epoll_wait(events, found, MOST_WAITING, -1), has_rows = 0;
        for (int i = 0; i < count; i++) {
            if (!found[i].data.ptr) accept_all();
            else if (found[i].data.ptr == session) has_rows = 1;
            else read_from(found[i].data.ptr);
        }
        // After the connections, since answering ends some of them.
        if (has_rows) take_rows();
        ask();
    }
}
