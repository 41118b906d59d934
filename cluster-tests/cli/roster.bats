#!/usr/bin/env bats
# roster.bats -- roster files under a root key: versions, numbers, quotas, signatures, dry runs.
load helper

@test "init makes version 1 and does not overwrite" {
    make_cluster
    run_tidings 0 roster verify demo.roster --root "$root" -o json
    [ "$(jq -r .roster.version out.txt)" -eq 1 ]
    [ "$(jq -r .roster.cluster out.txt)" = demo ]
    [ "$(jq -r .roster.policy.retain_seconds out.txt)" -eq 2592000 ]
    [ "$(jq -r .roster.policy.abandon_seconds out.txt)" -eq 31536000 ]
    [ "$(jq -r .roster.policy.max_absence_seconds out.txt)" -eq 604800 ]
    before=$(sha256sum demo.roster)
    run_tidings 1 roster init --cluster demo --root-key root.key --roster demo.roster
    [ "$before" = "$(sha256sum demo.roster)" ]
}

@test "each change is the next version and numbers go up by one" {
    make_cluster
    make_region eu-west
    make_region us-east
    make_region ap-south
    run_tidings 0 roster show demo.roster --root "$root" -o json
    [ "$(jq -r .roster.version out.txt)" -eq 4 ]
    [ "$(jq -r '[.roster.regions[].number] | join(" ")' out.txt)" = "1 2 3" ]
    [ "$(jq -r '[.roster.regions[].since_version] | join(" ")' out.txt)" = "2 3 4" ]
    [ "$(jq -r '[.roster.regions[].quota_registers] | unique | join(" ")' out.txt)" = "1000000" ]
    [ "$(jq -r '.roster.regions[0].key' out.txt)" = "$("$TIDINGS" pubkey eu-west.key)" ]
}

@test "clients carry role and prefixes" {
    make_cluster
    key=$("$TIDINGS" keygen -o worker.key)
    run_tidings 0 roster add-client worker-1 --pubkey "$key" --role read --prefix acme/ --prefix zeta/ --root-key root.key --roster demo.roster
    run_tidings 0 roster show demo.roster --root "$root" -o json
    [ "$(jq -r '.roster.clients[0].role' out.txt)" = read ]
    [ "$(jq -r '.roster.clients[0].prefixes | join(",")' out.txt)" = "acme/,zeta/" ]
    run_tidings 8 roster add-client worker-1 --pubkey "$root" --root-key root.key --roster demo.roster
    has "$err" "in the roster already"
}

@test "a name or key is admitted once" {
    make_cluster
    make_region eu-west
    before=$(sha256sum demo.roster)
    key=$("$TIDINGS" keygen -o other.key)
    run_tidings 8 roster add eu-west --pubkey "$key" --root-key root.key --roster demo.roster
    run_tidings 8 roster add us-east --pubkey "$("$TIDINGS" pubkey eu-west.key)" --root-key root.key --roster demo.roster
    has "$err" "eu-west has this key already"
    run_tidings 8 roster add-client w --pubkey "$("$TIDINGS" pubkey eu-west.key)" --root-key root.key --roster demo.roster
    [ "$before" = "$(sha256sum demo.roster)" ]
}

@test "quotas may not add up to more than the nodes reserve for" {
    make_cluster
    for i in 1 2 3 4 5 6 7 8; do
        make_region "region-$i"
    done
    key=$("$TIDINGS" keygen -o nine.key)
    run_tidings 8 roster add nine --pubkey "$key" --root-key root.key --roster demo.roster
    has "$err" 9000000
    has "$err" --registers-max
    run_tidings 8 roster set region-1 --quota 1000001 --root-key root.key --roster demo.roster
    run_tidings 0 roster set --registers-max 9000000 --bytes-max 8GiB --root-key root.key --roster demo.roster
    run_tidings 0 roster add nine --pubkey "$key" --root-key root.key --roster demo.roster
    run_tidings 8 roster set nine --quota-bytes 64GiB --root-key root.key --roster demo.roster
    has "$err" --bytes-max
}

@test "set changes what it names and leaves the rest" {
    make_cluster
    make_region eu-west --quota 5000
    run_tidings 0 roster set eu-west --endpoint tcp://10.0.0.1:1 --endpoint tcp://10.0.0.2:2 --root-key root.key --roster demo.roster
    run_tidings 0 roster set --retain 60d --root-key root.key --roster demo.roster
    run_tidings 0 roster show demo.roster --root "$root" -o json
    [ "$(jq -r '.roster.regions[0].endpoints | join(",")' out.txt)" = "tcp://10.0.0.1:1,tcp://10.0.0.2:2" ]
    [ "$(jq -r '.roster.regions[0].quota_registers' out.txt)" -eq 5000 ]
    [ "$(jq -r '.roster.policy.retain_seconds' out.txt)" -eq 5184000 ]
    run_tidings 2 roster set nowhere --quota 5 --root-key root.key --roster demo.roster
    run_tidings 2 roster set --root-key root.key --roster demo.roster
    run_tidings 2 roster set --quota 5 --root-key root.key --roster demo.roster
}

