//! flow: whose life a run's is, where no certbot runs the hook: the client's, or a person's shell's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::process::{self, Error, Process};

/// Who called a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Which process.
    pub process: Process,
    /// It is a shell that takes commands: a person called, and the run lasts as long as that session.
    pub is_shell: bool,
}

/// An ancestor of a hook, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ancestor {
    process: Process,
    /// Its effective user.
    user: u32,
    /// Its own words: it may be a user's, who calls the hook by sudo.
    argv: Vec<OsString>,
}

/// The nearest ancestor of `hook` that does more than to wait for it; where that is init, which never
/// ends, the outermost of those who wait.
pub fn client(hook: Process) -> Result<Client, Error> {
    let above = process::ancestors(hook.pid)?.into_iter().map(|process| {
        let (user, argv) = (process::user(process.pid)?, process::argv(process.pid)?);
        Ok(Ancestor { process, user, argv })
    });
    Ok(of_these(hook, &above.collect::<Result<Vec<_>, Error>>()?))
}

/// The same among `above`, nearest first.
///
/// A shell script's subshell ends with the hook (dehydrated calls it from one), so it counts as
/// the script: it is a fork, with the same user and arguments. Arguments alone would let a user
/// pass for init, and hold lease and routes until the machine is started anew.
fn of_these(hook: Process, above: &[Ancestor]) -> Client {
    let mut owner = hook;
    let mut client: Option<&Ancestor> = None;
    for ancestor in above {
        let is_outside = match client {
            Some(client) => ancestor.user != client.user || ancestor.argv != client.argv,
            None => false,
        };
        if is_outside || (ancestor.process.pid == INIT && owner != hook) {
            break;
        }
        owner = ancestor.process;
        if !ends_with_its_command(&ancestor.argv) {
            client = Some(ancestor);
        }
    }
    let is_shell = client.is_some_and(|client| is_interactive_shell(&client.argv));
    Client { process: owner, is_shell }
}

/// A shell running one command, or who runs a command as somebody else or for some time.
fn ends_with_its_command(argv: &[OsString]) -> bool {
    let program = program(argv);
    let is_command = argv.get(1).is_some_and(|argument| argument == "-c");
    is_command && SHELLS.iter().any(|shell| program == *shell)
        || WRAPPERS.iter().any(|wrapper| program == *wrapper)
}

/// A shell without a script; as a login shell its name starts with `-` (login(1)).
pub fn is_interactive_shell(argv: &[OsString]) -> bool {
    let rest = argv.get(1..).unwrap_or_default();
    SHELLS.iter().any(|shell| program(argv) == *shell)
        && rest.iter().all(|argument| argument.as_bytes().starts_with(b"-") && argument != "-c")
}

fn program(argv: &[OsString]) -> &OsStr {
    let program = argv.first().map_or(Path::new(""), Path::new);
    let name = program.file_name().unwrap_or_default();
    OsStr::from_bytes(name.as_bytes().strip_prefix(b"-").unwrap_or(name.as_bytes()))
}

const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];

const WRAPPERS: [&str; 6] = ["sudo", "doas", "su", "runuser", "timeout", "chronic"];

/// The first process of a host or container.
const INIT: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    /// The owner among `above`, of which each is a pid, a user and words.
    fn owner(above: &[(i32, u32, &str)]) -> i32 {
        let process = |pid| Process { pid, start_time: 0 };
        let above: Vec<_> = above
            .iter()
            .map(|(pid, user, line)| Ancestor {
                process: process(*pid),
                user: *user,
                argv: words(line),
            })
            .collect();
        of_these(process(99), &above).process.pid
    }

    #[test]
    fn a_run_lives_as_long_as_its_client_and_never_as_long_as_init() {
        let init = (1, 0, "/sbin/init");
        let script = "bash /usr/bin/dehydrated -c";
        assert_eq!(owner(&[(9, 0, "sh -c x"), (8, 0, script), (7, 0, script), init]), 7);
        assert_eq!(owner(&[(9, 0, "sudo x"), (8, 1000, "-bash"), (7, 0, "sshd"), init]), 8);
        // Nobody but those who wait.
        assert_eq!(owner(&[(9, 0, "timeout 9 x"), (8, 0, "sh -c x"), init]), 8);
        // The entry point of a container is its init.
        assert_eq!(owner(&[(1, 0, "sh /entry")]), 1);
        // Words that a user has chosen.
        assert_eq!(owner(&[(9, 0, "sudo x"), (8, 1000, "/sbin/init"), init]), 8);
        assert_eq!(owner(&[(9, 0, "sudo x"), (8, 1000, "cron"), (7, 0, "cron"), init]), 8);
        assert_eq!(owner(&[(9, 0, "lego"), (8, 0, "/sbin/init"), init]), 9);
    }

    #[test]
    fn a_persons_shell_is_told_from_a_script_and_from_who_only_waits() {
        for line in ["-bash", "bash", "/bin/zsh -i", "sh -l", "fish", "bash --login"] {
            assert!(is_interactive_shell(&words(line)), "{line}");
            assert!(!ends_with_its_command(&words(line)), "{line}");
        }
        for line in ["sh -c x", "/bin/bash -c x", "sudo -i certbaton-pre-hook", "timeout 60 x"] {
            assert!(ends_with_its_command(&words(line)), "{line}");
            assert!(!is_interactive_shell(&words(line)), "{line}");
        }
        for line in ["bash /usr/bin/dehydrated -c", "/usr/bin/lego renew", "python3", ""] {
            assert!(!is_interactive_shell(&words(line)), "{line}");
            assert!(!ends_with_its_command(&words(line)), "{line}");
        }
    }
}
