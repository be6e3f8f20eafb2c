//! pure: certbot's options, and a command line taken apart into them as argparse does it.
//!
//! The list is certbot's own parser read out by introspection, 2.1.0 and 5.8.0
//! together. Options of plugins that are not listed are unknown here; that is
//! harmless, because certbot has no positional arguments: a word that is
//! neither a verb nor an option is always some option's value.

use std::collections::VecDeque;

/// Options that take no value.
const FLAGS: &[&str] = &[
    "agree-tos",
    "allow-subset-of-names",
    "apache",
    "authenticators",
    "auto-hsts",
    "break-my-certs",
    "debug",
    "debug-challenges",
    "delete-after-revoke",
    "disable-hook-validation",
    "disable-renew-updates",
    "dns-cloudflare",
    "dns-digitalocean",
    "dns-dnsimple",
    "dns-dnsmadeeasy",
    "dns-gehirn",
    "dns-google",
    "dns-linode",
    "dns-luadns",
    "dns-nsone",
    "dns-ovh",
    "dns-rfc2136",
    "dns-route53",
    "dns-sakuracloud",
    "dry-run",
    "duplicate",
    "eff-email",
    "expand",
    "force-interactive",
    "force-renewal",
    "help",
    "hsts",
    "init",
    "installers",
    "keep",
    "keep-until-expiring",
    "manual",
    "manual-public-ip-logging-ok",
    "must-staple",
    "new-key",
    "nginx",
    "no-autorenew",
    "no-bootstrap",
    "no-delete-after-revoke",
    "no-directory-hooks",
    "no-eff-email",
    "no-hsts",
    "no-permissions-check",
    "no-random-sleep-on-renew",
    "no-redirect",
    "no-reuse-key",
    "no-self-upgrade",
    "no-staple-ocsp",
    "no-uir",
    "no-verify-ssl",
    "non-interactive",
    "noninteractive",
    "os-packages-only",
    "preconfigured-renewal",
    "prepare",
    "quiet",
    "redirect",
    "register-unsafely-without-email",
    "reinstall",
    "renew-by-default",
    "renew-with-new-domains",
    "reuse-key",
    "run-deploy-hooks",
    "staging",
    "standalone",
    "staple-ocsp",
    "strict-permissions",
    "test-cert",
    "text",
    "uir",
    "verbose",
    "version",
    "webroot",
];

/// Options that take one value.
const VALUES: &[&str] = &[
    "account",
    "authenticator",
    "cert-name",
    "cert-path",
    "chain-path",
    "checkpoints",
    "config",
    "config-dir",
    "configurator",
    "csr",
    "deploy-hook",
    "domain",
    "domains",
    "eab-hmac-alg",
    "eab-hmac-key",
    "eab-kid",
    "elliptic-curve",
    "email",
    "fullchain-path",
    "http-01-address",
    "http-01-port",
    "https-port",
    "installer",
    "ip-address",
    "issuance-timeout",
    "key-path",
    "key-type",
    "logs-dir",
    "manual-auth-hook",
    "manual-cleanup-hook",
    "max-log-backups",
    "post-hook",
    "pre-hook",
    "preferred-chain",
    "preferred-challenges",
    "preferred-profile",
    "reason",
    "renew-hook",
    "required-profile",
    "rsa-key-size",
    "server",
    "user-agent",
    "user-agent-comment",
    "verbose-level",
    "webroot-map",
    "webroot-path",
    "work-dir",
];

/// One-letter options.
const SHORT: &[(char, &str)] = &[
    ('a', "authenticator"),
    ('c', "config"),
    ('d', "domains"),
    ('h', "help"),
    ('i', "installer"),
    ('m', "email"),
    ('n', "non-interactive"),
    ('q', "quiet"),
    ('t', "text"),
    ('v', "verbose"),
    ('w', "webroot-path"),
];

/// Words that certbot takes as the subcommand, wherever they stand.
pub(crate) const VERBS: &[&str] = &[
    "auth",
    "certificates",
    "certonly",
    "delete",
    "enhance",
    "everything",
    "install",
    "plugins",
    "reconfigure",
    "register",
    "renew",
    "revoke",
    "rollback",
    "run",
    "show_account",
    "unregister",
    "update_account",
    "update_symlinks",
];

/// One option of certbot, by its main long name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opt {
    /// The long name, without dashes, one for all its aliases.
    pub(crate) name: &'static str,
    /// Whether a value follows.
    pub(crate) takes_value: bool,
}

