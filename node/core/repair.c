/* repair.c -- the safety net that believes no vector: two peers compare sums over the buckets of
 * their live sets every few seconds, also under load. A bucket that differs three times in a row is
 * listed; what our `has` covers but our table lacks is fetched and merged. What still differs at
 * equal vectors after two such repairs makes the peer's region doubtful (DESIGN 2, Omission). */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { DIFFER_HEADS = 20, DIFFER_ROUNDS = 3, DOUBT_REPAIRS = 2, DOUBT_ROUNDS = 6 };
enum { QUIET_MS = 10000, RETRY_MS = 50 };

struct repair_link {
    uint32_t id; /* the link this belongs to; another one starts anew */
    uint64_t next_ms;
    bool ask_due, asked; /* DIGEST_ASK */
    bool digest_due;     /* DIGEST */
    bool bucket_due;     /* BUCKET: asked of us, not yet listed */
    uint16_t bucket;
    uint64_t bucket_from;
    uint16_t listed_last;               /* round robin over differing buckets */
    uint8_t differ[TD_DIGEST_BUCKETS];  /* rounds in a row */
    uint8_t repairs[TD_DIGEST_BUCKETS]; /* listings since it was last equal */
    uint8_t unequal; /* rounds at equal vectors since all buckets were last equal */
    bool settled;    /* that digest: equal vectors, and nothing of ours on its way to the disk */
    uint16_t looked; /* buckets behind listed_last not yet looked at for this digest */
};
enum stage { STAGE_ASK = 1, STAGE_ASKED, STAGE_COMPARE, STAGE_FETCH };

struct td_repair_state {
    struct repair_link *links;
    struct td_bucket_scan answer, compare;
    struct td_fetch_job fetch;
    /* The one comparison that we drive. */
    struct {
        bool active;
        uint32_t link;
        enum stage stage;
        uint16_t bucket;
        uint64_t from, last_ms;
        bool more;
        bool stubborn; /* it differed at equal vectors after all that we fetched */
        uint32_t count;
        struct td_register_id theirs[TD_BUCKET_ENTRIES_MAX];
        uint32_t dot_count;
        struct td_dot dots[TD_FETCH_MAX];
        uint64_t repaired;
    } ask;
};

size_t td_repair_layout(struct td_core *core, struct td_block *block)
{
    struct td_repair_state *repair = td_block_take(block, 1, sizeof *repair);
    struct repair_link *links = td_block_take(block, core->config.limits.links_max, sizeof *links);

    if (block->bytes != NULL) {
        repair->links = links;
        core->repair = repair;
    }
    return block->used_bytes;
}

static struct repair_link *link_state(struct td_core *core, uint32_t index)
{
    struct repair_link *state = &core->repair->links[index];

    if (state->id != core->links[index].id.v) {
        memset(state, 0, sizeof *state);
        state->id = core->links[index].id.v;
        /* Spread over the round by the two regions' numbers: the same on every run. */
        uint32_t spread = (core->config.self.v * 613U +
                           td_link_region(core, &core->links[index])->number.v * 397U) %
                          1000U;
        state->next_ms = core->now.boot_ms + TD_REPAIR_ROUND_MS / 2 + spread;
    }
    return state;
}

void td_repair_link_down(struct td_core *core, uint32_t index)
{
    struct td_repair_state *repair = core->repair;

    repair->links[index].id = 0;
    if (repair->ask.active && repair->ask.link == index) {
        repair->ask.active = repair->compare.active = false;
    }
    if (repair->answer.active && repair->answer.link == index) {
        repair->answer.active = false;
    }
    if (repair->fetch.active && repair->fetch.link == index) {
        repair->fetch.active = false;
    }
}

void td_repair_slot_freed(struct td_core *core, uint32_t slot)
{
    if (core->repair != NULL && core->repair->fetch.active && core->repair->fetch.slot == slot) {
        core->repair->fetch.slot = core->slots[slot].next;
    }
}

/* ---- rounds ---- */
static bool vectors_equal(const struct td_core *core, const struct td_vv *theirs)
{
    struct td_vv has = td_vectors_has(core);
    return td_vv_covers(&has, theirs) && td_vv_covers(theirs, &has);
}

static void count_up(uint8_t *count)
{
    if (*count < UINT8_MAX) {
        *count = (uint8_t)(*count + 1);
    }
}

