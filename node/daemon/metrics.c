/* metrics.c -- the node's metrics as Prometheus reads them. The numbers are those of the STATUS
 * answer and what was measured with it, so that query, metric and alert cannot differ. Labels are
 * regions and closed word lists, each value there from the start; what was not measured is NaN,
 * never 0. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/daemon/gateway.h"
#include "node/daemon/logging.h"
#include "node/daemon/process.h"
#include "node/http/exposition.h"
#include "proto/order.h"

#ifndef TD_REVISION
#define TD_REVISION "unknown"
#endif

/* ---- what is measured here ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct td_timed_publish *place_of(struct td_node *node, uint32_t client_link, uint64_t id)
{
    uint64_t mixed =
        (id + client_link * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
    return &node->metrics.timed[(mixed >> 32) % TD_PUBLISHES_TIMED];
}

void td_metrics_publish_begin(struct td_node *node, uint32_t client_link, uint64_t id)
{
    uint64_t begun_us = now_us();
    pthread_mutex_lock(&node->metrics.mutex);
    *place_of(node, client_link, id) = (struct td_timed_publish){client_link, id, begun_us};
    pthread_mutex_unlock(&node->metrics.mutex);
}

void td_metrics_publish_end(struct td_node *node, uint32_t client_link, uint64_t id)
{
    uint64_t ended_us = now_us();
    pthread_mutex_lock(&node->metrics.mutex);
    struct td_timed_publish *place = place_of(node, client_link, id);
    if (place->client_link == client_link && place->id == id && place->begun_us != 0) {
        td_durations_add(&node->metrics.publish, ended_us - place->begun_us);
        place->begun_us = 0;
    }
    pthread_mutex_unlock(&node->metrics.mutex);
}

void td_metrics_keep(struct td_node *node)
{
    pthread_mutex_lock(&node->metrics.mutex);
    td_core_metrics(node->core, &node->metrics.core);
    pthread_mutex_unlock(&node->metrics.mutex);
}

/* ---- writing ---- */

struct writing {
    struct td_node *node;
    const struct td_response *status;
    const struct td_core_metrics *core;
    struct td_buffer *out;
};

static void gauge(const struct writing *self, const char *name, const char *help, uint64_t value)
{
    td_expo_family(self->out, name, "gauge", help);
    td_expo_uint(self->out, name, NULL, value);
}

static void counter(const struct writing *self, const char *name, const char *help, uint64_t value)
{
    td_expo_family(self->out, name, "counter", help);
    td_expo_uint(self->out, name, NULL, value);
}

static uint64_t counted(const struct td_response *status, const char *name)
{
    for (uint32_t i = 0; i < status->u.status.counter_count; i++) {
        const struct td_counter *row = &status->u.status.counters[i];
        if (row->name.count == strlen(name) &&
            memcmp(row->name.bytes, name, row->name.count) == 0) {
            return row->value;
        }
    }
    return 0;
}

/* One family of counters with a word each: the label's value and the node's counter behind it. */
struct word {
    const char *value, *counter;
};
static void by_word(const struct writing *self, const char *name, const char *help,
                    const char *label, const struct word *words, size_t count)
{
    td_expo_family(self->out, name, "counter", help);
    for (size_t i = 0; i < count; i++) {
        struct td_labels labels = td_label_word(label, words[i].value);
        td_expo_uint(self->out, name, &labels, counted(self->status, words[i].counter));
    }
}

static void write_totals(const struct writing *self)
{
    static const struct word rejected[] = {{"signature", "rejected_signature"},
                                           {"closed", "rejected_closed"},
                                           {"bounds", "rejected_bounds"},
                                           {"rank", "refused_rank"},
                                           {"final", "refused_final"},
                                           {"partial", "refused_partial"},
                                           {"attempt", "refused_attempt"},
                                           {"quota", "refused_quota"},
                                           {"busy", "refused_busy"},
                                           {"disk", "refused_disk"},
                                           {"other", "refused_other"}};
    static const struct word rules[] = {{"finality", "conflicts_finality"},
                                        {"stamp", "conflicts_stamp"},
                                        {"origin", "conflicts_origin"},
                                        {"hash", "conflicts_hash"}};
    counter(self, "updates_published_total", "Updates accepted here and durable.",
            counted(self->status, "published"));
    by_word(self, "updates_rejected_total", "Updates of peers and clients that were refused.",
            "reason", rejected, sizeof rejected / sizeof rejected[0]);
    by_word(self, "conflicts_total", "Concurrent updates, by the rule that chose between them.",
            "rule", rules, sizeof rules / sizeof rules[0]);
    counter(self, "watch_dropped_total", "Times a watcher fell behind and had to begin anew.",
            counted(self->status, "watch_resets"));
    counter(self, "updates_stamped_ahead_total",
            "Updates stamped over a second ahead of the clock here.",
            counted(self->status, "stamp_ahead"));
}

