//! pure: hooks of an older set-up, which comment ProxyPass lines out for a renewal and in again, told by their text.
//!
//! A text is judged and never run. What is not understood is taken for more than the old hook, so
//! that a person decides about it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// What the text of a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookPurpose {
    /// Comments ProxyPass lines in or out, and at most stops, starts or reloads Apache.
    Toggles,
    /// Stops and starts Apache and does nothing else.
    Restarts,
    /// Toggles, and does what certbaton does not.
    Both(Mixture),
    /// Nothing of that.
    Else,
}

/// A hook that a person has to take apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    /// The script with the toggling line; none if it is the text itself.
    pub script: Option<PathBuf>,
    /// Its line, from 1.
    pub line: usize,
    /// What toggles.
    pub toggle: String,
    /// The rest that has to stay; empty if it cannot be told.
    pub rest: Vec<String>,
}

impl HookPurpose {
    /// Whether it shows that the older set-up is in use.
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::Toggles | Self::Both(_))
    }

    /// Whether it is of the older set-up and nothing else.
    pub fn is_old(&self) -> bool {
        matches!(self, Self::Toggles | Self::Restarts)
    }
}

/// Whether it is one of certbaton's own.
pub fn is_ours(text: &str) -> bool {
    ["certbaton-pre-hook", "certbaton-deploy-hook", "certbaton-post-hook"]
        .iter()
        .any(|program| text.contains(program))
}

/// The program that a hook runs, if it is named by its path.
pub fn program(command: &str) -> Option<&Path> {
    let mut words = command.split_ascii_whitespace();
    let first = words.next()?;
    let shells = ["sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/perl", "perl"];
    let path = if shells.contains(&first) { words.next()? } else { first };
    path.starts_with('/').then(|| Path::new(path.trim_matches(['"', '\''])))
}

/// The lines of a script or unit that are no comments, each with its number, from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.starts_with(['#', ';']))
}

/// Whether a line comments ProxyPass lines out or in, as old hooks do.
pub fn toggles(line: &str) -> bool {
    TOGGLE.is_match(line)
}

/// Whether a line of cron or of a unit does: it runs its programs in any order
/// (`grep -l ProxyPass … | xargs sed`), and what awk or python do there may be to read.
pub fn toggles_from_a_timer(line: &str) -> bool {
    line.to_ascii_lowercase().contains("proxypass")
        && ["perl", "sed"].iter().any(|editor| line.contains(editor))
}

/// Whether a line switches a site or a ProxyPass on or off, by whatever means.
pub fn switches(line: &str) -> bool {
    SWITCH.is_match(line)
}

/// Whether a line stops or restarts Apache.
pub fn stops(line: &str) -> bool {
    STOP.is_match(line)
}

