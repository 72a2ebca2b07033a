#pragma once
// Nothing to call: the functions are those of libpq-fe.h, of curl.h and of CCurl's shim.h.
