/* json_status.c -- the cluster as JSON: peers, mesh, regions, roster. */
#include <string.h>

#include "node/client/json_parts.h"
#include "node/client/text.h"

/* A region counts as hearing another when the newest tick it echoed is at most this old. */
enum { HEARS_MS_MAX = 10000 };

static struct td_text region_name(const struct td_response *response,
                                  const struct td_region_view *region)
{
    return region->name.count > 0 ? region->name
                                  : td_response_region_name(response, region->region);
}

static const char *state_word(const struct td_region_view *region)
{
    if (region->self) {
        return "self";
    }
    if (!region->direct && region->via.v != 0) {
        return "relay";
    }
    switch (region->link_state) {
    case TD_LINK_SELF:
        return "self";
    case TD_LINK_UP:
        return "up";
    case TD_LINK_LATE:
        return "late";
    case TD_LINK_DOWN:
        return "down";
    default:
        return "unknown";
    }
}

static const char *roster_state_word(uint8_t state)
{
    static const char *const words[] = {"active", "closing", "closed"};
    return state < sizeof words / sizeof words[0] ? words[state] : "unknown";
}

/* Oldest first, as one reads a line. */
static json_t *probes_json(const struct td_region_view *region)
{
    char text[17];
    for (unsigned i = 0; i < 16; i++) {
        text[i] = (region->probes >> (15 - i) & 1) != 0 ? '1' : '0';
    }
    text[16] = '\0';
    return region->self ? json_null() : json_string(text);
}

json_t *td_json_they_lack(const struct td_region_view *region)
{
    if (region->self || !region->they_lack_known) {
        return json_null();
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "updates", td_json_number(region->they_lack), "jobs",
                     region->they_lack_jobs == UINT32_MAX ? json_null()
                                                          : td_json_number(region->they_lack_jobs),
                     "oldest", td_json_time(region->oldest_unacked_ms), "eta_seconds",
                     region->eta_known ? td_json_seconds((int64_t)region->eta_ms) : json_null());
}

static json_t *alarms_json(const struct td_region_view *region)
{
    json_t *alarms = json_array();
    const struct {
        bool on;
        const char *word;
    } rows[] = {{region->clone_suspected, "clone"},
                {region->rolled_back, "rolled_back"},
                {region->equivocated, "equivocation"},
                {region->fenced, "fenced"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].on) {
            (void)json_array_append_new(alarms, json_string(rows[i].word));
        }
    }
    return alarms;
}

static json_t *last_heard(const struct td_response *response, const struct td_region_view *region)
{
    bool known = region->heard && !region->self && region->heard_age_ms < response->now_ms;
    return known ? td_json_time(response->now_ms - region->heard_age_ms) : json_null();
}

static json_t *peer_json(const struct td_response *response, const struct td_region_view *region)
{
    bool heard = region->heard && !region->self;
    json_t *json = json_object();
    (void)json_object_set_new(json, "region", td_json_string(region_name(response, region)));
    (void)json_object_set_new(json, "state", json_string(state_word(region)));
    (void)json_object_set_new(json, "direct", json_boolean(region->direct));
    (void)json_object_set_new(json, "via", td_json_region(response, region->via));
    (void)json_object_set_new(json, "last_heard", last_heard(response, region));
    (void)json_object_set_new(json, "age_seconds",
                              heard ? td_json_seconds((int64_t)region->heard_age_ms) : json_null());
    (void)json_object_set_new(json, "rtt_seconds",
                              region->rtt_known ? td_json_seconds_us(region->rtt_us) : json_null());
    (void)json_object_set_new(json, "probes", probes_json(region));
    (void)json_object_set_new(
        json, "we_lack",
        region->we_lack_known && !region->self ? td_json_number(region->we_lack) : json_null());
    (void)json_object_set_new(json, "they_lack", td_json_they_lack(region));
    (void)json_object_set_new(json, "clock_offset_seconds",
                              region->offset_known ? td_json_seconds(region->offset_ms)
                                                   : json_null());
    (void)json_object_set_new(json, "version", td_json_string_or_null(region->software));
    (void)json_object_set_new(
        json, "proto",
        region->proto_max > 0 ? json_pack("[i, i]", (int)region->proto_min, (int)region->proto_max)
                              : json_null());
    (void)json_object_set_new(json, "key", td_json_key(&region->sign_key));
    (void)json_object_set_new(json, "roster_state",
                              json_string(roster_state_word(region->roster_state)));
    (void)json_object_set_new(json, "sent_bytes", td_json_number(region->sent_bytes));
    (void)json_object_set_new(json, "received_bytes", td_json_number(region->received_bytes));
    (void)json_object_set_new(json, "reconnects", td_json_number(region->reconnects));
    (void)json_object_set_new(json, "alarms", alarms_json(region));
    return json;
}

