//! pure: what can be wrong: the code of each finding, all of them in one table (doc/schema/findings.md).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::finding::Severity;

/// What the table says of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The word for programs; it never changes its meaning.
    pub word: &'static str,
    /// Which commands may say it.
    pub said_by: SaidBy,
    /// How bad, whoever says it; none where it depends on more.
    pub severity: Option<Severity>,
    /// What is wrong.
    pub meaning: &'static str,
}

/// Who may say a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    /// `certbaton check`.
    Check,
    /// `certbaton status`, and so notifications and metrics.
    Status,
    /// All of them.
    Both,
}

const PROBLEM: Option<Severity> = Some(Severity::Problem);
const WARNING: Option<Severity> = Some(Severity::Warning);
const OPEN: Option<Severity> = None;

/// A word of no row, which a certbaton of another version said: only what is read can hold one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignCode(String);

macro_rules! codes {
    ($($name:ident $word:literal $said_by:ident $severity:ident $meaning:literal;)*) => {
        /// Which kind of thing is wrong.
        #[expect(rustdoc::invalid_html_tags, reason = "Apache's sections are written so")]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
            /// One of another version.
            Foreign(ForeignCode),
        }

        impl Code {
            /// All of the table, by their words.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What the table says of it.
            pub fn row(&self) -> Result<&'static CodeRow, &ForeignCode> {
                Ok(match self {
                    $(Self::$name => &CodeRow {
                        word: $word,
                        said_by: SaidBy::$said_by,
                        severity: $severity,
                        meaning: $meaning,
                    },)*
                    Self::Foreign(foreign) => return Err(foreign),
                })
            }

            fn heard(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$name,)*
                    _ => Self::Foreign(ForeignCode(word)),
                }
            }
        }
    };
}

