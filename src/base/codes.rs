//! pure: what a finding's code means, all of them in one table (doc/schema/findings.md).

use crate::base::finding::Severity;

/// A code, where it is found, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The word; it never changes its meaning.
    pub code: &'static str,
    /// `certbaton check` may say it.
    pub check: bool,
    /// `certbaton status` may say it, and so may notifications and metrics.
    pub status: bool,
    /// How bad, for all who say it; none where it depends on more.
    pub severity: Option<Severity>,
    /// What is wrong.
    pub meaning: &'static str,
}

const fn check(code: &'static str, meaning: &'static str) -> Code {
    Code { code, check: true, status: false, severity: None, meaning }
}

const fn status(code: &'static str, meaning: &'static str) -> Code {
    Code { code, check: false, status: true, severity: None, meaning }
}

const fn both(code: &'static str, meaning: &'static str) -> Code {
    Code { code, check: true, status: true, severity: None, meaning }
}

/// Both say it, and it is one: a problem for `check` is critical for `status`.
const fn problem(code: &'static str, meaning: &'static str) -> Code {
    Code { code, check: true, status: true, severity: Some(Severity::Problem), meaning }
}

/// How bad `code` is, whoever says it.
pub fn severity(code: &str) -> Option<Severity> {
    let place = CODES.binary_search_by(|known| known.code.cmp(code)).ok()?;
    CODES.get(place)?.severity
}

/// Whether it is in the table.
pub fn is_known(code: &str) -> bool {
    CODES.binary_search_by(|known| known.code.cmp(code)).is_ok()
}

