//! flow: plants a nonce below each webroot that certbot proves names by, on this host.

use std::collections::BTreeMap;

use crate::base::cause::chain;
use crate::base::names::{Hostname, Thumbprint, Webroot};
use crate::ca::sight::{Planted, Planting};
use crate::ca::webroot;
use crate::certbot::accounts;
use crate::certbot::lineages::lineages;
use crate::config::Settings;

/// What is planted, for as long as this lives.
#[derive(Debug, Default)]
#[must_use = "the files are removed when this is dropped"]
pub struct Bed {
    files: Vec<webroot::PlantedFile>,
    /// What to tell of it.
    pub plantings: Vec<Planting>,
}

/// Plants for those of `names` that certbot proves by a webroot here; for all such if there are none.
pub fn plant(settings: &Settings, names: &[Hostname]) -> Bed {
    let mut webroots: BTreeMap<(Webroot, Option<Thumbprint>), Vec<Hostname>> = BTreeMap::new();
    let known = lineages(&settings.certbot_directory).unwrap_or_default();
    for lineage in known.usable.iter().filter(|lineage| lineage.is_webroot()) {
        let account = accounts::of_lineage(&settings.certbot_directory, lineage);
        for name in &lineage.names {
            if let Some(webroot) = lineage.webroot_of(name)
                && (names.is_empty() || names.contains(name))
            {
                let of = webroots.entry((webroot.clone(), account.clone())).or_default();
                if !of.contains(name) {
                    of.push(name.clone());
                }
            }
        }
    }
    let mut bed = Bed::default();
    for ((webroot, account), names) in webroots {
        let planted = match webroot::plant(&webroot) {
            Ok(file) => {
                let content = file.nonce().clone().into();
                bed.files.push(file);
                Planted::Content(content)
            }
            Err(error) => Planted::Failed(chain(&error)),
        };
        bed.plantings.push(Planting { webroot, names, planted, account });
    }
    bed
}

impl Bed {
    /// Removes everything; what cannot be removed is in the log.
    pub fn clear(mut self) {
        for file in self.files.drain(..) {
            if let Err(error) = file.remove() {
                tracing::warn!("a challenge file was left behind: {}", chain(&error));
            }
        }
    }
}