/// Judges a script or command; `read` gives the texts of the scripts that it runs by their paths.
pub fn purpose(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> HookPurpose {
    let interpreter = text.strip_prefix("#!").and_then(|rest| rest.lines().next());
    let is_shell = interpreter
        .is_none_or(|line| line.split(['/', ' ']).any(|word| SHELLS.contains(&word.trim())));
    let commands = if is_shell { commands(text) } else { None };
    let Some(commands) = commands else { return of_another_language(text) };
    let mut seen = Seen::default();
    for command in &commands {
        seen.see(command, read);
    }
    let is_all = seen.rest.is_empty();
    match seen.toggle {
        Some(_) if is_all && !seen.is_mixed => HookPurpose::Toggles,
        Some((script, line, toggle)) => {
            HookPurpose::Both(Mixture { script, line, toggle, rest: seen.rest })
        }
        // One that only stops Apache makes room for another server: certbot's own, in standalone.
        None if is_all && seen.restarts() => HookPurpose::Restarts,
        None => HookPurpose::Else,
    }
}

fn of_another_language(text: &str) -> HookPurpose {
    let found = lines(text).find(|(_, line)| mentions(line));
    found.map_or(HookPurpose::Else, |(line, toggle)| {
        let toggle = toggle.to_owned();
        HookPurpose::Both(Mixture { script: None, line, toggle, rest: Vec::new() })
    })
}

/// What the commands come to.
#[derive(Default)]
struct Seen {
    toggle: Option<(Option<PathBuf>, usize, String)>,
    /// Words to the tools that control Apache.
    orders: Vec<String>,
    is_mixed: bool,
    rest: Vec<String>,
}

impl Seen {
    fn restarts(&self) -> bool {
        let has = |orders: &[&str]| self.orders.iter().any(|word| orders.contains(&word.as_str()));
        has(&["restart", "try-restart"]) || has(&["stop", "graceful-stop"]) && has(&["start"])
    }

    fn see(&mut self, command: &Command<'_>, read: &dyn Fn(&Path) -> Option<String>) {
        let leads = |word: &String| LEADING.contains(&word.as_str()) || ASSIGNMENT.is_match(word);
        let at = command.words.iter().take_while(|word| leads(word)).count();
        let words = &command.words[at..];
        let Some(first) = words.first() else { return };
        let name = first.rsplit('/').next().unwrap_or(first);
        let line = words.join(" ");
        let here = || (None, command.line, command.text.to_owned());
        let is_in_place = || words.iter().any(|word| IN_PLACE.is_match(word));
        if matches!(name, "perl" | "sed") && mentions(&line) && is_in_place() {
            self.toggle.get_or_insert_with(here);
            self.is_mixed |= command.is_opaque || does_more(words);
        } else if command.is_opaque {
            self.rest.push(command.text.to_owned());
        } else if CONTROL.is_match(&line) {
            self.orders.extend_from_slice(&words[1..]);
        } else if let Some((script, inner)) = named(words, &line, read) {
            match inner {
                HookPurpose::Toggles => {
                    self.toggle.get_or_insert_with(here);
                }
                HookPurpose::Restarts => self.orders.push("restart".to_owned()),
                HookPurpose::Both(inner) => {
                    self.is_mixed = true;
                    self.toggle = Some((script, inner.line, inner.toggle));
                    self.rest.extend(inner.rest);
                }
                HookPurpose::Else => self.rest.push(command.text.to_owned()),
            }
        } else if !HARMLESS.contains(&name) {
            self.rest.push(command.text.to_owned());
        }
    }
}

/// What a shell was given to run, or the script that the words name, and what that does.
fn named(
    words: &[String],
    line: &str,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<(Option<PathBuf>, HookPurpose)> {
    let no_further = |_: &Path| None;
    if let [shell, option, text, ..] = words
        && shell.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name))
        && option == "-c"
    {
        return Some((None, purpose(text, &no_further)));
    }
    let path = program(line)?;
    let text = read(path)?;
    let is_perl = words[0].ends_with("perl");
    let inner = if is_perl { of_another_language(&text) } else { purpose(&text, &no_further) };
    Some((Some(path.to_owned()), inner))
}

/// Whether it is about ProxyPass lines.
fn mentions(text: &str) -> bool {
    text.to_ascii_lowercase().contains("proxypass")
}

/// Whether a program for an editor has a statement that is not about ProxyPass lines.
fn does_more(words: &[String]) -> bool {
    let is_flag = |word: &String| word.starts_with('-') && word.ends_with('e');
    let expressions = words.windows(2).filter(|pair| is_flag(&pair[0])).map(|pair| &pair[1]);
    let programs = words.iter().filter(|word| mentions(word)).chain(expressions);
    let is_more = |part: &str| !part.trim().is_empty() && !mentions(part);
    programs.flat_map(|program| program.split([';', '\n'])).any(is_more)
}

/// One simple command of a script.
#[derive(Debug, Default, PartialEq, Eq)]
struct Command<'a> {
    /// Its words, quotes taken away, nothing expanded.
    words: Vec<String>,
    /// As it stands.
    text: &'a str,
    /// Its line, from 1.
    line: usize,
    /// It runs another command within, or reads or writes a file, or cannot be followed.
    is_opaque: bool,
}

