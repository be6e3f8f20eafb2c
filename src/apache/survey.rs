//! pure: finds everything that stands between a challenge request and certbot's webroot.
//!
//! All claims of a vhost to the request, not the first alone: those that an inserted line overrules
//! are obstacles, the others reasons to refuse.

use crate::apache::claims::{Act, RequestClaim, Walk, walk};
use crate::apache::directories::Level;
use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::htaccess::Htaccess;
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::squeeze;
use crate::apache::obstacles::{Obstacle, Obstacles};
use crate::apache::port;
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::rewrite::{Effect, Touch};
use crate::apache::sections::{Applied, MergeStage};
use crate::apache::vhosts::Vhost;
use crate::base::names::{HTTP_PORT, Webroot};

/// Finds the obstacles between `request` and `webroot` in `vhost`.
///
/// `htaccess` are the per-directory files on the way to the webroot's challenge
/// directory. What no insertion can overrule comes back as refusals.
pub fn obstacles(
    vhost: &Vhost<'_>,
    dump: &Dump,
    request: &Request,
    webroot: &Webroot,
    htaccess: &[Htaccess],
) -> Result<Obstacles, Vec<Refusal>> {
    let directory = webroot.challenge_directory();
    let request = request.planted(&directory, true);
    let Walk { mut claims, levels, unreadable } = walk(dump, vhost, &request, &directory, htaccess);
    // The rules of the server level are overruled together.
    let is_rule = |claim: &RequestClaim<'_>| matches!(claim.act, Act::Rewrite(_));
    claims.dedup_by(|next, first| is_rule(next) && is_rule(first));
    let served = [webroot.as_str(), request.path()].concat().into_bytes();
    // A rule already leads to the webroot, and no other rule comes after it.
    let arrives = claims.iter().any(|claim| leads_to(claim, &served));
    let is_rewritten = claims.iter().any(|claim| matches!(claim.act, Act::RewriteFile(_)));
    let is_spared = |claim: &RequestClaim<'_>| match claim.act {
        Act::Rewrite(_) => arrives,
        Act::Express | Act::Pass | Act::Redirect | Act::Map(_) => arrives && !is_rewritten,
        _ => false,
    };
    let mut refusals = unwritable(vhost);
    let nesting = levels.iter().map(Level::nesting).max().unwrap_or_default();
    let mut found = Obstacles { nesting, ..Obstacles::default() };
    for claim in claims.iter().filter(|claim| !is_spared(claim)) {
        let origin = claim.by.map(|node| &node.origin);
        if let Some((refusal, origin)) = refusal(claim).zip(origin) {
            refusals.push(refusal(origin));
        } else if let Some(obstacle) = obstacle(claim, &squeeze(&served)) {
            found.found.entry(obstacle).or_insert(origin.cloned());
        }
    }
    refusals.extend(port::refused(dump, vhost, HTTP_PORT));
    refusals.extend(unreadable.into_iter().map(Refusal::unreadable));
    if refusals.is_empty() { Ok(found) } else { Err(Refusal::few_of_each_file(refusals)) }
}

/// Whether a rule certainly leads to the file `served`, for good.
fn leads_to(claim: &RequestClaim<'_>, served: &[u8]) -> bool {
    let Act::Rewrite(Touch { effect: Effect::Path(Some(to)), .. }) = &claim.act else {
        return false;
    };
    claim.likelihood == Likelihood::Yes && to == served
}

/// Why no line can be inserted into `vhost` at all.
fn unwritable(vhost: &Vhost<'_>) -> Vec<Refusal> {
    let made = vhost.origin().filter(|origin| origin.is_macro()).map(Refusal::macro_vhost);
    let perl = vhost.own().find(|n| n.name == "perl").map(|n| Refusal::perl(&n.origin));
    made.into_iter().chain(vhost.unseen.map(Refusal::unseen)).chain(perl).collect()
}