static void close_body(json_t *json, const struct td_response *response)
{
    (void)json_object_set_new(json, "freshness", td_json_freshness(response));
}

json_t *td_json_peers(const struct td_response *response, const struct td_json_options *options)
{
    json_t *json = td_json_envelope(response, "tidings.peers/1", options);
    json_t *peers = json_array();
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        (void)json_array_append_new(peers, peer_json(response, &response->u.status.regions[i]));
    }
    (void)json_object_set_new(json, "peers", peers);
    close_body(json, response);
    return json;
}

/* What `by` says it hears of `about`. For ourselves the links and heads we see; for others the echo
 * table of their newest head. */
bool td_region_hears(const struct td_region_view *by, const struct td_region_view *about)
{
    if (by->self) {
        return about->heard && about->heard_age_ms <= HEARS_MS_MAX;
    }
    for (uint32_t i = 0; i < by->hears_count; i++) {
        if (by->hears[i].region.v == about->region.v) {
            /* As of when it was said: how old that is, is another matter. */
            uint64_t age_ms = by->hears[i].age_ms;
            age_ms -= by->heard_age_ms < age_ms ? by->heard_age_ms : age_ms;
            return by->hears[i].age_known && age_ms <= HEARS_MS_MAX;
        }
    }
    return false;
}

enum td_way td_region_way(const struct td_region_view *by, const struct td_region_view *about,
                          struct td_region *ret_via)
{
    *ret_via = (struct td_region){0};
    if (by->self) {
        *ret_via = about->via;
        return about->direct ? TD_WAY_DIRECT : TD_WAY_DETOUR;
    }
    for (uint32_t i = 0; i < by->detour_count; i++) {
        if (by->detours[i].region.v == about->region.v) {
            *ret_via = by->detours[i].via;
            return TD_WAY_DETOUR;
        }
    }
    return by->detours_said ? TD_WAY_DIRECT : TD_WAY_UNKNOWN;
}

static const struct td_fresh_view *hears_entry(const struct td_region_view *by,
                                               struct td_region about)
{
    for (uint32_t i = 0; i < by->hears_count; i++) {
        if (by->hears[i].region.v == about.v) {
            return &by->hears[i];
        }
    }
    return NULL;
}

static json_t *heard_json(const struct td_response *response, const struct td_region_view *by,
                          const struct td_region_view *about)
{
    const struct td_fresh_view *entry = hears_entry(by, about->region);
    bool rtt = by->self && about->rtt_known;
    bool age = by->self ? about->heard : entry != NULL && entry->age_known;
    uint64_t age_ms = by->self ? about->heard_age_ms : entry != NULL ? entry->age_ms : 0;
    struct td_region via;
    enum td_way way = td_region_way(by, about, &via);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "region",
                     td_json_string(region_name(response, about)), "rtt_seconds",
                     rtt ? td_json_seconds_us(about->rtt_us) : json_null(), "age_seconds",
                     age ? td_json_seconds((int64_t)age_ms) : json_null(), "direct",
                     way == TD_WAY_UNKNOWN ? json_null() : json_boolean(way == TD_WAY_DIRECT),
                     "via", td_json_region(response, via));
}

static json_t *report_json(const struct td_response *response, const struct td_region_view *by)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        const struct td_region_view *about = &response->u.status.regions[i];
        if (about != by && td_region_hears(by, about)) {
            (void)json_array_append_new(list, heard_json(response, by, about));
        }
    }
    json_t *age = by->self    ? json_real(0.0)
                  : by->heard ? td_json_seconds((int64_t)by->heard_age_ms)
                              : json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "by", td_json_string(region_name(response, by)),
                     "age_seconds", age, "via", td_json_region(response, by->via), "hears", list);
}

/* Only those who said something at all can be said not to hear. */
static bool speaks(const struct td_region_view *region)
{
    return region->self || (region->heard && region->heard_age_ms <= HEARS_MS_MAX);
}