/// The commands of a shell's script, in order, so far as they can be told without a shell; `None` if its quotes do not close.
///
/// Functions that are defined count by their bodies, and patterns of `case` not at all.
fn commands(script: &str) -> Option<Vec<Command<'_>>> {
    let (mut found, mut functions) = (Vec::new(), Vec::new());
    let (mut command, mut start) = (Command::default(), 0);
    for token in TOKEN.captures_iter(script) {
        if let Some(end) = token.name("end") {
            let ended = std::mem::take(&mut command);
            let is_pattern =
                ended.words.len() == 1 || ended.words.first().is_some_and(|w| w == "case");
            match end.as_str() {
                "()" => functions.extend(ended.words.into_iter().next_back()),
                ")" if is_pattern => {}
                _ => found.push(ended),
            }
        } else if let Some(part) = token.name("word").or(token.name("other")) {
            if ["'", "\""].contains(&part.as_str()) {
                return None;
            }
            if command.words.is_empty() {
                start = part.start();
                command.line = script[..start].matches('\n').count() + 1;
            }
            command.text = &script[start..part.end()];
            command.words.push(unquoted(part.as_str()));
            let runs_another = part.as_str().contains('`') || part.as_str().contains("$(");
            let is_inert = is_literal(part.as_str());
            command.is_opaque |= token.name("other").is_some() || runs_another && !is_inert;
        }
    }
    found.push(command);
    found.retain(|command| command.words.first().is_some_and(|name| !functions.contains(name)));
    Some(found)
}

/// Whether a word is one string that the shell takes as it is, within single quotes.
fn is_literal(word: &str) -> bool {
    word.strip_prefix('\'').and_then(|rest| rest.find('\'')) == Some(word.len().saturating_sub(2))
}

fn unquoted(word: &str) -> String {
    let parts = QUOTED.captures_iter(word);
    parts
        .filter_map(|part| {
            part.iter().skip(1).flatten().next().map(|text| text.as_str().to_owned())
        })
        .collect()
}

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// Words of the shell before a command, and programs that only start one.
const LEADING: [&str; 12] =
    ["do", "then", "else", "if", "elif", "while", "until", "!", "{", "sudo", "exec", "time"];

/// Commands that only lead others, or tell somebody.
const HARMLESS: [&str; 26] = [
    "for", "done", "fi", "esac", "}", "in", "[", "[[", "test", "set", "exit", "return", "true",
    "false", ":", "sleep", "echo", "printf", "logger", "cd", "shift", "local", "export", "sync",
    "wait", "case",
];

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, used by the tests below")]
    Regex::new(text).expect("a constant pattern")
}

/// Editors of ProxyPass lines.
static TOGGLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(perl|sed|awk|python3?)\b.*proxypass"));

/// Lines that switch a site or a ProxyPass on or off.
static SWITCH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)proxypass|\ba2(en|dis)(site|conf)\b|\b(sed|perl|awk|python3?)\b.*(acme-challenge|/etc/(apache2|httpd)/)",
    )
});

/// Lines that stop or restart Apache.
static STOP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(systemctl|service|invoke-rc\.d|init\.d)\b.*\b(restart|stop)\b.*\b(apache2?|httpd)\b|\b(service|invoke-rc\.d|init\.d/?)[ /](apache2?|httpd)\b.*\b(restart|stop)\b|\b(apache2ctl|apachectl)\s+(-k\s+)?(restart|stop)\b",
    )
});

/// Commands that stop, start, test or reload Apache, and no other service with it.
static CONTROL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(\S*/)?(systemctl|service|invoke-rc\.d|apache2ctl|apachectl|init\.d/apache2|init\.d/httpd)( (apache2|httpd|apache2\.service|httpd\.service|restart|stop|start|reload|force-reload|try-restart|reload-or-restart|graceful|graceful-stop|configtest|-k|-t|-q|--quiet|--no-block))+$",
    )
});

