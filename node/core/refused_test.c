/* refused_test.c -- what EXPLAIN says of reports that were refused: why, how often, when, from
 * whom. */
#include "node/core/replica_peer.h"

static int setup(void **state)
{
    struct replica *replica = replica_new((struct replica_options){.regions = 3});
    replica_start(replica);
    replica->client = test_text("worker-1 at 10.0.3.9:5000");
    *state = replica;
    return 0;
}

static const struct replica_reply *explain(struct replica *replica, const char *job)
{
    struct td_request request = {.op = TD_OP_EXPLAIN};
    request.u.get.job = test_text(job);
    request.u.get.job_hash = test_job_hash(job);
    return replica_reply(replica, replica_request(replica, &request));
}

static void expect_from(const struct td_refused_view *view, const char *from)
{
    assert_int_equal(view->from.count, strlen(from));
    assert_memory_equal(view->from.bytes, from, strlen(from));
}

static void test_refused_publishes_are_counted_by_reason(void **state)
{
    struct replica *replica = *state;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_COMPLETED));
    const uint64_t first_ms = replica->now.wall_ms;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    replica->now.wall_ms += 5000;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_FAILED));
    const struct replica_reply *reply = explain(replica, "a");
    assert_int_equal(reply->err, TD_OK);
    assert_int_equal(reply->refused_count, 2);
    assert_int_equal(reply->refused[0].err, TD_EFINAL); /* the newest first */
    assert_int_equal(reply->refused[0].count, 1);
    assert_int_equal(reply->refused[1].err, TD_ERANK);
    assert_int_equal(reply->refused[1].count, 2);
    assert_int_equal(reply->refused[1].first_ms, first_ms);
    assert_int_equal(reply->refused[1].last_ms, replica->now.wall_ms);
    expect_from(&reply->refused[1], "worker-1 at 10.0.3.9:5000");
    (void)replica_publish_one(replica, test_update("b", 1, TD_STATE_RUNNING));
    assert_int_equal(explain(replica, "b")->refused_count, 0);
}

/* Nothing of it was ever taken: the job is unknown, and why is told all the same. */
static void test_a_job_known_only_by_its_refusals(void **state)
{
    struct replica *replica = *state;
    const enum td_err refused[2] = {TD_EPERM, TD_OK};
    const struct td_update updates[2] = {test_update("theirs", 1, TD_STATE_RUNNING),
                                         test_update("ours", 1, TD_STATE_RUNNING)};
    struct td_request request = {.op = TD_OP_PUBLISH, .id = 900};
    struct td_event event = {.type = TD_EV_REQUEST};
    request.u.publish.count = 2;
    request.u.publish.updates = updates;
    event.u.request.request = &request;
    event.u.request.refused = refused;
    event.u.request.from = test_text("reader");
    replica_step(replica, &event);
    replica_settle(replica);
    const struct replica_reply *reply = explain(replica, "theirs");
    assert_int_equal(reply->err, TD_EUNKNOWN);
    assert_int_equal(reply->count, 0);
    assert_int_equal(reply->refused_count, 1);
    assert_int_equal(reply->refused[0].err, TD_EPERM);
    expect_from(&reply->refused[0], "reader");
    assert_int_equal(explain(replica, "ours")->refused_count, 0);
}

static void test_what_a_link_refused_is_told(void **state)
{
    struct replica *replica = *state;
    const struct td_refused refused = {test_text("x"), test_job_hash("x"), TD_EBADSIG,
                                       test_text("eu-west at 10.0.3.9:7717")};
    struct td_msg msg = {.type = TD_MSG_LIVE};
    struct td_event frame = {.type = TD_EV_FRAME};
    replica_link_up(replica, 7, 2);
    frame.u.frame.link.v = 7;
    frame.u.frame.msg = &msg;
    frame.u.frame.rejected = 1;
    frame.u.frame.refused = &refused;
    frame.u.frame.refused_count = 1;
    replica_step(replica, &frame);
    const struct replica_reply *reply = explain(replica, "x");
    assert_int_equal(reply->refused_count, 1);
    assert_int_equal(reply->refused[0].err, TD_EBADSIG);
    expect_from(&reply->refused[0], "eu-west at 10.0.3.9:7717");
}

