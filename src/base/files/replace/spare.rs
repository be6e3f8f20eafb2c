//! system: what is kept of a file that was replaced, as the room that the way back needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::KNOWN_BYTES;
use crate::base::files::{SPARE, Staging, left_staging, list, remove_own};
use crate::base::fingerprint::fingerprint;

pub(super) fn spare_in(place: &Path, target: &Path) -> PathBuf {
    let name = fingerprint(target.as_os_str().as_encoded_bytes(), KNOWN_BYTES);
    place.join(format!("{SPARE}{name}"))
}

/// Removes what [`Replaced::keep`](super::Replaced::keep) left in `preferred` and in all places above `targets`, and
/// those places, once there is no way back to go.
pub fn forget_spares(preferred: &Path, targets: &[PathBuf]) {
    let beside: BTreeSet<PathBuf> = targets.iter().flat_map(|t| left_staging(t)).collect();
    let ours = list(preferred).unwrap_or_default().into_iter();
    let ours = ours.filter(|name| name.as_encoded_bytes().starts_with(SPARE.as_bytes()));
    ours.map(|name| preferred.join(name)).for_each(|spare| forget(&spare));
    for place in &beside {
        forget_spares_in(place, targets);
    }
    beside.into_iter().filter_map(Staging::abandoned).for_each(drop);
}

impl Staging {
    /// The same in this place alone, which is beside the files.
    pub fn forget_spares(&self, targets: &[PathBuf]) {
        forget_spares_in(self.path(), targets);
    }
}

/// It is shared: those of other targets are others'.
fn forget_spares_in(place: &Path, targets: &[PathBuf]) {
    for target in targets {
        forget(&spare_in(place, target));
    }
}

fn forget(spare: &Path) {
    if let Err(error) = remove_own(spare) {
        tracing::debug!("a spare file stays: {error}");
    }
}
