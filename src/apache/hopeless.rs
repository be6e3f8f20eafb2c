//! pure: what no inserted line can overrule.
//!
//! A `Redirect` inside a section acts in a later phase than anything that can be
//! inserted, and `JkMount` and `mod_md` ask nobody.

use crate::apache::directories::Level;
use crate::apache::document::words;
use crate::apache::dump::{Dump, Node};
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::redirects;
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::rulebook::is_on;
use crate::apache::sections::MergeStage;
use crate::apache::vhosts::{Vhost, vhosts};

/// All reasons to refuse `vhost` for `request`.
pub fn hopeless(
    dump: &Dump,
    vhost: &Vhost<'_>,
    request: &Request,
    levels: &[Level<'_>],
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(origin) = vhost.origin().filter(|origin| origin.is_macro()) {
        refusals.push(Refusal::macro_vhost(origin));
    }
    refusals.extend(vhost.unseen.map(Refusal::unseen));
    refusals.extend(vhost.own().find(|n| n.name == "perl").map(|n| Refusal::perl(&n.origin)));
    refusals.extend(levels.iter().flat_map(|level| section_redirects(level, request)));
    refusals.extend(jk(vhost, request).map(|n| Refusal::jk(&n.origin)));
    refusals.extend(managed(dump, request).map(|n| Refusal::managed_domain(&n.origin)));
    refusals
}

fn section_redirects(level: &Level<'_>, request: &Request) -> Vec<Refusal> {
    let section = level.section;
    let argument = section.map(|s| String::from_utf8_lossy(&s.node.arguments).into_owned());
    let spared = argument.is_some_and(|a| a.contains("well-known"));
    if level.likelihood() == Likelihood::Maybe && spared {
        // A condition that names the path is taken to spare it; the proof has the last word.
        return Vec::new();
    }
    let redirects = level.nodes.iter().filter(|n| n.name.starts_with("redirect"));
    let answering = redirects.filter(|n| answers_here(n, request));
    let refusal = match section {
        Some(s) if s.stage == MergeStage::If => Refusal::condition,
        _ => Refusal::section_redirect,
    };
    answering.map(|n| refusal(&n.origin)).collect()
}

/// A redirect inside a section: without a path of its own it takes all the section covers.
pub fn answers_here(node: &Node, request: &Request) -> bool {
    let has_path = words(&node.arguments).any(|w| w.starts_with(b"/") || w.starts_with(b"^"));
    node.name != "redirectmatch" && !has_path || redirects(node, request)
}

/// `JkMount` takes the request in `map_to_storage`, after anything we may insert.
pub fn jk<'a>(vhost: &Vhost<'a>, request: &Request) -> Option<&'a Node> {
    let covers = |name: &'static str| {
        vhost.all().filter(move |n| n.name == name).find(|n| {
            words(&n.arguments).next().is_some_and(|p| {
                let p = p.strip_suffix(b"|/*").unwrap_or(&p).to_vec();
                let head = p.split(|&b| b == b'*').next().unwrap_or(&p);
                request.path().as_bytes().starts_with(head)
                    && (p.contains(&b'*') || p == request.path().as_bytes())
            })
        })
    };
    covers("jkmount").filter(|_| covers("jkunmount").is_none())
}

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
            Some(words(&node.arguments).map(|w| w.to_ascii_lowercase()).collect::<Vec<_>>())
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
            .flat_map(|n| words(&n.arguments).collect::<Vec<_>>())
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
    let is_tls = |vhost: &Vhost<'_>| vhost.last("sslengine").is_some_and(|words| is_on(&words));
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
