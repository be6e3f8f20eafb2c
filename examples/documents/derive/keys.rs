//! pure: the table of configuration keys in doc/configuration.md, which is the one place that explains them, as roff.

/// A row of the table: key or keys, default, meaning; in Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) names: String,
    pub(crate) default: String,
    pub(crate) meaning: String,
}

/// The rows below `| key | default | meaning |`.
pub(crate) fn keys(page: &str) -> Vec<Key> {
    let table = page.lines().skip_while(|line| *line != "| key | default | meaning |").skip(2);
    table
        .map_while(|line| {
            let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
            let mut cells = cells.splitn(3, '|').map(|cell| cell.trim().to_owned());
            Some(Key { names: cells.next()?, default: cells.next()?, meaning: cells.next()? })
        })
        .collect()
}

/// A tagged paragraph each.
pub(crate) fn roff(keys: &[Key]) -> String {
    let mut text = String::new();
    for Key { names, default, meaning } in keys {
        text.extend([".TP\n", &inline(names), "\n", &inline(meaning), ".\n"]);
        if !default.is_empty() {
            text.extend(["Default: ", &inline(default), ".\n"]);
        }
    }
    text
}

/// One line of Markdown's running text: code is bold, all else as it stands.
fn inline(markdown: &str) -> String {
    let mut roff = String::new();
    for (at, part) in markdown.split('`').enumerate() {
        let part = part.replace('\\', r"\e").replace('-', r"\-");
        if at % 2 == 0 { roff += &part } else { roff.extend([r"\fB", &part, r"\fR"]) }
    }
    // A line that began with a dot or an apostrophe would be a request.
    if roff.starts_with(['.', '\'']) { format!(r"\&{roff}") } else { roff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_a_tagged_paragraph() {
        let readme = "x\n\n| key | default | meaning |\n| --- | --- | --- |\n| `a-b`, `c` | | says `\\n` |\n| `d` | `\"1s\"` | .d |\n\nno | row |\n";
        let keys = keys(readme);
        assert_eq!(keys.len(), 2);
        let expected = ".TP\n\\fBa\\-b\\fR, \\fBc\\fR\nsays \\fB\\en\\fR.\n\
                        .TP\n\\fBd\\fR\n\\&.d.\nDefault: \\fB\"1s\"\\fR.\n";
        assert_eq!(roff(&keys), expected);
    }
}
