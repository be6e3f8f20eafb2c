//! pure: lines that fit where they are read: folded, and what somebody copies in one piece.
//!
//! The guard folds too, so nothing here needs more than the standard library.

/// Columns of a terminal, and of what is written into a file or a pipe.
pub const WIDTH: usize = 80;

/// How wide lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width(usize);

impl Default for Width {
    fn default() -> Self {
        Self(WIDTH)
    }
}

impl Width {
    /// For a terminal of so many columns: no more than [`WIDTH`], which nobody likes to read, and
    /// no less than what a table needs. One that does not know its size says 0 (ioctl_tty(2)).
    pub fn of_terminal(columns: u16) -> Self {
        match usize::from(columns) {
            0 => Self::default(),
            columns => Self(columns.clamp(LEAST, WIDTH)),
        }
    }

    /// The same where each line is shown indented by `indent`.
    #[must_use]
    pub fn within(self, indent: usize) -> Self {
        Self(self.0.saturating_sub(indent))
    }

    /// In characters.
    pub fn columns(self) -> usize {
        self.0
    }

    /// `text` in lines that fit, the first behind `first`, the others indented by `hang`.
    ///
    /// What somebody copies, a command or a line of the configuration, is never cut: it may be
    /// wider.
    pub fn wrapped(self, first: &str, hang: usize, text: &str) -> String {
        let below = self.0.saturating_sub(hang);
        let hang = " ".repeat(hang);
        let mut out = String::new();
        let mut line = first.to_owned();
        // A line without a word yet takes any, in pieces if it must.
        let mut is_empty = true;
        for part in parts(text) {
            let is_copied = part.contains(' ');
            let mut rest = part.as_str();
            loop {
                let gap = usize::from(!is_empty);
                let room = self.0.saturating_sub(columns(&line) + gap);
                let is_alone = is_empty && line == hang;
                if columns(rest) <= room || is_copied && is_alone {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(rest);
                    is_empty = false;
                    break;
                }
                if is_empty && !is_copied && columns(rest) > below {
                    let (piece, more) = rest.split_at(break_of(rest, room));
                    line.push_str(piece);
                    rest = more;
                }
                out.push_str(line.trim_end());
                out.push('\n');
                line.clone_from(&hang);
                is_empty = true;
            }
        }
        out + line.trim_end() + "\n"
    }

    /// `text`, lines that are wider folded, but for those of a file that is shown (they are
    /// indented by four) and what is to be pasted.
    pub fn folded_lines(self, text: &str) -> String {
        let fold = |line: &str| {
            let indent = line.len() - line.trim_start().len();
            if columns(line) <= self.0 || indent >= 4 {
                return format!("{line}\n");
            }
            self.wrapped(&line[..indent], indent + 4, line)
        };
        let whole = text.ends_with('\n');
        let mut folded: String = text.lines().map(fold).collect();
        if !whole {
            folded.truncate(folded.trim_end_matches('\n').len());
        }
        folded
    }

    /// A line of `PROGRAM: WORDS`, folded unless the words are a line of a diff.
    pub fn said(self, line: &str) -> String {
        let words = line.split_once(": ").map_or(line, |(_, words)| words);
        if columns(line) <= self.0 || words.starts_with(['+', '-', '@', ' ']) {
            return format!("{line}\n");
        }
        self.wrapped("", 2, line)
    }
}

/// What a table of six columns needs.
const LEAST: usize = 40;

/// How many `text` takes.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The words of `text`; those that have to stay on one line are one.
fn parts(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut parts = Vec::new();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let (part, more) = rest.split_at(copied(rest).max(1));
        parts.push(part.join(" "));
        rest = more;
    }
    parts
}

