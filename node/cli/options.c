/* options.c -- the table of flags, and the look-ups in it and in that of verbs (verbs.c). */
#include "node/cli/options.h"

#include <string.h>

#include "proto/limits.h"

#define STATE_WORDS "pending|starting|running|stopping|lost|completed|failed|stopped"
#define COUNT_MAX UINT64_C(9007199254740991) /* 2^53 - 1: what JSON numbers hold exactly */
#define WHOLE TD_KIND_NUMBER
#define SWITCH(id_, name_, letter_, help_)                                                         \
    [id_] = {.id = id_, .name = name_, .letter = letter_, .kind = TD_KIND_SWITCH, .help = help_}
#define VALUE(id_, name_, letter_, kind_, value_, help_)                                           \
    [id_] = {.id = id_,                                                                            \
             .name = name_,                                                                        \
             .letter = letter_,                                                                    \
             .kind = kind_,                                                                        \
             .value = value_,                                                                      \
             .help = help_}
#define MANY(id_, name_, value_, help_)                                                            \
    [id_] = {.id = id_,                                                                            \
             .name = name_,                                                                        \
             .kind = TD_KIND_TEXT,                                                                 \
             .value = value_,                                                                      \
             .repeats = true,                                                                      \
             .help = help_}
#define WORDS(id_, name_, letter_, kind_, value_, words_, help_)                                   \
    [id_] = {.id = id_,                                                                            \
             .name = name_,                                                                        \
             .letter = letter_,                                                                    \
             .kind = kind_,                                                                        \
             .value = value_,                                                                      \
             .words = words_,                                                                      \
             .help = help_}
#define NUMBER(id_, name_, kind_, value_, words_, min_, max_, help_)                               \
    [id_] = {.id = id_,                                                                            \
             .name = name_,                                                                        \
             .kind = kind_,                                                                        \
             .value = value_,                                                                      \
             .words = words_,                                                                      \
             .min = min_,                                                                          \
             .max = max_,                                                                          \
             .help = help_}

