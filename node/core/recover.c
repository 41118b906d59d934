/* recover.c -- a region whose log was empty, or older than what others hold of it: it gives no
 * freshness and no ack until it has everything back that its peers' heads name of it (DESIGN 2;
 * whom it waits for: docs/decisions/0011). Also: does another process use one of our incarnations? */
#include "node/core/peers.h"
#include "node/core/plant.h"

enum { UNSIGNED_PATIENCE_MS = 10000, SPOKE_MS = 60000, SEEN_MS = 5000 };
enum { DOUBT_SPAN_MS = 3600000, DOUBT_MAX_MS = 60000 };

/* A restart goes on recovering where this process was, and must not vouch for itself before: when
 * there is no room or the write fails, td_cut_tick comes again. */
void td_recover_log(struct td_core *core)
{
    if (!core->recovered_due || !td_store_mark_holes(core)) {
        return;
    }
    struct td_record *record = td_store_record(core, TD_WHAT_OTHER, TD_RECORD_RECOVERED);
    if (record != NULL) {
        record->u.recovered = !core->recovering;
        core->recovered_due = false;
    }
}

static void log_state(struct td_core *core)
{
    core->recovered_due = true;
    td_recover_log(core);
}

static void begin(struct td_core *core)
{
    struct td_region_info *self = &core->regions[core->self_slot];

    if (!self->rolled_back && !core->log_was_empty) {
        self->rolled_back = true;
        td_fx_trace(core, TD_TR_ROLLED_BACK, self->number, 0, 0);
    }
    if (!core->recovering) {
        core->recovering = true;
        log_state(core);
        td_fx_trace(core, TD_TR_RECOVERING, core->config.self, 1, 0);
        td_heads_ask(core);
    }
    td_transfer_want(core);
}

/* Of our own deltas, what an entry of this member's head names and we lack. Beyond our own
 * signature a name counts nothing, but its member is asked for everything it has before we let go
 * of it: the closing of an incarnation makes void what lies behind. */
static bool own_lacking(const struct td_core *core, const struct td_region_info *member,
                        const struct td_vv_entry *entry, bool *ret_unsigned)
{
    if (entry->origin.region.v != core->config.self.v ||
        entry->origin.incarnation.start < core->fold_below[core->config.self.v]) {
        return false; /* most of them: before anything is looked up */
    }
    uint16_t index = td_inc_find(core, entry->origin);
    bool told = entry->seq <= td_vv_seq(&member->told.vv, entry->origin);
    if (index == TD_INC_NONE) {
        *ret_unsigned = *ret_unsigned || (entry->seq > 0 && !told);
        return false;
    }
    const struct td_inc *inc = &core->incs[index];
    if (inc->closed) {
        return td_min_u64(entry->seq, inc->closed_last) > inc->durable;
    }
    if (entry->seq > td_max_u64(inc->signed_max, inc->durable) && !told) {
        *ret_unsigned = true;
    }
    return td_min_u64(entry->seq, inc->signed_max) > inc->durable;
}

uint32_t td_vv_fold_below(const struct td_vv *vv, struct td_region region)
{
    for (uint32_t i = 0; i < vv->fold_count; i++) {
        if (vv->folds[i].region.v == region.v) {
            return vv->folds[i].start_below;
        }
    }
    return 0;
}

bool td_recover_fold_lacking(const struct td_core *core, const struct td_region_info *member,
                             const struct td_vv *has)
{
    struct td_region self = core->config.self;
    uint32_t below = td_vv_fold_below(has, self);

    return below > core->fold_below[self.v] && below > td_vv_fold_below(&member->told.vv, self);
}

/* Everybody handed over what he has: what others fold of us is closed and held here as well. */
static void adopt_folds(struct td_core *core)
{
    uint32_t below = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v != 0 && slot != core->self_slot) {
            below = (uint32_t)td_max_u64(below, td_vv_fold_below(&region->told.vv, core->config.self));
        }
    }
    below = (uint32_t)td_min_u64(below, core->process.start);
    if (below > core->fold_below[core->config.self.v]) {
        td_vectors_fold(core, core->config.self, below);
        struct td_vv has = td_vectors_has(core);
        (void)td_store_has(core, TD_WHAT_OTHER, &has);
    }
}

/* Others hold nothing back for start numbers that they have folded: to go on with one of those would be
 * to speak to nobody. */
static void folded_elsewhere(struct td_core *core, uint8_t slot, const struct td_head *head)
{
    for (uint32_t i = 0; i < head->has.fold_count; i++) {
        const struct td_vv_fold *fold = &head->has.folds[i];
        if (fold->region.v != core->config.self.v || core->process.start == 0 ||
            fold->start_below <= td_max_u64(core->again_below, core->fold_below[fold->region.v])) {
            continue;
        }
        const struct td_incarnation last = {fold->start_below - 1, UINT32_MAX};
        if (td_incarnation_named(core, slot, last, true)) {
            core->again_below = fold->start_below;
            td_again_begin(core);
        }
    }
}

