#pragma once
// Nothing to call: the functions are those of libpq-fe.h.
