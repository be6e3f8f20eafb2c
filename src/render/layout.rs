//! pure: the challenge path at home: three layouts, and the lines of each.
//!
//! A rule for the challenge path comes first in its vhost: rules of mod_rewrite run before all
//! proxying, and none after `[END]` is looked at. A token is base64url (RFC 8555 §8.3) and nothing
//! else is passed on or given back: no path, no dot, no markup.

use crate::base::names::{CHALLENGE_DIRECTORY, CHALLENGE_PATH, Hostname, Thumbprint, Webroot};

/// Who answers the challenge path at home while no renewal of home's is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The VPS; a renewal of home's switches it.
    Switch,
    /// Home's own file if there is one, else the VPS.
    Fallthrough,
    /// Home's own file if there is one, else the words that the VPS's account would have there.
    Stateless(Thumbprint),
}

impl Layout {
    /// What to know about it, for whoever opens the file.
    fn remark(&self) -> &'static str {
        match self {
            Self::Switch => {
                "The VPS's challenges come to this host (AAAA). certbaton's hooks switch this line while certbot renews here."
            }
            Self::Fallthrough => {
                "A file of this host's certbot, else the VPS: both may renew at any time, and nothing is switched."
            }
            Self::Stateless(_) => {
                "A file of this host's certbot, else what the VPS's account would answer: the VPS renews even while it cannot be reached from here. Render it again when that account changes; certbaton check tells."
            }
        }
    }

    /// The lines of a vhost at home; `vps` is the other host.
    pub fn lines(&self, webroot: &Webroot, vps: &Hostname) -> Vec<String> {
        let mut lines = wrapped(self.remark());
        let passed = format!("http://{vps}{CHALLENGE_PATH}");
        if *self == Self::Switch {
            lines.push("ProxyPreserveHost On".into());
            lines.push(format!("ProxyPass \"{CHALLENGE_PATH}\" \"{passed}\""));
            return lines;
        }
        let pattern = "\"^/\\.well-known/acme-challenge/([A-Za-z0-9_-]+)$\"";
        let file = format!("\"{webroot}/{CHALLENGE_DIRECTORY}/$1\"");
        lines.push(format!("RewriteCond {file} -f"));
        lines.push(format!("RewriteRule {pattern} {file} [END]"));
        if let Self::Stateless(thumbprint) = self {
            lines.push(format!("RewriteRule {pattern} - [E=CHALLENGE:$1,R=200,L]"));
            lines.push(format!("ErrorDocument 200 \"%{{reqenv:CHALLENGE}}.{thumbprint}\""));
        } else {
            lines.push("ProxyPreserveHost On".into());
            lines.push(format!("RewriteRule {pattern} \"{passed}$1\" [P,END]"));
        }
        lines
    }
}

/// A comment of lines that are not too long.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines
}
