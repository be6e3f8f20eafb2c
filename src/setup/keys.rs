//! pure: public keys of ssh, and the lines that hold them: authorized_keys, known_hosts (sshd(8)).

use std::fmt;

use openssl::base64;
use openssl::sha::sha256;

use crate::base::names::HostLabel;
use crate::check::admission::called;

/// A public key: its type and its blob, checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: String,
    blob: String,
    bytes: Vec<u8>,
}

/// A key that a host may call with, and what the host is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerKey {
    /// The key; ed25519.
    pub key: PublicKey,
    /// Its comment.
    pub name: HostLabel,
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl PublicKey {
    /// Checks a type and a base64 blob that begins with the type (RFC 4253 §6.6).
    pub fn parse(kind: &str, blob: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        if !KINDS.contains(&kind) || !blob.chars().all(plain) {
            return None;
        }
        let bytes = base64::decode_block(blob).ok().filter(|_| blob.len().is_multiple_of(4))?;
        let padding = blob.bytes().rev().take_while(|b| *b == b'=').count();
        let bytes = bytes[..bytes.len().checked_sub(padding)?].to_vec();
        let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
        let named = bytes.get(4..4 + usize::try_from(length).ok()?)?;
        let is_whole = kind != ED25519 || bytes.len() == 4 + ED25519.len() + 4 + 32;
        let good = named == kind.as_bytes() && is_whole;
        good.then(|| Self { kind: kind.to_owned(), blob: blob.to_owned(), bytes })
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = base64::encode_block(&sha256(&self.bytes));
        Fingerprint(format!("SHA256:{}", hash.trim_end_matches('=')))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.blob)
    }
}

impl CallerKey {
    /// Checks the one line of a `.pub` file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let key = match words[..] {
            [ED25519, blob, name] if !text.trim_end().contains(['\n', '\r']) => {
                PublicKey::parse(ED25519, blob).zip(HostLabel::parse(name))
            }
            _ => None,
        };
        let (key, name) = key.ok_or_else(|| {
            format!("not the line of a key, `ssh-ed25519 AAAA… NAME-OF-THE-HOST`: {text:?}")
        })?;
        Ok(Self { key, name })
    }
}

impl fmt::Display for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.name)
    }
}

