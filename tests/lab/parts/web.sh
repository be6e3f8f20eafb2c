# shellcheck shell=bash disable=SC2154
# The order in which a self-hoster's set-up came to be: home with its certificates, then the second door.

build() {
    step "network, names, CA"
    make_network
    write_names
    start_ca
    step "machines"
    both make_machine
    both boot
    both prepare
    step "home's certificates, before there is a second door"
    certificates home
    enable_sites home
    step "the vps's certificates, through home"
    certificates vps
    enable_sites vps
    both doors_open
    [ "$1" = debian ] || choose_certbot "$1"
}

step() { say "$(printf '%2d s  %s' "$SECONDS" "$1")"; }

# both FUNCTION: on the two machines at once
both() {
    local a b
    "$1" home & a=$!
    "$1" vps & b=$!
    wait $a
    wait $b
}

make_machine() {
    local root=$state/machines/$1/root
    make_root "$1"
    echo "lab-ok page of $1" > "$root/var/www/html/index.html"
    cp "$files/$1"/*.conf "$root/etc/apache2/sites-available/"
    if [ "$1" = home ]; then
        mkdir "$root/var/www/letsencrypt"
        chroot "$root" a2ensite -q wiki-before > /dev/null
    fi
}

prepare() {
    await_boot "$1"
    # no hooks: a host's Java key store does not need to know
    enter "$1" update-ca-certificates --hooksdir /nonexistent >> "$state/log/certificates.log" 2>&1
}

certificates() {
    local host=$1 wiki=/var/www/html
    [ "$host" = vps ] || wiki=/var/www/letsencrypt
    certonly "$host" /var/www/html cloud.example.org www.cloud.example.org
    certonly "$host" /var/www/html git.example.org
    certonly "$host" $wiki wiki.example.org
}

certonly() {
    local host=$1 webroot=$2 name=$3 domains=(); shift 2
    for name in "$@"; do domains+=(-d "$name"); done
    enter "$host" /usr/bin/certbot certonly -q --webroot -w "$webroot" --cert-name "$1" "${domains[@]}"
}

enable_sites() {
    if [ "$1" = home ]; then
        enter home a2dissite -q wiki-before > /dev/null
        enter home rm /etc/apache2/sites-available/wiki-before.conf
    fi
    enter "$1" a2ensite -q cloud.example.org git.example.org wiki.example.org > /dev/null
    enter "$1" apache2ctl -t 2> /dev/null || enter "$1" apache2ctl -t
    # not a reload: after that, processes of the old generation still answer now and then, and the CA asks next
    enter "$1" systemctl restart apache2.service
    await "the new vhosts of $1" serves_tls "$1"
}

serves_tls() {
    local address=$home_v6
    [ "$1" = home ] || address=$vps_v6
    in_ca openssl s_client -connect "[$address]:443" -servername wiki.example.org -verify_hostname wiki.example.org \
        -verify_return_error -CAfile "$state/ca/root.pem" < /dev/null > /dev/null 2>&1
}

# every name through each of its two addresses
doors_open() {
    local name family=-6
    [ "$1" = home ] || family=-4
    for name in "${names[@]}"; do
        await "https://$name on $1" fetch $family "https://$name/"
    done
}

fetch() {
    in_ca curl -sS --fail --max-time 5 --cacert "$state/ca/root.pem" "$1" "$2" 2> /dev/null | grep -q lab-ok
}
