//! pure: whom this host lets in: by sshd's own account of its settings (`sshd -T`), by the lines of keys, by sudo.

use std::path::Path;

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::HostLabel;

/// What is seen where other hosts call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// What keeps all of them out, although their keys are in place.
    pub kept_out: Option<String>,
    /// The program that makes a coordinator's order root's is missing.
    pub lacks_sudo: bool,
    /// Who may call and is no `[[host]]`, each with its line.
    pub strangers: Vec<(String, HostLabel)>,
}

/// What is wrong about it.
pub fn findings(door: &Admission) -> Vec<Finding> {
    let Admission { kept_out, lacks_sudo, strangers } = door;
    let mut found = Vec::new();
    found.extend(kept_out.as_ref().map(|why| {
        Finding::new(
            Code::KeptOut,
            Some("sshd".into()),
            format!("sshd does not let the user certbaton in, as whom other hosts call: {why}"),
            "let it in in /etc/ssh/sshd_config (add certbaton to AllowUsers, say), then systemctl reload ssh",
        )
    }));
    found.extend(lacks_sudo.then(|| {
        Finding::new(
            Code::NoSudo,
            Some("/usr/bin/sudo".into()),
            "sudo is not there, so no other host can look at this one or renew here",
            "apt install sudo, then certbaton install",
        )
    }));
    found.extend(strangers.iter().map(|(place, name)| {
        Finding::new(
            Code::StrangerKey,
            Some(place.clone()),
            format!("this key may take the lease and order renewals as {name}, which is no other [[host]] of the configuration"),
            format!("delete the line if {name} is gone, else add its [[host]]"),
        )
    }));
    found
}

/// Whom a line of authorized_keys lets in as a host, by its forced command.
pub fn called(line: &str) -> Option<HostLabel> {
    let is_comment = line.trim_start().starts_with('#');
    let (_, rest) = line.split_once(" serve --as ").filter(|_| !is_comment)?;
    HostLabel::parse(rest.split([' ', '"']).next()?)
}

/// Who may call by the lines of `file`, `text`, and is none of `hosts`.
pub fn strangers(file: &Path, text: &str, hosts: &[&HostLabel]) -> Vec<(String, HostLabel)> {
    let called = text.lines().zip(1..).filter_map(|(line, at)| Some((called(line)?, at)));
    let others = called.filter(|(name, _)| !hosts.contains(&name));
    others.map(|(name, at)| (format!("{}:{at}", file.display()), name)).collect()
}

/// Who wants to come in.
#[derive(Debug, Clone, Copy)]
pub struct LoginUser<'a> {
    /// The user.
    pub user: &'a str,
    /// Its groups.
    pub groups: &'a [String],
    /// Its home directory, where the key's line is in `.ssh/authorized_keys`.
    pub home: &'a Path,
}

/// What keeps `caller` out, as `sshd_config(5)` has it; what cannot be told from here does not.
pub fn refusal(settings: &str, caller: LoginUser<'_>) -> Option<String> {
    let of = |key: &str| {
        let lines = settings.lines().filter_map(|line| line.split_once(' '));
        let values = lines.filter(|(name, _)| name.eq_ignore_ascii_case(key));
        values.flat_map(|(_, value)| value.split_ascii_whitespace()).collect::<Vec<&str>>()
    };
    let user = |pattern: &&str| is_user(pattern, caller.user);
    let group = |pattern: &&str| caller.groups.iter().any(|group| is_like(pattern, group));
    let denied = |key: &str, is_it: &dyn Fn(&&str) -> bool| {
        let found = of(key).into_iter().find(|pattern| is_it(pattern));
        found.map(|pattern| format!("{key} has {pattern}"))
    };
    let left_out = |key: &str, is_it: &dyn Fn(&&str) -> bool| {
        let allowed = of(key);
        let is_out = !allowed.is_empty() && !allowed.iter().any(is_it);
        is_out.then(|| format!("{key} is {}", allowed.join(" ")))
    };
    let pubkey = of("PubkeyAuthentication").contains(&"no");
    let files = of("AuthorizedKeysFile");
    let is_ours = |file: &&str| {
        let file = file.replace("%h", &caller.home.to_string_lossy()).replace("%u", caller.user);
        caller.home.join(file) == caller.home.join(".ssh/authorized_keys")
    };
    denied("DenyUsers", &user)
        .or_else(|| left_out("AllowUsers", &user))
        .or_else(|| denied("DenyGroups", &group))
        .or_else(|| left_out("AllowGroups", &group))
        .or_else(|| pubkey.then(|| "PubkeyAuthentication is no".to_owned()))
        .or_else(|| {
            let is_elsewhere = !files.is_empty() && !files.iter().any(is_ours);
            is_elsewhere.then(|| format!("AuthorizedKeysFile is {}", files.join(" ")))
        })
}

