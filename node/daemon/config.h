/* config.h -- the configuration of tidingsd: one YAML file (libcyaml), defaults, where each value came
 * from. Unknown keys, tabs and bad values are errors with place and advice, never guesses. */
#ifndef TD_DAEMON_CONFIG_H
#define TD_DAEMON_CONFIG_H

#include <stdio.h>

#include "proto/err.h"
#include "proto/types.h"

enum { TD_CONFIG_LIST_MAX = 16, TD_CONFIG_WHY_BYTES = 1024 };
enum td_log_format { TD_LOG_LOGFMT, TD_LOG_JSON };

struct td_config {
    /* Text owned by the config, NUL-terminated; "" = not given. */
    char *region, *data, *key, *root, *roster;
    char *listen_local, *listen_http, *http_tokens;
    char *listen_peer[TD_CONFIG_LIST_MAX];
    size_t listen_peer_count;
    char *seeds[TD_CONFIG_LIST_MAX];
    size_t seed_count;
    uint32_t publish_rate; /* updates/s, 0 = no limit */
    uint64_t log_limit_bytes;
    uint32_t http_connections;
    uint32_t clients_max;
    uint64_t fresh_warn_ms, fresh_stale_ms;
    int log_level; /* enum td_log_level */
    enum td_log_format log_format;
    bool chaos;

    struct td_config_value *values; /* every key with its text and source, for --effective */
    size_t value_count;
};

/* Reads path. On failure *ret_why is one line: file, line, column where known, what, what to do. */
TD_MUST_USE enum td_err td_config_read(const char *path, struct td_config *ret_config,
                                       char ret_why[TD_CONFIG_WHY_BYTES]);
void td_config_fini(struct td_config *config);
/* Every key with its default and a comment, as a valid file. */
void td_config_print_defaults(FILE *out);
/* Every key with its value in force and where it came from (file or default). */
void td_config_print_effective(const struct td_config *config, FILE *out);
/* The rows of the key table, for the man page: false behind the last one. */
bool td_config_row(size_t index, const char **ret_path, const char **ret_type, const char **ret_default,
                   const char **ret_comment);
/* Keys, types and defaults as JSON, for editors. */
void td_config_print_schema(FILE *out);

/* "250ms", "30s", "5m", "1h", "2d" and "8GiB", "512MiB", "100000". False when not of that form. */
TD_MUST_USE bool td_parse_duration_ms(const char *text, uint64_t *ret_ms);
TD_MUST_USE bool td_parse_bytes(const char *text, uint64_t *ret_bytes);

#endif