static void doubt_set(struct td_core *core, struct td_region_info *region, bool doubt)
{
    if (region->doubt != doubt) {
        region->doubt = doubt;
        td_fx_trace(core, TD_TR_DIGEST_DOUBT, region->number, doubt, 0);
    }
}

/* At equal vectors for many heads in a row, while no link of its own exists: the relay withholds.
 */
void td_repair_head(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];

    if (td_link_of(core, slot) != TD_NONE) {
        region->digest_differs = 0;
        return;
    }
    if (core->store_first != core->store_next || !vectors_equal(core, &region->head_has.vv)) {
        return;
    }
    struct td_hash sum = td_digest_sum(core);
    if (memcmp(&sum, &region->head_digest, sizeof sum) == 0) {
        region->digest_differs = 0;
        doubt_set(core, region, false);
        return;
    }
    count_up(&region->digest_differs);
    if (region->digest_differs >= DIFFER_HEADS) {
        doubt_set(core, region, true);
    }
}

static void list_begin(struct td_core *core, uint32_t index, uint16_t bucket, bool settled)
{
    struct td_repair_state *repair = core->repair;

    TD_ASSERT(!repair->ask.active);
    repair->ask.active = true;
    repair->ask.link = index;
    repair->ask.stage = STAGE_ASK;
    repair->ask.bucket = bucket;
    repair->ask.from = 0;
    repair->ask.repaired = 0;
    repair->ask.stubborn = settled && repair->links[index].repairs[bucket] >= DOUBT_REPAIRS;
    repair->ask.last_ms = core->now.boot_ms;
    td_deadline(core, core->now.boot_ms);
}

/* The next bucket of the newest digest that has differed for long enough; listed one after the other. */
static void list_next(struct td_core *core, uint32_t index)
{
    struct repair_link *state = link_state(core, index);

    while (state->looked > 0 && !core->repair->ask.active) {
        uint16_t bucket = (uint16_t)((state->listed_last + 1) % TD_DIGEST_BUCKETS);
        state->looked--;
        state->listed_last = bucket;
        if (state->differ[bucket] >= DIFFER_ROUNDS) {
            list_begin(core, index, bucket, state->settled);
        }
    }
}

/* Turn about, a bucket each: a peer with which every bucket differs for ever must not keep us from those
 * that have what we lack. */
static void list_turn(struct td_core *core)
{
    const uint32_t last = core->repair->ask.link;

    for (uint32_t i = 1; i <= core->link_used_max && !core->repair->ask.active; i++) {
        uint32_t index = TD_PLANTED(repair_one_peer) ? last : (last + i) % core->link_used_max;
        if (td_link_up(&core->links[index])) {
            list_next(core, index);
        }
    }
}

static void digest_received(struct td_core *core, uint32_t index, const struct td_msg *msg)
{
    struct repair_link *state = link_state(core, index);
    struct td_region_info *region = td_link_region(core, &core->links[index]);
    bool settled = vectors_equal(core, &msg->u.digest.has) && core->store_first == core->store_next;
    bool differs = false, hopeless = false;

    if (!state->asked) {
        return;
    }
    state->asked = false;
    for (uint32_t bucket = 0; bucket < TD_DIGEST_BUCKETS; bucket++) {
        if (memcmp(&msg->u.digest.buckets[bucket], &core->digest[bucket], sizeof(struct td_hash)) ==
            0) {
            state->differ[bucket] = state->repairs[bucket] = 0;
            continue;
        }
        differs = true;
        count_up(&state->differ[bucket]);
        hopeless = hopeless || state->repairs[bucket] >= DOUBT_REPAIRS;
    }
    if (settled) {
        TD_COUNT(core, digest_match, !differs);
        TD_COUNT(core, digest_differ, differs);
        td_metrics_of(core, region->number)->digest_differs = differs;
    }
    if (!differs) {
        td_metrics_of(core, region->number)->digest_match_ms = core->now.wall_ms;
        td_metrics_of(core, region->number)->digest_differs = false;
        doubt_set(core, region, false);
        state->unequal = 0;
    } else if (settled) { /* what it withholds comes by the rounds with other peers */
        /* A peer that never lets a listing end must not keep doubt away. */
        count_up(&state->unequal);
        if (hopeless || state->unequal >= DOUBT_ROUNDS) {
            doubt_set(core, region, true);
        }
    }
    state->looked = TD_DIGEST_BUCKETS;
    state->settled = settled;
    list_next(core, index);
}