static void write_jobs(const struct writing *self)
{
    td_expo_family(self->out, "jobs", "gauge",
                   "Jobs known here, by the state of their highest attempt.");
    for (int state = 0; state < TD_STATE_COUNT; state++) {
        struct td_labels labels = td_label_word("state", td_state_name((enum td_state)state));
        td_expo_uint(self->out, "jobs", &labels, self->core->jobs_by_state[state]);
    }
    td_expo_family(self->out, "jobs_silent", "gauge",
                   "Jobs past their writer's promise to report.");
    if (self->core->silent_known) {
        td_expo_uint(self->out, "jobs_silent", NULL, self->core->jobs_silent);
    } else {
        td_expo_unknown(self->out, "jobs_silent", NULL);
    }
    gauge(self, "registers", "Jobs times attempts that are held.",
          self->status->u.status.register_count);
    gauge(self, "watchers", "Requests that wait for changes.", self->core->watchers);
}

/* ---- regions ---- */

static struct td_text name_of(const struct writing *self, struct td_region region)
{
    for (uint32_t i = 0; i < self->status->name_count; i++) {
        if (self->status->names[i].region.v == region.v) {
            return self->status->names[i].name;
        }
    }
    return (struct td_text){"?", 1};
}

static void write_freshness(const struct writing *self)
{
    static const char as_of[] = "region_fresh_as_of_timestamp_seconds";
    static const char missing[] = "region_missing_updates";
    const struct td_response *status = self->status;
    td_expo_family(
        self->out, as_of, "gauge",
        "Moment up to which everything of this region is here; NaN = cannot be known yet.");
    for (uint32_t i = 0; i < status->freshness_count; i++) {
        const struct td_fresh_view *view = &status->freshness[i];
        struct td_labels labels = td_label("origin", name_of(self, view->region));
        if (view->age_known && view->age_ms < status->now_ms) {
            td_expo_ms(self->out, as_of, &labels, (int64_t)(status->now_ms - view->age_ms));
        } else {
            td_expo_unknown(self->out, as_of, &labels);
        }
    }
    td_expo_family(self->out, "region_fresh_known", "gauge",
                   "1 when it can be known how fresh this region is here.");
    for (uint32_t i = 0; i < status->freshness_count; i++) {
        struct td_labels labels = td_label("origin", name_of(self, status->freshness[i].region));
        td_expo_uint(self->out, "region_fresh_known", &labels, status->freshness[i].age_known);
    }
    td_expo_family(self->out, missing, "gauge",
                   "Updates of this region that are named and not here.");
    for (uint32_t i = 0; i < status->freshness_count; i++) {
        const struct td_fresh_view *view = &status->freshness[i];
        struct td_labels labels = td_label("origin", name_of(self, view->region));
        if (view->missing_known) {
            td_expo_uint(self->out, missing, &labels, view->missing);
        } else {
            td_expo_unknown(self->out, missing, &labels);
        }
    }
    td_expo_family(self->out, "freshness_stale_seconds", "gauge",
                   "Configured age of a stale region.");
    td_expo_ms(self->out, "freshness_stale_seconds", NULL,
               (int64_t)self->node->config.fresh_stale_ms);
    td_expo_family(self->out, "freshness_warn_seconds", "gauge",
                   "Configured age of a late region.");
    td_expo_ms(self->out, "freshness_warn_seconds", NULL,
               (int64_t)self->node->config.fresh_warn_ms);
}

enum region_number { APPLIED, SUPERSEDED, LOST, EQUIVOCATIONS, DUPLICATE, REPAIRED };

static uint64_t number_of(const struct td_region_metrics *row, enum region_number which)
{
    const uint64_t numbers[] = {row->applied,       row->superseded, row->lost,
                                row->equivocations, row->duplicate,  row->repaired};
    return numbers[which];
}

/* Counters of the core by region: of what came from there, or of what was sent from there. */
static void write_counts(const struct writing *self)
{
    static const struct {
        const char *name, *label, *help;
        enum region_number which;
    } families[] = {
        {"updates_applied_total", "origin", "Updates of this region that won here.", APPLIED},
        {"updates_superseded_total", "origin", "Updates of this region that a later one replaced.",
         SUPERSEDED},
        {"updates_lost_total", "origin", "Updates of this region closed as lost.", LOST},
        {"equivocations_total", "region",
         "Proofs that this region signed two contents under one name.", EQUIVOCATIONS},
        {"updates_duplicate_total", "peer", "Updates from this peer that were here already.",
         DUPLICATE},
        {"repaired_updates_total", "peer", "Updates that repair brought from this peer.", REPAIRED},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        bool peers = families[i].label[0] == 'p';
        td_expo_family(self->out, families[i].name, "counter", families[i].help);
        for (uint32_t k = 0; k < self->core->region_count; k++) {
            const struct td_region_metrics *row = &self->core->regions[k];
            struct td_labels labels = td_label(families[i].label, name_of(self, row->region));
            if (!peers || row->region.v != self->node->self.v) {
                td_expo_uint(self->out, families[i].name, &labels,
                             number_of(row, families[i].which));
            }
        }
    }
    td_expo_family(self->out, "replication_latency_seconds", "histogram",
                   "From the stamp of an update of this region to its merge here, by both clocks.");
    for (uint32_t k = 0; k < self->core->region_count; k++) {
        const struct td_region_metrics *row = &self->core->regions[k];
        struct td_labels labels = td_label("origin", name_of(self, row->region));
        if (row->region.v != self->node->self.v) {
            td_expo_durations(self->out, "replication_latency_seconds", &labels, &row->latency);
        }
    }
}

