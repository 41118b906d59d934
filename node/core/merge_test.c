/* merge_test.c -- the merge against histories of a small cluster: every order of arrival gives the same
 * register, with the same knowledge of what was seen, and no merge lowers the rank. Every order of one
 * history is played on a job of its own in one table. TD_MERGE_HISTORIES raises the number. */
#include "node/core/replica_harness.h"

enum { NODES_MAX = 4, DELTAS_MAX = 6, SLOT_DELTAS = 4096 };

struct made {
    struct td_delta delta;
    struct td_dot dot;
    struct td_dot clock[TD_CLOCK_ENTRIES_MAX];
    unsigned node;
};

struct history {
    struct made made[DELTAS_MAX];
    unsigned count;
};

struct fixture {
    struct replica *replica;
    uint32_t slots[NODES_MAX][2]; /* per node and incarnation, holds any seq up to SLOT_DELTAS */
    uint64_t random;
};

static uint64_t next_random(struct fixture *fixture, uint64_t below)
{
    fixture->random ^= fixture->random << 13;
    fixture->random ^= fixture->random >> 7;
    fixture->random ^= fixture->random << 17;
    return fixture->random % below;
}

static struct td_origin origin_of(unsigned node, unsigned life)
{
    return (struct td_origin){ { (uint8_t)(node + 1) }, { life + 1, 99 } };
}

/* What one node of the simulated cluster holds of the register. */
struct holder {
    int made; /* index of its winner, -1 = none */
    struct td_dot seen[TD_CLOCK_ENTRIES_MAX];
    uint32_t seen_count;
    int64_t skew_ms;
    unsigned life;
    uint64_t seq;
};

static struct td_order order_of(const struct made *made)
{
    return (struct td_order){ td_state_rank(made->delta.status.state), made->delta.stamp, made->dot,
                              made->delta.leaf };
}

static void absorb(struct holder *holder, const struct history *history, int index)
{
    const struct made *made = &history->made[index];
    for (uint32_t i = 0; i < made->delta.clock_count; ++i) {
        assert_true(td_dots_join(holder->seen, &holder->seen_count, made->clock[i]));
    }
    assert_true(td_dots_join(holder->seen, &holder->seen_count, made->dot));
    const struct td_order candidate = order_of(made);
    const struct td_order current =
        holder->made < 0 ? candidate : order_of(&history->made[holder->made]);
    if (holder->made < 0 || td_order_compare(&candidate, &current) > 0) {
        holder->made = index;
    }
}

/* A report accepted by the rules of the accepting node: rank not lower, stamp above all that was seen. */
static void report(struct fixture *fixture, struct history *history, struct holder *holder,
                   unsigned node, uint64_t now_ms)
{
    static const enum td_state states[] = { TD_STATE_PENDING, TD_STATE_RUNNING, TD_STATE_LOST,
                                            TD_STATE_COMPLETED, TD_STATE_FAILED };
    const enum td_state chosen = states[next_random(fixture, 5)];
    struct td_stamp floor = { 0, 0 };
    if (holder->made >= 0) {
        const struct td_order current = order_of(&history->made[holder->made]);
        if (td_state_rank(chosen) < current.rank) {
            return;
        }
        floor = current.stamp;
    }
    for (unsigned i = 0; i < history->count; ++i) { /* stamps of losers it merged count as well */
        const struct made *made = &history->made[i];
        if (td_dots_cover(holder->seen, holder->seen_count, made->dot) &&
            td_stamp_compare(made->delta.stamp, floor) > 0) {
            floor = made->delta.stamp;
        }
    }
    struct made *made = &history->made[history->count];
    memset(made, 0, sizeof *made);
    made->node = node;
    made->dot = (struct td_dot){ origin_of(node, holder->life), ++holder->seq };
    made->delta.attempt = 1;
    made->delta.status.state = chosen;
    made->delta.stamp = td_stamp_next(floor, (uint64_t)((int64_t)now_ms + holder->skew_ms));
    made->delta.clock_count = (uint8_t)holder->seen_count;
    memcpy(made->clock, holder->seen, sizeof made->clock);
    made->delta.leaf.bytes[0] = (uint8_t)(history->count + 1);
    made->delta.leaf.bytes[31] = (uint8_t)next_random(fixture, 256);
    history->count += 1;
    absorb(holder, history, (int)history->count - 1);
}

