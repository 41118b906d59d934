/* node.c -- puts a node together, runs its threads, takes it apart. */
#include "node/daemon/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "node/daemon/gateway.h"
#include "node/daemon/logging.h"

enum { WORK_WAIT_MS = 200, SURVEY_MS = 250, WHY_BYTES = 512, DRAIN_DEADLINE_MS = 5000, STOP_DEADLINE_MS = 2000,
       WAITING_LOG_MS = 10000, REGISTERS_MAX = 1 << 30 };

static const struct td_inbox_bounds inbox_bounds = { .requests_max = 8192, .frames_max = 65536,
    .request_bytes_max = (size_t)64 << 20, .frame_bytes_max = (size_t)512 << 20 };

static int fail(const char *event, enum td_err err, const char *why)
{
    td_log_event(TD_ERROR, event, "why", why[0] != '\0' ? why : td_err_text(err), "hint",
                 td_err_hint(err), NULL);
    return err == TD_ECONFIG || err == TD_EKEYFILE || err == TD_EKEYTEXT ? 78 : 1;
}

/* ---- threads ---- */

static bool stopping(struct td_node *node)
{
    return __atomic_load_n(&node->stopping, __ATOMIC_ACQUIRE);
}

static void *run_core(void *argument)
{
    struct td_node *node = argument;
    while (!stopping(node)) {
        td_loop_run_once(&node->loop, WORK_WAIT_MS);
    }
    return NULL;
}

static void *run_log(void *argument)
{
    struct td_node *node = argument;
    while (!stopping(node)) {
        td_log_work(node->log, WORK_WAIT_MS);
    }
    return NULL;
}

static void *run_net(void *argument)
{
    struct td_node *node = argument;
    while (!stopping(node)) {
        td_net_work(node->net, WORK_WAIT_MS);
    }
    return NULL;
}

/* ---- parts ---- */

static enum td_err load_identity(struct td_node *node, char *why)
{
    enum td_err err = td_key_file_read(node->config.key, &node->secret, why, WHY_BYTES);
    if (err != TD_OK) {
        return err;
    }
    err = td_identity_from_text(node->config.root, &node->root);
    if (err != TD_OK) {
        snprintf(why, WHY_BYTES, "node.root: not a tdpk1: key; copy the line that keygen printed");
        return err;
    }
    node->cluster = td_cluster_id_of(&node->root.sign_key);
    node->signer_self = (struct td_sodium_signer){ .secret = node->secret, .cluster = node->cluster };
    node->signer = td_sodium_signer(&node->signer_self);
    return TD_OK;
}

/* Who the roster says we are: by key, and the configured name must agree. */
static enum td_err find_self(struct td_node *node, char *why)
{
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_identity *me = td_secret_identity(node->secret);
    enum td_err err = TD_OK;
    if (ref == NULL) {
        return TD_OK;
    }
    const struct td_roster *roster = td_roster_ref_roster(ref);
    const struct td_roster_region *region = td_roster_region_by_link_key(roster, &me->link_key);
    if (region != NULL) {
        if (region->name.count != strlen(node->config.region) ||
            memcmp(region->name.bytes, node->config.region, region->name.count) != 0) {
            snprintf(why, WHY_BYTES, "node.region is %s, but the roster knows this key as %.*s; correct "
                     "the configuration or use the other key", node->config.region,
                     (int)region->name.count, region->name.bytes);
            err = TD_ECONFIG;
        }
        const struct td_region_key *key = td_roster_newest_key(region);
        node->self = region->number;
        node->key_number = key != NULL ? key->number : 0;
    }
    td_roster_ref_put(ref);
    return err;
}

