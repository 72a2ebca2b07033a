#pragma once
#include <fcgiapp.h>
#include <poll.h>
#include <sys/eventfd.h>
