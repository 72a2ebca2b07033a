#pragma once
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

// amqp_login is variadic, which Swift does not import; one frame size and no heartbeat, see the caller.
static inline amqp_rpc_reply_t taproom_amqp_login(
    amqp_connection_state_t connection, const char *vhost, const amqp_table_t *properties, const char *user,
    const char *password) {
    return amqp_login_with_properties(
        connection, vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, properties, AMQP_SASL_METHOD_PLAIN, user, password);
}