const struct td_flag td_flags[TD_FLAG_COUNT] = {
    VALUE(TD_FLAG_NODE, "node", 'n', TD_KIND_TEXT, "URL[,URL...]",
          "nodes to ask, tried in turn: ipc://PATH or tcp://HOST:PORT (environment TIDINGS_NODE)"),
    VALUE(TD_FLAG_KEY, "key", 0, TD_KIND_TEXT, "FILE", "own secret key, for tcp:// nodes"),
    VALUE(TD_FLAG_ROOT, "root", 0, TD_KIND_TEXT, "tdpk1:...",
          "the cluster's root public key, for tcp:// nodes"),
    NUMBER(TD_FLAG_MIN_ROSTER, "min-roster", WHOLE, "N", NULL, 0, COUNT_MAX,
           "refuse a node that shows an older roster"),
    WORDS(TD_FLAG_OUTPUT, "output", 'o', TD_KIND_WORD, "FORM", "table|wide|plain|json|jsonl",
          "form of the answer (environment TIDINGS_OUTPUT)"),
    SWITCH(TD_FLAG_JSON, "json", 0, "same as -o json"),
    VALUE(TD_FLAG_MAX_STALE, "max-stale", 0, TD_KIND_DURATION, "D",
          "exit 5 when the answer may be older than this; it is printed all the same"),
    VALUE(TD_FLAG_TIMEOUT, "timeout", 0, TD_KIND_DURATION, "D", "give up after this"),
    VALUE(TD_FLAG_AFTER, "after", 0, TD_KIND_TEXT, "TOKEN",
          "wait until the node has what this token has seen"),
    SWITCH(TD_FLAG_UTC, "utc", 0, "show times in UTC also on a terminal"),
    WORDS(TD_FLAG_COLOR, "color", 0, TD_KIND_WORD, "WHEN", "auto|always|never",
          "colour beside the words"),
    SWITCH(TD_FLAG_QUIET, "quiet", 'q', "no messages but errors"),
    SWITCH(TD_FLAG_VERBOSE, "verbose", 'v', "say what is being done, on stderr"),
    SWITCH(TD_FLAG_HELP, "help", 'h', "help for the verb"),

    NUMBER(TD_FLAG_ATTEMPT, "attempt", WHOLE, "N", NULL, 1, TD_ATTEMPT_MAX,
           "run of the job; default: the highest known, or 1"),
    VALUE(TD_FLAG_PROGRESS, "progress", 0, TD_KIND_PERCENT, "PERCENT", "0 to 100"),
    VALUE(TD_FLAG_DETAIL, "detail", 0, TD_KIND_TEXT, "TEXT",
          "one line for people, at most 512 bytes"),
    VALUE(TD_FLAG_PARENT, "parent", 0, TD_KIND_TEXT, "JOB", "the workflow this job belongs to"),
    MANY(TD_FLAG_LABEL, "label", "K=V", "a label; may be repeated"),
    VALUE(TD_FLAG_WRITER, "writer", 0, TD_KIND_TEXT, "NAME", "who reports, at most 64 bytes"),
    VALUE(TD_FLAG_EXPECT_EVERY, "expect-every", 0, TD_KIND_DURATION, "D",
          "promise to report at least this often"),
    NUMBER(TD_FLAG_ACK, "ack", WHOLE, "N|all", "all", 0, TD_REGIONS_MAX,
           "wait until this many other regions hold it; default 0: durable here"),
    SWITCH(TD_FLAG_CORRECT, "correct", 0, "replace another final state of the same attempt"),
    VALUE(TD_FLAG_FROM_JSONL, "from-jsonl", 0, TD_KIND_TEXT, "FILE",
          "one update a line; - reads standard input"),
    SWITCH(TD_FLAG_ALL_ATTEMPTS, "all-attempts", 0, "all attempts, highest first"),
    MANY(TD_FLAG_REQUIRE_FRESH, "require-fresh", "REGION",
         "exit 5 unless this region's part is complete and not stale"),
    WORDS(TD_FLAG_STATE, "state", 0, TD_KIND_WORDS, "STATE[,STATE...]", STATE_WORDS,
          "only these states"),
    VALUE(TD_FLAG_ORIGIN, "origin", 0, TD_KIND_TEXT, "REGION",
          "only reports accepted by this region"),
    VALUE(TD_FLAG_PREFIX, "prefix", 0, TD_KIND_TEXT, "TEXT", "only job ids that start like this"),
    VALUE(TD_FLAG_SINCE, "since", 0, TD_KIND_TEXT, "WHEN",
          "only reports since: a duration (10m) or an RFC 3339 time"),
    SWITCH(TD_FLAG_SILENT, "silent", 0, "only jobs that broke their expect-every promise"),
    SWITCH(TD_FLAG_CONFLICTS, "conflicts", 0, "only jobs with concurrent reports"),
    NUMBER(TD_FLAG_LIMIT, "limit", WHOLE, "N", NULL, 1, COUNT_MAX,
           "at most this many; default: all (list), no end (watch)"),
    VALUE(TD_FLAG_CURSOR, "cursor", 0, TD_KIND_TEXT, "CURSOR",
          "go on where an earlier answer ended"),
    WORDS(TD_FLAG_SORT, "sort", 0, TD_KIND_WORD, "KEY", "job|state|since",
          "order of the lines; default: as the node finds them"),
    VALUE(TD_FLAG_FROM, "from", 0, TD_KIND_TEXT, "CURSOR",
          "now (default), start, or the cursor of an earlier line"),
    WORDS(TD_FLAG_FOR, "for", 0, TD_KIND_WORD, "STATE", "final|" STATE_WORDS,
          "state to wait for; default final: any of completed, failed, stopped"),
    SWITCH(TD_FLAG_OR_LOST, "or-lost", 0, "lost, an observer's verdict, ends the wait as well"),
    SWITCH(TD_FLAG_ANY, "any", 0, "one of the jobs is enough"),
    SWITCH(TD_FLAG_ALL, "all", 0, "all jobs have to get there (default)"),

    SWITCH(TD_FLAG_WATCH, "watch", 0, "repeat until interrupted"),
    SWITCH(TD_FLAG_WIDE, "wide", 0, "more columns, same as -o wide"),
    VALUE(TD_FLAG_INTERVAL, "interval", 0, TD_KIND_DURATION, "D",
          "pause between repeats; default 2s"),
    SWITCH(TD_FLAG_ONCE, "once", 0, "measure over one interval, print once and end"),
    WORDS(TD_FLAG_TOP_SORT, "sort", 0, TD_KIND_WORD, "KEY", "lag|rate|age",
          "which region stands first: the one that lacks most of ours (default), sends most, or is "
          "oldest"),
    VALUE(TD_FLAG_WARN, "warn", 0, TD_KIND_TEXT, "LIMIT",
          "warning from here on: a duration, or a percentage for store"),
    VALUE(TD_FLAG_CRIT, "crit", 0, TD_KIND_TEXT, "LIMIT",
          "critical from here on: a duration, or a percentage for store"),
    WORDS(TD_FLAG_FORMAT, "format", 0, TD_KIND_WORD, "FORMAT", "nagios|json|prometheus",
          "form of the result; default nagios"),
    SWITCH(TD_FLAG_NO_PROBE, "no-probe", 0,
           "connect nowhere and publish no canary: only what the node says of itself"),
    VALUE(TD_FLAG_BUNDLE, "out", 'o', TD_KIND_TEXT, "FILE",
          "the archive (.tar.gz); never overwritten"),
    VALUE(TD_FLAG_CONFIG, "config", 0, TD_KIND_TEXT, "FILE",
          "the node's configuration file (environment TIDINGS_CONFIG)"),

    VALUE(TD_FLAG_OUT, "out", 'o', TD_KIND_TEXT, "FILE",
          "where the secret key goes; never overwritten"),
    VALUE(TD_FLAG_CLUSTER, "cluster", 0, TD_KIND_TEXT, "NAME",
          "name of the cluster, a label for people"),
    VALUE(TD_FLAG_ROOT_KEY, "root-key", 0, TD_KIND_TEXT, "FILE",
          "the root's secret key, which signs the roster"),
    VALUE(TD_FLAG_ROSTER, "roster", 0, TD_KIND_TEXT, "FILE", "the roster file"),
    VALUE(TD_FLAG_RETAIN, "retain", 0, TD_KIND_DURATION, "D",
          "keep final jobs this long; default 30d"),
    VALUE(TD_FLAG_ABANDON, "abandon", 0, TD_KIND_DURATION, "D",
          "drop jobs without a final state after this; default 365d"),
    VALUE(TD_FLAG_MAX_ABSENCE, "max-absence", 0, TD_KIND_DURATION, "D",
          "an absent region holds up expiry this long; default 7d"),
    NUMBER(TD_FLAG_REGISTERS_MAX, "registers-max", WHOLE, "N", NULL, 0, COUNT_MAX,
           "registers each node reserves for; 0 (default): eight default quotas"),
    NUMBER(TD_FLAG_BYTES_MAX, "bytes-max", TD_KIND_SIZE, "SIZE", NULL, 0, COUNT_MAX,
           "bytes each node reserves for; 0 (default): eight default quotas"),
    VALUE(TD_FLAG_PUBKEY, "pubkey", 0, TD_KIND_TEXT, "tdpk1:...",
          "public key of the region or client"),
    MANY(TD_FLAG_ENDPOINT, "endpoint", "URL",
         "tcp://HOST:PORT where other regions reach it; may be repeated"),
    NUMBER(TD_FLAG_QUOTA, "quota", WHOLE, "N", NULL, 1, COUNT_MAX,
           "live registers this region may accept; default 1000000"),
    NUMBER(TD_FLAG_QUOTA_BYTES, "quota-bytes", TD_KIND_SIZE, "SIZE", NULL, 1, COUNT_MAX,
           "live bytes this region may accept; default 512MiB"),
    WORDS(TD_FLAG_ROLE, "role", 0, TD_KIND_WORD, "ROLE", "publish|read|admin",
          "what the client may do; default publish"),
    MANY(TD_FLAG_CLIENT_PREFIX, "prefix", "TEXT",
         "job ids the client may touch start like this; may be repeated; default: all"),
    SWITCH(TD_FLAG_DRY_RUN, "dry-run", 0, "show what would change, change nothing"),
    MANY(TD_FLAG_WITHOUT, "without", "REGION",
         "do not wait for this member's word; what only it has may be lost; may be repeated"),
    VALUE(TD_FLAG_DOUBT_SINCE, "since", 0, TD_KIND_TEXT, "WHEN",
          "mark what it reported since: a duration ago (2h) or an RFC 3339 time"),
    SWITCH(TD_FLAG_CLIENT, "client", 0, "NAME is a client, although a region has the same name"),

    NUMBER(TD_FLAG_RATE, "rate", WHOLE, "N|max", "max", 1, 100000000,
           "updates per second, or max (default)"),
    NUMBER(TD_FLAG_JOBS, "jobs", WHOLE, "N", NULL, 1, 100000000,
           "distinct jobs the updates go to; default 10000"),
    VALUE(TD_FLAG_DURATION, "duration", 0, TD_KIND_DURATION, "D",
          "how long to publish; default 10s"),
    NUMBER(TD_FLAG_PAYLOAD, "payload", WHOLE, "BYTES", NULL, 0, TD_DETAIL_BYTES_MAX,
           "bytes of detail in each update; default 100"),
    NUMBER(TD_FLAG_IN_FLIGHT, "in-flight", WHOLE, "N", NULL, 1, 64,
           "requests awaiting their answer at one time; default 16"),
    NUMBER(TD_FLAG_BATCH, "batch", WHOLE, "N", NULL, 1, TD_REQUEST_UPDATES_MAX,
           "updates in one request; default 64; bench --rate max 1024, replay 512"),
    VALUE(TD_FLAG_NODES, "nodes", 0, TD_KIND_TEXT, "URL[,URL...]",
          "further nodes at which visibility is measured"),
    VALUE(TD_FLAG_CONFIRM_CLUSTER, "confirm-cluster", 0, TD_KIND_TEXT, "NAME",
          "name of the cluster that shall bear the load; required"),
    NUMBER(TD_FLAG_SPEED, "speed", WHOLE, "N|max", "max", 1, 1000000000,
           "N times real time, or max (default)"),
    WORDS(TD_FLAG_MAP, "map", 0, TD_KIND_WORD, "BY", "partition|user|queue",
          "which column chooses the node, modulo their number; default partition"),
    VALUE(TD_FLAG_REPLAY_PREFIX, "prefix", 0, TD_KIND_TEXT, "TEXT",
          "job ids are TEXT/NUMBER; default: the trace's file name"),
    SWITCH(TD_FLAG_VERIFY, "verify", 0, "read every job back at the end and compare (always done)"),
    SWITCH(TD_FLAG_ONLY_VERIFY, "only-verify", 0, "publish nothing; only read back and compare"),
    WORDS(TD_FLAG_ONE_WAY, "one-way", 0, TD_KIND_WORD, "DIRECTION", "send|receive",
          "cut only what this node sends, or only what it receives"),
    VALUE(TD_FLAG_BACKUP, "out", 'o', TD_KIND_TEXT, "DIRECTORY",
          "where the node writes the copy: an absolute path that is not there yet"),
};

