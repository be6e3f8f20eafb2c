//! pure: what a person types to test, reload or start this very Apache: messages name what is there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The ways to handle one Apache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// Its own program, arguments included, as a line.
    program: String,
    /// Whether it has arguments that `control` does not know.
    is_special: bool,
    /// The package's `apache2ctl` or `apachectl`, if it is beside the program.
    control: Option<PathBuf>,
    /// systemd's unit for it.
    unit: Option<String>,
    /// The parent process; none: it does not run.
    pid: Option<i32>,
}

impl ByHand {
    /// A running one: `arguments` are its own, without what to do.
    pub fn running(
        program: &Path,
        arguments: &[OsString],
        control: Option<PathBuf>,
        unit: Option<String>,
        pid: i32,
    ) -> Self {
        let own = arguments.iter().filter(|a| a.as_bytes() != FOREGROUND);
        let words: Vec<_> = own.map(|a| a.to_string_lossy()).collect();
        let is_special = !words.is_empty();
        let program = [vec![program.to_string_lossy()], words].concat().join(" ");
        Self { program, is_special, control, unit, pid: Some(pid) }
    }

    /// One that does not run: what is installed.
    pub fn installed(program: &Path, control: Option<PathBuf>, has_systemd: bool) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // Every distribution calls the unit as it calls the program.
        let unit = has_systemd.then(|| name.into_owned());
        let program = program.to_string_lossy().into_owned();
        Self { program, is_special: false, control, unit, pid: None }
    }

    /// Tests its configuration.
    pub fn test(&self) -> String {
        self.controlled("configtest").unwrap_or_else(|| format!("{} -t", self.program))
    }

    /// Reloads it without losing a request.
    pub fn reload(&self) -> String {
        match (&self.unit, self.pid) {
            (Some(unit), _) => format!("systemctl reload {unit}"),
            // Right in a container too, and whatever its arguments are.
            (None, Some(pid)) => format!("kill -USR1 {pid}"),
            (None, None) => self.told("graceful"),
        }
    }

    /// Starts it.
    pub fn start(&self) -> String {
        match &self.unit {
            Some(unit) => format!("systemctl start {unit}"),
            None => self.told("start"),
        }
    }

    fn told(&self, verb: &str) -> String {
        self.controlled(verb).unwrap_or_else(|| format!("{} -k {verb}", self.program))
    }

    fn controlled(&self, verb: &str) -> Option<String> {
        let control = self.control.as_deref().filter(|_| !self.is_special)?;
        let known = control.parent().is_some_and(|d| IN_PATH.iter().any(|p| d == Path::new(p)));
        let name = if known { Path::new(control.file_name()?) } else { control };
        Some(format!("{} {verb}", name.display()))
    }
}

/// The programs that may stand beside `program` to control it: Debian's has the name of its server.
pub fn controls(program: &Path) -> Vec<PathBuf> {
    ["apache2ctl", "apachectl"].iter().map(|name| program.with_file_name(name)).collect()
}

/// Whether a service is an Apache's own, by its name.
///
/// What a terminal, cron or another service started is in theirs.
pub fn is_apaches(service: &str) -> bool {
    let is_plain = service.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@:".contains(&b));
    is_plain && ["apache", "httpd"].iter().any(|name| service.contains(name))
}

const FOREGROUND: &[u8] = b"-DFOREGROUND";

/// Where a shell finds a program by its name.
const IN_PATH: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

#[cfg(test)]
mod tests {
    use super::*;

    fn running(program: &str, arguments: &[&str], unit: Option<&str>) -> ByHand {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let program = Path::new(program);
        let control = controls(program).pop();
        ByHand::running(program, &arguments, control, unit.map(Into::into), 7)
    }

    fn ways(by_hand: &ByHand) -> [String; 3] {
        [by_hand.test(), by_hand.reload(), by_hand.start()]
    }

    #[test]
    fn each_apache_is_handled_its_own_way() {
        let fedora = running("/usr/sbin/httpd", &["-DFOREGROUND"], Some("httpd"));
        assert_eq!(
            ways(&fedora),
            ["apachectl configtest", "systemctl reload httpd", "systemctl start httpd"]
        );
        let container = running("/usr/local/apache2/bin/httpd", &["-DFOREGROUND"], None);
        assert_eq!(
            ways(&container),
            [
                "/usr/local/apache2/bin/apachectl configtest",
                "kill -USR1 7",
                "/usr/local/apache2/bin/apachectl start"
            ]
        );
        let own = running("/opt/web/bin/httpd", &["-d", "/srv/web", "-f", "my.conf"], None);
        assert_eq!(
            ways(&own),
            [
                "/opt/web/bin/httpd -d /srv/web -f my.conf -t",
                "kill -USR1 7",
                "/opt/web/bin/httpd -d /srv/web -f my.conf -k start"
            ]
        );
    }

    #[test]
    fn one_that_does_not_run_is_started_as_its_host_starts_it() {
        let program = Path::new("/usr/sbin/apache2");
        let control = || controls(program).into_iter().next();
        let systemd = ByHand::installed(program, control(), true);
        assert_eq!(systemd.start(), "systemctl start apache2");
        let container = ByHand::installed(program, control(), false);
        assert_eq!(container.start(), "apache2ctl start");
        assert_eq!(container.reload(), "apache2ctl graceful");
    }

    #[test]
    fn only_an_apaches_service_is_its_own() {
        for service in ["apache2", "httpd@web", "apache2@one"] {
            assert!(is_apaches(service), "{service}");
        }
        for other in ["cron", "", "apache2\\x20two"] {
            assert!(!is_apaches(other), "{other}");
        }
    }
}