static void note_life(struct td_core *core, const struct td_tick *echo)
{
    struct td_other_life *oldest = &core->other_lives[0];

    for (uint32_t i = 0; i < TD_OTHER_LIVES; i++) {
        struct td_other_life *life = &core->other_lives[i];
        if (td_incarnation_compare(life->incarnation, echo->origin.incarnation) == 0) {
            if (echo->number > life->number) {
                life->number = echo->number;
                life->spoke = true;
                life->since_ms = core->now.boot_ms;
            }
            return;
        }
        oldest = life->since_ms < oldest->since_ms ? life : oldest;
    }
    *oldest = (struct td_other_life){echo->origin.incarnation, echo->number, false,
                                     td_max_u64(core->now.boot_ms, 1)};
}

/* Echoes name two lives of a region only; vectors name all, and one that grows is in use. */
static void note_growth(struct td_core *core, const struct td_vv_entry *entry)
{
    uint16_t index = td_inc_find(core, entry->origin);
    struct td_inc *inc = index == TD_INC_NONE ? NULL : &core->incs[index];

    if (inc != NULL && entry->seq > inc->named_max) {
        inc->used_ms = inc->named_max == 0 ? 0 : td_max_u64(core->now.boot_ms, 1);
        inc->named_max = entry->seq;
    }
}

bool td_recover_alive(const struct td_core *core, struct td_incarnation incarnation)
{
    uint16_t index = td_inc_find(core, (struct td_origin){core->config.self, incarnation});

    if (index != TD_INC_NONE && core->incs[index].used_ms != 0 &&
        core->now.boot_ms < core->incs[index].used_ms + SPOKE_MS) {
        return true;
    }
    for (uint32_t i = 0; i < TD_OTHER_LIVES; i++) {
        const struct td_other_life *life = &core->other_lives[i];
        if (life->since_ms != 0 && td_incarnation_compare(life->incarnation, incarnation) == 0) {
            return core->now.boot_ms < life->since_ms + (life->spoke ? SPOKE_MS : SEEN_MS);
        }
    }
    return false;
}

/* A life of ours that others heard and that ranks above this one: a disk was lost since, or a clone runs.
 * It may have made no delta, so that vectors do not name it, but while it ranks higher our heads count as
 * those of an older process. Its own head tells what it closed of ours. */
static void other_lives(struct td_core *core, uint8_t slot, const struct td_head *head)
{
    uint32_t link = td_link_of(core, slot);

    for (uint32_t i = 0; i < head->echo_count; i++) {
        const struct td_origin *origin = &head->echo[i].origin;
        if (origin->region.v != core->config.self.v || core->process.start == 0 ||
            td_incarnation_compare(origin->incarnation, core->process) == 0 ||
            TD_PLANTED(forgets_its_heads)) {
            continue;
        }
        note_life(core, &head->echo[i]);
        if (td_incarnation_compare(origin->incarnation, core->process) > 0) {
            if (link != TD_NONE) {
                td_heads_ask_of(core, core->config.self, link);
            }
            (void)td_incarnation_named(core, slot, origin->incarnation, false);
        }
    }
}

/* ---- names beyond our own signature ---- */
/* We may be an old backup, or a member lies. Until it has handed over everything it has, which brings our
 * signature or shows that there is none, our heads vouch for nothing; a minute of an hour at most, because
 * one that lies must not take our freshness away for good. */
bool td_recover_doubtful(const struct td_core *core)
{
    return core->doubt_since_ms != 0 && !TD_PLANTED(names_believed_late);
}

static bool unsigned_left(const struct td_core *core)
{
    bool left = false;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot || !region->heard) {
            continue;
        }
        for (uint32_t i = 0; i < region->head_has.vv.entry_count; i++) {
            (void)own_lacking(core, region, &region->head_has.entries[i], &left);
        }
    }
    return left;
}

static void doubt_begin(struct td_core *core)
{
    uint64_t now_ms = td_max_u64(core->now.boot_ms, 1);

    if (core->doubt_span_ms == 0 || now_ms >= core->doubt_span_ms + DOUBT_SPAN_MS) {
        core->doubt_span_ms = now_ms;
        core->doubt_spent_ms = 0;
    }
    if (core->doubt_since_ms == 0 && core->doubt_spent_ms < DOUBT_MAX_MS) {
        core->doubt_since_ms = now_ms;
        td_heads_ask(core);
    }
}

static void doubt_check(struct td_core *core)
{
    if (core->doubt_since_ms == 0) {
        return;
    }
    uint64_t until_ms = core->doubt_since_ms + DOUBT_MAX_MS - core->doubt_spent_ms;
    if (core->now.boot_ms >= until_ms || !unsigned_left(core)) {
        core->doubt_spent_ms += td_min_u64(core->now.boot_ms, until_ms) - core->doubt_since_ms;
        core->doubt_since_ms = 0;
        td_heads_ask(core);
    } else {
        td_deadline(core, until_ms);
    }
}

