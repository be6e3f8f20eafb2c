//! flow: the layout of RHEL and Fedora: `httpd`, `/etc/httpd`, `conf.d`, modules by way of a link.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::servers::alone;
use crate::servers::tree::{NAME, SITE, Tree, refused};
use support::apache::Network;

#[test]
fn the_layout_of_fedora() {
    alone("servers::fedora::the_layout_of_fedora", |network| {
        let tree = lay(network);
        let pid = tree.start();
        tree.expect_switched_and_given_back(SITES, &|words| tree.certbaton(words));
        let status = tree.certbaton(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let found = &status["hosts"][0]["found"];
        assert!(found["versions"]["apache"].as_str().unwrap().starts_with("2.4."), "{found}");
        assert_eq!(found["apache"], serde_json::Value::Null, "{found}");
        // Stopped, what would start it is named; it is not started.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
        while std::path::Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok() {
            std::thread::yield_now();
        }
        let said = refused(&tree.certbaton(&["switch", "local", NAME]));
        assert!(said.contains("Apache is not running; certbaton never starts it: "), "{said}");
    });
}

/// As the package httpd lays it out, below another root; there `HTTPD_ROOT` is compiled in, here `-d` says it.
fn lay(network: &Network) -> Tree {
    let (program, modules) = ("usr/sbin/httpd", "usr/lib64/httpd/modules");
    let tree = Tree::lay(program, modules, "run/httpd/httpd.pid", network);
    tree.write("usr/sbin/apachectl", "#!/bin/sh\nexec @/usr/sbin/httpd -d @/etc/httpd \"$@\"\n");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(tree.path("usr/sbin/apachectl"), executable).unwrap();
    tree.write("etc/httpd/conf/httpd.conf", CONF);
    tree.write("etc/httpd/conf.modules.d/00-mpm.conf", MPM);
    tree.write("etc/httpd/conf.modules.d/00-proxy.conf", PROXY);
    tree.write(SITES, SITE);
    let links =
        [("modules", "usr/lib64/httpd/modules"), ("run", "run/httpd"), ("logs", "run/httpd")];
    for (link, target) in links {
        symlink(format!("../../{target}"), tree.path("etc/httpd").join(link)).unwrap();
    }
    tree.with(&["-d", "@/etc/httpd", "-f", "conf/httpd.conf"])
}

const SITES: &str = "etc/httpd/conf.d/one.conf";

const MPM: &str = "LoadModule mpm_event_module modules/mod_mpm_event.so\n";

const PROXY: &str = "LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
";

/// Fedora's httpd.conf, shortened.
const CONF: &str = "ServerRoot \"@/etc/httpd\"
Listen 80
Include conf.modules.d/*.conf
User nobody
Group nogroup
ServerName base.example.org
PidFile run/httpd.pid
DefaultRuntimeDir run
ErrorLog \"logs/error_log\"
LogLevel notice
IncludeOptional conf.d/*.conf
";
