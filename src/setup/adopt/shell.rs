//! pure: the simple commands of a shell script, so far as they can be told without a shell.
//!
//! For a judgement of what a hook does, never to run it: what is not understood
//! makes a command opaque, or the whole text nothing.

use std::iter::Peekable;
use std::str::Chars;

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellCommand {
    /// Its words, quotes taken away, nothing expanded.
    pub words: Vec<String>,
    /// As it stands.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
    /// It runs another command within, or writes to a file.
    pub is_opaque: bool,
}

/// The commands of `text`, in order; `None` if its quotes do not close or it holds a here-document.
///
/// Functions that are defined count by their bodies, and patterns of `case` not at all.
pub fn commands(text: &str) -> Option<Vec<ShellCommand>> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: 1,
        found: Vec::new(),
        functions: Vec::new(),
        command: ShellCommand::default(),
        word: None,
    };
    reader.read()?;
    let Reader { mut found, functions, .. } = reader;
    found.retain(|command| !functions.contains(&command.words[0]));
    Some(found)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    found: Vec<ShellCommand>,
    functions: Vec<String>,
    command: ShellCommand,
    word: Option<String>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.line += usize::from(c == '\n');
        self.command.text.push(c);
        Some(c)
    }

    fn read(&mut self) -> Option<()> {
        while let Some(&c) = self.rest.peek() {
            if self.command.text.is_empty() {
                self.command.line = self.line;
            }
            match c {
                '\n' | ';' | '|' => self.end(1),
                '&' => {
                    self.next();
                    if self.rest.peek() == Some(&'>') { self.redirection()? } else { self.end(0) }
                }
                '#' if self.word.is_none() => while self.rest.next_if(|&c| c != '\n').is_some() {},
                '>' | '<' => self.redirection()?,
                '(' => self.open(),
                ')' => self.close(),
                c if c.is_whitespace() => {
                    self.next();
                    self.end_word();
                    if self.command.words.is_empty() {
                        self.command.text.clear();
                    }
                }
                _ => self.part()?,
            }
        }
        self.end(0);
        Some(())
    }

    /// One character of a word, or one quoted part.
    fn part(&mut self) -> Option<()> {
        let c = self.next()?;
        let mut word = self.word.take().unwrap_or_default();
        match c {
            '\'' => loop {
                match self.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                match self.next()? {
                    '"' => break,
                    '\\' => match self.next()? {
                        '\n' => {}
                        c if "$`\"\\".contains(c) => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    c => {
                        self.note(c);
                        word.push(c);
                    }
                }
            },
            '\\' => match self.next() {
                Some('\n') if word.is_empty() => return Some(()),
                Some('\n') | None => {}
                Some(c) => word.push(c),
            },
            c => {
                self.note(c);
                word.push(c);
            }
        }
        self.word = Some(word);
        Some(())
    }

    /// Sees a command within the command.
    fn note(&mut self, c: char) {
        self.command.is_opaque |= c == '`' || c == '$' && self.rest.peek() == Some(&'(');
    }

    /// `2>/dev/null`, `>&2`; to any other place it is opaque. A here-document is not followed.
    fn redirection(&mut self) -> Option<()> {
        if self.word.as_ref().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let first = self.next()?;
        let mut is_copy = false;
        while let Some(c) = self.rest.next_if(|c| ">&|<".contains(*c)) {
            if first == '<' && c == '<' {
                return None;
            }
            is_copy |= c == '&';
            self.command.text.push(c);
        }
        while self.rest.next_if(|c| *c == ' ').is_some() {
            self.command.text.push(' ');
        }
        while self.rest.peek().is_some_and(|c| !c.is_whitespace() && !";|&<>()".contains(*c)) {
            self.part()?;
        }
        let target = self.word.take().unwrap_or_default();
        let is_number = target.bytes().all(|b| b.is_ascii_digit());
        self.command.is_opaque |= target != "/dev/null" && !(is_copy && is_number);
        Some(())
    }

    /// A subshell, or a function when nothing stands between the brackets.
    fn open(&mut self) {
        self.rest.next();
        self.end_word();
        if self.rest.next_if_eq(&')').is_some() {
            let name = std::mem::take(&mut self.command).words.into_iter().next();
            self.functions.extend(name);
        } else {
            self.end(0);
        }
    }

    /// The end of a subshell, or of a pattern of `case`.
    fn close(&mut self) {
        self.rest.next();
        self.end_word();
        let words = &self.command.words;
        if words.len() == 1 || words.first().is_some_and(|word| word == "case") {
            self.command = ShellCommand::default();
        } else {
            self.end(0);
        }
    }

    fn end_word(&mut self) {
        self.command.words.extend(self.word.take());
    }

    /// Ends the command, and passes over as many characters.
    fn end(&mut self, over: usize) {
        self.end_word();
        let mut command = std::mem::take(&mut self.command);
        for c in self.rest.by_ref().take(over) {
            self.line += usize::from(c == '\n');
        }
        if !command.words.is_empty() {
            let end = command.text.trim_end_matches(['&', ' ', '\t']).len();
            command.text.truncate(end);
            self.found.push(command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(commands("cat <<END\na\nEND"), None);
        let opaque = |text: &str| commands(text).unwrap()[0].is_opaque;
        for text in ["a $(b)", "a `b`", "a > /etc/x", "a \"$(b)\"", "a >>x", "a < x"] {
            assert!(opaque(text), "{text}");
        }
        for text in ["a '$(b)'", "a >/dev/null 2>&1", "a &> /dev/null", "a $b", "a 2>&1"] {
            assert!(!opaque(text), "{text}");
            assert_eq!(commands(text).unwrap().len(), 1, "{text}");
        }
    }
}