static void core_limits(const struct td_policy *policy, struct td_core_limits *ret_limits)
{
    uint64_t registers = policy->registers_max != 0 ? policy->registers_max
                                                    : 8 * TD_QUOTA_REGISTERS_DEFAULT;
    registers = registers < REGISTERS_MAX ? registers : REGISTERS_MAX;
    uint64_t bytes = policy->bytes_max != 0 ? policy->bytes_max : 8 * TD_QUOTA_BYTES_DEFAULT;
    *ret_limits = (struct td_core_limits){ .registers_max = (uint32_t)registers, .bytes_max = bytes,
        .links_max = 2 * TD_REGIONS_MAX, .requests_max = 16384, .pending_deltas_max = 65536,
        .batches_max = (uint32_t)registers + TD_REGIONS_MAX * 4096, .ring_batches = 4096,
        .live_updates_max = 65536, .change_ring = 1 << 20 };
}

/* Address space for everything the core may ever need; pages are taken as they are touched. */
static enum td_err make_core(struct td_node *node, char *why)
{
    struct td_roster_ref *ref = td_membership_get(node->membership);
    struct td_core_config config = { .cluster = node->cluster, .self = node->self,
        .stale_ms = node->config.fresh_stale_ms, .software = { TD_VERSION, sizeof TD_VERSION - 1 },
        .survey_ms = SURVEY_MS };
    td_random_bytes(&config.table_seed, sizeof config.table_seed);
    core_limits(&td_roster_ref_roster(ref)->policy, &config.limits);
    node->core_bytes = td_core_bytes(&config);
    node->core_block = mmap(NULL, node->core_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (node->core_block == MAP_FAILED) {
        node->core_block = NULL;
        snprintf(why, WHY_BYTES, "cannot reserve %zu MiB of address space for the roster's registers_max; "
                 "lower it with tidings roster set, or raise the limit", node->core_bytes >> 20);
        td_roster_ref_put(ref);
        return TD_ENOMEM;
    }
    node->core = td_core_init(&config, node->core_block);
    node->ops = td_effects_ops(node);
    td_loop_init(&node->loop, node->core, &node->inbox, &node->ops);
    struct td_event event = { .type = TD_EV_ROSTER, .u = { .roster = td_roster_ref_roster(ref) } };
    td_loop_event(&node->loop, &event);
    td_roster_ref_put(ref);
    return td_recovery_run(node, why, WHY_BYTES);
}

/* /run is empty after each boot, and without systemd nobody makes our directory there. One level only;
 * a failure shows when the socket is opened. Clients are let in by the socket's own mode. */
static void make_socket_directory(const char *address)
{
    char path[sizeof ((struct sockaddr_un *)0)->sun_path];
    if (strncmp(address, "ipc://", 6) != 0 || strlen(address + 6) >= sizeof path) {
        return;
    }
    memcpy(path, address + 6, strlen(address + 6) + 1);
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return;
    }
    *slash = '\0';
    if (mkdir(path, 0755) == 0) {
        (void)chmod(path, 0755); /* the umask keeps the log's files private */
    }
}

static enum td_err start_links(struct td_node *node, char *why)
{
    struct td_net_config config = { .self = node->self, .secret = node->secret,
        .root_sign_key = node->root.sign_key,
        .listen_peer = (const char *const *)node->config.listen_peer,
        .listen_peer_count = node->config.listen_peer_count,
        .listen_local = node->config.listen_local[0] != '\0' ? node->config.listen_local : NULL,
        .seeds = (const char *const *)node->config.seeds, .seed_count = node->config.seed_count,
        .clients_max = node->config.clients_max, .chaos = node->config.chaos,
        .software = { TD_VERSION, sizeof TD_VERSION - 1 } };
    struct td_net_sink sink = td_ingress_sink(node);
    make_socket_directory(node->config.listen_local);
    struct td_roster_ref *ref = td_membership_get(node->membership);
    enum td_err err = td_net_start(&config, &sink, ref, &node->net, why, WHY_BYTES);
    if (err == TD_OK && node->self.v == 0) {
        /* No core draws an incarnation while we wait, but links hold their HELLO back for one, and
         * peers answer a HELLO with the roster that admits us. Start number 0 = none drawn yet. */
        struct td_incarnation waiting = { 0, 0 };
        td_random_bytes(&waiting.random, sizeof waiting.random);
        td_net_set_process(node->net, waiting);
    }
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    return err;
}

