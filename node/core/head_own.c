/* head_own.c -- our own head: when it is due, what it says, and the moments of its ticks. A moment
 * is taken when the fields are read, before the signature: what is signed later can only be older.
 */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { TD_PROTO_NUMBER = 1, START_PATIENCE_MS = 2000, LOST_PATIENCE_MS = 10000 };

uint64_t td_head_interval_ms(const struct td_core *core)
{
    uint64_t regions = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        regions += core->regions[slot].number.v != 0;
    }
    return td_max_u64(TD_PLANTED(heads_too_rare) ? 5000 : 1000, regions * 1000 / 32);
}

static uint64_t due_ms(const struct td_core *core)
{
    uint64_t soon =
        core->head_last_ms == 0 ? core->now.boot_ms : core->head_last_ms + TD_HEAD_SOON_MS;
    return core->head_asked ? td_min_u64(soon, core->head_next_ms) : core->head_next_ms;
}

void td_heads_ask(struct td_core *core)
{
    core->head_asked = true;
    td_deadline(core, due_ms(core));
}

/* ---- the parts; each returns false when this step's scratch is used up ---- */
static bool fill_echo(struct td_core *core, struct td_head *head)
{
    struct td_tick *echo = td_fx_scratch(core, TD_ECHO_ENTRIES_MAX, sizeof *echo);

    if (echo == NULL) {
        return false;
    }
    head->echo = echo;
    for (unsigned number = 1; number <= TD_REGION_NUMBER_MAX; number++) { /* ascending */
        uint8_t slot = td_region_slot(core, (struct td_region){(uint8_t)number});
        if (slot == TD_SLOTS || slot == core->self_slot) {
            continue;
        }
        for (uint32_t i = 0; i < core->regions[slot].tick_count; i++) {
            echo[head->echo_count++] = core->regions[slot].ticks[i];
        }
    }
    return true;
}

/* A group under this incarnation is on its way to the disk: it may yet be acknowledged. */
static bool own_in_flight(const struct td_core *core, uint16_t inc)
{
    for (uint64_t n = core->store_first; n < core->store_next; n++) {
        const struct td_store *store = &core->stores[n % TD_STORES];
        if (store->what == TD_WHAT_OWN && store->inc == inc) {
            return true;
        }
    }
    return false;
}

/* We signed more than we have, every member that counts has told what it holds, and nobody has it:
 * after a while it is given up, so that neither tokens nor freshness wait for it for ever (DESIGN
 * 1, Closing). */
static bool missed_for_good(struct td_core *core, struct td_inc *inc)
{
    if (inc->missed_ms == 0) {
        inc->missed_ms = td_max_u64(core->now.boot_ms, 1);
    }
    return core->now.boot_ms >= inc->missed_ms + LOST_PATIENCE_MS;
}

/* False: an earlier incarnation of ours cannot be closed yet, or, when an earlier life closed it beyond
 * what anybody holds today, not at less. */
static bool close_earlier(struct td_core *core, uint16_t index, bool settled)
{
    struct td_inc *inc = &core->incs[index];
    uint64_t beyond = inc->hole_count > 0 ? inc->holes[inc->hole_count - 1].to : 0;
    bool misses = inc->signed_max > inc->durable || beyond > 0 ||
                  (inc->closed && inc->closed_last > inc->durable);

    if (!settled || inc->storing > 0 || index == core->void_inc ||
        td_recover_alive(core, inc->origin.incarnation) || own_in_flight(core, index)) {
        inc->missed_ms = 0;
        return false;
    }
    if (misses && !missed_for_good(core, inc)) {
        return false;
    }
    uint64_t last = td_max_u64(td_max_u64(inc->signed_max, beyond), inc->closed ? inc->closed_last : 0);
    inc->closed = true;
    inc->closed_last = inc->durable;
    if (misses) {
        uint64_t lost = last - inc->durable;
        inc->lost = true;
        TD_COUNT(core, updates_lost, lost);
        td_metrics_of(core, core->config.self)->lost += lost;
        td_fx_trace(core, TD_TR_UPDATES_LOST, core->config.self, lost, 0);
    }
    return true;
}

/* Our earlier incarnations, each with its newest durable seq. What lies beyond a closing is void,
 * and we may hold less than we once signed (an old backup does not know that it is one): nothing is
 * closed before every member has told, since we came up, what it holds of us, nor while another
 * process, a clone, goes on using it. */
static bool fill_closings(struct td_core *core, struct td_head *head)
{
    struct td_closing *closings = td_fx_scratch(core, TD_CLOSINGS_MAX, sizeof *closings);

    if (closings == NULL) {
        return false;
    }
    bool unsigned_name = false;
    bool settled = !core->recovering && td_recover_settled(core, &unsigned_name) && !unsigned_name;
    head->closings = closings;
    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != core->config.self.v || inc->folded ||
            td_incarnation_compare(inc->origin.incarnation, core->process) >= 0 ||
            head->closing_count == TD_CLOSINGS_MAX) {
            continue;
        }
        bool open = !inc->closed || inc->closed_last > inc->durable;
        if (open && !close_earlier(core, core->inc_order[at], settled) && !inc->closed) {
            continue;
        }
        closings[head->closing_count++] =
            (struct td_closing){inc->origin.incarnation, inc->closed_last, inc->lost};
    }
    return true;
}

