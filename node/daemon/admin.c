/* admin.c -- what the operator asks of a running node over its socket: read the configuration again,
 * another log level, a backup. Links' threads only queue it; the main thread does one after the other, so
 * that none of it needs locks. */
#include <stdio.h>
#include <string.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

bool td_admin_ask(struct td_node *node, uint32_t client_link, const struct td_request *request)
{
    const struct td_text argument = request->u.admin.argument;
    pthread_mutex_lock(&node->admin.mutex);
    bool room = node->admin.count < TD_ADMIN_WAITING_MAX;
    if (room) {
        struct td_admin_waiting *waiting = &node->admin.waiting[node->admin.count++];
        waiting->client_link = client_link;
        waiting->id = request->id;
        waiting->action = request->u.admin.action;
        if (argument.count > 0) { /* an empty text has no bytes to point to */
            memcpy(waiting->argument, argument.bytes, argument.count);
        }
        waiting->argument[argument.count] = '\0';
    }
    pthread_mutex_unlock(&node->admin.mutex);
    return room;
}

static bool next(struct td_node *node, struct td_admin_waiting *ret_waiting)
{
    pthread_mutex_lock(&node->admin.mutex);
    bool any = node->admin.count > 0;
    if (any) {
        *ret_waiting = node->admin.waiting[0];
        node->admin.count -= 1;
        memmove(node->admin.waiting, node->admin.waiting + 1,
                node->admin.count * sizeof node->admin.waiting[0]);
    }
    pthread_mutex_unlock(&node->admin.mutex);
    return any;
}

static enum td_err set_level(struct td_node *node, const char *word, char ret_text[TD_ADMIN_TEXT_BYTES])
{
    static const char *const words[] = { "debug", "info", "warn", "error" };
    for (int level = 0; level < 4; level++) {
        if (strcmp(words[level], word) == 0) {
            node->config.log_level = level;
            td_logging_init(level, node->config.log_format == TD_LOG_JSON);
            td_log_event(TD_INFO, "log_level", "level", word, NULL);
            snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "log level %.8s until the next reload or restart", word);
            return TD_OK;
        }
    }
    snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "a log level is debug, info, warn or error");
    return TD_EUSAGE;
}

void td_admin_serve(struct td_node *node, const char *config_path)
{
    struct td_admin_waiting waiting;
    while (next(node, &waiting)) {
        char text[TD_ADMIN_TEXT_BYTES] = "";
        enum td_err err = TD_EUSAGE;
        switch (waiting.action) {
        case TD_ADMIN_RELOAD:
            err = td_reload(node, config_path, text);
            break;
        case TD_ADMIN_LOG_LEVEL:
            err = set_level(node, waiting.argument, text);
            break;
        case TD_ADMIN_BACKUP:
            err = td_backup(node, waiting.argument, text);
            break;
        }
        const struct td_request request = { .id = waiting.id, .op = TD_OP_ADMIN };
        td_ingress_answer(node, waiting.client_link, &request, err, text);
    }
}
