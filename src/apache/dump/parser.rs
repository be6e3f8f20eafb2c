//! pure: reads Apache's own description of its configuration, line by line, while it is printed.
//!
//! Names of files are the only text in it that may hold line ends: what follows
//! one and is no line of its section goes on with the name.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Binding, Dump, Include, Node, Origin, file_name};
use crate::apache::misread::Error;

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
        self.included();
        self.dump.config = self.reader.tree()?;
        Ok(self.dump)
    }

    fn line(&mut self, line: &[u8]) {
        let known = self.reader.directive(line)
            || self.include(line)
            || self.module(line)
            || self.binding(line);
        if !known {
            self.run_config(line);
        }
    }

    /// `  (LINE) FILE`, by two blanks a level; in the section of its own, which comes first.
    fn include(&mut self, line: &[u8]) -> bool {
        if line == INCLUDES {
            self.reader.section = Section::Includes;
            return true;
        }
        if self.reader.section != Section::Includes {
            return false;
        }
        if let Some(found) = INCLUDE.captures(line) {
            self.included();
            self.reader.included = Some((found[1].len() / 2 - 1, found[2].to_vec()));
            return true;
        }
        if is_heading(line) {
            self.included();
            self.reader.section = Section::Others;
            return false;
        }
        if let Some((_, file)) = &mut self.reader.included {
            file.push(b'\n');
            file.extend_from_slice(line);
        }
        true
    }

    /// The name of the last file is complete.
    fn included(&mut self) {
        if let Some((depth, file)) = self.reader.included.take() {
            self.dump.includes.push(Include { file: file_name::text(&file), depth });
        }
    }

    fn module(&mut self, line: &[u8]) -> bool {
        let Some(found) = MODULE.captures(line) else { return false };
        self.dump.modules.insert(String::from_utf8_lossy(&found[1]).into_owned());
        true
    }

    /// `dump_vhosts` of `server/vhost.c`: a lone vhost stands beside its
    /// address; several follow it, in order of precedence.
    fn binding(&mut self, line: &[u8]) -> bool {
        if let Some(found) = ALIAS.captures(line)
            && let Some(binding) = self.dump.bindings.last_mut()
        {
            binding.aliases.push(String::from_utf8_lossy(&found[1]).into_owned());
            return true;
        }
        let whole = match self.reader.split.take() {
            Some(begun) => [&begun[..], b"\n", line].concat(),
            None if ADDRESS.is_match(line) || NAME_VHOST.is_match(line) => line.to_vec(),
            None => return false,
        };
        if let Some(found) = ADDRESS.captures(&whole) {
            let address = String::from_utf8_lossy(&found[1]).into_owned();
            let port = number(&found[2]).and_then(|n| u16::try_from(n).ok());
            self.reader.address = Some((address.trim_matches(['[', ']']).parse().ok(), port));
            if let (Some(name), Some(at)) = (found.get(3), found.get(4)) {
                self.bind(name.as_bytes(), at.as_bytes(), &whole);
            }
        } else if let Some(found) = NAME_VHOST.captures(&whole) {
            self.bind(&found[1], &found[2], &whole);
        }
        true
    }

    /// A vhost and where it stands; `line` is kept where that goes on on the next one.
    fn bind(&mut self, name: &[u8], at: &[u8], line: &[u8]) {
        let Some(vhost) = origin(at) else {
            self.reader.split = Some(line.to_vec());
            return;
        };
        if let Some((address, port)) = self.reader.address {
            let name = String::from_utf8_lossy(name).into_owned();
            let aliases = Vec::new();
            self.dump.bindings.push(Binding { address, port, vhost, name, aliases });
        }
    }

    fn run_config(&mut self, line: &[u8]) {
        let Some(found) = RUN_CONFIG.captures(line) else { return };
        let value = String::from_utf8_lossy(&found[2]).into_owned();
        match &found[1] {
            b"ServerRoot" => self.dump.server_root = value,
            b"Main DocumentRoot" => self.dump.document_root = value,
            b"PidFile" => self.dump.pid_file = value,
            b"User" => self.dump.user = found.get(3).and_then(|id| number(id.as_bytes())),
            _ => {}
        }
    }
}

/// What follows the list of files: the heads of the other sections (`dump_vhosts`,
/// `ap_show_modules`, `ap_core_reorder_directories` …), or `mod_info`'s first line.
fn is_heading(line: &[u8]) -> bool {
    [&b"Loaded Modules:"[..], b"VirtualHost configuration:", b"# In file: ", b"ServerRoot: "]
        .iter()
        .any(|head| line.starts_with(head))
}

const INCLUDES: &[u8] = b"Included configuration files:";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Section {
    /// Everything but the files.
    #[default]
    Others,
    /// The files.
    Includes,
}

/// `# In file: F`, `#   N:` and the directive below it, as `mod_info` prints
/// them (`mod_info_module_cmds`), and what other lines leave open.
#[derive(Default)]
struct Reader {
    section: Section,
    /// The file that was named last, and its depth: its name may go on.
    included: Option<(usize, Vec<u8>)>,
    /// The line of a vhost whose file goes on.
    split: Option<Vec<u8>>,
    file: Option<Vec<u8>>,
    /// `# In file:` came last.
    is_naming: bool,
    /// Line and depth of the entry whose directive comes next.
    entry: Option<(u32, usize)>,
    entries: Vec<(usize, Node)>,
    /// The address that the next vhosts belong to.
    address: Option<(Option<IpAddr>, Option<u16>)>,
}

impl Reader {
    fn directive(&mut self, line: &[u8]) -> bool {
        if let Some((number, depth)) = self.entry.take() {
            let file = file_name::text(self.file.as_deref().unwrap_or_default());
            self.entries.push((depth, node(line, Origin { file, line: number })));
            return true;
        }
        if let Some(file) = line.strip_prefix(b"# In file: ") {
            self.file = Some(file.to_vec());
            self.is_naming = true;
            return true;
        }
        let Some(file) = &mut self.file else { return false };
        if let Some(found) = ENTRY.captures(line) {
            self.is_naming = false;
            self.entry = Some((number(&found[2]).unwrap_or(0), found[1].len() / 2));
            return true;
        }
        if line.trim_ascii_start().starts_with(b"</") {
            self.is_naming = false;
            return true;
        }
        if self.is_naming {
            file.push(b'\n');
            file.extend_from_slice(line);
        }
        self.is_naming
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
    let text = file_name::text(text.strip_prefix(b"(")?.strip_suffix(b")")?);
    let (file, line) = text.rsplit_once(':')?;
    Some(Origin { file: file.to_owned(), line: line.parse().ok()? })
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, each used by the tests below")]
    Regex::new(text).expect("a constant pattern")
}

static INCLUDE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^((?:  )+)\((?:\d+|\*)\) ((?s-u:.+))$"));
static MODULE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^ (\S+)_module \((?:static|shared)\)$"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(\*|\[[0-9A-Fa-f:.%\w]+\]|[0-9.]+):(\d+|\*) +(?:is a NameVirtualHost|(\S+) (\((?s-u:.+)))$",
    )
});
static NAME_VHOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^ +port \S+ namevhost (\S+) (\((?s-u:.+))$"));
static ALIAS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ {9,}(?:wild )?alias (\S+)$"));
/// mod_info writes `"%*s#%4d:"` (`mod_info_module_cmds`): no blank is left
/// before a number of four digits.
static ENTRY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^( *)# *(\d+):$"));
static RUN_CONFIG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^([A-Z]\w+(?: DocumentRoot)?): (?:name=)?"([^"]*)"(?: id=(\d+))?"#)
});
