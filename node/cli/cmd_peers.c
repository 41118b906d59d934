/* cmd_peers.c -- peers, mesh, regions: three views of one STATUS answer. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/cli/table.h"
#include "node/client/json.h"

enum { CELL_BYTES = 96 };

static const char *region_name(const struct td_response *response,
                               const struct td_region_view *region)
{
    return region->name.count > 0 ? td_cli_shown(region->name)
                                  : td_cli_region(response, region->region);
}

static bool gone(const struct td_region_view *region)
{
    return region->roster_state == TD_REGION_CLOSED;
}

static const char *link_word(const struct td_region_view *region)
{
    if (region->self) {
        return "self";
    }
    if (gone(region)) {
        return "closed";
    }
    if (!region->direct && region->via.v != 0) {
        return "relay";
    }
    switch (region->link_state) {
    case TD_LINK_UP:
        return "up";
    case TD_LINK_LATE:
        return "late";
    case TD_LINK_DOWN:
        return "DOWN";
    default:
        return "unknown";
    }
}

/* Oldest on the left, as one reads: # heard, . missed. */
static void probes_text(const struct td_region_view *region, char ret_text[17])
{
    for (unsigned i = 0; i < 16; i++) {
        ret_text[i] = (region->probes >> (15 - i) & 1) != 0 ? '#' : '.';
    }
    ret_text[16] = '\0';
}

static void they_lack_text(const struct td_cli *cli, const struct td_response *response,
                           const struct td_region_view *region, char *ret_text, size_t text_bytes)
{
    char jobs[48] = "";
    char via[48] = "";

    if (!region->they_lack_known) {
        snprintf(ret_text, text_bytes, "?");
        return;
    }
    if (cli->form == TD_FORM_PLAIN) {
        snprintf(ret_text, text_bytes, "%llu", (unsigned long long)region->they_lack);
        return;
    }
    if (region->they_lack > 0 && region->they_lack_jobs != UINT32_MAX) {
        snprintf(jobs, sizeof jobs, " (%s)", td_cli_plural(region->they_lack_jobs, "job", "jobs"));
    }
    if (!region->direct && region->via.v != 0) {
        snprintf(via, sizeof via, " via %.32s", td_cli_region(response, region->via));
    }
    snprintf(ret_text, text_bytes, "%llu%s%s", (unsigned long long)region->they_lack, jobs, via);
}

static void version_text(const struct td_region_view *region, char *ret_text, size_t text_bytes)
{
    char proto[32] = "";
    char alarms[80];

    if (region->proto_max > 0 && region->proto_min != region->proto_max) {
        snprintf(proto, sizeof proto, " (proto %u-%u)", region->proto_min, region->proto_max);
    }
    snprintf(alarms, sizeof alarms, "%s%s%s%s", region->clone_suspected ? " CLONE" : "",
             region->rolled_back ? " ROLLED-BACK" : "", region->equivocated ? " EQUIVOCATION" : "",
             region->fenced ? " FENCED" : "");
    snprintf(ret_text, text_bytes, "%.32s%s%s", td_cli_shown(region->software), proto, alarms);
}

static void peer_row(const struct td_cli *cli, struct td_table *table,
                     const struct td_response *response, const struct td_region_view *region)
{
    char heard[CELL_BYTES] = "";
    char rtt[CELL_BYTES] = "";
    char probes[17] = "";
    char we_lack[CELL_BYTES] = "";
    char they_lack[CELL_BYTES * 2] = "";
    char clock[CELL_BYTES] = "";
    char version[CELL_BYTES * 2];
    char traffic[CELL_BYTES] = "";

    version_text(region, version, sizeof version);
    if (!region->self) {
        snprintf(heard, sizeof heard, "%s",
                 region->heard ? td_cli_age(cli, region->heard_age_ms) : "never");
        if (region->rtt_known && region->direct) {
            snprintf(rtt, sizeof rtt, cli->form == TD_FORM_PLAIN ? "%.3f" : "%.1f",
                     region->rtt_us / 1000.0);
        }
        if (region->offset_known) {
            snprintf(clock, sizeof clock, "%+lld%s", (long long)region->offset_ms,
                     cli->form == TD_FORM_PLAIN ? "" : " ms");
        }
        snprintf(we_lack, sizeof we_lack, "%s", "?");
        if (region->we_lack_known) {
            snprintf(we_lack, sizeof we_lack, "%llu", (unsigned long long)region->we_lack);
        }
        probes_text(region, probes);
        they_lack_text(cli, response, region, they_lack, sizeof they_lack);
        snprintf(traffic, sizeof traffic, "%llu/%llu/%llu", (unsigned long long)region->sent_bytes,
                 (unsigned long long)region->received_bytes,
                 (unsigned long long)region->reconnects);
    }
#define CELL(text) ((text)[0] == '\0' ? NULL : (text))
    td_table_row(table,
                 (const char *const[]){region_name(response, region), link_word(region),
                                       CELL(heard), CELL(rtt), CELL(probes), CELL(we_lack),
                                       CELL(they_lack), CELL(clock), CELL(version), CELL(traffic)});
#undef CELL
}

