//! flow: what the other host sees of a name is part of its proof, where it can be asked.

use crate::lab::Lab;
use crate::lease::ONE;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "a_name_that_the_other_host_sees_answered_by_somebody_else_is_not_asked_for",
    Debians,
    elsewhere,
)];

/// From the vps, home's port 80 leads to the vps itself.
const ASTRAY: &str = "ip -6 route add local 2001:db8::20 dev lo table 99
    ip -6 rule add pref 10 to 2001:db8::20 ipproto tcp dport 80 lookup 99";

const MENDED: &str = "ip -6 rule del pref 10; ip -6 route flush table 99";

fn elsewhere(lab: &Lab) {
    let (since, cursor) = (lab.ca.mark(), lab.home.cursor());
    lab.vps.sh(ASTRAY);
    let done = lab.renew().with(&ONE).run();
    lab.vps.sh(MENDED);
    let told = lab.home.journal(&cursor);
    assert_eq!(done.code(), 143, "{done:?}\n{told}");
    let why = "answered by somebody else at 2001:db8::20";
    assert!(told.contains("vps sees ") && told.contains(why), "{told}");
    assert_eq!(lab.ca.work(since).orders, 0);
    // As it was, nothing is wrong.
    lab.renew().with(&ONE).succeed();
}
