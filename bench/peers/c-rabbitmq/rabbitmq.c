// A bare publisher and a bare consumer over librabbitmq, each with a connection of its own: what events cost without a
// database. Publishes persistent, mandatory messages to a quorum queue in batches and waits for the confirms of each
// batch; consumes with a prefetch and acknowledges in batches. Prints messages per second, from the first that is
// published to the last that is consumed.
//
// rabbitmq HOST PORT USER PASSWORD QUEUE COUNT BATCH
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { prefetch = 100, acknowledged_together = 50 };

static char **arguments;
static long count, batch;

static void need(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "rabbitmq: %s failed\n", what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static amqp_connection_state_t session(void) {
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    need(amqp_socket_open(socket, arguments[1], atoi(arguments[2])) == 0, "connecting");
    amqp_rpc_reply_t login = amqp_login(
        connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, arguments[3], arguments[4]);
    need(login.reply_type == AMQP_RESPONSE_NORMAL, "login");
    need(amqp_channel_open(connection, 1) != NULL, "opening a channel");
    return connection;
}

static void *consume(void *unused) {
    (void)unused;
    amqp_connection_state_t connection = session();
    amqp_basic_qos(connection, 1, 0, prefetch, 0);
    need(amqp_basic_consume(connection, 1, amqp_cstring_bytes(arguments[5]), amqp_empty_bytes, 0, 0, 0,
                            amqp_empty_table) != NULL, "consuming");
    for (long consumed = 1; consumed <= count; consumed++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        need(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "a message");
        if (consumed % acknowledged_together == 0 || consumed == count) {
            need(amqp_basic_ack(connection, 1, envelope.delivery_tag, 1) == 0, "acknowledging");
        }
        amqp_destroy_envelope(&envelope);
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return NULL;
}

static void await_confirms(amqp_connection_state_t connection, uint64_t last) {
    uint64_t confirmed = 0;
    while (confirmed < last) {
        amqp_frame_t frame;
        need(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "a confirm");
        need(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        if (ack->delivery_tag > confirmed) confirmed = ack->delivery_tag;
        amqp_maybe_release_buffers(connection);
    }
}

int main(int number, char **values) {
    need(number == 8, "reading HOST PORT USER PASSWORD QUEUE COUNT BATCH");
    arguments = values;
    count = atol(values[6]);
    batch = atol(values[7]);
    amqp_connection_state_t connection = session();
    amqp_table_entry_t kind = {.key = amqp_cstring_bytes("x-queue-type")};
    kind.value.kind = AMQP_FIELD_KIND_UTF8;
    kind.value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_table_t queue = {.num_entries = 1, .entries = &kind};
    need(amqp_queue_declare(connection, 1, amqp_cstring_bytes(values[5]), 0, 1, 0, 0, queue) != NULL, "declaring");
    need(amqp_confirm_select(connection, 1) != NULL, "asking for confirms");
    pthread_t consumer;
    pthread_create(&consumer, NULL, consume, NULL);

    char body[200];
    memset(body, 'x', sizeof body);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG, .delivery_mode = 2,
        .content_type = amqp_cstring_bytes("application/json")};
    double start = now();
    for (long published = 1; published <= count; published++) {
        need(amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(values[5]), 1, 0, &properties,
                                (amqp_bytes_t){.len = sizeof body, .bytes = body}) == 0, "publishing");
        if (published % batch == 0 || published == count) await_confirms(connection, (uint64_t)published);
    }
    pthread_join(consumer, NULL);
    printf("%.1f\n", count / (now() - start));
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(values[5]), 0, 0);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return 0;
}
