//! pure: whether a configuration file is written by a program that may write it again.
//!
//! A panel or a configuration manager would drop inserted lines while a renewal
//! runs, so such a file needs a person's word (`--force-generated`).

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Who writes `file`, as far as its path or its first lines tell.
pub fn generator(file: &str, content: &[u8]) -> Option<String> {
    let by_path = PATHS.iter().find(|(part, _)| file.contains(part)).map(|(_, name)| *name);
    if let Some(name) = by_path {
        return Some(name.to_owned());
    }
    let head = content.split(|&b| b == b'\n').take(HEAD_LINES);
    head.filter(|line| line.trim_ascii_start().starts_with(b"#")).find_map(|line| {
        let found = SAYS.find(line)?;
        Some(format!("its head says \"{}\"", String::from_utf8_lossy(found.as_bytes())))
    })
}

/// Directories that only a panel writes.
const PATHS: [(&str, &str); 6] = [
    ("/var/www/vhosts/system/", "plesk"),
    ("/usr/local/directadmin/", "directadmin"),
    ("/apache2/conf.d/userdata/", "cpanel"),
    ("/apache2/conf/pre_virtualhost_global.conf", "cpanel"),
    ("/apache2/conf/includes/pre_virtualhost_global.conf", "cpanel"),
    ("/hestia/data/", "hestia"),
];

/// Where generators introduce themselves.
const HEAD_LINES: usize = 30;

static SAYS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, used by the test below")]
    Regex::new(
        r"(?i-u)(auto(matically)?[- ]?generated|generated (by|automatically)|do not (edit|modify|change)|managed by \w+|ansible managed|cpanel|directadmin|plesk|ispconfig|froxlor|hestia(cp)?|i-mscp|virtualmin (template|managed))",
    )
    .expect("a constant pattern")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_are_known_by_their_words_and_places() {
        for head in [
            "# Ansible managed",
            "#  VirtualHosts are auto generated. Please DO NOT MODIFY",
            "# This file is managed by Puppet",
        ] {
            assert!(generator("/etc/apache2/a.conf", head.as_bytes()).is_some(), "{head}");
        }
        assert!(generator("/var/www/vhosts/system/a/conf/httpd.conf", b"").is_some());
    }

    #[test]
    fn what_people_write_is_not_generated() {
        let text = b"# my site\n<VirtualHost *:80>\n  ServerName plesk.example.org\n";
        assert_eq!(generator("/etc/apache2/sites-available/a.conf", text), None);
    }
}
