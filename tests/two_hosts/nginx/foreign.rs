//! system: nginx in the place of the vps's Apache, for as long as a scenario lasts.

use std::fs;

use crate::clean::LINEAGES;
use crate::host::Host;
use crate::lab::{Lab, until};

/// What `config.toml` has to say.
pub(crate) const CONFIGURED: &str = "[web-server]\ntest = [\"/usr/sbin/nginx\", \"-t\"]\n\
    reload = [\"/usr/bin/systemctl\", \"reload\", \"nginx\"]\n";

/// nginx serves the vps's names; Apache is back when this is dropped.
pub(crate) struct Nginx<'a> {
    lab: &'a Lab,
    pid: String,
}

impl<'a> Nginx<'a> {
    /// The names' sites, certbot's webroot and all else at home, as Apache had it.
    pub(crate) fn instead_of_apache(lab: &'a Lab, config: &str) -> Self {
        let vps = &lab.vps;
        vps.sh("mkdir -p /var/lib/nginx /var/log/nginx /etc/certbaton; rm -f /etc/nginx/sites-enabled/*");
        for name in LINEAGES {
            vps.write(&format!("/etc/nginx/sites-enabled/{name}"), &site(name));
        }
        vps.write("/etc/certbaton/config.toml", config);
        // Before anything is stopped: it is brought back also if this fails.
        let mut nginx = Self { lab, pid: String::new() };
        vps.sh("systemctl stop apache2; systemctl start nginx");
        nginx.pid = nginx.master();
        nginx
    }

    /// The master process now.
    fn master(&self) -> String {
        self.lab.vps.read("/run/nginx.pid").trim().to_owned()
    }

    /// Its children.
    pub(crate) fn workers(&self) -> String {
        self.lab.vps.sh(&format!("pgrep -P {} | sort", self.pid))
    }

    /// It was reloaded perhaps, never restarted.
    pub(crate) fn expect_same_process(&self) {
        assert_eq!(self.master(), self.pid);
    }
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        let vps = &self.lab.vps;
        vps.run(&["systemctl", "stop", "nginx"]);
        vps.run(&["systemctl", "start", "apache2"]);
        fs::remove_dir_all(vps.path("/etc/certbaton")).ok();
        if !std::thread::panicking() {
            until("apache instead of nginx", || has_apache(vps));
            self.lab.expect_another_apache();
        }
    }
}

fn has_apache(vps: &Host) -> bool {
    vps.apache().is_some()
}

fn site(name: &str) -> String {
    let names = if name.starts_with("cloud") { format!("{name} www.{name}") } else { name.into() };
    SITE.replace("@NAMES@", &names).replace("@NAME@", name)
}

const SITE: &str = "server {
    listen 80;
    listen [::]:80;
    server_name @NAMES@;
    root /var/www/html;
    location /.well-known/acme-challenge/ { }
    location / { proxy_pass https://home.example.org; proxy_set_header Host $host; }
}
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name @NAMES@;
    root /var/www/html;
    ssl_certificate /etc/letsencrypt/live/@NAME@/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/@NAME@/privkey.pem;
    location / { proxy_pass https://home.example.org; proxy_set_header Host $host; }
}
";
