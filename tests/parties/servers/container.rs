//! flow: a container: Apache in the foreground as its first process, no systemd, and not every capability.

use std::process::{Child, Command, Output};

use crate::servers::alone;
use crate::servers::tree::{NAME, SITE, Tree, refused};
use support::apache::Network;

#[test]
fn a_foreground_apache_that_is_pid_1_of_its_container() {
    alone("servers::container::a_foreground_apache_that_is_pid_1_of_its_container", |network| {
        let tree = lay(network);
        let container = Container::start(&tree);
        tree.await_answer();
        assert_eq!(tree.pid(), 1, "as in a container");
        let before = std::fs::read(tree.path(SITES)).unwrap();

        // From outside it is another's: what is found there must not be taken for this host's.
        let said = refused(&tree.certbaton(&["switch", "local", NAME]));
        assert!(
            said.contains("in a container listens on port 80: run certbaton in there"),
            "{said}"
        );

        // What a container usually may not do is said, and nothing is changed.
        let bound = ["/usr/bin/setpriv", "--bounding-set=-sys_admin"];
        let said = refused(&container.certbaton(&tree, &bound, &["switch", "local", NAME]));
        assert!(
            said.contains("in a container, start that with the capability SYS_ADMIN"),
            "{said}"
        );
        assert_eq!(std::fs::read(tree.path(SITES)).unwrap(), before);

        tree.expect_switched_and_given_back(SITES, &|words| container.certbaton(&tree, &[], words));

        tree.write("usr/local/apache2/conf/broken.conf", "Nonsense\n");
        let said = refused(&container.certbaton(&tree, &[], &["switch", "local", NAME]));
        assert!(said.contains("broken.conf:1: Invalid command 'Nonsense'"), "{said}");
    });
}

/// The one whose first process is Apache; its files are those of the test.
struct Container(Child);

impl Container {
    fn start(tree: &Tree) -> Self {
        let apache = tree.apache();
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "env", "-i"]);
        command.arg(apache.get_program()).args(apache.get_args()).arg("-DFOREGROUND");
        Self(command.spawn().unwrap())
    }

    /// The first process, as the test numbers it.
    fn pid(&self) -> String {
        let unshare = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"));
        children.unwrap().trim().to_owned()
    }

    /// certbaton as `docker exec` runs it.
    fn certbaton(&self, tree: &Tree, before: &[&str], words: &[&str]) -> Output {
        let pid = self.pid();
        let enter = ["/usr/bin/nsenter", "--target", &pid, "--pid", "--mount", "--"];
        tree.certbaton_by(&[&enter, before].concat(), words)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It takes its child with it (`--kill-child`).
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// As the image of httpd has it.
fn lay(network: &Network) -> Tree {
    let (program, modules) = ("usr/local/apache2/bin/httpd", "usr/local/apache2/modules");
    let tree = Tree::lay(program, modules, "usr/local/apache2/logs/httpd.pid", network);
    tree.write("usr/local/apache2/conf/httpd.conf", CONF);
    tree.write(SITES, SITE);
    tree.with(&["-d", "@/usr/local/apache2", "-f", "conf/httpd.conf"])
}

const SITES: &str = "usr/local/apache2/conf/one.conf";

const CONF: &str = "ServerRoot \"@/usr/local/apache2\"
ServerName base.example.org
PidFile logs/httpd.pid
ErrorLog logs/error_log
LogLevel notice
Listen 80
User www-data
Group www-data
LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
IncludeOptional conf/o*.conf
IncludeOptional conf/b*.conf
";
