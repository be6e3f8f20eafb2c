//! flow: each layout of the challenge path renews as it promises, and says when it cannot.

use crate::clean::LINEAGES;
use crate::gateway::stage::rendered;
use crate::host::Host;
use crate::lab::Lab;
use crate::scenario::Certbots::{Debians, Full};
use crate::scenario::Scenario;
use support::full;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("switch_renews_on_both_hosts_one_after_another", Full, switch),
    Scenario::new("fallthrough_renews_on_both_hosts_at_once", Debians, fallthrough),
    Scenario::new(
        "stateless_renews_on_both_hosts_at_once_and_without_the_link",
        Debians,
        stateless,
    ),
    Scenario::new(
        "a_stateless_layout_of_another_account_is_told_and_stops_the_vps",
        Debians,
        stale,
    ),
];

/// A thumbprint of nobody's.
const OTHER: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// One lineage is enough where it is not about the names.
const ONE: [&str; 2] = ["--cert-name", "git.example.org"];

/// Both certbots renew one lineage at once, or all.
fn at_once(lab: &Lab, hooks: bool, all: bool) {
    let since = lab.ca.mark();
    let started = [&lab.home, &lab.vps].map(|host| {
        let certbot = lab.certbot_on(host, "renew").with(&["--force-renewal"]);
        let certbot = if all { certbot } else { certbot.with(&ONE) };
        if hooks { certbot.hooks().start() } else { certbot.start() }
    });
    for started in started {
        let done = started.ended();
        assert_eq!(done.code(), 0, "{}\n{}", done.out, done.err);
    }
    lab.expect_issued(since, if all { 2 * LINEAGES.len() } else { 2 });
}

/// `render --check` says this of every name, and whether it holds.
fn proven(host: &Host, layout: &str, holds: bool) -> String {
    let said = host.run(&["certbaton", "render", "--check", "--layout", layout]);
    assert_eq!(said.code(), i32::from(!holds), "{said:?}");
    assert_eq!(said.out.lines().count(), 4, "{said:?}");
    assert!(
        said.out.lines().all(|line| line.contains(&format!(": {layout} on home ("))),
        "{said:?}"
    );
    said.out
}

fn switch(lab: &Lab) {
    lab.render(&[]);
    proven(&lab.home, "switch", true);
    at_once(lab, true, true);
    lab.expect_served(&LINEAGES);
}

fn fallthrough(lab: &Lab) {
    lab.render(&["--layout", "fallthrough"]);
    lab.expect_untouched();
    let said = proven(&lab.home, "fallthrough", true);
    assert!(said.contains("tokens of vps come back, tokens of home come back"), "{said}");
    at_once(lab, false, false);
    at_once(lab, true, full());
    lab.expect_served(&LINEAGES);
}

fn stateless(lab: &Lab) {
    let thumbprint = lab.thumbprint();
    lab.render(&["--layout", "stateless", "--thumbprint", &thumbprint]);
    lab.expect_untouched();
    let said = proven(&lab.home, "stateless", true);
    assert!(said.contains("tokens of vps come back, tokens of home come back"), "{said}");
    at_once(lab, false, false);
    at_once(lab, true, true);
    lab.expect_served(&LINEAGES);

    // Nothing goes from home to the VPS any more.
    lab.home.sh("nft add table inet cut
        nft 'add chain inet cut out { type filter hook output priority 0; }'
        nft add rule inet cut out ip6 daddr 2001:db8::10 drop");
    let since = lab.ca.mark();
    lab.renew_on(&lab.vps).with(&ONE).succeed();
    lab.expect_issued(since, 1);
    // home cannot have the lease, so the CA is not asked.
    let since = lab.ca.mark();
    lab.renew().with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    lab.home.sh("nft delete table inet cut");
}

fn stale(lab: &Lab) {
    lab.render(&["--layout", "stateless", "--thumbprint", OTHER]);
    let said = lab.home.run(&["certbaton", "check"]);
    assert_eq!(said.code(), 1, "{said:?}");
    let thumbprint = lab.thumbprint();
    // Findings are folded at the terminal's width.
    let unfolded = said.unfolded();
    let mut findings = unfolded.split("problem: ").skip(1);
    let finding = findings.find(|text| text.contains("does not renew with")).unwrap_or_default();
    for expected in [
        "home: /etc/apache2/sites-enabled/gateway.conf:",
        "ErrorDocument 200",
        &format!("its account's thumbprint is {thumbprint} "),
        &format!("render it again with --layout stateless --thumbprint {thumbprint} and reload"),
    ] {
        assert!(finding.contains(expected), "no {expected}: {said:?}");
    }
    proven(&lab.home, "stateless", false);
    let since = lab.ca.mark();
    lab.renew_on(&lab.vps).with(&ONE).be_stopped();
    lab.expect_not_asked(since);
    let (_scratch, said) = rendered(&["--layout", "stateless"]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
}
