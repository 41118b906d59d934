# power.sh -- clusters for tidings-power. Sourced after lib.sh and cluster.sh.

bin=${TIDINGS_BIN:-$top/build/bin}
power_base=${TMPDIR:-/tmp}/tidings-power-$$
power_names=()

# power_start NAME PORT SEED CUTS REGION...: makes keys and directories, runs in the background. $plant = a
# planted fault, $limit = of the log: with 1MiB it is compacted all the time, and full at times.
power_start() {
    local name=$1 port=$2 seed=$3 cuts=$4 region
    shift 4
    cluster=$power_base/$name
    mkdir -p "$cluster"
    "$bin/tidings" keygen -o "$cluster/root.key" >"$cluster/root.pub"
    "$bin/tidings" -q roster init --cluster power --root-key "$cluster/root.key" --roster "$cluster/roster"
    for region in "$@"; do
        make_region "$region" "$port"
        [ -z "${limit:-}" ] || printf 'limits:\n  log: %s\n' "$limit" >>"$cluster/$region/tidingsd.yaml"
        port=$((port + 2))
    done
    "$bin/tidings-power" -d "$bin/tidingsd" -l "$bin/tidings-power.so" -r "$cluster" -c "$cuts" -s "$seed" \
        ${plant:+-p "$plant"} ${limit:+-f} "$@" >"$cluster/verdict" 2>&1 &
    echo $! >"$cluster/harness"
    power_names+=("$name")
}

# Shows the verdict; fails with it.
power_wait() {
    local status=0
    wait "$(cat "$power_base/$1/harness")" || status=$?
    cat "$power_base/$1/verdict"
    return $status
}

# A failed run keeps its directories: they are the evidence.
power_end() {
    local status=$? name
    for name in "${power_names[@]}"; do
        kill "$(cat "$power_base/$name/harness")" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    [ $status != 0 ] || rm -rf "$power_base"
}
