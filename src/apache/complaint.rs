//! pure: what Apache prints when it refuses a configuration, as one line for people.
//!
//! Apache names the line in its own way and breaks the message in two; people and
//! editors look for `file:line` first. Nothing of the message itself is lost.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::apache::dump::Origin;

/// What Apache refuses, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The line at fault, if Apache names one.
    pub origin: Option<Origin>,
    /// The message.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Complaint {
    /// The complaint in `stderr`.
    pub fn read(stderr: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|l| !l.is_empty() && !is_notice(l)).collect();
        let message = lines.join(" ");
        let at = SYNTAX_ERROR.captures(&message).and_then(|found| {
            let origin = Origin { file: found[3].to_owned(), line: found[2].parse().ok()? };
            let before = found[1].trim();
            let gap = if before.is_empty() { "" } else { " " };
            Some(Self { origin: Some(origin), message: format!("{before}{gap}{}", &found[4]) })
        });
        at.unwrap_or(Self { origin: None, message })
    }
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
        assert_eq!(
            Complaint::read(printed).to_string(),
            "/etc/apache2/a.conf:4: Invalid ProxyPass parameter."
        );
    }

    #[test]
    fn other_messages_stay_as_they_are() {
        let printed = b"apache2: Could not open configuration file /x: No such file\n";
        assert_eq!(
            Complaint::read(printed).to_string(),
            "apache2: Could not open configuration file /x: No such file"
        );
    }
}