static void start_threads(struct td_node *node)
{
    bool ok = true;
    if (node->core != NULL) {
        ok = pthread_create(&node->core_thread, NULL, run_core, node) == 0 &&
             pthread_create(&node->log_thread, NULL, run_log, node) == 0;
    }
    for (int i = 0; i < TD_NET_THREADS; i++) {
        ok = ok && pthread_create(&node->net_threads[i], NULL, run_net, node) == 0;
    }
    if (!ok) {
        td_log_event(TD_ERROR, "no_threads", "why", strerror(errno), NULL);
        abort();
    }
}

/* The order matters: the threads end; then the links, which may still report to the inbox; then the log,
 * which completes what it has into the inbox; then the inbox, which holds rosters and messages. Parts
 * that were never made are passed over, so a start that failed half-way ends here as well. */
static void take_apart(struct td_node *node)
{
    td_egress_stop(node->egress);
    td_net_stop(node->net, STOP_DEADLINE_MS);
    td_log_close(node->log);
    td_inbox_fini(&node->inbox);
    td_gateway_free(node);
    td_disk_posix_close(&node->disk);
    td_membership_close(node->membership);
    td_secret_free(node->secret);
    if (node->core_block != NULL) {
        munmap(node->core_block, node->core_bytes);
    }
    td_head_slots_fini(&node->heads);
    free(node->verified);
    free(node->metrics.timed);
}

static void stop(struct td_node *node)
{
    td_notify("STOPPING=1");
    td_gateway_stop(node); /* first: its threads wait for answers that only a running core gives */
    __atomic_store_n(&node->stopping, true, __ATOMIC_RELEASE);
    td_inbox_wake(&node->inbox);
    if (node->log != NULL) {
        td_log_wake(node->log);
    }
    if (node->core != NULL) {
        pthread_join(node->core_thread, NULL);
        pthread_join(node->log_thread, NULL);
    }
    for (int i = 0; i < TD_NET_THREADS; i++) {
        pthread_join(node->net_threads[i], NULL);
    }
    take_apart(node);
    td_log_event(TD_INFO, "stopped", NULL);
}

/* ---- the main thread: signals, watchdog, waiting for admission ---- */

static void dump_state(struct td_node *node)
{
    struct td_net_stats net = td_net_stats(node->net);
    td_log_event(TD_INFO, "state", "links", td_log_number(net.links), "clients",
                 td_log_number(net.clients), "inbox", td_log_number(td_inbox_count(&node->inbox)),
                 "steps", td_log_number(__atomic_load_n(&node->loop.steps, __ATOMIC_RELAXED)), "half_open", td_log_number(net.half_open),
                 "log_bytes", td_log_number(node->log != NULL ? td_log_bytes(node->log) : 0), NULL);
}

/* Appends name to list when the two texts differ. */
static void note_change(char *list, size_t bytes, const char *name, bool differs)
{
    size_t used = strlen(list);
    if (differs) {
        snprintf(list + used, bytes - used, "%s%s", used > 0 ? " " : "", name);
    }
}

static bool lists_differ(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    bool differ = a_count != b_count;
    for (size_t i = 0; i < a_count && !differ; i++) {
        differ = strcmp(a[i], b[i]) != 0;
    }
    return differ;
}

