# shellcheck shell=sh
# For tests whose programs are in another root: sourced in mount and process namespaces of its own.

# mount_root ROOT: what programs need there. /tmp and /dev/shm are the same on both sides, so that the tests'
# files have one name.
mount_root()
{
    export TMPDIR=/tmp
    mount -t proc proc "$1/proc"
    mount -t tmpfs -o mode=755 tmpfs "$1/dev"
    mkdir "$1/dev/shm"
    for device in null zero full random urandom; do
        touch "$1/dev/$device"
        mount --bind "/dev/$device" "$1/dev/$device"
    done
    mount --bind /dev/shm "$1/dev/shm"
    mount --bind /tmp "$1/tmp"
}

# wrap_tools ROOT BIN: a folder BIN with commands that run each program of ROOT/usr/bin.
wrap_tools()
{
    rm -rf "$2"
    mkdir "$2"
    for tool in "$1"/usr/bin/pg2any "$1"/usr/bin/pg-capture "$1"/usr/bin/txn-assemble "$1"/usr/bin/frame-* \
        "$1"/usr/bin/metrics-http "$1"/usr/bin/apply-*; do
        printf "#!/bin/sh\nexec chroot '%s' /usr/bin/%s \"\$@\"\n" "$1" "${tool##*/}" >"$2/${tool##*/}"
    done
    chmod 755 "$2"/*
}

passed=0 failed=0

# check WHAT COMMAND...: counts, and shows the end of the $log of what failed.
check()
{
    what=$1
    shift
    echo "== $what" >>"$log"
    if "$@" >>"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $what"
    else
        failed=$((failed + 1))
        echo "not ok - $what"
        tail -n 15 "$log" | sed 's/^/# /'
    fi
}
