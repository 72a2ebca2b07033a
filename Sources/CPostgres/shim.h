#pragma once
#include <postgresql/libpq-fe.h>

// The PG_DIAG_* field codes are character-constant macros, which Swift does not import.
static inline const char *taproom_pq_sqlstate(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_SQLSTATE); }
static inline const char *taproom_pq_message(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY); }
static inline const char *taproom_pq_detail(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL); }
static inline const char *taproom_pq_hint(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_MESSAGE_HINT); }
static inline const char *taproom_pq_constraint(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME); }
static inline const char *taproom_pq_position(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION); }

// libpq prints notices on stderr unless told otherwise, which would break the one-JSON-object-a-line log.
static inline void taproom_pq_drop_notice(void *context, const PGresult *result) { (void)context; (void)result; }
static inline void taproom_pq_silence_notices(PGconn *connection) { PQsetNoticeReceiver(connection, taproom_pq_drop_notice, 0); }
