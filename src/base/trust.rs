//! flow: what root reads, runs, follows or waits for, each with its check; nothing else is.
//!
//! | what | how | where it is checked |
//! | --- | --- | --- |
//! | `config.toml`, `ssh_config`, known hosts, `cli.ini`, `renewal/*.conf`, certificates, account keys, the pid file of Apache, our own journal, history, records | [`Instruction`](How::Instruction) | [`files::read_trusted`] |
//! | the key of this host, `notify.header-file`, a configuration that holds a secret | [`Secret`](How::Secret) | [`files::read_secret`] |
//! | Apache, certbot, ssh, `web-server.*`, `notify.command`, whatever else is started, its interpreter | [`Program`](How::Program) | [`before_start`], which starts of a program cannot pass by |
//! | `.htaccess`, hooks and certificates that others name, `/etc/resolv.conf` | [`Fact`](How::Fact) | [`files::read_foreign`] |
//! | the files of Apache's configuration | [`Apaches`](How::Apaches) | [`files::snapshot`], and before they are replaced |
//! | webroots | nothing of them is followed | `ca::webroot`, by descriptors |
//! | peers | bounded lines, bounded times | `lease::lines`, `agent::link` |

use std::path::{Path, PathBuf};

use crate::base::command::{Program, ssh};
use crate::base::files::{self, Error};

/// How root relies on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It does what is written there.
    Instruction,
    /// As that, and nobody else may know it.
    Secret,
    /// It runs it.
    Program,
    /// It wants to know what is there.
    Fact,
    /// It reads what Apache reads as root.
    Apaches,
}

impl How {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Instruction, Self::Secret, Self::Program, Self::Fact, Self::Apaches];

    /// Refuses what root must not rely on in this way.
    pub fn check(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Instruction => files::read_trusted(path).map(drop),
            Self::Secret => files::read_secret(path).map(drop),
            Self::Program => files::trusted_program(path).map(drop),
            Self::Fact => files::read_foreign(path).map(drop),
            Self::Apaches => files::snapshot(path).map(drop),
        }
    }
}

/// Refuses a program that others could have put there, or that follows what others could write.
///
/// What stands beside ourselves was put there by who put us there.
pub fn before_start(program: &Program) -> Result<(), Error> {
    let ours = files::own_program();
    if ours.is_some_and(|ours| ours.parent() == program.path.parent()) {
        return Ok(());
    }
    match files::trusted_program(&program.path) {
        // Who starts it says that it is not there, or what else is.
        Err(error) if error.is_unsafe() => return Err(error),
        _ => {}
    }
    let Some(configuration) = ssh::configuration(program) else { return Ok(()) };
    let text = match files::read_trusted(configuration) {
        Err(error) if error.is_missing() => return Ok(()),
        text => text?,
    };
    for (how, path) in named_by_ssh(&String::from_utf8_lossy(&text)) {
        match how.check(&path) {
            // ssh has its own words for that.
            Err(error) if error.is_missing() => {}
            checked => checked?,
        }
    }
    Ok(())
}

