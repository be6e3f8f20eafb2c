//! flow: what a person does who reads only the last line: each is the next command, whole, and works as it stands.

use crate::ca::Work;
use crate::host::{Host, Output};
use crate::lab::until;
use crate::setup::site::{Rule, Site, certbaton};

pub(crate) const RULES: &[Rule] = &[
    ("a_role_is_doubted_by_dns_and_changed_by_a_flag_alone", role),
    ("each_last_line_works_as_it_stands_and_what_keeps_home_out_is_named", lines),
    ("the_first_certificate_is_had_by_the_line_that_init_prints", first),
];

/// The last line that is printed.
#[track_caller]
fn last(said: &Output) -> String {
    said.out.lines().rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// A person pastes it; it asks nobody.
fn pasted(host: &Host, line: &str) -> Output {
    host.run(&["sh", "-c", &format!("{line} --yes")])
}

/// Both, by what each says last, as far as the line for the vps that home prints.
fn until_pasted(site: &Site) -> String {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    // home has no IPv4 here, and a name that leads to the vps is what such a host is better called.
    vps.sh("hostname vps.example.org");
    let said = certbaton(vps, &["init", "--role", "vps", "--yes"]);
    vps.sh("hostname vps");
    let line = last(&said);
    said.expect(0, &["now on home:"]);
    assert!(line.contains(" --vps vps.example.org --host-key SHA256:"), "{line}");
    let said = pasted(home, &line);
    let line = last(&said);
    said.expect(75, &["key is not on vps.example.org yet"]);
    assert!(line.starts_with("certbaton init --role vps --home-key 'ssh-ed25519 "), "{line}");
    line
}

fn role(site: &Site) {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    certbaton(home, &["init", "--role", "vps", "--yes"]).expect(
        2,
        &["DNS says that this host is home", "nothing was changed", "add --change-role"],
    );
    site.is_as_before();
    certbaton(home, &["init", "--role", "vps", "--dry-run"])
        .expect(0, &["warning: DNS says that this host is home", "nothing was changed"]);
    certbaton(vps, &["init", "--role", "home", "--vps", "home.example.org", "--yes"])
        .expect(2, &["DNS says that this host is vps"]);
    certbaton(vps, &["init", "--role", "vps", "--yes"]).expect(0, &[]);
    let home = ["init", "--role", "home", "--vps", "home.example.org", "--yes"];
    certbaton(vps, &home).expect(
        2,
        &["the configuration says that this host is vps", "nothing was changed", "--change-role"],
    );
    certbaton(vps, &["uninstall", "--yes"]).expect(0, &[]);
}

fn lines(site: &Site) {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    let line = until_pasted(site);
    // sshd keeps the user out, whatever key it has.
    let dropped = "/etc/ssh/sshd_config.d/mine.conf";
    vps.write(dropped, "AllowUsers root\n");
    vps.sh("systemctl reload ssh");
    pasted(vps, &line).expect(1, &["AllowUsers is root", "systemctl reload ssh"]);
    pasted(vps, &line).expect(1, &["AllowUsers is root"]);
    let said = certbaton(home, &["check"]);
    let said = said.expect(1, &["Permission denied"]);
    assert!(said.contains("AllowUsers"), "{said}");
    vps.sh(&format!("rm {dropped}; systemctl reload ssh"));
    let said = pasted(vps, &line);
    assert_eq!(last(&said), "certbaton check", "{said:?}");
    home.run(&["sh", "-c", &last(&said)]).expect(0, &["nothing wrong"]);
    let said = certbaton(home, &["init", "--yes"]);
    // What that does, the rule of a pasted line shows.
    assert_eq!(last(&said), "renew-coordinate --dry-run", "{said:?}");

    // Home's line is gone: no renewal, no more than two tries, and the right words.
    let authorized = "/var/lib/certbaton-ssh/.ssh/authorized_keys";
    let key = vps.read(authorized);
    vps.sh(&format!(": > {authorized}"));
    let cursor = vps.cursor();
    let since = site.lab.ca.mark();
    let renewal = "certbot renew --force-renewal --cert-name git.example.org";
    let said = home.run(&["script", "-qec", renewal, "/dev/null"]);
    assert_eq!(said.code(), 143, "{said:?}");
    // At a terminal it is folded.
    assert!(
        said.unfolded().contains("this host's key is not in authorized_keys there"),
        "{said:?}"
    );
    site.lab.expect_not_asked(since);
    // A process of sshd's writes of its connection when that has ended, and ends then.
    until("the end of sshd's connections", || vps.running("sshd").len() == 1);
    let by_sshd = vps.logged(&cursor, "SYSLOG_IDENTIFIER", |by| by == "sshd");
    let is_try = |said: &str| said.contains("authenticating user certbaton");
    let tries = by_sshd.iter().filter(|(_, said)| is_try(said)).count();
    assert!((1..=2).contains(&tries), "{tries} tries: {by_sshd:?}");
    vps.write(authorized, &key);
    // A certbot that a signal ends leaves them, unlocked.
    home.sh("rm -f /etc/letsencrypt/.certbot.lock /var/lib/letsencrypt/.certbot.lock");

    // Connections without a command stay, unless the example for sshd is in place.
    let example = std::fs::read_to_string(support::source("hooks/ssh/sshd_config")).unwrap();
    assert!(example.contains("UnusedConnectionTimeout 1m\n"), "{example}");
    vps.write(dropped, &example.replace("Timeout 1m", "Timeout 1s"));
    vps.sh("sshd -t; systemctl reload ssh");
    let ssh = "ssh -F /etc/certbaton/ssh_config -N certbaton@vps.example.org";
    let idle = (0..8).map(|_| home.start(&["sh", "-c", &format!("exec {ssh}")]));
    for ssh in idle.collect::<Vec<_>>() {
        assert_ne!(ssh.ended().code(), 0, "sshd hangs up by itself");
    }
    vps.sh(&format!("rm {dropped}; systemctl reload ssh"));
    certbaton(home, &["check"]).expect(0, &["nothing wrong"]);
    for host in site.hosts() {
        certbaton(host, &["uninstall", "--yes"]).expect(0, &[]);
    }
}

fn first(site: &Site) {
    let (home, vps) = (&site.lab.home, &site.lab.vps);
    // home has vhosts, and nothing of certbot's yet.
    let name = "new.example.org";
    site.lab.ca.names(&format!("2001:db8::20 {name}\n192.0.2.10 {name}\n"));
    home.sh("cp -a /etc/apache2 /root/apache2; mv /etc/letsencrypt/renewal /root/renewal");
    home.write(
        "/etc/apache2/sites-enabled/zz-new.conf",
        &format!(
            "<VirtualHost *:80>\n  ServerName {name}\n  DocumentRoot /var/www/html\n  \
             ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n\
             </VirtualHost>\n"
        ),
    );
    home.reload();
    let line = until_pasted(site);
    pasted(vps, &line);
    let said = certbaton(home, &["init", "--yes"]);
    let command = last(&said);
    said.expect(
        0,
        &[
            "no certificate that certbot renews",
            "now the first certificates, by the vhosts that are here:\n",
            "-d cloud.example.org -d www.cloud.example.org ",
        ],
    );
    assert!(command.contains(&format!("-w /var/www/html -d {name} ")), "{command}");
    let since = site.lab.ca.mark();
    home.run(&["sh", "-c", &command]).expect(0, &[]);
    let Work { issued, invalid, .. } = site.lab.ca.work(since);
    assert_eq!((issued, invalid), (1, 0));
    home.at_rest();
    // certbot has saved the hooks with the lineage, and would stumble over them when they are gone.
    let renewal = format!("/etc/letsencrypt/renewal/{name}.conf");
    assert!(home.read(&renewal).contains("certbaton-pre-hook"), "{}", home.read(&renewal));
    certbaton(home, &["uninstall", "--yes"])
        .expect(0, &[&format!("take certbaton's hooks out of {renewal}")]);
    assert!(!home.read(&renewal).contains("certbaton"), "{}", home.read(&renewal));
    // certbot makes the directory that it looks into.
    home.sh(&format!(
        "certbot -q delete -n --cert-name {name}; rmdir /etc/letsencrypt/renewal-hooks/deploy || true"
    ));
    certbaton(vps, &["uninstall", "--yes"]).expect(0, &[]);
    home.sh(
        "rm -rf /etc/letsencrypt/renewal /etc/apache2; mv /root/renewal /etc/letsencrypt/renewal
         mv /root/apache2 /etc/apache2",
    );
    home.reload();
    site.lab.ca.release();
}
