//! pure: what Apache prints when it refuses a configuration, as one line for people.
//!
//! Apache names the line in its own way and breaks the message in two; people and
//! editors look for `file:line` first. Nothing of the message itself is lost.

use std::sync::LazyLock;

use regex::Regex;

use crate::apache::dump::Origin;

/// The complaint in `stderr`: `file:line: message`, or the message alone.
pub fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !is_notice(l)).collect();
    let text = lines.join(" ");
    let Some(found) = SYNTAX_ERROR.captures(&text) else { return text };
    let Ok(line) = found[2].parse() else { return text };
    let origin = Origin { file: found[3].to_owned(), line };
    let before = found[1].trim();
    let gap = if before.is_empty() { "" } else { " " };
    format!("{origin}: {before}{gap}{}", &found[4])
}

/// Warnings are no reason to refuse; the last two lines only say where else to look.
fn is_notice(line: &str) -> bool {
    line.contains("AH00558")
        || line.starts_with('[') && (line.contains(":warn]") || line.contains(":notice]"))
        || line.starts_with("Action '-t' failed")
        || line.starts_with("The Apache error log may have")
}

/// `ap_process_config_tree` and `process_command_config` (main.c, config.c).
static SYNTAX_ERROR: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, used by the test below")]
    Regex::new(r"^(.*?)AH\d+: Syntax error on line (\d+) of (.+?): (.*)$")
        .expect("a constant pattern")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_at_fault_comes_first() {
        let printed = b"AH00558: apache2: Could not determine the server's name\nAH00526: Syntax error on line 4 of /etc/apache2/a.conf:\nInvalid ProxyPass parameter.\nAction '-t' failed.\n";
        assert_eq!(complaint(printed), "/etc/apache2/a.conf:4: Invalid ProxyPass parameter.");
    }

    #[test]
    fn other_messages_stay_as_they_are() {
        let printed = b"apache2: Could not open configuration file /x: No such file\n";
        assert_eq!(
            complaint(printed),
            "apache2: Could not open configuration file /x: No such file"
        );
    }
}