/// How many of the first `words` somebody copies as one line.
fn copied(words: &[&str]) -> usize {
    if words.starts_with(&["web-server", "="]) {
        return words.iter().position(|word| word.contains('}')).map_or(0, |at| at + 1);
    }
    let begins = |command: &&str| {
        let command: Vec<&str> = command.split(' ').collect();
        let given = words.get(..command.len())?;
        let is_it = given.iter().zip(&command).enumerate().all(|(at, (word, known))| {
            let word = if at == 0 { word.trim_start_matches(OPENING) } else { word };
            let is_last = at + 1 == command.len();
            let word = if is_last { word.trim_end_matches(CLOSING) } else { word };
            *known == "*" && !word.ends_with(CLOSING) || word == *known
        });
        is_it.then_some(command.len())
    };
    let Some(mut count) = COMMANDS.iter().filter_map(begins).max() else { return 0 };
    while let (Some(last), Some(next)) = (words.get(count - 1), words.get(count)) {
        let is_value = last.starts_with('-') && !last.contains('=');
        if last.ends_with(CLOSING) || !(is_value || is_argument(next)) {
            break;
        }
        count += 1;
        // What begins with a quote goes to the other one.
        let is_closed = |word: &&str| word.trim_end_matches(CLOSING).ends_with('\'');
        if next.starts_with('\'') && !(next.len() > 1 && is_closed(next)) {
            count += words[count..].iter().position(is_closed).map_or(0, |at| at + 1);
        }
    }
    count
}

/// No word of a sentence looks so.
fn is_argument(word: &str) -> bool {
    let plain = word.trim_end_matches(CLOSING);
    let is_placeholder = plain.len() > 2 && plain.chars().all(|c| c.is_ascii_uppercase());
    is_placeholder
        || plain.starts_with(['-', '\'', '"', '\\'])
        || plain.contains(['/', '.', '=', '…', '@'])
        || plain.contains(|c: char| c.is_ascii_digit())
}

const OPENING: [char; 3] = ['(', '`', '"'];
const CLOSING: [char; 6] = [',', ';', ':', ')', '`', '.'];

/// How the commands begin that messages have people run; `*` is any word.
const COMMANDS: [&str; 36] = [
    "a2enmod *",
    "apt install *",
    "apt purge *",
    "certbaton check",
    "certbaton init",
    "certbaton install",
    "certbaton lease break",
    "certbaton lease show",
    "certbaton recover",
    "certbaton render",
    "certbaton status",
    "certbaton switch local",
    "certbaton switch peer",
    "certbaton thumbprint",
    "certbaton uninstall",
    "certbot certificates",
    "certbot certonly",
    "certbot delete",
    "certbot reconfigure",
    "certbot renew",
    "chmod *",
    "chown *",
    "diff *",
    "journalctl -u",
    "kill -CONT",
    "ln -sfn",
    "mkdir -p",
    "renew-coordinate",
    "rm *",
    "ssh-keygen -l",
    "ssh-keygen -lf",
    "systemctl * *",
    "systemctl daemon-reload",
    "timedatectl *",
    "useradd --system",
    "userdel *",
];

