/* config.c -- the key table, reading through libcyaml, checking of values. See config.h. */
#include "node/daemon/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/daemon/logging.h"

/* The file as text; every scalar is read as a string so that our own messages can name key and form. */
struct raw {
    struct {
        char *region, *data, *key, *root, *roster;
        char **seeds;
        unsigned seeds_count;
    } * node;
    struct {
        char **peer;
        unsigned peer_count;
        char *local, *http;
    } * listen;
    struct {
        char *publish_rate, *log, *http_connections, *clients;
    } * limits;
    struct {
        char *warn, *stale;
    } * freshness;
    struct {
        char *level, *format;
    } * log;
    char *chaos;
};

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
    { "listen.http", "address", "", "HTTP gateway; not in this version" },
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

#define OPT CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR
static const cyaml_schema_value_t text_schema = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 4096) };
#define TEXT(name, type)                                                                           \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, name, 0, 4096)

typedef __typeof__(*((struct raw *)0)->node) raw_node;
typedef __typeof__(*((struct raw *)0)->listen) raw_listen;
typedef __typeof__(*((struct raw *)0)->limits) raw_limits;
typedef __typeof__(*((struct raw *)0)->freshness) raw_freshness;
typedef __typeof__(*((struct raw *)0)->log) raw_log;

static const cyaml_schema_field_t node_fields[] = {
    TEXT(region, raw_node), TEXT(data, raw_node), TEXT(key, raw_node), TEXT(root, raw_node),
    TEXT(roster, raw_node),
    CYAML_FIELD_SEQUENCE("seeds", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL | CYAML_FLAG_FLOW,
                         raw_node, seeds, &text_schema, 0, TD_CONFIG_LIST_MAX),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t listen_scalar_fields[] = {
    /* `peer` is a scalar or a list; see read_listen(). */
    CYAML_FIELD_SEQUENCE("peer", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL | CYAML_FLAG_FLOW,
                         raw_listen, peer, &text_schema, 0, TD_CONFIG_LIST_MAX),
    TEXT(local, raw_listen), TEXT(http, raw_listen), CYAML_FIELD_END
};
static const cyaml_schema_field_t limits_fields[] = { TEXT(publish_rate, raw_limits),
    TEXT(log, raw_limits), TEXT(http_connections, raw_limits), TEXT(clients, raw_limits),
    CYAML_FIELD_END };
static const cyaml_schema_field_t freshness_fields[] = { TEXT(warn, raw_freshness),
    TEXT(stale, raw_freshness), CYAML_FIELD_END };
static const cyaml_schema_field_t log_fields[] = { TEXT(level, raw_log), TEXT(format, raw_log),
    CYAML_FIELD_END };
#define GROUP(name, fields)                                                                        \
    CYAML_FIELD_MAPPING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw, name, fields)
static const cyaml_schema_field_t top_fields[] = { GROUP(node, node_fields),
    GROUP(listen, listen_scalar_fields), GROUP(limits, limits_fields),
    GROUP(freshness, freshness_fields), GROUP(log, log_fields), TEXT(chaos, struct raw),
    CYAML_FIELD_END };
static const cyaml_schema_value_t top_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw,
                                                                     top_fields) };

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

/* ---- reading ---- */

struct yaml_log {
    char text[TD_CONFIG_WHY_BYTES];
    size_t used;
};

/* libcyaml explains an error in several messages: the first says what, the next says where. */
static void collect(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct yaml_log *log = context;
    char line[256];
    (void)level;
    int count = vsnprintf(line, sizeof line, format, arguments);
    if (count <= 0 || log->used + (size_t)count + 2 >= sizeof log->text) {
        return;
    }
    char *start = line;
    if (strncmp(start, "Load: ", 6) == 0) {
        start += 6;
    }
    if (strncmp(start, "Backtrace:", 10) == 0) {
        return;
    }
    size_t length = strcspn(start, "\n");
    while (length > 0 && *start == ' ') {
        start++;
        length--;
    }
    if (log->used > 0) {
        memcpy(log->text + log->used, ", ", 2);
        log->used += 2;
    }
    memcpy(log->text + log->used, start, length);
    log->used += length;
    log->text[log->used] = '\0';
}

/* cyaml reports a tab only as a scanner error; find it ourselves so that the message says so. */
static bool find_tab(const char *path, char *ret_why)
{
    FILE *file = fopen(path, "re");
    char line[4096];
    unsigned number = 0;
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        number++;
        size_t indent = strspn(line, " ");
        if (line[indent] == '\t') {
            snprintf(ret_why, TD_CONFIG_WHY_BYTES,
                     "%s:%u:%zu: a tab is used for indentation; YAML wants spaces", path, number,
                     indent + 1);
            found = true;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* libcyaml names the mapping's place, not the key's: look the key up ourselves. */
static bool find_unknown_key(const char *path, const char *message, char *ret_why)
{
    static const char marker[] = "Unexpected key: ";
    const char *name = strstr(message, marker);
    FILE *file = name != NULL ? fopen(path, "re") : NULL;
    char line[4096];
    unsigned number = 0;
    bool found = false;
    if (file == NULL) {
        return false;
    }
    name += sizeof marker - 1;
    size_t length = strcspn(name, ",\n");
    while (!found && fgets(line, sizeof line, file) != NULL) {
        number++;
        size_t indent = strspn(line, " ");
        if (strncmp(line + indent, name, length) == 0 && line[indent + length] == ':') {
            snprintf(ret_why, TD_CONFIG_WHY_BYTES,
                     "%s: unknown key \"%.*s\" at line: %u, column: %zu; all keys: tidingsd config "
                     "--defaults", path, (int)length, name, number, indent + 1);
            found = true;
        }
    }
    fclose(file);
    return found;
}

static void set_value(struct td_config *config, const char *path, const char *text)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].path, path) == 0 && text != NULL) {
            free(config->values[i].text);
            config->values[i].text = strdup(text);
            config->values[i].from_file = true;
        }
    }
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

