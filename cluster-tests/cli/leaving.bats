#!/usr/bin/env bats
# leaving.bats -- roster close, revoke, rotate and log as far as they need no node; the rest is in
# cluster-tests/real/leaving.
load helper

edit() {
    local want=$1
    shift
    run_tidings "$want" roster "$@" --root-key root.key --roster demo.roster
}
show() {
    run_tidings 0 roster show demo.roster --root "$root" -o json
    jq -r "$1" out.txt
}

@test "closing begins in the next roster, and never with the only active region" {
    make_cluster
    make_region eu-west
    edit 8 close eu-west
    has "$err" "only active region"
    make_region us-east
    before=$(sha256sum demo.roster)
    edit 0 close us-east --dry-run
    has "$err" "nothing written"
    [ "$before" = "$(sha256sum demo.roster)" ]
    edit 2 close nowhere
    edit 2 close us-east --without eu-west
    has "$err" "second step"
    edit 0 close us-east
    has "$err" "tidings roster push"
    [ "$(show '.roster.regions[1].state')" = closing ]
    edit 8 close eu-west
    has "$err" "only active region"
    # The second step asks a node, and there is none.
    run_tidings 4 -n ipc://none roster close us-east --root-key root.key --roster demo.roster
    run_tidings 2 -n ipc://none roster close us-east --without nobody --root-key root.key --roster demo.roster
    has "$err" "no member is called so"
}

@test "a revoked client is gone, and its number is not used again" {
    make_cluster
    key=$("$TIDINGS" keygen -o one.key)
    edit 0 add-client one --pubkey "$key"
    edit 2 revoke one --since 1h
    edit 0 revoke one
    [ "$(show '.roster.clients | length')" = 0 ]
    key=$("$TIDINGS" keygen -o two.key)
    edit 0 add-client two --pubkey "$key"
    [ "$(show '.roster.clients[0].number')" = 2 ]
    edit 2 revoke one
    has "$err" "no client \`one\`"
}

@test "a region is revoked as of a time; a client of the same name has to be meant" {
    make_cluster
    make_region eu-west
    make_region us-east
    key=$("$TIDINGS" keygen -o c.key)
    edit 0 add-client us-east --pubkey "$key"
    edit 2 revoke us-east
    has "$err" "--since WHEN is missing"
    edit 2 revoke us-east --since yesterday
    edit 0 revoke us-east --client
    [ "$(show '.roster.clients | length')" = 0 ]
    edit 0 revoke us-east --since 2026-03-02T14:00:00Z
    [ "$(show '.roster.regions[1].doubtful_since')" = 2026-03-02T14:00:00.000Z ]
    [ "$(show '.roster.regions[1].state')" = closing ]
}

@test "a new key is in force at once, and no key comes twice" {
    make_cluster
    make_region eu-west
    make_region us-east
    old=$("$TIDINGS" pubkey us-east.key)
    new=$("$TIDINGS" keygen -o new.key)
    edit 2 rotate us-east
    has "$err" "no old key to retire"
    edit 8 rotate us-east --pubkey "$("$TIDINGS" pubkey eu-west.key)"
    has "$err" "eu-west has this key already"
    edit 0 rotate us-east --pubkey "$new"
    [ "$(show '.roster.regions[1].key')" = "$new" ]
    edit 8 rotate us-east --pubkey "$("$TIDINGS" keygen -o third.key)"
    has "$err" "not retired yet"
    edit 8 rotate eu-west --pubkey "$old"
    has "$err" "never used again"
    edit 0 close us-east
    edit 8 rotate us-east --pubkey "$("$TIDINGS" pubkey third.key)"
    has "$err" "on its way out"
}

@test "the log tells what each roster changed, and a broken chain is refused" {
    make_cluster
    cp demo.roster 1.roster
    make_region eu-west
    cp demo.roster 2.roster
    make_region us-east
    cp demo.roster 3.roster
    edit 0 close us-east
    run_tidings 0 roster log demo.roster 3.roster 1.roster 2.roster --root "$root" -o json
    [ "$(jq -r '[.rosters[] | "\(.version) \(.chain) \(.changes | join("; "))"] | join("|")' out.txt)" = \
        "1 first |2 ok eu-west added as region 1|3 ok us-east added as region 2|4 ok us-east is leaving" ]
    run_tidings 0 roster log 1.roster 3.roster --root "$root" -o plain
    [ "$(cut -f 4 out.txt | paste -sd' ')" = "first gap" ]
    cp 2.roster demo.roster
    edit 0 set --retain 60d
    run_tidings 8 roster log 2.roster 3.roster 1.roster --root "$("$TIDINGS" keygen -o other.key)"
    mv demo.roster fork.roster
    cp 3.roster demo.roster
    edit 0 close eu-west
    run_tidings 8 roster log fork.roster demo.roster --root "$root"
    has "$err" "does not name the one before it"
    run_tidings 4 -n ipc://none roster log
}
