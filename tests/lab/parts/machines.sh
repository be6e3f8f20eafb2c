# shellcheck shell=bash disable=SC2154
# The two machines: a Debian made from this host's own packages, with none of this host's data.

# /usr is an overlay of the host's, /etc a cleaned copy, /var what Debian's packages start with. /etc is not an overlay:
# copy-up changes inode numbers and directories there cannot be renamed, which no real disk does.
make_root() {
    local host=$1 disk=$state/machines/$1 root=$state/machines/$1/root link
    mkdir -p "$disk"/{usr,usr.work} "$root"/{usr,etc,proc,sys,dev,run,boot,home,mnt,media,opt,srv}
    mkdir -m 700 "$root/root"
    mkdir -m 1777 "$root/tmp"
    for link in /bin /sbin /lib*; do
        [ ! -L "$link" ] || cp -a "$link" "$root/"
    done
    mount -t overlay -o "lowerdir=/usr,upperdir=$disk/usr,workdir=$disk/usr.work" overlay "$root/usr"
    rm -f "$root"/usr/bin/{certbaton*,renew-coordinate}
    mkdir -p "$disk/local"/{bin,sbin,lib,share/ca-certificates}
    mount --bind "$disk/local" "$root/usr/local"     # what the host has there is its own affair
    make_var "$root"
    make_etc "$root" "$host"
}

make_var() {
    local var=$1/var
    mkdir -p "$var"/{backups,cache/apache2,lib/{apache2,dpkg,ucf,systemd},local,opt,spool,log/apache2,www/html}
    mkdir -m 700 "$var/lib/letsencrypt" "$var/log/letsencrypt"
    mkdir -m 1777 "$var/tmp"
    mkdir -m 2775 "$var/mail"
    ln -s /run "$var/run"
    ln -s /run/lock "$var/lock"
    install -d -o www-data -g www-data "$var/cache/apache2/mod_cache_disk" "$var/lib/apache2/mod_dav"
    chown root:adm "$var/log/apache2"
    chmod 750 "$var/log/apache2"
    cp -a /var/lib/ucf/. "$var/lib/ucf/"
    mount --bind /var/lib/dpkg "$var/lib/dpkg"
    mount -o remount,bind,ro "$var/lib/dpkg"
    if [ -d "$cache" ]; then
        mkdir -p "$1$cache"
        mount --bind "$cache" "$1$cache"
        mount -o remount,bind,ro "$1$cache"
        ln -s "$newest" "$1/opt/certbot-newest"
    fi
}

make_etc() {
    local root=$1 host=$2 etc=$1/etc
    cp -a /etc/. "$etc/"
    rm -rf "$etc"/systemd/{system,network}/* "$etc"/rc?.d/* "$etc"/{fstab,crypttab,resolv.conf,machine-id,certbaton} \
        "$etc"/letsencrypt/* "$etc"/sudoers.d/* "$etc"/ssh/ssh_host_* "$etc"/sysctl.d/* "$etc"/modules-load.d/* "$etc"/ld.so.preload \
        "$etc"/apache2/{mods-enabled,conf-enabled,sites-enabled}/*
    find "$etc/apache2/sites-available" -mindepth 1 ! -name 000-default.conf ! -name default-ssl.conf -delete
    find "$etc/ssl/private" -mindepth 1 ! -name ssl-cert-snakeoil.key -delete
    echo "$host" > "$etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n' "$host" > "$etc/hosts"
    cp "$state/resolv.conf" "$state/nsswitch.conf" "$etc/"
    tr -d - < /proc/sys/kernel/random/uuid > "$etc/machine-id"
    ssh-keygen -A -f "$root" > /dev/null
    cp "$state/ca/api-root.pem" "$root/usr/local/share/ca-certificates/lab-api.crt"
    cp "$state/ca/root.pem" "$root/usr/local/share/ca-certificates/lab-issuer.crt"
    install -m 644 "$files/cli.ini" "$etc/letsencrypt/cli.ini"
    install -m 644 "$files/lab-app.service" "$etc/systemd/system/"
    install -m 755 "$files/app.py" "$root/usr/local/lib/lab-app"
    # enabled and active as on any Debian, but its next time is far away; certbot.service stays as it is
    install -D -m 644 "$files/certbot.timer.conf" "$etc/systemd/system/certbot.timer.d/lab.conf"
    systemctl --quiet --root="$root" set-default multi-user.target
    systemctl --quiet --root="$root" mask getty.target systemd-networkd-wait-online.service
    systemctl --quiet --root="$root" enable apache2.service ssh.service certbot.timer
    [ "$host" = vps ] || systemctl --quiet --root="$root" enable lab-app.service
    # Debian's own set, whatever this host has enabled
    {
        chroot "$root" a2enmod -q access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user \
            autoindex deflate dir env filter mime mpm_event negotiation reqtimeout setenvif status
        chroot "$root" a2enconf -q charset localized-error-pages other-vhosts-access-log security serve-cgi-bin
        chroot "$root" a2ensite -q 000-default
    # what the self-hoster added
        chroot "$root" a2enmod -q proxy proxy_http ssl headers rewrite
    } > /dev/null
}

boot() {
    local host=$1 dir
    ! first_process "$host" > /dev/null || die "$host is up already"
    for dir in "$cgroup/$host"/*/; do
        [ ! -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} +
    done
    (
        echo 0 > "$cgroup/$host/cgroup.procs"
        exec setsid "$here/lab" __inside power_on "$host"
    ) < /dev/null >> "$state/log/$host-console.log" 2>&1 &
}

# nspawn without a host systemd: no registration, no scope; the machine stays in the cgroup it is started in.
# With --keep-unit it leaves a reboot to its caller, by exit status 133 (nspawn.c, run_container)
power_on() {
    local host=$1 status=133
    while [ $status = 133 ]; do
        status=0
        systemd-nspawn --quiet --boot --register=no --keep-unit \
            --directory="$state/machines/$host/root" --machine="$host" --network-namespace-path="/run/netns/$host" \
            --resolv-conf=off --timezone=off --link-journal=no --console=pipe || status=$?
    done
}

enter() {
    local host=$1; shift
    nsenter -a -t "$(first_process "$host")" -- env -i HOME=/root LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

answers() { enter "$1" systemctl show -p Version > /dev/null 2>&1; }

# a unit of this host's packages that cannot run in a container is worth a warning, no more
await_boot() {
    local answer
    await "systemd on $1" answers "$1"
    answer=$(enter "$1" systemctl is-system-running --wait) || say "$1 is $answer: $(failed_units "$1")"
    enter "$1" systemctl --quiet is-active apache2.service ssh.service || die "apache2 or ssh does not run on $1"
}

failed_units() { enter "$1" systemctl --failed --no-legend --plain | cut -d ' ' -f 1 | xargs; }

# SIGKILL to every process of the machine; nspawn itself notices and ends
cut_power() {
    echo 1 > "$cgroup/$1/cgroup.kill"
    await "$1 to end" is_cut "$1"
}
is_cut() { grep -qx 'populated 0' "$cgroup/$1/cgroup.events"; }

choose_certbot() {
    local host link
    for host in home vps; do
        link=/proc/$(leader $host)/root/usr/local/bin/certbot
        case $1 in
            debian) rm -f "$link";;
            newest) [ -x "$newest/bin/certbot" ] || die "run '$0 install-packages --newest-certbot', then '$0 down' and 'up'"
                    ln -sfn /opt/certbot-newest/bin/certbot "$link";;
            *)      usage >&2; exit 2;;
        esac
    done
}
