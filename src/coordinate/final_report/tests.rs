//! pure: rules of the report.

use super::*;

#[test]
fn an_address_that_was_not_asked_is_told_from_one_that_is_not_there() {
    let cells = |served: Vec<Served>| {
        let text = Coordination { served, ..summary(LineageOutcome::Renewed, None) }
            .table(Width::default());
        text.lines().nth(1).unwrap().split("1970-01-01  ").nth(1).unwrap().to_owned()
    };
    let all = summary(LineageOutcome::Renewed, None).served;
    assert_eq!(cells(Vec::new()), "not asked  not asked");
    assert_eq!(cells(vec![all[0].clone()]), "served     none");
    let unresolved = Served { address: None, verdict: ServedVerdict::Unknown, ..all[0].clone() };
    assert_eq!(cells(vec![unresolved]), "unknown  unknown");
}

#[test]
fn whatever_was_not_tried_has_its_reason_which_is_said_once() {
    let mut summary = summary(LineageOutcome::NotTried, None);
    let lineage = &mut summary.hosts[0].lineages[0];
    lineage.why = Some("a webroot is gone".into());
    let other = CoordinatedLineage { name: "b".into(), ..lineage.clone() };
    summary.hosts[0].lineages.push(other);
    summary.hosts[1].failure = Some("no route to host".into());
    summary.hosts[1].lineages[0].why = summary.hosts[1].failure.clone();
    let said = "vps: a, b: a webroot is gone";
    let text = summary.table(Width::default());
    assert!(text.contains(said) && text.matches("no route to host").count() == 1, "{text}");
    assert_eq!(summary.failures(), [said, "home: no route to host"]);
    assert_eq!(summary.exit(), Exit::Failed);
}

/// Whoever would renew it, and whoever asks what it is served with.
#[test]
fn a_name_that_is_not_resolved_is_said_once() {
    let why = "failed to lookup address information: Temporary failure in name resolution";
    let mut unresolved = summary(LineageOutcome::NotTried, None);
    for host in &mut unresolved.hosts {
        host.lineages[0].why = Some(format!("a.example FAILS: DNS: it {UNRESOLVED}: {why}"));
    }
    let of = |name: &str| Served {
        host: None,
        name: Hostname::parse(name).unwrap(),
        address: None,
        verdict: ServedVerdict::Unknown,
        why: Some(format!("{UNRESOLVED}: {why}")),
    };
    unresolved.served = vec![of("a.example")];
    let text = unresolved.table(Width::default()).replace("\n    ", " ");
    assert_eq!(text.matches(why).count(), 1, "{text}");
    assert!(text.contains("vps, home: a: a.example FAILS"), "{text}");
    assert_eq!(unresolved.failures().len(), 1);
    unresolved.served.extend(["b.example", "c.example"].map(of));
    let text = unresolved.table(Width::default()).replace("\n    ", " ");
    assert!(text.contains("\nb.example, c.example: cannot be resolved: failed"), "{text}");
    assert_eq!(text.matches(why).count(), 2, "{text}");
}

fn name() -> Hostname {
    Hostname::parse("a.example").unwrap()
}

fn summary(result: LineageOutcome, routes_back: Option<bool>) -> Coordination {
    let lineage = CoordinatedLineage {
        name: "a".into(),
        result,
        why: (result == LineageOutcome::Failed).then(|| "certbot ended with code 1".into()),
        serial: Some("2".into()),
        not_after: Some(Timestamp::UNIX_EPOCH),
        names: vec![name()],
        issued_in_7_days: 1,
        limit: Some(5),
    };
    let host = |name: &str| CoordinatedHost {
        name: name.into(),
        failure: None,
        busy: false,
        routes_back,
        lineages: vec![lineage.clone()],
    };
    let served = |host: &str, address: &str| Served {
        host: Some(host.into()),
        name: name(),
        address: Some(address.parse().unwrap()),
        verdict: ServedVerdict::Current,
        why: None,
    };
    Coordination {
        version: 1,
        began: Timestamp::UNIX_EPOCH,
        ended: Timestamp::UNIX_EPOCH,
        dry_run: false,
        exit: 0,
        unknown: Vec::new(),
        refused: None,
        stopped: None,
        warnings: Vec::new(),
        costs: Vec::new(),
        hosts: vec![host("vps"), host("home")],
        served: vec![served("vps", "192.0.2.1"), served("home", "2001:db8::1")],
        called_off: false,
    }
}

#[test]
fn the_table_has_a_line_for_each_lineage_of_each_host() {
    let text = summary(LineageOutcome::Renewed, Some(true)).table(Width::default());
    let expected = "HOST  LINEAGE  RESULT   EXPIRES     A          AAAA\n\
                    vps   a        renewed  1970-01-01  served     elsewhere\n\
                    home  a        renewed  1970-01-01  elsewhere  served\n";
    assert_eq!(text, expected);
    let text = summary(LineageOutcome::Failed, Some(true)).table(Width::default());
    assert!(
        text.ends_with("vps: a: certbot ended with code 1\nhome: a: certbot ended with code 1\n")
    );
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let good = summary(LineageOutcome::Renewed, Some(true));
    assert_eq!(good.exit(), Exit::Done);
    assert_eq!(summary(LineageOutcome::Failed, Some(true)).exit(), Exit::Failed);
    assert_eq!(summary(LineageOutcome::Failed, Some(false)).exit(), Exit::NotUndone);
    let mut wrong = good.clone();
    wrong.served[1].verdict = ServedVerdict::Wrong;
    assert_eq!(wrong.exit(), Exit::Failed);
    assert!(wrong.table(Width::default()).contains("WRONG"));
    let mut unknown = good.clone();
    unknown.served[1].verdict = ServedVerdict::Unknown;
    assert_eq!(unknown.exit(), Exit::Done, "not this host's to see");
    let mut busy = good.clone();
    busy.hosts[0] =
        CoordinatedHost { failure: Some("busy".into()), busy: true, ..busy.hosts[0].clone() };
    assert_eq!(busy.exit(), Exit::Busy);
    busy.hosts[1].failure = Some("unreachable".into());
    assert_eq!(busy.exit(), Exit::Failed);
}

#[test]
fn the_document_says_its_version_and_plain_words() {
    let json = serde_json::to_value(summary(LineageOutcome::NotDue, None)).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["hosts"][0]["lineages"][0]["result"], "not-due");
    assert_eq!(json["hosts"][0]["routes-back"], serde_json::Value::Null);
    assert_eq!(json["served"][1]["verdict"], "current");
}

#[test]
fn the_report_fits_on_a_terminal() {
    let mut long = summary(LineageOutcome::Failed, Some(true));
    let lineage = &mut long.hosts[0].lineages[0];
    lineage.name = "a-name-that-is-as-long-as-some-are.cloud.example.org".into();
    lineage.why = Some("The key authorization file did not match. ".repeat(30));
    let text = long.table(Width::default());
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}
