//! pure: what Apache itself says about its configuration.
//!
//! Reads the output of one `apache2 -t -D DUMP_INCLUDES -D DUMP_MODULES
//! -D DUMP_VHOSTS -D DUMP_RUN_CFG -D DUMP_CONFIG` (`DUMP_CONFIG` comes from
//! `mod_info`). The text can hold secrets, so nothing here prints it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::exit::{CarriesExit, Exit};

/// Where a directive stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// A path as Apache opened it, or its description of a macro use.
    pub file: String,
    /// Last physical line of the directive; within a macro, of its stored body.
    pub line: u32,
}

impl Origin {
    /// Whether the directive comes from the body of a `<Macro>`.
    pub fn is_macro(&self) -> bool {
        self.file.starts_with("macro '")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self
            .file
            .rsplit_once(" used on line ")
            .and_then(|(_, used)| used.split_once(" of \""))
        {
            // The use is what a person can look up; the body may stand elsewhere.
            Some((line, file)) if self.is_macro() => {
                let name = self.file.split('\'').nth(1).unwrap_or_default();
                write!(f, "{}:{line} (macro {name})", file.trim_end_matches('"'))
            }
            _ => write!(f, "{}:{}", self.file, self.line),
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

/// A file that Apache read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Path as Apache opened it.
    pub file: String,
    /// Depth in the tree of includes; 0 is the main file.
    pub depth: usize,
    /// Line of the `Include` in the including file; `None` for the main file.
    pub line: Option<u32>,
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

/// The dump is not what this version of the reader understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `mod_info` is not there, or printed nothing.
    #[error(
        "apache did not list its directives (is mod_info.so installed beside its other modules?)"
    )]
    NoDirectives,
    /// An entry has no place in the tree.
    #[error("apache's list of directives is not understood near its entry for {0}")]
    Entry(Origin),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::NoDirectives | Self::Entry(_) => Exit::Failed,
        }
    }
}

/// A dump that is read while Apache prints it.
#[derive(Default)]
pub struct Reading {
    dump: Dump,
    reader: Reader,
    /// The line that is not complete yet.
    rest: Vec<u8>,
}

impl Reading {
    /// Reads what comes next.
    pub fn push(&mut self, part: &[u8]) {
        let mut lines = part.split(|&b| b == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            if self.rest.is_empty() {
                self.line(line);
            } else {
                let line = [&std::mem::take(&mut self.rest), line].concat();
                self.line(&line);
            }
        }
        self.rest.extend_from_slice(last);
    }

    /// The files it named so far; they come before everything else.
    pub fn includes(&self) -> &[Include] {
        &self.dump.includes
    }

    /// The whole dump.
    pub fn finish(mut self) -> Result<Dump, Error> {
        let last = std::mem::take(&mut self.rest);
        self.line(&last);
        self.dump.config = self.reader.tree()?;
        Ok(self.dump)
    }

    fn line(&mut self, line: &[u8]) {
        let known = self.reader.directive(line)
            || self.dump.include(line)
            || self.dump.module(line)
            || self.dump.binding(line, &mut self.reader);
        if !known {
            self.dump.run_config(line);
        }
    }
}

impl Dump {
    /// Reads the standard output of a dump.
    pub fn parse(output: &[u8]) -> Result<Self, Error> {
        let mut reading = Reading::default();
        reading.push(output);
        reading.finish()
    }

    fn include(&mut self, line: &[u8]) -> bool {
        let Some(found) = INCLUDE.captures(line) else { return false };
        let file = String::from_utf8_lossy(&found[3]).into_owned();
        let depth = found[1].len() / 2 - 1;
        self.includes.push(Include {
            file,
            depth,
            line: found.get(2).and_then(|n| number(n.as_bytes())),
        });
        true
    }

    fn module(&mut self, line: &[u8]) -> bool {
        let Some(found) = MODULE.captures(line) else { return false };
        self.modules.insert(String::from_utf8_lossy(&found[1]).into_owned());
        true
    }

    /// `dump_vhosts` of `server/vhost.c`: a lone vhost stands beside its
    /// address; several follow it, in order of precedence.
    fn binding(&mut self, line: &[u8], reader: &mut Reader) -> bool {
        if let Some(found) = ADDRESS.captures(line) {
            let address = String::from_utf8_lossy(&found[1]).into_owned();
            let port = number(&found[2]).and_then(|n| u16::try_from(n).ok());
            reader.address = Some((address.trim_matches(['[', ']']).parse().ok(), port));
            if let Some(vhost) = found.get(3).and_then(|text| origin(text.as_bytes())) {
                self.bind(vhost, reader);
            }
            return true;
        }
        let Some(found) = NAME_VHOST.captures(line) else { return false };
        if let Some(vhost) = origin(&found[1]) {
            self.bind(vhost, reader);
        }
        true
    }