static void set_list(struct td_config *config, const char *path, char **items, unsigned count)
{
    char joined[4096] = "";
    size_t used = 0;
    for (unsigned i = 0; i < count; i++) {
        int more = snprintf(joined + used, sizeof joined - used, "%s%s", i > 0 ? " " : "", items[i]);
        if (more < 0 || (size_t)more >= sizeof joined - used) {
            break;
        }
        used += (size_t)more;
    }
    if (items != NULL) {
        set_value(config, path, joined);
    }
}

static void take_raw(struct td_config *config, const struct raw *raw)
{
    if (raw->node != NULL) {
        set_value(config, "node.region", raw->node->region);
        set_value(config, "node.data", raw->node->data);
        set_value(config, "node.key", raw->node->key);
        set_value(config, "node.root", raw->node->root);
        set_value(config, "node.roster", raw->node->roster);
        set_list(config, "node.seeds", raw->node->seeds, raw->node->seeds_count);
    }
    if (raw->listen != NULL) {
        set_list(config, "listen.peer", raw->listen->peer, raw->listen->peer_count);
        set_value(config, "listen.local", raw->listen->local);
        set_value(config, "listen.http", raw->listen->http);
    }
    if (raw->limits != NULL) {
        set_value(config, "limits.publish_rate", raw->limits->publish_rate);
        set_value(config, "limits.log", raw->limits->log);
        set_value(config, "limits.http_connections", raw->limits->http_connections);
        set_value(config, "limits.clients", raw->limits->clients);
    }
    if (raw->freshness != NULL) {
        set_value(config, "freshness.warn", raw->freshness->warn);
        set_value(config, "freshness.stale", raw->freshness->stale);
    }
    if (raw->log != NULL) {
        set_value(config, "log.level", raw->log->level);
        set_value(config, "log.format", raw->log->format);
    }
    set_value(config, "chaos", raw->chaos);
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

static size_t list_value(struct checker *checker, const char *key, const char *scheme, char **items)
{
    char *copy = strdup(value_of(checker->config, key));
    char *rest = NULL;
    size_t count = 0;
    for (char *item = strtok_r(copy, " ", &rest); item != NULL && count < TD_CONFIG_LIST_MAX;
         item = strtok_r(NULL, " ", &rest)) {
        if (strcmp(item, "[]") == 0) {
            continue;
        }
        if (strncmp(item, scheme, strlen(scheme)) != 0) {
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
    config->seed_count = list_value(checker, "node.seeds", "tcp://", config->seeds);
    config->listen_peer_count = list_value(checker, "listen.peer", "tcp://", config->listen_peer);
    if (config->listen_local[0] != '\0' && strncmp(config->listen_local, "ipc://", 6) != 0) {
        fail(checker, "listen.local", "a Unix socket looks like ipc:///run/tidings/tidings.sock");
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

/* `peer: tcp://...` is allowed beside `peer: [ ... ]`; cyaml knows one form only, so a scalar is
 * wrapped before parsing. Returns malloc'd text. */
static char *read_text(const char *path, size_t *ret_bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t used = 0;
    FILE *memory = open_memstream(&text, &used);
    char line[4096];
    while (fgets(line, sizeof line, file) != NULL) {
        size_t indent = strspn(line, " ");
        const char *value = line + indent + 5;
        if (indent > 0 && strncmp(line + indent, "peer:", 5) == 0) {
            value += strspn(value, " ");
            if (*value == '[' || *value == '\n' || *value == '#') {
                fputs(line, memory);
                continue;
            }
            size_t length = strcspn(value, " \n#");
            fprintf(memory, "%.*speer: [ \"%.*s\" ]%s", (int)indent, line, (int)length, value,
                    value + length);
            continue;
        }
        fputs(line, memory);
    }
    fclose(memory);
    fclose(file);
    *ret_bytes = used;
    return text;
}

static enum td_err load(const char *path, struct td_config *config, char *why)
{
    struct yaml_log log = { .used = 0 };
    cyaml_config_t settings = { .log_fn = collect, .log_ctx = &log, .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_WARNING };
    struct raw *raw = NULL;
    size_t bytes = 0;
    char *text = read_text(path, &bytes);
    if (text == NULL) {
        snprintf(why, TD_CONFIG_WHY_BYTES, "%s: cannot be read: %s; name the file with -c", path,
                 strerror(errno));
        return TD_ECONFIG;
    }
    cyaml_err_t err = cyaml_load_data((const uint8_t *)text, bytes, &settings, &top_schema,
                                      (cyaml_data_t **)&raw, NULL);
    free(text);
    if (err != CYAML_OK) {
        if (!find_tab(path, why) && !find_unknown_key(path, log.text, why)) {
            snprintf(why, TD_CONFIG_WHY_BYTES, "%.256s: %.600s; all keys: tidingsd config --defaults", path,
                     log.used > 0 ? log.text : cyaml_strerror(err));
        }
        return TD_ECONFIG;
    }
    take_raw(config, raw);
    cyaml_free(&settings, &top_schema, raw, 0);
    return TD_OK;
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
    enum td_err err = load(path, &config, ret_why);
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
        config->listen_local, config->listen_http };
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
