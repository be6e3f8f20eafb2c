//! flow: `certbaton install`, `init` and `uninstall` on two machines that nobody has set up: from nothing to renewals, and back.
//!
//! The programs are built from source, in /usr/local/bin. Each rule starts from the same file trees, and uninstalling
//! has to bring them back. As in `machines`, this skips where there can be no lab.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may be blunt")]

mod cut;
mod installed;
mod pair;
mod people;
mod refused;
mod site;
#[expect(dead_code, reason = "shared with targets that use more of it")]
#[path = "../two_hosts/mod.rs"]
mod two_hosts;

fn main() {
    site::perform(
        &[refused::RULES, installed::RULES, cut::RULES, pair::RULES, people::RULES].concat(),
    );
}
