#!/usr/bin/env bats
# docs.bats -- the pages for people name only what exists: every command with its flags, every error code,
# and a section of the runbook for every alert and every alarm.
load helper

docs=$(cd "$BATS_TEST_DIRNAME/../../docs" && pwd)

# Commands in `spans` and in indented blocks, one a line, without what follows a pipe or a comment.
commands() {
    {
        grep -ho '`tidings [^`]*`' "$@" | tr -d '`'
        sed -n 's/^    \(tidings .*\)/\1/p' "$@"
    } | sed 's/ [|#>].*//' | sort -u
}

@test "every command of the pages exists, with its flags" {
    commands "$docs/RUNBOOK.md" "$docs/OPERATIONS.md" "$docs/FAQ.md" "$docs/../README.md" >commands.txt
    [ "$(wc -l <commands.txt)" -gt 40 ]
    while read -r _ first second rest; do
        verb=$first
        [ "$first" != roster ] || verb="roster $second"
        # shellcheck disable=SC2086
        "$TIDINGS" help $verb >help.txt || { echo "no verb: $verb"; return 1; }
        for flag in $(printf '%s\n' $second $rest | grep -e '^--[a-z]' | sed 's/[^a-z-].*//'); do
            grep -q -e "$flag" help.txt || { echo "$verb has no $flag"; return 1; }
        done
    done <commands.txt
}

@test "every error code of the pages exists" {
    for code in $(grep -oh 'TD-E[0-9]\{4\}' "$docs"/*.md "$docs/../README.md" | grep -v TD-E0000 | sort -u); do
        run_tidings 0 errors "$code"
    done
}

@test "the runbook has a section for each alert and each alarm" {
    for alert in RegionStale LinkBacklog LinkDown Isolated Diverged UpdatesLost ReplicationSlow ForgedUpdates \
        ClockSkew StoreFilling NodeDown ReloadFailed SilentJobs VersionSkew; do
        section=$(sed -n "/^## Tidings$alert\$/,/^## /p" "$docs/RUNBOOK.md")
        for part in Means Check Do; do
            has "$section" "**$part.**"
        done
        has "$section" tidings
    done
    for alarm in clone equivocation "rolled back" fenced "roster fork"; do
        grep -q "^## $alarm\$" "$docs/RUNBOOK.md"
    done
}

@test "events that the pages name are events of the log" {
    for event in $(grep -oh 'ev=[a-z_]*' "$docs/RUNBOOK.md" "$docs/OPERATIONS.md" "$docs/FAQ.md" | sort -u); do
        grep -q "^    X(${event#ev=}," "$docs/../node/daemon/events.h" || { echo "$event"; return 1; }
    done
}
