// Forwards what we call of libpq to the library, which is loaded with the first call.
//
// Debian's libpq brings 25 libraries along, for Kerberos and LDAP among others: 1 MB of private memory and 3 ms of each
// start, for processes that have not been asked anything yet. Functions find one that brings none of them along
// (scripts/defer-libraries). A caller calls libpq's own names.
#include <postgresql/libpq-fe.h>

#define LIBRARY "libpq.so.5"
#define PACKAGE "libpq5"
#include "forward.h"

FORWARD(int, PQcancel, (PGcancel *cancel, char *text, int size), (cancel, text, size))
FORWARD_VOID(PQclear, (PGresult *result), (result))
FORWARD(char *, PQcmdTuples, (PGresult *result), (result))
FORWARD(PostgresPollingStatusType, PQconnectPoll, (PGconn *connection), (connection))
FORWARD(PGconn *, PQconnectStartParams,
        (const char *const *keywords, const char *const *values, int expand),
        (keywords, values, expand))
FORWARD_VOID(PQconninfoFree, (PQconninfoOption *options), (options))
FORWARD(PQconninfoOption *, PQconninfoParse, (const char *text, char **error), (text, error))
FORWARD(int, PQconsumeInput, (PGconn *connection), (connection))
FORWARD(char *, PQerrorMessage, (const PGconn *connection), (connection))
FORWARD_VOID(PQfinish, (PGconn *connection), (connection))
FORWARD(char *, PQfname, (const PGresult *result, int column), (result, column))
FORWARD_VOID(PQfreeCancel, (PGcancel *cancel), (cancel))
FORWARD_VOID(PQfreemem, (void *memory), (memory))
FORWARD(PGcancel *, PQgetCancel, (PGconn *connection), (connection))
FORWARD(int, PQgetCopyData,
        (PGconn *connection, char **buffer, int asynchronous),
        (connection, buffer, asynchronous))
FORWARD(PGresult *, PQgetResult, (PGconn *connection), (connection))
FORWARD(int, PQgetisnull, (const PGresult *result, int row, int column), (result, row, column))
FORWARD(int, PQgetlength, (const PGresult *result, int row, int column), (result, row, column))
FORWARD(char *, PQgetvalue, (const PGresult *result, int row, int column), (result, row, column))
FORWARD(int, PQisBusy, (PGconn *connection), (connection))
FORWARD(int, PQnfields, (const PGresult *result), (result))
FORWARD(int, PQntuples, (const PGresult *result), (result))
FORWARD(char *, PQresultErrorField, (const PGresult *result, int field), (result, field))
FORWARD(char *, PQresultErrorMessage, (const PGresult *result), (result))
FORWARD(ExecStatusType, PQresultStatus, (const PGresult *result), (result))
FORWARD(int, PQsendPrepare,
        (PGconn *connection, const char *statement, const char *query, int count, const Oid *types),
        (connection, statement, query, count, types))
FORWARD(int, PQsendQuery, (PGconn *connection, const char *query), (connection, query))
FORWARD(int, PQsendQueryPrepared,
        (PGconn *connection, const char *statement, int count, const char *const *values, const int *lengths,
         const int *formats, int format),
        (connection, statement, count, values, lengths, formats, format))
FORWARD(PQnoticeReceiver, PQsetNoticeReceiver,
        (PGconn *connection, PQnoticeReceiver receiver, void *argument),
        (connection, receiver, argument))
FORWARD(int, PQsetnonblocking, (PGconn *connection, int argument), (connection, argument))
FORWARD(int, PQsocket, (const PGconn *connection), (connection))
FORWARD(ConnStatusType, PQstatus, (const PGconn *connection), (connection))
FORWARD(PGTransactionStatusType, PQtransactionStatus, (const PGconn *connection), (connection))
