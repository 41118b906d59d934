/* verbs.c -- the table of verbs: what each takes, says about itself and shows as examples. */
#include "node/cli/options.h"
#include "proto/limits.h"

#define PEOPLE_AND_MACHINES                                                                        \
    "\nOne object a line with --from-jsonl; a line that cannot be taken is answered in its place " \
    "and the\nrest goes on. Answers come in the order of the lines."

const struct td_verb td_verbs[TD_VERB_COUNT] = {
    [TD_VERB_PUBLISH] =
        {TD_VERB_PUBLISH,
         "jobs",
         "publish",
         "JOB STATE",
         0,
         2,
         "report the status of a job",
         "STATE is pending, starting, running, stopping, lost, completed, failed or stopped. "
         "Fields that are\n"
         "left out keep their value. Returns once the report is durable here." PEOPLE_AND_MACHINES,
         "tidings publish eu-4711 running --progress 40 --detail \"12 of 30 tables\"\n"
         "tidings publish --from-jsonl - < updates.jsonl",
         {TD_FLAG_ATTEMPT, TD_FLAG_PROGRESS, TD_FLAG_DETAIL, TD_FLAG_PARENT, TD_FLAG_LABEL,
          TD_FLAG_WRITER, TD_FLAG_EXPECT_EVERY, TD_FLAG_ACK, TD_FLAG_CORRECT, TD_FLAG_FROM_JSONL,
          TD_FLAG_IN_FLIGHT}},
    [TD_VERB_GET] = {TD_VERB_GET,
                     "jobs",
                     "get",
                     "JOB",
                     1,
                     1,
                     "status of a job, and how fresh it is",
                     "Exit 3: no region knows the job, and that is certain. Exit 5: not known "
                     "here, or older than asked for.",
                     "tidings get eu-4711\n"
                     "tidings get eu-4711 --max-stale 30s -o json",
                     {TD_FLAG_ATTEMPT, TD_FLAG_ALL_ATTEMPTS, TD_FLAG_REQUIRE_FRESH}},
    [TD_VERB_LIST] =
        {TD_VERB_LIST,
         "jobs",
         "list",
         "",
         0,
         0,
         "jobs that match",
         "`silent`: a promised report did not come. `region-not-heard`: the same, but the "
         "region that took\n"
         "the last one is not heard, so newer ones may be there.",
         "tidings list --state running --prefix acme/\n"
         "tidings list --silent -o plain",
         {TD_FLAG_STATE, TD_FLAG_ORIGIN, TD_FLAG_PREFIX, TD_FLAG_SINCE, TD_FLAG_SILENT,
          TD_FLAG_CONFLICTS, TD_FLAG_LIMIT, TD_FLAG_CURSOR, TD_FLAG_SORT}},
    [TD_VERB_WATCH] =
        {TD_VERB_WATCH,
         "jobs",
         "watch",
         "[JOB...]",
         0,
         TD_WATCH_JOBS_MAX,
         "follow changes as they arrive",
         "Goes on by itself after a lost connection. A `reset` line says that "
         "changes were merged away in\n"
         "between; the newest status of every job still follows. When a region is no "
         "longer heard, or is\n"
         "again, a line on stderr says so (with --max-stale and JSON also an object of "
         "schema\n"
         "tidings.freshness/1).",
         "tidings watch eu-4711\n"
         "tidings watch --state failed,lost -o jsonl",
         {TD_FLAG_FROM, TD_FLAG_STATE, TD_FLAG_ORIGIN, TD_FLAG_PREFIX, TD_FLAG_LIMIT}},
    [TD_VERB_WAIT] =
        {TD_VERB_WAIT,
         "jobs",
         "wait",
         "JOB...",
         1,
         TD_WATCH_JOBS_MAX,
         "wait until jobs reach a state",
         "States already passed count. Exit 0: reached. 7: another final state. 6: "
         "--timeout passed;\n5 instead when the answer is older than --max-stale, so that "
         "it may have been reached elsewhere.",
         "tidings wait eu-4711 --for completed --timeout 10m\n"
         "tidings wait eu-4711 eu-4712 --any",
         {TD_FLAG_FOR, TD_FLAG_ATTEMPT, TD_FLAG_OR_LOST, TD_FLAG_ANY, TD_FLAG_ALL}},
    [TD_VERB_EXPLAIN] = {TD_VERB_EXPLAIN,
                         "jobs",
                         "explain",
                         "JOB",
                         1,
                         1,
                         "why this is the status: versions, signers, rule",
                         NULL,
                         "tidings explain eu-4711\n"
                         "tidings explain eu-4711 --attempt 2 -o json",
                         {TD_FLAG_ATTEMPT}},
    [TD_VERB_HISTORY] = {TD_VERB_HISTORY,
                         "jobs",
                         "history",
                         "JOB",
                         1,
                         1,
                         "when each attempt entered each state",
                         NULL,
                         "tidings history eu-4711\n"
                         "tidings history eu-4711 -o json",
                         {TD_FLAG_ATTEMPT}},
    [TD_VERB_PEERS] =
        {TD_VERB_PEERS,
         "cluster",
         "peers",
         "",
         0,
         0,
         "each region as this node sees it",
         "WE LACK: updates they have and we do not. THEY LACK: ours that they have not confirmed.",
         "tidings peers\n"
         "tidings peers --watch --wide",
         {TD_FLAG_WATCH, TD_FLAG_WIDE, TD_FLAG_INTERVAL}},
    [TD_VERB_MESH] = {TD_VERB_MESH,
                      "cluster",
                      "mesh",
                      "",
                      0,
                      0,
                      "who hears whom, in each direction",
                      NULL,
                      "tidings mesh\n"
                      "tidings mesh --watch",
                      {TD_FLAG_WATCH, TD_FLAG_WIDE, TD_FLAG_INTERVAL}},
    [TD_VERB_REGIONS] = {TD_VERB_REGIONS,
                         "cluster",
                         "regions",
                         "",
                         0,
                         0,
                         "how complete and how old each region's part is here",
                         NULL,
                         "tidings regions\n"
                         "tidings regions --max-stale 10s -o json",
                         {TD_FLAG_WATCH, TD_FLAG_WIDE, TD_FLAG_INTERVAL}},
    [TD_VERB_TOP] =
        {TD_VERB_TOP,
         "jobs",
         "top",
         "",
         0,
         0,
         "what moves now: updates a second by region, and the newest reports",
         "LAG: how long the oldest of our updates waits to be confirmed there. RATE: updates a "
         "second made\n"
         "in that region and seen here. AGE: how old this node's view of it is.",
         "tidings top\n"
         "tidings top --once --sort rate -o json",
         {TD_FLAG_TOP_SORT, TD_FLAG_ONCE, TD_FLAG_INTERVAL}},
    [TD_VERB_CONFLICTS] =
        {TD_VERB_CONFLICTS,
         "cluster",
         "conflicts",
         "",
         0,
         0,
         "jobs with concurrent reports, and regions that contradict themselves",
         "`concurrent`: neither writer had seen the other. `finals`: so were two different final "
         "states.\n"
         "A region named with an alarm has signed two things that cannot both be true, or runs "
         "twice.",
         "tidings conflicts\n"
         "tidings conflicts --prefix acme/ -o json",
         {TD_FLAG_PREFIX, TD_FLAG_SINCE, TD_FLAG_LIMIT}},
    [TD_VERB_CHECK] =
        {TD_VERB_CHECK,
         "cluster",
         "check",
         "[WHAT]",
         0,
         1,
         "is all well: for Nagios, scripts and probes",
         "WHAT is links, freshness, backlog, clock, store, alarms or silent; without it all but "
         "silent.\n"
         "Exit codes are those of Nagios: 0 ok, 1 warning, 2 critical, 3 unknown (no answer, or "
         "wrong usage).\n"
         "Limits (--warn, --crit): links: last heard (5s, 10s); freshness: age (10s, 30s); "
         "backlog: oldest\n"
         "unconfirmed update (60s, 2m); clock: offset (500ms, 2s); store: per cent of limits.log "
         "(80, 95);\n"
         "silent: jobs (1, none).",
         "tidings check\n"
         "tidings check backlog --warn 30s --crit 2m",
         {TD_FLAG_WARN, TD_FLAG_CRIT, TD_FLAG_FORMAT}},
    [TD_VERB_DOCTOR] =
        {TD_VERB_DOCTOR,
         "cluster",
         "doctor",
         "[REGION]",
         0,
         1,
         "look for the fault, from the clock to delivery in every region",
         "Connects to each region's address and publishes a canary (job tidings/canary/REGION) "
         "unless --no-probe;\n"
         "ends with commands to try. Exit 1 when something is wrong.",
         "tidings doctor\n"
         "tidings doctor ap-south --no-probe",
         {TD_FLAG_NO_PROBE}},
    [TD_VERB_BUNDLE] = {TD_VERB_BUNDLE,
                        "cluster",
                        "bundle",
                        "",
                        0,
                        0,
                        "collect the node's state in one archive for whoever helps",
                        "No secret key, no token and no job goes in; manifest.json lists what did.",
                        "tidings bundle -o tidings-bundle.tar.gz\n"
                        "tidings bundle -o b.tar.gz --config /etc/tidings/tidingsd.yaml",
                        {TD_FLAG_BUNDLE, TD_FLAG_CONFIG}},
    [TD_VERB_KEYGEN] = {TD_VERB_KEYGEN,
                        "trust",
                        "keygen",
                        "",
                        0,
                        0,
                        "make a secret key; prints its public key",
                        NULL,
                        "tidings keygen -o root.key\n"
                        "tidings keygen -o worker-1.key",
                        {TD_FLAG_OUT}},
    [TD_VERB_PUBKEY] = {TD_VERB_PUBKEY,
                        "trust",
                        "pubkey",
                        "FILE",
                        1,
                        1,
                        "print the public key of a secret key",
                        NULL,
                        "tidings pubkey root.key\n"
                        "tidings roster add-client w --pubkey \"$(tidings pubkey w.key)\" "
                        "--root-key root.key --roster demo.roster",
                        {TD_FLAG_NONE}},
    [TD_VERB_ROSTER_INIT] =
        {TD_VERB_ROSTER_INIT,
         "trust",
         "roster init",
         "",
         0,
         0,
         "start a cluster: an empty roster signed by the root key",
         NULL,
         "tidings roster init --cluster demo --root-key root.key --roster demo.roster\n"
         "tidings roster init --cluster demo --root-key root.key --roster demo.roster --retain 7d "
         "--dry-run",
         {TD_FLAG_CLUSTER, TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER, TD_FLAG_RETAIN, TD_FLAG_ABANDON,
          TD_FLAG_MAX_ABSENCE, TD_FLAG_REGISTERS_MAX, TD_FLAG_BYTES_MAX, TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_ADD] = {TD_VERB_ROSTER_ADD,
                            "trust",
                            "roster add",
                            "REGION",
                            1,
                            1,
                            "admit a region",
                            "The only door in. Numbers are given in order and never used again.",
                            "tidings roster add eu-west --pubkey tdpk1:... --endpoint "
                            "tcp://10.0.0.1:7717 --root-key root.key --roster demo.roster\n"
                            "tidings roster push demo.roster",
                            {TD_FLAG_PUBKEY, TD_FLAG_ENDPOINT, TD_FLAG_QUOTA, TD_FLAG_QUOTA_BYTES,
                             TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER, TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_ADD_CLIENT] =
        {TD_VERB_ROSTER_ADD_CLIENT,
         "trust",
         "roster add-client",
         "NAME",
         1,
         1,
         "admit a remote client",
         NULL,
         "tidings roster add-client worker-1 --pubkey tdpk1:... --role publish --prefix acme/ "
         "--root-key root.key --roster demo.roster\n"
         "tidings roster push demo.roster",
         {TD_FLAG_PUBKEY, TD_FLAG_ROLE, TD_FLAG_CLIENT_PREFIX, TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER,
          TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_SET] =
        {TD_VERB_ROSTER_SET,
         "trust",
         "roster set",
         "[REGION]",
         0,
         1,
         "change the policy, or a region's quota and endpoints",
         NULL,
         "tidings roster set eu-west --quota 2000000 --root-key root.key --roster demo.roster\n"
         "tidings roster set --retain 60d --root-key root.key --roster demo.roster",
         {TD_FLAG_ENDPOINT, TD_FLAG_QUOTA, TD_FLAG_QUOTA_BYTES, TD_FLAG_RETAIN, TD_FLAG_ABANDON,
          TD_FLAG_MAX_ABSENCE, TD_FLAG_REGISTERS_MAX, TD_FLAG_BYTES_MAX, TD_FLAG_ROOT_KEY,
          TD_FLAG_ROSTER, TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_CLOSE] =
        {TD_VERB_ROSTER_CLOSE,
         "trust",
         "roster close",
         "REGION",
         1,
         1,
         "let a region leave, in two steps that lose nothing silently",
         "Step one (the region is active): the next roster says that it leaves. Push it; its node "
         "refuses\nreports from then on, and each member says what it has. Step two (the same command "
         "again, with a\nnode to ask): the next roster lists what all members together have; nothing "
         "else counts any more.\nA member that has not said so yet is named; --timeout waits for it, "
         "--without gives it up. Also the\nregion itself has to say so, or be given up when it is gone.",
         "tidings roster close old-eu --root-key root.key --roster demo.roster\n"
         "tidings roster push demo.roster && tidings roster status\n"
         "tidings roster close old-eu --timeout 30s --root-key root.key --roster demo.roster\n"
         "tidings roster close old-eu --without old-eu --dry-run --root-key root.key --roster "
         "demo.roster",
         {TD_FLAG_WITHOUT, TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER, TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_REVOKE] =
        {TD_VERB_ROSTER_REVOKE,
         "trust",
         "roster revoke",
         "NAME",
         1,
         1,
         "take a region's or a client's rights away",
         "A region: two steps as with `roster close`, but its links end with the first one, its own "
         "word\ncounts nothing, and what it reported with a stamp since --since is marked doubtful in "
         "every answer;\nnothing is changed. A client: it is gone with the next roster, its "
         "connections are closed.",
         "tidings roster revoke worker-1 --root-key root.key --roster demo.roster\n"
         "tidings roster revoke old-eu --since 2026-03-02T14:00:00Z --root-key root.key --roster "
         "demo.roster\n"
         "tidings roster push demo.roster\n"
         "tidings roster revoke old-eu --timeout 30s --root-key root.key --roster demo.roster",
         {TD_FLAG_DOUBT_SINCE, TD_FLAG_CLIENT, TD_FLAG_WITHOUT, TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER,
          TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_ROTATE] =
        {TD_VERB_ROSTER_ROTATE,
         "trust",
         "roster rotate",
         "REGION",
         1,
         1,
         "give a region a new key, and retire the old one",
         "Step one, with --pubkey: the new key is in force once the roster is pushed; put its file in "
         "place and\nrestart the node. Of the old key members take only what some of them said they "
         "have. Step two,\nwithout --pubkey and with a node to ask: the next roster lists what the old "
         "key signed; whoever\nstole it can add nothing.",
         "tidings roster rotate eu-west --pubkey tdpk1:... --root-key root.key --roster demo.roster\n"
         "tidings roster push demo.roster\n"
         "tidings roster rotate eu-west --timeout 30s --root-key root.key --roster demo.roster",
         {TD_FLAG_PUBKEY, TD_FLAG_WITHOUT, TD_FLAG_ROOT_KEY, TD_FLAG_ROSTER, TD_FLAG_DRY_RUN}},
    [TD_VERB_ROSTER_LOG] = {TD_VERB_ROSTER_LOG,
                            "trust",
                            "roster log",
                            "[FILE...]",
                            0,
                            TD_WATCH_JOBS_MAX,
                            "the chain of rosters, and what changed with each",
                            "Of the files named, or of those that the node keeps (the newest 256).",
                            "tidings roster log\n"
                            "tidings roster log old.roster demo.roster --root-key root.key",
                            {TD_FLAG_ROOT_KEY}},
    [TD_VERB_ROSTER_SHOW] = {TD_VERB_ROSTER_SHOW,
                             "trust",
                             "roster show",
                             "[FILE]",
                             0,
                             1,
                             "regions, clients and policy of a file or of the node",
                             NULL,
                             "tidings roster show\n"
                             "tidings roster show demo.roster -o json",
                             {TD_FLAG_ROSTER, TD_FLAG_ROOT_KEY}},
    [TD_VERB_ROSTER_STATUS] = {TD_VERB_ROSTER_STATUS,
                               "trust",
                               "roster status",
                               "",
                               0,
                               0,
                               "which roster each listed node has, and who is leaving",
                               "Of a region that leaves, or whose key was replaced, also which member "
                               "has said what it has\nof it under this roster, and whether the second "
                               "step can be taken.",
                               "tidings roster status -n ipc:///run/tidings/tidings.sock\n"
                               "tidings roster status -n tcp://10.0.0.1:7717,tcp://10.0.1.1:7717 "
                               "--key admin.key --root tdpk1:...",
                               {TD_FLAG_NONE}},
    [TD_VERB_ROSTER_VERIFY] = {TD_VERB_ROSTER_VERIFY,
                               "trust",
                               "roster verify",
                               "FILE",
                               1,
                               1,
                               "check signature and rules of a roster file",
                               NULL,
                               "tidings roster verify demo.roster --root tdpk1:...\n"
                               "tidings roster verify demo.roster --root-key root.key",
                               {TD_FLAG_ROOT_KEY}},
    [TD_VERB_ROSTER_PUSH] = {TD_VERB_ROSTER_PUSH,
                             "trust",
                             "roster push",
                             "FILE",
                             1,
                             1,
                             "give a running cluster the new roster, through any one node",
                             NULL,
                             "tidings roster push demo.roster\n"
                             "tidings -n ipc://data/tidings.sock roster push demo.roster",
                             {TD_FLAG_DRY_RUN}},
    [TD_VERB_BENCH] =
        {TD_VERB_BENCH,
         "operate",
         "bench",
         "",
         0,
         0,
         "measure a running cluster: open loop, verified at the end",
         "Publishes to the first node given with -n and measures when the others show it.",
         "tidings bench --rate 5000 --duration 30s --confirm-cluster demo\n"
         "tidings bench --rate max --duration 10s --confirm-cluster demo -n "
         "ipc://a.sock,ipc://b.sock,ipc://c.sock",
         {TD_FLAG_RATE, TD_FLAG_JOBS, TD_FLAG_DURATION, TD_FLAG_PAYLOAD, TD_FLAG_IN_FLIGHT,
          TD_FLAG_BATCH, TD_FLAG_NODES, TD_FLAG_CONFIRM_CLUSTER}},
    [TD_VERB_REPLAY] =
        {TD_VERB_REPLAY,
         "operate",
         "replay",
         "TRACE",
         1,
         1,
         "publish a workload trace (SWF, also .gz) and check every job",
         "-n lists one node per region; each job goes to one of them, and to the others when that "
         "one is gone.\n"
         "At the end every job is read back from every node and compared with the trace.",
         "tidings replay lcg.swf.gz -n ipc://eu.sock,ipc://us.sock,ipc://ap.sock\n"
         "tidings replay lcg.swf.gz --speed 3600 --prefix lcg",
         {TD_FLAG_SPEED, TD_FLAG_MAP, TD_FLAG_REPLAY_PREFIX, TD_FLAG_VERIFY, TD_FLAG_ONLY_VERIFY,
          TD_FLAG_IN_FLIGHT, TD_FLAG_BATCH, TD_FLAG_LIMIT}},
    [TD_VERB_DRAIN] = {TD_VERB_DRAIN,
                       "operate",
                       "drain",
                       "",
                       0,
                       0,
                       "refuse publishes, wait until a peer has everything",
                       "It answers and replicates on; stop it next. Exit 6: nobody has all yet.",
                       "tidings drain\n"
                       "tidings drain --timeout 30s",
                       {TD_FLAG_NONE}},
    [TD_VERB_RELOAD] = {TD_VERB_RELOAD,
                        "operate",
                        "reload",
                        "",
                        0,
                        0,
                        "read the configuration and the roster file again, all or nothing",
                        "Says what changed and what needs a restart. The same as SIGHUP, with an "
                        "answer.",
                        "tidings reload\n"
                        "tidings reload -n ipc://data/tidings.sock --json",
                        {TD_FLAG_NONE}},
    [TD_VERB_LOGLEVEL] = {TD_VERB_LOGLEVEL,
                          "operate",
                          "loglevel",
                          "LEVEL",
                          1,
                          1,
                          "change how much the node logs, until the next reload",
                          "LEVEL is debug, info, warn or error.",
                          "tidings loglevel debug\n"
                          "tidings loglevel info",
                          {TD_FLAG_NONE}},
    [TD_VERB_BACKUP] = {TD_VERB_BACKUP,
                        "operate",
                        "backup",
                        "",
                        0,
                        0,
                        "copy log and roster of the running node, consistent, without its key",
                        "The node writes the copy: DIRECTORY has to be on its host and writable "
                        "for its user.\n"
                        "To restore: put the copy in place of node.data, with the region's key; "
                        "see docs/OPERATIONS.md.",
                        "tidings backup -o /var/lib/tidings/backup-1\n"
                        "tidings backup -o /srv/backup/eu-west --timeout 10m",
                        {TD_FLAG_BACKUP}},
    [TD_VERB_ERRORS] = {TD_VERB_ERRORS,
                        "operate",
                        "errors",
                        "[CODE]",
                        0,
                        1,
                        "explain an error code, or list all",
                        NULL,
                        "tidings errors TD-E0213\n"
                        "tidings errors -o plain",
                        {TD_FLAG_NONE}},
    [TD_VERB_COMPLETION] =
        {TD_VERB_COMPLETION,
         "operate",
         "completion",
         "SHELL",
         1,
         1,
         "completion for bash, zsh or fish",
         NULL,
         "tidings completion bash > /usr/share/bash-completion/completions/tidings\n"
         "tidings completion fish > ~/.config/fish/completions/tidings.fish",
         {TD_FLAG_NONE}},
    [TD_VERB_VERSION] = {TD_VERB_VERSION,
                         "operate",
                         "version",
                         "",
                         0,
                         0,
                         "version of this program",
                         NULL,
                         "tidings version\n"
                         "tidings version --json",
                         {TD_FLAG_NONE}},
    [TD_VERB_HELP] = {TD_VERB_HELP,
                      "operate",
                      "help",
                      "[VERB]",
                      0,
                      2,
                      "help for a verb",
                      NULL,
                      "tidings help publish\n"
                      "tidings help roster add",
                      {TD_FLAG_NONE}},
    [TD_VERB_FAULT_CUT] = {TD_VERB_FAULT_CUT,
                           NULL,
                           "fault cut",
                           "REGION",
                           1,
                           1,
                           "cut the link to a region (only where chaos is on)",
                           NULL,
                           "tidings fault cut us-east\n"
                           "tidings fault cut us-east --one-way send",
                           {TD_FLAG_ONE_WAY}},
    [TD_VERB_FAULT_HEAL] = {TD_VERB_FAULT_HEAL,
                            NULL,
                            "fault heal",
                            "REGION",
                            1,
                            1,
                            "undo fault cut",
                            NULL,
                            "tidings fault heal us-east\n"
                            "tidings fault heal us-east -n ipc://eu.sock",
                            {TD_FLAG_NONE}},
};