static void make_history(struct fixture *fixture, struct history *history)
{
    struct holder holders[NODES_MAX];
    const unsigned nodes = 2 + (unsigned)next_random(fixture, NODES_MAX - 1);
    uint64_t now_ms = 1000000;
    memset(holders, 0, sizeof holders);
    history->count = 0;
    for (unsigned i = 0; i < nodes; ++i) {
        holders[i].made = -1;
        holders[i].skew_ms = (int64_t)next_random(fixture, 3) * 1000 - 1000;
    }
    for (unsigned step = 0; step < 16 && history->count < DELTAS_MAX; ++step) {
        const unsigned node = (unsigned)next_random(fixture, nodes);
        const unsigned from = (unsigned)next_random(fixture, nodes);
        const uint64_t action = next_random(fixture, 10);
        now_ms += next_random(fixture, 3);
        if (action < 6) {
            report(fixture, history, &holders[node], node, now_ms);
        } else if (action < 9 && holders[from].made >= 0) {
            absorb(&holders[node], history, holders[from].made);
        } else if (action == 9 && holders[node].life == 0) {
            holders[node].life = 1;
            holders[node].seq = 0;
        }
    }
}

/* The test's slots hold any seq, stay when empty, and are of no use to anybody else. */
static void open_slots(struct fixture *fixture)
{
    struct td_core *core = fixture->replica->core;
    for (unsigned node = 0; node < NODES_MAX; ++node) {
        for (unsigned life = 0; life < 2; ++life) {
            const uint16_t inc = td_inc_intern(core, origin_of(node, life));
            fixture->slots[node][life] =
                td_slot_add(core, inc, 1, SLOT_DELTAS, false, (struct td_region){ 2 });
            core->slots[fixture->slots[node][life]].in_ring = true;
        }
    }
}

static enum td_merge merge(struct fixture *fixture, const struct made *made, const char *job)
{
    struct td_delta delta = made->delta;
    delta.job = test_text(job);
    delta.job_hash = test_job_hash(job);
    delta.clock = made->clock;
    delta.index = (uint32_t)made->dot.seq - 1;
    td_fx_reset(fixture->replica->core);
    return td_table_merge(fixture->replica->core, &delta,
                          fixture->slots[made->node][made->dot.origin.incarnation.start - 1]);
}

static void check_result(struct fixture *fixture, const struct history *history, const char *job)
{
    struct td_core *core = fixture->replica->core;
    const uint32_t index = td_table_find(core, test_job_hash(job), test_text(job), 1);
    assert_int_not_equal(index, TD_NONE);
    const struct td_order held = td_register_order(core, &core->registers[index]);
    struct td_dot all[TD_CLOCK_ENTRIES_MAX], seen[TD_CLOCK_ENTRIES_MAX];
    uint32_t all_count = 0;
    for (unsigned i = 0; i < history->count; ++i) {
        const struct td_order other = order_of(&history->made[i]);
        assert_true(td_order_compare(&held, &other) >= 0);
        assert_true(td_dots_join(all, &all_count, history->made[i].dot));
    }
    assert_int_equal(td_register_seen(core, index, seen), all_count);
    for (uint32_t i = 0; i < all_count; ++i) {
        assert_int_equal(td_dot_compare(seen[i], all[i]), 0);
    }
}

