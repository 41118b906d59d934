/* node.c -- the processes: a real tidingsd with the library preloaded, its log lines and its cuts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster-tests/power/order.h"
#include "cluster-tests/power/power.h"

static void side_path(const struct power_node *node, char *ret_path, size_t bytes)
{
    snprintf(ret_path, bytes, "%s.side", node->directory);
}

/* Removes the files of a directory whose names end so. */
static void empty_directory(const char *path, const char *ending)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        if (length > tail && strcmp(entry->d_name + length - tail, ending) == 0 &&
            entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static void set_number(const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    setenv(name, text, 1);
}

struct pipes {
    int control[2], report[2], log[2];
};

static void become_node(const struct power_node *node, const struct pipes *pipes, uint64_t seed,
                        uint64_t at_call, uint64_t skip_creates)
{
    char side[600], config[600];
    side_path(node, side, sizeof side);
    snprintf(config, sizeof config, "%s/tidingsd.yaml", node->directory);
    setenv("LD_PRELOAD", node->world->library, 1);
    setenv("TIDINGS_POWER_DIR", node->directory, 1);
    setenv("TIDINGS_POWER_SIDE", side, 1);
    set_number("TIDINGS_POWER_SEED", seed);
    set_number("TIDINGS_POWER_CONTROL", (uint64_t)pipes->control[0]);
    set_number("TIDINGS_POWER_REPORT", (uint64_t)pipes->report[1]);
    set_number("TIDINGS_POWER_AT", at_call);
    set_number("TIDINGS_POWER_SKIP", skip_creates);
    if (node->world->plant[0] != '\0') {
        setenv("TIDINGS_POWER_PLANT", node->world->plant, 1);
    }
    (void)dup2(pipes->log[1], STDERR_FILENO);
    (void)fcntl(pipes->control[0], F_SETFD, 0);
    (void)fcntl(pipes->report[1], F_SETFD, 0);
    execl(node->world->daemon, "tidingsd", "-c", config, (char *)NULL);
    perror(node->world->daemon);
    _exit(127);
}

void node_start(struct power_node *node, uint64_t at_call, uint64_t skip_creates)
{
    struct pipes pipes;
    char side[600];
    side_path(node, side, sizeof side);
    (void)mkdir(side, 0700);
    empty_directory(side, "");
    uint64_t seed = world_random(node->world);
    if (pipe2(pipes.control, O_CLOEXEC) != 0 || pipe2(pipes.report, O_CLOEXEC) != 0 ||
        pipe2(pipes.log, O_CLOEXEC) != 0) {
        perror("pipe");
        abort();
    }
    node->pid = fork();
    if (node->pid == 0) {
        become_node(node, &pipes, seed, at_call, skip_creates);
    }
    if (node->pid < 0) {
        perror("fork");
        abort();
    }
    (void)close(pipes.control[0]);
    (void)close(pipes.report[1]);
    (void)close(pipes.log[1]);
    node->control = pipes.control[1];
    node->log = (struct power_lines){.fd = pipes.log[0]};
    node->report = (struct power_lines){.fd = pipes.report[0]};
    node->ready = false;
    node->reported = false;
    node->calls_fail = false;
    node->acks = 0;
    node->cut_at_ack = 0;
    node->cut_at_ms = 0;
}

void node_order(struct power_node *node, uint64_t what, uint64_t number)
{
    struct power_order order = {what, number};
    (void)!write(node->control, &order, sizeof order); /* a dead node needs no orders */
}

static uint64_t number_after(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void take_log_line(struct power_node *node, const char *line)
{
    struct power_world *world = node->world;
    bool recovered = strstr(line, " ev=log_recovered ") != NULL;
    if (recovered && (number_after(line, " damaged_records=") != 0 ||
                      number_after(line, " missing_segments=") != 0)) {
        world_problem(world, "UNREADABLE log of %s: %s\n  after %s", node->name, line,
                      node->last_cut);
    } else if (strstr(line, "level=error") != NULL && !node->calls_fail &&
               !(world->may_fill && strstr(line, "log's limit is full") != NULL)) {
        world_problem(world, "%s says: %s\n  after %s", node->name, line, node->last_cut);
    }
    world->torn += recovered && number_after(line, " torn_bytes=") != 0;
    world->compactions += strstr(line, " ev=log_compacted ") != NULL;
    node->ready = node->ready || strstr(line, " ev=ready ") != NULL;
}

static void take_report_line(struct power_node *node, const char *line)
{
    snprintf(node->last_cut, sizeof node->last_cut, "%s", line);
    node->reported = true;
}

/* False at the end of the text. */
static bool take_lines(struct power_node *node, struct power_lines *lines,
                       void (*take)(struct power_node *node, const char *line))
{
    ssize_t count =
        read(lines->fd, lines->text + lines->used, sizeof lines->text - 1 - lines->used);
    if (count <= 0) {
        return count < 0 && errno == EINTR;
    }
    lines->used += (size_t)count;
    lines->text[lines->used] = '\0';
    char *start = lines->text, *end;
    while ((end = strchr(start, '\n')) != NULL) {
        *end = '\0';
        take(node, start);
        start = end + 1;
    }
    lines->used -= (size_t)(start - lines->text);
    memmove(lines->text, start, lines->used);
    if (lines->used == sizeof lines->text - 1) {
        lines->used = 0; /* a line too long to be one of ours */
    }
    return true;
}

static void forget_process(struct power_node *node)
{
    while (take_lines(node, &node->log, take_log_line)) {
    }
    (void)close(node->log.fd);
    (void)close(node->report.fd);
    (void)close(node->control);
    node->log.fd = node->report.fd = node->control = -1;
    node->pid = 0;
    node->ready = false;
}

/* The report's end: both the node and the child that rewrote its directory are gone. */
static void take_end(struct power_node *node)
{
    int status = 0;
    (void)waitpid(node->pid, &status, 0);
    if (!node->reported) {
        world_problem(node->world, "%s ended by itself, status %d\n  after %s", node->name, status,
                      node->last_cut);
    } else {
        node->world->cuts++;
    }
    forget_process(node);
}

void nodes_poll(struct power_world *world, int timeout_ms)
{
    struct pollfd polls[2 * POWER_NODES_MAX + 1];
    uint64_t now = world_now_ms();
    uint32_t count = world->node_count;
    for (uint32_t i = 0; i < count; i++) {
        struct power_node *node = &world->nodes[i];
        polls[2 * i] = (struct pollfd){.fd = node->pid != 0 ? node->log.fd : -1, .events = POLLIN};
        polls[2 * i + 1] =
            (struct pollfd){.fd = node->pid != 0 ? node->report.fd : -1, .events = POLLIN};
        if (node->pid != 0 && node->cut_at_ms != 0 && now >= node->cut_at_ms) {
            node->cut_at_ms = 0;
            node_order(node, POWER_CUT_NOW, 0);
        } else if (node->cut_at_ms != 0 && node->cut_at_ms - now < (uint64_t)timeout_ms) {
            timeout_ms = (int)(node->cut_at_ms - now);
        }
    }
    polls[2 * count] = (struct pollfd){.fd = world->wake, .events = POLLIN};
    if (poll(polls, 2 * count + 1, timeout_ms) <= 0) {
        return;
    }
    if ((polls[2 * count].revents & POLLIN) != 0) {
        uint64_t wakes;
        (void)!read(world->wake, &wakes, sizeof wakes);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct power_node *node = &world->nodes[i];
        if (polls[2 * i].revents != 0 && !take_lines(node, &node->log, take_log_line)) {
            polls[2 * i + 1].revents |= POLLIN; /* it ended; its last words are in */
        }
        if (polls[2 * i + 1].revents != 0 && !take_lines(node, &node->report, take_report_line)) {
            take_end(node);
        }
    }
}

bool nodes_all_ready(const struct power_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].pid == 0 || !world->nodes[i].ready) {
            return false;
        }
    }
    return true;
}

void nodes_stop(struct power_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct power_node *node = &world->nodes[i];
        if (node->handle != NULL) {
            load_close(node);
        }
        if (node->pid != 0) {
            kill(node->pid, SIGKILL);
            (void)waitpid(node->pid, NULL, 0);
            forget_process(node);
        }
    }
}

void nodes_wipe(struct power_world *world)
{
    nodes_stop(world);
    for (uint32_t i = 0; i < world->node_count; i++) {
        empty_directory(world->nodes[i].directory, ".seg");
    }
    memset(world->jobs, 0, sizeof world->jobs);
}