/* A head of somebody else: does it know more of us than we do, or a later life of ours? */
void td_recover_head(struct td_core *core, const struct td_head *head)
{
    uint8_t slot = td_region_slot(core, head->origin.region);
    if (core->self_slot >= TD_SLOTS || slot >= TD_SLOTS || !core->started) {
        return;
    }
    bool unsigned_name = false, lacking = false;
    folded_elsewhere(core, slot, head);
    other_lives(core, slot, head);
    for (uint32_t i = 0; i < head->has.entry_count; i++) {
        const struct td_vv_entry *entry = &head->has.entries[i];
        if (entry->origin.region.v != core->config.self.v) {
            continue;
        }
        if (td_incarnation_compare(entry->origin.incarnation, core->process) > 0 &&
            entry->origin.incarnation.start >= core->process.start && core->process.start != 0) {
            (void)td_incarnation_named(core, slot, entry->origin.incarnation, false);
        }
        lacking = own_lacking(core, &core->regions[slot], entry, &unsigned_name) || lacking;
        note_growth(core, entry);
    }
    lacking = td_recover_fold_lacking(core, &core->regions[slot], &head->has) || lacking;
    if (unsigned_name) { /* its batches bring our signatures */
        doubt_begin(core);
        uint32_t link = td_link_of(core, slot);
        if (link != TD_NONE) {
            core->links[link].unsigned_until_ms = 0;
            td_heads_ask_of(core, core->config.self, link);
            td_transfer_want(core);
        }
    }
    if (lacking) {
        begin(core);
    }
    td_recover_check(core);
}

/* One member's newest head: signed after we came up, and everything of ours in it is here. */
static bool head_satisfied(const struct td_core *core, const struct td_region_info *region,
                           bool *ret_unsigned)
{
    bool lacking = td_recover_fold_lacking(core, region, &region->head_has.vv);

    if (!region->echo_known) {
        return false;
    }
    for (uint32_t i = 0; i < region->head_has.vv.entry_count; i++) {
        lacking = own_lacking(core, region, &region->head_has.entries[i], ret_unsigned) || lacking;
    }
    return !lacking;
}

/* Every member that counts has spoken since we came up, and names nothing of ours that we lack. Who
 * counts is known from members that are not recovering themselves: several that lost their disks at once
 * know nothing of a further one, and wait for everybody in the roster.
 * ret_unsigned: but for names without our signature. */
bool td_recover_settled(struct td_core *core, bool *ret_unsigned)
{
    uint32_t members = 0, others_in = 0, steady = 0;

    *ret_unsigned = false;
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot ||
            region->roster_state != TD_REGION_ACTIVE) {
            continue;
        }
        members += 1;
        bool satisfied = head_satisfied(core, region, ret_unsigned);
        others_in += satisfied;
        steady += satisfied && !region->recovering;
        if (!satisfied && td_cut_counted(core, slot) && !region->fenced) {
            return false;
        }
    }
    return steady > 0 || others_in == members;
}

/* Made by an earlier life of ours. Of those that rank above our first one, a life that our log does not know
 * and a clone's look the same, but for the clone being in use. */
static bool is_earlier(const struct td_core *core, const struct td_inc *inc)
{
    if (inc->origin.region.v != core->config.self.v || inc->accepted_here) {
        return false;
    }
    return td_incarnation_compare(inc->origin.incarnation, core->first_process) < 0 ||
           (!core->regions[core->self_slot].clone_suspected &&
            !td_recover_alive(core, inc->origin.incarnation));
}

/* Deltas of our earlier lives can grow only by what others give back: then our log was an old one.
 */
static void rollback_check(struct td_core *core)
{
    struct td_region_info *self = &core->regions[core->self_slot];
    uint64_t seqs = 0;
    bool first = core->first_process.start == 0;

    if (core->process.start == 0 || core->log_was_empty || self->rolled_back) {
        return;
    }
    if (first) {
        core->first_process = core->process;
    }
    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (is_earlier(core, inc)) {
            seqs += inc->durable;
        }
    }
    if (first) {
        core->earlier_seqs = seqs;
    } else if (seqs > core->earlier_seqs) {
        self->rolled_back = true;
        td_fx_trace(core, TD_TR_ROLLED_BACK, self->number, seqs - core->earlier_seqs, 0);
    }
}

void td_recover_check(struct td_core *core)
{
    bool unsigned_name = false;

    if (core->self_slot < TD_SLOTS && core->started) {
        rollback_check(core);
        doubt_check(core);
    }

    if (!core->recovering || !core->have_roster || core->self_slot >= TD_SLOTS || !core->started ||
        !td_recover_settled(core, &unsigned_name)) {
        return;
    }
    if (unsigned_name) { /* asked for; somebody may also just be lying */
        if (core->recover_named_ms == 0) {
            core->recover_named_ms = td_max_u64(core->now.boot_ms, 1);
        }
        uint64_t until = core->recover_named_ms + UNSIGNED_PATIENCE_MS;
        if (core->now.boot_ms < until) {
            td_deadline(core, until);
            return;
        }
    }
    core->recover_named_ms = 0;
    core->recovering = false;
    adopt_folds(core);
    log_state(core);
    td_fx_trace(core, TD_TR_RECOVERING, core->config.self, 0, 0);
    td_heads_ask(core);
}