/// The reason to refuse a claim that no inserted line overrules, or that is there on purpose.
fn refusal(claim: &RequestClaim<'_>) -> Option<fn(&Origin) -> Refusal> {
    Some(match &claim.act {
        Act::Manage => Refusal::managed_domain,
        Act::Mount => Refusal::jk,
        // It acts in a later phase than anything that can be inserted.
        Act::RedirectFile if claim.section.is_some_and(|s| s.stage == MergeStage::If) => {
            Refusal::condition
        }
        Act::RedirectFile => Refusal::section_redirect,
        Act::Rewrite(touch) | Act::RewriteFile(touch) if answers(touch, claim.section) => {
            Refusal::responder
        }
        _ => return None,
    })
}

/// Whether a rule made for the challenge path answers by itself, without certbot's files: with an
/// account's thumbprint or a script, which someone built on purpose.
fn answers(touch: &Touch<'_>, section: Option<Applied<'_>>) -> bool {
    let without_file = match &touch.effect {
        Effect::Status(code) => code == "200",
        Effect::Path(Some(to)) => !to.ends_with(Request::SAMPLE.as_bytes()),
        Effect::Path(None) => true,
        _ => false,
    };
    let argument = section.map_or(&b""[..], |section| &section.node.arguments);
    without_file
        && (touch.is_meant() || String::from_utf8_lossy(argument).contains("acme-challenge"))
}

