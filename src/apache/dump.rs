//! pure: what Apache itself says about its configuration.
//!
//! Reads the output of one `apache2 -t -D DUMP_INCLUDES -D DUMP_MODULES
//! -D DUMP_VHOSTS -D DUMP_RUN_CFG -D DUMP_CONFIG` (`DUMP_CONFIG` comes from
//! `mod_info`). The text can hold secrets, so nothing here prints it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

pub mod file_name;
mod parser;

pub use parser::Reading;

use crate::apache::document::words;
use crate::apache::misread::Error;

/// Where a directive stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// A path as Apache opened it (see [`file_name`]), or its description of a macro use.
    pub file: String,
    /// Last physical line of the directive; within a macro, of its stored body.
    pub line: u32,
}

impl Origin {
    /// Whether the directive comes from the body of a `<Macro>`.
    pub fn is_macro(&self) -> bool {
        self.file.starts_with("macro '")
    }

    /// The file that a person can look up: of a macro the one that uses it, since the body may stand
    /// elsewhere.
    pub fn written_in(&self) -> &str {
        self.used().map_or(&self.file, |(_, file)| file)
    }

    /// Line and file of a macro's use.
    fn used(&self) -> Option<(&str, &str)> {
        let (_, used) = self.file.rsplit_once(" used on line ").filter(|_| self.is_macro())?;
        let (line, file) = used.split_once(" of \"")?;
        Some((line, file.trim_end_matches('"')))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.used() {
            Some((line, file)) => {
                let name = self.file.split('\'').nth(1).unwrap_or_default();
                write!(f, "{file}:{line} (macro {name})")
            }
            None => write!(f, "{}:{}", self.file, self.line),
        }
    }
}

/// An active directive or section, variables expanded and conditions resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name in lower case; a section's keeps its `<`.
    pub name: String,
    /// Everything after the name; a section's without the final `>`.
    pub arguments: Vec<u8>,
    /// Where it stands.
    pub origin: Origin,
    /// What a section contains.
    pub children: Vec<Node>,
}

impl Node {
    /// The words of its arguments.
    pub fn words(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        words(&self.arguments)
    }

    /// The first of them; nothing where there is none.
    pub fn first(&self) -> Vec<u8> {
        self.words().next().unwrap_or_default()
    }

    /// Whether it switches something on.
    pub fn is_on(&self) -> bool {
        self.first().eq_ignore_ascii_case(b"on")
    }
}

/// A file that Apache read.
///
/// Apache prints a line number too, which is that of the last directive it read anywhere: of a
/// nested `Include`, or of one that matched nothing, for the file that comes after it
/// (`ap_process_resource_config`, config.c). It tells nothing of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Path as Apache opened it (see [`file_name`]).
    pub file: String,
    /// Depth in the tree of includes; 0 is the main file.
    pub depth: usize,
}

/// One address on which a `<VirtualHost>` is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// `None` is `*`.
    pub address: Option<IpAddr>,
    /// `None` is every port.
    pub port: Option<u16>,
    /// The `<VirtualHost>` line.
    pub vhost: Origin,
    /// Its name, as Apache prints it: one without a `ServerName` has the main server's, or what
    /// its address resolves to (`ap_fini_vhost_config`, vhost.c).
    pub name: String,
    /// Its other names, as Apache prints them; a vhost that is alone on an address has none printed.
    pub aliases: Vec<String>,
}

/// Everything one dump tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Files read, in order; a file read twice stands twice.
    pub includes: Vec<Include>,
    /// Modules, without `_module`.
    pub modules: BTreeSet<String>,
    /// Bindings in Apache's order of precedence within one address.
    pub bindings: Vec<Binding>,
    /// Active configuration, in order.
    pub config: Vec<Node>,
    /// `ServerRoot`.
    pub server_root: String,
    /// `DocumentRoot` of the main server.
    pub document_root: String,
    /// `PidFile`, absolute.
    pub pid_file: String,
    /// Numeric id of `User`.
    pub user: Option<u32>,
}

impl Dump {
    /// The directives of the main server, in order.
    pub fn main(&self) -> impl DoubleEndedIterator<Item = &Node> + Clone {
        self.config.iter().filter(|node| node.name != "<virtualhost")
    }

    /// The `<VirtualHost>` sections, in order.
    pub fn sections(&self) -> impl DoubleEndedIterator<Item = &Node> + Clone {
        self.config.iter().filter(|node| node.name == "<virtualhost")
    }