/* Plays one order, some deltas twice, and frees the job's register again. */
static uint64_t play(struct fixture *fixture, const struct history *history, const unsigned *order)
{
    struct td_core *core = fixture->replica->core;
    static const char job[] = "merge/one";
    uint8_t rank = 0;
    uint64_t merges = 0;
    for (unsigned i = 0; i < history->count; ++i) {
        (void)merge(fixture, &history->made[order[i]], job);
        const uint32_t index = td_table_find(core, test_job_hash(job), test_text(job), 1);
        const uint8_t now = td_state_rank((enum td_state)core->registers[index].state);
        assert_true(now >= rank); /* I3 */
        rank = now;
        const unsigned again = order[next_random(fixture, i + 1)];
        const uint64_t change = core->change_number;
        const struct td_hash digest = core->digest[0];
        assert_int_not_equal(merge(fixture, &history->made[again], job), TD_MERGE_WON);
        assert_int_equal(core->change_number, change); /* idempotent */
        assert_memory_equal(&digest, &core->digest[0], sizeof digest);
        merges += 2;
    }
    check_result(fixture, history, job);
    td_table_remove(core, td_table_find(core, test_job_hash(job), test_text(job), 1));
    return merges;
}

static bool next_permutation(unsigned *order, unsigned count)
{
    unsigned i = count - 1;
    while (i > 0 && order[i - 1] >= order[i]) {
        i -= 1;
    }
    if (i == 0) {
        return false;
    }
    unsigned k = count - 1;
    while (order[k] <= order[i - 1]) {
        k -= 1;
    }
    const unsigned swapped = order[k];
    order[k] = order[i - 1];
    order[i - 1] = swapped;
    for (unsigned a = i, b = count - 1; a < b; ++a, --b) {
        const unsigned kept = order[a];
        order[a] = order[b];
        order[b] = kept;
    }
    return true;
}

static void test_every_order_of_arrival_gives_the_same_register(void **state)
{
    (void)state;
    const char *wanted = getenv("TD_MERGE_HISTORIES");
    const unsigned long histories = wanted != NULL ? strtoul(wanted, NULL, 10) : 1500;
    struct fixture fixture = { .random = UINT64_C(0x2018030500000001) };
    struct history history;
    uint64_t merges = 0;
    fixture.replica = replica_new((struct replica_options){ .regions = NODES_MAX });
    replica_start(fixture.replica);
    open_slots(&fixture);
    for (unsigned long i = 0; i < histories; ++i) {
        make_history(&fixture, &history);
        unsigned order[DELTAS_MAX] = { 0, 1, 2, 3, 4, 5 };
        if (history.count == 0) {
            continue;
        }
        do {
            merges += play(&fixture, &history, order);
        } while (next_permutation(order, history.count));
    }
    assert_true(merges > histories);
    assert_int_equal(fixture.replica->core->register_count, 0);
    for (unsigned i = 0; i < TD_DIGEST_BUCKETS; ++i) {
        for (unsigned k = 0; k < 32; ++k) {
            assert_int_equal(fixture.replica->core->digest[i].bytes[k], 0);
        }
    }
    assert_true(td_core_check(fixture.replica->core));
    print_message("%lu histories, %llu merges\n", histories, (unsigned long long)merges);
    replica_free(fixture.replica);
}

static void test_equivocated_dot_is_decided_by_hash_and_counted(void **state)
{
    (void)state;
    struct fixture fixture = { .random = 1 };
    fixture.replica = replica_new((struct replica_options){ .regions = NODES_MAX });
    replica_start(fixture.replica);
    open_slots(&fixture);
    struct made a = { .dot = { origin_of(1, 0), 1 }, .node = 1 };
    a.delta.attempt = 1;
    a.delta.stamp.ms = 1000;
    struct made b = a;
    a.delta.leaf.bytes[0] = 1;
    b.delta.leaf.bytes[0] = 2;
    assert_int_equal(merge(&fixture, &a, "x"), TD_MERGE_WON);
    assert_int_equal(merge(&fixture, &b, "x"), TD_MERGE_WON);
    assert_int_equal(merge(&fixture, &a, "x"), TD_MERGE_LOST);
    assert_int_equal(merge(&fixture, &b, "x"), TD_MERGE_SAME);
    assert_true(fixture.replica->core->counters[TD_COUNTER_equivocations] >= 1);
    assert_true(fixture.replica->core->regions[fixture.replica->core->slot_of[2]].equivocated);
    replica_free(fixture.replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_of_arrival_gives_the_same_register),
        cmocka_unit_test(test_equivocated_dot_is_decided_by_hash_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
