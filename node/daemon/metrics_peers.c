/* metrics_peers.c -- metrics of each peer: its link, its backlog, its clock, its alarms. The
 * numbers are those that `tidings peers` shows. */
#include <string.h>

#include "node/daemon/gateway.h"
#include "node/http/exposition.h"

struct writing {
    const struct td_response *status;
    const struct td_core_metrics *core;
    struct td_buffer *out;
};

/* One value of one peer; false = not known. */
typedef bool (*measure)(const struct writing *self, const struct td_region_view *view,
                        int64_t *ret_value);

static bool up(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    (void)self;
    *ret_value = view->direct;
    return true;
}

static bool heard(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    *ret_value = (int64_t)(self->status->now_ms - view->heard_age_ms);
    return view->heard && view->heard_age_ms < self->status->now_ms;
}

static bool rtt(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    (void)self;
    *ret_value = view->rtt_us;
    return view->rtt_known && view->direct;
}

static bool offset(const struct writing *self, const struct td_region_view *view,
                   int64_t *ret_value)
{
    (void)self;
    *ret_value = view->offset_ms;
    return view->offset_known;
}

static bool unacked(const struct writing *self, const struct td_region_view *view,
                    int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->they_lack;
    return view->they_lack_known;
}

static bool jobs(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    (void)self;
    *ret_value = view->they_lack_jobs;
    return view->they_lack_known && view->they_lack_jobs != UINT32_MAX;
}

static bool eta(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->eta_ms;
    return view->they_lack_known && view->eta_known;
}

static bool oldest(const struct writing *self, const struct td_region_view *view,
                   int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->oldest_unacked_ms;
    return view->they_lack_known && view->oldest_unacked_ms != 0;
}

static const struct td_region_metrics *measured(const struct writing *self, struct td_region region)
{
    for (uint32_t i = 0; i < self->core->region_count; i++) {
        if (self->core->regions[i].region.v == region.v) {
            return &self->core->regions[i];
        }
    }
    return NULL;
}

static bool matched(const struct writing *self, const struct td_region_view *view,
                    int64_t *ret_value)
{
    const struct td_region_metrics *row = measured(self, view->region);
    *ret_value = row != NULL ? (int64_t)row->digest_match_ms : 0;
    return *ret_value != 0;
}

static bool differs(const struct writing *self, const struct td_region_view *view,
                    int64_t *ret_value)
{
    const struct td_region_metrics *row = measured(self, view->region);
    *ret_value = row != NULL && row->digest_differs;
    return true;
}

static bool sent(const struct writing *self, const struct td_region_view *view, int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->sent_bytes;
    return true;
}

static bool received(const struct writing *self, const struct td_region_view *view,
                     int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->received_bytes;
    return true;
}

static bool reconnects(const struct writing *self, const struct td_region_view *view,
                       int64_t *ret_value)
{
    (void)self;
    *ret_value = (int64_t)view->reconnects;
    return true;
}

static bool cloned(const struct writing *self, const struct td_region_view *view,
                   int64_t *ret_value)
{
    (void)self;
    *ret_value = view->clone_suspected;
    return true;
}

static bool fenced(const struct writing *self, const struct td_region_view *view,
                   int64_t *ret_value)
{
    (void)self;
    *ret_value = view->fenced;
    return true;
}

enum unit { NUMBER, FROM_MS, FROM_US };

