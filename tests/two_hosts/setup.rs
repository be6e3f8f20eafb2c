//! flow: `certbaton install`, `init` and `uninstall` on two machines that nobody has set up: from nothing to renewals, and back.
//!
//! The programs are built from source, in /usr/local/bin. Each rule starts from the same file trees, and uninstalling
//! has to bring them back. As in `machines`, this skips where there can be no lab.

mod cut;
mod installed;
mod pair;
mod people;
mod refused;
mod site;

use crate::trials::Part;

pub(crate) fn part() -> Part {
    site::part(&[refused::RULES, installed::RULES, cut::RULES, pair::RULES, people::RULES].concat())
}
