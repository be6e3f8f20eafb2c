//! flow: `certbaton install`, `init` and `uninstall` on two machines that nobody has set up: from nothing to renewals, and back.
//!
//! The programs are built from source, in /usr/local/bin. Each rule starts from the same file trees, and uninstalling
//! has to bring them back. As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]
#![expect(
    dead_code,
    reason = "the machines are shared with another target, which uses more of them"
)]

#[path = "../machines/ca.rs"]
mod ca;
#[path = "../machines/certbot.rs"]
mod certbot;
#[path = "../machines/clean.rs"]
mod clean;
mod cut;
#[path = "../machines/host.rs"]
mod host;
mod installed;
#[path = "../machines/lab.rs"]
mod lab;
mod pair;
mod refused;
mod site;
#[path = "../apache/snapshot.rs"]
mod snapshot;

/// A lab of our own, beside whatever else is up.
pub(crate) const NAME: &str = "certbaton-lab-setup-tests";

/// Where it keeps its logs and files.
pub(crate) const STATE: &str = "/run/certbaton-lab-setup-tests";

fn main() {
    site::perform(&[refused::RULES, installed::RULES, cut::RULES, pair::RULES].concat());
}