/* ---- the listing we asked for ---- */
static void bucket_received(struct td_core *core, uint32_t index, const struct td_msg *msg)
{
    struct td_repair_state *repair = core->repair;

    if (!repair->ask.active || repair->ask.link != index || repair->ask.stage != STAGE_ASKED ||
        repair->ask.bucket != msg->u.bucket.bucket || msg->u.bucket.count > TD_BUCKET_ENTRIES_MAX) {
        return;
    }
    repair->ask.count = msg->u.bucket.count;
    td_copy(repair->ask.theirs, msg->u.bucket.entries,
            msg->u.bucket.count * sizeof repair->ask.theirs[0]);
    repair->ask.more = msg->u.bucket.more && msg->u.bucket.count > 0;
    repair->ask.stage = STAGE_COMPARE;
    repair->ask.last_ms = core->now.boot_ms;
    uint64_t to =
        repair->ask.more ? repair->ask.theirs[repair->ask.count - 1].register_hash : UINT64_MAX;
    td_scan_begin(&repair->compare, index, repair->ask.bucket, repair->ask.from, to);
    td_deadline(core, core->now.boot_ms);
}

/* Theirs that we do not have although our vector says so. A dot beyond our vector is on its way; but when
 * that did not help at equal vectors, some origin left a hole for ever or said two things under one dot:
 * then whatever is listed is fetched. */
static void compare_done(struct td_core *core)
{
    struct td_repair_state *repair = core->repair;
    const struct td_bucket_scan *mine = &repair->compare;
    uint32_t at = 0;

    repair->ask.dot_count = 0;
    for (uint32_t i = 0; i < repair->ask.count && repair->ask.dot_count < TD_FETCH_MAX; i++) {
        const struct td_register_id *theirs = &repair->ask.theirs[i];
        while (at < mine->count && mine->entries[at].register_hash < theirs->register_hash) {
            at += 1;
        }
        bool same = at < mine->count && mine->entries[at].register_hash == theirs->register_hash &&
                    td_dot_compare(mine->entries[at].dot, theirs->dot) == 0;
        bool lacking = !same && td_dot_durable(core, theirs->dot);
        if (lacking || (repair->ask.stubborn && !TD_PLANTED(repair_gives_up))) {
            repair->ask.dots[repair->ask.dot_count++] = theirs->dot;
        }
    }
    repair->compare.active = false;
    repair->ask.stage = STAGE_FETCH;
}

/* After the request for what is missing: the next page, or done. */
static void page_done(struct td_core *core)
{
    struct td_repair_state *repair = core->repair;
    struct repair_link *state = &repair->links[repair->ask.link];

    if (repair->ask.more && repair->ask.theirs[repair->ask.count - 1].register_hash != UINT64_MAX) {
        repair->ask.from = repair->ask.theirs[repair->ask.count - 1].register_hash + 1;
        repair->ask.stage = STAGE_ASK;
        repair->ask.last_ms = core->now.boot_ms;
        return;
    }
    count_up(&state->repairs[repair->ask.bucket]);
    repair->ask.active = false;
    list_turn(core);
}

static void fetched(struct td_core *core, uint32_t index, const struct td_event *event)
{
    struct td_region via = td_link_region(core, &core->links[index])->number;
    uint64_t before = core->counters[TD_COUNTER_applied];

    if (!td_peers_charge(core, index, TD_LANE_REPAIR, TD_FETCHED_CHARGE)) {
        return;
    }
    for (size_t i = 0; i < event->u.frame.batch_count; i++) {
        if (td_store_room(core, 1)) {
            (void)td_batch_accept(core, &event->u.frame.batches[i], via, TD_LANE_REPAIR);
        }
    }
    uint64_t won = core->counters[TD_COUNTER_applied] - before;
    if (won > 0) {
        TD_COUNT(core, repaired, won);
        td_metrics_of(core, via)->repaired += won;
        td_fx_trace(core, TD_TR_REPAIRED, via, won, 0);
    }
}

