/* cmd_doctor.c -- doctor: config, key, clock, log, links, delivery, in this order; each finding one
 * line, and at the end what to try. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "node/cli/checks.h"
#include "node/cli/doctor.h"
#include "node/cli/jobs.h"
#include "node/cli/roster_file.h"
#include "node/client/json.h"

enum { PROBE_MS = 3000, WHY_BYTES = 512, RELAY_HEARD_MS = 10000 };

void td_doctor_say(struct td_doctor *doctor, enum td_finding_level level, const char *part,
                   const char *format, ...)
{
    va_list list;

    if (doctor->count == TD_FINDINGS_MAX) {
        return;
    }
    struct td_finding *finding = &doctor->findings[doctor->count++];
    finding->level = level;
    finding->part = part;
    va_start(list, format);
    vsnprintf(finding->text, sizeof finding->text, format, list);
    va_end(list);
}

void td_doctor_try(struct td_doctor *doctor, const char *format, ...)
{
    char text[TD_FINDING_BYTES];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    for (size_t i = 0; i < doctor->try_count; i++) {
        if (strcmp(doctor->tries[i], text) == 0) {
            return;
        }
    }
    if (doctor->try_count < TD_TRIES_MAX) {
        snprintf(doctor->tries[doctor->try_count++], TD_FINDING_BYTES, "%s", text);
    }
}

/* A number the node counts under this name; false when it is of an older version. */
static bool counter(const struct td_response *status, const char *name, uint64_t *ret_value)
{
    for (uint32_t i = 0; i < status->u.status.counter_count; i++) {
        if (td_text_equal(status->u.status.counters[i].name, td_text_of(name))) {
            *ret_value = status->u.status.counters[i].value;
            return true;
        }
    }
    return false;
}

static const char *ago(const struct td_response *status, uint64_t ms)
{
    return td_cli_duration(ms < status->now_ms ? status->now_ms - ms : 0);
}

static void look_at_config(struct td_doctor *doctor)
{
    uint64_t good = 1;
    uint64_t at_ms = 0;

    if (!counter(doctor->status, "config_reload_ok", &good) ||
        !counter(doctor->status, "config_read_at_ms", &at_ms)) {
        td_doctor_say(doctor, TD_FINDING_NOTE, "config", "the node is too old to say");
    } else if (good == 0) {
        td_doctor_say(doctor, TD_FINDING_FAIL, "config",
                      "the last reload was refused; the one of %s ago is in force",
                      ago(doctor->status, at_ms));
        td_doctor_try(doctor, "tidingsd check-config -c FILE ; tidings reload");
    } else {
        td_doctor_say(doctor, TD_FINDING_OK, "config", "read %s ago, no unknown key",
                      ago(doctor->status, at_ms));
    }
}

static void look_at_key(struct td_doctor *doctor)
{
    const struct td_response *status = doctor->status;
    uint64_t fork = 0;

    td_doctor_say(doctor, TD_FINDING_OK, "key", "in roster %llu as %s",
                  (unsigned long long)status->u.status.roster_version,
                  td_cli_shown(status->node_name));
    if (counter(status, "roster_fork", &fork) && fork != 0) {
        td_doctor_say(doctor, TD_FINDING_FAIL, "key",
                      "two rosters of one version were signed: the root key was used twice");
        td_doctor_try(doctor, "tidings roster status ; see \"roster fork\" in docs/RUNBOOK.md");
    }
}