/// The files that an `ssh_config` names, as far as they are written out.
fn named_by_ssh(text: &str) -> Vec<(How, PathBuf)> {
    let mut found = Vec::new();
    for line in text.lines() {
        // ssh_config(5): "separated by whitespace or optional whitespace and exactly one '='".
        let line = line.trim();
        let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let how = match keyword.to_ascii_lowercase().as_str() {
            "identityfile" => How::Secret,
            "userknownhostsfile" | "globalknownhostsfile" | "include" | "certificatefile" => {
                How::Instruction
            }
            _ => continue,
        };
        let values = rest.trim_start_matches([' ', '\t', '=']).split([' ', '\t', '"']);
        // Patterns and what ssh fills in are its own to check; /dev/null is no file, and says none.
        let plain = values.filter(|value| {
            value.starts_with('/') && !value.contains(['*', '?', '%']) && *value != "/dev/null"
        });
        found.extend(plain.map(|path| (how, PathBuf::from(path))));
    }
    found
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests own their files")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::{geteuid, mkfifo};

    use super::*;
    use crate::base::exit::{CarriesExit, Exit};

    /// Anybody but root.
    const USER: u32 = 12345;

    /// What is wrong with a file, and how it is made so.
    type Wrong = (&'static str, fn(&Path));

    const OF_ANOTHER: [Wrong; 6] = [
        ("of another", |path| chown(path, Some(USER), None).unwrap()),
        ("writable for all", |path| mode(path, 0o702)),
        ("writable for another group", |path| {
            chown(path, None, Some(USER)).unwrap();
            mode(path, 0o720);
        }),
        ("in a directory of another", |path| chown(parent(path), Some(USER), None).unwrap()),
        ("in a directory that all may write", |path| mode(parent(path), 0o777)),
        ("reached by another's link", |path| {
            let real = parent(path).join("real");
            fs::rename(path, &real).unwrap();
            symlink(&real, path).unwrap();
            lchown(path, Some(USER), None).unwrap();
        }),
    ];

    const NO_FILE: [Wrong; 4] = [
        ("a FIFO", |path| {
            fs::remove_file(path).unwrap();
            mkfifo(path, Mode::S_IRWXU).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a device", |path| {
            fs::remove_file(path).unwrap();
            symlink("/dev/zero", path).unwrap();
        }),
        ("a socket", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::net::UnixListener::bind(path).map(drop).unwrap();
        }),
    ];

    const TOO_LARGE: Wrong =
        ("endless", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap());

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn parent(path: &Path) -> &Path {
        path.parent().unwrap()
    }

    /// A file that is right for everything, made wrong, and looked at.
    fn looked_at(how: How, wrong: fn(&Path)) -> Result<(), Error> {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("etc");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        mode(&path, 0o700);
        wrong(&path);
        how.check(&path)
    }

    #[test]
    fn whatever_root_relies_on_is_refused_where_another_could_have_a_say() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can make files that are another's");
            return;
        }
        for how in How::ALL {
            looked_at(how, |_| {}).unwrap();
            let mut wrongs = NO_FILE.to_vec();
            match how {
                How::Instruction | How::Secret => {
                    wrongs.extend(OF_ANOTHER);
                    wrongs.push(TOO_LARGE);
                }
                How::Program => wrongs.extend(OF_ANOTHER),
                How::Fact | How::Apaches => wrongs.push(TOO_LARGE),
            }
            for (wrong, make) in wrongs {
                let refused = looked_at(how, make).map_err(|error| error.exit());
                assert_eq!(refused, Err(Exit::Unsafe), "{how:?}: {wrong}");
            }
        }
        let shown = looked_at(How::Secret, |path| mode(path, 0o740));
        assert!(matches!(shown, Err(Error::Exposed { .. })), "{shown:?}");
    }

    #[test]
    fn an_interpreter_is_run_as_well() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::write(at("python"), "").unwrap();
        mode(&at("python"), 0o757);
        fs::write(at("certbot"), format!("#! {} -I\n", at("python").display())).unwrap();
        mode(&at("certbot"), 0o755);
        assert!(How::Program.check(&at("certbot")).unwrap_err().is_unsafe());
        mode(&at("python"), 0o755);
        How::Program.check(&at("certbot")).unwrap();
    }

    #[test]
    fn a_program_is_started_only_if_what_it_follows_is_roots() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let (config, key, hosts) = (at("ssh_config"), at("key"), at("known_hosts"));
        let text = format!(
            "Host *\n  IdentityFile={}\n\tUserKnownHostsFile \"{}\" ~/.ssh/x\n\
            GlobalKnownHostsFile /dev/null\n",
            key.display(),
            hosts.display()
        );
        fs::write(&config, text).unwrap();
        let destination = crate::base::names::Destination::parse("vps.example.org").unwrap();
        let ssh = || before_start(&ssh::client(&config, &destination));
        if !Path::new(ssh::CLIENT).exists() {
            eprintln!("skipped: no {}", ssh::CLIENT);
            return;
        }
        ssh().unwrap();
        for (file, right, wrong) in
            [(&key, 0o600, 0o640), (&hosts, 0o644, 0o646), (&config, 0o644, 0o666)]
        {
            if !file.exists() {
                fs::write(file, "").unwrap();
            }
            mode(file, wrong);
            assert_eq!(ssh().map_err(|error| error.exit()), Err(Exit::Unsafe), "{file:?}");
            mode(file, right);
            ssh().unwrap();
        }
        let other = at("program");
        fs::write(&other, "").unwrap();
        mode(&other, 0o777);
        assert!(before_start(&Program::plain(other, Vec::new())).unwrap_err().is_unsafe());
        // What is missing is told by who starts it.
        before_start(&Program::plain(at("none"), Vec::new())).unwrap();
    }
}
