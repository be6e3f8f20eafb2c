//! flow: whose life a run's is, where no certbot runs the hook: the client's, or a person's shell's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::process::{self, Error, Process};

/// Who called a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Which process.
    pub process: Process,
    /// It is a shell that takes commands: a person called, and the run lasts as long as that session.
    pub is_shell: bool,
}

/// The nearest ancestor of `hook` that does more than to wait for it; where that is init, which never
/// ends, the outermost of those who wait.
///
/// A shell script's subshell ends with the hook (dehydrated calls it from one), so it counts as
/// the script: it is a fork, with the same arguments.
pub fn client(hook: Process) -> Result<Client, Error> {
    let mut owner = hook;
    let mut client: Option<Vec<OsString>> = None;
    for process in process::ancestors(hook.pid)? {
        let argv = process::argv(process.pid)?;
        let is_outside = match &client {
            Some(client) => argv != *client,
            None => process.pid == INIT && owner != hook,
        };
        if is_outside {
            break;
        }
        owner = process;
        if !ends_with_its_command(&argv) {
            client = Some(argv);
        }
    }
    let is_shell = client.is_some_and(|argv| is_interactive_shell(&argv));
    Ok(Client { process: owner, is_shell })
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
