# shellcheck shell=bash disable=SC2154
# The namespace that everything shares, and one network of three ends inside it.

# the lab's first process: holds the namespaces, reaps what loses its parent, and never ends by itself
init() {
    # a /run of our own: ip netns and nspawn write there; -n: until then, mount itself writes nothing there
    mount -n --bind "$state" /mnt
    mount -n -t tmpfs -o mode=755 run /run
    mkdir -p "$state"
    mount --move /mnt "$state"
    mount -t tmpfs -o mode=755 machines "$state/machines"
    mount --bind "$cgroup_root" /sys/fs/cgroup    # nspawn looks here; with cgroup v1 on the host this hides it
    ip link set lo up
    touch "$state/init-ready"
    while :; do sleep 3600 & wait $! || true; done
}

make_network() {
    local host
    ip link add lab type bridge
    ip link set lab up
    for host in home vps ca; do
        ip netns add $host
        ip link add "lab-$host" type veth peer name eth0 netns $host
        ip link set "lab-$host" master lab up
        ip -n $host link set lo up
        ip -n $host link set eth0 up
    done
    # nodad: usable at once, no duplicate address detection for a second
    ip -n home address add "$home_v6/64" dev eth0 nodad
    ip -n vps  address add "$vps_v6/64" dev eth0 nodad
    ip -n vps  address add "$vps_v4/24" dev eth0
    ip -n ca   address add "$ca_v6/64" dev eth0 nodad
    ip -n ca   address add "$ca_v4/24" dev eth0
}

in_ca() { nsenter --net=/run/netns/ca "$@"; }

# names: A is the vps, AAAA is home
write_names() {
    local name
    {
        for name in "${names[@]}"; do echo "$vps_v4 $name"; echo "$home_v6 $name"; done
        echo "$home_v6 home.example.org"
        echo "$vps_v6 vps.example.org"; echo "$vps_v4 vps.example.org"
        echo "$ca_v6 ca.example.org"; echo "$ca_v4 ca.example.org"
    } > "$state/dns/hosts"
    printf 'nameserver %s\n' "$ca_v6" > "$state/resolv.conf"
    # the ca namespace has the host's files, but these names
    if [ -e /etc/resolv.conf ]; then mount --bind "$state/resolv.conf" /etc/resolv.conf; fi
    sed 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf > "$state/nsswitch.conf"
    mount --bind "$state/nsswitch.conf" /etc/nsswitch.conf
}

start_ca() {
    local dir=$state/ca
    (
        cd "$dir" || exit
        openssl req -x509 -newkey rsa:2048 -nodes -keyout api-root.key -out api-root.pem -days 3650 \
            -subj '/CN=lab API root' -addext basicConstraints=critical,CA:TRUE
        openssl req -newkey rsa:2048 -nodes -keyout api.key -out api.csr -subj /CN=ca.example.org
        openssl x509 -req -in api.csr -CA api-root.pem -CAkey api-root.key -CAcreateserial -out api.pem -days 3650 \
            -extfile <(printf 'subjectAltName=DNS:ca.example.org\nextendedKeyUsage=serverAuth\n')
    ) > "$state/log/openssl.log" 2>&1
    sed "s|@DIR@|$dir|" "$files/ca/pebble.json" > "$dir/pebble.json"
    start_dns
    in_ca env -i PATH=/usr/bin PEBBLE_AUTHZREUSE=0 PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 \
        setsid pebble -strict -config "$dir/pebble.json" -dnsserver 127.0.0.1:53 \
        < /dev/null > "$state/log/pebble.log" 2>&1 &
    await "pebble" fetch_issuing_root
}

# hostsdir is read again when a file in it appears or changes: a test adds names by adding a file
start_dns() {
    in_ca setsid dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file="$state/dnsmasq.pid" --user=root --no-resolv \
        --no-hosts --hostsdir="$state/dns" --local=/example.org/ --local-ttl=0 --log-queries --log-facility=- "$@" \
        < /dev/null >> "$state/log/dnsmasq.log" 2>&1 &
    await "the name server" test -s "$state/dnsmasq.pid"
}

# what dnsmasq reads only once: it is started anew, with more options
restart_dns() {
    local pid
    pid=$(< "$state/dnsmasq.pid")
    kill "$pid"
    await "the name server to end" is_gone "$pid"
    rm -f "$state/dnsmasq.pid"
    start_dns "$@"
}
is_gone() { ! kill -0 "$1" 2> /dev/null; }

# pebble makes a new root at each start and hands it out here
fetch_issuing_root() {
    in_ca curl -sS --noproxy '*' --fail --max-time 2 \
        --cacert "$state/ca/api-root.pem" -o "$state/ca/root.pem" https://ca.example.org:15000/roots/0 \
        2>> "$state/log/openssl.log"
}
