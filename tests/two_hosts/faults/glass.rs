//! flow: what expires soon is renewed without the arbiter, where that is allowed and the path is proven ours.

use crate::lab::{Lab, until};
use crate::lease::ONE;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("08_break_glass_renews_without_the_arbiter_what_expires_soon", Debians, broken),
    Scenario::new("08_break_glass_waits_while_nothing_expires_soon", Debians, whole),
    Scenario::new("08_break_glass_needs_the_path_to_lead_here", Debians, elsewhere),
];

/// The lab's certificates are good for years.
const SOON: &str = "100000h";

fn broken(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.home.cursor();
    lab.allow(SOON);
    lab.no_arbiter();
    lab.renew().with(&ONE).succeed();
    lab.expect_issued(since, 1);
    lab.expect_served(&[ONE[1]]);
    let told = lab.home.journal(&cursor);
    assert!(told.contains("WITHOUT the lease"), "{told}");
}

fn whole(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.home.cursor();
    lab.allow("1h");
    lab.no_arbiter();
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    let told = lab.home.journal(&cursor);
    assert!(told.contains("cannot be reached") && !told.contains("WITHOUT"), "{told}");
}

/// By DNS the name leads to an address that takes no connection: somebody else's, for all that home knows.
fn elsewhere(lab: &Lab) {
    let since = lab.ca.mark();
    let cursor = lab.home.cursor();
    lab.allow(SOON);
    lab.no_arbiter();
    lab.home
        .sh("nft add rule inet cut in ip6 daddr 2001:db8::20 tcp dport 80 reject with tcp reset");
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    until("the keeper's end", || lab.home.processes("certbaton keep").is_empty());
    let told = lab.home.journal(&cursor);
    for words in ["WITHOUT the lease", "wiki.example.org does not answer from", "given back"] {
        assert!(told.contains(words), "no {words:?}: {told}");
    }
    lab.mend();
}

impl Lab {
    /// Allows home to renew without the arbiter, `before` the end of a certificate.
    fn allow(&self, before: &str) {
        let line = format!("break-glass = \"{before}\"");
        self.home.sh(&format!("sed -i '/^\\[lease\\]/a {line}' /etc/certbaton/config.toml"));
    }

    /// Home's way to the arbiter is refused at once.
    fn no_arbiter(&self) {
        self.home.sh("nft add table inet cut
            nft 'add chain inet cut out { type filter hook output priority 0; }'
            nft 'add chain inet cut in { type filter hook input priority 0; }'
            nft add rule inet cut out tcp dport 22 reject with tcp reset");
    }
}
