//! pure: the rules by which a run's names, webroots and lineages are found.

use super::*;
use std::path::Path;

fn lineage(name: &str, webroot: &str, names: &[&str]) -> Lineage {
    let text = format!(
        "cert = /c\nfullchain = /f\nprivkey = /k\n[renewalparams]\nauthenticator = webroot\n\
         webroot_path = {webroot},\n[[webroot_map]]\n"
    );
    let file = format!("/etc/letsencrypt/renewal/{name}.conf");
    let mut lineage = crate::certbot::renewal::parse(Path::new(&file), text.as_bytes()).unwrap();
    lineage.names = names.iter().map(|name| host(name)).collect();
    lineage
}

fn host(name: &str) -> Hostname {
    Hostname::parse(name).unwrap()
}

fn run(line: &str) -> Invocation {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    crate::certbot::arguments::parse(&words, Path::new("/"), &[]).unwrap()
}

fn two() -> [Lineage; 2] {
    [
        lineage("a", "/srv/a", &["a.example", "www.a.example"]),
        lineage("b", "/srv/b", &["b.example"]),
    ]
}

/// `lineage: name=webroot …; …`, then the origin.
fn text(scope: Result<Scope, Error>) -> String {
    let scope = match scope {
        Err(error) => return error.to_string(),
        Ok(scope) => scope,
    };
    let lineages: Vec<_> = scope
        .lineages
        .iter()
        .map(|lineage| {
            let routes = lineage.routes.iter().map(|r| format!(" {}={}", r.name, r.webroot));
            format!("{}:{}", lineage.name, routes.collect::<String>())
        })
        .collect();
    format!("{} ({:?})", lineages.join("; "), scope.origin)
}

fn found(line: &str, lineages: &[Lineage]) -> String {
    let run = run(line);
    let known = Known { names: &[], webroot: None, invocation: Some(&run), lineages, refused: &[] };
    text(scope(&known))
}

fn by_hand(names: &[&str], webroot: Option<&str>, lineages: &[Lineage]) -> String {
    let names: Vec<_> = names.iter().map(|name| host(name)).collect();
    let webroot = webroot.map(|path| Webroot::parse(path).unwrap());
    let webroot = webroot.as_ref();
    let known = Known { names: &names, webroot, invocation: None, lineages, refused: &[] };
    text(scope(&known))
}

#[test]
fn renew_means_every_lineage_that_a_webroot_proves() {
    let mut lineages = two();
    let all = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/b (Renewal)";
    assert_eq!(found("-q renew", &lineages), all);
    lineages[0].authenticator = "apache".to_owned();
    assert_eq!(found("-q renew", &lineages), "b: b.example=/srv/b (Renewal)");
    lineages[1].authenticator = "dns-ovh".to_owned();
    assert_eq!(found("-q renew", &lineages), " (Renewal)");
}

#[test]
fn cert_name_means_that_lineage() {
    assert_eq!(found("renew --cert-name b", &two()), "b: b.example=/srv/b (CommandLine)");
    let certonly = "certonly --webroot --cert-name b";
    assert_eq!(found(certonly, &two()), "b: b.example=/srv/b (CommandLine)");
    assert!(found("renew --cert-name c", &two()).starts_with("certbot has no lineage c;"));
}

#[test]
fn renew_with_a_webroot_sets_the_saved_ones_aside() {
    let mut lineages = two();
    lineages[0].webroot_map.insert(host("a.example"), Webroot::parse("/srv/map").unwrap());
    let saved = "a: a.example=/srv/map www.a.example=/srv/a (CommandLine)";
    assert_eq!(found("renew --cert-name a", &lineages), saved);
    let given = "a: a.example=/new www.a.example=/new (CommandLine)";
    assert_eq!(found("renew --cert-name a -w /new", &lineages), given);
    let mapped = "a: a.example=/srv/a www.a.example=/m (CommandLine)";
    let line = r#"renew --cert-name a --webroot-map {"www.a.example":"/m"}"#;
    assert_eq!(found(line, &lineages), mapped);
}