static void test_a_batch_of_a_region_that_has_left_is_told(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *batch = replica_peer_batch(replica, 9, 1, 2);
    assert_false(replica_receive(replica, batch, TD_LANE_LIVE));
    const struct replica_reply *reply = explain(replica, "p9-2");
    assert_int_equal(reply->refused_count, 1);
    assert_int_equal(reply->refused[0].err, TD_ECLOSED);
    expect_from(&reply->refused[0], "eu-west"); /* it came over the link of region 2 */
}

static void test_a_quota_that_is_used_up_is_told(void **state)
{
    (void)state;
    struct replica *replica =
        replica_new((struct replica_options){.regions = 2, .quota_registers = 1});
    replica_start(replica);
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    (void)replica_publish_one(replica, test_update("b", 1, TD_STATE_RUNNING));
    const struct replica_reply *reply = explain(replica, "b");
    assert_int_equal(reply->refused_count, 1);
    assert_int_equal(reply->refused[0].err, TD_EQUOTA);
    assert_int_equal(reply->refused[0].from.count, 0); /* this driver knows no name */
    replica_free(replica);
}

/* The node's own troubles are no property of the job, and come and go with it. */
static void test_busy_and_full_are_not_remembered(void **state)
{
    struct replica *replica = *state;
    const enum td_err passing[] = {TD_EBUSY, TD_EDISKFULL, TD_ERATE, TD_EDRAINING, TD_ESTARTING};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; ++i) {
        const struct td_refused refused = {test_text("x"), test_job_hash("x"), passing[i], {0}};
        td_refused_add(replica->core, &refused);
    }
    assert_int_equal(explain(replica, "x")->refused_count, 0);
}

static void add(struct replica *replica, unsigned job, unsigned from)
{
    char name[24], sender[24];
    (void)snprintf(name, sizeof name, "j%u", job);
    (void)snprintf(sender, sizeof sender, "client %u", from);
    const struct td_refused refused = {test_text(name), test_job_hash(name), TD_ERANK,
                                       test_text(sender)};
    td_refused_add(replica->core, &refused);
}

/* Whatever clients do, the table keeps its size: of one job the newest kinds stay, of many jobs
 * some. */
static void test_the_table_is_bounded_and_the_newest_stay(void **state)
{
    struct replica *replica = *state;
    char name[24];
    unsigned kept = 0;
    for (unsigned from = 0; from < 20; ++from) {
        add(replica, 0, from);
    }
    const struct replica_reply *reply = explain(replica, "j0");
    assert_int_equal(reply->refused_count, TD_REFUSED_SHOWN_MAX);
    expect_from(&reply->refused[0], "client 19");
    expect_from(&reply->refused[7], "client 12");
    for (unsigned job = 1; job <= 20 * TD_REFUSALS; ++job) {
        add(replica, job, 0);
    }
    for (unsigned job = 1; job <= 20 * TD_REFUSALS; ++job) {
        (void)snprintf(name, sizeof name, "j%u", job);
        const struct td_refused_view *views = NULL;
        td_fx_reset(replica->core);
        const uint32_t count =
            td_refused_of(replica->core, test_job_hash(name), test_text(name), &views);
        assert_true(count <= 1);
        kept += count;
    }
    assert_int_equal(kept, TD_REFUSALS);
    (void)snprintf(name, sizeof name, "j%u", 20 * TD_REFUSALS);
    assert_int_equal(explain(replica, name)->refused_count, 1);
    assert_int_equal(explain(replica, "j0")->refused_count, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, replica_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_refused_publishes_are_counted_by_reason),
        CASE(test_a_job_known_only_by_its_refusals),
        CASE(test_what_a_link_refused_is_told),
        CASE(test_a_batch_of_a_region_that_has_left_is_told),
        cmocka_unit_test(test_a_quota_that_is_used_up_is_told),
        CASE(test_busy_and_full_are_not_remembered),
        CASE(test_the_table_is_bounded_and_the_newest_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
