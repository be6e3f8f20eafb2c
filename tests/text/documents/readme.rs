//! flow: every command of the README, and of the pages that it leads to, is one that a test runs.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use regex::Regex;

use crate::documents::commands::{COMMANDS, Run};
use crate::documents::{PAGES, text};
use support::source;

/// A block between fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The word behind the fence, or nothing.
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let fence = Regex::new(r"(?ms)^```(\w*)\n(.*?)^```$").unwrap();
    let block = |found: regex::Captures<'_>| Block {
        language: found[1].to_owned(),
        text: found[2].to_owned(),
    };
    fence.captures_iter(markdown).map(block).collect()
}

/// Programs that a reader may be told to run; what begins with one is a command.
const PROGRAMS: &str = r"^(/usr/s?bin/)?(apt|apt-get|bash|cargo|certbaton|certbaton-(pre|deploy|post)-hook|certbot|dpkg|install|journalctl|make|man|renew-coordinate|rustup|ssh|ssh-keygen|sudo|systemctl|tests/\S+|packaging/\S+)$";

/// Commands, continued lines joined: each line of a script (sh, bash); behind a prompt in a block for a screen (console,
/// text); what begins with a program in a block of no language, or as code in running text, where a program's name alone
/// is no command.
fn commands(markdown: &str) -> BTreeSet<String> {
    let program = Regex::new(PROGRAMS).unwrap();
    let is_command = |line: &str| line.split(' ').next().is_some_and(|word| program.is_match(word));
    let mut commands = BTreeSet::new();
    for Block { language, text } in blocks(markdown) {
        if !["", "sh", "bash", "console", "text"].contains(&language.as_str()) {
            continue;
        }
        for line in text.replace("\\\n", " ").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_script = ["sh", "bash"].contains(&language.as_str());
            // In a script it begins a comment, on a screen it is root's prompt.
            let is_prompted = !is_script && matches!(words[..], ["#" | "$", ..]);
            let line = words[usize::from(is_prompted)..].join(" ");
            let is_shown = is_prompted || (language.is_empty() && is_command(&line));
            if is_shown || (is_script && !line.is_empty() && !line.starts_with('#')) {
                commands.insert(line);
            }
        }
    }
    let fence = Regex::new(r"(?ms)^```.*?^```$").unwrap();
    let rest = fence.replace_all(markdown, "");
    for found in Regex::new("`([^`]+)`").unwrap().captures_iter(&rest) {
        let words: Vec<&str> = found[1].split_whitespace().collect();
        let line = words.join(" ");
        if is_command(&line) && (words.len() > 1 || is_executable(&line)) {
            commands.insert(line);
        }
    }
    commands
}

/// Of the files of `tests`, those that are run and not only read.
fn is_executable(name: &str) -> bool {
    let metadata = source(name).metadata();
    metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[test]
fn every_command_is_run_by_a_test() {
    let told: BTreeSet<String> = PAGES.iter().flat_map(|page| commands(&text(page))).collect();
    let listed: BTreeSet<String> =
        COMMANDS.iter().map(|(command, _)| (*command).to_owned()).collect();
    let unknown: Vec<_> = told.difference(&listed).collect();
    assert!(
        unknown.is_empty(),
        "README.md or a page of doc has commands that tests/text/documents/commands.rs does not list with the test that runs them: {unknown:#?}"
    );
    let stale: Vec<_> = listed.difference(&told).collect();
    assert!(
        stale.is_empty(),
        "tests/text/documents/commands.rs lists what none of them has: {stale:#?}"
    );
    for (command, run) in COMMANDS {
        match run {
            Run::In(file, needle) => {
                assert!(
                    text(file).contains(needle),
                    "`{command}`: {file} has no `{needle}` any more"
                );
            }
            Run::ByHand(why) => println!("not run by a test: `{command}`: {why}"),
        }
    }
}

/// The headings of a page, as a link names them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let fence = Regex::new(r"(?ms)^```.*?^```$").unwrap();
    let rest = fence.replace_all(markdown, "");
    let heading = Regex::new(r"(?m)^#+ (.*)$").unwrap();
    let named = |found: regex::Captures<'_>| {
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        found[1].to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    heading.captures_iter(&rest).map(named).collect()
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let link = Regex::new(r"\]\(([^)#:]*)(?:#([^)]*))?\)").unwrap();
    for page in PAGES {
        let directory = source(page).parent().unwrap().to_owned();
        for found in link.captures_iter(&text(page)) {
            let to = if found[1].is_empty() { source(page) } else { directory.join(&found[1]) };
            assert!(to.exists(), "{page} leads to {}", &found[1]);
            let anchor = found.get(2).map(|anchor| anchor.as_str().to_owned());
            let leads = |anchor| anchors(&std::fs::read_to_string(to).unwrap()).contains(&anchor);
            assert!(anchor.is_none_or(leads), "{page} leads to {}, which is not there", &found[0]);
        }
        // Whoever reads only the README finds all of them there.
        assert!(page == "README.md" || text("README.md").contains(page), "{page}");
    }
}

#[test]
fn headings_are_found() {
    let markdown = "# One `two`, three: Four-five\n\n```sh\n# no\n```\n\n## Six\n";
    let expected = ["one-two-three-four-five", "six"].map(str::to_owned);
    assert_eq!(anchors(markdown), BTreeSet::from(expected));
}

#[test]
fn commands_are_found() {
    let markdown = "Run `cargo  bench\n--x`, `certbaton`, `tests/run`, and neither `not one` nor `tests/packages`.\n\n```sh\nanything --goes\n# no\n```\n\n\
                    ```\n ┌──┐ \ncertbot renew \\\n    -q\n```\n\n```text\n# certbaton check\nNAME\n```\n\n```toml\nx = 1\n```\n";
    let expected =
        ["anything --goes", "cargo bench --x", "certbaton check", "certbot renew -q", "tests/run"];
    assert_eq!(commands(markdown).into_iter().collect::<Vec<_>>(), expected);
}
