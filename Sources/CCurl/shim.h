#pragma once
#include <curl/curl.h>

// curl_easy_setopt and curl_easy_getinfo are variadic, which Swift does not import: one function per kind of value, in
// CLoader.
typedef size_t (*taproom_curl_write)(char *bytes, size_t size, size_t count, void *context);

CURLcode taproom_curl_set_long(CURL *handle, CURLoption option, long value);
CURLcode taproom_curl_set_string(CURL *handle, CURLoption option, const char *value);
CURLcode taproom_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value);
CURLcode taproom_curl_set_pointer(CURL *handle, CURLoption option, void *value);
CURLcode taproom_curl_set_write(CURL *handle, CURLoption option, taproom_curl_write value);
CURLcode taproom_curl_get_long(CURL *handle, CURLINFO info, long *value);
CURLcode taproom_curl_get_time(CURL *handle, CURLINFO info, curl_off_t *value);
