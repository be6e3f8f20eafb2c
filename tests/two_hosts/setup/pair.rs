//! flow: two hosts that share a lease, by a line that is pasted and by a login that works; renewals; and back.

use crate::lab::{until, until_within};
use crate::setup::site::{Rule, Site, certbaton};
use std::time::Duration;

pub(crate) const RULES: &[Rule] = &[
    ("both_hosts_are_set_up_by_a_pasted_line_and_renew", pasted),
    ("both_hosts_are_set_up_from_home_by_a_login", login),
    ("the_key_of_a_home_that_is_replaced_goes_with_it", replaced),
];

const HOME: [&str; 6] = ["init", "--role", "home", "--vps", "vps.example.org", "--yes"];

fn pasted(site: &Site) {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    let said = certbaton(vps, &["init", "--role", "vps", "--yes"])
        .expect(0, &["now on home:\ncertbaton init --role home --vps ", " --host-key SHA256:"]);
    let key = said.split("--host-key ").nth(1).unwrap().lines().next().unwrap();
    let init = [&HOME[..], &["--host-key", key]].concat();
    let said =
        certbaton(home, &init).expect(75, &["key is not on vps.example.org yet; paste this there"]);
    let line = said.lines().find(|line| line.starts_with("certbaton init --role vps --home-key '"));
    let line = line.unwrap().to_owned() + " --yes";
    vps.sh(&format!("{line} > /root/said || [ $? = 1 ]"));
    vps.sh(&format!("{line} > /root/said || [ $? = 1 ]"));
    assert!(vps.read("/root/said").contains("nothing to change on this host"));
    vps.sh("rm /root/said");
    let line = vps.read("/var/lib/certbaton-ssh/.ssh/authorized_keys");
    assert!(
        line.starts_with(
            "restrict,command=\"/usr/local/bin/certbaton serve --as home --renew\" ssh-ed25519 "
        ),
        "{line}"
    );
    // The same again, without the key that is known by now.
    certbaton(home, &HOME).expect(0, &["nothing to change on this host", "nothing wrong"]);
    certbaton(home, &["init", "--yes"]).expect(0, &["nothing to change on this host"]);
    home.sh("systemctl is-enabled certbaton-renew.timer; systemctl is-active certbaton-renew.timer
         [ \"$(stat -c '%a %U' /etc/certbaton/id_ed25519)\" = '600 root' ]");
    home.run(&["renew-coordinate", "--dry-run"]).expect(0, &[]);
    let serials = || site.hosts().map(|host| host.serial("cloud.example.org"));
    let before = serials();
    home.run(&["renew-coordinate", "--force-renewal"]).expect(0, &[]);
    let after = serials();
    assert!(before[0] != after[0] && before[1] != after[1] && after[0] != after[1], "{after:?}");
    for host in site.hosts() {
        certbaton(host, &["uninstall", "--yes"]).expect(0, &[]);
    }
}

fn login(site: &Site) {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    // What a person has: a key for root's login, and the host key, met before.
    home.sh("mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519");
    let key = home.read("/root/.ssh/id_ed25519.pub");
    let host_key = vps.read("/etc/ssh/ssh_host_ed25519_key.pub");
    home.write("/root/.ssh/known_hosts", &format!("vps.example.org {host_key}"));
    let with = |login| [&HOME[..], &["--ssh", login]].concat();
    certbaton(home, &with("root@vps.example.org")).expect(1, &["Permission denied"]);
    vps.sh("mkdir -p -m 700 /root/.ssh");
    vps.write("/root/.ssh/authorized_keys", &key);
    let login = ["init", "--role", "home", "--ssh", "root@vps.example.org", "--yes"];
    certbaton(home, &login).expect(
        0,
        &[
            "vps: found on this host",
            "vps: new /var/lib/certbaton-ssh/.ssh/authorized_keys",
            "nothing wrong",
        ],
    );
    // Somebody who is not root but may become it.
    vps.sh("useradd -r -m me; mkdir -m 700 /home/me/.ssh; cp /root/.ssh/authorized_keys /home/me/.ssh/; chown -R me: /home/me/.ssh
         echo 'me ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/me");
    let said = certbaton(home, &with("me@vps.example.org"))
        .expect(0, &["nothing to change on this host", "vps: nothing to change on this host"]);
    assert!(!said.contains("new /"), "{said}");
    vps.sh("userdel -f -r me 2> /dev/null || true; rm /etc/sudoers.d/me");
    // The person's configuration stays, and so does another's line.
    home.sh("echo '# mine' >> /etc/certbaton/config.toml");
    vps.sh("cp /var/lib/certbaton-ssh/.ssh/authorized_keys /root/line");
    certbaton(home, &HOME).expect(0, &["nothing to change on this host"]);

    // While home renews, neither of both goes.
    let held = site.lab.ca.hold();
    let run = home.start(&[
        "renew-coordinate",
        "--force-renewal",
        "--cert-name",
        "git.example.org",
        "--host",
        "home",
    ]);
    until("the renewal", || home.path("/run/certbaton/keeper.sock").exists());
    until_within("home to have the lease", Duration::from_mins(1), || {
        certbaton(vps, &["lease", "show"]).out.contains("home (host")
    });
    certbaton(home, &["uninstall", "--yes"]).expect(75, &["under way", "nothing was changed"]);
    certbaton(vps, &["uninstall", "--yes"])
        .expect(75, &["home holds the lease", "nothing was changed"]);
    certbaton(home, &["init", "--yes"]).expect(75, &["under way"]);
    drop(held);
    run.ended().expect(0, &[]);

    certbaton(home, &["uninstall", "--yes"]).expect(
        0,
        &["stays: /etc/certbaton/config.toml, which was changed since", "stays: on vps:"],
    );
    assert_eq!(home.sh("ls /etc/certbaton"), "config.toml");
    certbaton(vps, &["uninstall", "--yes"]).expect(0, &["remove the user and the group certbaton"]);
    home.sh("rm -r /etc/certbaton /root/.ssh/*");
    vps.sh("rm -r /root/.ssh/* /root/line");
}

/// Also where this host becomes the one that calls: nobody calls it then.
fn replaced(site: &Site) {
    let vps = &site.lab.vps;
    let key = |name: &str, byte: &str| {
        let blob = format!("AAAAC3NzaC1lZDI1NTE5AAAAI{}", byte.repeat(43));
        format!("ssh-ed25519 {blob} {name}")
    };
    let init = |key: &str| {
        let words = ["init", "--role", "vps", "--no-check", "--yes", "--home-key", key];
        certbaton(vps, &words).expect(0, &[])
    };
    let file = "/var/lib/certbaton-ssh/.ssh/authorized_keys";
    init(&key("oldhome", "A"));
    let other = "ssh-ed25519 AAAA somebody\n";
    vps.sh(&format!("printf '{other}' >> {file}"));
    let said = init(&key("casa", "B"));
    assert!(said.contains("oldhome may not call any more"), "{said}");
    let left = vps.read(file);
    assert!(!left.contains("oldhome") && left.contains(other), "{left}");
    assert!(left.contains("--as casa --renew\" ssh-ed25519 "), "{left}");
    // What keeps the new home out, and whom nobody knows, is told here too.
    vps.sh(&format!(
        "sed -i 's/somebody/x/; s/--as casa/--as other/' {file}
         echo 'AllowUsers root' > /etc/ssh/sshd_config.d/only.conf; mv /usr/bin/sudo /root/"
    ));
    let all = ["AllowUsers is root", "sudo is not there", "as other, which is no other"];
    certbaton(vps, &["check"]).expect(1, &all);
    vps.sh(&format!(
        "sed -i 's/--as other/--as casa/; /AAAA x/d' {file}
         rm /etc/ssh/sshd_config.d/only.conf; mv /root/sudo /usr/bin/"
    ));
    let stays = ["authorized_keys, which was changed since"];
    certbaton(vps, &["uninstall", "--yes"]).expect(0, &stays);
    vps.sh("rm -r /var/lib/certbaton /var/lib/certbaton-ssh");
}