static bool flag_is(const struct td_flag *flag, const char *name, size_t count)
{
    return strlen(flag->name) == count && memcmp(flag->name, name, count) == 0;
}

const struct td_flag *td_flag_named(const struct td_verb *verb, const char *name, size_t count)
{
    for (size_t i = 0; verb != NULL && i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE;
         i++) {
        if (flag_is(&td_flags[verb->flags[i]], name, count)) {
            return &td_flags[verb->flags[i]];
        }
    }
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        if (flag_is(&td_flags[id], name, count)) {
            return &td_flags[id];
        }
    }
    return NULL;
}

const struct td_flag *td_flag_lettered(const struct td_verb *verb, char letter)
{
    for (size_t i = 0; verb != NULL && i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE;
         i++) {
        if (td_flags[verb->flags[i]].letter == letter) {
            return &td_flags[verb->flags[i]];
        }
    }
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        if (td_flags[id].letter == letter) {
            return &td_flags[id];
        }
    }
    return NULL;
}

const struct td_verb *td_verb_named(const char *name)
{
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (strcmp(td_verbs[id].name, name) == 0) {
            return &td_verbs[id];
        }
    }
    return NULL;
}

bool td_verb_is_group(const char *word)
{
    size_t count = strlen(word);
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (strncmp(td_verbs[id].name, word, count) == 0 && td_verbs[id].name[count] == ' ') {
            return true;
        }
    }
    return false;
}

bool td_words_have(const char *words, const char *word, size_t count)
{
    for (const char *at = words; at != NULL && *at != '\0';) {
        size_t here = strcspn(at, "|");
        if (here == count && memcmp(at, word, count) == 0) {
            return true;
        }
        at += here + (at[here] == '|' ? 1 : 0);
    }
    return false;
}