/// Where a word that is longer than `room` is cut: behind a joint of it, if there is one.
pub fn break_of(word: &str, room: usize) -> usize {
    let fits = word.char_indices().nth(room.max(1)).map_or(word.len(), |(at, _)| at);
    let joint = word[..fits].rfind(['.', '-', '/', ':', ',', '=']).map(|at| at + 1);
    joint.filter(|at| *at > 1).unwrap_or(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(text: &str) -> bool {
        text.lines().all(|line| columns(line) <= WIDTH)
    }

    fn wrapped(first: &str, hang: usize, text: &str) -> String {
        Width::default().wrapped(first, hang, text)
    }

    #[test]
    fn a_line_goes_on_below_its_own_beginning() {
        let text = wrapped("WARNING: ", 4, &"word ".repeat(20));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("WARNING: word") && lines[1].starts_with("    word"));
        assert_eq!(wrapped("", 2, "short"), "short\n");
        assert_eq!(wrapped("x: ", 2, ""), "x:\n");
    }

    #[test]
    fn only_prose_is_folded() {
        let (long, content) = ("word ".repeat(20), format!("    {}\n", "word ".repeat(20)));
        let text = Width::default().folded_lines(&format!("  note: {long}\n{content}short"));
        assert!(text.starts_with("  note: word") && text.ends_with(&format!("\n{content}short")));
        assert!(text.replace(&content, "").lines().all(fits), "{text}");
        assert_eq!(Width::default().folded_lines("Do this? [y/N] "), "Do this? [y/N] ");
        assert_eq!(Width::default().folded_lines(""), "");
    }

    /// Each is pasted as it stands, wherever the line before it ends.
    #[test]
    fn what_is_copied_is_never_cut() {
        let line = r#"web-server = { test = ["/usr/sbin/nginx", "-t"], reload = ["/usr/bin/systemctl", "reload", "nginx"] }"#;
        for (text, copied) in [
            (
                "run certbot certonly --webroot --cert-name cloud.example.org -w /var/www/html, then",
                "certbot certonly --webroot --cert-name cloud.example.org -w /var/www/html",
            ),
            ("start it: systemctl start apache2; and then", "systemctl start apache2"),
            ("from anywhere else: certbaton lease break 17", "certbaton lease break 17"),
            (
                "then, on the vps: certbaton init --role vps --home-key 'ssh-ed25519 AAAAC3Nz home' --name casa",
                "certbaton init --role vps --home-key 'ssh-ed25519 AAAAC3Nz home' --name casa",
            ),
            (
                "the programs: rm /usr/local/bin/certbaton /usr/local/bin/certbaton-pre-hook and more",
                "rm /usr/local/bin/certbaton /usr/local/bin/certbaton-pre-hook",
            ),
            ("(apt install certbot), or else", "apt install certbot"),
            ("install it (apt install certbot), or else", "apt install certbot"),
            ("remove it: certbaton recover there", "certbaton recover"),
            ("add above its first section: LINE it is", line),
        ] {
            for before in 0..WIDTH {
                let text = format!("{} {text}", "x".repeat(before)).replace("LINE", line);
                let text = wrapped("problem: ", 8, &text);
                assert!(text.lines().any(|line| line.contains(copied)), "{text}");
                let wide = text.lines().filter(|line| columns(line) > WIDTH);
                let is_alone = |line: &str| line.trim().trim_end_matches(CLOSING) == copied;
                assert!(wide.into_iter().all(is_alone), "{text}");
            }
        }
        assert_eq!(parts("certbot skips this lineage").len(), 4);
    }

    #[test]
    fn a_terminal_has_its_own_width_up_to_80_columns() {
        let width = |columns: u16| Width::of_terminal(columns).columns();
        assert_eq!([0, 10, 60, 80, 300].map(width), [80, 40, 60, 80, 80]);
        let text = Width::of_terminal(50).wrapped("WARNING: ", 4, &"word ".repeat(30));
        assert!(text.lines().all(|line| columns(line) <= 50), "{text}");
        assert!(text.lines().next().is_some_and(|line| columns(line) > 45), "{text}");
    }

    #[test]
    fn what_a_program_says_is_folded_but_for_a_diff() {
        let long = "word ".repeat(30);
        let said = Width::of_terminal(60).said(&format!("certbaton-pre-hook: {long}"));
        assert!(said.lines().all(|line| columns(line) <= 60), "{said}");
        assert!(
            said.starts_with("certbaton-pre-hook: word") && said.contains("\n  word"),
            "{said}"
        );
        for line in [format!("certbaton: +{long}"), format!("certbaton: - {long}")] {
            assert_eq!(Width::default().said(&line), line + "\n");
        }
        assert_eq!(Width::default().said("certbaton: a  b"), "certbaton: a  b\n");
    }

    proptest! {
        #[test]
        fn everything_fits_and_no_word_is_lost(
            words in proptest::collection::vec("[a-zß.:/-]{1,120}", 0..40),
            hang in 0_usize..20,
        ) {
            let plain = |text: &str| text.replace(char::is_whitespace, "");
            let text = wrapped("first: ", hang, &words.join(" "));
            prop_assert!(fits(&text), "{}", text);
            prop_assert_eq!(plain(&text), format!("first:{}", words.concat()));
        }
    }
}