    fn bind(&mut self, vhost: Origin, reader: &Reader) {
        if let Some((address, port)) = reader.address {
            self.bindings.push(Binding { address, port, vhost });
        }
    }

    fn run_config(&mut self, line: &[u8]) {
        let Some(found) = RUN_CONFIG.captures(line) else { return };
        let value = String::from_utf8_lossy(&found[2]).into_owned();
        match &found[1] {
            b"ServerRoot" => self.server_root = value,
            b"Main DocumentRoot" => self.document_root = value,
            b"PidFile" => self.pid_file = value,
            b"User" => self.user = found.get(3).and_then(|id| number(id.as_bytes())),
            _ => {}
        }
    }
}

/// `# In file: F`, `#   N:` and the directive below it, as `mod_info` prints
/// them (`mod_info_module_cmds`), and the address that the next vhosts belong to.
#[derive(Default)]
struct Reader {
    file: Option<String>,
    /// Line and depth of the entry whose directive comes next.
    entry: Option<(u32, usize)>,
    entries: Vec<(usize, Node)>,
    address: Option<(Option<IpAddr>, Option<u16>)>,
}

impl Reader {
    fn directive(&mut self, line: &[u8]) -> bool {
        if let Some((number, depth)) = self.entry.take() {
            let file = self.file.clone().unwrap_or_default();
            self.entries.push((depth, node(line, Origin { file, line: number })));
            return true;
        }
        if let Some(file) = line.strip_prefix(b"# In file: ") {
            self.file = Some(String::from_utf8_lossy(file).into_owned());
            return true;
        }
        if self.file.is_none() {
            return false;
        }
        if let Some(found) = ENTRY.captures(line) {
            self.entry = Some((number(&found[2]).unwrap_or(0), found[1].len() / 2));
            return true;
        }
        line.trim_ascii_start().starts_with(b"</")
    }

    /// An empty section has no closing line: indentation alone tells the depth.
    fn tree(self) -> Result<Vec<Node>, Error> {
        let mut entries = self.entries.into_iter().peekable();
        let nodes = siblings(&mut entries, 0);
        match entries.next() {
            Some((_, stray)) => Err(Error::Entry(stray.origin)),
            None if nodes.is_empty() => Err(Error::NoDirectives),
            None => Ok(nodes),
        }
    }
}

type Entries = std::iter::Peekable<std::vec::IntoIter<(usize, Node)>>;

fn siblings(entries: &mut Entries, depth: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some((_, mut node)) = entries.next_if(|(at, _)| *at == depth) {
        node.children = siblings(entries, depth + 1);
        nodes.push(node);
    }
    nodes
}

fn node(line: &[u8], origin: Origin) -> Node {
    let line = line.trim_ascii_start();
    let cut = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (name, arguments) = line.split_at(cut);
    let section = name.starts_with(b"<");
    let (name, arguments) = match section {
        true if arguments.is_empty() => (name.strip_suffix(b">").unwrap_or(name), arguments),
        true => (name, arguments.strip_suffix(b">").unwrap_or(arguments)),
        false => (name, arguments),
    };
    Node {
        name: String::from_utf8_lossy(name).to_ascii_lowercase(),
        arguments: arguments.trim_ascii_start().to_vec(),
        origin,
        children: Vec::new(),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `(FILE:LINE)`, where FILE may itself hold parentheses and colons.
fn origin(text: &[u8]) -> Option<Origin> {
    let text = String::from_utf8_lossy(text.strip_prefix(b"(")?.strip_suffix(b")")?).into_owned();
    let (file, line) = text.rsplit_once(':')?;
    Some(Origin { file: file.to_owned(), line: line.parse().ok()? })
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, each used by the tests below")]
    Regex::new(text).expect("a constant pattern")
}

static INCLUDE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((?:  )+)\((?:(\d+)|\*)\) (.+)$"));
static MODULE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^ (\S+)_module \((?:static|shared)\)$"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(\*|\[[0-9A-Fa-f:.%\w]+\]|[0-9.]+):(\d+|\*) +(?:is a NameVirtualHost|\S+ (\(.+\)))$")
});
static NAME_VHOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^ +port \S+ namevhost \S+ (\(.+\))$"));
static ENTRY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^( *)# +(\d+):$"));
static RUN_CONFIG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^([A-Z]\w+(?: DocumentRoot)?): (?:name=)?"([^"]*)"(?: id=(\d+))?"#)
});

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
  #  12:
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
    fn includes_keep_depth_and_line() {
        let dump = Dump::parse(OUTPUT).unwrap();
        let seen: Vec<_> = dump.includes.iter().map(|i| (i.depth, i.line)).collect();
        assert_eq!(seen, [(0, None), (1, Some(28)), (2, Some(17))]);
        assert_eq!(dump.includes[2].file, "/s/snip/s.conf");
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
