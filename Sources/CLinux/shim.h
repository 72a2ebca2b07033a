#pragma once
// What Swift's view of glibc leaves out.
#include <sys/fsuid.h>