static uint64_t counter_of(const struct td_response *response, const char *name)
{
    size_t count = strlen(name);

    for (uint32_t i = 0; i < response->u.status.counter_count; i++) {
        const struct td_counter *counter = &response->u.status.counters[i];
        if (counter->name.count == count && memcmp(counter->name.bytes, name, count) == 0) {
            return counter->value;
        }
    }
    return 0;
}

/* What the node itself lost, who is getting something back: nobody should need a log for that. */
static void damage_line(const struct td_response *response)
{
    uint64_t records = counter_of(response, "log_damaged_records");
    uint64_t segments = counter_of(response, "log_missing_segments");
    bool recovering = false;

    if (records + segments > 0) {
        printf("%s's log was damaged when it started: %s,", td_cli_shown(response->node_name),
               td_cli_plural(records, "damaged record", "damaged records"));
        printf(" %s. ", td_cli_plural(segments, "missing segment", "missing segments"));
    }
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        if (response->freshness[i].recovering) {
            printf("%s is recovering what it lost from the others. ",
                   td_cli_region(response, response->freshness[i].region));
        }
        recovering = recovering || (response->freshness[i].recovering &&
                                    response->freshness[i].region.v == response->node.v);
    }
    if (!recovering && records + segments > 0) {
        printf("What it lacked it has from the others. ");
    }
}

/* "1 of 3 direct links is down. 37 jobs wait for ap-south, oldest 4m10s; nothing is lost. Next:
 * ..." */
static void peers_summary(const struct td_response *response)
{
    unsigned links = 0;
    unsigned down = 0;
    const struct td_region_view *worst = NULL;

    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        const struct td_region_view *region = &response->u.status.regions[i];
        if (region->self || gone(region)) {
            continue;
        }
        links++;
        down += !region->direct;
        bool lacks = region->they_lack_known && region->they_lack > 0;
        if (lacks && (worst == NULL || region->they_lack > worst->they_lack)) {
            worst = region;
        }
    }
    damage_line(response);
    if (links == 0) {
        printf("No other region is in the roster. Next: tidings roster add\n");
        return;
    }
    if (down == 0) {
        printf("All %s up.", links == 1 ? "links (1) are"
                                        : td_cli_plural(links, "direct link", "direct links are"));
    } else {
        printf("%u of %s %s down.", down, td_cli_plural(links, "direct link", "direct links"),
               down == 1 ? "is" : "are");
    }
    if (worst != NULL) {
        bool jobs = worst->they_lack_jobs != UINT32_MAX;
        printf(" %s for %s",
               td_cli_plural(jobs ? worst->they_lack_jobs : worst->they_lack,
                             jobs ? "job waits" : "update waits",
                             jobs ? "jobs wait" : "updates wait"),
               region_name(response, worst));
        if (worst->oldest_unacked_ms != 0 && worst->oldest_unacked_ms <= response->now_ms) {
            printf(", oldest %s", td_cli_duration(response->now_ms - worst->oldest_unacked_ms));
        }
        if (worst->eta_known && worst->direct) {
            printf(", all there in about %s", td_cli_duration(worst->eta_ms));
        }
        printf("; nothing is lost.");
    }
    if (worst != NULL && !worst->direct) {
        printf(" Next: tidings doctor %s\n", region_name(response, worst));
    } else {
        printf(" Next: tidings %s\n", down > 0 ? "mesh" : "regions");
    }
}