static json_t *one_way_json(const struct td_response *response)
{
    const struct td_region_view *regions = response->u.status.regions;
    uint32_t count = response->u.status.region_count;
    json_t *pairs = json_array();
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) {
            if (a != b && speaks(&regions[a]) && speaks(&regions[b]) &&
                td_region_hears(&regions[a], &regions[b]) &&
                !td_region_hears(&regions[b], &regions[a])) {
                (void)json_array_append_new(
                    pairs, json_pack("[o, o]", td_json_string(region_name(response, &regions[a])),
                                     td_json_string(region_name(response, &regions[b]))));
            }
        }
    }
    return pairs;
}

bool td_regions_unlinked(const struct td_region_view *a, const struct td_region_view *b)
{
    struct td_region via;
    return speaks(a) && speaks(b) &&
           (td_region_way(a, b, &via) == TD_WAY_DETOUR ||
            td_region_way(b, a, &via) == TD_WAY_DETOUR);
}

static json_t *cut_links_json(const struct td_response *response)
{
    const struct td_region_view *regions = response->u.status.regions;
    json_t *pairs = json_array();
    for (uint32_t a = 0; a < response->u.status.region_count; a++) {
        for (uint32_t b = a + 1; b < response->u.status.region_count; b++) {
            if (td_regions_unlinked(&regions[a], &regions[b])) {
                (void)json_array_append_new(
                    pairs, json_pack("[o, o]", td_json_string(region_name(response, &regions[a])),
                                     td_json_string(region_name(response, &regions[b]))));
            }
        }
    }
    return pairs;
}

static json_t *cut_off_json(const struct td_response *response)
{
    const struct td_region_view *regions = response->u.status.regions;
    uint32_t count = response->u.status.region_count;
    json_t *names = json_array();
    for (uint32_t a = 0; a < count; a++) {
        bool heard = regions[a].roster_state == TD_REGION_CLOSED;
        for (uint32_t b = 0; b < count; b++) {
            heard = heard ||
                    (a != b && speaks(&regions[b]) && td_region_hears(&regions[b], &regions[a]));
        }
        if (!heard && count > 1) {
            (void)json_array_append_new(names, td_json_string(region_name(response, &regions[a])));
        }
    }
    return names;
}

json_t *td_json_mesh(const struct td_response *response, const struct td_json_options *options)
{
    json_t *json = td_json_envelope(response, "tidings.mesh/1", options);
    json_t *reports = json_array();
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        const struct td_region_view *by = &response->u.status.regions[i];
        if (by->self || by->heard) {
            (void)json_array_append_new(reports, report_json(response, by));
        }
    }
    (void)json_object_set_new(json, "mesh",
                              json_pack("{s:o, s:o, s:o, s:o}", "reports", reports, "one_way",
                                        one_way_json(response), "cut_off", cut_off_json(response),
                                        "cut_links", cut_links_json(response)));
    close_body(json, response);
    return json;
}

static json_t *region_json(const struct td_response *response, const struct td_region_view *region)
{
    json_t *json = json_pack(
        "{s:o, s:i, s:s, s:b, s:s}", "region", td_json_string(region_name(response, region)),
        "number", (int)region->region.v, "roster_state", roster_state_word(region->roster_state),
        "self", (int)region->self, "state", state_word(region));
    json_t *fresh = json_null();
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        if (response->freshness[i].region.v == region->region.v) {
            fresh = td_json_fresh(response, &response->freshness[i]);
        }
    }
    (void)json_object_set_new(json, "fresh", fresh);
    (void)json_object_set_new(json, "version", td_json_string_or_null(region->software));
    (void)json_object_set_new(json, "key", td_json_key(&region->sign_key));
    (void)json_object_set_new(json, "alarms", alarms_json(region));
    return json;
}

static json_t *counters_json(const struct td_response *response)
{
    json_t *counters = json_object();
    for (uint32_t i = 0; i < response->u.status.counter_count; i++) {
        char name[64];
        const struct td_counter *counter = &response->u.status.counters[i];
        if (counter->name.count < sizeof name) {
            memcpy(name, counter->name.bytes, counter->name.count);
            name[counter->name.count] = '\0';
            (void)json_object_set_new(counters, name, td_json_number(counter->value));
        }
    }
    return counters;
}

