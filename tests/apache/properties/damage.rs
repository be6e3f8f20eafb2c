//! test: results that are damaged on purpose; each rule must be able to fail.

use std::path::Path;

use certbaton::base::names::Route;
use certbaton::switch::marked_lines;
use certbaton::switch::plan::Plan;

use crate::properties::checks::{Broken, Files, Rule, View, judged, planned, routes, view};
use support::apache::layout::Layout;
use support::{apache, say};

/// What is done to the planned content of the one site.
type Damage = fn(&[Route], &str) -> String;

#[test]
fn every_rule_sees_the_damage_it_is_there_for() {
    if let Some(reason) = apache::unavailable() {
        return say(&format!("skipped: damaged plans: {reason}"));
    }
    let layout = laid_out();
    let (before, wanted, plan) = undamaged(&layout);
    judged(&layout, &before, &wanted, &plan.files).map_err(|b| b.to_string()).unwrap();
    for (rule, what, damage) in DAMAGES {
        let damaged = |bytes: &Vec<u8>| damage(&wanted, std::str::from_utf8(bytes).unwrap());
        let files: Files =
            plan.files.iter().map(|(f, b)| (f.clone(), damaged(b).into_bytes())).collect();
        assert_ne!(files, plan.files, "{what}: nothing was damaged");
        match judged(&layout, &before, &wanted, &files) {
            Err(Broken(seen, why)) => assert_eq!(seen, rule, "{what}: {why}"),
            Ok(()) => panic!("{what}: not seen"),
        }
    }
}

const DAMAGES: [(Rule, &str, Damage); 9] = [
    (Rule::UsersBytes, "a blank of the user is lost", |_, text| {
        text.replacen("  Server", " Server", 1)
    }),
    (Rule::UsersBytes, "a line of the user is gone", |_, text| text.replace("Timeout 11\n", "")),
    (Rule::PeerAfterLocal, "a directive is dropped", |_, text| {
        text.replace("        ProxyPass !\n", "")
    }),
    (Rule::PeerAfterLocal, "the block is for another name", |_, text| {
        moved(text, &routes(&["c.example.org".to_owned()], "/srv"), None)
    }),
    (Rule::RightVhost, "the block stands in another vhost", |wanted, text| {
        moved(text, wanted, Some("  ServerName b.example.org\n"))
    }),
    (Rule::Accepted, "the block is no configuration", |wanted, text| {
        rendered(text, wanted, &["ProxyPass / ! # no"])
    }),
    (Rule::MarkedAlone, "the block stands in a condition that does not hold", |wanted, text| {
        moved(text, wanted, Some("  <IfModule no_such_module>\n"))
    }),
    (Rule::MarkedAlone, "the block opens another directive's section", |wanted, text| {
        let lines = ["<IfModule no_such_module>", "</IfModule>", "Define X y"];
        rendered(text, wanted, &lines)
    }),
    (Rule::LocalAfterLocal, "a directive is missing, and the hash is right", |wanted, text| {
        rendered(text, wanted, &["<Location \"/.well-known/acme-challenge/\">", "</Location>"])
    }),
];

/// The block with other lines, and a hash that fits them.
fn rendered(text: &str, wanted: &[Route], lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let block = String::from_utf8(marked_lines::render(wanted, &lines, b"\n")).unwrap();
    let (from, to) = span(text);
    [&text[..from], &block, &text[to..]].concat()
}

/// The block for `wanted`, moved behind `line`.
fn moved(text: &str, wanted: &[Route], line: Option<&str>) -> String {
    let (from, to) = span(text);
    let users = [&text[..from], &text[to..]].concat();
    let at = line.map_or(from, |line| users.find(line).unwrap() + line.len());
    let lines = ["<Location \"/.well-known/acme-challenge/\">", "    ProxyPass !", "</Location>"];
    let lines = lines.map(str::to_owned);
    let block = String::from_utf8(marked_lines::render(wanted, &lines, b"\n")).unwrap();
    [&users[..at], &block, &users[at..]].concat()
}

fn span(text: &str) -> (usize, usize) {
    let end = text.find("# certbaton: end").unwrap();
    let end = end + text[end..].find('\n').unwrap() + 1;
    (text.find("    # certbaton: begin").unwrap(), end)
}

fn laid_out() -> Layout {
    let layout = Layout::create("prefork", &["proxy", "proxy_http"].map(str::to_owned));
    layout.place(Path::new("sites-available/site.conf"), SITE.as_bytes());
    layout.enable("sites", "site.conf");
    layout
}

fn undamaged(layout: &Layout) -> (View, Vec<Route>, Plan) {
    let before = view(layout).unwrap_or_else(|b| panic!("{b}")).unwrap();
    let webroot = layout.server_root().join("www");
    let wanted = routes(&["a.example.org".to_owned()], webroot.to_str().unwrap());
    let plan = planned(&before, &wanted).unwrap();
    (before, wanted, plan)
}

const SITE: &str = "<VirtualHost *:80>
  ServerName a.example.org
  ProxyPass /.well-known/acme-challenge/ http://127.0.0.1:8001/.well-known/acme-challenge/
  <IfModule no_such_module>
  </IfModule>
</VirtualHost>
<VirtualHost *:80>
  ServerName b.example.org
</VirtualHost>
Timeout 11
";
