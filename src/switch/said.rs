//! system: what was said to the log already and lasts, so that it is said once, until it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::files;
use crate::base::fingerprint::fingerprint;
use crate::base::own_directories::StateDirectory;

/// Those of `lines` that were not said before; all of them count as said from now on.
///
/// What cannot be read or kept is said again rather than never.
pub fn news(state: &StateDirectory, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    let (news, said) = of(recalled(state), lines, clock::now());
    keep(state, &said);
    news
}

/// Whether `line`, what there is to say of `matter`, is another than when it was asked last;
/// `None`: there is nothing, so that whatever comes next is news.
pub fn is_news(state: &StateDirectory, matter: &str, line: Option<&str>) -> bool {
    let mut said = recalled(state);
    let of_matter = format!("{matter}:");
    let key = line.map(|line| of_matter.clone() + &fingerprint(line.as_bytes(), 16));
    let is_known = key.as_ref().is_some_and(|key| said.contains_key(key));
    let count = said.len();
    said.retain(|known, _| !known.starts_with(&of_matter) || Some(known) == key.as_ref());
    let is_new = key.filter(|_| !is_known);
    if let Some(key) = &is_new {
        said.insert(key.clone(), clock::now());
    }
    if is_new.is_some() || said.len() < count {
        keep(state, &said);
    }
    is_new.is_some()
}

/// Where it is kept.
pub fn path(state: &StateDirectory) -> PathBuf {
    state.join("said.json")
}

fn recalled(state: &StateDirectory) -> BTreeMap<String, Timestamp> {
    let bytes = files::read_trusted(&path(state)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn keep(state: &StateDirectory, said: &BTreeMap<String, Timestamp>) {
    let kept = state.make().and_then(|()| {
        // A map of texts and times is always JSON.
        files::write_own(&path(state), &serde_json::to_vec(said).unwrap_or_default())
    });
    if let Err(error) = kept {
        tracing::debug!("what was said is not kept, and is said again: {}", chain(&error));
    }
}

/// What is new, and what was said by then: with the time when it was last true.
fn of(
    mut said: BTreeMap<String, Timestamp>,
    lines: Vec<String>,
    now: Timestamp,
) -> (Vec<String>, BTreeMap<String, Timestamp>) {
    // What was not true for so long is news when it is again; a clock may have been ahead.
    said.retain(|_, at| now.duration_since(*at).abs() < FORGOTTEN);
    let news = lines
        .into_iter()
        .filter(|line| said.insert(fingerprint(line.as_bytes(), 16), now).is_none())
        .collect();
    while said.len() > MOST {
        said.pop_first();
    }
    (news, said)
}

/// Longer than between two renewals of a lineage that lives for 90 days.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(100 * 24);

/// So much is remembered at most.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let state = &StateDirectory::from(directory.path().join("state"));
        let say = |text: &str| news(state, vec![text.to_owned()]).len();
        assert_eq!((say("a is a file"), say("a is a file")), (1, 0));
        assert_eq!((say("b is a file"), say("a is a file")), (1, 0));
        assert_eq!(say("a is a file, of another kind"), 1);
    }

    #[test]
    fn what_is_said_of_a_matter_is_news_when_it_changes_and_when_it_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = &StateDirectory::from(directory.path().join("state"));
        let say = |line| is_news(state, "recover", line);
        assert!(!say(None), "nothing is no news");
        assert_eq!((say(Some("a")), say(Some("a"))), (true, false));
        assert_eq!((say(Some("b")), say(Some("a"))), (true, true));
        assert_eq!((say(None), say(Some("a"))), (false, true));
        assert!(is_news(state, "other", Some("a")) && !say(Some("a")));
    }

    #[test]
    fn what_was_not_true_for_long_is_news_again() {
        let line = || vec!["a".to_owned()];
        let (_, said) = of(BTreeMap::new(), line(), Timestamp::UNIX_EPOCH);
        let later = |days: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days);
        assert_eq!(of(said.clone(), line(), later(60)).0.len(), 0);
        assert_eq!(of(said, line(), later(400)).0.len(), 1);
    }
}
