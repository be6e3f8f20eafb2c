//! pure: the rules by which a run's names, webroots and lineages are found.

use super::*;
use std::path::Path;

fn lineage(name: &str, webroot: &str, names: &[&str]) -> Lineage {
    let text = format!(
        "cert = /c\nfullchain = /f\nprivkey = /k\n[renewalparams]\nauthenticator = webroot\n\
         webroot_path = {webroot},\n[[webroot_map]]\n"
    );
    let file = format!("/etc/letsencrypt/renewal/{name}.conf");
    let mut lineage =
        crate::certbot::renewal_file::parse(Path::new(&file), text.as_bytes()).unwrap();
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
    let left: Vec<_> =
        scope.left_out.iter().map(|left| format!(" without {}: {}", left.name, left.why)).collect();
    format!("{} ({:?}){}", lineages.join("; "), scope.origin, left.concat())
}

fn found(line: &str, lineages: &[Lineage]) -> String {
    let run = run(line);
    let known = Known {
        names: &[],
        webroot: None,
        invocation: Some(&run),
        lineages,
        refused: &[],
        needs: &BTreeMap::new(),
    };
    text(scope(&known))
}

fn by_hand(names: &[&str], webroot: Option<&str>, lineages: &[Lineage]) -> String {
    let names: Vec<_> = names.iter().map(|name| host(name)).collect();
    let webroot = webroot.map(|path| Webroot::parse(path).unwrap());
    let webroot = webroot.as_ref();
    let known = Known {
        names: &names,
        webroot,
        invocation: None,
        lineages,
        refused: &[],
        needs: &BTreeMap::new(),
    };
    text(scope(&known))
}

#[test]
fn renew_means_every_lineage_that_a_webroot_proves() {
    let mut lineages = two();
    let all = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/b (Renewal)";
    assert_eq!(found("-q renew", &lineages), all);
    lineages[0].authenticator = "apache".to_owned();
    assert_eq!(found("-q renew", &lineages), "a:; b: b.example=/srv/b (Renewal)");
    lineages[1].authenticator = "dns-ovh".to_owned();
    assert_eq!(found("-q renew", &lineages), "a:; b: (Renewal)", "they need no route");
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
    assert_eq!(found("renew -a apache", &two()), "a:; b: (Renewal)");
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
    let found_ = found("renew", &lineages);
    let first = "a: a.example=/srv/a www.a.example=/srv/a (Renewal) without b: a.example has the \
                 webroot /srv/a in lineage a but /srv/b in lineage b;";
    assert!(found_.starts_with(first), "{found_}");
    lineages[1].webroot_paths = lineages[0].webroot_paths.clone();
    let both = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/a a.example=/srv/a";
    assert_eq!(found("renew", &lineages), format!("{both} (Renewal)"));
}

/// What `line` takes up of `lineages` and of a `refused` one, where certbot says what it needs.
fn needed(
    line: &str,
    lineages: &[Lineage],
    refused: &[Refused],
    needs: &[(&str, Need)],
) -> Result<Scope, Error> {
    let run = run(line);
    let needs = needs.iter().map(|(name, need)| ((*name).to_owned(), *need)).collect();
    let invocation = Some(&run);
    scope(&Known { names: &[], webroot: None, invocation, lineages, refused, needs: &needs })
}

fn unusable(certbot_skips_it: bool, exit: Exit) -> Refused {
    let (name, reason) = ("c".into(), "/x:3: bad".into());
    Refused { name, reason, certbot_skips_it, cert: "/c".into(), exit }
}

#[test]
fn a_refused_lineage_matters_when_certbot_will_renew_it() {
    let found = |line: &str, skipped: bool| {
        text(needed(line, &two(), &[unusable(skipped, Exit::Failed)], &[]))
    };
    let error = "lineage c takes part in this run, but cannot be used: /x:3: bad";
    let both = "a: a.example=/srv/a www.a.example=/srv/a; b: b.example=/srv/b (Renewal)";
    assert_eq!(found("renew", false), format!("{both} without c: {error}"));
    assert_eq!(found("renew", true), both, "certbot passes over it");
    assert_eq!(found("renew --cert-name b", false), "b: b.example=/srv/b (CommandLine)");
    for line in ["renew --cert-name c", "certonly --webroot --cert-name c"] {
        assert_eq!(found(line, false), error);
        assert_eq!(found(line, true), error);
    }
    // Where nothing else is left, it is how the program ends.
    let alone = needed("renew", &[], &[unusable(false, Exit::Unsafe)], &[]);
    assert_eq!(alone.unwrap_err().exit(), Exit::Unsafe);
}

