# shellcheck shell=bash
# wan.sh -- a WAN in network namespaces, and scripts/cluster.sh on top of it. Sourced after lib.sh and
# cluster.sh; the caller sets `cluster` (state directory) and `bin`. After wan_up the functions of
# cluster.sh work as before, but every node is a host of its own, and cut_link and heal_link take the
# path, not the node's switch. Where namespaces are not permitted everything stays on loopback: cuts
# by the nodes' own fault switches, no delays and losses.

wan=${TIDINGS_WAN:-${TMPDIR:-/tmp}/tidings-wan}
wan_presets=$top/cluster-tests/wan/presets

wan_control() { "$bin/tidings-wan" control "$wan/socket" "$*"; }
wan_mode() { cat "$wan/mode" 2>/dev/null; }
wan_hosts() { awk '{print $1}' "$wan/hosts"; }
wan_address() { awk -v host="$1" '$1 == host {print $2}' "$wan/hosts"; }
wan_router_pid() { cat "$wan/pid" 2>/dev/null; }

# wan_exec HOST COMMAND...: in the network of a host, instead of this shell's (use it in a subshell).
wan_exec() {
    local host=$1 namespace
    shift
    [ "$(wan_mode)" = namespaces ] || exec "$@"
    namespace=$(awk -v host="$host" '$1 == host {print $3}' "$wan/hosts")
    [ -n "$namespace" ] || die "no host $host here; there are: $(wan_hosts | tr '\n' ' ')"
    [ "$(id -u)" != 0 ] || exec nsenter "--net=$namespace" "$@"
    exec nsenter "--user=/proc/$(wan_router_pid)/ns/user" --preserve-credentials "--net=$namespace" "$@"
}

wan_alive() { kill -0 "$(wan_router_pid)" 2>/dev/null; }
wan_answers() { ! wan_alive || wan_control hosts; }

# wan_router HOST...: 0 when it runs, 77 where this machine does not allow it.
wan_router() {
    local code=0
    setsid "$bin/tidings-wan" router "$wan/socket" "${TIDINGS_WAN_SEED:-1}" "$@" \
        >"$wan/log" 2>&1 </dev/null &
    echo $! >"$wan/pid"
    await 10 "the router answers" wan_answers || return 1
    wan_alive || { wait "$(wan_router_pid)" || code=$?; rm -f "$wan/pid"; return "$code"; }
    disown
    wan_control hosts >"$wan/hosts"
    echo namespaces >"$wan/mode"
}

# wan_up PRESET: a file of wan/presets or a path. TIDINGS_WAN_LOOPBACK=1 asks for the fallback.
wan_up() {
    local preset=$1 hosts line code=0
    [ -e "$preset" ] || preset=$wan_presets/$1
    [ -f "$preset" ] || die "no preset $1; there are: $(cd "$wan_presets" && echo *)"
    ! { wan_alive && wan_control hosts >/dev/null 2>&1; } || die "a WAN is up already in $wan"
    rm -rf "$wan"
    mkdir -p "$wan"
    hosts=$(sed -n 's/^hosts //p' "$preset")
    # shellcheck disable=SC2086
    if [ -n "${TIDINGS_WAN_LOOPBACK:-}" ]; then code=77; else wan_router $hosts || code=$?; fi
    if [ $code = 77 ]; then
        [ ! -s "$wan/log" ] || say "LOOPBACK $(cat "$wan/log")"
        say "LOOPBACK no namespaces: nodes on 127.0.0.1, cuts by their fault switches, no delays or losses"
        # shellcheck disable=SC2086
        printf '%s 127.0.0.1 -\n' $hosts >"$wan/hosts"
        echo loopback >"$wan/mode"
        return
    fi
    [ $code = 0 ] || die "the router failed: $(cat "$wan/log")"
    sed -n '/^set /p' "$preset" | while read -r line; do
        wan_control "$line" || die "preset $1: $line"
    done
}

wan_down() {
    local pid
    pid=$(wan_router_pid) || return 0
    # After a crash the number may be somebody else's by now.
    while [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = tidings-wan ]; do
        kill "$pid" 2>/dev/null || true
        sleep 0.02
    done
    rm -f "$wan/pid" "$wan/mode"
}

# wan_link cut|heal A B [one-way]: on loopback by the fault switch, which knows the same ways.
wan_link() {
    local verb=$1 from=$2 to=$3 way=${4:-}
    if [ "$(wan_mode)" = namespaces ]; then
        wan_control "$verb" "$from" "$to" $way
    elif [ "$verb$way" = cutone-way ]; then
        t "$from" fault cut "$to" --one-way send
    else
        t "$from" fault "$verb" "$to" && { [ -n "$way" ] || t "$to" fault "$verb" "$from"; }
    fi
}

# wan_cluster: one node on each host, with fresh keys, started, until the mesh is complete.
wan_cluster() {
    local host
    if [ "$(wan_mode)" = namespaces ]; then
        make_region() { wan_make_region "$1"; }
        start_node() { wan_start_node "$1"; }
        cut_link() { wan_link cut "$1" "$2"; }
        heal_link() { wan_link heal "$1" "$2"; }
    fi
    # shellcheck disable=SC2046
    cluster_make $(wan_hosts)
    cluster_start
}

wan_make_region() {
    local region=$1 key
    key=$("$bin/tidingsd" init --region "$region" --data "$cluster/$region" \
        --root "$(cat "$cluster/root.pub")" --listen-peer "tcp://$(wan_address "$region"):7717" \
        --listen-local "ipc://$cluster/$region/tidings.sock" --http 127.0.0.1:7718 --roster "$cluster/roster" --chaos 2>"$cluster/init.log") ||
        { cat "$cluster/init.log" >&2; return 1; }
    echo 7717 >"$cluster/$region/port"
    "$bin/tidings" -q roster add "$region" --pubkey "$key" \
        --endpoint "tcp://$(wan_address "$region"):7717" --root-key "$cluster/root.key" --roster "$cluster/roster"
    echo "$region" >>"$cluster/regions"
}

wan_start_node() {
    local region=$1
    (wan_exec "$region" "$bin/tidingsd" -c "$cluster/$region/tidingsd.yaml") \
        >>"$cluster/$region/log" 2>&1 </dev/null &
    echo $! >"$cluster/$region/pid"
    disown
}
