// One of our statements, the straightforward way in C: libfcgi and libpq, one thread and one session per worker, one
// prepared statement per request. What it reaches is what one statement per request through nginx allows here.
// Usage: DATABASE_URL=… statement THREADS STATEMENT SUCCESS SOURCE…, with the listening socket as standard input.
// Each SOURCE gives a parameter: a number is that segment of the path, `uuid` a new one, any other word a field of the
// JSON body. The answer is the first row as JSON: 200 when it has no outcome, or the outcome SUCCESS, else 409.
#include <ctype.h>
#include <fcgiapp.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MOST_VALUES = 8, LONGEST_VALUE = 129 };
static const char *statement, *success;
static char **sources;
static int source_count;

static void make_uuid(char *text) {
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b) abort();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static PGconn *open_session(void) {
    PGconn *session = PQconnectdb(getenv("DATABASE_URL"));
    PGresult *prepared = PQprepare(session, "it", statement, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) {
        fputs(PQerrorMessage(session), stderr);
        exit(1);
    }
    PQclear(prepared);
    return session;
}

static int take_segment(const char *path, int number, char *value) {
    while (path && number--) path = strchr(path + 1, '/');
    return path && sscanf(path, "/%128[^/]", value) == 1;
}

// A string without escapes, as the bench sends, or a number.
static int take_field(const char *body, const char *name, char *value) {
    char quoted[64];
    int length = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = strstr(body, quoted);
    at = at ? strchr(at + length, ':') : NULL;
    return at && (sscanf(at + 1, " \"%128[^\"]\"", value) == 1 || sscanf(at + 1, " %128[0-9]", value) == 1);
}

static int take_values(FCGX_Request *request, const char *body, char values[][LONGEST_VALUE]) {
    const char *path = FCGX_GetParam("REQUEST_URI", request->envp);
    for (int i = 0; i < source_count; i++) {
        const char *source = sources[i];
        if (strcmp(source, "uuid") == 0) make_uuid(values[i]);
        else if (isdigit((unsigned char)*source) ? !take_segment(path, atoi(source), values[i])
                                                 : !take_field(body, source, values[i])) return 0;
    }
    return 1;
}

static void write_row(FCGX_Request *request, PGresult *row) {
    int outcome = PQfnumber(row, "outcome");
    int is_success = outcome < 0 || strcmp(PQgetvalue(row, 0, outcome), success) == 0;
    FCGX_FPrintF(request->out, "Status: %d\r\nContent-Type: application/json\r\n\r\n", is_success ? 200 : 409);
    for (int i = 0; i < PQnfields(row); i++)
        FCGX_FPrintF(request->out, "%c\"%s\":\"%s\"", i ? ',' : '{', PQfname(row, i), PQgetvalue(row, 0, i));
    FCGX_PutS("}", request->out);
}

static void answer(FCGX_Request *request, PGconn *session) {
    char body[4096], values[MOST_VALUES][LONGEST_VALUE];
    const char *parameters[MOST_VALUES];
    body[FCGX_GetStr(body, sizeof body - 1, request->in)] = 0;
    if (!take_values(request, body, values)) {
        FCGX_PutS("Status: 400\r\nContent-Type: application/problem+json\r\n\r\n{\"status\":400}", request->out);
        return;
    }
    for (int i = 0; i < source_count; i++) parameters[i] = values[i];
    PGresult *result = PQexecPrepared(session, "it", source_count, parameters, NULL, NULL, 0);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        write_row(request, result);
    } else {
        fputs(PQerrorMessage(session), stderr);
        FCGX_PutS("Status: 500\r\nContent-Type: application/problem+json\r\n\r\n{\"status\":500}", request->out);
    }
    PQclear(result);
}

static void *work(void *unused) {
    (void)unused;
    PGconn *session = NULL;
    FCGX_Request request;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        if (!session) session = open_session();
        answer(&request, session);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 4 || argc - 4 > MOST_VALUES) return 2;
    statement = argv[2];
    success = argv[3];
    sources = argv + 4;
    source_count = argc - 4;
    pthread_t thread;
    FCGX_Init();
    for (int i = 1; i < atoi(argv[1]); i++) pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    return 0;
}
