//! pure: what Apache would dump of one flat file; for the unit tests of other modules.
//!
//! Every line is active and stands in `/f`; vhosts are bound to all addresses.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::apache::document::Document;
use crate::apache::dump::Dump;

/// The dump of `text`, with `modules` loaded.
pub(crate) fn dump(text: &str, modules: &[&str]) -> Dump {
    let mut out = String::new();
    for module in modules {
        writeln!(out, " {module}_module (shared)").unwrap();
    }
    let numbered = || text.lines().zip(1..);
    for (line, number) in numbered().filter(|(l, _)| l.starts_with("<VirtualHost *:")) {
        let port = line.trim_end_matches('>').rsplit(':').next().unwrap();
        writeln!(out, "*:{port}                   is a NameVirtualHost").unwrap();
        writeln!(out, "         port {port} namevhost main.example (/f:{number})").unwrap();
    }
    out.push_str("# In file: /f\n");
    let mut depth = 0;
    for (line, number) in numbered() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("</") {
            depth -= 1;
            continue;
        }
        let pad = "  ".repeat(depth);
        writeln!(out, "{pad}# {number:3}:\n{pad}{line}").unwrap();
        depth += usize::from(line.starts_with('<'));
    }
    Dump::parse(out.as_bytes()).unwrap()
}

/// The files of that dump.
pub(crate) fn documents(text: &str) -> BTreeMap<String, Document> {
    [("/f".to_owned(), Document::parse(text.into()).unwrap())].into()
}