/// What a claim puts in the way of the file `served`.
fn obstacle(claim: &RequestClaim<'_>, served: &[u8]) -> Option<Obstacle> {
    Some(match &claim.act {
        Act::Rewrite(_) | Act::RewriteFile(_) => Obstacle::Rewritten,
        Act::PassEncoded => Obstacle::ProxiedEncoded,
        Act::Pass => Obstacle::Proxied,
        Act::Redirect => Obstacle::Redirected,
        Act::Map(to) if to == served => return None,
        Act::Map(_) => {
            let is_located = |node: &&Node| node.name == "alias" && node.words().count() < 2;
            let needs_rewrite = |node: &&Node| is_located(node) || node.name.starts_with("wsgi");
            if claim.by.as_ref().is_some_and(needs_rewrite) {
                Obstacle::Unaliasable
            } else {
                Obstacle::Elsewhere
            }
        }
        Act::Express => Obstacle::Unaliasable,
        Act::Deny => Obstacle::Denied,
        Act::DenyByHost => Obstacle::DeniedByHost,
        Act::Handle => Obstacle::Handled,
        Act::Manage | Act::Mount | Act::RedirectFile => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::apache::document::Document;
    use crate::apache::sample::dump;
    use crate::apache::vhosts::vhosts;
    use crate::base::names::Hostname;

    const ROOT: &str = "DocumentRoot /srv";

    /// What is in the way in a vhost of `lines`, numbered from 2, with `text` as `/srv/.htaccess`.
    fn found_with(lines: &[&str], text: &str) -> Result<Obstacles, Vec<Refusal>> {
        let lines = [&["<VirtualHost *:80>"], lines, &["</VirtualHost>"]].concat().join("\n");
        let dump = dump(&lines, &["rewrite", "alias"]);
        let file = Htaccess::parse("/srv/.htaccess", &Document::parse(text.into()).unwrap());
        let request = Request::new(&Hostname::parse("a.example.org").unwrap());
        let webroot = Webroot::parse("/srv").unwrap();
        obstacles(&vhosts(&dump)[0], &dump, &request, &webroot, &[file])
    }

    fn found(lines: &[&str]) -> Obstacles {
        found_with(&[&[ROOT], lines].concat(), "").unwrap()
    }

    fn line(origin: Option<&Origin>) -> Option<u32> {
        origin.map(|o| o.line)
    }

    #[test]
    fn a_plain_vhost_has_none() {
        assert!(found(&[]).is_empty());
        assert!(found(&["Redirect /other https://x/", "ProxyPass /app http://app/"]).is_empty());
    }

    #[test]
    fn each_is_found_behind_the_one_that_wins() {
        let found = found(&[
            "ProxyPass / http://app/",
            "Redirect / https://x/",
            "Alias /.well-known /acme",
        ]);
        assert_eq!(
            (line(found.line(Obstacle::Proxied)), line(found.line(Obstacle::Redirected))),
            (Some(3), Some(4))
        );
        assert_eq!(line(found.line(Obstacle::Elsewhere)), Some(5));
    }

    #[test]
    fn rules_count_only_while_the_engine_is_on() {
        let rule = "RewriteRule ^ https://x/ [R]";
        assert!(found(&[rule]).is_empty());
        assert!(found(&["RewriteEngine On", rule, "RewriteEngine Off"]).is_empty());
        assert_eq!(line(found(&["RewriteEngine On", rule]).line(Obstacle::Rewritten)), Some(4));
    }

    #[test]
    fn a_rule_that_leads_to_the_webroot_is_none_and_spares_what_comes_after() {
        let rule = r"RewriteRule ^/\.well-known/acme-challenge/(.*)$ /srv/.well-known/acme-challenge/$1 [L]";
        assert!(found(&["RewriteEngine On", rule, "ProxyPass / http://app/"]).is_empty());
    }

    #[test]
    fn a_script_that_answers_challenges_is_refused() {
        let rule = r"RewriteRule ^/\.well-known/acme-challenge/(.+)$ /acme.php?token=$1 [L]";
        assert!(found_with(&[ROOT, "RewriteEngine On", rule], "").is_err());
    }

    #[test]
    fn htaccess_counts_only_where_it_is_allowed() {
        let rule = "RewriteEngine On\nRewriteRule ^\\.well-known/ http://vps/ [P]";
        let allowed = [ROOT, "<Directory /srv>", "AllowOverride All", "</Directory>"];
        assert!(found_with(&allowed, rule).unwrap().any(&[Obstacle::Rewritten]));
        assert!(found_with(&allowed, "Redirect / https://x/").is_err());
        let above = [ROOT, "<Directory /srv/.well-known>", "AllowOverride All", "</Directory>"];
        assert!(found_with(&above, rule).unwrap().is_empty());
        assert!(found_with(&[ROOT], rule).unwrap().is_empty());
    }

    #[test]
    fn a_file_with_more_obstacles_than_are_read_says_how_many() {
        let allowed = [ROOT, "<Directory /srv>", "AllowOverride All", "</Directory>"];
        let refused = |count| found_with(&allowed, &"Redirect / https://x/\n".repeat(count));
        let lines = |refused: &[Refusal]| -> Vec<Option<u32>> {
            refused.iter().map(|refusal| refusal.origin.as_ref().map(|o| o.line)).collect()
        };
        let all = [Some(1), Some(2), Some(3), Some(4), Some(5)];
        assert_eq!(lines(&refused(5).unwrap_err()), all);
        let many = refused(7000).unwrap_err();
        assert_eq!(lines(&many), [&all[..], &[None]].concat());
        assert_eq!(many[5].reason, "and 6995 more in /srv/.htaccess");
    }

    #[test]
    fn an_htaccess_that_nobody_can_read_is_refused_where_apache_reads_it() {
        let found = |lines: &[&str]| {
            let lines = [&["<VirtualHost *:80>"], lines, &["</VirtualHost>"]].concat().join("\n");
            let dump = dump(&lines, &[]);
            let file =
                Htaccess::unreadable(Path::new("/srv/.htaccess"), "/srv/.htaccess is odd".into());
            let request = Request::new(&Hostname::parse("a.example.org").unwrap());
            let webroot = Webroot::parse("/srv").unwrap();
            obstacles(&vhosts(&dump)[0], &dump, &request, &webroot, &[file])
        };
        let allowed = [ROOT, "<Directory /srv>", "AllowOverride All", "</Directory>"];
        let refused = found(&allowed).unwrap_err();
        assert!(refused[0].reason.contains("/srv/.htaccess is odd"), "{refused:?}");
        assert!(found(&[ROOT]).unwrap().is_empty());
        let other = [&allowed[..], &["AccessFileName .other"]].concat();
        assert!(found(&other).unwrap().is_empty());
    }

    #[test]
    fn htaccess_is_read_where_either_directive_lets_it_in_and_by_its_own_name() {
        let rule = "RewriteEngine On\nRewriteRule ^\\.well-known/ http://vps/ [P]";
        let listed = |list| {
            let none = "AllowOverride None";
            found_with(&[ROOT, "<Directory /srv>", none, list, "</Directory>"], rule).unwrap()
        };
        assert!(listed("AllowOverrideList RewriteEngine RewriteRule").any(&[Obstacle::Rewritten]));
        assert!(listed("AllowOverrideList None").is_empty());
        let allowed = ["<Directory /srv>", "AllowOverride All", "</Directory>"];
        let named = |name| found_with(&[&[ROOT, name], &allowed[..]].concat(), rule).unwrap();
        assert!(named("AccessFileName .other").is_empty());
        assert!(named("AccessFileName .other .htaccess").any(&[Obstacle::Rewritten]));
    }

    #[test]
    fn the_last_word_on_access_counts() {
        let denied = ["<Location />", "Require all denied", "</Location>"];
        let granted = ["<Location /.well-known>", "Require all granted", "</Location>"];
        assert!(found(&[denied, granted].concat()).is_empty());
        assert_eq!(line(found(&[granted, denied].concat()).line(Obstacle::Denied)), Some(7));
        let old = ["<Location />", "Order allow,deny", "Allow from all", "</Location>"];
        assert!(found(&old).is_empty());
        assert!(
            found(&["<Location />", "Deny from all", "</Location>"]).any(&[Obstacle::DeniedByHost])
        );
        assert!(
            found(&[
                "<Location />",
                "<Limit GET>",
                "Require all denied",
                "</Limit>",
                "</Location>"
            ])
            .any(&[Obstacle::Denied])
        );
    }

    #[test]
    fn a_condition_counts_where_it_denies_and_never_where_it_grants() {
        let section = |condition: &'static str, line| [condition, line, "</If>"];
        let maybe = "<If \"-R '192.0.2.0/24'\">";
        let denied = found(&section(maybe, "Require all denied"));
        assert_eq!((line(denied.line(Obstacle::Denied)), denied.nesting), (Some(4), 1));
        let location = ["<Location />", "Require all denied", "</Location>"];
        let granted = found(&[location, section(maybe, "Require all granted")].concat());
        assert_eq!(line(granted.line(Obstacle::Denied)), Some(4));
        assert!(found(&section("<If \"%{HTTPS} == 'on'\">", "Require all denied")).is_empty());
        assert!(
            found_with(&[&[ROOT], &section(maybe, "Redirect / https://x/")[..]].concat(), "")
                .is_err()
        );
    }

    #[test]
    fn the_name_of_the_server_is_the_one_that_apache_goes_by() {
        let rule = ["RewriteEngine On", "RewriteCond %{SERVER_NAME} =b.example.org"];
        let lines = [&["ServerName b.example.org"], &rule[..], &["RewriteRule ^ https://x/ [R]"]];
        assert!(!found(&lines.concat()).any(&[Obstacle::Rewritten]));
        let canonical = [&lines.concat()[..], &["UseCanonicalName On"]].concat();
        assert_eq!(line(found(&canonical).line(Obstacle::Rewritten)), Some(6));
    }

    #[test]
    fn names_are_looked_up_by_mod_proxy_express_before_any_other_line() {
        let express = ["ProxyExpressEnable On", "ProxyExpressDBMFile /srv/map"];
        assert_eq!(line(found(&express).line(Obstacle::Unaliasable)), Some(3));
        assert!(found(&express[..1]).is_empty());
    }

    #[test]
    fn a_handler_of_the_whole_vhost_counts_and_a_type_does_not() {
        assert!(found(&["SetHandler server-status"]).any(&[Obstacle::Handled]));
        assert!(found(&["<Location />", "ForceType text/plain", "</Location>"]).is_empty());
        let spared = ["<Location />", "SetHandler None", "</Location>"];
        assert!(found(&[&["SetHandler server-status"], &spared[..]].concat()).is_empty());
    }

    #[test]
    fn a_document_root_by_name_leads_elsewhere() {
        assert!(found(&["VirtualDocumentRoot /srv/%0"]).any(&[Obstacle::Elsewhere]));
    }
}
