//! system: a lineage whose links certbot was moving to a new certificate when it was killed.
//!
//! Some of the links lead to the old certificate then, some to the new one, one perhaps nowhere, and Apache cannot load
//! that. Before certbot moves them it notes where each led (`previous_KIND.pem`), and goes by that the next time it
//! reads this lineage (`_fix_symlinks` in storage.py). A run reads its lineages one by one, with the pre-hook before the
//! first that is due: as long as Apache cannot be reloaded, none would be renewed, and so none would be read.

use std::path::{Path, PathBuf};

use crate::base::files::{self, displace};
use crate::base::process;
use crate::certbot::running::LOCK_FILE;

/// The links of a lineage, in certbot's order (`ALL_FOUR`).
const KINDS: [&str; 4] = ["cert", "privkey", "chain", "fullchain"];

/// Has all links of `directory`, a lineage's below `live/`, lead where they led before, as certbot would; whether there
/// was anything to do.
///
/// Nobody else may be moving them: see [`is_certbot_running`].
pub fn undo(directory: &Path) -> Result<bool, files::Error> {
    let link = |kind: &str| directory.join(format!("{kind}.pem"));
    let noted = |kind: &str| directory.join(format!("previous_{kind}.pem"));
    // With one less it has moved none of them yet, or all.
    if !is_halfway(directory) {
        return Ok(false);
    }
    for kind in KINDS {
        let before = files::link_target(&noted(kind))?;
        if files::link_target(&link(kind)).ok() != Some(before.clone()) {
            displace::link(&link(kind), &before, directory)?;
        }
    }
    for kind in KINDS {
        files::remove_own(&noted(kind))?;
    }
    Ok(true)
}

/// Whether certbot was moving the links of `directory` when it was last seen.
pub fn is_halfway(directory: &Path) -> bool {
    KINDS.iter().all(|kind| files::exists(&directory.join(format!("previous_{kind}.pem"))))
}

/// The file by which the certificate of a lineage counts whose link is `link`: while the links are half-way, the one
/// before, which they go back to.
pub fn settled(link: &Path) -> PathBuf {
    let note = link.file_name().map(|name| format!("previous_{}", name.to_string_lossy()));
    match (link.parent(), note) {
        (Some(directory), Some(note)) if is_halfway(directory) => directory.join(note),
        _ => link.to_owned(),
    }
}

/// The directories of all lineages.
pub fn directories(configuration: &Path) -> Vec<PathBuf> {
    let live = configuration.join("live");
    let names = files::list(&live).unwrap_or_default();
    names.into_iter().map(|name| live.join(name)).collect()
}

/// Whether any certbot is running: one that is may be moving links.
pub fn is_certbot_running() -> Result<bool, process::Error> {
    for pid in process::all()? {
        // It may have ended since.
        if process::holds_lock_on(pid, LOCK_FILE).unwrap_or(false) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes what certbot leaves")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A lineage whose certificate is renewed up to this step: what each link leads to.
    fn killed_after(steps: usize) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let (live, archive) = (scratch.path().join("live/a"), scratch.path().join("archive/a"));
        fs::create_dir_all(&live).unwrap();
        fs::create_dir_all(&archive).unwrap();
        let at = |name: String| live.join(name);
        let target = |kind: &str, version: u8| format!("../../archive/a/{kind}{version}.pem");
        for kind in KINDS {
            for version in 1..=2 {
                fs::write(archive.join(format!("{kind}{version}.pem")), kind).unwrap();
            }
            symlink(target(kind, 1), at(format!("{kind}.pem"))).unwrap();
        }
        // storage.py:update_all_links_to
        let mut done = 0;
        let mut step = |act: &dyn Fn()| {
            if done < steps {
                act();
            }
            done += 1;
        };
        for kind in KINDS {
            step(&|| symlink(target(kind, 1), at(format!("previous_{kind}.pem"))).unwrap());
        }
        for kind in KINDS {
            step(&|| fs::remove_file(at(format!("{kind}.pem"))).unwrap());
            step(&|| symlink(target(kind, 2), at(format!("{kind}.pem"))).unwrap());
        }
        for kind in KINDS {
            step(&|| fs::remove_file(at(format!("previous_{kind}.pem"))).unwrap());
        }
        (scratch, live)
    }

    #[test]
    fn wherever_certbot_was_killed_all_links_lead_to_one_version() {
        for steps in 0..=16 {
            let (_scratch, live) = killed_after(steps);
            let is_halfway = (4..=12).contains(&steps);
            let counts = fs::read_link(settled(&live.join("cert.pem"))).unwrap();
            assert_eq!(undo(&live).unwrap(), is_halfway, "{steps}");
            assert!(!undo(&live).unwrap(), "{steps}");
            let version = if steps > 12 { 2 } else { 1 };
            assert!(counts.to_str().unwrap().ends_with(&format!("cert{version}.pem")), "{steps}");
            for kind in KINDS {
                let led = fs::read_link(live.join(format!("{kind}.pem"))).unwrap();
                let led = led.to_str().unwrap().to_owned();
                assert!(led.ends_with(&format!("{kind}{version}.pem")), "{steps}: {led}");
            }
        }
    }
}
