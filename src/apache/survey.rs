//! pure: finds everything that stands between a challenge request and certbot's webroot.
//!
//! In the order of Apache's phases: `mod_rewrite`, `mod_proxy`, `mod_alias`,
//! then access and handlers.

use crate::apache::directories::{self, levels};
use crate::apache::dump::{Dump, Origin};
use crate::apache::hopeless::hopeless;
use crate::apache::htaccess::Htaccess;
use crate::apache::likelihood::Likelihood;
use crate::apache::mapping::{Elsewhere, elsewhere, redirected};
use crate::apache::obstacles::Obstacles;
use crate::apache::port;
use crate::apache::proxying::{by_express, winner};
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::responder::responder;
use crate::apache::rewrite::{self, Effect};
use crate::apache::rulebook::Rulebook;
use crate::apache::sections::applied;
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
    let request = &vhost.sees(&request.planted(&directory, true));
    let sections = applied(vhost, request, &directory);
    let levels = levels(vhost, &sections, htaccess, request, &directory);
    let mut refusals = hopeless(dump, vhost, request, &levels);
    refusals.extend(port::refused(dump, vhost, HTTP_PORT));
    refusals.extend(directories::unreadable(vhost, htaccess, &sections));
    let book = Rulebook::of(vhost);
    let engine = dump.modules.contains("rewrite").then_some(book.engine);
    let handled = vhost.all().rfind(|n| n.name == "sethandler").and_then(directories::handler);
    let mut found = Obstacles { handled, ..Obstacles::default() };
    let on_disk = request.mapped_to(&directory);
    refusals.extend(directories::add_obstacles(&levels, engine, &on_disk, &mut found).err());
    let mut mapped = false;
    match rewritten(&book, request, webroot).filter(|_| engine == Some(true)) {
        // A rule already leads to the webroot, and no other rule comes after it.
        Some(Ok(None)) => mapped = found.rewritten.is_none(),
        Some(Ok(Some(origin))) => found.rewritten = Some(origin),
        Some(Err(refusal)) => refusals.push(refusal),
        None => {}
    }
    if let Some(line) = winner(vhost, request, &sections).filter(|line| !mapped || line.encoded) {
        (found.proxied, found.encoded) = (Some(line.origin.clone()), line.encoded);
    }
    if !mapped {
        found.redirected = redirected(vhost, request).cloned();
        found.elsewhere = elsewhere(vhost, &dump.document_root, request, webroot, &sections);
        if let Some(node) = by_express(vhost) {
            found.elsewhere =
                Some(Elsewhere { at: Some(node.origin.clone()), needs_rewrite: true });
        }
    }
    if refusals.is_empty() { Ok(found) } else { Err(Refusal::few_of_each_file(refusals)) }
}

/// What the rules of the server level do: `Some(Ok(None))` is a way to the webroot, for good.
fn rewritten(
    book: &Rulebook<'_>,
    request: &Request,
    webroot: &Webroot,
) -> Option<Result<Option<Origin>, Refusal>> {
    let touch = rewrite::touch(book.all(), request, request.path().as_bytes())?;
    let served = [webroot.as_str(), request.path()].concat();
    let leads_there = touch.effect == Effect::Path(Some(served.into_bytes()));
    if touch.likelihood == Likelihood::Yes && leads_there {
        return Some(Ok(None));
    }
    Some(responder(&touch, b"").map(|()| Some(touch.rule.origin.clone())))
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
            (line(found.proxied.as_ref()), line(found.redirected.as_ref())),
            (Some(3), Some(4))
        );
        assert_eq!(line(found.elsewhere.unwrap().at.as_ref()), Some(5));
    }

    #[test]
    fn rules_count_only_while_the_engine_is_on() {
        let rule = "RewriteRule ^ https://x/ [R]";
        assert!(found(&[rule]).is_empty());
        assert!(found(&["RewriteEngine On", rule, "RewriteEngine Off"]).is_empty());
        assert_eq!(line(found(&["RewriteEngine On", rule]).rewritten.as_ref()), Some(4));
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
        assert!(found_with(&allowed, rule).unwrap().rewritten.is_some());
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
        assert!(listed("AllowOverrideList RewriteEngine RewriteRule").rewritten.is_some());
        assert!(listed("AllowOverrideList None").is_empty());
        let allowed = ["<Directory /srv>", "AllowOverride All", "</Directory>"];
        let named = |name| found_with(&[&[ROOT, name], &allowed[..]].concat(), rule).unwrap();
        assert!(named("AccessFileName .other").is_empty());
        assert!(named("AccessFileName .other .htaccess").rewritten.is_some());
    }

    #[test]
    fn the_last_word_on_access_counts() {
        let denied = ["<Location />", "Require all denied", "</Location>"];
        let granted = ["<Location /.well-known>", "Require all granted", "</Location>"];
        assert!(found(&[denied, granted].concat()).is_empty());
        assert_eq!(line(found(&[granted, denied].concat()).denied.as_ref()), Some(7));
        let old = ["<Location />", "Order allow,deny", "Allow from all", "</Location>"];
        assert!(found(&old).is_empty());
        assert!(found(&["<Location />", "Deny from all", "</Location>"]).denied_by_host);
        assert!(
            found(&[
                "<Location />",
                "<Limit GET>",
                "Require all denied",
                "</Limit>",
                "</Location>"
            ])
            .denied
            .is_some()
        );
    }

    #[test]
    fn a_condition_counts_where_it_denies_and_never_where_it_grants() {
        let section = |condition: &'static str, line| [condition, line, "</If>"];
        let maybe = "<If \"-R '192.0.2.0/24'\">";
        let denied = found(&section(maybe, "Require all denied"));
        assert_eq!((line(denied.denied.as_ref()), denied.nesting), (Some(4), 1));
        let location = ["<Location />", "Require all denied", "</Location>"];
        let granted = found(&[location, section(maybe, "Require all granted")].concat());
        assert_eq!(line(granted.denied.as_ref()), Some(4));
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
        assert!(found(&lines.concat()).rewritten.is_none());
        let canonical = [&lines.concat()[..], &["UseCanonicalName On"]].concat();
        assert_eq!(line(found(&canonical).rewritten.as_ref()), Some(6));
    }

    #[test]
    fn names_are_looked_up_by_mod_proxy_express_before_any_other_line() {
        let express = ["ProxyExpressEnable On", "ProxyExpressDBMFile /srv/map"];
        let elsewhere = found(&express).elsewhere.unwrap();
        assert_eq!((line(elsewhere.at.as_ref()), elsewhere.needs_rewrite), (Some(3), true));
        assert!(found(&express[..1]).is_empty());
    }

    #[test]
    fn a_handler_of_the_whole_vhost_counts_and_a_type_does_not() {
        assert!(found(&["SetHandler server-status"]).handled.is_some());
        assert!(found(&["<Location />", "ForceType text/plain", "</Location>"]).is_empty());
        let spared = ["<Location />", "SetHandler None", "</Location>"];
        assert!(found(&[&["SetHandler server-status"], &spared[..]].concat()).is_empty());
    }

    #[test]
    fn a_document_root_by_name_leads_elsewhere() {
        assert!(found(&["VirtualDocumentRoot /srv/%0"]).elsewhere.is_some());
    }
}
