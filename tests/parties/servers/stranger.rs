//! flow: a pid file that outlived its Apache, and a user who has got the number since.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use crate::servers::alone;
use crate::servers::prefix;
use crate::servers::tree::{NAME, Tree, refused};

/// A user's process that calls itself Apache; root would run Apache with its arguments.
struct Stranger(Child);

impl Stranger {
    fn start(tree: &Tree) -> Self {
        // A program of root's that the user may run under any arguments, as /usr/sbin/apache2 is.
        let program = tree.path("bin/apache2");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::copy("/usr/bin/sleep", &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(program);
        Self(command.arg("600").uid(USER).gid(USER).spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_users_process_is_never_taken_for_this_hosts_apache() {
    alone("servers::stranger::a_users_process_is_never_taken_for_this_hosts_apache", |network| {
        let tree = Tree::lay("usr/sbin/apache2", "modules", "run/apache2.pid", network);
        let stranger = Stranger::start(&tree);
        let pid_file = tree.path("run/apache2.pid");
        fs::write(&pid_file, format!("{}\n", stranger.0.id())).unwrap();
        tree.write(
            "certbaton.toml",
            "state-directory = \"@/state\"\nruntime-directory = \"@/runtime\"\n[apache]\npid-file = \"@/run/apache2.pid\"\n",
        );
        let said = refused(&tree.certbaton(&["switch", "local", NAME]));
        assert!(said.contains("of another user than root"), "{said}");

        // Who may write the pid file may choose the process.
        fs::set_permissions(&pid_file, fs::Permissions::from_mode(0o646)).unwrap();
        assert_eq!(tree.certbaton(&["switch", "local", NAME]).status.code(), Some(77));
        fs::set_permissions(&pid_file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(pid_file.parent().unwrap(), Some(USER), None).unwrap();
        assert_eq!(tree.certbaton(&["switch", "local", NAME]).status.code(), Some(77));
        std::os::unix::fs::chown(pid_file.parent().unwrap(), Some(0), None).unwrap();
        fs::remove_file(&pid_file).unwrap();
        let fifo = nix::unistd::mkfifo(&pid_file, nix::sys::stat::Mode::S_IRWXU);
        fifo.unwrap();
        assert_eq!(tree.certbaton(&["switch", "local", NAME]).status.code(), Some(77));

        fs::remove_file(&pid_file).unwrap();

        // Nor where no file names it.
        tree.write(
            "certbaton.toml",
            "state-directory = \"@/state\"\nruntime-directory = \"@/runtime\"\n",
        );
        let said = refused(&tree.certbaton(&["switch", "local", NAME]));
        assert!(said.contains("is not running"), "{said}");
        assert!(Path::new("/proc").join(stranger.0.id().to_string()).exists());

        // And the configuration itself.
        let config = tree.path("certbaton.toml");
        std::os::unix::fs::chown(&config, Some(USER), None).unwrap();
        assert_eq!(tree.certbaton(&["recover"]).status.code(), Some(77));
        std::os::unix::fs::chown(&config, Some(0), None).unwrap();
        let theirs = tree.path("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::rename(&config, theirs.join("c")).unwrap();
        std::os::unix::fs::chown(&theirs, Some(USER), None).unwrap();
        std::os::unix::fs::symlink(theirs.join("c"), &config).unwrap();
        let refused = tree.certbaton(&["recover"]);
        assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    });
}

#[test]
fn an_apache_whose_program_somebody_else_may_write_is_asked_nothing() {
    alone(
        "servers::stranger::an_apache_whose_program_somebody_else_may_write_is_asked_nothing",
        |network| {
            let tree = prefix::lay(network);
            tree.start();
            let line = tree.command_line();
            let program = Path::new(line.split(' ').next().unwrap());
            let give = |owner, mode| {
                std::os::unix::fs::chown(program, Some(owner), None).unwrap();
                fs::set_permissions(program, fs::Permissions::from_mode(mode)).unwrap();
            };
            for (owner, mode) in [(0, 0o757), (USER, 0o755)] {
                give(owner, mode);
                for words in
                    [&["switch", "local", NAME][..], &["switch", "local", "--dry-run", NAME]]
                {
                    let output = tree.certbaton(words);
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(77), "{owner} {mode:o}: {output:?}");
                    assert!(said.contains(program.to_str().unwrap()), "{said}");
                }
            }
            give(0, 0o755);
            let local = tree.certbaton(&["switch", "local", NAME]);
            assert!(local.status.success(), "{local:?}");
            // The lines go all the same, and the program is not run for it.
            give(0, 0o757);
            let peer = tree.certbaton(&["switch", "peer"]);
            assert_eq!(peer.status.code(), Some(70), "a reload is owed: {peer:?}");
            let site = tree.path("opt/web/etc/sites-enabled/one.conf");
            assert!(!fs::read_to_string(site).unwrap().contains("# certbaton:"), "{peer:?}");
            give(0, 0o755);
            let recover = tree.certbaton(&["recover"]);
            assert!(recover.status.success(), "{recover:?}");
        },
    );
}

const USER: u32 = 12345;
