/* roster_file.h -- a roster as a file under the root key: read, change a copy, sign, replace the
 * file in one step. Also carries a roster that came from a node. */
#ifndef TD_CLI_ROSTER_FILE_H
#define TD_CLI_ROSTER_FILE_H

#include "proto/roster.h"
#include "proto/sign_sodium.h"

/* regions and clients of roster point to the arrays here, so that they can be changed. Everything
 * else (names, keys, ...) points into the arena or into the command line. */
struct td_roster_file {
    struct td_roster roster;
    struct td_roster_region *regions; /* room for one more than there are */
    struct td_roster_client *clients; /* room for one more than there are */
    uint8_t *bytes;
    void *arena_bytes;
    struct td_arena arena;
    struct td_reader *reader;
};

/* root NULL: the signature is not checked, and the caller has to say so. On failure ret_why gets
 * one sentence. Release in every case with td_roster_file_release; zeroed memory is fine. */
TD_MUST_USE enum td_err td_roster_file_read(const char *path, const struct td_identity *root,
                                            struct td_roster_file *ret_file, char *ret_why,
                                            size_t why_bytes);
/* The same of bytes from a node; they are copied. */
TD_MUST_USE enum td_err td_roster_file_decode(struct td_bytes raw, const struct td_identity *root,
                                              struct td_roster_file *ret_file, char *ret_why,
                                              size_t why_bytes);
/* An empty roster of version 0, to be signed as version 1. */
TD_MUST_USE enum td_err td_roster_file_create(struct td_text cluster_name,
                                              struct td_roster_file *ret_file);
void td_roster_file_release(struct td_roster_file *file);

/* Makes the next version: version + 1, issued now_ms, previous = the hash it had; signs it and
 * checks the result by decoding it again. ret_raw points to malloc'ed bytes; free them. */
TD_MUST_USE enum td_err td_roster_file_sign(struct td_roster_file *file,
                                            const struct td_secret *root, uint64_t now_ms,
                                            struct td_bytes *ret_raw, char *ret_why,
                                            size_t why_bytes);
/* Temporary file beside it, fsync, rename, fsync of the directory. exclusive: fails when path
 * exists. */
TD_MUST_USE enum td_err td_file_replace(const char *path, struct td_bytes content, bool exclusive,
                                        char *ret_why, size_t why_bytes);
/* The card of a region's key as the root signs it, in the file's arena. */
TD_MUST_USE enum td_err td_roster_file_card(struct td_roster_file *file,
                                            const struct td_secret *root, struct td_region region,
                                            uint16_t key_number,
                                            const struct td_identity *identity, uint64_t version,
                                            struct td_bytes *ret_card);
/* What all regions that are not closed may accept together, and what each node reserves for. */
struct td_quota_sum {
    uint64_t registers, registers_max;
    uint64_t bytes, bytes_max;
};
struct td_quota_sum td_roster_quotas(const struct td_roster *roster);

#endif