/* What the file says otherwise than the running node and only a restart can apply. */
static void list_restarts(const struct td_config *old, const struct td_config *fresh, char *list,
                          size_t bytes)
{
    note_change(list, bytes, "node.region", strcmp(old->region, fresh->region) != 0);
    note_change(list, bytes, "node.data", strcmp(old->data, fresh->data) != 0);
    note_change(list, bytes, "node.key", strcmp(old->key, fresh->key) != 0);
    note_change(list, bytes, "node.root", strcmp(old->root, fresh->root) != 0);
    note_change(list, bytes, "node.roster", strcmp(old->roster, fresh->roster) != 0);
    note_change(list, bytes, "node.seeds",
                lists_differ(old->seeds, old->seed_count, fresh->seeds, fresh->seed_count));
    note_change(list, bytes, "listen.peer",
                lists_differ(old->listen_peer, old->listen_peer_count, fresh->listen_peer,
                             fresh->listen_peer_count));
    note_change(list, bytes, "listen.local", strcmp(old->listen_local, fresh->listen_local) != 0);
    note_change(list, bytes, "limits.log", old->log_limit_bytes != fresh->log_limit_bytes);
    note_change(list, bytes, "listen.http", strcmp(old->listen_http, fresh->listen_http) != 0);
    note_change(list, bytes, "listen.http_tokens", strcmp(old->http_tokens, fresh->http_tokens) != 0);
    note_change(list, bytes, "limits.http_connections",
                old->http_connections != fresh->http_connections);
    note_change(list, bytes, "limits.clients", old->clients_max != fresh->clients_max);
    note_change(list, bytes, "freshness.warn", old->fresh_warn_ms != fresh->fresh_warn_ms);
    note_change(list, bytes, "freshness.stale", old->fresh_stale_ms != fresh->fresh_stale_ms);
    note_change(list, bytes, "chaos", old->chaos != fresh->chaos);
}

static void apply_reload(struct td_node *node, const struct td_config *fresh,
                         char ret_text[TD_ADMIN_TEXT_BYTES])
{
    char changed[128] = "";
    char restart[512] = "";
    struct td_config *old = &node->config;
    list_restarts(old, fresh, restart, sizeof restart);
    note_change(changed, sizeof changed, "limits.publish_rate",
                old->publish_rate != fresh->publish_rate);
    note_change(changed, sizeof changed, "log.level", old->log_level != fresh->log_level);
    note_change(changed, sizeof changed, "log.format", old->log_format != fresh->log_format);
    __atomic_store_n(&old->publish_rate, fresh->publish_rate, __ATOMIC_RELAXED);
    old->log_level = fresh->log_level;
    old->log_format = fresh->log_format;
    td_logging_init(fresh->log_level, fresh->log_format == TD_LOG_JSON);
    td_log_event(TD_INFO, "reloaded", "changed", changed, "needs_restart", restart, NULL);
    snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "changed: %s; needs a restart: %s",
             changed[0] != '\0' ? changed : "nothing", restart[0] != '\0' ? restart : "nothing");
}

/* All or nothing: a configuration that does not check leaves everything as it was. */
enum td_err td_reload(struct td_node *node, const char *config_path, char ret_text[TD_ADMIN_TEXT_BYTES])
{
    struct td_config fresh;
    char why[TD_CONFIG_WHY_BYTES];
    td_notify("RELOADING=1");
    enum td_err err = td_config_read(config_path, &fresh, why);
    if (err != TD_OK) {
        td_log_event(TD_ERROR, "reload_refused", "why", why, NULL);
        snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "%s", why);
    } else {
        apply_reload(node, &fresh, ret_text);
        td_config_fini(&fresh);
        (void)td_membership_reload(node->membership); /* a refused file is logged there */
        __atomic_store_n(&node->config_read_wall_ms, td_node_now().wall_ms, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&node->config_refused, err != TD_OK, __ATOMIC_RELAXED);
    td_notify("READY=1");
    return err;
}

static void report_waiting(struct td_node *node, uint64_t *next_ms)
{
    char text[TD_KEY_TEXT_BYTES];
    uint64_t now_ms = td_node_now().boot_ms;
    if (node->self.v == 0 && now_ms >= *next_ms) {
        char standing[WHY_BYTES];
        *next_ms = now_ms + WAITING_LOG_MS;
        if (td_membership_standing(node->membership, standing, sizeof standing) != TD_OK) {
            td_log_event(TD_WARN, "standing", "why", standing, NULL);
            return;
        }
        td_identity_to_text(td_secret_identity(node->secret), text);
        td_log_event(TD_WARN, "waiting_for_roster", "region", node->config.region, "key", text, "hint",
                     "tidings roster add, then roster push to any node", NULL);
    }
}

/* systemd's watchdog restarts us when it is false. */
bool td_node_alive(const struct td_node *node)
{
    uint64_t ticked_ms = __atomic_load_n(&node->loop.ticked_boot_ms, __ATOMIC_RELAXED);
    return node->core == NULL || td_node_now().boot_ms < ticked_ms + 10000;
}

