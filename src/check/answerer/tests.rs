//! pure: one vhost of a few lines, and who answers in it.

use std::collections::BTreeMap;

use super::*;
use crate::apache::document::Document;
use crate::apache::htaccess::Htaccess;
use crate::apache::sample::{self, dump};
use crate::base::names::Thumbprint;
use crate::render::layout::Layout;

/// Who answers in a vhost of `lines`, numbered from 4, and where they lead; the webroot is `/srv`.
fn told_with(lines: &[&str], htaccess: &str) -> (Handling, Option<u32>, Option<String>, bool) {
    told_of(lines, htaccess, Whose::Own)
}

fn told_of(
    lines: &[&str],
    htaccess: &str,
    whose: Whose,
) -> (Handling, Option<u32>, Option<String>, bool) {
    let head = ["<VirtualHost *:80>", "ServerName a.example.org", "DocumentRoot /srv"];
    let text = [&head, lines, &["</VirtualHost>"]].concat().join("\n");
    let (dump, documents) = (dump(&text, &["rewrite", "alias"]), sample::documents(&text));
    let webroot = Webroot::parse("/srv").unwrap();
    let file = Htaccess::parse("/srv/.htaccess", &Document::parse(htaccess.into()).unwrap());
    let htaccess = BTreeMap::from([(webroot.clone(), vec![file])]);
    let user = Configuration { dump: &dump, documents: &documents, htaccess: &htaccess };
    let name = Hostname::parse("a.example.org").unwrap();
    let seen = answerer(user, &name, Some(&webroot), whose).unwrap();
    assert!(seen.is_named && seen.vhost.is_some());
    (seen.fate, seen.by.map(|node| node.origin.line), seen.target, seen.certain)
}

fn told(lines: &[&str]) -> (Handling, Option<u32>) {
    let (fate, line, ..) = told_with(lines, "");
    (fate, line)
}

fn target(lines: &[&str]) -> Option<String> {
    told_with(lines, "").2
}

const PASS: &str = "ProxyPass /.well-known/acme-challenge/ http://vps/.well-known/acme-challenge/";
const ENGINE: &str = "RewriteEngine On";

#[test]
fn the_first_phase_that_takes_the_request_decides() {
    assert_eq!(told(&[]), (Handling::Webroot, Some(3)));
    assert_eq!(told(&["Redirect / https://x/", PASS]), (Handling::Passed, Some(5)));
    assert_eq!(
        told(&["Alias /.well-known /acme", "Redirect / https://x/"]),
        (Handling::Redirected, Some(5))
    );
    assert_eq!(
        told(&[PASS, ENGINE, "RewriteRule ^ https://x/ [R]"]),
        (Handling::Redirected, Some(6))
    );
    let encoded = "ProxyPass / http://app/ mapping=encoded";
    assert_eq!(
        told(&[ENGINE, "RewriteRule ^ https://x/ [R]", encoded]),
        (Handling::Passed, Some(6))
    );
    assert_eq!(told(&["JkMount /* w"]), (Handling::Taken, Some(4)));
    assert_eq!(told(&["Alias /.well-known /acme"]), (Handling::Elsewhere, Some(4)));
    assert_eq!(told(&["RedirectMatch 404 /\\."]), (Handling::Denied, Some(4)));
    assert_eq!(told(&["SetHandler server-status"]), (Handling::Taken, Some(4)));
}

#[test]
fn a_target_is_told_as_the_ca_would_reach_it() {
    let vps = Some("http://vps/.well-known/acme-challenge/".to_owned());
    assert_eq!(target(&[PASS]), vps);
    assert_eq!(target(&[ENGINE, "RewriteRule ^(.*)$ http://vps$1 [P]"]), vps);
    assert_eq!(target(&[ENGINE, "RewriteRule ^ http://vps%{REQUEST_URI} [R]"]), vps);
    assert_eq!(target(&["ProxyPassMatch ^(/.*)$ http://vps$1"]), vps);
    assert_eq!(target(&["Redirect / http://vps/"]), vps);
    assert_eq!(target(&["RedirectMatch ^/(.*)$ http://vps/$1"]), vps);
    let host = Some("https://a.example.org/.well-known/acme-challenge/".to_owned());
    assert_eq!(target(&[ENGINE, "RewriteRule ^ https://%{SERVER_NAME}%{REQUEST_URI} [R]"]), host);
    assert_eq!(target(&[ENGINE, "RewriteRule ^ https://%{ENV:x}/ [R]"]), None);
    assert_eq!(target(&["ProxyPass / http://${x}/"]), None);
    assert_eq!(target(&["Alias /.well-known/acme-challenge/ /acme/"]).as_deref(), Some("/acme/"));
}

#[test]
fn a_list_of_clients_is_for_others_and_a_list_of_exceptions_is_not() {
    let rule = "RewriteRule ^ - [F]";
    let robots = [ENGINE, "RewriteCond %{HTTP_USER_AGENT} SemrushBot", rule, PASS];
    assert_eq!(told(&robots), (Handling::Passed, Some(7)));
    assert_eq!(told(&robots[..3]), (Handling::Webroot, Some(3)));
    let inside = [ENGINE, "RewriteCond %{REMOTE_ADDR} !^10\\.", rule, PASS];
    assert_eq!(told_with(&inside, ""), (Handling::Denied, Some(6), None, false));
}

