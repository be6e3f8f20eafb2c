use super::*;
use crate::status::sample::{healthy, host, local, now};
use jiff::SignedDuration;

fn shown(overview: &Overview) -> String {
    status(overview, Thresholds::default(), Colour::None, Width::default())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn everything_fits_and_a_failure_is_told_once() {
    let mut overview = healthy();
    let found = overview.hosts[1].found.as_mut().unwrap();
    let why = format!("git.example.org: {}", "the CA says no, at length, ".repeat(60));
    let run = found.last_run.as_mut().unwrap();
    (run.outcome, run.text) = (Outcome::Failed, why);
    found.lineages[0].last.as_mut().unwrap().result = LineageResult::Failed;
    found.lineages[0].name = "a-name-that-is-as-long-as-some-are.example.org".into();
    found.lineages[0].names = vec!["x".repeat(63) + ".example.org"; 5];
    found.local.push(local());
    overview.wrong = crate::status::judgement::wrong(&overview, Thresholds::default());
    let text = shown(&overview);
    let long = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "{text}");
    assert_eq!(one_line(&text).matches("git.example.org: the CA says no").count(), 1, "{text}");
}

#[test]
fn a_coordination_says_which_host_renewed_what() {
    let mut overview = healthy();
    let run = overview.hosts[1].found.as_mut().unwrap().last_run.as_mut().unwrap();
    run.kind = Some(crate::history::record::Kind::Coordination);
    run.switched.clear();
    let renewed = |host: &str| crate::history::runs::HostRun {
        host: host.into(),
        renewed: vec!["git".into()],
        failure: None,
    };
    run.hosts = vec![renewed("vps"), renewed("home")];
    let text = one_line(&shown(&overview));
    assert!(text.contains("done, renewed git on vps, git on home"), "{text}");
}

#[test]
fn a_healthy_host_in_a_few_lines() {
    let mut overview = healthy();
    overview.hosts = vec![host("home", true)];
    let expected = "\
home (this host)
  certbaton 0.1.0, certbot 2.1.0, Apache 2.4.62
  Apache loaded its configuration 2026-03-01 11:00 UTC, 60 min ago
  challenge path: with the peer, nothing is switched
  last renewal 20260301T100000.000-42: done, switched a.example
  LINEAGE    EXPIRES     LEFT  NEXT DUE    LAST
  a.example  2026-04-30  60 d  2026-03-31  renewed 2026-03-01
    a.example www.a.example, by Let's Encrypt E5

lease: free, vps grants it, last token 0
all is well
";
    assert_eq!(shown(&overview), expected);
}

#[test]
fn without_a_terminal_there_is_no_colour_and_with_one_the_text_is_the_same() {
    let mut overview = healthy();
    overview.hosts[1].found.as_mut().unwrap().local.push(local());
    let plain = shown(&overview);
    assert!(!plain.contains('\x1b'));
    let painted = status(&overview, Thresholds::default(), Colour::Ansi, Width::default());
    assert!(painted.contains("\x1b[31mlocal\x1b[0m"), "{painted}");
    let escape = regex::Regex::new("\x1b\\[[0-9]+m").unwrap();
    assert_eq!(escape.replace_all(&painted, ""), plain);
}

#[test]
fn an_unreached_host_says_from_when_its_words_are() {
    let mut overview = healthy();
    overview.hosts[0].unreachable = Some("no route".into());
    overview.hosts[0].seen = Some(now() - SignedDuration::from_hours(3));
    let text = shown(&overview);
    let told = "vps: not reached, this is what it said 2026-03-01 09:00 UTC, 3 h ago";
    assert!(one_line(&text).contains(told), "{text}");
    overview.hosts[0].found = None;
    overview.hosts[0].seen = None;
    assert!(shown(&overview).contains("vps: not reached, never seen"));
}

#[test]
fn a_local_route_says_since_when_and_by_whom() {
    let mut overview = healthy();
    overview.hosts[1].found.as_mut().unwrap().local.push(local());
    let line = "challenge path of a.example: local since 2026-03-01 11:00 UTC, 60 min, by certbot -q renew";
    assert!(one_line(&shown(&overview)).contains(line));
}

#[test]
fn what_a_peer_says_cannot_play_with_the_terminal() {
    let mut overview = healthy();
    let found = overview.hosts[0].found.as_mut().unwrap();
    found.notes.push("\x1b[2Jgone\n".into());
    found.lineages[0].issuer = "CN=\x07bell".into();
    let text = shown(&overview);
    assert!(!text.contains(['\x1b', '\x07']) && text.contains("[2Jgone"), "{text}");
}

#[test]
fn a_host_that_is_not_asked_from_here_is_no_fault() {
    let mut overview = healthy();
    overview.hosts[1].found = None;
    overview.hosts[1].seen = None;
    let wrong = crate::status::judgement::wrong(&overview, Thresholds::default());
    assert_eq!(wrong, []);
    assert_eq!(crate::status::judgement::exit(&overview), 0);
    assert!(shown(&overview).contains("home (this host): not asked from here"));
}
