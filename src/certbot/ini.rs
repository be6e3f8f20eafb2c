//! pure: the text of certbot's `cli.ini`, as the options it stands for.
//!
//! The syntax is that of `configargparse.DefaultConfigFileParser`. A line it
//! would refuse is skipped: certbot itself does not start with such a file.

/// One `key = value` line, the key without leading dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The long option's name.
    pub key: String,
    /// Its value; `true` for a key that stands alone.
    pub value: String,
}

/// The settings of one file, in order; a repeated key keeps its place and takes the last value.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';', '[']) || line.starts_with("---") {
            continue;
        }
        let Some(setting) = setting(line) else { continue };
        match settings.iter_mut().find(|known| known.key == setting.key) {
            Some(known) => known.value = setting.value,
            None => settings.push(setting),
        }
    }
    settings
}

fn setting(line: &str) -> Option<Setting> {
    let end = line.find(|c: char| ":=;#".contains(c) || c.is_whitespace()).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    if key.is_empty() {
        return None;
    }
    let key = key.trim_start_matches('-').to_owned();
    let rest = rest.trim_start();
    let assigned = rest.strip_prefix([':', '=']);
    let value = without_comment(assigned.unwrap_or(rest));
    let value = if value.is_empty() && assigned.is_none() { "true" } else { unquoted(value) };
    Some(Setting { key, value: value.to_owned() })
}

/// A comment starts at `#` or `;` after white space (or at the start).
fn without_comment(text: &str) -> &str {
    let mut after_space = true;
    for (at, c) in text.char_indices() {
        if after_space && matches!(c, '#' | ';') {
            return text[..at].trim();
        }
        after_space = c.is_whitespace();
    }
    text.trim()
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).into_iter().map(|s| (s.key, s.value)).collect()
    }

    #[test]
    fn every_way_to_write_a_setting_is_read() {
        let text = "# comment\n; too\n---\n[section]\nwebroot\nwebroot-path = /srv/www # here\n\
                    config-dir: '/etc/le'\n--work-dir /var/le\ndomains=a.example, b.example\n\
                    dry-run = False\nserver =\n";
        let expected = [
            ("webroot", "true"),
            ("webroot-path", "/srv/www"),
            ("config-dir", "/etc/le"),
            ("work-dir", "/var/le"),
            ("domains", "a.example, b.example"),
            ("dry-run", "False"),
            ("server", ""),
        ];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn a_repeated_key_takes_the_last_value_in_its_first_place() {
        let expected = [("a", "3"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(pairs("a = 1\nb = 2\na = 3\n"), expected);
    }

    #[test]
    fn a_hash_inside_a_word_is_no_comment() {
        assert_eq!(
            pairs("server = https://x.example/#a"),
            [("server".to_owned(), "https://x.example/#a".to_owned())]
        );
    }
}
