use super::*;
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::check::matrix::Gathered;
use crate::check::summary::summary;
use crate::check::verdict::tests::healthy;
use crate::coordinate::decision::tests::lineage;
use jiff::Timestamp;

fn text(gathered: &Gathered) -> String {
    summary(gathered, Timestamp::UNIX_EPOCH).table(Width::default())
}

#[test]
fn a_healthy_check_explains_each_mark_that_it_makes() {
    let expected = "\
NAME       RECORD  LEADS TO  FOR vps  FOR home   CERTIFICATE
a.example  A       vps       ok*      no*        9999-12-30
           AAAA    home      ok       by switch  9999-12-30
by switch: a challenge is answered there once its renewal has switched the route
no: not answered there, where the CA does not ask while the other address works
*: only the host that has the address could ask it, which need not be what the
    CA sees
if vps renewed now: succeeds (a.example)
if home renewed now: succeeds after a switch (a.example)
if home were down and vps renewed now: succeeds (a.example)

nothing wrong
";
    assert_eq!(text(&healthy()), expected);
}

#[test]
fn everything_fits_on_a_terminal_and_nothing_plays_with_it() {
    let mut gathered = healthy();
    let mut long = lineage("a", "AA").survey.hostnames[0].clone();
    for part in ["a-quite-long-name", "of-a-zone", "example"] {
        long = Hostname::parse(&format!("{part}.{long}")).unwrap();
    }
    gathered.names.push(long);
    let inspection = gathered.hosts[0].inspection.as_mut().unwrap();
    let (what, remedy) = ("word ".repeat(60) + "\x1b[2J\u{202e}", "do this ".repeat(30));
    let place = Some(format!("/etc/apache2/{}.conf:7", "x".repeat(120)));
    inspection.findings.push(Finding::new(Code::Unexplained, place, what, remedy));
    let text = text(&gathered);
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(!text.contains('\x1b'), "{text}");
}
