/* config.c -- the key table, checking of values, printing. Reading is in config_yaml.c. See config.h. */
#include "node/daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "node/daemon/config_parts.h"
#include "node/daemon/logging.h"

/* One line per key: the text of defaults, effective values and the schema all come from here. */
static const struct key {
    const char *path, *type, *standard, *comment;
} keys[] = {
    { "node.region", "text", "", "name of this region in the roster (required)" },
    { "node.data", "path", "/var/lib/tidings", "directory of the signed log and the newest roster" },
    { "node.key", "path", "", "secret key of this node, mode 0600 (required)" },
    { "node.root", "key", "", "tdpk1: text of the root key, the only trusted one (required)" },
    { "node.seeds", "list", "[]", "peers to ask for the roster while we are not in it" },
    { "node.roster", "path", "", "a first roster; the newest known counts" },
    { "listen.peer", "list", "tcp://0.0.0.0:7717", "regions and remote clients, Noise" },
    { "listen.local", "address", "ipc:///run/tidings/tidings.sock", "Unix socket of local clients, 0660" },
    { "listen.http", "address", "", "HTTP gateway, ADDRESS:PORT; loopback needs no token" },
    { "listen.http_tokens", "path", "", "tokens of the HTTP gateway: hash, role, prefixes a line" },
    { "limits.publish_rate", "count", "200000", "updates/s from clients, then a retry hint; 0 = no limit" },
    { "limits.log", "bytes", "8GiB", "size of the log on disk" },
    { "limits.http_connections", "count", "64", "HTTP connections at one time" },
    { "limits.clients", "count", "1024", "client connections at one time" },
    { "freshness.warn", "duration", "10s", "age at which a region is shown as late" },
    { "freshness.stale", "duration", "30s", "age at which an answer is no longer certain" },
    { "log.level", "word", "info", "debug, info, warn or error" },
    { "log.format", "word", "logfmt", "logfmt or json" },
    { "chaos", "bool", "false", "fault switches for tests and demos" },
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

struct td_config_value {
    char *text;
    bool from_file;
};

/* ---- small parsers ---- */

static bool parse_number(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    *ret_value = value;
    *ret_rest = end;
    return true;
}

static bool parse_with_units(const char *text, const char *const names[], const uint64_t factors[],
                             size_t unit_count, uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *rest = NULL;
    if (!parse_number(text, &value, &rest)) {
        return false;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(rest, names[i]) == 0) {
            return !__builtin_mul_overflow(value, factors[i], ret_value);
        }
    }
    return false;
}

bool td_parse_duration_ms(const char *text, uint64_t *ret_ms)
{
    static const char *const names[] = { "ms", "s", "m", "h", "d" };
    static const uint64_t factors[] = { 1, 1000, 60000, 3600000, 86400000 };
    return parse_with_units(text, names, factors, 5, ret_ms);
}

bool td_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    static const char *const names[] = { "", "KiB", "MiB", "GiB", "TiB" };
    static const uint64_t factors[] = { 1, UINT64_C(1) << 10, UINT64_C(1) << 20, UINT64_C(1) << 30,
        UINT64_C(1) << 40 };
    return parse_with_units(text, names, factors, 5, ret_bytes);
}

void td_config_set(struct td_config *config, const char *path, const char *text)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].path, path) == 0 && text != NULL) {
            free(config->values[i].text);
            config->values[i].text = strdup(text);
            config->values[i].from_file = true;
        }
    }
}

const char *td_config_key(size_t index)
{
    return index < KEY_COUNT ? keys[index].path : NULL;
}

bool td_config_row(size_t index, const char **ret_path, const char **ret_type, const char **ret_default,
                   const char **ret_comment)
{
    if (index >= KEY_COUNT) {
        return false;
    }
    *ret_path = keys[index].path;
    *ret_type = keys[index].type;
    *ret_default = keys[index].standard;
    *ret_comment = keys[index].comment;
    return true;
}

static const char *value_of(const struct td_config *config, const char *path)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].path, path) == 0) {
            return config->values[i].text != NULL ? config->values[i].text : "";
        }
    }
    return "";
}

/* ---- values ---- */

struct checker {
    const struct td_config *config;
    const char *path;
    char *why;
    bool failed;
};