static int compare_offsets(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Only on the node's own host does the kernel's word on NTP mean anything. */
static const char *ntp_text(const struct td_cli *cli)
{
    struct timex state = {0};

    if (strncmp(cli->nodes, "ipc://", 6) != 0) {
        return "";
    }
    return adjtimex(&state) == TIME_ERROR ? "; the kernel says NTP is not in step"
                                          : "; NTP in step";
}

static void look_at_clock(struct td_doctor *doctor)
{
    int64_t offsets[TD_REGION_NUMBER_MAX];
    size_t count = 0;

    for (uint32_t i = 0; i < doctor->status->u.status.region_count; i++) {
        const struct td_region_view *view = &doctor->status->u.status.regions[i];
        if (!view->self && view->offset_known && count < TD_REGION_NUMBER_MAX) {
            offsets[count++] = view->offset_ms;
        }
    }
    if (count == 0) {
        td_doctor_say(doctor, TD_FINDING_NOTE, "clock", "no other region to compare with%s",
                      ntp_text(doctor->cli));
        return;
    }
    qsort(offsets, count, sizeof offsets[0], compare_offsets);
    int64_t median_ms = offsets[count / 2];
    uint64_t off_ms = (uint64_t)(median_ms < 0 ? -median_ms : median_ms);
    bool bad = td_level_of(off_ms, td_limits_default[TD_CHECK_CLOCK]) == TD_LEVEL_CRITICAL;
    td_doctor_say(doctor, bad ? TD_FINDING_FAIL : TD_FINDING_OK, "clock",
                  "%llu ms %s the median of %s%s", (unsigned long long)off_ms,
                  median_ms > 0 ? "behind" : "ahead of", td_cli_plural(count, "region", "regions"),
                  ntp_text(doctor->cli));
    if (bad) {
        td_doctor_try(doctor, "timedatectl timesync-status");
    }
}

static void look_at_log(struct td_doctor *doctor)
{
    const struct td_response *status = doctor->status;
    uint64_t flushes = 0;
    uint64_t total_ns = 0;
    uint64_t max_ns = 0;
    uint64_t p99_us = 0;
    uint64_t failed = 0;
    struct td_check_row row[TD_CHECK_ROWS_MAX];

    (void)counter(status, "log_flushes", &flushes);
    (void)counter(status, "log_flush_ns_total", &total_ns);
    (void)counter(status, "log_flush_ns_max", &max_ns);
    (void)counter(status, "log_flush_p99_us", &p99_us);
    (void)counter(status, "log_groups_failed", &failed);
    td_checks_run(status, TD_CHECK_STORE, td_limits_default[TD_CHECK_STORE], row);
    td_doctor_say(
        doctor, row[0].level == TD_LEVEL_OK ? TD_FINDING_OK : TD_FINDING_FAIL, "log",
        "%.1f MiB of %.1f MiB, flush p99 %.1f ms, mean %.2f ms, max %.1f ms, %s failed%s%s",
        (double)status->u.status.log_bytes / 1048576.0,
        (double)status->u.status.log_limit_bytes / 1048576.0,
        (double)(p99_us * 1000 < max_ns ? p99_us * 1000 : max_ns) / 1e6,
        flushes == 0 ? 0.0 : (double)total_ns / (double)flushes / 1e6, (double)max_ns / 1e6,
        td_cli_plural(failed, "write", "writes"),
        status->u.status.publishing ? "" : "; reports are refused: ",
        status->u.status.publishing ? "" : td_cli_shown(status->message));
    uint64_t damaged = 0;
    uint64_t missing = 0;
    (void)counter(status, "log_damaged_records", &damaged);
    (void)counter(status, "log_missing_segments", &missing);
    if (damaged + missing > 0) {
        td_doctor_say(doctor, TD_FINDING_NOTE, "log",
                      "%s and %s found at the start; what others hold came back from them",
                      td_cli_plural(damaged, "damaged record", "damaged records"),
                      td_cli_plural(missing, "missing segment", "missing segments"));
        td_doctor_try(doctor, "smartctl -a DISK ; the log at the start, ev=log_recovered");
    }
    if (row[0].level != TD_LEVEL_OK) {
        td_doctor_try(doctor, "df -h DATA ; raise limits.log and restart tidingsd");
    }
}

static void look_at_alarms(struct td_doctor *doctor)
{
    static struct td_check_row rows[TD_CHECK_ROWS_MAX];
    size_t count =
        td_checks_run(doctor->status, TD_CHECK_ALARMS, td_limits_default[TD_CHECK_ALARMS], rows);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].level != TD_LEVEL_OK) {
            td_doctor_say(doctor, TD_FINDING_FAIL, "alarm", "%s: %s",
                          td_cli_region(doctor->status, rows[i].region), rows[i].word);
            td_doctor_try(doctor, "tidings conflicts ; see \"%s\" in docs/RUNBOOK.md",
                          rows[i].word);
        }
    }
}

/* ---- links ---- */