#[test]
fn a_file_of_ones_own_goes_before_the_other_host() {
    let rule = "RewriteRule ^/\\.well-known/acme-challenge/(.*)$ http://vps/$1 [P,L]";
    let own = [ENGINE, "RewriteCond /srv/.well-known/acme-challenge/$1 !-f", rule];
    assert_eq!(told(&own), (Handling::Webroot, Some(3)));
}

#[test]
fn access_counts_for_what_is_passed_only_outside_of_directories() {
    let denied = |open: &'static str, close| [open, "Require all denied", close, PASS];
    assert_eq!(told(&denied("<Location />", "</Location>")), (Handling::Denied, Some(5)));
    assert_eq!(told(&denied("<Directory /srv>", "</Directory>")), (Handling::Passed, Some(7)));
    assert_eq!(told(&denied("<Directory /srv>", "</Directory>")[..3]), (Handling::Denied, Some(5)));
    let by_host = ["<Location />", "Order allow,deny", "Deny from all", "</Location>"];
    assert_eq!(told_with(&by_host, ""), (Handling::Denied, Some(6), None, true));
}

#[test]
fn a_redirect_of_a_section_acts_on_what_is_passed_too() {
    let section = ["<Location />", "Redirect permanent https://x/", "</Location>", PASS];
    assert_eq!(told(&section), (Handling::Redirected, Some(5)));
}

#[test]
fn htaccess_is_told_by_its_own_line() {
    let allowed = ["<Directory /srv>", "AllowOverride All", "</Directory>"];
    let rules = "RewriteEngine On\nRewriteRule ^ https://x/ [R]\n";
    assert_eq!(told_with(&allowed, rules).1, Some(2));
    assert_eq!(
        told_with(&allowed, "\nRequire all denied\n"),
        (Handling::Denied, Some(2), None, true)
    );
    assert_eq!(told_with(&[], rules).0, Handling::Webroot);
}

#[test]
fn a_default_vhost_answers_for_names_that_none_has() {
    let text = "<VirtualHost *:80>\nServerName a.example.org\nDocumentRoot /srv\n</VirtualHost>\n";
    let dump = dump(text, &[]);
    let (documents, htaccess) = (sample::documents(text), BTreeMap::new());
    let user = Configuration { dump: &dump, documents: &documents, htaccess: &htaccess };
    let name = Hostname::parse("b.example.org").unwrap();
    let seen = answerer(user, &name, None, Whose::Own).unwrap();
    assert_eq!(
        (seen.is_named, seen.fate),
        (false, Handling::Elsewhere),
        "certbot has no webroot for it"
    );
    assert_eq!(seen.target.as_deref(), Some("/srv/.well-known/acme-challenge/"));
}

#[test]
fn a_rendered_layout_answers_its_own_tokens_and_those_of_the_other_host() {
    let told = |layout: &Layout, whose| {
        let (webroot, vps) = (Webroot::parse("/srv").unwrap(), Hostname::parse("vps").unwrap());
        let lines: Vec<String> =
            layout.lines(&webroot, &vps).into_iter().filter(|l| !l.starts_with('#')).collect();
        let lines: Vec<&str> =
            [ENGINE].into_iter().chain(lines.iter().map(String::as_str)).collect();
        let (fate, _, target, certain) = told_of(&lines, "", whose);
        assert!(certain);
        (fate, target)
    };
    let vps = Some("http://vps/.well-known/acme-challenge/".to_owned());
    let account = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let stateless = Layout::Stateless(Thumbprint::parse(account).unwrap());
    assert_eq!(told(&Layout::Switch, Whose::Own), (Handling::Passed, vps.clone()));
    assert_eq!(told(&Layout::Switch, Whose::Another), (Handling::Passed, vps.clone()));
    assert_eq!(told(&Layout::Fallthrough, Whose::Own), (Handling::Webroot, None));
    assert_eq!(told(&Layout::Fallthrough, Whose::Another), (Handling::Passed, vps));
    assert_eq!(told(&stateless, Whose::Own), (Handling::Webroot, None));
    assert_eq!(told(&stateless, Whose::Another), (Handling::Account, Some(account.to_owned())));
}

#[test]
fn a_responder_in_a_section_answers_for_the_account_of_its_document() {
    let lines = [
        "<LocationMatch \"^/\\.well-known/acme-challenge/(?<token>[A-Za-z0-9_-]+)$\">",
        ENGINE,
        "RewriteRule ^ - [L,R=200]",
        "ErrorDocument 200 \"%{env:MATCH_TOKEN}.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\"",
        "</LocationMatch>",
    ];
    let (fate, line, ..) = told_of(&lines, "", Whose::Another);
    assert_eq!((fate, line), (Handling::Account, Some(7)));
}
