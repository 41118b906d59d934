/* logging.h -- the only place where events become text: one logfmt or JSON line on stderr, stable event
 * name first, control characters escaped, never secrets or payloads, at most 20 lines a second per
 * event name (the suppressed count is told with the next). Any thread. */
#ifndef TD_DAEMON_LOGGING_H
#define TD_DAEMON_LOGGING_H

#include <stdint.h>

enum td_log_level { TD_DEBUG, TD_INFO, TD_WARN, TD_ERROR };

void td_logging_init(int level, int json);
/* Fields as pairs: name, value text; ends with NULL. td_logf formats one extra field `msg`. */
void td_log_event(enum td_log_level level, const char *event, ...) __attribute__((sentinel));
/* Number as text in a rotating per-thread buffer, for td_log_event's values. */
const char *td_log_number(uint64_t value);
const char *td_log_signed(int64_t value);
uint64_t td_log_count(enum td_log_level level);

#endif
