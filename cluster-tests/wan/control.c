/* control.c -- performs commands on a mesh. See control.h, parse.h. */
#include "cluster-tests/wan/control.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster-tests/wan/parse.h"

void wan_mesh_seed(struct wan_mesh *mesh, uint64_t seed)
{
    for (unsigned from = 0; from < mesh->host_count; from++) {
        for (unsigned to = 0; to < mesh->host_count; to++) {
            wan_link_seed(&mesh->links[from][to], seed, from, to);
        }
    }
}

/* Text that does not fit is left out: replies are sized for the largest mesh. */
__attribute__((format(printf, 4, 5))) static void append(char *reply, size_t size, size_t *used,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(reply + *used, size - *used, format, arguments);
    va_end(arguments);
    if (length > 0) {
        *used = *used + (size_t)length < size ? *used + (size_t)length : size - 1;
    }
}

static void perform(struct wan_link *link, const struct wan_command *command)
{
    struct wan_shape shape = link->shape;

    if (command->verb == WAN_CUT) {
        wan_link_cut(link);
    } else if (command->verb == WAN_HEAL) {
        wan_link_heal(link);
    } else {
        wan_change_apply(&command->change, &shape);
        wan_link_shape(link, &shape);
    }
}

static bool meant(const char *pattern, const struct wan_host *host)
{
    return strcmp(pattern, "*") == 0 || strcmp(pattern, host->name) == 0;
}

static unsigned perform_on_links(struct wan_mesh *mesh, const struct wan_command *command)
{
    unsigned count = 0;

    for (unsigned a = 0; a < mesh->host_count; a++) {
        for (unsigned b = 0; b < mesh->host_count; b++) {
            const struct wan_host *from = &mesh->hosts[a], *to = &mesh->hosts[b];
            bool there = meant(command->from, from) && meant(command->to, to);
            bool back = meant(command->from, to) && meant(command->to, from);
            if (a != b && (there || (back && !command->one_way))) {
                perform(&mesh->links[a][b], command);
                count++;
            }
        }
    }
    return count;
}

static void tell_hosts(const struct wan_mesh *mesh, char *reply, size_t size, size_t *used)
{
    for (unsigned i = 0; i < mesh->host_count; i++) {
        const struct wan_host *host = &mesh->hosts[i];
        append(reply, size, used, "%s 10.77.0.%u /proc/%d/fd/%d\n", host->name,
               host->address & 0xff, (int)getpid(), host->namespace_fd);
    }
}

static void tell_link(const struct wan_mesh *mesh, unsigned from, unsigned to, char *reply,
                      size_t size, size_t *used)
{
    const struct wan_link *link = &mesh->links[from][to];
    const struct wan_counts *counts = &link->counts;

    append(reply, size, used,
           "%s %s %s delay_us=%" PRIu64 " offered=%" PRIu64 " passed=%" PRIu64 " bytes=%" PRIu64
           " lost=%" PRIu64 " dup=%" PRIu64 " reordered=%" PRIu64 " queue_drops=%" PRIu64
           " cut_drops=%" PRIu64 " memory_drops=%" PRIu64 "\n",
           mesh->hosts[from].name, mesh->hosts[to].name, link->cut ? "cut" : "up",
           link->shape.delay_us, counts->offered, counts->passed, counts->bytes, counts->lost,
           counts->duplicated, counts->reordered, counts->queue_drops, counts->cut_drops,
           counts->memory_drops);
}

static void tell_stats(const struct wan_mesh *mesh, char *reply, size_t size, size_t *used)
{
    for (unsigned from = 0; from < mesh->host_count; from++) {
        for (unsigned to = 0; to < mesh->host_count; to++) {
            if (from != to) {
                tell_link(mesh, from, to, reply, size, used);
            }
        }
    }
    append(reply, size, used, "router foreign_drops=%" PRIu64 " unread_drops=%" PRIu64 "\n",
           mesh->foreign_drops, mesh->unread_drops);
}

void wan_control(struct wan_mesh *mesh, const char *line, char *reply, size_t reply_size)
{
    struct wan_command command;
    size_t used = 0;
    const char *wrong = wan_parse(line, &command);

    if (wrong == NULL && command.verb == WAN_HOSTS) {
        tell_hosts(mesh, reply, reply_size, &used);
    } else if (wrong == NULL && command.verb == WAN_STATS) {
        tell_stats(mesh, reply, reply_size, &used);
    } else if (wrong == NULL && command.verb == WAN_SEED) {
        wan_mesh_seed(mesh, command.seed);
    } else if (wrong == NULL && perform_on_links(mesh, &command) == 0) {
        wrong = "no such link";
    }
    if (wrong == NULL) {
        append(reply, reply_size, &used, "ok\n");
    } else {
        append(reply, reply_size, &used, "error: %s\n", wrong);
    }
}
