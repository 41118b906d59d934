# cluster.sh -- a cluster of real nodes on loopback in one directory: used by the demo and by every
# cluster test. Sourced after lib.sh; the caller sets `cluster` (state directory) and `bin`.

now_ms() { date +%s%3N; }
socket() { printf 'ipc://%s/%s/tidings.sock' "$cluster" "$1"; }
peer_port() { cat "$cluster/$1/port"; }
known_regions() { cat "$cluster/regions"; }
t() { local region=$1; shift; "$bin/tidings" -n "$(socket "$region")" "$@"; }

# await SECONDS WHAT COMMAND...: polls a condition, never a fixed wait.
await() {
    local end=$(($(now_ms) + $1 * 1000)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$end" ] || { say "FAIL  timed out: $what"; return 1; }
        sleep 0.05
    done
}

start_node() {
    local region=$1
    "$bin/tidingsd" -c "$cluster/$region/tidingsd.yaml" >>"$cluster/$region/log" 2>&1 &
    echo $! >"$cluster/$region/pid"
    disown
}

# node_pid REGION: of the node that runs there. Files outlive processes, and pids are used again.
node_pid() {
    local pid
    pid=$(cat "$cluster/$1/pid" 2>/dev/null) || return 1
    grep -qsF "$cluster/$1/tidingsd.yaml" "/proc/$pid/cmdline" || return 1
    echo "$pid"
}

stop_node() {
    local pid
    pid=$(node_pid "$1") || return 0
    kill "${2:--TERM}" "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

make_region() {
    local region=$1 port=$2 key
    key=$("$bin/tidingsd" init --region "$region" --data "$cluster/$region" --root "$(cat "$cluster/root.pub")" \
        --listen-peer "tcp://127.0.0.1:$port" --listen-local "ipc://$cluster/$region/tidings.sock" \
        --http "127.0.0.1:$((port + 1))" --roster "$cluster/roster" --chaos 2>"$cluster/init.log") ||
        { cat "$cluster/init.log" >&2; return 1; }
    echo "$port" >"$cluster/$region/port"
    "$bin/tidings" -q roster add "$region" --pubkey "$key" --endpoint "tcp://127.0.0.1:$port" \
        --root-key "$cluster/root.key" --roster "$cluster/roster"
    echo "$region" >>"$cluster/regions"
}

free_port_base() {
    local base
    for base in 7717 17717 27717; do
        local taken=0 i
        for i in 0 10 20 30 40; do
            (exec 3<>"/dev/tcp/127.0.0.1/$((base + i))") 2>/dev/null && taken=1
        done
        [ $taken = 1 ] || { echo $base; return; }
    done
    die "ports 7717, 17717 and 27717 are all taken"
}

# Every node has a direct link to every other one.
mesh_complete() {
    local region count
    count=$(known_regions | wc -l)
    for region in $(known_regions); do
        [ "$(t "$region" peers -o plain | awk -F'\t' '$2 == "up"' | wc -l)" = $((count - 1)) ] || return 1
    done
}


# cluster_make REGION...: fresh keys, roster and configurations in $cluster.
cluster_make() {
    local base i=0 region
    [ ! -e "$cluster/regions" ] || stop_all
    rm -rf "$cluster"
    mkdir -p "$cluster"
    "$bin/tidings" keygen -o "$cluster/root.key" >"$cluster/root.pub"
    "$bin/tidings" -q roster init --cluster demo --root-key "$cluster/root.key" --roster "$cluster/roster"
    base=$(free_port_base)
    echo $((base + 10 * $#)) >"$cluster/next-port"
    for region in "$@"; do
        make_region "$region" $((base + 10 * i))
        i=$((i + 1))
    done
}

# cluster_start: every node, until the mesh is complete.
cluster_start() {
    local region
    for region in $(known_regions); do start_node "$region"; done
    await 20 "all regions see each other" mesh_complete
}

all_nodes() { # FIRST: addresses of all nodes, FIRST in front
    local list region
    list=$(socket "$1")
    for region in $(known_regions); do [ "$region" = "$1" ] || list=$list,$(socket "$region"); done
    echo "$list"
}

stop_all() {
    [ -e "$cluster/regions" ] || return 0
    local region pids=
    for region in $(known_regions); do
        pids="$pids $(node_pid "$region" || true)"
    done
    # shellcheck disable=SC2086
    [ -z "${pids// /}" ] || kill -TERM $pids 2>/dev/null || true
    for region in $(known_regions); do stop_node "$region"; done
}

cut_link() { t "$1" fault cut "$2" && t "$2" fault cut "$1"; }
heal_link() { t "$1" fault heal "$2" && t "$2" fault heal "$1"; }

# All jobs with a prefix and their state, as one node lists them.
listed() { t "$1" list --prefix "${2:-}" -o plain | awk -F'\t' '{print $1, $3}' | sort; }

# converged PREFIX: every node lists the same.
converged() {
    local first region
    first=$(listed "$(known_regions | head -n 1)" "$1")
    for region in $(known_regions); do
        [ "$(listed "$region" "$1")" = "$first" ] || return 1
    done
}
