//! flow: an Apache that its administrator built into a prefix of its own, with its own `-d` and `-f`.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use certbaton::apache::server;
use certbaton::base::fingerprint::fingerprint;
use certbaton::base::lock;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::servers::alone;
use crate::servers::tree::{NAME, SITE, Tree, refused};
use support::apache::Network;

#[test]
fn a_self_built_prefix_with_its_own_arguments() {
    alone("servers::prefix::a_self_built_prefix_with_its_own_arguments", |network| {
        let tree = lay(network);
        tree.start();
        tree.expect_switched_and_given_back(SITES, &|words| tree.certbaton(words));
        // Another configuration, with directories of its own, waits for whoever is at it.
        let identity = server::identity(None).unwrap();
        let name = format!("apache-{}.lock", fingerprint(&identity, 8));
        let busy = lock::attempt(&Path::new("/run/certbaton").join(name)).unwrap().unwrap();
        let other = "state-directory = \"@/state2\"\nruntime-directory = \"@/runtime2\"\n";
        let own = std::fs::read_to_string(tree.path("certbaton.toml")).unwrap();
        tree.write("certbaton.toml", other);
        assert_eq!(tree.certbaton(&["switch", "local", NAME]).status.code(), Some(75));
        drop(busy);
        let local = tree.certbaton(&["switch", "local", NAME]);
        assert!(local.status.success(), "{local:?}");
        let peer = tree.certbaton(&["switch", "peer"]);
        assert!(peer.status.success(), "{peer:?}");
        tree.write("certbaton.toml", &own);
        // Its own words are what tests it, and a signal is what reloads it.
        tree.write("opt/web/etc/sites-enabled/broken.conf", "Nonsense\n");
        let said = refused(&tree.certbaton(&["switch", "local", NAME]));
        assert!(said.contains("sites-enabled/broken.conf:1: Invalid command 'Nonsense'"), "{said}");
        assert!(said.contains(&format!("repair it first ({} -t)", tree.command_line())), "{said}");
    });
}

#[test]
fn who_only_asks_apache_something_is_no_second_apache() {
    alone("servers::prefix::who_only_asks_apache_something_is_no_second_apache", |network| {
        let tree = lay(network);
        let pid = tree.start();
        let found =
            || server::find(None).map(|server| server.process().pid).map_err(|e| e.to_string());
        // They begin and end all the time, as those of a monitoring do.
        let stop = AtomicBool::new(false);
        let all: Vec<_> = thread::scope(|scope| {
            for _ in 0..ASKERS {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        tree.apache().arg("-v").output().unwrap();
                    }
                });
            }
            let all = (0..LOOKS).map(|_| found()).collect();
            stop.store(true, Ordering::Relaxed);
            all
        });
        assert!(all.iter().all(|one| *one == Ok(pid)), "{all:?}");
        // One that has ended, and that nobody has asked how.
        let mut asker = tree.apache().arg("-v").stdout(Stdio::null()).spawn().unwrap();
        waitid(
            Id::Pid(Pid::from_raw(asker.id().cast_signed())),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        )
        .unwrap();
        assert_eq!(found(), Ok(pid));
        asker.wait().unwrap();
    });
}

const ASKERS: usize = 4;
const LOOKS: usize = 500;

/// As `./configure --prefix` and `apachectl -k start` make it. The relative `-f` is below `ServerRoot`
/// (httpd(8)); a `sites-enabled` without the directory that a2ensite links from is not Debian's.
pub(crate) fn lay(network: &Network) -> Tree {
    let tree = Tree::lay("opt/web/bin/httpd", "opt/web/modules", "opt/web/logs/httpd.pid", network);
    tree.write("opt/web/etc/my.conf", CONF);
    tree.write(SITES, SITE);
    tree.with(&["-d", "@/opt/web", "-f", "etc/my.conf", "-DWITH_SITES"])
}

const SITES: &str = "opt/web/etc/sites-enabled/one.conf";

const CONF: &str = "ServerRoot \"@/opt/web\"
ServerName base.example.org
PidFile logs/httpd.pid
ErrorLog logs/error_log
LogLevel notice
Listen 80
User daemon
Group daemon
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
<IfDefine WITH_SITES>
IncludeOptional etc/sites-enabled/*.conf
</IfDefine>
";
