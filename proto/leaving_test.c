/* leaving_test.c -- the complete list is made of what members said under the roster that began the
 * leaving, and of nothing else; who did not say so is named. */
#include "proto/leaving.h"
#include "proto/test_main.h"

enum { LEAVER = 3 };

struct scene {
    struct td_roster roster;
    struct td_roster_region regions[4];
    struct td_leaving_ask ask;
    struct td_vv_entry entries[5][2]; /* by region number */
    struct td_member_view members[4];
    struct td_life_view lives[4];
    struct td_response response;
    struct td_leaving_plan plan;
};

/* Regions 1 to 4; 3 leaves in roster 7, of which nobody has said anything yet. */
static void make_scene(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    for (uint8_t i = 0; i < 4; i++) {
        scene->regions[i].number.v = (uint8_t)(i + 1);
        scene->regions[i].state = i + 1 == LEAVER ? TD_REGION_CLOSING : TD_REGION_ACTIVE;
        scene->members[i] = (struct td_member_view){
            .region = {(uint8_t)(i + 1)}, .self = i == 0, .heard = true, .roster_version = 6};
    }
    scene->roster = (struct td_roster){.version = 7, .region_count = 4, .regions = scene->regions};
    scene->ask.roster = &scene->roster;
    scene->ask.region.v = LEAVER;
    scene->response.u.members.count = 4;
    scene->response.u.members.members = scene->members;
    scene->response.u.members.lives = scene->lives;
}

/* This member's head names this much of the leaver's life with this start number. */
static void says(struct scene *scene, uint8_t member, uint64_t version, uint32_t start,
                 uint64_t seq)
{
    struct td_member_view *view = &scene->members[member - 1];
    struct td_vv_entry *entry = &scene->entries[member][view->count++];
    *entry = (struct td_vv_entry){{{LEAVER}, {start, 5}}, seq};
    view->entries = scene->entries[member];
    view->roster_version = version;
}

static void knows(struct scene *scene, uint32_t start, uint16_t key, uint64_t held,
                  uint64_t signed_max)
{
    scene->lives[scene->response.u.members.life_count++] = (struct td_life_view){
        .incarnation = {start, 5}, .key_number = key, .held = held, .signed_max = signed_max};
}

static enum td_leaving_state state_of(const struct scene *scene, uint8_t region)
{
    for (uint32_t i = 0; i < scene->plan.member_count; i++) {
        if (scene->plan.members[i].region.v == region) {
            return scene->plan.members[i].state;
        }
    }
    return 0;
}

static void test_the_list_is_the_most_that_anybody_said_of_each_life(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    says(&scene, 1, 7, 1, 10);
    says(&scene, 2, 8, 1, 12); /* a later roster is as good */
    says(&scene, 2, 8, 2, 4);
    says(&scene, 3, 7, 2, 6);
    says(&scene, 4, 7, 1, 3);
    says(&scene, 4, 7, 2, 6);
    knows(&scene, 1, 1, 12, 12);
    knows(&scene, 2, 1, 6, 6);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_true(td_leaving_ready(&scene.plan));
    assert_int_equal(scene.plan.listed_count, 2);
    assert_int_equal(scene.plan.listed[0].incarnation.start, 1);
    assert_int_equal(scene.plan.listed[0].last_seq, 12);
    assert_int_equal(scene.plan.listed[1].last_seq, 6);
    assert_int_equal(scene.plan.lost, 0);
}

/* Its links end with the list: what only it has must have been taken from it by then. */
static void test_what_only_the_leaving_region_has_is_waited_for(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    for (uint8_t member = 1; member <= 4; member++) {
        says(&scene, member, 7, 1, member == LEAVER ? 14 : 10);
    }
    knows(&scene, 1, 1, 10, 14);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.waiting, 0);
    assert_int_equal(scene.plan.behind, 4);
    assert_false(td_leaving_ready(&scene.plan));
    assert_int_equal(scene.plan.listed[0].last_seq, 10);
    scene.ask.given_up[LEAVER] = true;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_true(td_leaving_ready(&scene.plan));
    assert_int_equal(scene.plan.lost, 4);
}

/* Who names what it does not have could make the list promise what nobody gives. */
static void test_only_what_the_node_asked_has_is_listed(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    for (uint8_t member = 1; member <= 4; member++) {
        says(&scene, member, 7, 1, member == 2 ? 99 : 10);
    }
    knows(&scene, 1, 1, 12, 99);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.unknown, 1); /* the node may still be taking it */
    scene.ask.given_up[2] = true;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.unknown, 0);
    assert_int_equal(scene.plan.listed[0].last_seq, 12);
}