/* ", us-east hears it": others' word on a region we have no link to. */
static void others_text(const struct td_doctor *doctor, const struct td_region_view *about,
                        char *ret_text, size_t text_bytes)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < doctor->status->u.status.region_count; i++) {
        const struct td_region_view *by = &doctor->status->u.status.regions[i];
        if (!by->self && by != about && by->heard && td_region_hears(by, about)) {
            int more = snprintf(ret_text + used, text_bytes - used, "; %.32s hears it",
                                td_cli_region(doctor->status, by->region));
            used = more > 0 && used + (size_t)more < text_bytes ? used + (size_t)more : used;
        }
    }
    if (used == 0) {
        snprintf(ret_text, text_bytes, "; nobody hears it");
    }
}

static void try_endpoint(struct td_doctor *doctor, struct td_text endpoint)
{
    const char *address = td_cli_shown(endpoint);
    const char *colon = strrchr(address, ':');

    if (strncmp(address, "tcp://", 6) == 0 && colon != NULL) {
        td_doctor_try(doctor, "from this host: nc -zv %.*s %s", (int)(colon - address - 6),
                      address + 6, colon + 1);
    }
}

/* Each address of a region that is not reached, tried from here. */
static void probe_endpoints(struct td_doctor *doctor, const struct td_roster_region *region,
                            const struct td_region_view *view)
{
    char probe[256];
    char others[160];

    others_text(doctor, view, others, sizeof others);
    for (uint32_t i = 0; i < region->endpoint_count; i++) {
        bool connected = td_probe_tcp(region->endpoints[i], PROBE_MS, probe, sizeof probe);
        td_doctor_say(
            doctor, TD_FINDING_FAIL, "link", "%s: no link. %s%s%s", td_cli_shown(region->name),
            probe, connected ? ": so the port answers, and the nodes do not accept each other" : "",
            others);
        if (!connected) {
            try_endpoint(doctor, region->endpoints[i]);
        }
    }
    if (region->endpoint_count == 0) {
        td_doctor_say(doctor, TD_FINDING_FAIL, "link",
                      "%s: no link, and no address in the roster%s", td_cli_shown(region->name),
                      others);
    }
}

static void look_at_link(struct td_doctor *doctor, const struct td_region_view *view,
                         const struct td_roster *roster, bool probe)
{
    const struct td_roster_region *region =
        roster == NULL ? NULL : td_roster_region(roster, view->region);
    const char *name = td_cli_region(doctor->status, view->region);
    char others[160];

    if (view->direct && view->link_state != TD_LINK_DOWN) {
        td_doctor_say(doctor, TD_FINDING_OK, "link", "%s: up, heard %s ago, round trip %.1f ms",
                      name, view->heard ? td_cli_duration(view->heard_age_ms) : "never",
                      view->rtt_us / 1000.0);
        return;
    }
    td_doctor_try(doctor, "tidings mesh ; journalctl -u tidingsd on both hosts, ev=link_state");
    if (probe && region != NULL) {
        probe_endpoints(doctor, region, view);
        return;
    }
    others_text(doctor, view, others, sizeof others);
    td_doctor_say(doctor, TD_FINDING_FAIL, "link", "%s: no link, heard %s%s%s", name,
                  view->heard ? td_cli_duration(view->heard_age_ms) : "never",
                  view->heard ? " ago" : "", others);
}

/* The roster names the addresses; without it links are only what the node says. */
static void look_at_links(struct td_doctor *doctor, bool probe)
{
    struct td_request request = {.op = TD_OP_ROSTER_GET};
    struct td_call_options options = {.this_node_only = true};
    struct td_call_result result = {0};
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";
    bool here = strncmp(doctor->cli->nodes, "ipc://", 6) == 0;

    bool got =
        td_call(doctor->cli->tidings, &request, &options, &result) == TD_OK &&
        result.response.err == TD_OK &&
        td_roster_file_decode(result.response.u.roster, NULL, &file, why, sizeof why) == TD_OK;
    for (uint32_t i = 0; i < doctor->status->u.status.region_count; i++) {
        const struct td_region_view *view = &doctor->status->u.status.regions[i];
        bool wanted = doctor->only.v == 0 || doctor->only.v == view->region.v;
        if (!view->self && view->roster_state != TD_REGION_CLOSED && wanted) {
            look_at_link(doctor, view, got ? &file.roster : NULL, probe && here);
        }
    }
    td_roster_file_release(&file);
    td_call_release(&result);
}

/* ---- the report ---- */

static unsigned problems(const struct td_doctor *doctor)
{
    unsigned count = 0;

    for (size_t i = 0; i < doctor->count; i++) {
        count += doctor->findings[i].level == TD_FINDING_FAIL;
    }
    return count;
}

