//! pure: text for people at a terminal of 80 columns: wrapped lines, tables that fit, how long.

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;

/// Columns of a terminal.
pub const WIDTH: usize = 80;

/// `text` in lines of at most [`WIDTH`], the first behind `first`, the others indented by `hang`.
///
/// What somebody copies, a command or a line of the configuration, is never cut: it may be wider.
pub fn wrapped(first: &str, hang: usize, text: &str) -> String {
    let below = WIDTH.saturating_sub(hang);
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
            let room = WIDTH.saturating_sub(columns(&line) + gap);
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

/// `text`, lines that are wider than [`WIDTH`] folded, but for those of a file that is shown
/// (they are indented by four) and what is to be pasted.
pub fn folded_lines(text: &str) -> String {
    let fold = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        if columns(line) <= WIDTH || indent >= 4 {
            return format!("{line}\n");
        }
        wrapped(&line[..indent], indent + 4, line)
    };
    let whole = text.ends_with('\n');
    let mut folded: String = text.lines().map(fold).collect();
    if !whole {
        folded.truncate(folded.trim_end_matches('\n').len());
    }
    folded
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
fn break_of(word: &str, room: usize) -> usize {
    let fits = word.char_indices().nth(room.max(1)).map_or(word.len(), |(at, _)| at);
    let joint = word[..fits].rfind(['.', '-', '/', ':', ',', '=']).map(|at| at + 1);
    joint.filter(|at| *at > 1).unwrap_or(fits)
}

/// The first of `all`, and how many more there are.
pub fn few<T: fmt::Display>(all: &[T]) -> String {
    let first: Vec<String> = all.iter().take(FEW).map(ToString::to_string).collect();
    let more = all.len().saturating_sub(FEW);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(" ") + &rest
}

/// Of a list, as many as a person reads.
const FEW: usize = 8;

/// How long, for people.
pub fn span(duration: SignedDuration) -> String {
    match duration.abs().as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Rows of cells, the first of them the head.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// What stands below a row, by its number.
    below: BTreeMap<usize, String>,
    indent: usize,
}

impl Table {
    /// One with these names of its columns.
    pub fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()], ..Self::default() }
    }

    /// The same, indented.
    #[must_use]
    pub fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Adds a row, which has as many cells as the head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.rows[0].len(), String::new());
        self.rows.push(cells);
    }

    /// Adds a line below the last row, as wide as it likes.
    pub fn below(&mut self, text: impl Into<String>) {
        self.below.insert(self.rows.len() - 1, text.into());
    }

    /// Aligned, in lines of at most [`WIDTH`]; the cells of what is wider go on below.
    pub fn text(&self) -> String {
        self.painted(|_, _, padded| padded)
    }

    /// The same; `paint` gets the row's number (0: the head), the column's, and the padded cell.
    pub fn painted(&self, paint: impl Fn(usize, usize, String) -> String) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, width)| folded(cell, *width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
                let cell = |(column, parts): (usize, &Vec<String>)| {
                    let part = parts.get(line).map_or("", String::as_str);
                    let padded = format!("{part:width$}", width = widths[column]);
                    if part.is_empty() { padded } else { paint(number, column, padded) }
                };
                let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
                let line = format!("{}{}", " ".repeat(self.indent), cells.join("  "));
                text.push_str(line.trim_end());
                text.push('\n');
            }
            if let Some(below) = self.below.get(&number) {
                let indent = self.indent + 2;
                text.push_str(&wrapped(&" ".repeat(indent), indent + 2, below));
            }
        }
        text
    }

    /// As wide as the longest cell if all that fits; else the widest give way, as long as that
    /// breaks no word, and then all the same.
    fn widths(&self) -> Vec<usize> {
        let count = self.rows[0].len();
        let of = |measure: fn(&str) -> usize| -> Vec<usize> {
            let widest = |n: usize| self.rows.iter().map(|row| measure(&row[n])).max().unwrap_or(0);
            (0..count).map(widest).collect()
        };
        let mut widths = of(columns);
        let words = of(|cell| cell.split_whitespace().map(columns).max().unwrap_or(0));
        let room = WIDTH.saturating_sub(self.indent + 2 * count.saturating_sub(1));
        for least in [&words, &vec![NARROWEST; count]] {
            while widths.iter().sum::<usize>() > room {
                let wider = (0..count).filter(|&n| widths[n] > least[n]);
                let Some(widest) = wider.max_by_key(|&n| widths[n]) else { break };
                widths[widest] -= 1;
            }
        }
        widths
    }
}

/// A cell in lines of at most `width`.
fn folded(cell: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell.split_whitespace() {
        let mut rest = word;
        while let Some(line) = lines.last_mut() {
            let gap = usize::from(!line.is_empty());
            if columns(line) + gap + columns(rest) <= width {
                line.push_str(&" ".repeat(gap));
                line.push_str(rest);
                break;
            }
            if line.is_empty() {
                let (piece, more) = rest.split_at(break_of(rest, width));
                line.push_str(piece);
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            lines.push(String::new());
        }
    }
    lines
}

/// No column is narrower.
const NARROWEST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(text: &str) -> bool {
        text.lines().all(|line| columns(line) <= WIDTH)
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
        let text = folded_lines(&format!("  note: {long}\n{content}short"));
        assert!(text.starts_with("  note: word") && text.ends_with(&format!("\n{content}short")));
        assert!(text.replace(&content, "").lines().all(fits), "{text}");
        assert_eq!(folded_lines("Do this? [y/N] "), "Do this? [y/N] ");
        assert_eq!(folded_lines(""), "");
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
    fn a_table_is_as_wide_as_it_must_be_and_wraps_where_it_is_too_wide() {
        let mut table = Table::new(["A", "NAMES"]).indented(2);
        table.row(["1", "a.example"]);
        assert_eq!(table.text(), "  A  NAMES\n  1  a.example\n");
        table.row(["2", &"name.example ".repeat(9)]);
        let text = table.text();
        assert!(fits(&text) && text.lines().count() == 4, "{text}");
        assert!(!text.contains("name.\n"), "no word is broken that need not be: {text}");
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

        #[test]
        fn every_table_of_at_most_nine_columns_fits(
            rows in proptest::collection::vec(
                proptest::collection::vec("([a-zß.-]{1,70} ?){0,5}", 9), 1..6),
            columns in 1_usize..10,
        ) {
            let mut table = Table::new((0..columns).map(|n| format!("HEAD {n}")));
            for row in &rows {
                table.row(row[..columns].to_vec());
            }
            prop_assert!(fits(&table.text()), "{}", table.text());
        }
    }
}
