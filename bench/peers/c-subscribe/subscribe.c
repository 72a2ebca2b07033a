// The subscribe function's own statement, the straightforward way in C: libfcgi and libpq, one thread and one session
// per worker, one prepared statement per request. What it reaches is what one statement per request allows here.
// Usage: DATABASE_URL=… subscribe THREADS STATEMENT, with the listening socket as standard input. The statement takes
// club, customer and two ids, and gives outcome, subscription_id and created.
#include <fcgiapp.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *statement;

static void make_uuid(char text[37]) {
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b) abort();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static PGconn *open_session(void) {
    PGconn *session = PQconnectdb(getenv("DATABASE_URL"));
    PGresult *prepared = PQprepare(session, "subscribe", statement, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) {
        fputs(PQerrorMessage(session), stderr);
        exit(1);
    }
    PQclear(prepared);
    return session;
}

// The value of "customer_id"; no escapes, as the bench sends none.
static int find_customer(const char *body, char customer[37]) {
    const char *at = strstr(body, "\"customer_id\"");
    at = at ? strchr(at + 13, ':') : NULL;
    return at && sscanf(at + 1, " \"%36[^\"]\"", customer) == 1;
}

static void refuse(FCGX_Request *request, int status, const char *type) {
    FCGX_FPrintF(request->out, "Status: %d\r\nContent-Type: application/problem+json\r\n\r\n"
                               "{\"type\":\"/problems/%s\",\"status\":%d}", status, type, status);
}

static void answer(FCGX_Request *request, PGconn *session) {
    char body[4096], customer[37], club[12], ids[2][37];
    const char *path = FCGX_GetParam("REQUEST_URI", request->envp);
    int length = FCGX_GetStr(body, sizeof body - 1, request->in);
    body[length] = 0;
    if (!path || sscanf(path, "/club/%11[0-9]/", club) != 1) return refuse(request, 404, "club-not-found");
    if (!find_customer(body, customer)) return refuse(request, 400, "bad-request");
    make_uuid(ids[0]);
    make_uuid(ids[1]);
    const char *values[] = {club, customer, ids[0], ids[1]};
    PGresult *result = PQexecPrepared(session, "subscribe", 4, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fputs(PQerrorMessage(session), stderr);
        refuse(request, 500, "internal");
    } else if (strcmp(PQgetvalue(result, 0, PQfnumber(result, "outcome")), "subscribed") != 0) {
        refuse(request, 409, PQgetvalue(result, 0, PQfnumber(result, "outcome")));
    } else {
        char *created = PQgetvalue(result, 0, PQfnumber(result, "created"));
        if (strchr(created, ' ')) *strchr(created, ' ') = 'T';
        FCGX_FPrintF(request->out, "Status: 200 OK\r\nContent-Type: application/json\r\n\r\n{\"id\":\"%s\",\"club_id\":%s,"
                                   "\"customer_id\":\"%s\",\"status_id\":1,\"create_date\":\"%sZ\"}",
                     ids[0], club, customer, created);
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
    if (argc != 3) return 2;
    statement = argv[2];
    pthread_t thread;
    FCGX_Init();
    for (int i = 1; i < atoi(argv[1]); i++) pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    return 0;
}