#[test]
fn renew_with_another_authenticator_overrides_the_saved_one() {
    assert_eq!(found("renew -a apache", &two()), " (Renewal)");
    let mut lineages = two();
    lineages[1].authenticator = "apache".to_owned();
    let given = "b: b.example=/new (CommandLine)";
    assert_eq!(found("renew -a webroot -w /new --cert-name b", &lineages), given);
}

#[test]
fn certonly_means_its_domains_in_its_webroots() {
    let line = "certonly --webroot -w /x -d n.example -w /y -d m.example,*.m.example";
    assert_eq!(found(line, &[]), "n.example: n.example=/x m.example=/y (CommandLine)");
    assert_eq!(found("certonly --webroot -w /x -d *.m.example", &[]), " (CommandLine)");
}

#[test]
fn certonly_takes_a_missing_webroot_from_the_lineage_with_that_name() {
    let line = "certonly --webroot -d b.example";
    assert_eq!(found(line, &two()), "b: b.example=/srv/b (CommandLine)");
    let extended = "b: b.example=/srv/b a.example=/srv/a (CommandLine)";
    assert_eq!(found("certonly --expand -d b.example,a.example", &two()), extended);
    let error = found("certonly --webroot -d new.example", &two());
    assert!(error.starts_with("no webroot is known for new.example; add `--webroot -w"), "{error}");
}

#[test]
fn what_no_webroot_proves_needs_nothing() {
    for line in ["--apache -d a.example", "-d a.example", "certonly --standalone -d a.example"] {
        assert_eq!(found(line, &two()), " (CommandLine)", "{line}");
    }
    assert_eq!(found("certificates", &two()), " (CommandLine)");
}

#[test]
fn certonly_that_asks_a_person_is_unknown() {
    let all = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/b (Unknown)";
    assert_eq!(found("certonly", &two()), all);
}

#[test]
fn names_by_hand_come_first() {
    assert_eq!(by_hand(&["b.example"], None, &two()), "b: b.example=/srv/b (Names)");
    assert_eq!(by_hand(&["b.example"], Some("/w"), &two()), "b: b.example=/w (Names)");
    assert_eq!(by_hand(&["n.example"], Some("/w"), &two()), "n.example: n.example=/w (Names)");
    assert!(by_hand(&["n.example"], None, &two()).starts_with("no webroot is known"));
}

#[test]
fn without_certbot_and_names_the_lineages_count_and_else_nothing_is_known() {
    let all = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/b (Renewal)";
    assert_eq!(by_hand(&[], None, &two()), all);
    assert_eq!(by_hand(&[], None, &[]), " (Unknown)");
}

#[test]
fn a_name_in_two_lineages_needs_one_webroot() {
    let mut lineages = two();
    lineages[1].names.push(host("a.example"));
    let error = found("renew", &lineages);
    let names_both = "a.example has the webroot /srv/a in lineage a but /srv/b in lineage b;";
    assert!(error.starts_with(names_both), "{error}");
    lineages[1].webroot_paths = lineages[0].webroot_paths.clone();
    let both = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/a a.example=/srv/a";
    assert_eq!(found("renew", &lineages), format!("{both} (Renewal)"));
}

#[test]
fn a_refused_lineage_matters_when_certbot_will_renew_it() {
    let refused = |certbot_skips_it| {
        [Refused { name: "c".into(), reason: "/x:3: bad".into(), certbot_skips_it }]
    };
    let found = |line: &str, skipped: bool| {
        let (run, lineages, refused) = (run(line), two(), refused(skipped));
        let invocation = Some(&run);
        let (lineages, refused) = (&lineages, &refused);
        text(scope(&Known { names: &[], webroot: None, invocation, lineages, refused }))
    };
    let error = "lineage c takes part in this run, but cannot be used: /x:3: bad";
    assert_eq!(found("renew", false), error);
    assert!(found("renew", true).starts_with("a: "));
    assert_eq!(found("renew --cert-name b", false), "b: b.example=/srv/b (CommandLine)");
    assert_eq!(found("certonly --webroot --cert-name c", true), error);
}
