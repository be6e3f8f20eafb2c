//! pure: unified diffs for people.

use similar::TextDiff;

/// What changes from `before` to `after` of `file`, as `diff -u` shows it; empty if nothing.
///
/// Bytes that are not UTF-8 are shown as the replacement character.
pub fn unified(file: &str, before: &[u8], after: &[u8]) -> String {
    if before == after {
        return String::new();
    }
    let (old, new) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    diff.unified_diff().header(file, file).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_shows_its_lines() {
        let diff = unified("/f", b"a\nb\n", b"a\nx\nb\n");
        assert!(diff.starts_with("--- /f\n+++ /f\n@@ -1,2 +1,3 @@\n a\n+x\n b\n"), "{diff}");
        assert_eq!(unified("/f", b"a", b"a"), "");
    }
}
