// The beginning of a library that scripts/defer-libraries makes: how a call reaches the library that it is for. FOR is the
// name of the one that calls.
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

// Never returns without an address: the caller's own package brings these libraries.
static void *address(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
    void *found = handle ? dlsym(handle, name) : NULL;
    if (!found) {
        dprintf(2, "{\"level\":\"critical\",\"message\":\"no %s in %s, which " FOR " needs\"}\n", name, library);
        _exit(78);
    }
    return found;
}

// All that the three pass are integers and pointers, 13 at most (gss_init_sec_context), and on 64-bit Linux each of them
// takes a register or a word of the stack. So a call is passed on without its prototype; the words that it does not have
// are nobody's.
typedef uintptr_t word;
typedef word function(word, word, word, word, word, word, word, word, word, word, word, word, word);
_Static_assert(sizeof(word) == 8, "arguments are words on 64-bit platforms only");

#define FORWARD(before, library, name) \
    word name(word a, word b, word c, word d, word e, word f, word g, word h, word i, word j, word k, word l, word m) { \
        static function *_Atomic found; \
        function *known = atomic_load_explicit(&found, memory_order_acquire); \
        if (!known) { \
            before; \
            known = (function *)address(library, #name); \
            atomic_store_explicit(&found, known, memory_order_release); \
        } \
        return known(a, b, c, d, e, f, g, h, i, j, k, l, m); \
    }

// The start of a library, which libcurl calls whatever it is asked: it answers that all went well, and is passed on before
// the first other call, with all options that were given until then; with none it is what both libraries do by themselves.
// OpenSSL's takes settings too, which nobody gives.
#define START(library, name, success) \
    static atomic_bool name##_is_passed_on; \
    static _Atomic word name##_options; \
    static word name##_now(word options) { return ((word (*)(word, word))address(library, #name))(options, 0); } \
    static void name##_before(void) { \
        if (!atomic_exchange(&name##_is_passed_on, true)) name##_now(name##_options); \
    } \
    word name(word options) { \
        name##_options |= options; \
        return name##_is_passed_on ? name##_now(options) : success; \
    }

// The one datum that is read of them, by libpq: the object identifier 1.2.840.113554.1.2.1.4 (RFC 2744, section 3.10.1 and
// appendix A), which the Kerberos library compares by its value.
static const struct {
    uint32_t length;
    const void *elements;
} hostbased_service = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};
const void *const GSS_C_NT_HOSTBASED_SERVICE = &hostbased_service;
