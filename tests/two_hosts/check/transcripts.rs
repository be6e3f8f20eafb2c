//! flow: README.md and doc/check.md show what `check` and `status` print, on these very machines.
//!
//! `CERTBATON_BLESS=1` writes what is printed now into them. What is another every time (dates, ages, tokens,
//! the CA's name, versions of packages) is always the same there, and as wide as it was.

use std::fs;

use regex::Regex;

use crate::check::setup::Setup;
use crate::check::stage::Stage;

/// A block of a page, and how it comes about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transcript {
    pub(crate) page: &'static str,
    /// In its markers: `<!-- transcript: NAME -->` and `<!-- end of transcript -->`.
    pub(crate) name: &'static str,
    /// On these machines.
    pub(crate) setup: &'static str,
    pub(crate) words: &'static [&'static str],
}

pub(crate) const TRANSCRIPTS: &[Transcript] = &[
    Transcript {
        page: "README.md",
        name: "check",
        setup: "healthy_as_it_was_set_up",
        words: &["certbaton", "check"],
    },
    Transcript {
        page: "doc/check.md",
        name: "check of a broken set-up",
        setup: "vps_has_no_exclusion",
        words: &["certbaton", "check"],
    },
    Transcript {
        page: "doc/check.md",
        name: "status",
        setup: "healthy_as_it_was_set_up",
        words: &["certbaton", "status"],
    },
];

impl Stage {
    /// Whether the blocks are what is printed on the machines as they are set now.
    pub(crate) fn transcribed(&self, setup: &Setup) -> Vec<String> {
        let mut problems = Vec::new();
        for transcript in TRANSCRIPTS.iter().filter(|t| t.setup == setup.name) {
            let done = self.host(setup.from).run(transcript.words);
            let text = steady(&format!("# {}\n{}", transcript.words.join(" "), done.out));
            let path = support::source(transcript.page);
            let page = fs::read_to_string(&path).unwrap();
            let (before, shown, after) = block(&page, transcript.name);
            let block = format!("```text\n{}\n```\n", text.trim_end());
            if shown == block {
                continue;
            }
            if std::env::var_os("CERTBATON_BLESS").is_some() {
                fs::write(&path, [before, &block, after].concat()).unwrap();
            } else {
                problems.push(format!(
                    "{} shows another {}: look at it, and run with CERTBATON_BLESS=1:\n{block}",
                    transcript.page, transcript.name
                ));
            }
        }
        problems
    }
}

/// What comes before a block, what is in it, and what comes after.
fn block<'a>(page: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let begin = format!("<!-- transcript: {name} -->\n");
    let from = page.find(&begin).unwrap_or_else(|| panic!("there is no {begin}"));
    let from = from + begin.len();
    let to = from + page[from..].find("<!-- end of transcript -->").unwrap();
    (&page[..from], &page[from..to], &page[to..])
}

/// Without what is another every time.
fn steady(text: &str) -> String {
    let rules = [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, [0-9a-z ]+ ago", "2026-11-02 06:25 UTC, 3 days ago"),
        (r"\d{4}-\d\d-\d\d  \d+ d( +)\d{4}-\d\d-\d\d", "2027-01-20  79 d  ${1}2026-12-21"),
        (r"20[3-9]\d-\d\d-\d\d", "2027-01-20"),
        (r"Pebble Intermediate CA [0-9a-f]{6}", "Pebble Intermediate CA 3ee8c3"),
        (r"Apache 2\.4\.\d+", "Apache 2.4.67"),
        (r"certbot 2\.\d+\.\d+", "certbot 2.1.0"),
        (r"last token \d+", "last token 12"),
    ];
    rules.iter().fold(text.to_owned(), |text, (pattern, steady)| {
        Regex::new(pattern).unwrap().replace_all(&text, *steady).into_owned()
    })
}
