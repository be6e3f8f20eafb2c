//! flow: what a set-up refuses, with nothing changed.

use crate::host::Output;
use crate::setup::site::{Rule, Site, certbaton};

pub(crate) const RULES: &[Rule] = &[
    ("nobody_is_asked_where_there_is_no_terminal", nobody),
    ("a_rehearsal_shows_all_and_changes_nothing", rehearsal),
    ("without_apache_certbot_or_lineage_there_is_no_set_up", nothing_found),
    ("a_host_key_is_never_trusted_silently", host_key),
    ("a_key_that_is_more_than_a_key_is_refused", bad_key),
];

fn nobody(site: &Site) {
    let home = &site.lab.home;
    certbaton(home, &["install"]).expect(2, &["not a terminal", "nothing was changed", "--yes"]);
    certbaton(home, &["init"]).expect(2, &["--role vps or --role home"]);
    certbaton(home, &["init", "--role", "home"]).expect(2, &["--vps HOST"]);
    certbaton(&site.lab.vps, &["init", "--role", "vps"]).expect(2, &["not a terminal", "--yes"]);
    let vps = ["init", "--role", "home", "--vps", "vps.example.org"];
    certbaton(&site.lab.vps, &[&vps[..], &["--change-role", "--yes"]].concat())
        .expect(2, &["leads to this host itself"]);
    certbaton(home, &[&vps[..], &["--port", "2222", "--yes"]].concat())
        .expect(1, &["finds on port 2222; nothing was changed"]);
    let other = ["--config", "/etc/other.toml", "install", "--yes"];
    home.write("/etc/other.toml", "");
    certbaton(home, &other).expect(2, &["/etc/certbaton/config.toml"]);
    home.sh("rm /etc/other.toml");
    let person = home.run(&["setpriv", "--reuid=65534", "--clear-groups", "certbaton", "install"]);
    person.expect(77, &["only root"]);
}

fn rehearsal(site: &Site) {
    let said = certbaton(&site.lab.home, &["install", "--dry-run"]).expect(
        0,
        &[
            "new /etc/systemd/system/certbaton-recover.service, mode 0644",
            "    ExecStart=/usr/local/bin/certbaton recover",
            "new /etc/sudoers.d/certbaton, mode 0440",
            "    certbaton ALL=(root) NOPASSWD: /usr/local/bin/certbaton agent",
            "new /etc/letsencrypt/renewal-hooks/pre/certbaton, mode 0755",
            "    /usr/local/bin/certbaton-pre-hook",
            "make the user certbaton",
            "enable certbaton-recover.timer",
            "nothing was changed",
        ],
    );
    assert!(!said.contains("certbaton-renew.timer\n"), "who coordinates is for init to say");
    certbaton(&site.lab.vps, &["init", "--role", "vps", "--dry-run"])
        .expect(0, &["    arbiter = \"vps\"", "nothing was changed"]);
    let home = ["init", "--role", "home", "--vps", "vps.example.org", "--dry-run"];
    let shown = certbaton(&site.lab.home, &home);
    // A terminal's width folds what is said, but nothing that is shown of a file.
    let shown = Output { out: shown.unfolded(), ..shown };
    shown.expect(0, &[
        "lineage cloud.example.org",
        "www.cloud.example.org in /var/www/html",
        "wiki.example.org in /var/www/letsencrypt",
        "/etc/apache2/sites-enabled/cloud.example.org.conf:1): these lines, to overrule /etc/apache2/sites-enabled/cloud.example.org.conf:8",
        "ProxyPass !",
        "which is to be compared",
        "ssh = \"certbaton@vps.example.org\"",
        "new /etc/certbaton/id_ed25519, mode 0600",
        "(a secret, not shown)",
        "nothing was changed",
    ]);
    certbaton(&site.lab.home, &["uninstall", "--dry-run"]).expect(0, &["nothing was changed"]);
}

fn nothing_found(site: &Site) {
    let home = &site.lab.home;
    let init = ["init", "--role", "home", "--vps", "vps.example.org", "--yes"];
    home.sh("systemctl stop apache2");
    certbaton(home, &init).expect(1, &["Apache is not running", "systemctl start apache2"]);
    home.sh("systemctl start apache2");
    home.sh("chmod 644 /usr/bin/certbot");
    certbaton(home, &init).expect(1, &["certbot is not there", "apt install certbot"]);
    home.sh("chmod 755 /usr/bin/certbot; mv /etc/letsencrypt/renewal /root/renewal");
    certbaton(home, &[&init[..5], &["--dry-run"]].concat())
        .expect(0, &["no certificate that certbot renews", "the first comes after this"]);
    home.sh("mv /root/renewal /etc/letsencrypt/renewal");
    home.sh("chmod 777 /usr/local/bin");
    certbaton(home, &["install", "--yes"]).expect(77, &["/usr/local/bin may be written by others"]);
    home.sh("chmod 755 /usr/local/bin; mv /usr/local/bin/renew-coordinate /root/");
    certbaton(home, &["install", "--yes"])
        .expect(1, &["renew-coordinate has to be beside certbaton"]);
    home.sh("mv /root/renew-coordinate /usr/local/bin/");
}

fn host_key(site: &Site) {
    let init = ["init", "--role", "home", "--vps", "vps.example.org", "--yes"];
    let real = site.lab.vps.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
    let real = real.split(' ').nth(1).unwrap();
    let told = format!("add --host-key {real}");
    certbaton(&site.lab.home, &init).expect(1, &["nobody has said yet", &told]);
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let with = |key| [&init[..], &["--host-key", key]].concat();
    certbaton(&site.lab.home, &with(&wrong)).expect(1, &["wrong host, or a man in the middle"]);
    certbaton(&site.lab.home, &with("MD5:00")).expect(2, &["not a fingerprint"]);
}

fn bad_key(site: &Site) {
    let key = "command=\"x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl home";
    let init = ["init", "--role", "vps", "--yes", "--home-key", key];
    certbaton(&site.lab.vps, &init).expect(2, &["not the line of a key"]);
}