static void test_who_has_not_spoken_under_this_roster_is_waited_for(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    says(&scene, 1, 7, 1, 10);
    says(&scene, 2, 6, 1, 99); /* under the roster before: counts nothing */
    says(&scene, 3, 7, 1, 11);
    scene.members[3].heard = false;
    knows(&scene, 1, 1, 11, 11);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.waiting, 2);
    assert_int_equal(state_of(&scene, 2), TD_LEAVING_WAITED_FOR);
    assert_int_equal(state_of(&scene, 4), TD_LEAVING_WAITED_FOR);
    assert_int_equal(state_of(&scene, LEAVER), TD_LEAVING_SPOKE);
    assert_int_equal(scene.plan.listed[0].last_seq, 10);
}

static void test_who_is_given_up_takes_along_what_only_it_has(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    says(&scene, 1, 7, 1, 10);
    says(&scene, 2, 6, 1, 15);
    says(&scene, 4, 7, 1, 8);
    scene.members[LEAVER - 1].heard = false;
    knows(&scene, 1, 1, 10, 20);
    scene.ask.given_up[2] = scene.ask.given_up[LEAVER] = true;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.waiting, 0);
    assert_int_equal(scene.plan.listed[0].last_seq, 10);
    assert_int_equal(scene.plan.lost, 10); /* 11 to 20 were signed once */
    assert_int_equal(state_of(&scene, 2), TD_LEAVING_GIVEN_UP);
    assert_int_equal(scene.plan.members[1].alone, 5);
}

static void test_a_revoked_region_is_not_asked_and_adds_nothing(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    scene.regions[LEAVER - 1].doubtful_since_ms = 5;
    says(&scene, 1, 7, 1, 10);
    says(&scene, 2, 7, 1, 10);
    says(&scene, 3, 7, 1, 99);
    says(&scene, 4, 7, 1, 10);
    knows(&scene, 1, 1, 10, 10);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.waiting, 0);
    assert_int_equal(state_of(&scene, LEAVER), TD_LEAVING_NOT_ASKED);
    assert_int_equal(scene.plan.listed[0].last_seq, 10);
}

/* Folded lives are in no vector; where something live lies in one it counts all the same. */
static void test_folded_lives_in_which_something_lives_are_listed(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    for (uint8_t i = 0; i < 4; i++) {
        scene.members[i].roster_version = 7;
        scene.members[i].fold_below = 2;
    }
    knows(&scene, 1, 1, 9, 9);
    scene.lives[0].folded = true;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.listed_count, 1);
    assert_int_equal(scene.plan.listed[0].last_seq, 9);
}

static void test_of_old_keys_only_what_they_signed_is_listed(void **state)
{
    (void)state;
    static struct scene scene;
    make_scene(&scene);
    scene.regions[LEAVER - 1].state = TD_REGION_ACTIVE;
    scene.ask.keys_below = 2;
    for (uint8_t member = 1; member <= 4; member++) {
        says(&scene, member, 7, 1, 10);
        says(&scene, member, 7, 2, 4);
    }
    knows(&scene, 1, 1, 10, 10);
    knows(&scene, 2, 2, 4, 4);
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.unknown, 0);
    assert_int_equal(scene.plan.listed_count, 1);
    assert_int_equal(scene.plan.listed[0].incarnation.start, 1);
    scene.lives[1].key_number = 0; /* named, but nothing of it came yet: whose key? */
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    assert_int_equal(scene.plan.unknown, 1);
}

static void test_more_lives_than_a_vector_holds_are_refused(void **state)
{
    (void)state;
    static struct scene scene;
    static struct td_life_view lives[TD_INCARNATIONS_PER_REGION_MAX + 1];
    make_scene(&scene);
    for (uint32_t i = 0; i <= TD_INCARNATIONS_PER_REGION_MAX; i++) {
        lives[i] = (struct td_life_view){{i + 1, 5}, 1, true, 1, 1};
    }
    scene.members[0].roster_version = 7;
    scene.response.u.members.lives = lives;
    scene.response.u.members.life_count = TD_INCARNATIONS_PER_REGION_MAX;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_OK);
    scene.response.u.members.life_count = TD_INCARNATIONS_PER_REGION_MAX + 1;
    assert_int_equal(td_leaving_plan(&scene.ask, &scene.response, &scene.plan), TD_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_is_the_most_that_anybody_said_of_each_life),
        cmocka_unit_test(test_what_only_the_leaving_region_has_is_waited_for),
        cmocka_unit_test(test_only_what_the_node_asked_has_is_listed),
        cmocka_unit_test(test_who_has_not_spoken_under_this_roster_is_waited_for),
        cmocka_unit_test(test_who_is_given_up_takes_along_what_only_it_has),
        cmocka_unit_test(test_a_revoked_region_is_not_asked_and_adds_nothing),
        cmocka_unit_test(test_folded_lives_in_which_something_lives_are_listed),
        cmocka_unit_test(test_of_old_keys_only_what_they_signed_is_listed),
        cmocka_unit_test(test_more_lives_than_a_vector_holds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