/* ---- the whole ---- */

static void write_roster(const struct writing *self)
{
    static const char *const states[] = {"active", "closing", "closed"};
    uint64_t members[3] = {0};
    struct td_roster_ref *ref = td_membership_get(self->node->membership);
    for (uint32_t i = 0; ref != NULL && i < td_roster_ref_roster(ref)->region_count; i++) {
        unsigned state = (unsigned)td_roster_ref_roster(ref)->regions[i].state;
        members[state < 3 ? state : 2]++;
    }
    gauge(self, "roster_version", "Version of the roster in force; 0 = none.",
          ref != NULL ? td_roster_ref_roster(ref)->version : 0);
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    td_expo_family(self->out, "roster_members", "gauge", "Regions of the roster by state.");
    for (size_t i = 0; i < 3; i++) {
        struct td_labels labels = td_label_word("state", states[i]);
        td_expo_uint(self->out, "roster_members", &labels, members[i]);
    }
    gauge(self, "roster_fork", "1 when two rosters of one version were seen.",
          __atomic_load_n(&self->node->roster_fork, __ATOMIC_RELAXED));
}

static void write_daemon(const struct writing *self)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct td_node *node = self->node;
    struct td_labels build = td_label_word("version", TD_VERSION);
    char proto_min[8], proto_max[8];
    snprintf(proto_min, sizeof proto_min, "%d", TD_PROTO_MIN);
    snprintf(proto_max, sizeof proto_max, "%d", TD_PROTO_MAX);
    build = td_label_add(build, "revision", TD_REVISION);
    build = td_label_add(build, "proto_min", proto_min);
    build = td_label_add(build, "proto_max", proto_max);
    td_expo_family(self->out, "build_info", "gauge", "Always 1; the labels say what runs.");
    td_expo_uint(self->out, "build_info", &build, 1);
    write_roster(self);
    uint64_t reload_ms = __atomic_load_n(&node->config_read_wall_ms, __ATOMIC_RELAXED);
    bool failed = __atomic_load_n(&node->config_refused, __ATOMIC_RELAXED);
    gauge(self, "config_last_reload_successful", "0 when the newest reload was refused.", !failed);
    td_expo_family(self->out, "config_last_reload_success_timestamp_seconds", "gauge",
                   "When a configuration was taken last.");
    td_expo_ms(self->out, "config_last_reload_success_timestamp_seconds", NULL, (int64_t)reload_ms);
    td_expo_family(self->out, "log_messages_total", "counter", "Lines of the log by level.");
    for (int level = 0; level < 4; level++) {
        struct td_labels labels = td_label_word("level", levels[level]);
        td_expo_uint(self->out, "log_messages_total", &labels,
                     td_log_count((enum td_log_level)level));
    }
}

static void write_store(const struct writing *self)
{
    struct td_durations publish;
    struct td_log_stats log = td_log_stats(self->node->log);
    gauge(self, "log_bytes", "Size of the log on disk.", self->status->u.status.log_bytes);
    gauge(self, "log_limit_bytes", "Configured limit of the log.",
          self->status->u.status.log_limit_bytes);
    counter(self, "log_groups_failed_total", "Groups that could not be written to the log.",
            log.groups_failed);
    counter(self, "log_compactions_total", "Times that old segments of the log became one.",
            log.compactions);
    counter(self, "log_compactions_failed_total", "Compactions given up; nothing was lost by them.",
            log.compactions_failed);
    counter(self, "log_reclaimed_bytes_total", "Bytes that compactions gave back.", log.reclaimed_bytes);
    gauge(self, "log_damaged_records", "Records of the log that did not check when this process started.",
          self->node->log_damaged_records);
    gauge(self, "log_missing_segments", "Segments of the log that were gone when this process started.",
          self->node->log_missing_segments);
    td_expo_family(self->out, "log_flush_duration_seconds", "histogram",
                   "Writing and flushing one group of the log.");
    td_expo_durations(self->out, "log_flush_duration_seconds", NULL, &log.flush);
    td_durations_read(&self->node->metrics.publish, &publish);
    td_expo_family(
        self->out, "publish_duration_seconds", "histogram",
        "From the arrival of a publish to its answer, waiting for other regions included.");
    td_expo_durations(self->out, "publish_duration_seconds", NULL, &publish);
}

void td_metrics_write(struct td_node *node, const struct td_response *status, struct td_buffer *out)
{
    struct td_core_metrics core;
    pthread_mutex_lock(&node->metrics.mutex);
    core = node->metrics.core;
    pthread_mutex_unlock(&node->metrics.mutex);
    struct writing self = {.node = node, .status = status, .core = &core, .out = out};
    write_daemon(&self);
    if (status != NULL) {
        write_totals(&self);
        write_jobs(&self);
        write_freshness(&self);
        write_counts(&self);
        td_metrics_write_peers(node, status, &core, out);
        write_store(&self);
    }
    td_process_write(out);
}
