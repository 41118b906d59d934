# lib.sh -- what the scripts share: finding the tree, installing what is missing, building.
# Sourced by bash scripts after `set -euo pipefail`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian 12 packages: what the product needs, then what only its tests need.
packages_build=(gcc make cmake ninja-build pkg-config libc6-dev libnng-dev libmsgpack-dev libsodium-dev
    libzstd-dev libcyaml-dev libyaml-dev libjansson-dev libsmartcols-dev libmicrohttpd-dev zlib1g-dev
    libcmocka-dev)
packages_test=(clang libclang-rt-14-dev bats groff-base dpkg-dev file jq python3 python3-nacl python3-msgpack
    curl prometheus)
packages_chaos=(python3 python3-nacl python3-msgpack python3-yaml libfaketime)
# Needed by nothing: brokers for `scripts/demo incident --install`, named in cluster-tests/incident
# (redis-server nats-server rabbitmq-server mosquitto).

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s ' "$name"
    done
}

# Installs the named packages that are missing; asks first on a terminal; one line when it cannot.
need_packages() {
    local missing sudo=
    command -v dpkg-query >/dev/null || return 0
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing packages: ${missing}(not root and no sudo: apt-get install them)"
        sudo=sudo
    fi
    if [ -t 0 ] && [ -t 1 ]; then
        read -r -p "install $missing? [Y/n] " answer
        case $answer in [nN]*) die "missing packages: $missing" ;; esac
    fi
    say "installing: $missing"
    # shellcheck disable=SC2086
    { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends $missing; } >"${TMPDIR:-/tmp}/tidings-apt.log" 2>&1 ||
        die "missing packages: ${missing}(apt-get failed, see ${TMPDIR:-/tmp}/tidings-apt.log)"
}

# build DIR [cmake options]: configures and builds all targets, or those named in $targets; the
# compiler's words only on failure.
build() {
    local dir=$1 log
    shift
    log=$dir.log
    # shellcheck disable=SC2086
    { cmake -G Ninja -S "$top" -B "$dir" "$@" && ninja -C "$dir" ${targets:-}; } >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        die "the build in $dir failed; all of it: $log"
    }
}