/* Every region gets what is reported here, directly or through others. The canary knows best;
 * without it a relay that is heard counts. */
static bool data_flows(const struct td_doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        const struct td_finding *finding = &doctor->findings[i];
        if (finding->level == TD_FINDING_FAIL && strcmp(finding->part, "delivery") == 0) {
            return false;
        }
    }
    for (uint32_t i = 0; i < doctor->status->u.status.region_count; i++) {
        const struct td_region_view *view = &doctor->status->u.status.regions[i];
        if (!view->self && view->roster_state != TD_REGION_CLOSED && !view->direct &&
            (view->via.v == 0 || view->heard_age_ms > RELAY_HEARD_MS)) {
            return false;
        }
    }
    return doctor->status->u.status.publishing;
}

static void print_text(const struct td_doctor *doctor)
{
    static const char *const words[] = {"ok", "note", "FAIL"};
    bool plain = doctor->cli->form == TD_FORM_PLAIN;

    for (size_t i = 0; i < doctor->count; i++) {
        const struct td_finding *finding = &doctor->findings[i];
        printf(plain ? "%s\t%s\t%s\n" : "%-5s %-9s %s\n", words[finding->level], finding->part,
               finding->text);
    }
    if (plain) {
        return;
    }
    for (size_t i = 0; i < doctor->try_count; i++) {
        printf("%-5s %-9s %s\n", i == 0 ? "try" : "", "", doctor->tries[i]);
    }
    unsigned count = problems(doctor);
    if (count == 0) {
        printf("No problem found. Next: tidings peers\n");
    } else {
        printf("%s, %s.\n", td_cli_plural(count, "problem", "problems"),
               data_flows(doctor) ? "data still flows" : "some region gets no data");
    }
}

static void print_json(const struct td_doctor *doctor)
{
    static const char *const words[] = {"ok", "note", "fail"};
    json_t *findings = json_array();
    json_t *tries = json_array();
    json_t *body = td_json_envelope(doctor->status, "tidings.doctor/1", NULL);

    for (size_t i = 0; i < doctor->count; i++) {
        json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "level",
                                                  words[doctor->findings[i].level], "part",
                                                  doctor->findings[i].part, "text",
                                                  doctor->findings[i].text));
    }
    for (size_t i = 0; i < doctor->try_count; i++) {
        json_array_append_new(tries, json_string(doctor->tries[i]));
    }
    json_object_set_new(body, "problems", json_integer(problems(doctor)));
    json_object_set_new(body, "data_flows", json_boolean(data_flows(doctor)));
    json_object_set_new(body, "findings", findings);
    json_object_set_new(body, "try", tries);
    (void)td_cli_print_json(doctor->cli, body);
}

static int examine(struct td_doctor *doctor)
{
    bool probe = !td_args_has(doctor->cli->args, TD_FLAG_NO_PROBE);

    look_at_config(doctor);
    look_at_key(doctor);
    look_at_clock(doctor);
    look_at_log(doctor);
    look_at_alarms(doctor);
    look_at_links(doctor, probe);
    if (probe) {
        td_doctor_delivery(doctor);
    }
    if (td_cli_json(doctor->cli)) {
        print_json(doctor);
    } else {
        print_text(doctor);
    }
    return problems(doctor) == 0 ? 0 : 1;
}

int td_cmd_doctor(struct td_cli *cli)
{
    static struct td_doctor doctor; /* too large for the stack */
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_options options = {.this_node_only = true};
    struct td_call_result status;

    doctor = (struct td_doctor){.cli = cli};
    int code = td_cli_call(cli, &request, &options, &status);
    doctor.status = &status.response;
    if (code == 0 && cli->args->argument_count > 0) {
        doctor.only = td_region_of_name(&status.response, cli->args->arguments[0]);
        if (doctor.only.v == 0) {
            code =
                td_cli_fail(cli, TD_EUSAGE, "no region is called `%s`; tidings regions lists them",
                            td_cli_shown(td_text_of(cli->args->arguments[0])));
        }
    }
    if (code == 0) {
        code = examine(&doctor);
    } else if (code == td_err_exit_code(TD_ENONODE) && !td_cli_json(cli)) {
        puts("FAIL  node      no answer; try: systemctl status tidingsd ; tidingsd check-config");
    }
    td_call_release(&status);
    return code;
}
