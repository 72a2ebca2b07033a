// The same answer as the livez function, the straightforward way in C: libfcgi, one thread per worker, no log.
// Usage: answer THREADS, with the listening socket as standard input.
#include <fcgiapp.h>
#include <pthread.h>
#include <stdlib.h>

static void *work(void *unused) {
    (void)unused;
    FCGX_Request request;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_FPrintF(request.out,
                     "Status: 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nContent-Length: 18\r\n"
                     "\r\n{\"status\":\"alive\"}",
                     FCGX_GetParam("HTTP_X_REQUEST_ID", request.envp));
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t thread;
    FCGX_Init();
    for (int i = 1; i < threads; i++) pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    return 0;
}