static int print_peers(struct td_cli *cli, const struct td_response *response)
{
    static const struct td_column columns[] = {
        {.name = "REGION"},
        {.name = "STATE"},
        {.name = "HEARD", .right = true},
        {.name = "RTT ms", .right = true},
        {.name = "LAST 16 PROBES"},
        {.name = "WE LACK", .right = true},
        {.name = "THEY LACK"},
        {.name = "CLOCK", .right = true},
        {.name = "VERSION"},
        {.name = "SENT/RECEIVED/RECONNECTS", .wide = true},
    };
    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, td_json_peers(response, NULL));
    }
    struct td_table *table = td_table_alloc(cli, columns, 10);
    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        peer_row(cli, table, response, &response->u.status.regions[i]);
    }
    td_table_print(table);
    td_table_free(table);
    if (cli->form != TD_FORM_PLAIN) {
        peers_summary(response);
    }
    return 0;
}

/* What `by` says about `about`: whether, and how old that knowledge is. */
static bool hears_age(const struct td_region_view *by, const struct td_region_view *about,
                      uint64_t *ret_age_ms)
{
    *ret_age_ms = about->heard_age_ms;
    bool known = by->self && about->heard;

    for (uint32_t i = 0; !by->self && i < by->hears_count; i++) {
        if (by->hears[i].region.v == about->region.v) {
            known = by->hears[i].age_known;
            *ret_age_ms = by->hears[i].age_ms;
        }
    }
    return known;
}

/* What `by` says about `about`. */
static void mesh_cell(const struct td_response *response, const struct td_region_view *by,
                      const struct td_region_view *about, char ret_text[CELL_BYTES])
{
    struct td_region via;
    uint64_t age_ms = 0;
    bool known = hears_age(by, about, &age_ms);
    bool detour = td_region_way(by, about, &via) == TD_WAY_DETOUR;

    if (by == about || (!by->self && !by->heard)) {
        snprintf(ret_text, CELL_BYTES, "%s", by == about ? "-" : "?");
    } else if (by->self && about->direct && about->rtt_known) {
        snprintf(ret_text, CELL_BYTES, "%.*f ms", about->rtt_us < 10000 ? 1 : 0,
                 about->rtt_us / 1000.0);
    } else if (!known) {
        snprintf(ret_text, CELL_BYTES, "never");
    } else {
        snprintf(ret_text, CELL_BYTES, "%s %s%s%.32s", td_region_hears(by, about) ? "up" : "DOWN",
                 td_cli_duration(age_ms),
                 !detour      ? ""
                 : via.v != 0 ? " via "
                              : ", no link",
                 detour && via.v != 0 ? td_cli_region(response, via) : "");
    }
}

static void said_text(const struct td_response *response, const struct td_region_view *by,
                      char ret_text[CELL_BYTES])
{
    if (by->self) {
        snprintf(ret_text, CELL_BYTES, "now");
    } else if (!by->heard) {
        snprintf(ret_text, CELL_BYTES, "never");
    } else {
        bool relayed = !by->direct && by->via.v != 0;
        snprintf(ret_text, CELL_BYTES, "%s ago%s%.32s", td_cli_duration(by->heard_age_ms),
                 relayed ? ", via " : "", relayed ? td_cli_region(response, by->via) : "");
    }
}

/* The same truth as in the JSON body, read from it. */
static void mesh_summary(const struct td_response *response)
{
    json_t *body = td_json_mesh(response, NULL);
    json_t *mesh = json_object_get(body, "mesh");
    json_t *one_way = json_object_get(mesh, "one_way");
    json_t *cut_off = json_object_get(mesh, "cut_off");
    json_t *cut_links = json_object_get(mesh, "cut_links");
    size_t i = 0;
    json_t *item = NULL;

    json_array_foreach(one_way, i, item)
    {
        const char *hears = td_cli_shown(td_text_of(json_string_value(json_array_get(item, 0))));
        const char *deaf = td_cli_shown(td_text_of(json_string_value(json_array_get(item, 1))));
        printf("One-way: %s hears %s, %s does not hear %s (firewall?).\n", hears, deaf, deaf,
               hears);
    }
    json_array_foreach(cut_links, i, item)
    {
        printf("No direct link between %s",
               td_cli_shown(td_text_of(json_string_value(json_array_get(item, 0)))));
        printf(" and %s.\n", td_cli_shown(td_text_of(json_string_value(json_array_get(item, 1)))));
    }
    json_array_foreach(cut_off, i, item)
    {
        printf("Nobody hears %s.\n", td_cli_shown(td_text_of(json_string_value(item))));
    }
    if (json_array_size(cut_off) == 0) {
        printf("Nobody is cut off. Next: tidings peers\n");
    } else {
        printf("Next: tidings peers\n");
    }
    json_decref(body);
}

