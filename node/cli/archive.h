/* archive.h -- a .tar.gz written file by file, each cleaned of secrets first. */
#ifndef TD_CLI_ARCHIVE_H
#define TD_CLI_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct td_archive;

/* Creates path exclusively with mode 0600. NULL with errno set. */
struct td_archive *td_archive_create(const char *path, uint64_t now_s);
/* One file; name at most 99 bytes. A failure is kept and told by td_archive_close. */
void td_archive_add(struct td_archive *archive, const char *name, const char *text);
/* False, with errno set, when anything could not be written. Frees the archive. */
bool td_archive_close(struct td_archive *archive);

/* A copy without secrets: what follows tdsk1: and tdt1:, and the values of keys that are called
 * password, secret or token, become "[redacted]". malloc'ed; NULL when out of memory.
 * *ret_count = how many. */
char *td_redact(const char *text, size_t *ret_count);

#endif