codes! {
    AbandonedRoute "abandoned-route" Both PROBLEM
        "a challenge path is switched to the host, or may be, and no renewal owns it";
    AnotherAccount "another-account" Check WARNING "lineages of one host use different accounts";
    AnotherServer "another-server" Check WARNING "lineages of one host use different CAs";
    Apache "apache" Both PROBLEM "the web server's configuration cannot be used";
    ApacheNotRunning "apache-not-running" Both PROBLEM "Apache does not run";
    ApacheUnreadable "apache-unreadable" Both PROBLEM "Apache's configuration cannot be looked at";
    ArbiterUnreachable "arbiter-unreachable" Both OPEN
        "who grants the lease cannot be asked, so nothing is renewed";
    ArchiveFile "archive-file" Check WARNING
        "Apache serves a file of certbot's archive, which no renewal replaces";
    AutorenewOff "autorenew-off" Check WARNING "certbot does not renew the lineage by itself";
    CaaFailure "caa-failure" Check PROBLEM "the CAA records cannot be found out";
    CaaForbids "caa-forbids" Check PROBLEM "a CAA record forbids the CA to issue";
    CannotPassOn "cannot-pass-on" Check PROBLEM
        "home passes challenges on, and the other host does not get them";
    CannotSwitch "cannot-switch" Check PROBLEM "no inserted line can make the webroot answer";
    CertbotHangs "certbot-hangs" Both WARNING "certbot has held its lock for hours";
    CertbotMissing "certbot-missing" Both PROBLEM
        "there are lineages, and no certbot to renew them";
    CertbotStopped "certbot-stopped" Both PROBLEM "certbot is stopped (state T) and holds its lock";
    CertbotUnreadable "certbot-unreadable" Check PROBLEM "certbot's directory cannot be read";
    CertificateBroken "certificate-broken" Check PROBLEM
        "a file of certificates ends in the middle of one";
    CertificateCopied "certificate-copied" Check WARNING
        "Apache serves a copy of a certificate, which no renewal replaces";
    Certonly "certonly" Check WARNING
        "a line of cron runs certonly with a certbot that then runs no directory hook";
    ClockBehind "clock-behind" Both PROBLEM
        "the host's clock is before the beginning of one of its certificates";
    ClockSkew "clock-skew" Both OPEN "the host's clock differs from that of the host that asks";
    Configtest "configtest" Both PROBLEM "Apache refuses its own configuration";
    DamagedBlock "damaged-block" Both PROBLEM "lines that certbaton inserted were changed since";
    DeadLine "dead-line" Check WARNING "a line for the challenge path never decides";
    Denied "denied" Check OPEN "access to the challenge path is denied";
    DeployRestores "deploy-restores" Check PROBLEM "a deploy hook edits Apache's configuration";
    DiskFull "disk-full" Both PROBLEM
        "a renewal cannot write where it has to: no room, no inode, or read-only";
    DnsFailure "dns-failure" Check WARNING "a name server does not answer";
    DryRun "dry-run" Check PROBLEM "an option makes every run of certbot a rehearsal";
    DuplicateLimit "duplicate-limit" Check WARNING
        "the CA's limit for certificates of the same names is nearly used up";
    DuplicateLineage "duplicate-lineage" Check WARNING "two lineages hold the same names";
    Expired "expired" Check PROBLEM "a certificate has expired";
    Expiry "expiry" Status OPEN "a certificate expires soon, or has expired";
    ExposedSecret "exposed-secret" Both WARNING
        "every user of the host can read a secret of the configuration";
    GeneratedFile "generated-file" Check WARNING "a panel generates the file, and may overwrite it";
    HeldByShell "held-by-shell" Both WARNING
        "lock and routes are held for a shell at which somebody called the hook";
    HeldForNobody "held-for-nobody" Both WARNING
        "the keeper of a run whose certbot has ended still holds lock and routes";
    HeldLong "held-long" Both WARNING "lock and routes have been held for hours";
    HookIgnored "hook-ignored" Check OPEN "certbot never runs a file of renewal-hooks";
    HookRestartsApache "hook-restarts-apache" Check WARNING "a hook stops or restarts Apache";
    HookStays "hook-stays" Check WARNING
        "a saved hook does something else than the old one, and stays";
    HookStopsApache "hook-stops-apache" Check PROBLEM
        "a pre-hook stops Apache, which has to answer";
    HooksMissing "hooks-missing" Check PROBLEM "certbaton's hooks are not where certbot runs them";
    HooksOff "hooks-off" Check PROBLEM "certbot's options switch directory hooks off";
    HostDown "host-down" Check PROBLEM "a host cannot be asked, and its address is dead";
    HostNotAsked "host-not-asked" Check WARNING "a host is not asked from here";
    HostUnreachable "host-unreachable" Both OPEN "a host cannot be asked";
    Implausible "implausible" Both WARNING
        "a host says of itself what cannot be, and that part is not believed";
    IncompleteChain "incomplete-chain" Check PROBLEM
        "Apache serves a certificate without its chain";
    Ipv6BlackHole "ipv6-black-hole" Check PROBLEM "an IPv6 address swallows connections";
    KeeperStopped "keeper-stopped" Both PROBLEM "the keeper of a run is stopped (state T)";
    KeptOut "kept-out" Both PROBLEM
        "sshd does not let the user certbaton in, as whom other hosts call";
    KeyMismatch "key-mismatch" Check PROBLEM "certificate and key do not belong together";
    LastRun "last-run" Status WARNING "the host's last run failed, or died";
    Lineage "lineage" Status WARNING "a lineage was not renewed when it was due, or cannot be";
    ModMd "mod-md" Check OPEN "mod_md renews the name itself";
    NoAddress "no-address" Check PROBLEM "the name has no address";
    NoDropIn "no-drop-in" Both WARNING "nothing gives routes back when certbot.service is killed";
    NoLineage "no-lineage" Check PROBLEM "no host has a certificate for the name";
    NoRecord "no-record" Check PROBLEM "the name has no record for the host";
    NoRecovery "no-recovery" Both WARNING "nothing gives routes back after a power cut";
    NoSudo "no-sudo" Both PROBLEM
        "sudo is missing, so no other host can look at this one or renew here";
    NoTls "no-tls" Check WARNING "no certificate is presented at an address";
    NoVhost "no-vhost" Check OPEN "no vhost on port 80 answers for the name";
    NobodyListens "nobody-listens" Check PROBLEM "nobody takes connections on port 80";
    NobodyRenews "nobody-renews" Both PROBLEM "nothing starts renewals, on any host";
    NotPassedOn "not-passed-on" Check PROBLEM "home does not pass the other host's challenges on";
    NotWebroot "not-webroot" Check OPEN "the lineage is not renewed by webroot";
    OldCertificate "old-certificate" Check PROBLEM
        "Apache serves an older certificate than the one on disk";
    OldHook "old-hook" Check WARNING "a line that an older hook commented out";
    OldHookLine "old-hook-line" Check WARNING
        "a line is commented out, by the old hook or by a person";
    OldHookLink "old-hook-link" Check PROBLEM "a link to the script of the old hook stays in use";
    OldHookMixed "old-hook-mixed" Check PROBLEM "a hook does what the old one did, and more";
    OldHookScheduled "old-hook-scheduled" Check PROBLEM
        "cron or a timer does what the old hook did";
    OtherCertificate "other-certificate" Check PROBLEM
        "Apache serves a certificate that is not certbot's";
    OtherHook "other-hook" Check WARNING "another hook edits Apache's configuration as well";
    OtherWebServer "other-web-server" Both PROBLEM "something else than Apache answers on port 80";
    PassedOn "passed-on" Check PROBLEM "a line passes the challenge path on";
    PerlSection "perl-section" Check WARNING "a <Perl> section writes what Apache does not list";
    Redirected "redirected" Check OPEN "a line redirects the challenge path";
    RenewalBroken "renewal-broken" Both PROBLEM
        "a file of certbot's renewal directory cannot be used";
    SavedHooks "saved-hooks" Check WARNING "a lineage's own hooks do what the directory hooks do";
    ServedAnother "served-another" Check OPEN "another certificate is served than the one on disk";
    ServedChainIncomplete "served-chain-incomplete" Check WARNING
        "the chain that is served lacks a certificate";
    ServedChainOrder "served-chain-order" Check WARNING
        "the chain that is served is in the wrong order";
    ServedExpired "served-expired" Check PROBLEM "the certificate that is served has expired";
    ServedNotCovered "served-not-covered" Both PROBLEM
        "the certificate that is served is not for the name";
    ServedNotYetValid "served-not-yet-valid" Check PROBLEM
        "the certificate that is served is not valid yet";
    SeveralApaches "several-apaches" Both PROBLEM "more than one Apache runs";
    SiteCopied "site-copied" Check WARNING "a copy in sites-enabled where a link should be";
    SiteDiffers "site-differs" Check WARNING
        "an enabled site is a file, and differs from the site of the same name";
    SiteNotLinked "site-not-linked" Check WARNING "a regular file in sites-enabled";
    SplitDns "split-dns" Check WARNING "two hosts resolve the name to different addresses";
    Staging "staging" Check PROBLEM "certificates come from a CA that browsers do not trust";
    StaleRecord "stale-record" Check PROBLEM "an address is no known host's, and dead";
    StaleThumbprint "stale-thumbprint" Check PROBLEM "a stateless answer is for another account";
    StrangerKey "stranger-key" Both WARNING
        "a key may call as a host that is not in the configuration";
    Taken "taken" Check OPEN "a line, script or module answers the challenge path itself";
    TwoCertbots "two-certbots" Check WARNING "certbot is installed twice";
    TwoTimers "two-timers" Check WARNING "two timers, or cron beside a timer, renew";
    Unanswered "unanswered" Check PROBLEM "a host did not answer every question";
    Unexplained "unexplained" Check PROBLEM
        "the challenge does not come back, and no line is to blame";
    UnloadedChange "unloaded-change" Check OPEN
        "a file changed after Apache last loaded its configuration";
    VersionTrap "version-trap" Check PROBLEM
        "this certbot renews short-lived certificates too often";
    WebServerTest "web-server-test" Both PROBLEM
        "the web server that is not Apache fails its own test";
    Webroot "webroot" Check PROBLEM "no file can be put into the webroot";
    WebrootMissing "webroot-missing" Check PROBLEM "a webroot is not there";
    WebrootReadOnly "webroot-read-only" Check PROBLEM "a webroot cannot be written to";
    WebrootUnknown "webroot-unknown" Check PROBLEM "a lineage does not say its webroot";
    WebrootUnreadable "webroot-unreadable" Check PROBLEM "Apache's user cannot enter the webroot";
    WrongAddress "wrong-address" Check PROBLEM
        "an address is no known host's, and somebody answers there";
    WrongCertificate "wrong-certificate" Check PROBLEM "Apache serves a certificate of other names";
    WrongDirectory "wrong-directory" Check OPEN
        "the challenge path leads to another directory than the webroot";
    WrongTarget "wrong-target" Check PROBLEM
        "challenges are passed on to something that is not the other host";
}

