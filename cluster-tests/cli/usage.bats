#!/usr/bin/env bats
# usage.bats -- wrong usage, help, exit codes and the two output streams. No daemon is needed.
load helper

@test "help goes to stdout, starts with two examples and exits 0" {
    run_tidings 0 --help
    [ "$(sed -n 1p out.txt)" = "Examples:" ]
    has "$(sed -n 2p out.txt)" '$ tidings '
    has "$(sed -n 3p out.txt)" '$ tidings '
    [ -z "$err" ]
}

@test "every verb of the help has help of its own that starts with two examples" {
    run_tidings 0 help
    verbs=$(sed -n 's/^  \([a-z][a-z-]*\( [a-z][a-z-]*\)\{0,1\}\) .*/\1/p' out.txt | grep -v '^tidings' | sort -u)
    count=0
    while read -r verb; do
        # shellcheck disable=SC2086  # two words are two arguments
        run_tidings 0 help $verb
        [ "$(head -n 1 out.txt)" = "Examples:" ]
        [ "$(sed -n '2,3p' out.txt | grep -c '\$ tidings ')" -eq 2 ]
        count=$((count + 1))
    done <<<"$(printf '%s\n' publish get list watch wait explain history peers mesh regions keygen pubkey \
        'roster init' 'roster add' 'roster add-client' 'roster set' 'roster show' 'roster status' \
        'roster verify' 'roster push' 'roster close' 'roster revoke' 'roster rotate' 'roster log' bench replay drain errors completion version help top conflicts check \
        doctor bundle reload loglevel backup)"
    [ "$count" -eq 39 ]
    [ "$(wc -l <<<"$verbs")" -eq "$count" ]
    for verb in publish get list watch wait explain history peers mesh regions keygen pubkey bench replay; do
        grep -q "^$verb$\|^$verb " <<<"$verbs"
    done
}

@test "chaos verbs work but are not in the help" {
    run_tidings 0 help
    lacks '^  fault' out.txt
    run_tidings 0 help fault cut
}

@test "without a verb the help goes to stderr and the exit code is 2" {
    run_tidings 2
    [ -z "$out" ]
    has "$err" "Usage: tidings"
}

@test "unknown verbs and flags exit 2 and name the nearest one" {
    run_tidings 2 publsh
    has "$err" 'did you mean `publish`'
    has "$err" TD-E0101
    run_tidings 2 roster ad x
    has "$err" 'did you mean `roster add`'
    run_tidings 2 get a --attemt 2
    has "$err" 'did you mean --attempt'
    run_tidings 2 frobnicate
    [ -z "$out" ]
}

@test "wrong values exit 2 with their own code" {
    run_tidings 2 publish a running --progress 140
    has "$err" TD-E0104
    run_tidings 2 publish a runing
    has "$err" TD-E0103
    run_tidings 2 publish a running --expect-every 1ms
    has "$err" TD-E0109
    run_tidings 2 publish a running --label nothing
    has "$err" TD-E0106
    run_tidings 2 get a --max-stale soon
    has "$err" "not a duration"
    run_tidings 2 get "$(printf 'a\nb')"
    has "$err" TD-E0102
    run_tidings 2 wait a --any --all
    has "$err" "contradict"
    run_tidings 2 bench --rate 10
    has "$err" "--confirm-cluster"
}

@test "an unreachable node exits 4 and is named" {
    for verb in "get a" "list" "peers" "mesh" "regions" "explain a" "history a" "publish a running" "watch" "wait a" "roster show" "drain" "top" "conflicts" "reload" "loglevel debug" "backup -o /nowhere/b" "bundle -o b.tgz"; do
        # shellcheck disable=SC2086  # verb and argument
        run_tidings 4 -n "ipc://$PWD/nobody.sock" --timeout 500ms $verb
        has "$err" nobody.sock
        has "$err" TD-E0501
        [ -z "$out" ]
    done
}

@test "environment is used and a flag goes before it" {
    export TIDINGS_NODE="ipc://$PWD/from-environment.sock"
    run_tidings 4 --timeout 500ms get a
    has "$err" from-environment.sock
    run_tidings 4 --timeout 500ms -n "ipc://$PWD/from-flag.sock" get a
    has "$err" from-flag.sock
    export TIDINGS_OUTPUT=json
    run_tidings 0 version
    [ "$(jq -r .schema out.txt)" = "tidings.version/1" ]
    run_tidings 0 version -o plain
    [ "$(cat out.txt)" = "$(sed -n 's/^.*version\/1","program":"tidings","version":"\(.*\)"}$/\1/p' <("$TIDINGS" version --json))" ]
    export TIDINGS_OUTPUT=xml
    run_tidings 2 version
    has "$err" TIDINGS_OUTPUT
}

@test "text from the command line cannot act on the terminal" {
    run_tidings 2 "$(printf 'x\033[31my')"
    lacks "$(printf '\033')" err.txt
}