/// Ways in which the files of a lineage can be broken, each with a word of the reason.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// certbot lost its webroot.
    NoWebroot,
    /// Its file cannot be used, but certbot tries.
    Refused,
    /// It wants a name of a healthy one from another place.
    Conflict,
}

#[test]
fn a_broken_lineage_never_affects_a_healthy_one() {
    for broken in [Broken::NoWebroot, Broken::Refused, Broken::Conflict] {
        for need in [Need::Due, Need::Possible, Need::NotDue, Need::Never] {
            let healthy = "a: a.example=/srv/a www.a.example=/srv/a (Renewal)";
            let [a, mut c] = two();
            c.name = "c".into();
            let (word, lineages, refused) = match broken {
                Broken::NoWebroot => {
                    c.webroot_paths.clear();
                    ("no webroot is known for b.example", vec![c, a], Vec::new())
                }
                Broken::Refused => ("/x:3: bad", vec![a], vec![unusable(false, Exit::Failed)]),
                Broken::Conflict => {
                    c.names.push(host("a.example"));
                    ("webroot /srv/a in lineage a but /srv/b", vec![a, c], Vec::new())
                }
            };
            let needs = [("a", Need::Due), ("c", need)];
            let found = needed("renew", &lineages, &refused, &needs).unwrap();
            let left = found.left_out.clone();
            assert_eq!(
                text(Ok(Scope { left_out: Vec::new(), ..found })),
                healthy,
                "{broken:?}, {need:?}"
            );
            // What is not due is never a reason; whether a file that cannot be read is, nobody can tell.
            let is_told = need <= Need::Possible || matches!(broken, Broken::Refused);
            assert_eq!(left.len(), usize::from(is_told), "{broken:?}, {need:?}");
            assert!(
                left.iter().all(|left| left.name == "c" && left.why.to_string().contains(word))
            );
        }
    }
}

#[test]
fn of_two_that_want_one_name_the_one_that_is_due_keeps_it() {
    let mut lineages = two();
    lineages[1].names.push(host("a.example"));
    let needs = [("a", Need::Possible), ("b", Need::Due)];
    let found = needed("renew", &lineages, &[], &needs).unwrap();
    assert_eq!(found.lineages.len(), 1);
    assert_eq!(found.lineages[0].name, "b");
    assert_eq!((found.left_out[0].name.as_str(), found.left_out[0].need), ("a", Need::Possible));
}

#[test]
fn an_address_is_never_passed_over_in_silence() {
    let addresses = |found: Result<Scope, Error>| -> Vec<String> {
        let lineages = found.unwrap().lineages;
        let all = lineages.iter().flat_map(|lineage| &lineage.addresses);
        all.map(|(address, webroot)| format!("{address}={webroot}")).collect()
    };
    let given = "certonly --webroot -w /x --ip-address 2001:db8::20 --preferred-profile shortlived";
    assert_eq!(addresses(needed(given, &[], &[], &[])), ["2001:db8::20=/x"]);
    let both = "certonly --webroot -w /x -d n.example,192.0.2.1";
    assert_eq!(addresses(needed(both, &[], &[], &[])), ["192.0.2.1=/x"]);
    let unknown = needed("certonly --webroot --ip-address 192.0.2.1", &[], &[], &[]);
    assert!(unknown.unwrap_err().to_string().starts_with("no webroot is known for 192.0.2.1;"));
    let mut lineages = two();
    lineages[1].addresses = vec!["2001:db8::20".parse().unwrap()];
    assert_eq!(addresses(needed("renew", &lineages, &[], &[])), ["2001:db8::20=/srv/b"]);
    assert_eq!(addresses(needed("renew -w /y", &lineages, &[], &[])), ["2001:db8::20=/y"]);
}