json_t *td_json_regions(const struct td_response *response, const struct td_json_options *options)
{
    json_t *json = td_json_envelope(response, "tidings.regions/1", options);
    json_t *regions = json_array();
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        (void)json_array_append_new(regions, region_json(response, &response->u.status.regions[i]));
    }
    (void)json_object_set_new(json, "regions", regions);
    (void)json_object_set_new(
        json, "local",
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "cluster",
                  td_json_string_or_null(response->cluster_name), "roster_version",
                  td_json_number(response->u.status.roster_version), "registers",
                  td_json_number(response->u.status.register_count), "log_bytes",
                  td_json_number(response->u.status.log_bytes), "log_limit_bytes",
                  td_json_number(response->u.status.log_limit_bytes), "publishing",
                  (int)response->u.status.publishing, "reason",
                  td_json_string_or_null(response->message), "counters", counters_json(response)));
    close_body(json, response);
    return json;
}

static json_t *texts_json(const struct td_text *texts, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, td_json_string(texts[i]));
    }
    return list;
}

static json_t *identity_json(const struct td_public_key *sign_key,
                             const struct td_public_key *link_key)
{
    struct td_identity identity = {*sign_key, *link_key};
    char text[TD_KEY_TEXT_BYTES];
    td_identity_to_text(&identity, text);
    return json_string(text);
}

static json_t *list_json(const struct td_closing *closings, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o}", "start", td_json_number(closings[i].incarnation.start),
                      "random", td_json_number(closings[i].incarnation.random), "last_seq",
                      td_json_number(closings[i].last_seq)));
    }
    return list;
}

static json_t *roster_region_json(const struct td_roster_region *region)
{
    const struct td_region_key *key = td_roster_newest_key(region);
    json_t *json = json_pack(
        "{s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "region",
        td_json_string(region->name), "number", (int)region->number.v, "state",
        roster_state_word((uint8_t)region->state), "key",
        key != NULL ? identity_json(&key->sign_key, &key->link_key) : json_null(), "endpoints",
        texts_json(region->endpoints, region->endpoint_count), "quota_registers",
        td_json_number(region->quota_registers), "quota_bytes", td_json_number(region->quota_bytes),
        "since_version", td_json_number(region->admitted_version), "doubtful_since",
        td_json_time(region->doubtful_since_ms), "closed",
        list_json(region->closed, region->closed_count));
    (void)json_object_set_new(json, "key_number",
                              key != NULL ? json_integer(key->number) : json_null());
    (void)json_object_set_new(json, "keys_retired_below",
                              region->retired_below != 0 ? json_integer(region->retired_below)
                                                         : json_null());
    (void)json_object_set_new(json, "retired", list_json(region->retired, region->retired_count));
    return json;
}

static json_t *roster_client_json(const struct td_roster_client *client)
{
    static const char *const roles[] = {"publish", "read", "admin"};
    const char *role = (unsigned)client->role < 3 ? roles[client->role] : "unknown";
    return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "client", td_json_string(client->name),
                     "number", td_json_number(client->number), "role", role, "key",
                     identity_json(&client->sign_key, &client->link_key), "prefixes",
                     texts_json(client->prefixes, client->prefix_count), "since_version",
                     td_json_number(client->admitted_version));
}

json_t *td_json_roster(const struct td_response *response, const struct td_roster *roster,
                       const struct td_json_options *options)
{
    json_t *regions = json_array();
    json_t *clients = json_array();
    for (uint32_t i = 0; i < roster->region_count; i++) {
        (void)json_array_append_new(regions, roster_region_json(&roster->regions[i]));
    }
    for (uint32_t i = 0; i < roster->client_count; i++) {
        (void)json_array_append_new(clients, roster_client_json(&roster->clients[i]));
    }
    uint64_t registers_max = roster->policy.registers_max;
    uint64_t bytes_max = roster->policy.bytes_max;
    registers_max = registers_max != 0 ? registers_max : 8 * TD_QUOTA_REGISTERS_DEFAULT;
    bytes_max = bytes_max != 0 ? bytes_max : 8 * TD_QUOTA_BYTES_DEFAULT;
    json_t *policy = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "retain_seconds", td_json_number(roster->policy.retain_s),
        "abandon_seconds", td_json_number(roster->policy.abandon_s), "max_absence_seconds",
        td_json_number(roster->policy.max_absence_s), "registers_max",
        td_json_number(registers_max), "bytes_max", td_json_number(bytes_max));
    json_t *body = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "cluster", td_json_string(roster->cluster_name),
        "version", td_json_number(roster->version), "issued", td_json_time(roster->issued_ms),
        "policy", policy, "regions", regions, "clients", clients);
    json_t *json = response != NULL ? td_json_envelope(response, "tidings.roster/1", options)
                                    : json_pack("{s:s}", "schema", "tidings.roster/1");
    (void)json_object_set_new(json, "roster", body);
    return json;
}
