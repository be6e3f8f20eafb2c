//! flow: bash completes verbs and flags, and offers none that only our own programs use. (zsh and fish are not started.)

use std::path::Path;
use std::process::Command;

use crate::documents::derived;

/// What bash offers for the last of `words`.
fn offered(directory: &Path, words: &[&str]) -> Vec<String> {
    let script = r#"
        . "$1/completions/bash/$2" && shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        read -r _ _ function _ < <(complete -p "$1" | sed 's/.*\(-F [^ ]*\).*/x \1 x/')
        "$function" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .args(["-euc", script, "-"])
        .arg(directory)
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_verbs_and_flags_and_nothing_hidden() {
    let directory = derived();
    let verbs = offered(directory.path(), &["certbaton", ""]);
    for verb in ["switch", "recover", "status", "check", "lease"] {
        assert!(verbs.iter().any(|offer| offer == verb), "{verb}: {verbs:?}");
    }
    for hidden in ["keep", "agent", "serve"] {
        assert!(!verbs.iter().any(|offer| offer == hidden), "{hidden}: {verbs:?}");
    }
    assert_eq!(offered(directory.path(), &["certbaton", "switch", "--dr"]), ["--dry-run"]);
    assert_eq!(offered(directory.path(), &["renew-coordinate", "--f"]), ["--force-renewal"]);
    let flags = offered(directory.path(), &["certbaton-pre-hook", "--"]);
    assert!(flags.iter().any(|offer| offer == "--webroot"), "{flags:?}");
}