static const char *way_word(enum td_way way, struct td_region via)
{
    return way == TD_WAY_UNKNOWN  ? "unknown"
           : way == TD_WAY_DIRECT ? "direct"
           : via.v != 0           ? "relay"
                                  : "none";
}

/* A line a pair: by, about, word, seconds since heard, round trip in ms, seconds since said, way,
 * relay. A matrix would change its columns with each region. */
static void mesh_plain(const struct td_cli *cli, const struct td_response *response)
{
    const struct td_region_view *regions = response->u.status.regions;
    uint32_t count = response->u.status.region_count;

    for (uint32_t i = 0; i < count * count; i++) {
        const struct td_region_view *by = &regions[i / count];
        const struct td_region_view *about = &regions[i % count];
        uint64_t age_ms = 0;
        char rtt[32] = "";
        if (by == about) {
            continue;
        }
        bool speaks = by->self || by->heard;
        bool known = speaks && hears_age(by, about, &age_ms);
        if (by->self && about->direct && about->rtt_known) {
            snprintf(rtt, sizeof rtt, "%.3f", about->rtt_us / 1000.0);
        }
        struct td_region via = {0};
        enum td_way way = speaks ? td_region_way(by, about, &via) : TD_WAY_UNKNOWN;
        printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", region_name(response, by),
               region_name(response, about),
               !speaks                      ? "unknown"
               : !known                     ? "never"
               : td_region_hears(by, about) ? "up"
                                            : "down",
               known ? td_cli_age(cli, age_ms) : "", rtt,
               by->self    ? "0.000"
               : by->heard ? td_cli_age(cli, by->heard_age_ms)
                           : "",
               way_word(way, via), via.v != 0 ? td_cli_region(response, via) : "");
    }
}

static int print_mesh(struct td_cli *cli, const struct td_response *response)
{
    struct td_column columns[TD_REGIONS_MAX * 4 + 2];
    char names[TD_REGIONS_MAX * 4][TD_REGION_NAME_BYTES_MAX * 4];
    const char *cells[TD_REGIONS_MAX * 4 + 2];
    static char texts[TD_REGIONS_MAX * 4 + 2][CELL_BYTES];
    const struct td_region_view *regions = response->u.status.regions;
    uint32_t count = response->u.status.region_count;

    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, td_json_mesh(response, NULL));
    }
    if (cli->form == TD_FORM_PLAIN) {
        mesh_plain(cli, response);
        return 0;
    }
    count = count > TD_REGIONS_MAX * 4 ? TD_REGIONS_MAX * 4 : count;
    columns[0] = (struct td_column){.name = " "};
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s", region_name(response, &regions[i]));
        columns[i + 1] = (struct td_column){.name = names[i]};
    }
    columns[count + 1] = (struct td_column){.name = "said"};
    struct td_table *table = td_table_alloc(cli, columns, count + 2);
    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t row = 0; row < count; row++) {
        cells[0] = names[row];
        for (uint32_t i = 0; i < count; i++) {
            mesh_cell(response, &regions[row], &regions[i], texts[i]);
            cells[i + 1] = texts[i];
        }
        said_text(response, &regions[row], texts[count]);
        cells[count + 1] = texts[count];
        td_table_row(table, cells);
    }
    td_table_print(table);
    td_table_free(table);
    mesh_summary(response);
    return 0;
}

