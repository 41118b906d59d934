/* options.h -- the one table of verbs and flags. Parsing, --help, suggestions, shell completion and
 * man pages are all made from it, so they cannot differ. Read-only data. */
#ifndef TD_CLI_OPTIONS_H
#define TD_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum td_flag_id {
    TD_FLAG_NONE = 0, /* ends a list */
    /* global */
    TD_FLAG_NODE,
    TD_FLAG_KEY,
    TD_FLAG_ROOT,
    TD_FLAG_MIN_ROSTER,
    TD_FLAG_OUTPUT,
    TD_FLAG_JSON,
    TD_FLAG_MAX_STALE,
    TD_FLAG_TIMEOUT,
    TD_FLAG_AFTER,
    TD_FLAG_UTC,
    TD_FLAG_COLOR,
    TD_FLAG_QUIET,
    TD_FLAG_VERBOSE,
    TD_FLAG_HELP,
    TD_FLAG_GLOBAL_LAST = TD_FLAG_HELP,
    /* jobs */
    TD_FLAG_ATTEMPT,
    TD_FLAG_PROGRESS,
    TD_FLAG_DETAIL,
    TD_FLAG_PARENT,
    TD_FLAG_LABEL,
    TD_FLAG_WRITER,
    TD_FLAG_EXPECT_EVERY,
    TD_FLAG_ACK,
    TD_FLAG_CORRECT,
    TD_FLAG_FROM_JSONL,
    TD_FLAG_ALL_ATTEMPTS,
    TD_FLAG_REQUIRE_FRESH,
    TD_FLAG_STATE,
    TD_FLAG_ORIGIN,
    TD_FLAG_PREFIX,
    TD_FLAG_SINCE,
    TD_FLAG_SILENT,
    TD_FLAG_CONFLICTS,
    TD_FLAG_LIMIT,
    TD_FLAG_CURSOR,
    TD_FLAG_SORT,
    TD_FLAG_FROM,
    TD_FLAG_FOR,
    TD_FLAG_OR_LOST,
    TD_FLAG_ANY,
    TD_FLAG_ALL,
    /* cluster */
    TD_FLAG_WATCH,
    TD_FLAG_WIDE,
    TD_FLAG_INTERVAL,
    TD_FLAG_ONCE,
    TD_FLAG_TOP_SORT,
    TD_FLAG_WARN,
    TD_FLAG_CRIT,
    TD_FLAG_FORMAT,
    TD_FLAG_NO_PROBE,
    TD_FLAG_BUNDLE,
    TD_FLAG_CONFIG,
    /* trust */
    TD_FLAG_OUT,
    TD_FLAG_CLUSTER,
    TD_FLAG_ROOT_KEY,
    TD_FLAG_ROSTER,
    TD_FLAG_RETAIN,
    TD_FLAG_ABANDON,
    TD_FLAG_MAX_ABSENCE,
    TD_FLAG_REGISTERS_MAX,
    TD_FLAG_BYTES_MAX,
    TD_FLAG_PUBKEY,
    TD_FLAG_ENDPOINT,
    TD_FLAG_QUOTA,
    TD_FLAG_QUOTA_BYTES,
    TD_FLAG_ROLE,
    TD_FLAG_CLIENT_PREFIX,
    TD_FLAG_DRY_RUN,
    TD_FLAG_WITHOUT,
    TD_FLAG_DOUBT_SINCE,
    TD_FLAG_CLIENT,
    /* operate */
    TD_FLAG_RATE,
    TD_FLAG_JOBS,
    TD_FLAG_DURATION,
    TD_FLAG_PAYLOAD,
    TD_FLAG_IN_FLIGHT,
    TD_FLAG_BATCH,
    TD_FLAG_NODES,
    TD_FLAG_CONFIRM_CLUSTER,
    TD_FLAG_SPEED,
    TD_FLAG_MAP,
    TD_FLAG_REPLAY_PREFIX,
    TD_FLAG_VERIFY,
    TD_FLAG_ONLY_VERIFY,
    TD_FLAG_ONE_WAY,
    TD_FLAG_BACKUP,
    TD_FLAG_COUNT
};