static void fail(struct checker *checker, const char *key, const char *advice)
{
    if (!checker->failed) {
        snprintf(checker->why, TD_CONFIG_WHY_BYTES, "%s: %s: \"%s\" is not valid: %s", checker->path,
                 key, value_of(checker->config, key), advice);
    }
    checker->failed = true;
}

static char *text_value(struct checker *checker, const char *key, bool required)
{
    const char *text = value_of(checker->config, key);
    if (required && text[0] == '\0' && !checker->failed) {
        snprintf(checker->why, TD_CONFIG_WHY_BYTES, "%s: %s is missing; it has no default",
                 checker->path, key);
        checker->failed = true;
    }
    return strdup(text);
}

static uint32_t count_value(struct checker *checker, const char *key)
{
    uint64_t value = 0;
    const char *rest = "";
    if (!parse_number(value_of(checker->config, key), &value, &rest) || *rest != '\0' ||
        value > UINT32_MAX) {
        fail(checker, key, "give a whole number");
    }
    return (uint32_t)value;
}

static uint64_t duration_value(struct checker *checker, const char *key)
{
    uint64_t value = 0;
    if (!td_parse_duration_ms(value_of(checker->config, key), &value)) {
        fail(checker, key, "give a duration such as 250ms, 30s, 5m");
    }
    return value;
}

static uint64_t bytes_value(struct checker *checker, const char *key)
{
    uint64_t value = 0;
    if (!td_parse_bytes(value_of(checker->config, key), &value) || value < (UINT64_C(1) << 20)) {
        fail(checker, key, "give a size of at least 1MiB, such as 8GiB");
    }
    return value;
}

static int word_value(struct checker *checker, const char *key, const char *const words[], int count,
                      const char *advice)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(value_of(checker->config, key), words[i]) == 0) {
            return i;
        }
    }
    fail(checker, key, advice);
    return 0;
}

/* tcp://HOST:PORT with a host and a port of 1 to 65535. */
static bool address_valid(const char *text)
{
    static const char scheme[] = "tcp://";
    uint64_t port = 0;
    const char *rest = "";
    const char *colon = strrchr(text, ':');
    return strncmp(text, scheme, sizeof scheme - 1) == 0 && colon != NULL &&
           colon > text + sizeof scheme - 1 && parse_number(colon + 1, &port, &rest) &&
           *rest == '\0' && port > 0 && port <= 65535;
}

static size_t list_value(struct checker *checker, const char *key, char **items)
{
    char *copy = strdup(value_of(checker->config, key));
    char *rest = NULL;
    size_t count = 0;
    for (char *item = strtok_r(copy, " ", &rest); item != NULL && count < TD_CONFIG_LIST_MAX;
         item = strtok_r(NULL, " ", &rest)) {
        if (strcmp(item, "[]") == 0) {
            continue;
        }
        if (!address_valid(item)) {
            fail(checker, key, "addresses look like tcp://HOST:PORT");
        }
        items[count++] = strdup(item);
    }
    free(copy);
    return count;
}

static void check_values(struct checker *checker, struct td_config *config)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    static const char *const formats[] = { "logfmt", "json" };
    static const char *const bools[] = { "false", "true" };
    config->region = text_value(checker, "node.region", true);
    config->data = text_value(checker, "node.data", true);
    config->key = text_value(checker, "node.key", true);
    config->root = text_value(checker, "node.root", true);
    config->roster = text_value(checker, "node.roster", false);
    config->listen_local = text_value(checker, "listen.local", false);
    config->listen_http = text_value(checker, "listen.http", false);
    config->http_tokens = text_value(checker, "listen.http_tokens", false);
    config->seed_count = list_value(checker, "node.seeds", config->seeds);
    config->listen_peer_count = list_value(checker, "listen.peer", config->listen_peer);
    if (config->listen_local[0] != '\0' && strncmp(config->listen_local, "ipc://", 6) != 0) {
        fail(checker, "listen.local", "a Unix socket looks like ipc:///run/tidings/tidings.sock");
    }
    if (strlen(config->listen_local) >= 6 + sizeof ((struct sockaddr_un *)0)->sun_path) {
        fail(checker, "listen.local", "the path of a Unix socket has at most 107 bytes");
    }
    config->publish_rate = count_value(checker, "limits.publish_rate");
    config->log_limit_bytes = bytes_value(checker, "limits.log");
    config->http_connections = count_value(checker, "limits.http_connections");
    config->clients_max = count_value(checker, "limits.clients");
    config->fresh_warn_ms = duration_value(checker, "freshness.warn");
    config->fresh_stale_ms = duration_value(checker, "freshness.stale");
    config->log_level = word_value(checker, "log.level", levels, 4, "use debug, info, warn or error");
    config->log_format = (enum td_log_format)word_value(checker, "log.format", formats, 2,
                                                        "use logfmt or json");
    config->chaos = word_value(checker, "chaos", bools, 2, "use true or false") == 1;
}

