/* cmd_bundle.c -- bundle: what whoever helps from afar will ask for, in one archive without
 * secrets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "node/cli/archive.h"
#include "node/cli/checks.h"
#include "node/cli/cli.h"
#include "node/cli/roster_file.h"
#include "node/client/json.h"

enum { CONFIG_BYTES_MAX = 1 << 20, WHY_BYTES = 512 };
#define CONFIG_DEFAULT "/etc/tidings/tidingsd.yaml"

struct bundle {
    struct td_cli *cli;
    const struct td_response *status;
    struct td_archive *archive;
    json_t *files;
    bool no_memory;
};

/* Everything passes through here: nothing gets in that was not looked at. */
static void add(struct bundle *self, const char *name, const char *what, const char *text)
{
    size_t redacted = 0;
    char *clean = text == NULL ? NULL : td_redact(text, &redacted);

    if (clean == NULL) {
        self->no_memory = true;
        return;
    }
    td_archive_add(self->archive, name, clean);
    json_array_append_new(self->files,
                          json_pack("{s:s, s:s, s:I, s:I}", "name", name, "what", what, "bytes",
                                    (json_int_t)strlen(clean), "redacted", (json_int_t)redacted));
    free(clean);
}

static void add_json(struct bundle *self, const char *name, const char *what, json_t *take_body)
{
    char *text = take_body == NULL ? NULL : json_dumps(take_body, JSON_INDENT(1));

    json_decref(take_body);
    add(self, name, what, text);
    free(text);
}

static void add_checks(struct bundle *self)
{
    static struct td_check_row rows[TD_CHECK_ROWS_MAX];
    json_t *list = json_array();

    for (int check = 0; check < TD_CHECK_SILENT; check++) {
        size_t count =
            td_checks_run(self->status, (enum td_check)check, td_limits_default[check], rows);
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:s, s:s}", "check", td_check_name(rows[i].check),
                                "region", (int)rows[i].region.v, "level",
                                td_level_name(rows[i].level), "word", rows[i].word));
        }
    }
    add_json(self, "check.json", "tidings check",
             json_pack("{s:s, s:o}", "schema", "tidings.bundle.check/1", "checks", list));
}

static int add_roster(struct bundle *self)
{
    struct td_request request = {.op = TD_OP_ROSTER_GET};
    struct td_call_options options = {.this_node_only = true};
    struct td_call_result result;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";

    int code = td_cli_call(self->cli, &request, &options, &result);
    if (code == 0 && result.response.u.roster.count > 0 &&
        td_roster_file_decode(result.response.u.roster, NULL, &file, why, sizeof why) == TD_OK) {
        add_json(self, "roster.json", "tidings roster show",
                 td_json_roster(&result.response, &file.roster, NULL));
    }
    td_roster_file_release(&file);
    td_call_release(&result);
    return code;
}

static void add_host(struct bundle *self)
{
    struct utsname name = {0};

    (void)uname(&name);
    add_json(self, "host.json", "where the bundle was made",
             json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "system", name.sysname, "release",
                       name.release, "machine", name.machine, "host", name.nodename, "processors",
                       (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "tidings", TD_VERSION));
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : calloc(1, CONFIG_BYTES_MAX + 1);
    size_t count = text == NULL ? 0 : fread(text, 1, CONFIG_BYTES_MAX, file);

    if (file != NULL) {
        fclose(file);
    }
    if (count == 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* A configuration that was asked for has to be there; the default one may not be readable for us.
 */
static int add_config(struct bundle *self)
{
    const char *given = td_args_text(self->cli->args, TD_FLAG_CONFIG);
    const char *environment = getenv("TIDINGS_CONFIG");
    const char *path = given != NULL ? given : environment != NULL ? environment : CONFIG_DEFAULT;
    char *text = read_text(path);

    if (text != NULL) {
        add(self, "tidingsd.yaml", "the configuration file", text);
        free(text);
        return 0;
    }
    return given == NULL ? 0
                         : td_cli_fail(self->cli, TD_EIO, "--config %s: %s",
                                       td_cli_shown(td_text_of(path)), strerror(errno));
}

static void add_manifest(struct bundle *self)
{
    char now[TD_TIME_TEXT_BYTES] = "";

    td_time_format(td_cli_wall_ms(), now);
    json_t *manifest = json_pack(
        "{s:s, s:s, s:s, s:O, s:[s, s, s]}", "schema", "tidings.bundle/1", "made", now, "node",
        td_cli_shown(self->status->node_name), "files", self->files, "left_out",
        "secret keys (only their public halves)", "tokens", "jobs: no id, detail, label or writer");
    add_json(self, "manifest.json", "this list", manifest);
}

static int fill(struct bundle *self)
{
    const struct td_response *status = self->status;

    add_json(self, "peers.json", "tidings peers", td_json_peers(status, NULL));
    add_json(self, "mesh.json", "tidings mesh", td_json_mesh(status, NULL));
    add_json(self, "regions.json", "tidings regions, with the node's counters",
             td_json_regions(status, NULL));
    add_checks(self);
    add_host(self);
    int code = add_roster(self);
    code = code != 0 ? code : add_config(self);
    add_manifest(self);
    return code;
}

static int write_bundle(struct bundle *self, const char *path)
{
    self->archive = td_archive_create(path, td_cli_wall_ms() / 1000);
    if (self->archive == NULL) {
        return td_cli_fail(self->cli, errno == EEXIST ? TD_EEXISTS : TD_EIO, "%s: %s",
                           td_cli_shown(td_text_of(path)), strerror(errno));
    }
    self->files = json_array();
    int code = fill(self);
    bool written = td_archive_close(self->archive);
    size_t count = json_array_size(self->files);
    json_decref(self->files);
    if (code == 0 && (!written || self->no_memory)) {
        code = td_cli_fail(self->cli, self->no_memory ? TD_ENOMEM : TD_EIO,
                           "%s could not be written", td_cli_shown(td_text_of(path)));
    }
    if (code != 0) {
        (void)unlink(path); /* ours: it was created exclusively above */
        return code;
    }
    if (td_cli_json(self->cli)) {
        return td_cli_print_json(self->cli,
                                 json_pack("{s:s, s:s, s:I}", "schema", "tidings.bundle/1", "file",
                                           path, "files", (json_int_t)count));
    }
    td_cli_note(self->cli,
                "%s: %s, no secret key, no token, no job; look at manifest.json before you send it",
                td_cli_shown(td_text_of(path)), td_cli_plural(count, "file", "files"));
    return 0;
}

int td_cmd_bundle(struct td_cli *cli)
{
    const char *path = td_args_text(cli->args, TD_FLAG_BUNDLE);
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_options options = {.this_node_only = true};
    struct td_call_result status;

    if (path == NULL) {
        return td_cli_fail(cli, TD_EUSAGE, "-o FILE says where the archive goes");
    }
    int code = td_cli_call(cli, &request, &options, &status);
    if (code == 0) {
        struct bundle self = {.cli = cli, .status = &status.response};
        code = write_bundle(&self, path);
    }
    td_call_release(&status);
    return code;
}