static const struct family {
    const char *name, *type, *label, *help;
    enum unit unit;
    measure get;
} families[] = {
    {"peer_up", "gauge", "peer", "1 while a direct link to this peer is up.", NUMBER, up},
    {"peer_last_heard_timestamp_seconds", "gauge", "peer", "When its newest signed head arrived.",
     FROM_MS, heard},
    {"peer_rtt_seconds", "gauge", "peer", "Round trip of the direct link.", FROM_US, rtt},
    {"peer_clock_offset_seconds", "gauge", "peer", "Its clock minus ours.", FROM_MS, offset},
    {"peer_unacked_updates", "gauge", "peer", "Updates of ours that it has not confirmed.", NUMBER,
     unacked},
    {"peer_unacked_jobs", "gauge", "peer",
     "Jobs times attempts whose newest update of ours it has not confirmed.", NUMBER, jobs},
    {"peer_backlog_eta_seconds", "gauge", "peer",
     "Until it has all of them, at the rate of the last seconds; NaN = no rate.", FROM_MS, eta},
    {"peer_oldest_unacked_timestamp_seconds", "gauge", "peer",
     "Stamp of the oldest update of ours that it has not confirmed; NaN = none.", FROM_MS, oldest},
    {"peer_last_digest_match_timestamp_seconds", "gauge", "peer",
     "When its digest equalled ours last.", FROM_MS, matched},
    {"peer_digest_differs", "gauge", "peer",
     "1 when, with equal vectors, its newest digest differed.", NUMBER, differs},
    {"peer_sent_bytes_total", "counter", "peer", "Bytes sent to it.", NUMBER, sent},
    {"peer_received_bytes_total", "counter", "peer", "Bytes received from it.", NUMBER, received},
    {"peer_reconnects_total", "counter", "peer", "Links to it after the first.", NUMBER,
     reconnects},
    {"clone_suspected", "gauge", "region", "1 when two processes use this region's key.", NUMBER,
     cloned},
    {"fenced", "gauge", "region", "1 when this region was away for too long to hold back the cut.",
     NUMBER, fenced},
};

static void write_value(struct td_buffer *out, const struct family *family,
                        const struct td_labels *labels, int64_t value)
{
    switch (family->unit) {
    case NUMBER:
        td_expo_uint(out, family->name, labels, (uint64_t)value);
        break;
    case FROM_MS:
        td_expo_ms(out, family->name, labels, value);
        break;
    case FROM_US:
        td_expo_us(out, family->name, labels, (uint64_t)value);
        break;
    }
}

/* Each result of each peer is there from the start. */
static void write_canaries(const struct writing *self)
{
    static const char name[] = "canary_probes_total";
    static const char *const results[TD_CANARY_RESULTS] = {[TD_CANARY_DIRECT] = "direct",
                                                           [TD_CANARY_RELAYED] = "relayed",
                                                           [TD_CANARY_TIMED_OUT] = "timed_out"};
    td_expo_family(self->out, name, "counter",
                   "Canaries of `tidings doctor`, by peer and by what became of them there.");
    for (uint32_t i = 0; i < self->status->u.status.region_count; i++) {
        const struct td_region_view *view = &self->status->u.status.regions[i];
        const struct td_region_metrics *row = measured(self, view->region);
        if (view->self || view->roster_state == TD_REGION_CLOSED) {
            continue;
        }
        for (int result = 0; result < TD_CANARY_RESULTS; result++) {
            struct td_labels labels =
                td_label_add(td_label("peer", view->name), "result", results[result]);
            td_expo_uint(self->out, name, &labels, row != NULL ? row->canaries[result] : 0);
        }
    }
}

void td_metrics_write_peers(struct td_node *node, const struct td_response *status,
                            const struct td_core_metrics *core, struct td_buffer *out)
{
    struct writing self = {status, core, out};
    (void)node;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct family *family = &families[i];
        td_expo_family(out, family->name, family->type, family->help);
        for (uint32_t k = 0; k < status->u.status.region_count; k++) {
            const struct td_region_view *view = &status->u.status.regions[k];
            struct td_labels labels = td_label(family->label, view->name);
            int64_t value = 0;
            if ((view->self && family->label[0] == 'p') || view->roster_state == TD_REGION_CLOSED) {
                continue;
            }
            if (family->get(&self, view, &value)) {
                write_value(out, family, &labels, value);
            } else {
                td_expo_unknown(out, family->name, &labels);
            }
        }
    }
    write_canaries(&self);
}
