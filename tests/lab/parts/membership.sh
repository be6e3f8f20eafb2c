# shellcheck shell=bash disable=SC2154
# What belongs to the lab: membership is by cgroup, never by name or by a remembered pid.

cgroup_root=$(findmnt -rn -t cgroup2 -o TARGET | tail -n 1 || true)    # the last: `init` binds it over the others
cgroup=$cgroup_root/$instance

# makes the cgroup (mkdir is atomic: the second `up` loses) and the state directory
claim() {
    [ -n "$cgroup_root" ] || die "no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
    if ! mkdir "$cgroup" 2> /dev/null; then
        [ -d "$cgroup" ] || die "cannot make $cgroup: is it read-only?"
        die "a lab is up, or was left half up: use it ('$0 status'), run '$0 down'," \
            "or have a second one with CERTBATON_LAB=$instance-2 in the environment"
    fi
    mkdir "$cgroup/init" "$cgroup/home" "$cgroup/vps"
    if ! mkdir -m 755 "$state" 2> /dev/null; then
        rmdir "$cgroup"/*/ "$cgroup"
        die "$state is in the way: run '$0 down'"
    fi
    mkdir "$state/log" "$state/ca" "$state/dns" "$state/machines"
}

# the live process that is number 1 in its own pid namespace, among those of a cgroup and those below it
first_process() {
    local procs pid status numbers
    for procs in "$cgroup/$1"/cgroup.procs "$cgroup/$1"/*/cgroup.procs "$cgroup/$1"/*/*/cgroup.procs; do
        [ -r "$procs" ] || continue
        # Each file as a whole: line by line, `read` seeks back after each, and goes on in what has changed meanwhile: a
        # process that ends makes the list skip another, one that wakes up shifts the lines of its status.
        for pid in $(< "$procs"); do
            status=
            read -r -d '' status < "/proc/$pid/status" || [ -n "$status" ] || continue
            numbers=${status#*$'\nNSpid:'}
            case $status in
                *$'\nState:\t'[ZX]*) continue;;
            esac
            case ${numbers%%$'\n'*} in
                *[[:space:]]1) echo "$pid"; return;;
            esac
        done
    done 2> /dev/null
    return 1
}

init_pid() { first_process init || { say "the lab is down: run '$0 up'"; return 1; }; }
leader()   { first_process "$1" || { say "$1 is down: run '$0 up', or '$0 boot $1' after a cut"; return 1; }; }

machine() {
    case $1 in home|vps) ;; *) die "no machine '$1': home or vps";; esac
}

init_is_ready() { [ -e "$state/init-ready" ]; }

# runs a function of this tool in the lab's own namespaces
inside() {
    local pid
    pid=$(init_pid)
    (
        echo 0 > "$cgroup/init/cgroup.procs"
        exec nsenter -m -n -u -i -p -t "$pid" -- setpriv --pdeathsig KILL -- \
            env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin CERTBATON_LAB="$instance" \
                "$here/lab" __inside "$@"
    )
}

# await WHAT CMD...: polls CMD until it succeeds; a busy machine takes its time
await() {
    local until=$((SECONDS + 60)) what=$1; shift
    until "$@"; do
        [ $SECONDS -lt "$until" ] || die "gave up waiting for $what"
        sleep 0.05
    done
}

is_empty() { grep -qx 'populated 0' "$cgroup/cgroup.events"; }

# SIGKILL, by the kernel, to all members at once: cgroup.kill cannot miss a fork
kill_all() {
    [ -n "$cgroup_root" ] && [ -d "$cgroup" ] || return 0
    echo 1 > "$cgroup/cgroup.kill"
    await "the lab's processes to end" is_empty
    find "$cgroup" -depth -type d -exec rmdir {} +
}

remove_state() {
    [ -d "$state" ] || return 0
    # namespaces end a moment after their last process: no mount may be left below what is removed
    await "the lab's mounts to go" no_mounts
    rm -rf --one-file-system "$state"
}

# the processes' mountinfo files that have a mount below the state directory (the fifth field is where, man proc)
mounts() { grep -lsE "^([^ ]+ ){4}$state/" /proc/[0-9]*/mountinfo || true; }
no_mounts() { [ -z "$(mounts)" ]; }

# anything of the lab that still exists, one line each; fails if there is something. No cgroup means no process.
leftovers() {
    local found=0
    if [ -d "$cgroup" ]; then echo "cgroup $cgroup"; found=1; fi
    if [ -e "$state" ]; then echo "directory $state"; found=1; fi
    mounts | sed 's/^/mounts in /'
    no_mounts || found=1
    return $found
}