@test "every error code explains itself" {
    run_tidings 0 errors -o plain
    [ "$(wc -l <out.txt)" -gt 40 ]
    cut -f1 out.txt >codes.txt
    grep -o '^    X(TD_E[A-Z]*, [0-9]*' "$BATS_TEST_DIRNAME/../../proto/err.h" | sed 's/.*, //' | sort -n >numbers.txt
    [ "$(sed 's/TD-E0*//' codes.txt | sort -n)" = "$(cat numbers.txt)" ]
    while read -r code; do
        run_tidings 0 errors "$code"
        has "$out" "$code"
    done <codes.txt
    run_tidings 0 errors td-e213
    has "$out" "TD-E0213"
    run_tidings 2 errors TD-E9999
    run_tidings 0 errors -o json
    [ "$(jq '.errors | length' out.txt)" -eq "$(wc -l <codes.txt)" ]
}

@test "completion scripts can be read by their shells" {
    for shell in bash zsh fish; do
        run_tidings 0 completion $shell
        has "$out" publish
        has "$out" from-jsonl
    done
    "$TIDINGS" completion bash >complete.sh
    bash -n complete.sh
    run_tidings 2 completion csh
}

@test "bash completion offers verbs, flags and words" {
    "$TIDINGS" completion bash >complete.sh
    offered() {
        bash -c 'source ./complete.sh; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidings; echo "${COMPREPLY[*]}"' -- "$@"
    }
    has "$(offered tidings pub)" publish
    has "$(offered tidings publish --from)" --from-jsonl
    has "$(offered tidings get a --output js)" jsonl
    has "$(offered tidings roster ad)" add-client
    has "$(offered tidings roster add x --pub)" --pubkey
}

@test "zsh completion offers verbs, flags and words" {
    command -v zsh >/dev/null || skip "no zsh here"
    "$TIDINGS" completion zsh >_tidings
    becomes() { python3 "$BATS_TEST_DIRNAME/press.py" "$1" "$2"; }
    becomes "tidings publ" "tidings publish" # the first TAB of a shell
    becomes "tidings publish --from" "publish --from-jsonl"
    becomes "tidings roster add-c" "roster add-client"
    becomes "tidings list --output pl" "--output plain"
}

@test "fish completion offers verbs, flags and words" {
    command -v fish >/dev/null || skip "no fish here"
    "$TIDINGS" completion fish >complete.fish
    offered() { HOME=$PWD fish -N -c 'source complete.fish; complete -C $argv[1]' "$1" | cut -f1 | tr '\n' ' '; }
    has "$(offered 'tidings pub')" publish
    has "$(offered 'tidings publish --from')" --from-jsonl
    has "$(offered 'tidings get a --output js')" jsonl
    has "$(offered 'tidings roster ad')" add-client
    has "$(offered 'tidings roster add x --pub')" --pubkey
}

@test "each jsonl line gets its answer in order, and the bad ones do not stop the rest" {
    printf '%s\n' '{"job":"a","state":"nonsense"}' 'not json' '' '{"state":"running"}' '{"job":"b","state":"running","progress":40}' >lines
    run_tidings 1 -n "ipc://$PWD/nobody.sock" --timeout 500ms publish --from-jsonl lines
    [ "$(wc -l <out.txt)" -eq 4 ]
    [ "$(jq -r .line out.txt | tr '\n' ' ')" = "1 2 4 5 " ]
    [ "$(jq -r .code out.txt | sed -n 1p)" = TD-E0103 ]
    [ "$(jq -r .code out.txt | sed -n 2p)" = TD-E0112 ]
    [ "$(jq -r .code out.txt | sed -n 4p)" = TD-E0104 ]
}

@test "a jsonl line without an end and one that is too long are answered as well" {
    {
        head -c 70000 /dev/zero | tr '\0' 'x'
        printf '\n{"job":"a","state":"nonsense"}'
    } >lines
    run_tidings 1 -n "ipc://$PWD/nobody.sock" --timeout 500ms publish --from-jsonl lines
    [ "$(wc -l <out.txt)" -eq 2 ]
    [ "$(jq -r .line out.txt | tr '\n' ' ')" = "1 2 " ]
    has "$(sed -n 1p out.txt)" "longer than"
}

@test "a trace that cannot be read is refused before any node is asked" {
    run_tidings 1 -n "ipc://$PWD/nobody.sock" replay missing.swf
    has "$err" missing.swf
    printf '1 2 3\n' >bad.swf
    run_tidings 2 -n "ipc://$PWD/nobody.sock" replay bad.swf
    has "$err" "bad.swf, line 1"
}

@test "check speaks Nagios: 3 without an answer and for wrong usage, and one line on stdout" {
    run_tidings 3 -n "ipc://$PWD/nobody.sock" --timeout 500ms check
    [ "$(wc -l <out.txt)" -eq 1 ]
    has "$out" "TIDINGS UNKNOWN - "
    run_tidings 3 check nonsense
    has "$err" "links, freshness, backlog"
    run_tidings 3 check --no-such-flag
    run_tidings 3 check --warn 1s
    run_tidings 3 check store --warn 10s
    run_tidings 3 check links --warn 9s --crit 2s
    run_tidings 3 check links extra
}

@test "flags that name a file or a level are checked before any node is asked" {
    run_tidings 2 bundle
    has "$err" "-o FILE"
    run_tidings 2 backup -o relative/path
    has "$err" "absolute path"
    run_tidings 2 loglevel loud
    has "$err" "debug, info, warn or error"
    run_tidings 2 top --interval 0s
    run_tidings 4 -n "ipc://$PWD/nobody.sock" --timeout 500ms doctor
    has "$out" "no answer"
}