static void region_row(const struct td_cli *cli, struct td_table *table,
                       const struct td_response *response, const struct td_region_view *region)
{
    char number[8];
    char age[CELL_BYTES] = "";
    char missing[CELL_BYTES] = "";
    const struct td_fresh_view *fresh = NULL;

    for (uint32_t i = 0; i < response->freshness_count; i++) {
        if (response->freshness[i].region.v == region->region.v) {
            fresh = &response->freshness[i];
        }
    }
    snprintf(number, sizeof number, "%u", region->region.v);
    if (fresh != NULL) {
        snprintf(age, sizeof age, "%s%s",
                 fresh->age_known ? td_cli_age(cli, fresh->age_ms) : "unknown",
                 fresh->age_known && cli->form != TD_FORM_PLAIN ? " ago" : "");
    }
    if (fresh != NULL && fresh->missing_known) {
        snprintf(missing, sizeof missing, "%llu", (unsigned long long)fresh->missing);
    }
    const char *note = fresh == NULL       ? NULL
                       : fresh->recovering ? "recovering"
                       : fresh->doubt      ? "digest differs"
                                           : NULL;
    td_table_row(
        table,
        (const char *const[]){
            region_name(response, region), number, link_word(region),
            region->self     ? (cli->form == TD_FORM_PLAIN ? "0.000" : "now")
            : age[0] == '\0' ? NULL
                             : age,
            missing[0] == '\0' ? NULL : missing,
            fresh != NULL && fresh->via.v != 0 ? td_cli_region(response, fresh->via) : NULL, note});
}

static int print_regions(struct td_cli *cli, const struct td_response *response)
{
    static const struct td_column columns[] = {
        {.name = "REGION"},         {.name = "NO", .right = true},      {.name = "STATE"},
        {.name = "COMPLETE AS OF"}, {.name = "MISSING", .right = true}, {.name = "VIA"},
        {.name = "NOTE"},
    };
    char fresh[1024];

    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, td_json_regions(response, NULL));
    }
    struct td_table *table = td_table_alloc(cli, columns, 7);
    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        region_row(cli, table, response, &response->u.status.regions[i]);
    }
    td_table_print(table);
    td_table_free(table);
    if (cli->form == TD_FORM_PLAIN) {
        return 0;
    }
    td_fresh_text(cli, response, fresh, sizeof fresh);
    printf("%s holds %s, roster %llu%s. %s. Next: tidings peers\n",
           td_cli_shown(response->node_name),
           td_cli_plural(response->u.status.register_count, "register", "registers"),
           (unsigned long long)response->u.status.roster_version,
           response->u.status.publishing ? "" : ", does not take reports", fresh);
    if (!response->u.status.publishing && response->message.count > 0) {
        printf("No reports are taken: %s\n", td_cli_shown(response->message));
    }
    return 0;
}

static int ask_and_print(struct td_cli *cli,
                         int (*print)(struct td_cli *, const struct td_response *))
{
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result result;

    int code = td_cli_call(cli, &request, NULL, &result);
    if (code == 0) {
        code = print(cli, &result.response);
        code = code != 0 ? code : td_cli_check_stale(cli, &result.response);
    }
    td_call_release(&result);
    return code;
}

static int show(struct td_cli *cli, int (*print)(struct td_cli *, const struct td_response *))
{
    uint64_t pause_ms = td_args_ms(cli->args, TD_FLAG_INTERVAL, 2000);
    struct timespec pause = {(time_t)(pause_ms / 1000), (long)(pause_ms % 1000) * 1000000L};
    int code = 0;

    if (!td_args_has(cli->args, TD_FLAG_WATCH)) {
        return ask_and_print(cli, print);
    }
    while (ferror(stdout) == 0) {
        if (isatty(STDOUT_FILENO)) {
            fputs("\033[H\033[2J", stdout);
        }
        code = ask_and_print(cli, print);
        if (code != 0 && code != td_err_exit_code(TD_ESTALE) &&
            code != td_err_exit_code(TD_ENONODE)) {
            return code;
        }
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
    return code;
}

int td_cmd_peers(struct td_cli *cli)
{
    return show(cli, print_peers);
}

int td_cmd_mesh(struct td_cli *cli)
{
    return show(cli, print_mesh);
}

int td_cmd_regions(struct td_cli *cli)
{
    return show(cli, print_regions);
}