/// `USER@HOST` counts as `USER`: where from, only the call tells.
fn is_user(pattern: &str, user: &str) -> bool {
    is_like(pattern.split('@').next().unwrap_or(pattern), user)
}

/// `*` and `?` of PATTERNS in `ssh_config(5)`; a negated one matches nobody.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            name.char_indices().any(|(at, _)| is_like(rest, &name[at..])) || is_like(rest, "")
        }
        Some(first) => {
            let mut rest = name.chars();
            rest.next().is_some_and(|c| first == '?' || first == c)
                && is_like(characters.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(settings: &str) -> Option<String> {
        let groups = ["certbaton".to_owned()];
        let home = Path::new("/var/lib/certbaton-ssh");
        refusal(settings, LoginUser { user: "certbaton", groups: &groups, home })
    }

    #[test]
    fn whom_a_host_lets_in_that_is_none_is_told_by_its_line() {
        let label = |name| HostLabel::parse(name).unwrap();
        let line = |name: &str| {
            format!(
                "restrict,command=\"/usr/bin/certbaton serve --as {name} --renew\" ssh-ed25519 AAAA {name}\n"
            )
        };
        let text =
            format!("# {}{}ssh-rsa AAAA me\n{}", line("third"), line("home"), line("oldhome"));
        let (home, third) = (label("home"), label("third"));
        let seen = strangers(Path::new("/k"), &text, &[&home, &third]);
        assert_eq!(seen, [("/k:4".to_owned(), label("oldhome"))]);
        let kept_out = Some("AllowUsers is root".to_owned());
        let door = Admission { kept_out, lacks_sudo: true, strangers: seen };
        let codes: Vec<Code> = findings(&door).into_iter().map(|found| found.code).collect();
        assert_eq!(codes, [Code::KeptOut, Code::NoSudo, Code::StrangerKey]);
        assert_eq!(findings(&Admission::default()), []);
    }

    /// As `sshd -T` of OpenSSH 9.2 prints it.
    #[test]
    fn what_keeps_the_user_out_is_named() {
        let usual = "port 22\npubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\n";
        assert_eq!(said(usual), None);
        for (line, told) in [
            ("allowusers root\nallowusers alice", "AllowUsers is root alice"),
            ("denyusers cert*", "DenyUsers has cert*"),
            ("allowgroups ssh-users", "AllowGroups is ssh-users"),
            ("denygroups certbaton", "DenyGroups has certbaton"),
            ("pubkeyauthentication no", "PubkeyAuthentication is no"),
            ("authorizedkeysfile /etc/ssh/keys/%u", "AuthorizedKeysFile is /etc/ssh/keys/%u"),
        ] {
            assert_eq!(said(&format!("{line}\n")).as_deref(), Some(told));
        }
        for line in [
            "allowusers root\nallowusers certbaton",
            "allowusers certbaton@192.0.2.*",
            "allowusers *",
            "denyusers certbat",
            "allowgroups certbato?",
            "authorizedkeysfile %h/.ssh/authorized_keys",
        ] {
            assert_eq!(said(&format!("{line}\n")), None, "{line}");
        }
    }
}
