# SPDX-License-Identifier: Apache-2.0
# Read by the /init of each guest: mounts, modules, and words to report with. Few forks: under emulation each costs 10 to 30 ms.
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs none /dev/shm; mount -t tmpfs none /run; mount -t tmpfs none /tmp
ln -s /proc/self/fd /dev/fd

say() { read -r up _ </proc/uptime; echo "[$up] $*"; }
# check NAME COMMAND…: one line of the result, with the command's words when it fails.
check() {
    checked=$1; shift
    if "$@" >/tmp/checked 2>&1; then echo "PASS $checked"; else echo "FAIL $checked: $*"; sed 's/^/     /' /tmp/checked; fi
}
# fails STATUS WORDS COMMAND…: the command must end with that status and say that.
fails() {
    status=$1 words=$2; shift 2
    "$@" >/tmp/said 2>&1; got=$?
    cat /tmp/said
    [ $got = $status ] || { echo "status $got, not $status"; return 1; }
    grep -q -- "$words" /tmp/said || { echo "does not say: $words"; return 1; }
}
last() { link=$(readlink "$1") && link=${link##*/} || link=; }
driver() { last /sys/bus/pci/devices/$1/driver; echo "$link"; }
has_driver() { last /sys/bus/pci/devices/$1/driver; [ "$link" = "$2" ] || { echo "$1 has driver '$link', not '$2'"; return 1; }; }
# Every PCI function with its driver and override: what must be as before.
machine() {
    for d in /sys/bus/pci/devices/*; do
        last $d/driver; read -r override <$d/driver_override
        echo "${d##*/} $link $override"
    done
}
same_machine() { machine >/tmp/machine.now; diff /tmp/machine.before /tmp/machine.now; }
