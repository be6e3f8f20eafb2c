# shellcheck shell=bash disable=SC2154
# What the lab needs installed; installing starts, enables and overwrites nothing on the developer's machine.

packages=(apache2 certbot pebble systemd systemd-container dbus dnsmasq-base openssh-server openssh-client iproute2
    nftables ssl-cert ca-certificates python3 curl openssl procps util-linux sudo)

missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || echo "$package"
    done
}

check_packages() {
    local lacking
    [ -r /etc/debian_version ] || die "needs Debian 12"
    mapfile -t lacking < <(missing "${packages[@]}")
    [ ${#lacking[@]} = 0 ] || die "not installed: ${lacking[*]}; run '$0 install-packages'"
    # The machines get the mode of this host's: a redirection there fails for whoever is not root.
    [ "$(stat -c %a /dev/null)" = 666 ] || die "not everybody may write to /dev/null here: chmod 666 /dev/null"
    [ -z "$(dpkg --verify apache2)" ] ||
        say "warning: this host's apache2.conf or ports.conf is not Debian's own; the machines get a copy of it"
}

install_packages() {
    local wanted=("${packages[@]}") lacking
    [ -r /etc/debian_version ] || die "needs Debian 12"
    case ${1:-} in
        '') ;;
        --newest-certbot) wanted+=(python3-venv);;
        *) usage >&2; exit 2;;
    esac
    mapfile -t lacking < <(missing "${wanted[@]}")
    [ ${#lacking[@]} = 0 ] || apt_install "${lacking[@]}"
    [ "${1:-}" != --newest-certbot ] || [ -x "$newest/bin/certbot" ] || install_newest_certbot
}

# invoke-rc.d asks policy-rc.d before a package starts its service; 101 = no (man invoke-rc.d)
apt_install() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\n# written by certbaton tests/lab while it installs packages\nexit 101\n' > $policy
        chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -y -o Dpkg::Options::=--force-confold --no-install-recommends install "$@")
    "${apt[@]}" || { apt-get -q update; "${apt[@]}"; }
    disable_units "$@"
}

# only units of packages that were not here before, so that the next boot does not start them either
disable_units() {
    local package units
    for package in "$@"; do
        case $package in
            apache2) units=(apache2.service);;
            certbot) units=(certbot.timer);;
            openssh-server) units=(ssh.service ssh.socket);;
            systemd-container) units=(machines.target);;
            *) continue;;
        esac
        systemctl disable --quiet "${units[@]}" || say "warning: could not disable ${units[*]}"
    done
}

# built beside its place and renamed, so that a broken download is never taken for a certbot.
# certifi ignores the system's certificates; Debian patches it to use them, so does this: no REQUESTS_CA_BUNDLE needed.
install_newest_certbot() {
    rm -rf "$newest"
    mkdir -p "$newest"
    /usr/bin/python3 -m venv "$newest"
    "$newest/bin/pip" install --quiet --no-cache-dir certbot
    local bundle
    bundle=$("$newest/bin/python" -c 'import certifi; print(certifi.where())')
    ln -sf /etc/ssl/certs/ca-certificates.crt "$bundle"
    "$newest/bin/certbot" --version
}
