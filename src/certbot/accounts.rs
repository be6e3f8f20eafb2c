//! system: the keys of certbot's accounts, read for their thumbprints and for nothing else.

use std::path::Path;

use crate::base::files;
use crate::base::names::Thumbprint;
use crate::certbot::account::{self, key_file};
use crate::certbot::renewal_file::Lineage;

/// The server that certbot asks unless it is told another one.
pub const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The one where it rehearses then.
pub const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Of the account that `lineage` is renewed with; `None` if it cannot be told.
pub fn of_lineage(directory: &Path, lineage: &Lineage) -> Option<Thumbprint> {
    of_server(directory, lineage.server.as_deref()?, lineage.account.as_deref())
}

/// Of the account `id` at `server`; of the only one there if that is not there, or not known.
pub fn of_server(directory: &Path, server: &str, id: Option<&str>) -> Option<Thumbprint> {
    let read = |id: &str| {
        let key = files::read_trusted(&key_file(directory, server, id)?).ok()?;
        account::thumbprint(&key).ok()
    };
    id.and_then(read).or_else(|| {
        let all = key_file(directory, server, "any")?;
        let mut ids = files::list(all.parent()?.parent()?).ok()?.into_iter();
        let only = ids.next().filter(|_| ids.next().is_none())?;
        read(only.to_str()?)
    })
}