/// Options by which an editor writes into the file itself.
static IN_PLACE: LazyLock<Regex> = LazyLock::new(|| pattern("^(-[^-]*i|--in-place)"));

static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z0-9_]+="));

/// What a script is made of; comments, line continuations and what goes nowhere or to another output have no name.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?xs)
        \#[^\n]* | \\\n | [0-9]? &? >>? \x20* (?: /dev/null\b | &[0-9] )
        | (?<end> \(\) | [;&|\n()] )
        | (?<word> (?: '[^']*' | "(?:\\.|[^"\\])*" | \\. | \$[^\s;&|<>()'"\\`] | [^\s;&|<>()'"\\`$] )+ )
        | (?<other> \S )"#,
    )
});

/// The parts of a word between its quotes.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?s)'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)"#));

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: &str = r"perl -pi -e 's/^(\s*)(ProxyPass)/$1#$2/' /etc/apache2/sites-enabled/*.conf";

    fn of(text: &str) -> HookPurpose {
        purpose(text, &|_| None)
    }

    #[test]
    fn the_old_hook_is_known_however_it_is_written() {
        for text in [
            OFF.to_owned(),
            format!("{OFF}; systemctl restart apache2"),
            format!("{OFF} && service apache2 restart >/dev/null 2>&1"),
            "sh -c \"sed -i 's/#ProxyPass/ProxyPass/' /x\"; /etc/init.d/apache2 restart".into(),
            format!("#!/bin/bash\nset -e\n# before\n{OFF}\napache2ctl configtest && apachectl -k graceful\nexit 0\n"),
            "#!/bin/sh\nfor f in /etc/apache2/sites-enabled/*.conf; do\n  sed -i -e 's/^#*ProxyPass/ProxyPass/' \"$f\"\ndone\nlogger done\n".into(),
            format!("LANG=C {OFF}\ncase \"$1\" in off) {OFF};; on) sudo perl -i -pe 's/#(ProxyPass)/$1/' /x;; esac"),
        ] {
            assert_eq!(of(&text), HookPurpose::Toggles, "{text}");
        }
    }

    #[test]
    fn a_restart_alone_is_told_from_a_reload_and_from_other_services() {
        assert_eq!(of("systemctl restart apache2"), HookPurpose::Restarts);
        assert_eq!(
            of("service apache2 stop; sleep 1; service apache2 start"),
            HookPurpose::Restarts
        );
        for text in [
            "systemctl reload apache2",
            // For certbot's standalone.
            "systemctl stop apache2.service",
            "systemctl start apache2",
            "systemctl restart apache2 postfix",
            "systemctl restart postfix",
            "cp a b; systemctl restart apache2",
            "a2dissite proxy && systemctl restart apache2",
            "echo ProxyPass",
            "grep ProxyPass /etc/apache2/sites-enabled/*",
            "",
        ] {
            assert_eq!(of(text), HookPurpose::Else, "{text}");
        }
    }

    #[test]
    fn what_does_more_is_left_to_a_person_with_its_line_and_the_rest() {
        let text = format!("#!/bin/sh\n{OFF}\nsystemctl restart apache2\ncp /a /b\n");
        let HookPurpose::Both(found) = of(&text) else { panic!("{:?}", of(&text)) };
        assert_eq!((found.line, found.rest), (2, vec!["cp /a /b".to_owned()]));
        assert_eq!(found.toggle, OFF);
        for text in [
            format!("{OFF} $(date)"),
            "perl -pi -e 's/ProxyPass/#ProxyPass/; s/On/Off/' /x".into(),
            "sed -i -e s/ProxyPass/#ProxyPass/ -e s/On/Off/ /x; true".into(),
            "#!/usr/bin/perl\ns/ProxyPass/#ProxyPass/;\n".into(),
            "perl -pi -e 's/^(ProxyPass)/".into(),
        ] {
            assert!(matches!(of(&text), HookPurpose::Both(_)), "{text}: {:?}", of(&text));
        }
    }

    #[test]
    fn a_script_that_is_named_is_looked_into() {
        let read = |path: &Path| match path.to_str()? {
            "/off" => Some(format!("#!/bin/sh\n{OFF}\nsystemctl restart apache2\n")),
            "/mixed" => Some(format!("#!/bin/sh\n\n{OFF}\nrsync a b:\n")),
            _ => None,
        };
        assert_eq!(purpose("/off", &read), HookPurpose::Toggles);
        assert_eq!(
            purpose("bash /off now; systemctl restart apache2", &read),
            HookPurpose::Toggles
        );
        assert_eq!(purpose("/other", &read), HookPurpose::Else);
        assert!(matches!(purpose("perl /mixed", &read), HookPurpose::Both(_)));
        let mixture = Mixture {
            script: Some("/mixed".into()),
            line: 3,
            toggle: OFF.into(),
            rest: vec!["rsync a b:".into()],
        };
        assert_eq!(purpose("/mixed", &read), HookPurpose::Both(mixture));
    }

    #[test]
    fn what_comments_proxypass_lines_out_is_an_old_hook() {
        let toggles = |text: &str| lines(text).any(|(_, line)| toggles(line));
        assert!(toggles("#!/bin/sh\nperl -pi -e 's/^(\\s*ProxyPass)/#$1/' /etc/apache2/x.conf\n"));
        assert!(toggles("sed -i 's/#ProxyPass/ProxyPass/' /x"));
        for text in ["# sed ProxyPass", "grep ProxyPass /x", ""] {
            assert!(!toggles(text), "{text}");
        }
    }

    #[test]
    fn the_script_of_a_saved_hook_is_found() {
        assert_eq!(program("/usr/local/bin/toggle off"), Some(Path::new("/usr/local/bin/toggle")));
        assert_eq!(program("sh /root/x.sh"), Some(Path::new("/root/x.sh")));
        assert_eq!(program("systemctl reload apache2"), None);
    }

    fn words(text: &str) -> Vec<String> {
        let found = commands(text).unwrap();
        found.into_iter().map(|c| format!("{}:{}", c.line, c.words.join("|"))).collect()
    }

    #[test]
    fn a_one_liner_is_its_commands() {
        let text = r"perl -pi -e 's/^(\s*)(ProxyPass)/$1#$2/; #' /etc/a/*.conf; systemctl restart apache2 && echo 'it''s' | x";
        let expected = [
            r"1:perl|-pi|-e|s/^(\s*)(ProxyPass)/$1#$2/; #|/etc/a/*.conf",
            "1:systemctl|restart|apache2",
            "1:echo|its",
            "1:x",
        ];
        assert_eq!(words(text), expected);
        assert_eq!(commands(text).unwrap()[1].text, "systemctl restart apache2");
    }

    #[test]
    fn comments_continuations_functions_and_cases_are_followed() {
        let text = "#!/bin/sh\nset -e # now\noff() {\n  a \\\n    b\n}\ncase \"$1\" in\n  off) off;;\n  on) (c d);;\nesac\n";
        assert_eq!(
            words(text),
            ["2:set|-e", "3:{", "4:a|b", "6:}", "7:case|$1|in", "9:c|d", "10:esac"]
        );
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        assert_eq!(commands("a 'b"), None);
        let opaque = |text: &str| commands(text).unwrap()[0].is_opaque;
        for text in
            ["a $(b)", "a `b`", "a > /etc/x", "a \"$(b)\"", "a >>x", "a < x", "a <<END\nb\nEND"]
        {
            assert!(opaque(text), "{text}");
        }
        for text in ["a '$(b)'", "a >/dev/null 2>&1", "a &> /dev/null", "a $b", "a 2>&1"] {
            assert!(!opaque(text), "{text}");
            assert_eq!(commands(text).unwrap().len(), 1, "{text}");
        }
    }
}
