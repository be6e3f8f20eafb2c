//! system: the programs, a directory of root's, and outputs that take nothing.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Std, Output, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use clap::Command as Known;

/// Whether all of a test can be done; where not, it says so.
pub(crate) fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("skipped in part: only root's configuration is read");
    }
    is_root
}

pub(crate) fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Every program, and of those with verbs every verb.
pub(crate) fn verbs() -> Vec<Vec<String>> {
    fn below(path: &[String], command: &Known, all: &mut Vec<Vec<String>>) {
        let path = [path, &[command.get_name().to_owned()]].concat();
        if !command.has_subcommands() {
            all.push(path.clone());
        }
        command.get_subcommands().for_each(|verb| below(&path, verb, all));
    }
    let mut all = Vec::new();
    for command in certbaton::cli::commands() {
        below(&[], &command, &mut all);
    }
    all
}

pub(crate) fn directory() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_certbaton")).parent().unwrap()
}

/// A program with its first words, below no certbot and bounded in time.
pub(crate) fn program(words: &[String]) -> Command {
    let mut command = Command::new(directory().join(&words[0]));
    command.args(&words[1..]).timeout(PATIENCE);
    command
}

/// How a program ends with `output` as its standard output.
pub(crate) fn ended(words: &[String], input: &[u8], output: Stdio) -> Output {
    let mut child = Std::new(directory().join(&words[0]));
    child.args(&words[1..]).stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    // A program that is done needs no more words.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).ok();
    child.wait_with_output().unwrap()
}

/// The exit code of a program with `error` as its standard error.
pub(crate) fn code(command: &Command, error: Stdio) -> Option<i32> {
    let mut child = Std::new(command.get_program());
    child.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(error);
    child.status().unwrap().code()
}

/// A file without room.
pub(crate) fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
pub(crate) fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A directory for a configuration; gone at the end.
#[derive(Debug)]
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    /// Where only root may write.
    pub(crate) fn new() -> Self {
        let at =
            if nix::unistd::geteuid().is_root() { "/var/lib".into() } else { std::env::temp_dir() };
        Self(tempfile::Builder::new().prefix("certbaton-test-").tempdir_in(at).unwrap())
    }

    /// With the programs in it, for a user who may not come to where they were built.
    pub(crate) fn for_everyone() -> Self {
        let place = Self::new();
        fs::set_permissions(place.0.path(), Permissions::from_mode(0o755)).unwrap();
        for program in certbaton::cli::commands() {
            let name = program.get_name();
            let from = directory().join(name);
            // A copy is large.
            if fs::hard_link(&from, place.file(name)).is_err() {
                fs::copy(&from, place.file(name)).unwrap();
            }
        }
        place
    }

    pub(crate) fn as_nobody(&self, words: &[String]) -> Command {
        let mut command = Std::new(self.file(&words[0]));
        command.args(&words[1..]).uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
        let mut command = Command::from_std(command);
        command.timeout(PATIENCE);
        command
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.file(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Of a host that is its own arbiter, where nothing else is: nothing of this machine's is read.
    pub(crate) fn settings(&self) -> String {
        let at = |name| self.file(name).display().to_string();
        format!(
            "name = \"vps\"\nstate-directory = \"{}\"\nruntime-directory = \"{}\"\n\
            [certbot]\nconfig-directory = \"{}\"\n[web-server]\ntest = [\"/bin/true\"]\n\
            reload = [\"/bin/true\"]\n[lease]\narbiter = \"vps\"\n[[host]]\nname = \"vps\"\n",
            at("state"),
            at("run"),
            at("letsencrypt")
        )
    }

    /// What a program is told on standard input.
    pub(crate) fn input(words: &[String]) -> Vec<u8> {
        if words.get(1).is_some_and(|verb| verb == "agent") {
            let version = certbaton::fleet::protocol::VERSION;
            return format!("{{\"version\":{version},\"order\":\"status\"}}\n").into();
        }
        Vec::new()
    }
}

/// The user and group of nobody on Debian.
const NOBODY: u32 = 65534;

/// For the slowest of them.
const PATIENCE: Duration = Duration::from_mins(1);