enum td_kind {
    TD_KIND_SWITCH,   /* no value */
    TD_KIND_TEXT,     /* anything, not empty */
    TD_KIND_NUMBER,   /* whole number in min..max, or one of words */
    TD_KIND_SIZE,     /* bytes with an optional KiB, MiB, GiB, TiB */
    TD_KIND_DURATION, /* 500ms 30s 10m 12h 30d */
    TD_KIND_PERCENT,  /* 0..100 with at most two decimals */
    TD_KIND_WORD,     /* one of words */
    TD_KIND_WORDS,    /* comma-separated, each one of words */
};

struct td_flag {
    enum td_flag_id id;
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum td_kind kind;
    const char *value; /* what help calls the value */
    const char *words; /* separated by |; NULL = none */
    uint64_t min, max; /* TD_KIND_NUMBER and TD_KIND_SIZE */
    bool repeats;      /* may be given several times; else once, or of all verbs the last counts */
    const char *help;
};

enum td_verb_id {
    TD_VERB_PUBLISH,
    TD_VERB_GET,
    TD_VERB_LIST,
    TD_VERB_WATCH,
    TD_VERB_WAIT,
    TD_VERB_EXPLAIN,
    TD_VERB_HISTORY,
    TD_VERB_PEERS,
    TD_VERB_MESH,
    TD_VERB_REGIONS,
    TD_VERB_TOP,
    TD_VERB_CONFLICTS,
    TD_VERB_CHECK,
    TD_VERB_DOCTOR,
    TD_VERB_BUNDLE,
    TD_VERB_KEYGEN,
    TD_VERB_PUBKEY,
    TD_VERB_ROSTER_INIT,
    TD_VERB_ROSTER_ADD,
    TD_VERB_ROSTER_ADD_CLIENT,
    TD_VERB_ROSTER_SET,
    TD_VERB_ROSTER_CLOSE,
    TD_VERB_ROSTER_REVOKE,
    TD_VERB_ROSTER_ROTATE,
    TD_VERB_ROSTER_LOG,
    TD_VERB_ROSTER_SHOW,
    TD_VERB_ROSTER_STATUS,
    TD_VERB_ROSTER_VERIFY,
    TD_VERB_ROSTER_PUSH,
    TD_VERB_BENCH,
    TD_VERB_REPLAY,
    TD_VERB_DRAIN,
    TD_VERB_RELOAD,
    TD_VERB_LOGLEVEL,
    TD_VERB_BACKUP,
    TD_VERB_ERRORS,
    TD_VERB_COMPLETION,
    TD_VERB_VERSION,
    TD_VERB_HELP,
    TD_VERB_FAULT_CUT,
    TD_VERB_FAULT_HEAL,
    TD_VERB_COUNT
};

enum { TD_VERB_FLAGS_MAX = 16 };

struct td_verb {
    enum td_verb_id id;
    const char *group; /* heading in help; NULL = hidden */
    const char *name;  /* one word, or two separated by a space */
    const char *arguments;
    unsigned arguments_min, arguments_max;
    const char *summary;
    const char *text;     /* paragraphs below the summary; may be NULL */
    const char *examples; /* lines, two at least */
    enum td_flag_id flags[TD_VERB_FLAGS_MAX];
};

/* Both tables are indexed by id. Flag 0 is not a flag. */
extern const struct td_flag td_flags[TD_FLAG_COUNT];
extern const struct td_verb td_verbs[TD_VERB_COUNT];

/* NULL when there is none. verb NULL = global flags only; a verb's own flag goes before a global
 * one of the same letter (keygen -o FILE). */
const struct td_flag *td_flag_named(const struct td_verb *verb, const char *name, size_t count);
const struct td_flag *td_flag_lettered(const struct td_verb *verb, char letter);
const struct td_verb *td_verb_named(const char *name);
/* True when some verb's name starts with this word and a space. */
bool td_verb_is_group(const char *word);
/* True when word (count bytes) is one of the words separated by |. */
bool td_words_have(const char *words, const char *word, size_t count);

#endif
