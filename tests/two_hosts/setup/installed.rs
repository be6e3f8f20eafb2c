//! flow: what `install` puts in place, keeps, and takes away again.

use crate::lab::install;
use crate::setup::site::{Rule, Site, certbaton};

pub(crate) const RULES: &[Rule] = &[
    ("install_puts_everything_in_place_and_uninstall_takes_it_away", all),
    ("what_was_there_before_comes_back_and_what_was_edited_since_stays", edited),
    ("a_person_at_a_terminal_is_asked_once", asked),
    ("where_a_package_is_install_changes_nothing", packaged),
    ("an_old_hook_is_put_out_of_use_and_comes_back", old_hook),
];

fn all(site: &Site) {
    let home = &site.lab.home;
    certbaton(home, &["install", "--yes"]).expect(0, &[]);
    home.sh("systemctl is-enabled certbaton-recover.service certbaton-recover.timer > /dev/null
         systemctl is-active certbaton-recover.timer > /dev/null
         ! systemctl is-enabled certbaton-renew.timer > /dev/null
         systemd-analyze --man=no verify certbaton-recover.service certbaton-renew.service
         visudo -q -c
         [ \"$(stat -c '%a %U %G' /etc/sudoers.d/certbaton)\" = '440 root root' ]
         [ \"$(stat -c '%a %U' /run/certbaton/arbiter)\" = '700 certbaton' ]
         [ \"$(getent passwd certbaton | cut -d : -f 6)\" = /var/lib/certbaton-ssh ]
         systemctl start certbaton-recover.service");
    let manifest = home.read("/var/lib/certbaton/installed.json");
    certbaton(home, &["install", "--yes"]).expect(0, &["nothing to change on this host"]);
    assert_eq!(home.read("/var/lib/certbaton/installed.json"), manifest);
    let said = certbaton(home, &["uninstall", "--yes"]).expect(
        0,
        &[
            "stop and disable certbaton-recover.timer",
            "remove /etc/sudoers.d/certbaton",
            "rm /usr/local/bin/certbaton /usr/local/bin/certbaton-pre-hook ",
        ],
    );
    assert!(!said.contains("changed since"), "{said}");
    site.is_as_before();
    certbaton(home, &["uninstall", "--yes"]).expect(0, &[]);
}

fn edited(site: &Site) {
    let home = &site.lab.home;
    let hook = "/etc/letsencrypt/renewal-hooks/pre/certbaton";
    home.sh(&format!(
        "printf '#!/bin/sh\\necho mine\\n' > {hook}
         chmod 750 {hook}; chown www-data {hook}; touch -d 2020-01-01 {hook}"
    ));
    let before = home.sh(&format!("stat -c '%a %U %Y' {hook}; cat {hook}"));
    certbaton(home, &["install", "--yes"])
        .expect(77, &["belongs to uid", "everything is as before"]);
    assert_eq!(home.sh(&format!("stat -c '%a %U %Y' {hook}; cat {hook}")), before);
    home.sh(&format!("chown root {hook}; touch -d 2020-01-01 {hook}"));
    let before = home.sh(&format!("stat -c '%a %U %Y' {hook}; cat {hook}"));
    certbaton(home, &["install", "--yes"])
        .expect(0, &["change /etc/letsencrypt/renewal-hooks/pre/certbaton", "    -echo mine"]);
    home.sh("echo '# mine' >> /etc/systemd/system/certbaton-renew.timer");
    certbaton(home, &["install", "--yes"]).expect(
        0,
        &[
            "left as it is: /etc/systemd/system/certbaton-renew.timer was edited since",
            "nothing to change",
        ],
    );
    certbaton(home, &["uninstall", "--yes"]).expect(
        0,
        &[
            "put back /etc/letsencrypt/renewal-hooks/pre/certbaton as it was before",
            "stays: /etc/systemd/system/certbaton-renew.timer, which was changed since",
        ],
    );
    assert_eq!(home.sh(&format!("stat -c '%a %U %Y' {hook}; cat {hook}")), before);
    home.sh(&format!("rm {hook} /etc/systemd/system/certbaton-renew.timer; rm -rf /var/lib/certbaton; systemctl daemon-reload"));
}

fn asked(site: &Site) {
    let home = &site.lab.home;
    let answered = |answer: &str, verb: &str| {
        let text = format!("printf '{answer}\\n' | script -qec 'certbaton {verb}' /dev/null");
        home.run(&["sh", "-c", &text])
    };
    let said = answered("n", "install").expect(1, &["Do this? [y/N]", "nothing was changed"]);
    let asked = said.split("Do this?").next().unwrap();
    assert!(asked.lines().count() < 40, "{asked}");
    assert!(asked.lines().all(|line| line.chars().count() <= 81), "{asked}");
    site.is_as_before();
    answered("y", "install").expect(0, &[]);
    home.sh("test -e /etc/sudoers.d/certbaton");
    answered("y", "uninstall").expect(0, &["Do this? [y/N]"]);
}

fn packaged(site: &Site) {
    let home = &site.lab.home;
    home.sh("mkdir -p /root/bin; mv /usr/local/bin/* /root/bin/");
    install();
    home.sh("mkdir -p /etc/letsencrypt/renewal-hooks/deploy");
    home.directory_hooks();
    home.sh("systemctl enable -q --now certbaton-recover.timer; systemctl enable -q certbaton-recover.service");
    certbaton(home, &["install", "--yes"]).expect(0, &["a package has put", "nothing to change"]);
    certbaton(home, &["uninstall", "--yes"]).expect(0, &["stays: what the package installed"]);
    home.sh("systemctl is-enabled certbaton-recover.timer; test -e /etc/sudoers.d/certbaton; getent passwd certbaton > /dev/null; test -d /run/certbaton/arbiter");
    // As a purge does.
    for host in site.hosts() {
        host.sh("systemctl disable -q --now certbaton-recover.timer; systemctl disable -q certbaton-recover.service
             rm -rf /usr/bin/certbaton* /usr/bin/renew-coordinate /usr/lib/systemd/system/certbaton* \\
                 /usr/lib/systemd/system/certbot.service.d /usr/lib/*.d/certbaton.conf /etc/sudoers.d/certbaton \\
                 /etc/letsencrypt/renewal-hooks/*/certbaton /etc/systemd/system/certbaton-renew.timer.d \\
                 /run/certbaton /var/lib/certbaton /var/lib/certbaton-ssh
             userdel certbaton; systemctl daemon-reload; systemctl reset-failed");
    }
    home.sh("rmdir /etc/letsencrypt/renewal-hooks/deploy; mv /root/bin/* /usr/local/bin/; rmdir /root/bin");
}

/// Left behind as a renewal that failed leaves it: application and challenge path are commented out.
fn old_hook(site: &Site) {
    let home = &site.lab.home;
    home.sh(r"cat > /etc/apache2/sites-available/app.conf <<'END'
<VirtualHost *:8080>
    ServerName app.example.org
    ProxyPass / http://127.0.0.1:9/
</VirtualHost>
END
         ln -s ../sites-available/app.conf /etc/apache2/sites-enabled/app.conf
         cat > /usr/local/bin/acme-off <<'END'
#!/bin/sh
perl -pi -e 's/^(\s*)(ProxyPass)/$1#$2/' /etc/apache2/sites-enabled/app.conf
systemctl reload apache2
END
         chmod 755 /usr/local/bin/acme-off
         sed -i '/^\[renewalparams\]/a pre_hook = /usr/local/bin/acme-off' /etc/letsencrypt/renewal/git.example.org.conf
         acme-off
         test ! -L /etc/apache2/sites-enabled/app.conf");
    let said = certbaton(home, &["init", "--role", "vps", "--change-role", "--no-check", "--yes"]);
    for part in [
        "/etc/apache2/sites-enabled/app.conf:3: commented out, by the old hook or by a person",
        "ln -sfn ../sites-available/app.conf /etc/apache2/sites-enabled/app.conf",
        "the old hook's pre_hook commented out",
    ] {
        assert!(said.unfolded().contains(part), "no {part:?} in {said:?}");
    }
    said.expect(0, &[]);
    home.sh("grep '^    #ProxyPass' /etc/apache2/sites-enabled/app.conf
         grep '^# pre_hook = /usr/local/bin/acme-off' /etc/letsencrypt/renewal/git.example.org.conf
         ! grep copy /var/lib/certbaton/installed.json");
    let said = certbaton(home, &["uninstall", "--yes"]);
    let part = "put the hooks back that init commented out in /etc/letsencrypt/renewal/git.example.org.conf";
    assert!(said.unfolded().contains(part), "no {part:?} in {said:?}");
    said.expect(0, &[]);
    home.sh(
        "grep '^pre_hook = /usr/local/bin/acme-off' /etc/letsencrypt/renewal/git.example.org.conf
         sed -i '/^pre_hook/d' /etc/letsencrypt/renewal/git.example.org.conf
         rm /usr/local/bin/acme-off; rm /etc/apache2/sites-*/app.conf; systemctl reload apache2",
    );
}
