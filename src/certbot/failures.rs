//! pure: what certbot says of what failed, in the CA's own sentences.
//!
//! `auth_handler.py:_generate_failed_chall_msg` prints a block for each challenge, on the terminal
//! and in the log; `renewal.py` then names the lineage, with an ACME error's own text where the CA
//! refused before any challenge (`messages.py:Error.__str__`: type, description, detail).

use std::collections::BTreeMap;

use crate::base::harmless;

/// Collected line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// Of challenges that no lineage was named for yet: the name, and the CA's sentence.
    challenges: Vec<(String, String)>,
    lineages: BTreeMap<String, String>,
}

impl Failures {
    /// All of a text.
    pub fn of_text(text: &str) -> Self {
        let mut found = Self::default();
        text.lines().for_each(|line| found.line(line));
        found
    }

    /// Takes in a line of certbot's output, or of its log.
    pub fn line(&mut self, line: &str) {
        let value = |keys: &[&str]| {
            let line = line.trim_start();
            keys.iter().find_map(|key| line.strip_prefix(key)).map(str::trim)
        };
        // `Identifier` since certbot 5.
        if let Some(name) = value(&["Domain: ", "Identifier: "]) {
            self.challenges.push((name.to_owned(), String::new()));
        } else if let Some(detail) = value(&["Detail: "]) {
            if let Some((_, told)) = self.challenges.last_mut().filter(|(_, d)| d.is_empty()) {
                *told = bounded(detail);
            }
        } else if let Some((_, rest)) = line.split_once(FAILED)
            && let Some((lineage, error)) = rest.split_once(" with error: ")
        {
            let why = self.told().unwrap_or_else(|| bounded(&sentence(error)));
            self.lineages.insert(lineage.to_owned(), why);
        }
    }

    /// Why `lineage` was not renewed.
    pub fn of(&self, lineage: &str) -> Option<&str> {
        self.lineages.get(lineage).map(String::as_str)
    }

    /// Each lineage that was not renewed, and why; what no lineage was named for is of its first name.
    pub fn all(mut self) -> BTreeMap<String, String> {
        if let Some((name, why)) =
            self.challenges.first().map(|(name, _)| name.clone()).zip(self.told())
        {
            self.lineages.insert(name, why);
        }
        self.lineages
    }

    /// The sentences about the challenges that were told last, each once.
    fn told(&mut self) -> Option<String> {
        let mut sentences: Vec<(String, Vec<String>)> = Vec::new();
        for (name, detail) in self.challenges.drain(..).filter(|(_, detail)| !detail.is_empty()) {
            match sentences.iter_mut().find(|(known, _)| *known == detail) {
                Some((_, names)) => names.push(name),
                None => sentences.push((detail, vec![name])),
            }
        }
        let more = sentences.len().saturating_sub(SHOWN);
        let told = sentences.into_iter().take(SHOWN);
        let mut parts: Vec<String> =
            told.map(|(detail, names)| format!("{}: {detail}", names.join(" "))).collect();
        if more > 0 {
            parts.push(format!("and {more} more, in certbot's log"));
        }
        (!parts.is_empty()).then(|| bounded(&parts.join("; ")))
    }
}

/// The detail of `urn:ietf:params:acme:error:TYPE :: DESCRIPTION :: DETAIL`, else the whole.
fn sentence(error: &str) -> String {
    match error.split(" :: ").collect::<Vec<_>>()[..] {
        [kind, _, ref detail @ ..]
            if kind.contains("urn:ietf:params:acme:error:") && !detail.is_empty() =>
        {
            detail.join(": ")
        }
        _ => error.to_owned(),
    }
}

fn bounded(text: &str) -> String {
    harmless::line(text.trim(), LONGEST)
}

/// What certbot says before a lineage's name.
const FAILED: &str = "Failed to renew certificate ";

/// Sentences about one lineage.
const SHOWN: usize = 3;

/// Characters of what is said about one lineage.
const LONGEST: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    /// As certbot 2.1 prints it, for two names of which the CA says the same.
    const PRINTED: &str = "\
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: git.example.org
  Type:   unauthorized
  Detail: 203.0.113.5: Invalid response from http://git.example.org/.well-known/acme-challenge/x: 404

  Domain: www.git.example.org
  Type:   unauthorized
  Detail: 203.0.113.5: Invalid response from http://git.example.org/.well-known/acme-challenge/x: 404

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Failed to renew certificate git with error: Some challenges have failed.
Failed to renew certificate wiki with error: urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type :: too many certificates (5) already issued
Failed to renew certificate mail with error: Could not bind to IPv4 or IPv6.
";

    #[test]
    fn the_cas_own_sentence_is_told_of_each_lineage_once() {
        let found = Failures::of_text(PRINTED);
        let same = "git.example.org www.git.example.org: 203.0.113.5: Invalid response from http://git.example.org/.well-known/acme-challenge/x: 404";
        assert_eq!(found.of("git"), Some(same));
        assert_eq!(found.of("wiki"), Some("too many certificates (5) already issued"));
        assert_eq!(found.of("mail"), Some("Could not bind to IPv4 or IPv6."));
        assert_eq!(found.all().len(), 3);
    }

    #[test]
    fn the_log_says_the_same_and_certbot_5_calls_names_otherwise() {
        let log = "2026-11-28 11:00:00,000:DEBUG:certbot._internal.display.obj:Notifying user: \n\
                   Certbot failed to authenticate some domains:\n  Identifier: a.example\n  Type:   dns\n  \
                   Detail: no such host\n\n\
                   2026-11-28 11:00:00,001:ERROR:certbot._internal.renewal:Failed to renew certificate a with error: Some challenges have failed.\n";
        assert_eq!(Failures::of_text(log).of("a"), Some("a.example: no such host"));
    }

    #[test]
    fn a_first_certificate_has_no_lineage_yet() {
        let printed = "  Domain: a.example\n  Type:   dns\n  Detail: no such host\n";
        let all = Failures::of_text(printed).all();
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            [("a.example".to_owned(), "a.example: no such host".to_owned())]
        );
    }

    #[test]
    fn what_is_said_is_bounded_and_harmless() {
        let long = format!("  Domain: a\n  Detail: \x1b[2J{}\n", "x".repeat(10_000));
        let all = Failures::of_text(&long).all();
        let told = &all["a"];
        assert!(told.chars().count() <= LONGEST && !told.contains('\x1b'), "{told}");
    }
}
