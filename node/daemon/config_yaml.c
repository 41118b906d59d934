/* config_yaml.c -- the file itself: libcyaml with a schema of texts, and messages of our own for what it
 * says badly. See config.h. */
#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/daemon/config_parts.h"
#include "proto/nearest.h"

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
        char *local, *http, *http_tokens;
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
    TEXT(local, raw_listen), TEXT(http, raw_listen), TEXT(http_tokens, raw_listen), CYAML_FIELD_END
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

/* The key or group of keys that was probably meant, NULL = none is near. */
static const char *nearest_key(const char *name, size_t name_bytes, char ret_word[64])
{
    char word[64];
    struct td_nearest nearest;
    unsigned best_distance = 0;
    snprintf(word, sizeof word, "%.*s", (int)name_bytes, name);
    td_nearest_init(&nearest, word);
    for (size_t i = 0; td_config_key(i) != NULL; i++) {
        const char *path = td_config_key(i);
        const char *dot = strchr(path, '.');
        char group[64];
        snprintf(group, sizeof group, "%.*s", dot != NULL ? (int)(dot - path) : 0, path);
        const char *const candidates[] = { dot != NULL ? dot + 1 : path, group };
        for (size_t j = 0; j < 2 && candidates[j][0] != '\0'; j++) {
            best_distance = nearest.best_distance;
            td_nearest_offer(&nearest, candidates[j]);
            if (nearest.best_distance != best_distance) {
                snprintf(ret_word, 64, "%s", candidates[j]);
            }
        }
    }
    return nearest.best != NULL ? ret_word : NULL;
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
            char word[64];
            const char *meant = nearest_key(name, length, word);
            snprintf(ret_why, TD_CONFIG_WHY_BYTES,
                     "%s: unknown key \"%.*s\" at line: %u, column: %zu%s%s%s; all keys: tidingsd config "
                     "--defaults", path, (int)length, name, number, indent + 1,
                     meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "",
                     meant != NULL ? "\"?" : "");
            found = true;
        }
    }
    fclose(file);
    return found;
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
        td_config_set(config, path, joined);
    }
}

static void take_raw(struct td_config *config, const struct raw *raw)
{
    if (raw->node != NULL) {
        td_config_set(config, "node.region", raw->node->region);
        td_config_set(config, "node.data", raw->node->data);
        td_config_set(config, "node.key", raw->node->key);
        td_config_set(config, "node.root", raw->node->root);
        td_config_set(config, "node.roster", raw->node->roster);
        set_list(config, "node.seeds", raw->node->seeds, raw->node->seeds_count);
    }
    if (raw->listen != NULL) {
        set_list(config, "listen.peer", raw->listen->peer, raw->listen->peer_count);
        td_config_set(config, "listen.local", raw->listen->local);
        td_config_set(config, "listen.http", raw->listen->http);
        td_config_set(config, "listen.http_tokens", raw->listen->http_tokens);
    }
    if (raw->limits != NULL) {
        td_config_set(config, "limits.publish_rate", raw->limits->publish_rate);
        td_config_set(config, "limits.log", raw->limits->log);
        td_config_set(config, "limits.http_connections", raw->limits->http_connections);
        td_config_set(config, "limits.clients", raw->limits->clients);
    }
    if (raw->freshness != NULL) {
        td_config_set(config, "freshness.warn", raw->freshness->warn);
        td_config_set(config, "freshness.stale", raw->freshness->stale);
    }
    if (raw->log != NULL) {
        td_config_set(config, "log.level", raw->log->level);
        td_config_set(config, "log.format", raw->log->format);
    }
    td_config_set(config, "chaos", raw->chaos);
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
    while (memory != NULL && fgets(line, sizeof line, file) != NULL) {
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
    int error = ferror(file) ? errno : 0; /* a directory opens and cannot be read */
    fclose(file);
    if (memory == NULL || fclose(memory) != 0 || error != 0) {
        free(text);
        errno = error != 0 ? error : ENOMEM;
        return NULL;
    }
    *ret_bytes = used;
    return text;
}

enum td_err td_config_load(const char *path, struct td_config *config, char *why)
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
        if (strncmp(log.text, "Expecting MAPPING", 17) == 0 && strstr(log.text, "line: ") == NULL) {
            snprintf(why, TD_CONFIG_WHY_BYTES,
                     "%.256s: no keys such as node: at the left margin; all keys: tidingsd config --defaults",
                     path);
        } else if (!find_tab(path, why) && !find_unknown_key(path, log.text, why)) {
            snprintf(why, TD_CONFIG_WHY_BYTES, "%.256s: %.600s; all keys: tidingsd config --defaults", path,
                     log.used > 0 ? log.text : cyaml_strerror(err));
        }
        return TD_ECONFIG;
    }
    if (raw != NULL) { /* NULL: nothing but comments */
        take_raw(config, raw);
        cyaml_free(&settings, &top_schema, raw, 0);
    }
    return TD_OK;
}
