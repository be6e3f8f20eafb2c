//! pure: the rules of certbot's command line, one test each.
//!
//! What certbot itself answers to the same words is asked in `tests/parties/certbot.rs`.

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn read(line: &str) -> Invocation {
    parse(&words(line), Path::new("/root"), &[]).unwrap()
}

fn names(run: &Invocation) -> Vec<&str> {
    run.domains.iter().map(Hostname::as_str).collect()
}

fn webroot_in(run: &Invocation, name: &str) -> String {
    run.webroot_of(&Hostname::parse(name).unwrap()).map_or_else(String::new, ToString::to_string)
}

#[test]
fn certbots_own_words_follow_its_name_script_or_module() {
    for line in [
        "/usr/bin/python3 /usr/bin/certbot -q renew",
        "/usr/bin/certbot -q renew",
        "/opt/certbot/bin/python3 /opt/certbot/bin/certbot -q renew",
        "/snap/certbot/4325/bin/python3 -s /snap/certbot/4325/bin/certbot -q renew",
        "python3.11 -I -W ignore -m certbot -q renew",
        "python -m certbot.main -q renew",
        "letsencrypt -q renew",
    ] {
        let argv = words(line);
        assert_eq!(arguments_after_program(&argv), ["-q", "renew"], "{line}");
    }
}

#[test]
fn every_way_to_write_a_domain_is_read() {
    let run = read(
        "certonly -d a.example,B.example. -dc.example --domain d.example --domains=e.example -d=f.example -nqd g.example --doma h.example -d a.example",
    );
    assert_eq!(run.verb, Verb::Certonly);
    assert_eq!(
        names(&run),
        [
            "a.example",
            "b.example",
            "c.example",
            "d.example",
            "e.example",
            "f.example",
            "g.example",
            "h.example"
        ]
    );
}

#[test]
fn each_domain_has_the_last_webroot_before_it() {
    let run = read("certonly -w /srv/a -d a.example -d b.example --webroot-p /srv/c -dc.example");
    assert_eq!(webroot_in(&run, "a.example"), "/srv/a");
    assert_eq!(webroot_in(&run, "b.example"), "/srv/a");
    assert_eq!(webroot_in(&run, "c.example"), "/srv/c");
}

#[test]
fn a_single_webroot_serves_the_domains_before_it() {
    let run = read("certonly -d a.example -w html/../www");
    assert_eq!(webroot_in(&run, "a.example"), "/root/www");
}

#[test]
fn the_webroot_map_names_domains_and_wins() {
    let run =
        read(r#"certonly -w /srv/a -d a.example --webroot-map {"a.example,m.example":"/srv/m"}"#);
    assert_eq!(names(&run), ["a.example", "m.example"]);
    assert_eq!(webroot_in(&run, "a.example"), "/srv/m");
    assert_eq!(webroot_in(&run, "other.example"), "/srv/a");
}

#[test]
fn wildcards_and_addresses_are_kept_apart() {
    let run = read("certonly -d *.a.example,a.example,192.0.2.1 --ip-address 2001:db8::1");
    assert_eq!(names(&run), ["a.example"]);
    assert_eq!(run.skipped, ["*.a.example"]);
    let addresses: Vec<_> = run.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
}

#[test]
fn the_first_word_that_is_a_verb_is_the_verb_even_if_meant_as_a_value() {
    assert_eq!(read("--cert-name renew certonly -d a.example").verb, Verb::Renew);
    assert_eq!(read("-q -d a.example").verb, Verb::Run);
    assert_eq!(read("auth").verb, Verb::Certonly);
    assert_eq!(read("renew --help").verb, Verb::Other("help".to_owned()));
    assert_eq!(read("delete --cert-name a").verb, Verb::Other("delete".to_owned()));
}

#[test]
fn a_value_is_never_taken_for_an_option() {
    let words = ["renew", "--pre-hook", "--domain x", "--post-hook", "sh -d y", "--cert-name", "a"];
    let run = parse(&words.map(str::to_owned), Path::new("/"), &[]).unwrap();
    assert_eq!(names(&run), [""; 0]);
    assert_eq!(run.cert_name.as_deref(), Some("a"));
    assert_eq!(names(&read("certonly -i apache -m d@x -- -d y.example")), [""; 0]);
}

#[test]
fn every_authenticator_is_recognised() {
    for (line, expected) in [
        ("certonly --webroot", Some("webroot")),
        ("certonly --stand", Some("standalone")),
        ("--apache", Some("apache")),
        ("certonly -a webroot -i apache", Some("webroot")),
        ("certonly --authenticator=dns-hetzner", Some("dns-hetzner")),
        ("certonly --dns-cloudflare --dns-cloudflare-credentials /x", Some("dns-cloudflare")),
        ("certonly --manual --manual-auth-hook x", Some("manual")),
        ("renew", None),
    ] {
        assert_eq!(read(line).authenticator.as_deref(), expected, "{line}");
    }
}

#[test]
fn directories_and_switches_are_read() {
    let run = read(
        "renew --config-dir w/ --dry-run --force-ren --server https://ca.example/dir --no-directory-hooks",
    );
    assert_eq!(run.config_dir, Path::new("/root/w"));
    assert!(run.dry_run && run.force_renewal && !run.directory_hooks);
    assert_eq!(run.server.as_deref(), Some("https://ca.example/dir"));
    assert_eq!(read("renew").config_dir, Path::new("/etc/letsencrypt"));
}

#[test]
fn files_give_defaults_that_the_command_line_overrides() {
    let etc = crate::certbot::ini::parse("config-dir = /etc-dir\nserver = https://w\nwebroot\n");
    let home =
        crate::certbot::ini::parse("server = https://home-w\ncert-name = l\ndry-run = false\n");
    let files = [etc, home];
    let run =
        parse(&words("certonly --cert-name cli --config-d=/c"), Path::new("/"), &files).unwrap();
    assert_eq!(run.server.as_deref(), Some("https://home-w"), "the later file wins");
    assert_eq!(run.cert_name.as_deref(), Some("cli"));
    assert_eq!(run.config_dir, Path::new("/c"), "an abbreviation comes last and wins, too");
    assert_eq!(run.authenticator.as_deref(), Some("webroot"));
    assert!(!run.dry_run);
}

#[test]
fn domains_of_a_file_do_not_count_for_renew() {
    let files = [crate::certbot::ini::parse("domains = a.example, b.example\nwebroot-path = /srv")];
    let read = |line| parse(&words(line), Path::new("/"), &files).unwrap();
    assert_eq!(names(&read("renew")), [""; 0]);
    assert_eq!(names(&read("certonly")), ["a.example", "b.example"]);
    assert_eq!(webroot_in(&read("certonly"), "a.example"), "/srv");
}

#[test]
fn the_file_of_the_command_line_is_found() {
    let file = |line| configuration_file(&words(line), Path::new("/root"));
    assert_eq!(file("renew -c my.ini"), Some("/root/my.ini".into()));
    assert_eq!(file("renew -qc/x.ini"), Some("/x.ini".into()));
    assert_eq!(file("renew --config /y"), Some("/y".into()));
    assert_eq!(file("renew"), None);
}

#[test]
fn a_webroot_that_could_hurt_is_refused() {
    let refused = parse(&words("certonly -w /srv/$x -d a.example"), Path::new("/"), &[]);
    assert!(matches!(refused, Err(Error::OptionWebroot { option: "--webroot-path", .. })));
    let refused = parse(&words("certonly --webroot-map {a"), Path::new("/"), &[]);
    assert!(matches!(refused, Err(Error::WebrootMap(_))));
}
