//! flow: what a killed certbot left half-way is undone, so that Apache can be reloaded.

use std::path::PathBuf;

use crate::base::cause::chain;
use crate::certbot::halfway;

/// Undoes what is half-way of these lineages, unless a certbot is at it; says so of each.
pub(super) fn undo(directories: impl IntoIterator<Item = PathBuf>) {
    let left: Vec<PathBuf> =
        directories.into_iter().filter(|directory| halfway::is_halfway(directory)).collect();
    if left.is_empty() || halfway::is_certbot_running().unwrap_or(true) {
        return;
    }
    for directory in left {
        let place = directory.display();
        match halfway::undo(&directory) {
            Ok(true) => tracing::warn!(
                "certbot was killed while it put a new certificate into {place}: its links lead to the one before again, as certbot has it when it finds that; its next run renews once more"
            ),
            Ok(false) => {}
            Err(error) => tracing::error!(
                "certbot was killed while it put a new certificate into {place}, and Apache may refuse that: {}; certbot certificates mends it",
                chain(&error)
            ),
        }
    }
}