enum td_err td_config_read(const char *path, struct td_config *ret_config,
                           char ret_why[TD_CONFIG_WHY_BYTES])
{
    struct td_config config;
    memset(&config, 0, sizeof config);
    config.values = calloc(KEY_COUNT, sizeof *config.values);
    if (config.values == NULL) {
        return TD_ENOMEM;
    }
    config.value_count = KEY_COUNT;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        config.values[i].text = strdup(keys[i].standard);
    }
    enum td_err err = td_config_load(path, &config, ret_why);
    if (err == TD_OK) {
        struct checker checker = { .config = &config, .path = path, .why = ret_why };
        check_values(&checker, &config);
        err = checker.failed ? TD_ECONFIG : TD_OK;
    }
    if (err != TD_OK) {
        td_config_fini(&config);
        return err;
    }
    *ret_config = config;
    return TD_OK;
}

void td_config_fini(struct td_config *config)
{
    char *texts[] = { config->region, config->data, config->key, config->root, config->roster,
        config->listen_local, config->listen_http, config->http_tokens };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(texts[i]);
    }
    for (size_t i = 0; i < config->listen_peer_count; i++) {
        free(config->listen_peer[i]);
    }
    for (size_t i = 0; i < config->seed_count; i++) {
        free(config->seeds[i]);
    }
    for (size_t i = 0; i < config->value_count; i++) {
        free(config->values[i].text);
    }
    free(config->values);
    memset(config, 0, sizeof *config);
}

/* ---- printing ---- */

static void print_value(FILE *out, const struct key *key, const char *text)
{
    if (strcmp(key->type, "list") == 0 && text[0] != '[') {
        fputs("[", out);
        for (const char *item = text; *item != '\0';) {
            size_t length = strcspn(item, " ");
            fprintf(out, "%s\"%.*s\"", item == text ? "" : ", ", (int)length, item);
            item += length + strspn(item + length, " ");
        }
        fputs("]", out);
        return;
    }
    bool quote = text[0] == '\0' || strpbrk(text, ":#[]{}, ") != NULL;
    fprintf(out, quote && strcmp(key->type, "list") != 0 ? "\"%s\"" : "%s", text);
}

static void print_all(FILE *out, const struct td_config *config)
{
    char group[32] = "";
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *dot = strchr(keys[i].path, '.');
        size_t length = dot != NULL ? (size_t)(dot - keys[i].path) : 0;
        if (dot != NULL && (strlen(group) != length || strncmp(group, keys[i].path, length) != 0)) {
            snprintf(group, sizeof group, "%.*s", (int)length, keys[i].path);
            fprintf(out, "%s:\n", group);
        }
        fprintf(out, "%s%s: ", dot != NULL ? "  " : "", dot != NULL ? dot + 1 : keys[i].path);
        const char *text = config != NULL ? config->values[i].text : keys[i].standard;
        print_value(out, &keys[i], text);
        if (config != NULL) {
            fprintf(out, "  # %s\n", config->values[i].from_file ? "file" : "default");
        } else {
            fprintf(out, "  # %s\n", keys[i].comment);
        }
    }
}

void td_config_print_defaults(FILE *out)
{
    print_all(out, NULL);
}

void td_config_print_effective(const struct td_config *config, FILE *out)
{
    print_all(out, config);
}

void td_config_print_schema(FILE *out)
{
    fputs("{\n", out);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        fprintf(out, "  \"%s\": {\"type\": \"%s\", \"default\": \"%s\", \"comment\": \"%s\"}%s\n",
                keys[i].path, keys[i].type, keys[i].standard, keys[i].comment,
                i + 1 < KEY_COUNT ? "," : "");
    }
    fputs("}\n", out);
}