/// All of them, by their names.
pub const CODES: &[Code] = &[
    problem(
        "abandoned-route",
        "a challenge path is switched to the host, or may be, and no renewal owns it",
    ),
    check("another-account", "lineages of one host use different accounts"),
    check("another-server", "lineages of one host use different CAs"),
    problem("apache", "the web server's configuration cannot be used"),
    problem("apache-not-running", "Apache does not run"),
    problem("apache-unreadable", "Apache's configuration cannot be looked at"),
    both("arbiter-unreachable", "who grants the lease cannot be asked, so nothing is renewed"),
    check("archive-file", "Apache serves a file of certbot's archive, which no renewal replaces"),
    check("autorenew-off", "certbot does not renew the lineage by itself"),
    check("caa-failure", "the CAA records cannot be found out"),
    check("caa-forbids", "a CAA record forbids the CA to issue"),
    check("cannot-pass-on", "home passes challenges on, and the other host does not get them"),
    check("cannot-switch", "no inserted line can make the webroot answer"),
    both("certbot-hangs", "certbot has held its lock for hours"),
    problem("certbot-missing", "there are lineages, and no certbot to renew them"),
    both("certbot-stopped", "certbot is stopped (state T) and holds its lock"),
    check("certbot-unreadable", "certbot's directory cannot be read"),
    check("certificate-broken", "a file of certificates ends in the middle of one"),
    check("certificate-copied", "Apache serves a copy of a certificate, which no renewal replaces"),
    check(
        "certonly",
        "a line of cron runs certonly with a certbot that then runs no directory hook",
    ),
    both("clock-behind", "the host's clock is before the beginning of one of its certificates"),
    both("clock-skew", "the host's clock differs from that of the host that asks"),
    problem("configtest", "Apache refuses its own configuration"),
    problem("damaged-block", "lines that certbaton inserted were changed since"),
    check("dead-line", "a line for the challenge path never decides"),
    check("denied", "access to the challenge path is denied"),
    check("deploy-restores", "a deploy hook edits Apache's configuration"),
    problem("disk-full", "a renewal cannot write where it has to: no room, no inode, or read-only"),
    check("dns-failure", "a name server does not answer"),
    check("dry-run", "an option makes every run of certbot a rehearsal"),
    check("duplicate-limit", "the CA's limit for certificates of the same names is nearly used up"),
    check("duplicate-lineage", "two lineages hold the same names"),
    check("expired", "a certificate has expired"),
    status("expiry", "a certificate expires soon, or has expired"),
    both("exposed-secret", "every user of the host can read a secret of the configuration"),
    check("generated-file", "a panel generates the file, and may overwrite it"),
    both("held-by-shell", "lock and routes are held for a shell at which somebody called the hook"),
    both(
        "held-for-nobody",
        "the keeper of a run whose certbot has ended still holds lock and routes",
    ),
    both("held-long", "lock and routes have been held for hours"),
    check("hook-ignored", "certbot never runs a file of renewal-hooks"),
    check("hook-restarts-apache", "a hook stops or restarts Apache"),
    check("hook-stays", "a saved hook does something else than the old one, and stays"),
    check("hook-stops-apache", "a pre-hook stops Apache, which has to answer"),
    check("hooks-missing", "certbaton's hooks are not where certbot runs them"),
    check("hooks-off", "certbot's options switch directory hooks off"),
    check("host-down", "a host cannot be asked, and its address is dead"),
    check("host-not-asked", "a host is not asked from here"),
    both("host-unreachable", "a host cannot be asked"),
    both("implausible", "a host says of itself what cannot be, and that part is not believed"),
    check("incomplete-chain", "Apache serves a certificate without its chain"),
    check("ipv6-black-hole", "an IPv6 address swallows connections"),
    both("keeper-stopped", "the keeper of a run is stopped (state T)"),
    both("kept-out", "sshd does not let the user certbaton in, as whom other hosts call"),
    check("key-mismatch", "certificate and key do not belong together"),
    status("last-run", "the host's last run failed, or died"),
    status("lineage", "a lineage was not renewed when it was due, or cannot be"),
    check("mod-md", "mod_md renews the name itself"),
    check("no-address", "the name has no address"),
    both("no-drop-in", "nothing gives routes back when certbot.service is killed"),
    check("no-lineage", "no host has a certificate for the name"),
    check("no-record", "the name has no record for the host"),
    both("no-recovery", "nothing gives routes back after a power cut"),
    both("no-sudo", "sudo is missing, so no other host can look at this one or renew here"),
    check("no-tls", "no certificate is presented at an address"),
    check("no-vhost", "no vhost on port 80 answers for the name"),
    check("nobody-listens", "nobody takes connections on port 80"),
    problem("nobody-renews", "nothing starts renewals, on any host"),
    check("not-passed-on", "home does not pass the other host's challenges on"),
    check("not-webroot", "the lineage is not renewed by webroot"),
    check("old-certificate", "Apache serves an older certificate than the one on disk"),
    check("old-hook", "a line that an older hook commented out"),
    check("old-hook-line", "a line is commented out, by the old hook or by a person"),
    check("old-hook-link", "a link to the script of the old hook stays in use"),
    check("old-hook-mixed", "a hook does what the old one did, and more"),
    check("old-hook-scheduled", "cron or a timer does what the old hook did"),
    check("other-certificate", "Apache serves a certificate that is not certbot's"),
    check("other-hook", "another hook edits Apache's configuration as well"),
    problem("other-web-server", "something else than Apache answers on port 80"),
    check("passed-on", "a line passes the challenge path on"),
    check("perl-section", "a <Perl> section writes what Apache does not list"),
    check("redirected", "a line redirects the challenge path"),
    both("renewal-broken", "a file of certbot's renewal directory cannot be used"),
    check("saved-hooks", "a lineage's own hooks do what the directory hooks do"),
    check("served-another", "another certificate is served than the one on disk"),
    check("served-chain-incomplete", "the chain that is served lacks a certificate"),
    check("served-chain-order", "the chain that is served is in the wrong order"),
    check("served-expired", "the certificate that is served has expired"),
    problem("served-not-covered", "the certificate that is served is not for the name"),
    check("served-not-yet-valid", "the certificate that is served is not valid yet"),
    problem("several-apaches", "more than one Apache runs"),
    check("site-copied", "a copy in sites-enabled where a link should be"),
    check("site-differs", "an enabled site is a file, and differs from the site of the same name"),
    check("site-not-linked", "a regular file in sites-enabled"),
    check("split-dns", "two hosts resolve the name to different addresses"),
    check("staging", "certificates come from a CA that browsers do not trust"),
    check("stale-record", "an address is no known host's, and dead"),
    check("stale-thumbprint", "a stateless answer is for another account"),
    both("stranger-key", "a key may call as a host that is not in the configuration"),
    check("taken", "a line, script or module answers the challenge path itself"),
    check("two-certbots", "certbot is installed twice"),
    check("two-timers", "two timers, or cron beside a timer, renew"),
    check("unanswered", "a host did not answer every question"),
    check("unexplained", "the challenge does not come back, and no line is to blame"),
    check("unloaded-change", "a file changed after Apache last loaded its configuration"),
    check("version-trap", "this certbot renews short-lived certificates too often"),
    problem("web-server-test", "the web server that is not Apache fails its own test"),
    check("webroot", "no file can be put into the webroot"),
    check("webroot-missing", "a webroot is not there"),
    check("webroot-read-only", "a webroot cannot be written to"),
    check("webroot-unknown", "a lineage does not say its webroot"),
    check("webroot-unreadable", "Apache's user cannot enter the webroot"),
    check("wrong-address", "an address is no known host's, and somebody answers there"),
    check("wrong-certificate", "Apache serves a certificate of other names"),
    check("wrong-directory", "the challenge path leads to another directory than the webroot"),
    check("wrong-target", "challenges are passed on to something that is not the other host"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_in_its_place_once() {
        assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
        assert!(is_known("disk-full") && !is_known("disk-fill"));
        assert_eq!(severity("apache-not-running"), Some(Severity::Problem));
        assert_eq!(severity("clock-skew"), None);
    }
}
