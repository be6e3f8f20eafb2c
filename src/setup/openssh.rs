//! system: OpenSSH's programs: keys made and looked up, and a command on another host by a person's own login.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::command::ssh::CLIENT;
use crate::base::names::{Destination, HostLabel};
use crate::setup::error::Error;
use crate::setup::machine;

/// A login that works already: a person's own, with that person's ssh configuration.
#[derive(Debug)]
pub struct Login {
    /// Where to.
    pub destination: Destination,
    /// Who runs ssh: the user that called sudo; `None` is root.
    pub user: Option<String>,
    /// The person's environment, as far as ssh needs it.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether the person can be asked for a password.
    pub terminal: Terminal,
}

/// Whether ssh may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Once; later connections share the first.
    Present,
    /// Never.
    Absent,
}

impl Login {
    /// Runs `command`, which the other side's shell reads; `hear` gets its output while it comes.
    ///
    /// `sockets` is a directory of that user's for the shared connection.
    pub fn run(
        &self,
        what: &'static str,
        command: &str,
        sockets: &Path,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut program = self.ssh(sockets);
        program.arguments.extend(["--".into(), self.destination.as_str().into(), command.into()]);
        let (status, stderr) = program.hear(&Deadline::after(REMOTE_TIME), hear)?;
        if status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&stderr);
        let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let said = if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) };
        let destination = self.destination.as_str().to_owned();
        Err(Error::Remote { destination, what, status: status.to_string(), said })
    }

    /// The host and port that this login leads to (`ssh -G`).
    pub fn resolved(&self) -> Option<(String, u16)> {
        let mut program = self.program();
        program.arguments.extend(["-G".into(), "--".into(), self.destination.as_str().into()]);
        let output = program.run(&Deadline::after(LOCAL_TIME)).ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        Some((value("hostname ")?.to_owned(), value("port ")?.parse().ok()?))
    }

    /// Ends the shared connection.
    pub fn hang_up(&self, sockets: &Path) {
        let mut program = self.ssh(sockets);
        let end = ["-O", "exit", "--", self.destination.as_str()];
        program.arguments.extend(end.map(Into::into));
        // There may be none.
        program.run(&Deadline::after(LOCAL_TIME)).ok();
    }

    fn ssh(&self, sockets: &Path) -> Program {
        let mut program = self.program();
        let batch =
            if self.terminal == Terminal::Present { "BatchMode=no" } else { "BatchMode=yes" };
        let path = format!("ControlPath={}/%C", sockets.display());
        program.arguments.push("-T".into());
        for option in [batch, "ConnectTimeout=15", "ControlMaster=auto", &path, "ControlPersist=60"]
        {
            program.arguments.extend(["-o".into(), option.into()]);
        }
        program
    }

    fn program(&self) -> Program {
        let (path, arguments) = match &self.user {
            None => (CLIENT, Vec::new()),
            Some(user) => ("/usr/sbin/runuser", vec!["-u", user, "--", CLIENT]),
        };
        Program {
            path: path.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: self.environment.clone(),
            directory: "/".into(),
        }
    }
}

/// Makes a key pair without passphrase at `file` and `file`.pub.
pub fn make_key(file: &Path, name: &HostLabel) -> Result<(), Error> {
    let file = file.display().to_string();
    let words = ["-q", "-t", "ed25519", "-N", "", "-C", name.as_str(), "-f", &file];
    machine::run(SSH_KEYGEN, &words).map(drop)
}

/// The public half of the private key in `file`, with its comment.
pub fn public_half(file: &Path) -> Result<String, Error> {
    machine::run(SSH_KEYGEN, &["-y", "-P", "", "-f", &file.display().to_string()])
}

/// The lines that a known_hosts file has for a host; hashed names are found too.
pub fn known(pattern: &str, file: &Path) -> String {
    // It ends with 1 if there are none.
    let words = ["-F", pattern, "-f", &file.display().to_string()];
    machine::run(SSH_KEYGEN, &words).unwrap_or_default()
}

/// What a host says that its keys are: only as good as the comparison that follows.
pub fn scan(host: &str, port: u16) -> Result<String, Error> {
    // Where nobody answers it ends with 1 and says nothing, else it prints what it got.
    let words = ["-T", "10", "-t", "ed25519,ecdsa,rsa", "-p", &port.to_string(), "--", host];
    match machine::run("/usr/bin/ssh-keyscan", &words) {
        Err(Error::Failed { .. }) => Ok(String::new()),
        said => said,
    }
}

/// Words as one line that a POSIX shell reads as these words.
pub fn quoted(words: &[impl AsRef<str>]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    let quote = |word: &str| {
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

const SSH_KEYGEN: &str = "/usr/bin/ssh-keygen";

/// For a set-up on the other side.
const REMOTE_TIME: Duration = Duration::from_mins(10);

/// For what needs no network.
const LOCAL_TIME: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_more_than_a_word_to_a_shell() {
        assert_eq!(
            quoted(&["certbaton", "--home-key", "a b", ""]),
            "certbaton --home-key 'a b' ''"
        );
        assert_eq!(quoted(&["it's; rm -rf $HOME"]), "'it'\\''s; rm -rf $HOME'");
    }

    #[test]
    fn where_nobody_listens_no_key_is_found() {
        // The port of a socket that was bound and is closed again.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(scan("127.0.0.1", port).unwrap(), "");
        assert!(machine::is_this_host("127.0.0.1") && !machine::is_this_host("192.0.2.1"));
    }

    #[test]
    fn a_key_pair_is_made_and_known_again() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("id");
        make_key(&file, &HostLabel::parse("home").unwrap()).unwrap();
        let public = crate::base::files::read_foreign(&file.with_extension("pub")).unwrap();
        let public = String::from_utf8(public).unwrap();
        assert!(public.starts_with("ssh-ed25519 ") && public.ends_with(" home\n"), "{public}");
        assert_eq!(public_half(&file).unwrap().trim(), public.trim());
        let known_hosts = scratch.path().join("known");
        let blob = public.split(' ').nth(1).unwrap();
        let line = format!("vps.example.org ssh-ed25519 {blob}\n");
        crate::base::files::write_scratch(&known_hosts, line.as_bytes()).unwrap();
        assert!(known("vps.example.org", &known_hosts).contains(blob));
        assert_eq!(known("other.example.org", &known_hosts), "");
        assert!(make_key(Path::new("/nonexistent/id"), &HostLabel::parse("h").unwrap()).is_err());
    }
}
