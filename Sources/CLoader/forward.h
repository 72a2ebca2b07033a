// How a call reaches a library that is loaded with the first one. Whoever includes this says which: LIBRARY is its file, and
// PACKAGE what brings it.
#pragma once
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

// Null where the library is missing, or has no such function; the log has been told.
static void *find(const char *name) {
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    void *found = library ? dlsym(library, name) : NULL;
    if (!found)
        dprintf(2, "{\"level\":\"critical\",\"message\":\"no %s in " LIBRARY ": install " PACKAGE "\"}\n", name);
    return found;
}

// Never returns without an address: a host without the library is misconfigured.
static void *address(const char *name) {
    void *found = find(name);
    if (!found) _exit(78);
    return found;
}

#define FOUND(name) \
    static __typeof__(name) *_Atomic found; \
    __typeof__(name) *function = atomic_load_explicit(&found, memory_order_acquire); \
    if (!function) { \
        function = (__typeof__(name) *)address(#name); \
        atomic_store_explicit(&found, function, memory_order_release); \
    }
#define FORWARD(result, name, parameters, arguments) \
    result name parameters { FOUND(name) return function arguments; }
#define FORWARD_VOID(name, parameters, arguments) \
    void name parameters { FOUND(name) function arguments; }