    /// Reads the standard output of a dump.
    pub fn parse(output: &[u8]) -> Result<Self, Error> {
        let mut reading = Reading::default();
        reading.push(output);
        reading.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &[u8] = b"Included configuration files:
  (*) /s/httpd.conf
    (28) /s/sites-enabled/a.conf
      (17) /s/snip/s.conf
Loaded Modules:
 core_module (static)
 proxy_module (shared)
VirtualHost configuration:
[::1]:8080             a.example.org (/s/sites-enabled/a.conf:1)
*:8080                 is a NameVirtualHost
         default server a.example.org (/s/sites-enabled/a.conf:1)
         port 8080 namevhost a.example.org (/s/sites-enabled/a.conf:1)
                 alias www.a.example.org
         port 8080 namevhost m.example.org (macro 'vh' (defined on line 20 of \"/s/httpd.conf\") used on line 29 of \"/s/httpd.conf\":1)
# In file: /s/httpd.conf
#   2:
PidFile /s/logs/httpd.pid
# In file: /s/sites-enabled/a.conf
#   1:
<VirtualHost *:8080 [::1]:8080>
  #   7:
  <Location \"/foo bar\">
    #   8:
    <LimitExcept GET>
      #   9:
      Require all denied
    </LimitExcept>
  </Location>
  #1012:
  <Location /empty>
# In file: /s/snip/s.conf
  #   1:
  ProxyPass /s http://127.0.0.1:9000/s
</VirtualHost>
ServerRoot: \"/s\"
Main DocumentRoot: \"/s/www\"
PidFile: \"/s/logs/httpd.pid\"
Define: BACK=127.0.0.1:9000
User: name=\"www-data\" id=33
";

    #[test]
    fn includes_keep_their_depth() {
        let dump = Dump::parse(OUTPUT).unwrap();
        let seen: Vec<_> = dump.includes.iter().map(|i| i.depth).collect();
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(dump.includes[2].file, "/s/snip/s.conf");
    }

    #[test]
    fn names_of_files_may_hold_line_ends_and_bytes_of_any_kind() {
        let output = b"Included configuration files:
  (*) /s/httpd.conf
    (2) /s/a
b.conf
    (2) /s/caf\xe9.conf
VirtualHost configuration:
*:80                   is a NameVirtualHost
         default server a.example.org (/s/a
b.conf:1)
         port 80 namevhost a.example.org (/s/a
b.conf:1)
                 alias www.a.example.org
         port 80 namevhost c.example.org (/s/caf\xe9.conf:1)
*:81                   d.example.org (/s/a
b.conf:5)
# In file: /s/a
b.conf
#   1:
<VirtualHost *:80>
# In file: /s/caf\xe9.conf
#   1:
<VirtualHost *:80>
ServerRoot: \"/s\"
";
        let dump = Dump::parse(output).unwrap();
        let files: Vec<&str> = dump.includes.iter().map(|i| &*i.file).collect();
        assert_eq!(files, ["/s/httpd.conf", r"/s/a\x0ab.conf", r"/s/caf\xe9.conf"]);
        let bound: Vec<_> =
            dump.bindings.iter().map(|b| (b.port, &*b.vhost.file, b.vhost.line)).collect();
        let (a, c) = (r"/s/a\x0ab.conf", r"/s/caf\xe9.conf");
        assert_eq!(bound, [(Some(80), a, 1), (Some(80), c, 1), (Some(81), a, 5)]);
        let nodes: Vec<&Origin> = dump.config.iter().map(|n| &n.origin).collect();
        assert_eq!(nodes, [&dump.bindings[0].vhost, &dump.bindings[1].vhost]);
        assert_eq!(dump.server_root, "/s");
    }

    #[test]
    fn vhosts_are_bound_to_their_addresses_also_from_macros() {
        let dump = Dump::parse(OUTPUT).unwrap();
        let seen: Vec<_> =
            dump.bindings.iter().map(|b| (b.address, b.port, b.vhost.is_macro())).collect();
        assert_eq!(
            seen,
            [
                (Some("::1".parse().unwrap()), Some(8080), false),
                (None, Some(8080), false),
                (None, Some(8080), true)
            ]
        );
    }

    #[test]
    fn directives_nest_by_indentation() {
        let dump = Dump::parse(OUTPUT).unwrap();
        let vhost = &dump.config[1];
        assert_eq!(
            (vhost.name.as_str(), vhost.arguments.as_slice()),
            ("<virtualhost", &b"*:8080 [::1]:8080"[..])
        );
        let names: Vec<_> = vhost.children.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["<location", "<location", "proxypass"]);
        assert_eq!(vhost.children[0].children[0].children[0].name, "require");
        assert_eq!(vhost.children[2].origin, Origin { file: "/s/snip/s.conf".into(), line: 1 });
    }

    #[test]
    fn the_run_configuration_is_read() {
        let dump = Dump::parse(OUTPUT).unwrap();
        assert_eq!((dump.server_root.as_str(), dump.document_root.as_str()), ("/s", "/s/www"));
        assert_eq!((dump.pid_file.as_str(), dump.user), ("/s/logs/httpd.pid", Some(33)));
        assert!(dump.modules.contains("proxy") && dump.modules.contains("core"));
    }

    #[test]
    fn a_line_of_a_macro_is_shown_where_the_macro_is_used() {
        let file =
            r#"macro 'vh' (defined on line 20 of "/s/m.conf") used on line 29 of "/s/a.conf""#;
        let shown = Origin { file: file.into(), line: 1 }.to_string();
        assert_eq!(shown, "/s/a.conf:29 (macro vh)");
    }

    #[test]
    fn a_dump_without_directives_is_an_error() {
        assert_eq!(Dump::parse(b"ServerRoot: \"/s\"\n"), Err(Error::NoDirectives));
    }
}
