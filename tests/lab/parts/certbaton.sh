# shellcheck shell=bash disable=SC2154
# certbaton on both machines: as a package would install it, and as its README sets up the lease.

# Files only, as a package's before its maintainer script enables anything; what an earlier install left is replaced.
install_certbaton() {
    local host program root
    [ -d "$1" ] || die "no directory $1"
    for host in home vps; do
        root=/proc/$(leader $host)/root
        for program in certbaton certbaton-pre-hook certbaton-deploy-hook certbaton-post-hook renew-coordinate; do
            [ ! -e "$1/$program" ] || install -m 755 "$1/$program" "$root/usr/bin/"
        done
        install -m 644 "$hooks"/systemd/*.{service,timer} "$root/usr/lib/systemd/system/"
        install -D -m 644 -t "$root/usr/lib/systemd/system/certbot.service.d" "$hooks"/systemd/certbot.service.d/*
        install -m 644 "$hooks/sysusers.d/certbaton.conf" "$root/usr/lib/sysusers.d/"
        install -m 644 "$hooks/tmpfiles.d/certbaton.conf" "$root/usr/lib/tmpfiles.d/"
        install -m 440 "$hooks/sudoers.d/certbaton" "$root/etc/sudoers.d/"
        # as certbot.timer: active once enabled, but its next time is far away
        install -D -m 644 "$files/certbot.timer.conf" "$root/etc/systemd/system/certbaton-renew.timer.d/lab.conf"
        "$0" on $host env SYSTEMD_LOG_LEVEL=warning systemd-sysusers certbaton.conf
        "$0" on $host systemd-tmpfiles --create certbaton.conf
        "$0" on $host visudo --quiet --check
        "$0" on $host systemctl daemon-reload
    done
}

# Each host has a key of its own, and knows the other's host key beforehand.
lease() {
    local host root
    for host in home vps; do
        root=/proc/$(leader $host)/root
        [ -x "$root/usr/bin/certbaton" ] || die "certbaton is not on $host: run '$0 install DIR'"
        mkdir -p "$root/etc/certbaton"
        [ -e "$root/etc/certbaton/id_ed25519" ] ||
            ssh-keygen -q -t ed25519 -N '' -C "$host" -f "$root/etc/certbaton/id_ed25519"
        install -m 644 "$hooks/ssh/config" "$root/etc/certbaton/ssh_config"
        configuration $host > "$root/etc/certbaton/config.toml"
    done
    acquaint home vps
    acquaint vps home
    for host in home vps; do
        "$0" on $host systemctl --quiet enable certbaton-recover.service
        "$0" on $host systemctl --quiet enable --now certbaton-{recover,renew}.timer
    done
}

no_lease() {
    local host root
    for host in home vps; do
        root=/proc/$(leader $host)/root
        "$0" on $host systemctl --quiet disable --now certbaton-{recover,renew}.timer
        "$0" on $host systemctl --quiet disable certbaton-recover.service
        rm -rf "$root/etc/certbaton" "$root/var/lib/certbaton-ssh/.ssh/authorized_keys"
    done
}

configuration() {
    cat <<END
name = "$1"

[lease]
arbiter = "vps"

[[host]]
name = "vps"
ssh = "certbaton@vps.example.org"

[[host]]
name = "home"
ssh = "certbaton@home.example.org"
END
}

# CALLER may log in to CALLED as the user certbaton, for one command, and finds there whom it expects
acquaint() {
    local caller called
    caller=/proc/$(leader "$1")/root called=/proc/$(leader "$2")/root
    printf 'restrict,command="/usr/bin/certbaton serve --as %s --renew" %s\n' \
        "$1" "$(cat "$caller/etc/certbaton/id_ed25519.pub")" > "$called/var/lib/certbaton-ssh/.ssh/authorized_keys"
    printf '%s.example.org %s\n' "$2" "$(cut -d ' ' -f 1,2 "$called/etc/ssh/ssh_host_ed25519_key.pub")" \
        > "$caller/etc/certbaton/known_hosts"
}