static bool fill_counted(struct td_core *core, struct td_head *head)
{
    struct td_region *counted = td_fx_scratch(core, TD_REGIONS_MAX, sizeof *counted);

    if (counted == NULL) {
        return false;
    }
    head->counted = counted;
    for (unsigned number = 1; number <= TD_REGION_NUMBER_MAX; number++) {
        uint8_t slot = td_region_slot(core, (struct td_region){(uint8_t)number});
        if (slot < TD_SLOTS && td_cut_counted(core, slot)) {
            counted[head->counted_count++] = core->regions[slot].number;
        }
    }
    return true;
}

/* Whom we have no link to, so that others can tell a cut between us two from here or from there. */
static bool fill_detours(struct td_core *core, struct td_head *head)
{
    struct td_detour *detours = td_fx_scratch(core, TD_REGIONS_MAX, sizeof *detours);

    if (detours == NULL) {
        return false;
    }
    head->detours_said = true;
    head->detours = detours;
    for (unsigned number = 1; number <= TD_REGION_NUMBER_MAX; number++) {
        uint8_t slot = td_region_slot(core, (struct td_region){(uint8_t)number});
        if (slot == TD_SLOTS || slot == core->self_slot || td_link_of(core, slot) != TD_NONE ||
            core->regions[slot].roster_state == TD_REGION_CLOSED ||
            head->detour_count == TD_REGIONS_MAX) {
            continue;
        }
        detours[head->detour_count++] =
            (struct td_detour){core->regions[slot].number, td_source_via(core, slot)};
    }
    return true;
}

/* Sum of the buckets modulo 2^256, byte 0 lowest as in table.c. */
struct td_hash td_digest_sum(const struct td_core *core)
{
    struct td_hash sum = {{0}};

    for (uint32_t bucket = 0; bucket < TD_DIGEST_BUCKETS; bucket++) {
        unsigned carry = 0;
        for (unsigned i = 0; i < sizeof sum.bytes; i++) {
            carry += (unsigned)sum.bytes[i] + core->digest[bucket].bytes[i];
            sum.bytes[i] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    return sum;
}

static uint64_t own_seq(const struct td_core *core)
{
    if (core->own_inc == TD_INC_NONE) {
        return 0;
    }
    const struct td_inc *inc = &core->incs[core->own_inc];
    return td_incarnation_compare(inc->origin.incarnation, core->process) == 0 ? inc->durable : 0;
}

static bool fill(struct td_core *core, struct td_head *head)
{
    memset(head, 0, sizeof *head);
    head->cluster = core->config.cluster;
    head->origin = (struct td_origin){core->config.self, core->process};
    head->number = core->head_number + 1;
    head->seq = own_seq(core);
    head->stamp.ms = core->now.wall_ms < TD_STAMP_MS_MAX ? core->now.wall_ms : TD_STAMP_MS_MAX;
    head->roster_version = td_leaving_told(core);
    head->recovering = core->recovering || td_recover_doubtful(core);
    head->digest = td_digest_sum(core);
    head->proto_min = head->proto_max = TD_PROTO_NUMBER;
    head->software = core->config.software;
    struct td_vv has = td_vectors_has(core);
    return td_vectors_copy(core, &has, &head->has) && fill_echo(core, head) &&
           fill_closings(core, head) && fill_counted(core, head) && fill_detours(core, head);
}

static void sign(struct td_core *core)
{
    if (!fill(core, &core->own_head) || td_fx_room(core) == 0) {
        td_deadline(core, core->now.boot_ms);
        return;
    }
    core->head_number += 1;
    struct td_own_tick *tick = &core->own_ticks[core->head_number % TD_OWN_TICKS];
    tick->tick.origin = core->own_head.origin;
    tick->tick.number = core->head_number;
    tick->moment_ms = core->now.boot_ms;
    tick->signed_ = false;
    core->head_in_flight = true;
    core->head_asked = false;
    core->head_last_ms = td_max_u64(core->now.boot_ms, 1);
    core->head_next_ms = core->now.boot_ms + td_head_interval_ms(core);
    td_fx_add(core, TD_FX_SIGN_HEAD)->u.sign_head = &core->own_head;
}

/* A head under a start number that a crash forgets would make the next life, with the same number
 * and a smaller random part, look like the older one. A disk that writes nothing must not silence
 * us. */
static bool start_logged(struct td_core *core)
{
    uint64_t patience_until = core->started_boot_ms + START_PATIENCE_MS;

    if (core->incarnation_durable || core->now.boot_ms >= patience_until) {
        return true;
    }
    td_deadline(core, patience_until);
    return false;
}

void td_heads_tick(struct td_core *core)
{
    if (!core->started || core->process.start == 0 || core->self_slot >= TD_SLOTS ||
        !start_logged(core)) {
        return;
    }
    td_recover_check(core);
    if (!core->head_in_flight && core->now.boot_ms >= due_ms(core)) {
        sign(core);
    }
    if (!core->head_in_flight) {
        td_deadline(core, due_ms(core));
    }
}

void td_heads_signed(struct td_core *core, const struct td_event *event)
{
    uint64_t number = event->u.head_signed.number;
    struct td_own_tick *tick = &core->own_ticks[number % TD_OWN_TICKS];

    core->head_in_flight = false;
    td_deadline(core, due_ms(core));
    if (tick->tick.number != number || number <= core->head_signed_number ||
        core->self_slot >= TD_SLOTS) {
        return;
    }
    memcpy(tick->tick.hash, event->u.head_signed.hash, TD_TICK_HASH_BYTES);
    tick->signed_ = true;
    core->head_signed_number = number;
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (td_link_up(&core->links[i])) {
            core->links[i].head_due |= td_bit(core->self_slot);
        }
    }
}