static int wait_for_end(struct td_node *node, const char *config_path, const sigset_t *signals)
{
    uint64_t waiting_ms = 0;
    for (;;) {
        struct timespec pause = { .tv_nsec = 200 * 1000 * 1000 };
        int number = sigtimedwait(signals, NULL, &pause);
        if (number == SIGHUP) {
            char text[TD_ADMIN_TEXT_BYTES];
            (void)td_reload(node, config_path, text);
        } else if (number == SIGUSR1) {
            dump_state(node);
        } else if (number == SIGTERM || number == SIGINT) {
            td_log_event(TD_INFO, "draining", NULL);
            (void)td_drain(node, DRAIN_DEADLINE_MS);
            return 0;
        }
        td_drain_for_askers(node);
        td_admin_serve(node, config_path);
        if (__atomic_load_n(&node->rejoin, __ATOMIC_ACQUIRE)) {
            td_log_event(TD_INFO, "admitted", "region", node->config.region, NULL);
            return TD_EXIT_REJOIN;
        }
        if (td_node_alive(node)) {
            td_notify("WATCHDOG=1");
        }
        report_waiting(node, &waiting_ms);
    }
}

static enum td_err open_all(struct td_node *node, char *why)
{
    enum td_err err = load_identity(node, why);
    if (err == TD_OK) {
        err = td_disk_posix_open(node->config.data, &node->disk, why, WHY_BYTES);
    }
    if (err == TD_OK) {
        node->membership = td_membership_open(node, why, WHY_BYTES);
        err = node->membership != NULL ? find_self(node, why) : TD_EROSTER;
    }
    if (err == TD_OK) {
        node->egress = td_egress_start(node);
        err = node->egress != NULL ? TD_OK : TD_ENOMEM;
    }
    if (err == TD_OK && node->self.v != 0) {
        err = make_core(node, why);
        __atomic_store_n(&node->core_running, err == TD_OK, __ATOMIC_RELEASE);
    }
    return err == TD_OK ? start_links(node, why) : err;
}

int td_node_run(struct td_node *node, const char *config_path)
{
    char why[WHY_BYTES] = "";
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a log reader that goes away must not take the node along */
    td_inbox_init(&node->inbox, &inbox_bounds);
    td_head_slots_init(&node->heads);
    pthread_mutex_init(&node->has.mutex, NULL);
    pthread_mutex_init(&node->verified_mutex, NULL);
    pthread_mutex_init(&node->rate_mutex, NULL);
    pthread_mutex_init(&node->metrics.mutex, NULL);
    pthread_mutex_init(&node->drain.mutex, NULL);
    pthread_cond_init(&node->drain.answered, NULL);
    pthread_mutex_init(&node->admin.mutex, NULL);
    node->config_read_wall_ms = td_node_now().wall_ms;
    node->rate_boot_ms = td_node_now().boot_ms;
    node->verified = calloc(TD_VERIFIED_ROOTS, sizeof *node->verified);
    node->metrics.timed = calloc(TD_PUBLISHES_TIMED, sizeof *node->metrics.timed);
    bool room = node->verified != NULL && node->metrics.timed != NULL;
    enum td_err err = room ? open_all(node, why) : TD_ENOMEM;
    if (err != TD_OK) {
        int code = fail("start_failed", err, why);
        take_apart(node);
        return code;
    }
    start_threads(node);
    err = td_gateway_start(node, why, sizeof why);
    if (err != TD_OK) {
        int code = fail("start_failed", err, why);
        stop(node);
        return code;
    }
    td_log_event(TD_INFO, "ready", "region", node->config.region, "number", td_log_number(node->self.v),
                 "version", TD_VERSION, "pid", td_log_number((uint64_t)getpid()), NULL);
    td_notify(node->self.v != 0 ? "READY=1" : "READY=1\nSTATUS=waiting for the roster");
    int exit_code = wait_for_end(node, config_path, &signals);
    stop(node);
    return exit_code;
}
