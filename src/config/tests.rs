//! pure: what is accepted, and what is refused where.

use super::*;

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(Settings::parse("f", "").unwrap(), Settings::default());
}

#[test]
fn durations_are_written_as_people_say_them() {
    let settings = Settings::parse("f", "[lease]\nwait = \"1h 5m\"\n").unwrap();
    assert_eq!(settings.lease_wait, Duration::from_mins(65));
}

#[test]
fn an_unknown_key_is_refused_where_it_stands() {
    let error = Settings::parse("f", "[apache]\n  pid-fill = \"/x\"\n").unwrap_err();
    let Error { line, column, message, .. } = error;
    assert_eq!((line, column), (2, 3));
    assert!(message.contains("pid-fill"), "{message}");
}

const HOSTS: &str =
    "[[host]]\nname = \"vps\"\nssh = \"certbaton@vps.example.org\"\n[[host]]\nname = \"home\"\n";

#[test]
fn the_arbiter_is_one_of_the_hosts_and_can_be_reached() {
    let parse = |name: &str, arbiter: &str| {
        let text = format!("name = \"{name}\"\n[lease]\narbiter = \"{arbiter}\"\n{HOSTS}");
        Settings::parse("f", &text)
    };
    let home = parse("home", "vps").unwrap();
    assert_eq!(home.arbiter, HostLabel::parse("vps"));
    assert_eq!(home.hosts[0].ssh, Destination::parse("certbaton@vps.example.org"));
    assert!(parse("vps", "vps").is_ok());
    assert!(parse("home", "home").is_ok());
    assert!(parse("vps", "home").is_err(), "it cannot be reached");
    assert!(parse("home", "other").is_err());
    assert!(parse("other", "vps").is_err());
    assert!(Settings::parse("f", &HOSTS.replace("certbaton@", "-oProxyCommand=")).is_err());
}

#[test]
fn values_that_could_hurt_are_refused() {
    for text in [
        "state-directory = \"x\"",
        "[apache]\npid-file = \"x\"",
        "[certbot]\nprogram = \"x\"",
        "[lease]\nwait = \"-5s\"",
        "[proof]\ntime = \"0s\"",
        "[lease]\ngrace = \"900ms\"",
        "[lease]\ngrace = \"1h\"",
        "[status]\nwarning-days = -1",
        "[status]\nwarning-days = 3\ncritical-days = 4",
    ] {
        assert!(Settings::parse("f", text).is_err(), "{text}");
    }
}
