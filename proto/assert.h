/* assert.h -- assertions about our own code. On in release: a replica that contradicts itself must
 * stop, not spread. Bytes from network, disk, files and clients are checked instead, never asserted. */
#ifndef TD_PROTO_ASSERT_H
#define TD_PROTO_ASSERT_H

/* Prints the condition and aborts. Implemented by the program (daemon, CLI, test) through err.c. */
_Noreturn void td_assert_failed(const char *condition, const char *file, int line);

#define TD_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : td_assert_failed(#condition, __FILE__, __LINE__))

#ifdef TD_SLOW_CHECKS
#define TD_CHECK_SLOW(condition) TD_ASSERT(condition)
#else
#define TD_CHECK_SLOW(condition) ((void)sizeof(condition))
#endif

#endif