/// The option that `name` (no dashes) spells exactly.
pub(crate) fn exact(name: &str) -> Option<Opt> {
    let found = |list: &[&'static str]| list.iter().copied().find(|known| *known == name);
    let flag = found(FLAGS).map(|name| Opt { name: main_name(name), takes_value: false });
    flag.or_else(|| found(VALUES).map(|name| Opt { name: main_name(name), takes_value: true }))
}

/// The option that `name` (no dashes) spells or abbreviates (argparse
/// `allow_abbrev`); nothing when it could be two.
pub(crate) fn abbreviated(name: &str) -> Option<Opt> {
    if let Some(option) = exact(name) {
        return Some(option);
    }
    let mut all = FLAGS.iter().chain(VALUES).filter(|known| known.starts_with(name));
    let first = exact(all.next()?)?;
    all.all(|other| exact(other) == Some(first)).then_some(first)
}

/// The option of the letter `letter`.
pub(crate) fn short(letter: char) -> Option<Opt> {
    SHORT.iter().find(|(known, _)| *known == letter).and_then(|(_, name)| exact(name))
}

/// Every way to write `option` in full, with dashes.
pub(crate) fn spellings(option: Opt) -> Vec<String> {
    let long = FLAGS.iter().chain(VALUES).filter(|name| main_name(name) == option.name);
    let letters = SHORT.iter().filter(|(_, name)| *name == option.name);
    long.map(|name| format!("--{name}"))
        .chain(letters.map(|(letter, _)| format!("-{letter}")))
        .collect()
}

/// The options of a command line with their values, as argparse takes them apart.
pub(crate) fn given(arguments: impl IntoIterator<Item = String>) -> Vec<(Opt, Option<String>)> {
    let mut words: VecDeque<String> = arguments.into_iter().collect();
    let mut given = Vec::new();
    while let Some(word) = words.pop_front() {
        if word == "--" {
            break;
        }
        let (options, attached) = options_in(&word);
        for option in options {
            let value = if option.takes_value {
                attached.clone().or_else(|| separate_value(&mut words))
            } else {
                None
            };
            given.push((option, value));
        }
    }
    given
}

/// The options of one word, and the value that is glued to the last of them.
fn options_in(word: &str) -> (Vec<Opt>, Option<String>) {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        return (abbreviated(name).into_iter().collect(), value);
    }
    let mut cluster = Vec::new();
    let Some(letters) = word.strip_prefix('-') else { return (cluster, None) };
    for (at, letter) in letters.char_indices() {
        let Some(option) = short(letter) else { break };
        cluster.push(option);
        if option.takes_value {
            let glued = &letters[at + letter.len_utf8()..];
            let glued = glued.strip_prefix('=').unwrap_or(glued);
            return (cluster, (!glued.is_empty()).then(|| glued.to_owned()));
        }
    }
    (cluster, None)
}

/// The next word, unless it is an option (argparse `_parse_optional`: a word
/// with a space that is no option is a value).
fn separate_value(words: &mut VecDeque<String>) -> Option<String> {
    if words.front().is_some_and(|word| word == "--") {
        words.pop_front();
        return words.pop_front();
    }
    let next = words.front()?;
    let is_option = next.len() > 1
        && next.starts_with('-')
        && (!next.contains(' ') || !options_in(next).0.is_empty());
    if is_option { None } else { words.pop_front() }
}

fn main_name(name: &'static str) -> &'static str {
    match name {
        "domain" => "domains",
        "staging" => "test-cert",
        "renew-by-default" => "force-renewal",
        "noninteractive" => "non-interactive",
        "keep" | "reinstall" => "keep-until-expiring",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abbreviation_counts_when_it_can_mean_only_one() {
        assert_eq!(abbreviated("webroot-p").unwrap().name, "webroot-path");
        assert_eq!(abbreviated("webroot").unwrap().name, "webroot", "exact wins");
        assert_eq!(abbreviated("doma").unwrap().name, "domains", "aliases are one option");
        assert_eq!(abbreviated("con"), None, "config, config-dir, configurator");
        assert_eq!(abbreviated("nothing-like-it"), None);
    }

    #[test]
    fn every_letter_and_alias_leads_to_a_listed_option() {
        for (letter, _) in SHORT {
            assert!(short(*letter).is_some(), "-{letter}");
        }
        for name in FLAGS.iter().chain(VALUES) {
            let option = exact(name).unwrap();
            assert_eq!(exact(option.name), Some(option), "{name}");
        }
        assert_eq!(spellings(exact("domain").unwrap()), ["--domain", "--domains", "-d"]);
    }
}