impl Fingerprint {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
        let hash = text.strip_prefix("SHA256:").map(|hash| hash.trim_end_matches('='));
        match hash.filter(|hash| hash.len() == 43 && hash.chars().all(plain)) {
            Some(hash) => Ok(Self(format!("SHA256:{hash}"))),
            None => {
                Err(format!("not a fingerprint as ssh-keygen -l prints it, SHA256:…: {text:?}"))
            }
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What ssh calls `host` in known_hosts.
pub fn host_pattern(host: &str, port: u16) -> String {
    if port == SSH_PORT { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// The keys in lines as known_hosts and ssh-keyscan have them, the best first; what is none is passed over.
pub fn host_keys(text: &str) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = text
        .lines()
        .filter(|line| !line.starts_with(['#', '@']))
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            PublicKey::parse(words.next()?, words.next()?)
        })
        .collect();
    keys.sort_by_key(|key| KINDS.iter().position(|kind| *kind == key.kind));
    keys.dedup();
    keys
}

/// known_hosts with `keys`, and no others, for the host that `pattern` names.
pub fn known_hosts(text: &str, pattern: &str, keys: &[PublicKey]) -> String {
    let mine = |line: &str| line.split_ascii_whitespace().next() == Some(pattern);
    let mut lines: Vec<String> =
        text.lines().filter(|line| !mine(line)).map(str::to_owned).collect();
    lines.extend(keys.iter().map(|key| format!("{pattern} {key}")));
    // One that has all of them already stays as it is, byte for byte.
    let now: Vec<&str> = text.lines().filter(|line| mine(line)).collect();
    let wanted: Vec<String> = keys.iter().map(|key| format!("{pattern} {key}")).collect();
    if now == wanted { text.to_owned() } else { lines.join("\n") + "\n" }
}

/// The keys that known_hosts has for the host that `pattern` names.
pub fn pinned(text: &str, pattern: &str) -> Vec<PublicKey> {
    let mine = |line: &&str| line.split_ascii_whitespace().next() == Some(pattern);
    host_keys(&text.lines().filter(mine).collect::<Vec<_>>().join("\n"))
}

/// The line by which `caller` may ask this host's arbiter and agent, and nothing else.
pub fn caller_line(caller: &CallerKey, certbaton: &str) -> String {
    format!("restrict,command=\"{certbaton} serve --as {} --renew\" {caller}", caller.name)
}

/// authorized_keys without the lines of `gone`; it stays as it is, byte for byte, if it has none.
pub fn without(text: &str, gone: &[HostLabel]) -> String {
    let stays = |line: &&str| called(line).is_none_or(|name| !gone.contains(&name));
    text.split_inclusive('\n').filter(stays).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// authorized_keys with that line, in place of another one that calls itself the same or has the same key.
pub fn authorized_keys(text: &str, caller: &CallerKey, certbaton: &str) -> String {
    let line = caller_line(caller, certbaton);
    let key = caller.key.to_string();
    let is_older = |old: &str| {
        called(old).as_ref() == Some(&caller.name) || !is_comment(old) && old.contains(&key)
    };
    let mut lines: Vec<&str> = Vec::new();
    let mut placed = false;
    for old in text.lines() {
        if !is_older(old) {
            lines.push(old);
        } else if !placed {
            lines.push(&line);
            placed = true;
        }
    }
    if !placed {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

const ED25519: &str = "ssh-ed25519";

/// Types of host keys, the preferred first.
const KINDS: [&str; 5] =
    [ED25519, "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// Where sshd listens.
pub const SSH_PORT: u16 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's, with the fingerprint that it publishes.
    const BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const PRINT: &str = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn caller(name: &str, blob: &str) -> CallerKey {
        CallerKey::parse(&format!("ssh-ed25519 {blob} {name}\n")).unwrap()
    }

    #[test]
    fn a_fingerprint_is_that_of_ssh_keygen() {
        let key = PublicKey::parse("ssh-ed25519", BLOB).unwrap();
        assert_eq!(key.fingerprint(), Fingerprint::parse(PRINT).unwrap());
        assert_eq!(Fingerprint::parse(&format!("{PRINT}=")), Fingerprint::parse(PRINT));
        for bad in ["", "SHA256:", "MD5:00", "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCO\"U"]
        {
            assert!(Fingerprint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_could_be_more_than_a_key_is_refused() {
        for bad in [
            format!("ssh-ed25519 {BLOB}"),
            format!("ssh-rsa {BLOB} home"),
            format!("ssh-ed25519 {BLOB} home more"),
            format!("command=\"x\" ssh-ed25519 {BLOB} home"),
            format!("ssh-ed25519 {BLOB} -home"),
            format!("ssh-ed25519 {BLOB} a\"b"),
            format!("ssh-ed25519 {BLOB} home\nssh-ed25519 {BLOB} x"),
            format!("ssh-ed25519\n{BLOB} home"),
            format!("ssh-ed25519 {}= home", &BLOB[..67]),
            format!("ssh-ed25519 {BLOB}AAAA home"),
            "ssh-ed25519 AAAA home".to_owned(),
            "ssh-ed25519 !!!! home".to_owned(),
        ] {
            assert!(CallerKey::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_caller_has_one_line_and_others_keep_theirs() {
        let (home, program) = (caller("home", BLOB), "/usr/bin/certbaton");
        let line = caller_line(&home, program);
        assert_eq!(authorized_keys("", &home, program), format!("{line}\n"));
        let text = authorized_keys("# serve --as home\nssh-rsa AAAA me\n", &home, program);
        assert_eq!(text, format!("# serve --as home\nssh-rsa AAAA me\n{line}\n"));
        assert_eq!(authorized_keys(&text, &home, program), text, "again");
        let third = authorized_keys(&text, &caller("homer", OTHER), program);
        assert!(third.starts_with(&text) && third.lines().count() == 4);
        let renewed = authorized_keys(&third, &caller("home", BLOB), "/usr/local/bin/certbaton");
        assert_eq!(renewed.lines().count(), 4);
        assert!(renewed.contains("\"/usr/local/bin/certbaton serve --as home --renew\""));
    }

    #[test]
    fn a_host_that_is_gone_takes_its_line_along() {
        let label = |name| HostLabel::parse(name).unwrap();
        let program = "/usr/bin/certbaton";
        let text = authorized_keys("# serve --as home x\r\n", &caller("homer", OTHER), program);
        let both = authorized_keys(&text, &caller("home", BLOB), program);
        assert_eq!(
            both.lines().filter_map(called).collect::<Vec<_>>(),
            [label("homer"), label("home")]
        );
        assert_eq!(without(&both, &[label("home"), label("x")]), text);
        assert_eq!(without(&both, &[label("hom")]), both);
    }

    #[test]
    fn a_host_is_known_by_the_given_keys_alone() {
        let keys = host_keys(&format!("# x\nh ssh-rsa AAAA\nvps ssh-ed25519 {BLOB} c\njunk\n"));
        assert_eq!(keys.len(), 1, "an RSA key that is none");
        let text = known_hosts("other ssh-ed25519 AAAA\nvps ssh-ed25519 BBBB\n", "vps", &keys);
        assert_eq!(text, format!("other ssh-ed25519 AAAA\nvps ssh-ed25519 {BLOB}\n"));
        assert_eq!(known_hosts(&text, "vps", &keys), text);
        assert_eq!(pinned(&text, "vps"), keys);
        assert_eq!(pinned(&text, "v"), []);
        assert_eq!(host_pattern("vps", 22), "vps");
        assert_eq!(host_pattern("2001:db8::1", 2222), "[2001:db8::1]:2222");
    }
}
