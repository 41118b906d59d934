/* process.h -- the usual process_* metrics, from /proc/self. */
#ifndef TD_DAEMON_PROCESS_H
#define TD_DAEMON_PROCESS_H

#include "proto/buffer.h"

void td_process_write(struct td_buffer *out);

#endif
