// Forwards what we call of libcurl to the library, which is loaded with the first call.
//
// Debian's libcurl brings thirty libraries along, for TLS, Kerberos and SSH among others: over 1 MB of private memory, for
// functions that have not called anybody yet. Functions find one that brings none of them along (scripts/defer-libraries).
// A caller calls libcurl's own names, and those of CCurl's shim.h.
#define CURL_DISABLE_TYPECHECK
#include "../CCurl/shim.h"

#define LIBRARY "libcurl.so.4"
#define PACKAGE "libcurl4"
#include "forward.h"

// The first call of all: where the library is missing it fails, and nothing else is called.
CURLcode curl_global_init(long flags) {
    __typeof__(curl_global_init) *function = (__typeof__(curl_global_init) *)find("curl_global_init");
    return function ? function(flags) : CURLE_FAILED_INIT;
}

FORWARD(CURL *, curl_easy_init, (void), ())
FORWARD_VOID(curl_easy_cleanup, (CURL *handle), (handle))
FORWARD(CURLcode, curl_easy_perform, (CURL *handle), (handle))
FORWARD(const char *, curl_easy_strerror, (CURLcode code), (code))
FORWARD(struct curl_header *, curl_easy_nextheader,
        (CURL *handle, unsigned int origin, int request, struct curl_header *previous),
        (handle, origin, request, previous))
FORWARD(struct curl_slist *, curl_slist_append, (struct curl_slist *list, const char *text), (list, text))
FORWARD_VOID(curl_slist_free_all, (struct curl_slist *list), (list))

#define SET(name, type) \
    CURLcode name(CURL *handle, CURLoption option, type value) { \
        FOUND(curl_easy_setopt) return function(handle, option, value); \
    }
#define GET(name, type) \
    CURLcode name(CURL *handle, CURLINFO info, type *value) { \
        FOUND(curl_easy_getinfo) return function(handle, info, value); \
    }
SET(taproom_curl_set_long, long)
SET(taproom_curl_set_string, const char *)
SET(taproom_curl_set_list, struct curl_slist *)
SET(taproom_curl_set_pointer, void *)
SET(taproom_curl_set_write, taproom_curl_write)
GET(taproom_curl_get_long, long)
GET(taproom_curl_get_time, curl_off_t)