@test "a dry run changes nothing" {
    make_cluster
    before=$(sha256sum demo.roster)
    key=$("$TIDINGS" keygen -o a.key)
    run_tidings 0 roster add a --pubkey "$key" --root-key root.key --roster demo.roster --dry-run
    has "$err" "dry run"
    run_tidings 0 roster set --retain 1d --root-key root.key --roster demo.roster --dry-run
    run_tidings 0 roster add-client c --pubkey "$key" --root-key root.key --roster demo.roster --dry-run
    [ "$before" = "$(sha256sum demo.roster)" ]
    run_tidings 0 roster init --cluster x --root-key root.key --roster new.roster --dry-run
    [ ! -e new.roster ]
}

@test "another root, a flipped byte and a cut file are refused with 8" {
    make_cluster
    make_region eu-west
    other=$("$TIDINGS" keygen -o other.key)
    run_tidings 8 roster verify demo.roster --root "$other"
    run_tidings 8 roster verify demo.roster --root-key other.key
    size=$(stat -c %s demo.roster)
    for at in 3 40 100 $((size / 2)) $((size - 3)); do
        cp demo.roster flipped.roster
        byte=$(od -An -tu1 -j "$at" -N1 demo.roster)
        printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=flipped.roster bs=1 seek="$at" conv=notrunc status=none
        [ "$(sha256sum <demo.roster)" != "$(sha256sum <flipped.roster)" ]
        run_tidings 8 roster verify flipped.roster --root "$root"
    done
    for count in 0 1 50 $((size - 1)); do
        head -c "$count" demo.roster >cut.roster
        run_tidings 8 roster verify cut.roster --root "$root"
    done
    run_tidings 1 roster verify missing.roster --root "$root"
    run_tidings 2 roster verify demo.roster
}

@test "a change under another root key is refused and leaves the file alone" {
    make_cluster
    before=$(sha256sum demo.roster)
    other=$("$TIDINGS" keygen -o other.key)
    run "$TIDINGS" roster add eu --pubkey "$other" --root-key other.key --roster demo.roster
    [ "$status" -eq 8 ]
    [ "$before" = "$(sha256sum demo.roster)" ]
}

@test "without a root key show says that the signature was not checked" {
    make_cluster
    make_region eu-west
    run_tidings 0 roster show demo.roster
    has "$err" "not checked"
    has "$out" eu-west
    run_tidings 0 roster show demo.roster --root "$root"
    [ -z "$err" ]
}

@test "bad names, endpoints and keys exit 2" {
    make_cluster
    key=$("$TIDINGS" keygen -o a.key)
    for name in "a b" "a,b" "a/b" "$(printf 'a%.0s' $(seq 33))" "$(printf 'a\033b')"; do
        run_tidings 2 roster add "$name" --pubkey "$key" --root-key root.key --roster demo.roster
    done
    for url in http://h:1 tcp://h tcp://:1 tcp://h:0 tcp://h:65536 "tcp://h h:1"; do
        run_tidings 2 roster add a --pubkey "$key" --endpoint "$url" --root-key root.key --roster demo.roster
    done
    run_tidings 2 roster add a --pubkey "${key%?}" --root-key root.key --roster demo.roster
    has "$err" TD-E0202
    run_tidings 2 roster add a --root-key root.key --roster demo.roster
    run_tidings 2 roster add a --pubkey "$key" --roster demo.roster
    run_tidings 2 roster add a --pubkey "$key" --root-key root.key
}

@test "an interrupted replacement leaves no stray file and an unwritable directory is named" {
    make_cluster
    make_region eu-west
    [ "$(find . -name 'demo.roster?*' | wc -l)" -eq 0 ]
    run_tidings 1 roster init --cluster x --root-key root.key --roster nowhere/x.roster
    has "$err" nowhere/x.roster
}

@test "plain output is tab-separated, without a header" {
    make_cluster
    make_region eu-west
    run_tidings 0 roster show demo.roster --root "$root" -o plain
    [ "$(wc -l <out.txt)" -eq 1 ]
    [ "$(cut -f1,2,5,6,8 out.txt)" = "$(printf 'eu-west\t1\tactive\t1000000\ttcp://127.0.0.1:7717')" ]
}
