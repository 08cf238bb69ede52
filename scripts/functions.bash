# SPDX-License-Identifier: Apache-2.0
# Shared by quickstart, check and lab/on-gpu: stages with times, packages, builds, a private daemon. Sourced by bash with -eu.
# The sourcing script sets `top` (the checkout) first.

started=$SECONDS

stage() { printf '==> [%3ds] %s\n' $((SECONDS - started)) "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$1" >&2; shift; printf '  %s\n' "$@" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages SET…: what is missing of the sets in scripts/packages, without recommended extras.
install_packages() {
    local missing log
    mapfile -t missing < <("$top/scripts/packages" --missing "$@")
    if [ ${#missing[@]} = 0 ]; then
        note "all Debian packages are installed"
        return
    fi
    command -v apt-get >/dev/null || die "these Debian packages are needed and there is no apt-get here: ${missing[*]}" \
        "install their counterparts and run again with --no-install"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "installing packages needs root or sudo" \
        "as root: apt-get install --no-install-recommends ${missing[*]}"
    note "installing from Debian: ${missing[*]}"
    log=$(mktemp)
    if ! as_root apt-get -q update </dev/null >"$log" 2>&1; then
        note "apt-get update failed, going on with the lists that are here; it said:"
        tail -n 3 "$log" | sed 's/^/      /'
    fi
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "the packages could not be installed" "see above; check the network and /etc/apt/sources.list, then run again"
    fi
    rm -f "$log"
}

# build_in DIR [meson options…]: configure once, compile what changed. The output is shown when it fails.
build_in() {
    local dir=$1 log=$1.log; shift
    if ! { [ -f "$dir/build.ninja" ] || meson setup "$dir" "$top" "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 25 "$log" >&2
        die "meson could not configure $dir" "whole log: $log, $dir/meson-logs/meson-log.txt; to begin anew remove $dir"
    fi
    if ! ninja -C "$dir" >"$log" 2>&1 </dev/null; then
        tail -n 60 "$log" >&2
        die "the build in $dir failed" "whole log: $log"
    fi
    rm -f "$log"
}

# end_process PID [SECONDS]: TERM, then KILL when it is still there after that time. Only for children of this shell.
end_process() {
    local tries=$((${2:-5} * 20))
    kill -TERM "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null && [ $tries -gt 0 ]; do sleep 0.05; tries=$((tries - 1)); done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# A private daemon: daemon_start BUILD_DIR, later daemon_stop. Its files lie in one new directory under /tmp (short, because
# socket paths end at 107 characters); TRANCHE_RUN_DIR and TRANCHE_STATE_DIR point there.
daemon_pid='' daemon_dir='' daemon_build=''

daemon_start() {
    local tries
    daemon_build=$1
    daemon_dir=$(mktemp -d /tmp/tranche.XXXXXX)
    export TRANCHE_RUN_DIR=$daemon_dir/run TRANCHE_STATE_DIR=$daemon_dir/state
    mkdir -m 0700 "$TRANCHE_RUN_DIR" "$TRANCHE_STATE_DIR"
    "$daemon_build/tranched" --run-dir "$TRANCHE_RUN_DIR" --state-dir "$TRANCHE_STATE_DIR" </dev/null >"$daemon_dir/log" 2>&1 &
    daemon_pid=$!
    for ((tries = 0; tries < 400; tries++)); do
        [ ! -S "$TRANCHE_RUN_DIR/control.sock" ] || ! "$daemon_build/tranche" shares >/dev/null 2>&1 || return 0
        kill -0 "$daemon_pid" 2>/dev/null || break
        sleep 0.05
    done
    sed 's/^/    /' "$daemon_dir/log" >&2
    return 1
}

# Removes every share with its tenants, ends the daemon, then whatever worker of it is still there, then its files.
daemon_stop() {
    local share pid
    [ -n "$daemon_dir" ] || return 0
    if kill -0 "${daemon_pid:-0}" 2>/dev/null && [ -n "$daemon_pid" ]; then
        for share in $(daemon_shares); do
            timeout 10 "$daemon_build/tranche" rm --force "$share" >/dev/null 2>&1 || true
        done
        end_process "$daemon_pid"
    fi
    for pid in $(daemon_workers); do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$daemon_dir"
    daemon_pid='' daemon_dir=''
}

daemon_shares() {
    timeout 10 "$daemon_build/tranche" shares --json 2>/dev/null |
        python3 -c 'import json, sys; print(*(s["name"] for s in json.load(sys.stdin)["shares"]))' 2>/dev/null || true
}

# Processes whose arguments name the private state directory: this daemon's workers and no other's.
daemon_workers() {
    local file
    for file in /proc/[0-9]*/cmdline; do
        { tr '\0' '\n' <"$file"; } 2>/dev/null | grep -qF -- "$daemon_dir/state/cache" || continue
        file=${file%/cmdline}
        [ "${file##*/}" = $$ ] || echo "${file##*/}"
    done
}