void td_repair_frame(struct td_core *core, uint32_t index, const struct td_event *event)
{
    const struct td_msg *msg = event->u.frame.msg;
    struct repair_link *state = link_state(core, index);

    switch (msg->type) {
    case TD_MSG_DIGEST_ASK:
        state->digest_due = true;
        break;
    case TD_MSG_DIGEST:
        digest_received(core, index, msg);
        break;
    case TD_MSG_BUCKET_ASK:
        state->bucket_due = msg->u.bucket_ask.bucket < TD_DIGEST_BUCKETS;
        state->bucket = msg->u.bucket_ask.bucket;
        state->bucket_from = msg->u.bucket_ask.from;
        td_deadline(core, core->now.boot_ms);
        break;
    case TD_MSG_BUCKET:
        bucket_received(core, index, msg);
        break;
    case TD_MSG_FETCH:
        if (!core->repair->fetch.active) { /* else asked again by the next round */
            td_fetch_begin(core, &core->repair->fetch, index, msg->u.fetch.dots,
                           msg->u.fetch.count);
            td_deadline(core, core->now.boot_ms);
        }
        break;
    case TD_MSG_FETCHED:
        fetched(core, index, event);
        break;
    default:
        break;
    }
}

/* ---- sending ---- */
static bool pump_answers(struct td_core *core, uint32_t index, struct repair_link *state)
{
    struct td_bucket_scan *answer = &core->repair->answer;

    if (state->digest_due) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_DIGEST;
        out->u.msg.u.digest.has = td_vectors_has(core);
        out->u.msg.u.digest.buckets = core->digest;
        state->digest_due = false;
    }
    if (answer->active && answer->done && answer->link == index) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_BUCKET;
        out->u.msg.u.bucket.bucket = answer->bucket;
        out->u.msg.u.bucket.more = answer->more;
        out->u.msg.u.bucket.count = answer->count;
        out->u.msg.u.bucket.entries = answer->entries;
        answer->active = false; /* the entries stay until another scan begins, in a later step */
    }
    return true;
}

static bool pump_ask(struct td_core *core, uint32_t index)
{
    struct td_repair_state *repair = core->repair;

    if (!repair->ask.active || repair->ask.link != index ||
        (repair->ask.stage != STAGE_ASK && repair->ask.stage != STAGE_FETCH)) {
        return true;
    }
    if (repair->ask.stage == STAGE_FETCH && repair->ask.dot_count == 0) {
        page_done(core);
        return true;
    }
    struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
    if (out == NULL) {
        return false;
    }
    if (repair->ask.stage == STAGE_ASK) {
        out->u.msg.type = TD_MSG_BUCKET_ASK;
        out->u.msg.u.bucket_ask.bucket = repair->ask.bucket;
        out->u.msg.u.bucket_ask.from = repair->ask.from;
        repair->ask.stage = STAGE_ASKED;
    } else {
        out->u.msg.type = TD_MSG_FETCH;
        out->u.msg.u.fetch.count = repair->ask.dot_count;
        out->u.msg.u.fetch.dots = repair->ask.dots;
        page_done(core);
    }
    return true;
}

bool td_repair_pump_link(struct td_core *core, uint32_t index)
{
    struct repair_link *state = link_state(core, index);

    if (!pump_answers(core, index, state) || !pump_ask(core, index)) {
        return false;
    }
    if (state->ask_due) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_DIGEST_ASK;
        out->u.msg.u.has = td_vectors_has(core);
        state->ask_due = false;
        state->asked = true;
    }
    return true;
}

/* ---- timers ---- */
static void rounds(struct td_core *core)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (!td_link_up(&core->links[i])) {
            continue;
        }
        struct repair_link *state = link_state(core, i);
        if (core->now.boot_ms >= state->next_ms) {
            state->next_ms = core->now.boot_ms + TD_REPAIR_ROUND_MS;
            state->ask_due = true;
        }
        td_deadline(core, state->next_ms);
        if (state->bucket_due && !core->repair->answer.active) {
            td_scan_begin(&core->repair->answer, i, state->bucket, state->bucket_from, UINT64_MAX);
            state->bucket_due = false;
        }
    }
}

void td_repair_tick(struct td_core *core)
{
    struct td_repair_state *repair = core->repair;

    if (!core->started) {
        return;
    }
    rounds(core);
    td_scan_slice(core, &repair->answer);
    td_scan_slice(core, &repair->compare);
    if (repair->compare.active && repair->compare.done) {
        compare_done(core);
    }
    if (repair->fetch.active) {
        td_fetch_slice(core, &repair->fetch);
        td_deadline(core, core->now.boot_ms + RETRY_MS);
    }
    if (repair->ask.active && core->now.boot_ms >= repair->ask.last_ms + QUIET_MS) {
        repair->ask.active = repair->compare.active = false; /* the next round asks again */
        list_turn(core);
    }
}
