/* roster_find.c -- questions to a decoded roster. Linear: a roster is small and asked per handshake
 * or per batch, and the decoder's arrays stay as they are on the wire. */
#include <string.h>

#include "proto/order.h"
#include "proto/roster.h"
#include "proto/text.h"

/* DESIGN 4: higher version wins; of one version the smaller hash, so all nodes end with the same.
 */
bool td_roster_newer(const struct td_roster *candidate, const struct td_roster *current)
{
    if (candidate->version != current->version) {
        return candidate->version > current->version;
    }
    return memcmp(candidate->hash.bytes, current->hash.bytes, sizeof current->hash.bytes) < 0;
}

static bool key_equal(const struct td_public_key *a, const struct td_public_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

const struct td_roster_region *td_roster_region(const struct td_roster *roster,
                                                struct td_region region)
{
    for (uint32_t i = 0; i < roster->region_count; i++) {
        if (roster->regions[i].number.v == region.v) {
            return &roster->regions[i];
        }
    }
    return NULL;
}

const struct td_roster_region *td_roster_region_named(const struct td_roster *roster,
                                                      struct td_text name)
{
    for (uint32_t i = 0; i < roster->region_count; i++) {
        if (td_text_compare(roster->regions[i].name, name) == 0) {
            return &roster->regions[i];
        }
    }
    return NULL;
}

const struct td_roster_region *td_roster_region_by_link_key(const struct td_roster *roster,
                                                            const struct td_public_key *link_key)
{
    for (uint32_t i = 0; i < roster->region_count; i++) {
        const struct td_region_key *newest = td_roster_newest_key(&roster->regions[i]);
        if (newest != NULL && key_equal(&newest->link_key, link_key)) {
            return &roster->regions[i];
        }
    }
    return NULL;
}

const struct td_roster_client *td_roster_client_by_link_key(const struct td_roster *roster,
                                                            const struct td_public_key *link_key)
{
    for (uint32_t i = 0; i < roster->client_count; i++) {
        if (key_equal(&roster->clients[i].link_key, link_key)) {
            return &roster->clients[i];
        }
    }
    return NULL;
}

const struct td_region_key *td_roster_key(const struct td_roster *roster, struct td_region region,
                                          uint16_t key_number)
{
    const struct td_roster_region *found = td_roster_region(roster, region);
    for (uint32_t i = 0; found != NULL && i < found->key_count; i++) {
        if (found->keys[i].number == key_number) {
            return &found->keys[i];
        }
    }
    return NULL;
}

const struct td_region_key *td_roster_newest_key(const struct td_roster_region *region)
{
    return region->key_count == 0 ? NULL : &region->keys[region->key_count - 1];
}

const struct td_roster_region *
td_roster_region_of_old_link_key(const struct td_roster *roster,
                                 const struct td_public_key *link_key, uint16_t *ret_number)
{
    for (uint32_t i = 0; i < roster->region_count; i++) {
        const struct td_roster_region *region = &roster->regions[i];
        for (uint32_t k = 0; k + 1 < region->key_count; k++) {
            if (key_equal(&region->keys[k].link_key, link_key)) {
                *ret_number = region->keys[k].number;
                return region;
            }
        }
    }
    return NULL;
}

bool td_roster_region_links(const struct td_roster_region *region)
{
    return region->state == TD_REGION_ACTIVE ||
           (region->state == TD_REGION_CLOSING && region->doubtful_since_ms == 0);
}

static bool in_list(const struct td_closing *list, uint32_t count,
                    struct td_incarnation incarnation, uint64_t last_seq)
{
    for (uint32_t i = 0; i < count; i++) {
        if (td_incarnation_compare(list[i].incarnation, incarnation) == 0) {
            return last_seq <= list[i].last_seq;
        }
    }
    return false;
}

/* DESIGN 4: both lists are complete; an incarnation not listed counts nothing. */
enum td_err td_roster_counts(const struct td_roster *roster, struct td_origin origin,
                             uint16_t key_number, uint64_t last_seq)
{
    const struct td_roster_region *region = td_roster_region(roster, origin.region);

    if (region == NULL) {
        return TD_ENOTINROSTER;
    }
    if (region->state == TD_REGION_CLOSED &&
        !in_list(region->closed, region->closed_count, origin.incarnation, last_seq)) {
        return TD_ECLOSED;
    }
    if (key_number < region->retired_below &&
        !in_list(region->retired, region->retired_count, origin.incarnation, last_seq)) {
        return TD_EROTATED;
    }
    return TD_OK;
}

bool td_roster_doubts(const struct td_roster *roster, struct td_region region, uint64_t stamp_ms)
{
    const struct td_roster_region *found = td_roster_region(roster, region);

    return found != NULL && found->doubtful_since_ms != 0 && stamp_ms >= found->doubtful_since_ms;
}

bool td_client_may_touch(const struct td_roster_client *client, struct td_text job)
{
    for (uint32_t i = 0; i < client->prefix_count; i++) {
        struct td_text prefix = client->prefixes[i];
        if (prefix.count <= job.count && memcmp(prefix.bytes, job.bytes, prefix.count) == 0) {
            return true;
        }
    }
    return client->prefix_count == 0;
}
