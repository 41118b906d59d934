/* replay.h -- the verdict at the end of a replay: every job, at every node, against the trace. */
#ifndef TD_CLI_REPLAY_H
#define TD_CLI_REPLAY_H

#include "node/cli/cli.h"
#include "node/cli/swf_events.h"

struct td_verdict {
    struct td_cli *cli;
    const struct td_swf_trace *trace;
    const char *prefix;
    char *const *nodes;
    struct tidings *const *handles; /* their tokens say what was published */
    unsigned node_count;
    json_t *body; /* -o json: gets "ok" and "nodes"; NULL = in words */
};
/* Waits up to --timeout for all nodes to agree with the trace. Exit code; 0 only if they do. */
int td_replay_verdict(const struct td_verdict *verdict);

#endif
