#!/usr/bin/env bats
# keys.bats -- key files: modes, refusals, and that secrets never leave them.
load helper

@test "keygen prints only the public key and keeps the secret in a 0600 file" {
    umask 000
    run_tidings 0 keygen -o a.key
    [[ $out =~ ^tdpk1:[A-Za-z0-9_-]+$ ]]
    [ "$(stat -c %a a.key)" = 600 ]
    has "$(cat a.key)" tdsk1:
    lacks "$(cat a.key)" out.txt err.txt
    lacks tdsk1 out.txt err.txt
}

@test "keygen never overwrites a file" {
    run_tidings 0 keygen -o a.key
    before=$(sha256sum a.key)
    run_tidings 1 keygen -o a.key
    has "$err" TD-E0123
    has "$err" a.key
    [ "$before" = "$(sha256sum a.key)" ]
    ln -s a.key link.key
    run_tidings 1 keygen -o link.key
    [ "$before" = "$(sha256sum a.key)" ]
}

@test "keygen needs a file name and says so" {
    run_tidings 2 keygen
    has "$err" "-o FILE"
}

@test "pubkey prints the same key as keygen did" {
    key=$("$TIDINGS" keygen -o a.key)
    run_tidings 0 pubkey a.key
    [ "$out" = "$key" ]
}

@test "two keys are never the same" {
    [ "$("$TIDINGS" keygen -o a.key)" != "$("$TIDINGS" keygen -o b.key)" ]
}

@test "a key file that others can read is refused, not only warned about" {
    run_tidings 0 keygen -o a.key
    for mode in 640 604 660 666 644; do
        chmod $mode a.key
        run_tidings 8 pubkey a.key
        has "$err" TD-E0201
        [ -z "$out" ]
    done
    chmod 600 a.key
    run_tidings 0 pubkey a.key
}

@test "symlinks, directories, pipes, empty and damaged key files are refused" {
    run_tidings 0 keygen -o a.key
    ln -s a.key link.key
    mkdir dir.key
    mkfifo -m 600 pipe.key
    (umask 077; : >empty.key; tr 'A-Za-z' 'B-ZAb-za' <a.key >turned.key; head -c 20 a.key >short.key)
    for file in link.key dir.key pipe.key empty.key turned.key short.key missing.key; do
        if timeout 10 "$TIDINGS" pubkey $file >out.txt 2>err.txt; then
            echo "$file was taken"
            return 1
        fi
        [ -s err.txt ]
        [ ! -s out.txt ]
        lacks 'tdsk1:[A-Za-z0-9_-]' err.txt
    done
}
