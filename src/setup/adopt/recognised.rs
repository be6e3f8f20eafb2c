//! pure: what a hook does: only the old toggling of ProxyPass lines, that and more, or something else.

use std::path::{Path, PathBuf};

use crate::check::hooks;
use crate::setup::adopt::shell::{ShellCommand, commands};

/// What the text of a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Comments ProxyPass lines in or out, and at most stops, starts or reloads Apache.
    Toggles,
    /// Stops or restarts Apache and does nothing else.
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

/// Judges a script or command; `read` gives the texts of the scripts that it runs by their paths.
pub fn deed(text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Deed {
    let commands = if is_shell(text) { commands(text) } else { None };
    let Some(commands) = commands else { return opaque(text) };
    let mut seen = Seen::default();
    for command in &commands {
        seen.see(command, read);
    }
    let is_all = seen.rest.is_empty();
    match seen.toggle {
        Some(_) if is_all && !seen.is_mixed => Deed::Toggles,
        Some((script, line, toggle)) => {
            Deed::Both(Mixture { script, line, toggle, rest: seen.rest })
        }
        // One that only stops Apache makes room for another server: certbot's own, in standalone.
        None if is_all && seen.restarts() => Deed::Restarts,
        None => Deed::Else,
    }
}

/// Judges a text that cannot be followed.
fn opaque(text: &str) -> Deed {
    let mut lines = text.lines().map(str::trim).zip(1..);
    let found = lines.find(|(line, _)| !line.starts_with('#') && mentions(line));
    found.map_or(Deed::Else, |(toggle, line)| {
        let toggle = toggle.to_owned();
        Deed::Both(Mixture { script: None, line, toggle, rest: Vec::new() })
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

    fn see(&mut self, command: &ShellCommand, read: &dyn Fn(&Path) -> Option<String>) {
        let words = without_prefix(&command.words);
        let Some(first) = words.first() else { return };
        let name = Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or(first);
        let here = || (None, command.line, command.text.clone());
        if let Some(extent) = edits(name, words) {
            self.toggle.get_or_insert_with(here);
            self.is_mixed |= command.is_opaque || extent == Extent::More;
        } else if command.is_opaque {
            self.rest.push(command.text.clone());
        } else if controls_apache(words) {
            self.orders.extend_from_slice(&words[1..]);
        } else if let Some((path, inner)) = named(name, words, read) {
            match inner {
                Deed::Toggles => {
                    self.toggle.get_or_insert_with(here);
                }
                Deed::Restarts => self.orders.push("restart".to_owned()),
                Deed::Both(inner) => {
                    self.is_mixed = true;
                    self.toggle = Some((path, inner.line, inner.toggle));
                    self.rest.extend(inner.rest);
                }
                Deed::Else => self.rest.push(command.text.clone()),
            }
        } else if !is_nothing(name) {
            self.rest.push(command.text.clone());
        }
    }
}

/// A script without `#!`, or with that of a shell.
fn is_shell(text: &str) -> bool {
    let Some(line) = text.strip_prefix("#!").and_then(|rest| rest.lines().next()) else {
        return true;
    };
    let mut words = line.split(|c: char| c == '/' || c.is_whitespace());
    words.any(|word| SHELLS.contains(&word))
}

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// The command behind words of the shell and behind programs that only start it.
fn without_prefix(words: &[String]) -> &[String] {
    const BEFORE: [&str; 12] =
        ["do", "then", "else", "if", "elif", "while", "until", "!", "{", "sudo", "exec", "time"];
    let leads = |word: &String| BEFORE.contains(&word.as_str()) || is_assignment(word);
    let at = words.iter().position(|word| !leads(word));
    at.map_or(&[], |at| &words[at..])
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// Whether it is about ProxyPass lines.
fn mentions(text: &str) -> bool {
    text.to_ascii_lowercase().contains("proxypass")
}

/// What an editor changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    ProxyPass,
    More,
}

/// What of ProxyPass lines an editor changes in place, if it does.
fn edits(name: &str, words: &[String]) -> Option<Extent> {
    let is_in_place = words.iter().any(|word| {
        let short = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        word.starts_with("--in-place") || short.is_some_and(|rest| rest.contains('i'))
    });
    let mut programs = words.iter().filter(|word| mentions(word)).peekable();
    if !matches!(name, "perl" | "sed") || !is_in_place || programs.peek().is_none() {
        return None;
    }
    let all =
        |program: &String| program.split([';', '\n']).all(|s| s.trim().is_empty() || mentions(s));
    let is_flag = |word: &String| word.starts_with('-') && word.ends_with('e');
    let mut expressions = words.windows(2).filter(|pair| is_flag(&pair[0]));
    let only = programs.all(all) && expressions.all(|pair| mentions(&pair[1]));
    Some(if only { Extent::ProxyPass } else { Extent::More })
}

/// Stops, starts, tests or reloads Apache, and no other service with it.
fn controls_apache(words: &[String]) -> bool {
    const TOOLS: [&str; 5] = ["systemctl", "service", "invoke-rc.d", "apache2ctl", "apachectl"];
    const SERVICES: [&str; 4] = ["apache2", "httpd", "apache2.service", "httpd.service"];
    const ORDERS: [&str; 15] = [
        "restart",
        "stop",
        "start",
        "reload",
        "force-reload",
        "try-restart",
        "reload-or-restart",
        "graceful",
        "graceful-stop",
        "configtest",
        "-k",
        "-t",
        "-q",
        "--quiet",
        "--no-block",
    ];
    let tail = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let first = words.first().map(|word| tail(word)).unwrap_or_default();
    let is_script = words.first().is_some_and(|word| word.starts_with("/etc/init.d/"));
    let is_tool = TOOLS.contains(&first.as_str());
    let of_apache = is_script || first.starts_with("apache");
    let names = |word: &String| SERVICES.contains(&word.as_str());
    let known = |word: &String| names(word) || ORDERS.contains(&word.as_str());
    (is_tool || is_script && SERVICES.contains(&first.as_str()))
        && words.len() > 1
        && words[1..].iter().all(known)
        && (of_apache || words[1..].iter().any(names))
}

/// What a shell was given to run, or the script that the words name, and what that does.
fn named(
    name: &str,
    words: &[String],
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<(Option<PathBuf>, Deed)> {
    let no_further = |_: &Path| None;
    if let [_, option, text, ..] = words
        && SHELLS.contains(&name)
        && option == "-c"
    {
        return Some((None, deed(text, &no_further)));
    }
    let line = words.join(" ");
    let path = hooks::program(&line)?;
    let text = read(path)?;
    let inner = if name == "perl" { opaque(&text) } else { deed(&text, &no_further) };
    Some((Some(path.to_owned()), inner))
}

/// Commands that only lead others, or tell somebody.
fn is_nothing(name: &str) -> bool {
    const HARMLESS: [&str; 26] = [
        "for", "done", "fi", "esac", "}", "in", "[", "[[", "test", "set", "exit", "return", "true",
        "false", ":", "sleep", "echo", "printf", "logger", "cd", "shift", "local", "export",
        "sync", "wait", "case",
    ];
    HARMLESS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: &str = r"perl -pi -e 's/^(\s*)(ProxyPass)/$1#$2/' /etc/apache2/sites-enabled/*.conf";

    fn of(text: &str) -> Deed {
        deed(text, &|_| None)
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
            assert_eq!(of(&text), Deed::Toggles, "{text}");
        }
    }

    #[test]
    fn a_restart_alone_is_told_from_a_reload_and_from_other_services() {
        assert_eq!(of("systemctl restart apache2"), Deed::Restarts);
        assert_eq!(of("service apache2 stop; sleep 1; service apache2 start"), Deed::Restarts);
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
            assert_eq!(of(text), Deed::Else, "{text}");
        }
    }

    #[test]
    fn what_does_more_is_left_to_a_person_with_its_line_and_the_rest() {
        let text = format!("#!/bin/sh\n{OFF}\nsystemctl restart apache2\ncp /a /b\n");
        let Deed::Both(found) = of(&text) else { panic!("{:?}", of(&text)) };
        assert_eq!((found.line, found.rest), (2, vec!["cp /a /b".to_owned()]));
        assert_eq!(found.toggle, OFF);
        for text in [
            format!("{OFF} $(date)"),
            "perl -pi -e 's/ProxyPass/#ProxyPass/; s/On/Off/' /x".into(),
            "sed -i -e s/ProxyPass/#ProxyPass/ -e s/On/Off/ /x; true".into(),
            "#!/usr/bin/perl\ns/ProxyPass/#ProxyPass/;\n".into(),
            "perl -pi -e 's/^(ProxyPass)/".into(),
        ] {
            assert!(matches!(of(&text), Deed::Both(_)), "{text}: {:?}", of(&text));
        }
    }

    #[test]
    fn a_script_that_is_named_is_looked_into() {
        let read = |path: &Path| match path.to_str()? {
            "/off" => Some(format!("#!/bin/sh\n{OFF}\nsystemctl restart apache2\n")),
            "/mixed" => Some(format!("#!/bin/sh\n\n{OFF}\nrsync a b:\n")),
            _ => None,
        };
        assert_eq!(deed("/off", &read), Deed::Toggles);
        assert_eq!(deed("bash /off now; systemctl restart apache2", &read), Deed::Toggles);
        assert_eq!(deed("/other", &read), Deed::Else);
        assert!(matches!(deed("perl /mixed", &read), Deed::Both(_)));
        let mixture = Mixture {
            script: Some("/mixed".into()),
            line: 3,
            toggle: OFF.into(),
            rest: vec!["rsync a b:".into()],
        };
        assert_eq!(deed("/mixed", &read), Deed::Both(mixture));
    }
}