impl Code {
    /// As it is written for programs.
    pub fn word(&self) -> &str {
        match self.row() {
            Ok(row) => row.word,
            Err(ForeignCode(word)) => word,
        }
    }

    /// Whether it says why the web server's configuration cannot be used: one condition, whichever
    /// it is.
    pub fn is_of_the_web_server(&self) -> bool {
        matches!(
            self,
            Self::Apache
                | Self::ApacheNotRunning
                | Self::ApacheUnreadable
                | Self::Configtest
                | Self::OtherWebServer
                | Self::SeveralApaches
                | Self::WebServerTest
        )
    }

    /// Whether a handshake showed it, whatever the host's own files tell.
    pub fn is_of_a_handshake(&self) -> bool {
        matches!(
            self,
            Self::ServedAnother
                | Self::ServedChainIncomplete
                | Self::ServedChainOrder
                | Self::ServedExpired
                | Self::ServedNotCovered
                | Self::ServedNotYetValid
        )
    }

    /// How bad, whoever says it; none where it depends on more.
    pub fn severity(&self) -> Option<Severity> {
        self.row().ok()?.severity
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_in_its_place_once() {
        assert!(Code::ALL.is_sorted_by(|one, next| one.word() < next.word()));
        assert_eq!(Code::ApacheNotRunning.severity(), Some(Severity::Problem));
        assert_eq!(Code::ClockSkew.severity(), None);
    }

    #[test]
    fn each_is_its_word_on_the_wire_and_another_versions_stays_as_it_came() {
        for code in Code::ALL {
            let said = serde_json::to_string(code).unwrap();
            assert_eq!(said, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&said).unwrap(), *code);
        }
        let later: Code = serde_json::from_str("\"disk-fill\"").unwrap();
        assert!(matches!(later, Code::Foreign(_)) && later.severity().is_none());
        assert_eq!(serde_json::to_string(&later).unwrap(), "\"disk-fill\"");
    }
}
