//! flow: what the gateway serves to the Internet, by both doors.

use crate::lab::Lab;
use crate::scenario::Certbots::Debians;
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("both_doors_lead_to_the_application", Debians, doors),
    Scenario::new("a_gateway_without_a_certificate_gets_its_first", Debians, first),
];

/// The doors: curl's family, and the address.
const DOORS: [(&str, &str); 2] = [("-4", "192.0.2.10"), ("-6", "2001:db8::20")];

fn doors(lab: &Lab) {
    lab.render(&[]);
    for (family, address) in DOORS {
        let said = lab.ask(&[family, "https://cloud.example.org/x"]).out;
        let own = if family == "-4" { "192.0.2.1" } else { "2001:db8::1" };
        for expected in [
            "HTTP/1.1 200 OK".to_owned(),
            // The client, whichever way it came; and nothing that it says itself.
            format!("\"x-forwarded-for\": \"{own}\""),
            "\"x-forwarded-proto\": \"https\"".to_owned(),
            "\"host\": \"cloud.example.org\"".to_owned(),
        ] {
            assert!(said.contains(&expected), "{family}: no {expected}: {said}");
        }
        let forged = ["-H", "X-Forwarded-For: 203.0.113.9", family, "https://cloud.example.org/x"];
        assert!(!lab.ask(&forged).out.contains("203.0.113.9"), "{family}");
        // Each once, although two hosts may add it; the application's own word stands.
        for (header, value, count) in [
            ("x-content-type-options", "nosniff", 1),
            ("x-frame-options", "SAMEORIGIN", 1),
            ("referrer-policy", "no-referrer", 1),
            ("strict-transport-security", "", 0),
        ] {
            let lines = said.lines().map(str::to_ascii_lowercase);
            let found: Vec<String> =
                lines.filter(|l| l.starts_with(&format!("{header}:"))).collect();
            assert_eq!(found.len(), count, "{family}: {header}: {said}");
            assert!(found.iter().all(|l| l.contains(&value.to_ascii_lowercase())), "{found:?}");
        }
        redirected(lab, family);
        password(lab, family);
        let talk = support::source("tests/two_hosts/gateway/talk.py").display().to_string();
        let root = format!("{}/ca/root.pem", crate::lab::state().display());
        let talked = lab.ca.start(&[&talk, &root, address, "cloud.example.org"]).ended();
        assert_eq!(talked.out, "baton\n", "{family}: {talked:?}");
    }
    jailed(lab);
    // ssh at home is nobody's business out there; the ports of the proxy are.
    let knock = |address: &str, port: &str| {
        let dial = format!("< /dev/tcp/{address}/{port}");
        lab.ca.start(&["timeout", "1", "bash", "-c", &dial]).ended().status.success()
    };
    assert!(knock("2001:db8::20", "443") && !knock("2001:db8::20", "22"));
    assert!(knock("192.0.2.10", "443") && knock("192.0.2.10", "22"));
}

fn redirected(lab: &Lab, family: &str) {
    let said = lab.ask(&[family, "http://www.cloud.example.org/a%20b?c=d"]).out;
    assert!(said.contains("Location: https://www.cloud.example.org/a%20b?c=d"), "{said}");
}

/// 401 without, 200 with, and never on the challenge path.
fn password(lab: &Lab, family: &str) {
    let status = |words: &[&str]| {
        let said = lab.ask(&[&[family], words].concat());
        said.out.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let url = "https://git.example.org/";
    assert_eq!(status(&[url]), "401");
    assert_eq!(status(&["-u", "someone:wrong", url]), "401");
    let said = lab.ask(&[family, "-u", "someone:secret", url]).out;
    assert!(said.starts_with("HTTP/1.1 200") && !said.contains("\"authorization\""), "{said}");
    assert!(said.contains("Strict-Transport-Security: max-age=86400"), "{said}");
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://git.example.org/.well-known/acme-challenge/who");
        assert_eq!(status(&[&url]), "200", "{scheme}");
        let none = format!("{scheme}://git.example.org/.well-known/acme-challenge/none");
        assert_eq!(status(&[&none]), "404", "{scheme}");
    }
}

/// fail2ban's filter finds each wrong password in Apache's log, with the client's own address.
fn jailed(lab: &Lab) {
    let told = |host: &crate::host::Host| {
        host.sh("fail2ban-regex -o ip /var/log/apache2/error.log apache-auth")
    };
    assert!(told(&lab.home).contains("2001:db8::1"), "{}", told(&lab.home));
    assert!(told(&lab.vps).contains("192.0.2.1"), "{}", told(&lab.vps));
    assert!(!told(&lab.home).contains("2001:db8::10"), "the vps would be banned");
}

/// The rendered files load before there is a certificate; home's hooks switch for the first one.
fn first(lab: &Lab) {
    lab.render(&[]);
    let since = lab.ca.mark();
    for host in [&lab.vps, &lab.home] {
        let first = ["--webroot", "-w", "/var/www/html", "-d", "new.example.org"];
        lab.certbot_on(host, "certonly").with(&first).hooks().succeed();
    }
    lab.expect_issued(since, 2);
    lab.expect_served(&["new.example.org"]);
    for (family, _) in DOORS {
        let said = lab.ask(&[family, "https://new.example.org/"]).out;
        assert!(said.starts_with("HTTP/1.1 200"), "{family}: {said}");
    }
}
