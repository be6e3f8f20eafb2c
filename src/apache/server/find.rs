//! system: which process is the Apache of this host.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, Server};
use crate::apache::by_hand::{ByHand, controls, is_apaches};
use crate::apache::dump::Reading;
use crate::apache::foreign::{is_its_own, suggestion};
use crate::base::files;
use crate::base::names::HTTP_PORT;
use crate::base::process::{self, Process};
use crate::base::sockets;

/// What tells the Apache that [`find`] finds from others, also after a restart: program,
/// arguments, working directory. None where there is none.
pub fn identity(pid_file: Option<&Path>) -> Option<Vec<u8>> {
    let process = found(pid_file).ok()?;
    let program = without_deleted(&process::executable(process.pid).ok()?);
    let mut parts = vec![program.into_os_string()];
    parts.push(process::working_directory(process.pid).ok()?.into_os_string());
    parts.extend(process::argv(process.pid).ok()?);
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Some(parts.join(&0))
}

/// Finds the Apache that `pid_file` names, or the only one that runs here.
pub fn find(pid_file: Option<&Path>) -> Result<Server, Error> {
    Server::open(found(pid_file)?)
}

fn found(pid_file: Option<&Path>) -> Result<Process, Error> {
    // Without /proc all seem to be gone.
    process::own()?;
    match pid_file {
        Some(path) => match named(path) {
            // Its file may be gone while it runs, and answers.
            Err(absent @ Error::NotRunning { .. }) => unnamed(path).ok_or(absent),
            found => found,
        },
        None => Ok(process::identify(only_pid()?)?),
    }
}

/// The process that the pid file names. Its number may be anybody's by now, who could call his
/// program like a server and have root run it with arguments of his.
fn named(path: &Path) -> Result<Process, Error> {
    let text = match files::read_trusted(path) {
        Err(error) if error.is_missing() => {
            return Err(not_running(format!(" (no pid file {})", path.display())));
        }
        text => text?,
    };
    let pid = String::from_utf8_lossy(&text).trim().parse().unwrap_or(0);
    let wrong = |what: String| Error::NotApache { path: path.to_owned(), pid, what };
    // First who it is, so that nobody else is opened after these looks.
    let looked_at = process::identify(pid).and_then(|process| {
        let program = process::executable(pid)?;
        Ok((process, program, process::is_roots(pid)?))
    });
    let (process, program, is_roots) = match looked_at {
        Ok(found) => found,
        Err(process::Error::Gone(_)) => {
            return Err(not_running(format!(" (stale pid file {})", path.display())));
        }
        Err(error) => return Err(error.into()),
    };
    if !is_apache(&program) {
        return Err(wrong(program.display().to_string()));
    }
    if !is_roots {
        return Err(wrong(format!("{} of another user than root", program.display())));
    }
    if !is_at_home(pid)? {
        return Err(wrong(format!("{} of a container", program.display())));
    }
    Ok(process)
}

/// The Apache whose the pid file `path` is, which somebody removed, or which has another's number:
/// it was started with that name (Debian's envvars), or is the only one, and says so.
fn unnamed(path: &Path) -> Option<Process> {
    let parents = parents().ok()?;
    let variable = [b"APACHE_PID_FILE=", path.as_os_str().as_bytes()].concat();
    let is_started_so = |pid: &&i32| {
        let environment = process::environment(**pid).unwrap_or_default();
        environment.iter().any(|item| item.as_bytes() == variable)
    };
    if let Some(pid) = parents.iter().find(is_started_so) {
        return process::identify(*pid).ok();
    }
    let [pid] = parents[..] else { return None };
    let process = process::identify(pid).ok()?;
    let mut reading = Reading::default();
    let server = Server::open(process).ok()?;
    server.inquirer().dump(&[], &mut |part| reading.push(part)).ok()?;
    (Path::new(&reading.finish().ok()?.pid_file) == path).then_some(process)
}

