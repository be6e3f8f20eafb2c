//! pure: what to write into the configuration for a web server that was found.

use std::path::Path;

/// The line `web-server = { … }` for `program`, started by `unit` of systemd if that is known.
pub fn suggestion(program: &Path, unit: Option<&str>) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let known = KNOWN.iter().find(|(known, ..)| *known == name);
    let shown = program.to_string_lossy();
    let test = match known {
        Some((_, test, _)) => quoted(&[&[&*shown], *test].concat()),
        None => format!("[{shown:?}, \"…what makes it test its configuration…\"]"),
    };
    let reload = match (unit, known) {
        (Some(unit), _) => quoted(&["/usr/bin/systemctl", "reload", unit]),
        (None, Some((.., reload))) if !reload.is_empty() => quoted(&[&[&*shown], *reload].concat()),
        (None, _) => "[\"…the program that makes it reload…\"]".to_owned(),
    };
    format!("web-server = {{ test = {test}, reload = {reload} }}")
}

/// Programs, how they test, and how they reload by themselves: nginx(8), caddy's and lighttpd's manual, haproxy(1).
const KNOWN: [(&str, &[&str], &[&str]); 4] = [
    ("nginx", &["-t"], &["-s", "reload"]),
    (
        "caddy",
        &["validate", "--config", "/etc/caddy/Caddyfile"],
        &["reload", "--config", "/etc/caddy/Caddyfile"],
    ),
    ("haproxy", &["-c", "-f", "/etc/haproxy/haproxy.cfg"], &[]),
    ("lighttpd", &["-tt", "-f", "/etc/lighttpd/lighttpd.conf"], &[]),
];

/// Whether `service` is the program's own, by its name.
pub fn is_its_own(service: &str, program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == service)
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn what_is_to_be_written_is_what_the_configuration_takes() {
        let nginx = Path::new("/usr/sbin/nginx");
        let line = suggestion(nginx, Some("nginx"));
        assert_eq!(
            line,
            r#"web-server = { test = ["/usr/sbin/nginx", "-t"], reload = ["/usr/bin/systemctl", "reload", "nginx"] }"#
        );
        for program in ["/usr/sbin/nginx", "/usr/bin/caddy", "/usr/sbin/haproxy", "/opt/x"] {
            let line = suggestion(Path::new(program), Some("x"));
            assert!(Settings::parse("f", &line).is_ok(), "{line}");
        }
        let container = suggestion(nginx, None);
        assert!(
            container.contains(r#"reload = ["/usr/sbin/nginx", "-s", "reload"]"#),
            "{container}"
        );
    }

    #[test]
    fn another_programs_service_is_not_its_own() {
        let program = Path::new("/usr/sbin/nginx");
        assert!(is_its_own("nginx", program));
        for other in ["", "docker", "nginx-exporter"] {
            assert!(!is_its_own(other, program), "{other}");
        }
    }
}
