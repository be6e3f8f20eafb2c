//! system: how many connections one caller may have at this host at once.
//!
//! Each is a process or three. A key is a caller's word that it means well, and
//! a broken loop on its host is enough to fill this one.

use std::path::Path;

use crate::base::files;
use crate::base::lock::{self, Lock};
use crate::base::names::HostLabel;
use crate::lease::store;

/// One of `caller`'s connections, for as long as it is held; `None` if it has `AT_ONCE` already.
pub(super) fn take(arbiter: &Path, caller: &HostLabel) -> Result<Option<Lock>, store::Error> {
    let callers = arbiter.join("callers");
    for own in [arbiter, &callers] {
        files::own_directory(own, 0o700)?;
    }
    for number in 0..AT_ONCE {
        if let Some(lock) = lock::attempt(&callers.join(format!("{caller}.{number}")))? {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// A keeper, a coordinator, a check and a few impatient people.
pub(super) const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_its_share_and_no_other_less_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("arbiter");
        let [home, third] = ["home", "third"].map(|name| HostLabel::parse(name).unwrap());
        let mut held: Vec<_> =
            (0..AT_ONCE).map(|_| take(&at, &home).unwrap().expect("a slot")).collect();
        assert!(take(&at, &home).unwrap().is_none());
        assert!(take(&at, &third).unwrap().is_some());
        held.pop();
        assert!(take(&at, &home).unwrap().is_some());
    }
}
