//! pure: the names that `mod_md` renews itself, whose challenges it leaves to nobody.

use crate::apache::dump::{Dump, Node};
use crate::apache::request::Request;
use crate::apache::vhosts::{Vhost, vhosts};

/// A name that `mod_md` renews itself: it answers 404 before any other module
/// (`md_http_challenge_pr`, mod_md.c), unless it is not its to renew or not by http-01.
pub fn managed<'a>(dump: &'a Dump, request: &Request) -> Option<&'a Node> {
    if !dump.modules.is_empty() && !dump.modules.contains("md") {
        return None;
    }
    let all = || dump.config.iter();
    let is_domain = |n: &&Node| {
        matches!(n.name.as_str(), "mdomain" | "<mdomain" | "<mdomainset" | "manageddomain")
    };
    all().filter(is_domain).find(|domain| {
        let own = || all().chain(&domain.children);
        let last = |names: &[&str]| {
            let node = own().rfind(|n| names.contains(&&*n.name))?;
            Some(node.words().map(|w| w.to_ascii_lowercase()).collect::<Vec<_>>())
        };
        let has = |words: &Option<Vec<Vec<u8>>>, word: &[u8]| {
            words.as_ref().is_some_and(|words| words.iter().any(|w| w == word))
        };
        let mode = last(&["mdrenewmode", "mddrivemode"]);
        // A certificate that is given is renewed only if that is always wanted.
        let is_given = last(&["mdcertificatefile"]).is_some() && !has(&mode, b"always");
        let challenges = last(&["mdcachallenges"]);
        let by_others = challenges.is_some() && !has(&challenges, b"http-01");
        if has(&mode, b"manual") || is_given || by_others {
            return false;
        }
        let listed = domain.children.iter().filter(|n| n.name.starts_with("mdmember"));
        let listed = std::iter::once(*domain).chain(listed);
        let mut names: Vec<Vec<u8>> = listed
            .flat_map(|n| n.words().collect::<Vec<_>>())
            .map(|w| w.to_ascii_lowercase())
            .collect();
        let is_auto = match names.iter().rfind(|w| matches!(&w[..], b"auto" | b"manual")) {
            Some(word) => word == b"auto",
            None => !has(&last(&["mdmembers"]), b"manual"),
        };
        if is_auto {
            names.extend(added(dump, &names));
        }
        names.iter().any(|name| name == request.host().as_str().as_bytes())
    })
}

/// All names of the vhosts that a domain has the certificate of: `MDMembers auto` adds them
/// (`auto_add_domains`, mod_md.c).
fn added(dump: &Dump, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let texts = |vhost: &Vhost<'_>| -> Vec<Vec<u8>> {
        vhost.names().iter().map(|name| name.as_str().as_bytes().to_vec()).collect()
    };
    let is_tls = |vhost: &Vhost<'_>| vhost.last("sslengine").is_some_and(Node::is_on);
    let own = vhosts(dump).into_iter().filter(is_tls).map(|vhost| texts(&vhost));
    own.filter(|own| own.iter().any(|name| names.contains(name))).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample;
    use crate::base::names::Hostname;

    /// Whether mod_md takes `www.a`, an alias of `a` on port 443.
    fn takes(lines: &str) -> bool {
        let vhost =
            "<VirtualHost *:443>\nServerName a\nServerAlias www.a\nSSLEngine on\n</VirtualHost>";
        let dump = sample::dump(&format!("{lines}\n{vhost}"), &["md"]);
        managed(&dump, &Request::new(&Hostname::parse("www.a").unwrap())).is_some()
    }

    #[test]
    fn a_domain_takes_the_other_names_of_its_vhosts_unless_it_is_told_not_to() {
        assert!(takes("MDomain a"));
        assert!(takes("MDMembers manual\nMDomain a auto"));
        assert!(takes("MDomain b www.a"));
        assert!(!takes("MDomain b"));
        assert!(!takes("MDomain a manual"));
        assert!(!takes("MDMembers manual\nMDomain a"));
    }

    #[test]
    fn a_domain_that_is_not_renewed_by_files_leaves_them_to_others() {
        let set = |lines: &str| takes(&format!("<MDomainSet a>\n{lines}\n</MDomainSet>"));
        assert!(set("MDPrivateKeys RSA"));
        assert!(!set("MDRenewMode manual"));
        assert!(!set("MDCertificateFile /c.pem"));
        assert!(set("MDCertificateFile /c.pem\nMDRenewMode always"));
        assert!(!set("MDCAChallenges tls-alpn-01"));
        assert!(set("MDCAChallenges tls-alpn-01 http-01"));
    }
}
