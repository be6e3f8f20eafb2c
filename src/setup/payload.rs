//! pure: the files of `hooks/`, as an installation has them: where they go, and which programs they name.

use std::path::{Path, PathBuf};

use crate::certbot::saved_hooks::Stage;

/// The programs that have to be side by side.
pub const PROGRAMS: [&str; 5] = [
    "certbaton",
    "certbaton-pre-hook",
    "certbaton-deploy-hook",
    "certbaton-post-hook",
    "renew-coordinate",
];

/// The unit that every installed host has at boot, and the timer that goes on with it.
pub const RECOVER: [&str; 2] = ["certbaton-recover.service", "certbaton-recover.timer"];

/// The timer of the host that coordinates.
pub const RENEW_TIMER: &str = "certbaton-renew.timer";

/// Where the sudo rule goes.
pub const SUDOERS: &str = "/etc/sudoers.d/certbaton";

/// A directory of programs whose path needs no quotes in units, sudoers and shells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramDirectory(String);

impl ProgramDirectory {
    /// Checks `path`.
    pub fn parse(path: &Path) -> Option<Self> {
        let text = path.to_str()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        let good = path.is_absolute() && text.chars().all(plain);
        good.then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

/// One file of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it goes.
    pub path: PathBuf,
    /// Where a distribution's package has it instead.
    pub vendor: Option<PathBuf>,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// What it is for.
    pub why: &'static str,
}

/// All files, for programs in `programs` and hooks below certbot's `certbot`.
pub fn pieces(programs: &ProgramDirectory, certbot: &Path) -> Vec<Piece> {
    let named = |text: &str| text.replace("/usr/bin/", &programs.program("")).into_bytes();
    let mut all = Vec::new();
    for (name, text, why) in UNITS {
        all.push(Piece {
            path: Path::new("/etc/systemd/system").join(name),
            vendor: Some(Path::new("/usr/lib/systemd/system").join(name)),
            bytes: named(text),
            mode: 0o644,
            why,
        });
    }
    for (directory, text, why) in [
        (
            "sysusers.d",
            include_str!("../../hooks/sysusers.d/certbaton.conf"),
            "the user that grants the lease",
        ),
        ("tmpfiles.d", include_str!("../../hooks/tmpfiles.d/certbaton.conf"), "its directories"),
    ] {
        all.push(Piece {
            path: ["/etc", directory, "certbaton.conf"].iter().collect(),
            vendor: Some(["/usr/lib", directory, "certbaton.conf"].iter().collect()),
            bytes: text.as_bytes().to_vec(),
            mode: 0o644,
            why,
        });
    }
    all.push(Piece {
        path: SUDOERS.into(),
        vendor: None,
        bytes: named(include_str!("../../hooks/sudoers.d/certbaton")),
        mode: 0o440,
        why: "what a coordinator on another host may have done here",
    });
    for stage in Stage::ALL {
        let (text, why) = match stage {
            Stage::Pre => (
                include_str!("../../hooks/pre/certbaton"),
                "before the first challenge: lease, route, proof",
            ),
            Stage::Deploy => {
                (include_str!("../../hooks/deploy/certbaton"), "after each lineage: give it back")
            }
            Stage::Post => {
                (include_str!("../../hooks/post/certbaton"), "at the end: give everything back")
            }
        };
        all.push(Piece {
            path: certbot.join("renewal-hooks").join(stage.directory()).join("certbaton"),
            vendor: None,
            bytes: named(text),
            mode: 0o755,
            why,
        });
    }
    all
}

/// Units by their path below systemd's directory.
const UNITS: [(&str, &str, &str); 5] = [
    (
        "certbaton-recover.service",
        include_str!("../../hooks/systemd/certbaton-recover.service"),
        "gives back what no renewal owns, at boot too",
    ),
    (
        "certbaton-recover.timer",
        include_str!("../../hooks/systemd/certbaton-recover.timer"),
        "the same every few minutes",
    ),
    (
        "certbaton-renew.service",
        include_str!("../../hooks/systemd/certbaton-renew.service"),
        "renews on all hosts in turn",
    ),
    (
        "certbaton-renew.timer",
        include_str!("../../hooks/systemd/certbaton-renew.timer"),
        "twice a day, once enabled",
    ),
    (
        "certbot.service.d/certbaton.conf",
        include_str!("../../hooks/systemd/certbot.service.d/certbaton.conf"),
        "gives back when certbot's own service is stopped",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(programs: &str, path: &str) -> String {
        let programs = ProgramDirectory::parse(Path::new(programs)).unwrap();
        let pieces = pieces(&programs, Path::new("/etc/letsencrypt"));
        let piece = pieces.into_iter().find(|p| p.path == Path::new(path)).unwrap();
        String::from_utf8(piece.bytes).unwrap()
    }

    #[test]
    fn every_file_names_the_programs_where_they_are() {
        let hook = "/etc/letsencrypt/renewal-hooks/pre/certbaton";
        assert!(text("/usr/local/bin", hook).contains("\n/usr/local/bin/certbaton-pre-hook\n"));
        assert!(text("/usr/bin/", hook).contains("\n/usr/bin/certbaton-pre-hook\n"));
        let unit = "/etc/systemd/system/certbaton-renew.service";
        let unit = text("/usr/local/bin", unit);
        assert!(unit.contains("ExecStart=/usr/local/bin/renew-coordinate\n"), "{unit}");
        assert!(!unit.contains("/usr/bin/"), "{unit}");
        assert!(text("/opt/c", SUDOERS).ends_with("NOPASSWD: /opt/c/certbaton agent\n"));
    }

    #[test]
    fn a_directory_that_would_need_quotes_is_refused() {
        for bad in ["/opt/my programs", "usr/bin", "/opt/a%b", "/opt/$x", "/opt/a,b"] {
            assert_eq!(ProgramDirectory::parse(Path::new(bad)), None, "{bad}");
        }
    }
}
