//! system: the service or login session that a process is in, by its control group.

use super::{Error, read};

/// The systemd service that it runs in, without `.service`; none where it is in a session, or where there is no systemd.
pub fn service(pid: i32) -> Result<Option<String>, Error> {
    let cgroup = read(pid, "cgroup", "find the service of")?;
    Ok(parse_service(&String::from_utf8_lossy(&cgroup)))
}

/// The user whose login session it is in, or whose own systemd started it.
pub fn session_user(pid: i32) -> Result<Option<u32>, Error> {
    let cgroup = read(pid, "cgroup", "find the session of")?;
    Ok(parse_session_user(&String::from_utf8_lossy(&cgroup)))
}

/// The service of a `/proc/PID/cgroup` (cgroups(7)).
fn parse_service(cgroup: &str) -> Option<String> {
    let service =
        |line: &str| Some(line.rsplit(['/', ':']).next()?.strip_suffix(".service")?.to_owned());
    systemds(cgroup).find_map(service)
}

/// Whose slice a `/proc/PID/cgroup` is in (systemd.special(7), `user.slice`).
fn parse_session_user(cgroup: &str) -> Option<u32> {
    let slice = |line: &str| {
        let (_, below) = line.split_once("/user.slice/user-")?;
        below.split_once(".slice")?.0.parse().ok()
    };
    systemds(cgroup).find_map(slice)
}

/// Where both hierarchies are mounted, only one of them is systemd's.
fn systemds(cgroup: &str) -> impl Iterator<Item = &str> {
    let is_systemds = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    cgroup.lines().filter(is_systemds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_by_systemds_hierarchy() {
        for (cgroup, service) in [
            ("0::/system.slice/apache2.service\n", Some("apache2")),
            ("0::/system.slice/system-httpd.slice/httpd@web.service\n", Some("httpd@web")),
            (
                "12:pids:/x.service\n1:name=systemd:/system.slice/httpd.service\n0::/\n",
                Some("httpd"),
            ),
            ("1:name=systemd:/\n0::/system.slice/apache2.service\n", Some("apache2")),
            ("0::/user.slice/session-3.scope\n", None),
            ("0::/\n", None),
        ] {
            assert_eq!(parse_service(cgroup).as_deref(), service, "{cgroup}");
        }
    }

    #[test]
    fn a_session_is_told_by_its_users_slice() {
        for (cgroup, user) in [
            ("0::/user.slice/user-999.slice/session-3.scope\n", Some(999)),
            ("0::/user.slice/user-0.slice/session-c1.scope\n", Some(0)),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", Some(1000)),
            (
                "9:pids:/user.slice/user-7.slice\n1:name=systemd:/user.slice/user-8.slice/session-1.scope\n0::/\n",
                Some(8),
            ),
            ("0::/system.slice/user-999.slice/x.scope\n", None),
            ("0::/system.slice/certbaton-agent-41-7.scope\n", None),
            ("0::/\n", None),
        ] {
            assert_eq!(parse_session_user(cgroup), user, "{cgroup}");
        }
    }
}
