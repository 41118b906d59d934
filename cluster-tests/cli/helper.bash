# helper.bash -- shared by the command-line tests: the program under test, a directory of its own, and
# stdout and stderr apart.
setup() {
    TIDINGS=${TIDINGS:-tidings}
    cd "$BATS_TEST_TMPDIR" || return 1
    unset TIDINGS_NODE TIDINGS_OUTPUT NO_COLOR
}

# run_tidings CODE ARGUMENT...: stdout in $out, stderr in $err; fails when the exit code is another.
run_tidings() {
    local want=$1 got=0
    shift
    "$TIDINGS" "$@" >out.txt 2>err.txt </dev/null || got=$?
    out=$(cat out.txt)
    err=$(cat err.txt)
    if [ "$got" -ne "$want" ]; then
        echo "tidings $*: exit $got, not $want"
        echo "stdout: $out"
        echo "stderr: $err"
        return 1
    fi
}

# has TEXT PART: the part is in the text.
has() {
    case $1 in
    *"$2"*) ;;
    *)
        echo "'$2' is not in: $1"
        return 1
        ;;
    esac
}

# A root key in root.key (its public half in $root) and a roster of version 1 in demo.roster.
make_cluster() {
    root=$("$TIDINGS" keygen -o root.key) || return 1
    "$TIDINGS" -q roster init --cluster demo --root-key root.key --roster demo.roster
}

# make_region NAME [FLAG...]: a key in NAME.key, admitted to demo.roster.
make_region() {
    local name=$1 key
    shift
    key=$("$TIDINGS" keygen -o "$name.key") || return 1
    "$TIDINGS" -q roster add "$name" --pubkey "$key" --endpoint tcp://127.0.0.1:7717 --root-key root.key \
        --roster demo.roster "$@"
}

# lacks PATTERN FILE...: no line of any file matches. (`! grep` would not end a test.)
lacks() {
    local pattern=$1
    shift
    if grep -n -e "$pattern" "$@"; then
        return 1
    fi
}
