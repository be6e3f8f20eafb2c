use super::*;

fn entry(event: Event) -> LogEntry {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    LogEntry { at, run: RunId::new(at, 42), event }
}

#[test]
fn an_entry_is_one_flat_line_and_comes_back() {
    let granted = entry(Event::Granted { token: Some(7), without: None });
    let text = line(&granted).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&text),
        "{\"at\":\"2023-11-14T22:13:20Z\",\"run\":\"20231114T221320.000-42\",\"event\":\"granted\",\"token\":7,\"without\":null}\n"
    );
    assert_eq!(read(&text), (vec![granted], 0));
}

#[test]
fn a_torn_line_and_one_of_zeros_are_passed_over_and_counted() {
    let whole = line(&entry(Event::Released)).unwrap();
    let torn = [&whole[..], &whole[..30], b"\n", &[0; 20], b"\n", &whole].concat();
    let (entries, damaged) = read(&torn);
    assert_eq!((entries.len(), damaged), (2, 2));
    let (entries, damaged) = read(&[&whole[..], &whole[..30]].concat());
    assert_eq!((entries.len(), damaged), (1, 1), "a torn last line");
}

#[test]
fn an_event_of_a_newer_version_is_no_damage() {
    let text = r#"{"at":"2023-11-14T22:13:20Z","run":"1-1","event":"danced","with":"wolves"}"#;
    let (entries, damaged) = read(text.as_bytes());
    assert_eq!((&entries[0].event, damaged), (&Event::Unknown, 0));
}

#[test]
fn lines_are_bounded() {
    let names = vec!["x".repeat(250); 5000];
    let text = line(&entry(Event::Proven { names, millis: 1 })).unwrap();
    assert!(text.len() < 300 * 1000);
    let text = line(&entry(Event::Ended { exit: 1, text: "ä".repeat(9999) })).unwrap();
    assert!(text.len() < 5000);
}

#[test]
fn secrets_of_a_command_line_are_not_kept() {
    let words = ["certbot", "--pre-hook", "curl -H 'Authorization: s3cret'", "-q"].map(Into::into);
    assert_eq!(By::process(1, &words).command, "certbot --pre-hook curl … -q");
}

#[test]
fn ids_sort_by_time_and_hold_nothing_strange() {
    let at = |s: i64| Timestamp::from_second(s).unwrap();
    assert!(RunId::new(at(1), 9) < RunId::new(at(2), 1));
    assert!(RunId::parse("../x").is_none() && RunId::parse("").is_none());
}

#[test]
fn a_command_line_is_short_for_people() {
    let by = |command: &str| By { user: None, pid: Some(5), command: command.into() }.text();
    assert_eq!(by("/usr/bin/python3 /usr/bin/certbot -q renew"), "certbot -q renew, process 5");
    assert_eq!(by("/usr/bin/certbaton recover"), "certbaton recover, process 5");
    assert_eq!(by("/bin/sh -c x"), "sh -c x, process 5");
    let long = by(&format!("certbot {}", "--x ".repeat(99)));
    assert!(long.ends_with("…, process 5") && long.chars().count() < 80, "{long}");
}
