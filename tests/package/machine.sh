# shellcheck shell=bash disable=SC2154,SC2016  # what is in single quotes is for the machine
# What the package does to the machine `home`.

install() {
    local package=${*: -1} status=0
    home sh -c 'cat > /var/tmp/certbaton.deb' < "$package"
    home dpkg "${@:1:$#-1}" --install /var/tmp/certbaton.deb < /dev/null > "$scratch/dpkg" 2>&1 || status=$?
    home rm /var/tmp/certbaton.deb
    return $status
}

# PACKAGE is there, but dpkg does not know it.
lacking() {
    home sh -c "cp /var/lib/dpkg/status /var/tmp/status &&
        awk -v RS= -v ORS='\n\n' '!/^Package: $1\n/' /var/tmp/status > /var/lib/dpkg/status"
}
nothing_lacking() { home mv /var/tmp/status /var/lib/dpkg/status; }

# VERSION is installed, and everything is as it has to be
installed() {
    local unit
    same "$(home dpkg-query -W -f '${db:Status-Status} ${Version}' certbaton)" "installed $1" "dpkg"
    same "$(home certbaton --version)" "certbaton ${version%-*}" "certbaton --version"
    same "$(home getent passwd certbaton | cut -d : -f 1,6,7)" certbaton:/var/lib/certbaton-ssh:/bin/sh "the user"
    same "$(home stat -c '%n %a %U:%G' /run/certbaton/arbiter /var/lib/certbaton{,/arbiter,-ssh,-ssh/.ssh} | xargs)" \
        "/run/certbaton/arbiter 700 certbaton:certbaton /var/lib/certbaton 711 root:root /var/lib/certbaton/arbiter 700 certbaton:certbaton /var/lib/certbaton-ssh 755 root:root /var/lib/certbaton-ssh/.ssh 755 root:root" \
        "the directories"
    for unit in certbaton-recover.service certbaton-recover.timer; do
        same "$(home systemctl is-enabled $unit)" enabled "$unit"
    done
    same "$(home systemctl is-active certbaton-recover.timer)" active certbaton-recover.timer
    same "$(home systemctl is-enabled certbaton-renew.timer || true)" disabled certbaton-renew.timer
    home systemctl show -p ExecStopPost certbot.service | grep -q /usr/bin/certbaton || fail "certbot.service does not recover"
    home systemd-analyze verify certbaton-{recover,renew}.{service,timer} > "$scratch/log" 2>&1
    must_fail grep certbaton "$scratch/log"
    home visudo --quiet --check
    home man --where certbaton renew-coordinate certbaton.toml > "$scratch/log"
}

# certbaton's hooks in certbot's directory.
hooks_there() { home find /etc/letsencrypt/renewal-hooks -name certbaton; }

# Of the last removal, no word is said but by dpkg, and by man-db, which may be told not to keep its database: by no script
# of ours, nor by what that runs. What dpkg warns of (a directory that is not empty) is ours to mend, too.
quiet() {
    local others='^\(Reading database |^(Removing|Purging configuration files for) certbaton \(|^Processing triggers for '
    others+='|^Not building database; man-db/auto-update '
    if grep -Ev "$others" "$scratch/removed" >&3; then fail "removal or purge is not quiet"; fi
}

# What a package leaves until it is purged.
removed() {
    must_fail home test -e /usr/bin/certbaton
    must_fail home systemctl --quiet is-active certbaton-recover.timer
    must_fail home systemctl cat certbaton-recover.timer > "$scratch/log" 2>&1
    same "$(home systemctl show -p ExecStopPost certbot.service)" "" certbot.service
    home getent passwd certbaton > "$scratch/log"
    same "$(hooks_there)" '' "hooks that would stop certbot"
}

# As months of work leave a host: configuration, keys, state, the coordinator's timer and its stamp.
used() {
    home sh -c 'mkdir -p /etc/certbaton && : > /etc/certbaton/config.toml && : > /etc/certbaton/id_ed25519
        echo key > /var/lib/certbaton-ssh/.ssh/authorized_keys; echo 7 > /var/lib/certbaton/arbiter/token'
    home systemctl --quiet enable --now certbaton-renew.timer
    home systemctl start certbaton-recover.service
    home test -e /var/lib/systemd/timers/stamp-certbaton-renew.timer
    home certbaton switch local git.example.org > "$scratch/log"
}

unchanged() {
    tree home > "$scratch/after"
    diff "$scratch/before" "$scratch/after" || fail "$1: the machine is not as before"
    same "$(home find /run /tmp /var/tmp -name '*certbaton*')" '' "$1: left behind"
    same "$(home dpkg-query -W -f '${db:Status-Status}' certbaton 2> /dev/null || true)" '' "$1: dpkg"
    echo "ok: $1: the machine is as before"
}
