//! pure: how another host is reached: OpenSSH's client with our own configuration, and nothing of the caller's habits.

use std::path::Path;

use super::Program;
use crate::base::names::Destination;

/// ssh to `destination`, where the forced command of our key says what runs.
pub fn client(config: &Path, destination: &Destination) -> Program {
    let mut arguments = vec!["-F".into(), config.into(), "-T".into()];
    for option in OPTIONS {
        arguments.extend(["-o".into(), option.into()]);
    }
    arguments.extend(["--".into(), destination.as_str().into()]);
    Program::plain(CLIENT.into(), arguments)
}

/// The configuration that `program` follows, if it is such a client.
pub fn configuration(program: &Program) -> Option<&Path> {
    let mut arguments = program.arguments.iter();
    let is_ours = program.path == Path::new(CLIENT) && arguments.next().is_some_and(|a| a == "-F");
    is_ours.then(|| arguments.next().map(Path::new)).flatten()
}

/// The program.
pub const CLIENT: &str = "/usr/bin/ssh";

/// Over whatever the configuration file says: ssh takes the first value it gets (ssh_config(5)).
const OPTIONS: [&str; 11] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "StrictHostKeyChecking=yes",
    "PasswordAuthentication=no",
    "PermitLocalCommand=no",
];

/// Why ssh did not get through, where its words tell. Nobody has to read more out of them than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// sshd takes no key of ours.
    Key,
    /// It has another host key than the one that is pinned, or none is.
    HostKey,
    /// ssh refuses its own files.
    Files,
    /// sshd hung up before it said who it is.
    Early,
}

impl Bar {
    /// By what ssh said on standard error.
    pub fn of(said: &str) -> Option<Self> {
        // sshconnect2.c:userauth, sshconnect.c:verify_host_key, readconf.c, kex.c:kex_exchange_identification
        let known = [
            (Self::HostKey, "Host key verification failed"),
            (Self::HostKey, "REMOTE HOST IDENTIFICATION HAS CHANGED"),
            (Self::Files, "Bad owner or permissions on"),
            (Self::Files, "Bad configuration option"),
            (Self::Files, "terminating, "),
            (Self::Key, "Permission denied ("),
            (Self::Key, "Too many authentication failures"),
            (Self::Early, "kex_exchange_identification"),
            (Self::Early, "Connection closed by remote host"),
        ];
        known.into_iter().find(|(_, part)| said.contains(part)).map(|(bar, _)| bar)
    }

    /// Whether the next try meets it as well; sshd keeps who tries too often out
    /// altogether (PerSourcePenalties, `sshd_config(5)`).
    pub fn is_lasting(self) -> bool {
        self != Self::Early
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Key => {
                "this host's key is not in authorized_keys there, or sshd there keeps its user out (AllowUsers); certbaton init here prints the line to paste there, and that says which"
            }
            Self::HostKey => {
                "the host key is not the one in /etc/certbaton/known_hosts: the host was set up anew, or there is a man in the middle; compare, then certbaton init --host-key SHA256:…"
            }
            Self::Files => "certbaton init puts its own files for ssh in order",
            Self::Early => {
                "sshd there hung up before it said who it is: it keeps this host out for a while after failed logins (PerSourcePenalties), or has too many connections (MaxStartups)"
            }
        }
    }
}

/// What ssh said, and what that means.
pub fn explained(said: &str) -> String {
    let Some(bar) = Bar::of(said) else { return said.to_owned() };
    // ssh draws a box around it, with a remedy for files that are not ours.
    let last = said.rsplit("; ").find(|line| Bar::of(line) == Some(bar)).unwrap_or(said);
    let said = if bar == Bar::HostKey { last.trim() } else { said };
    format!("{said}: {}", bar.remedy())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSH 9.2 and 10.0 say it.
    #[test]
    fn what_ssh_says_tells_what_bars_the_way() {
        for (said, bar) in [
            ("certbaton@vps: Permission denied (publickey).", Some(Bar::Key)),
            (
                "Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures",
                Some(Bar::Key),
            ),
            (
                "No ED25519 host key is known for vps and you have requested strict checking.; Host key verification failed.",
                Some(Bar::HostKey),
            ),
            ("Bad owner or permissions on /etc/certbaton/ssh_config", Some(Bar::Files)),
            (
                "/f: line 3: Bad configuration option: x; /f: terminating, 1 bad configuration options",
                Some(Bar::Files),
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer; Connection reset by 192.0.2.1 port 22",
                Some(Bar::Early),
            ),
            ("kex_exchange_identification: Connection closed by remote host", Some(Bar::Early)),
            ("ssh: connect to host vps port 22: Connection refused", None),
            ("ssh: Could not resolve hostname vps: Name or service not known", None),
            ("certbaton: only root may do this", None),
        ] {
            assert_eq!(Bar::of(said), bar, "{said}");
            assert_eq!(explained(said) == said, bar.is_none());
        }
        let frame = "@".repeat(59);
        let changed = format!(
            "{frame}; @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @; {frame}; IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!; Offending ED25519 key in /etc/certbaton/known_hosts:1;   remove with:;   ssh-keygen -f \"/etc/certbaton/known_hosts\" -R \"vps\"; Host key for vps has changed and you have requested strict checking.; Host key verification failed."
        );
        let told = explained(&changed);
        assert!(told.starts_with("Host key verification failed.: the host key is not"), "{told}");
        assert!(!told.contains('@') && !told.contains("ssh-keygen"), "{told}");
        assert!([Bar::Key, Bar::HostKey, Bar::Files].into_iter().all(Bar::is_lasting));
        assert!(!Bar::Early.is_lasting());
    }
}
