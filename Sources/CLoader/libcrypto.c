// Forwards what we call of OpenSSL to its library, which is loaded with the first call.
//
// A consumer needs a digest for events without an id alone, which are rare: 0.4 MB of private memory. A caller calls
// OpenSSL's own names.
#include "../CCrypto/shim.h"

#define LIBRARY "libcrypto.so.3"
#define PACKAGE "libssl3"
#include "forward.h"

FORWARD(const EVP_MD *, EVP_sha256, (void), ())
FORWARD(unsigned char *, SHA256, (const unsigned char *bytes, size_t count, unsigned char *digest), (bytes, count, digest))
FORWARD(unsigned char *, HMAC,
        (const EVP_MD *hash, const void *key, int keyCount, const unsigned char *bytes, size_t count,
         unsigned char *code, unsigned int *codeCount),
        (hash, key, keyCount, bytes, count, code, codeCount))