/// Whether a process has our processes, our users and our files; its `/tmp` may be its own
/// (`PrivateTmp=` of systemd.exec(5)).
fn is_at_home(pid: i32) -> Result<bool, Error> {
    Ok(shares(pid, "pid")?
        && shares(pid, "user")?
        && files::is_same(Path::new(&format!("/proc/{pid}/root")), Path::new("/"))?)
}

/// Whether a process is in our namespace of a `kind`.
fn shares(pid: i32, kind: &str) -> Result<bool, files::Error> {
    let of = |process: &str| files::link_target(Path::new(&format!("/proc/{process}/ns/{kind}")));
    Ok(of(&pid.to_string())? == of("self")?)
}

/// Servers of containers are visible from outside: only our own namespaces count. A
/// program that some user runs is no server of this host's either, whatever it is called.
fn parents() -> Result<Vec<i32>, Error> {
    let mut parents = Vec::new();
    for pid in process::all()? {
        let is_server = |pid| process::executable(pid).is_ok_and(|p| is_apache(&p));
        // What cannot be looked at is looked at below, or has ended.
        if !is_server(pid) || is_at_home(pid).is_ok_and(|is_at_home| !is_at_home) {
            continue;
        }
        match process::parent(pid) {
            Ok(Some(parent)) if is_server(parent.pid) => {}
            Ok(_) if matches!(process::is_roots(pid), Ok(false)) => {}
            Ok(_) => match process::argv(pid) {
                // Somebody else's configtest, or a question of ours.
                Ok(argv) if only_passes(&argv) => {}
                // It ends, or has just called execve(2): proc_pid_cmdline(5) shows nothing then.
                Ok(argv) if argv.is_empty() => {}
                Err(process::Error::Gone(_)) => {}
                _ => parents.push(pid),
            },
            Err(process::Error::Gone(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(parents)
}

fn only_pid() -> Result<i32, Error> {
    let parents = parents()?;
    match parents[..] {
        [] => Err(hidden()?.or_else(another).unwrap_or_else(|| not_running(String::new()))),
        [pid] => Ok(pid),
        _ => {
            let pids: Vec<String> = parents.iter().map(ToString::to_string).collect();
            Err(Error::Several(pids.join(", ")))
        }
    }
}

/// What is called as Apache is, and cannot be looked at: it is not known to be absent.
fn hidden() -> Result<Option<Error>, Error> {
    let looked_at = |pid| process::executable(pid).map(drop);
    let name = |pid| files::read_kernel(&format!("{pid}/comm")).unwrap_or_default();
    Ok(hidden_of(process::all()?, looked_at, name))
}

fn hidden_of(
    pids: Vec<i32>,
    looked_at: impl Fn(i32) -> Result<(), process::Error>,
    name: impl Fn(i32) -> Vec<u8>,
) -> Option<Error> {
    pids.into_iter().find_map(|pid| match looked_at(pid) {
        Err(source @ process::Error::Refused { .. }) => {
            let name = name(pid);
            let name = OsStr::from_bytes(name.strip_suffix(b"\n").unwrap_or(&name));
            is_apache(Path::new(name)).then_some(Error::Hidden { pid, source })
        }
        _ => None,
    })
}

/// Who answers on port 80 in Apache's place, and what to write for it.
fn another() -> Option<Error> {
    let Process { pid, .. } = sockets::holder(HTTP_PORT).ok()??;
    let program = without_deleted(&process::executable(pid).ok()?);
    let is_passed_on = PASSING_ON.iter().any(|name| program.ends_with(name));
    if is_passed_on || !shares(pid, "pid").ok()? {
        return Some(Error::Contained { pid, program });
    }
    let service = service(pid, |name| is_its_own(name, &program));
    Some(Error::Other { pid, suggestion: suggestion(&program, service.as_deref()), program })
}

fn not_running(why: String) -> Error {
    let known = ["/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/bin/httpd"].map(Path::new);
    let program = known.into_iter().find(|path| files::exists(path)).unwrap_or(known[0]);
    let has_systemd = files::exists(Path::new("/run/systemd/system"));
    let start = ByHand::installed(program, control(program), has_systemd).start();
    Error::NotRunning { why, start }
}

/// How `process` is handled by a person.
pub(super) fn by_hand(process: Process, program: &Path, arguments: &[OsString]) -> ByHand {
    let service = service(process.pid, is_apaches);
    ByHand::running(program, arguments, control(program), service, process.pid)
}

fn control(program: &Path) -> Option<PathBuf> {
    controls(program).into_iter().find(|path| files::exists(path))
}

fn service(pid: i32, is_own: impl FnOnce(&str) -> bool) -> Option<String> {
    process::service(pid).ok()?.filter(|name| is_own(name))
}

/// The kernel marks a program that an upgrade replaced.
pub(super) fn without_deleted(program: &Path) -> PathBuf {
    let bytes = program.as_os_str().as_bytes();
    OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)).into()
}

/// By the names that distributions give it: SUSE has one program for each MPM.
fn is_apache(program: &Path) -> bool {
    let program = without_deleted(program);
    let Some(name) = program.file_name().and_then(OsStr::to_str) else { return false };
    let of_an_mpm = || name.strip_prefix("httpd").is_some_and(|rest| MPMS.contains(&rest));
    matches!(name, "apache2" | "httpd") || of_an_mpm()
}

/// Whether a process with these arguments answers a question or gives an order, and ends (main.c, httpd(8)).
fn only_passes(argv: &[OsString]) -> bool {
    let mut rest = argv.iter().skip(1);
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.as_bytes().strip_prefix(b"-") else { continue };
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b't' | b'S' | b'M' | b'V' | b'v' | b'L' | b'l' | b'h' => return true,
                b'D' | b'd' | b'f' | b'C' | b'c' | b'e' | b'E' | b'k' => {
                    let glued = &letters[at + 1..];
                    let next = if glued.is_empty() { rest.next() } else { None };
                    let value = next.map_or(glued, |next| next.as_bytes());
                    if *letter == b'k' && value != b"start" {
                        return true;
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    false
}

const MPMS: [&str; 6] = ["-prefork", "-worker", "-event", ".prefork", ".worker", ".event"];

/// What listens for a container: Docker's and Podman's.
const PASSING_ON: [&str; 4] = ["docker-proxy", "rootlessport", "pasta", "slirp4netns"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_no_server() {
        let passes = |line: &str| {
            let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
            only_passes(&argv)
        };
        for server in [
            "apache2 -k start",
            "httpd -DFOREGROUND",
            "httpd -d /t -f /S -kstart",
            "httpd",
            "httpd -X -D t",
        ] {
            assert!(!passes(server), "{server}");
        }
        for other in [
            "apache2 -t",
            "httpd -d /x -C LoadModule -t -D DUMP_CONFIG",
            "httpd -tS",
            "httpd -k graceful",
            "httpd -kstop",
        ] {
            assert!(passes(other), "{other}");
        }
    }

    #[test]
    fn an_apache_that_cannot_be_looked_at_is_not_absent() {
        let refused = |pid| {
            let source = std::io::ErrorKind::PermissionDenied.into();
            Err(process::Error::Refused { action: "read", pid, source })
        };
        let of = |pid| if pid == 2 { refused(pid) } else { Err(process::Error::Gone(pid)) };
        let found = hidden_of(vec![1, 2], of, |_| b"apache2\n".to_vec()).unwrap();
        assert!(!found.is_absence(), "{found}");
        assert!(found.to_string().contains("process 2"), "{found}");
        assert!(hidden_of(vec![1, 2], of, |_| b"sshd\n".to_vec()).is_none());
        assert!(hidden_of(vec![1, 3], of, |_| b"apache2\n".to_vec()).is_none());
    }

    #[test]
    fn every_distributions_program_is_known() {
        for known in ["/usr/sbin/apache2", "/usr/sbin/httpd (deleted)", "/usr/sbin/httpd-prefork"] {
            assert!(is_apache(Path::new(known)), "{known}");
        }
        for other in ["/usr/sbin/nginx", "/usr/sbin/apache2ctl", "/usr/sbin/httpd-x", "/"] {
            assert!(!is_apache(Path::new(other)), "{other}");
        }
    }
}
