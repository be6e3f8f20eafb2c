//! system: what Apache says about a tree, read a second time and in another way than `dump`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use support::apache::MODULES;
use support::apache::layout::Layout;

/// Physical lines of our blocks by file.
pub(crate) type Marked = BTreeMap<String, Vec<u32>>;

/// Asks Apache for everything; `Err` is why it refuses the tree.
pub(crate) fn asked(layout: &Layout) -> Result<Vec<u8>, String> {
    let mut command = layout.command();
    command.args(["-C", &format!("LoadModule info_module {MODULES}/mod_info.so"), "-t"]);
    for part in ["INCLUDES", "MODULES", "VHOSTS", "RUN_CFG", "CONFIG"] {
        command.args(["-D", &format!("DUMP_{part}")]);
    }
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// One directive as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The file, or a macro's description.
    pub(crate) file: String,
    /// The line.
    pub(crate) line: u32,
    /// Nesting.
    pub(crate) depth: usize,
    /// The directive.
    pub(crate) text: String,
}

/// The list of directives.
pub(crate) fn entries(output: &[u8]) -> Vec<Entry> {
    let text = String::from_utf8_lossy(output);
    let mut file = "";
    let mut entries = Vec::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        if let Some(found) = line.strip_prefix("# In file: ") {
            file = found;
        } else if let Some(number) = line.trim_start().strip_prefix('#') {
            let number = number.trim_start().strip_suffix(':').and_then(|n| n.parse().ok());
            if let (Some(line_number), Some(text)) = (number, lines.next()) {
                let trimmed = text.trim();
                let depth = (line.len() - line.trim_start().len()) / 2;
                let entry =
                    Entry { file: file.into(), line: line_number, depth, text: trimmed.into() };
                entries.push(entry);
            }
        }
    }
    entries
}

/// A vhost of one address: where it stands, its name and aliases.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// `FILE:LINE`.
    pub(crate) at: String,
    names: Vec<String>,
}

impl Served {
    /// As Apache compares: case aside, `*` and `?` in aliases.
    fn fits(&self, name: &str) -> bool {
        self.names.iter().any(|n| {
            let pattern = regex::escape(n).replace(r"\*", ".*").replace(r"\?", ".");
            Regex::new(&format!("(?i)^{pattern}$")).unwrap().is_match(name)
        })
    }
}

/// The vhosts of each address on port 80, in the order of precedence of `DUMP_VHOSTS`.
///
/// Those of every port count only where none names the port (`find_ipaddr` and
/// `find_default_server`, server/vhost.c).
pub(crate) fn served(output: &[u8]) -> BTreeMap<String, Vec<Served>> {
    let entries = entries(output);
    let text = String::from_utf8_lossy(output);
    let mut groups: BTreeMap<(String, String), Vec<Served>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().take_while(|l| !l.starts_with("# In file:")) {
        let at = if let Some(found) = ADDRESS.captures(line) {
            let address = found[1].trim_matches(['[', ']']).to_owned();
            current = Some((address, found[2].to_owned()));
            found.get(4).map(|at| (found[3].to_owned(), at.as_str().to_owned()))
        } else {
            NAMED.captures(line).map(|found| (found[1].to_owned(), found[2].to_owned()))
        };
        if let (Some((name, at)), Some(key)) = (at, &current) {
            let mut names = names(&entries, &at);
            names.push(name);
            groups.entry(key.clone()).or_default().push(Served { at, names });
        }
    }
    let mut chosen = BTreeMap::new();
    for wanted in ["80", "*"] {
        for ((address, _), vhosts) in groups.iter().filter(|((_, port), _)| port == wanted) {
            chosen.entry(address.clone()).or_insert_with(|| vhosts.clone());
        }
    }
    chosen
}

/// `ServerAlias` and the names in the `<VirtualHost>` line of the vhost that stands at `at`.
fn names(entries: &[Entry], at: &str) -> Vec<String> {
    let mut after = entries.iter().skip_while(|e| format!("{}:{}", e.file, e.line) != at);
    let opened = after.next().map_or("", |e| e.text.trim_end_matches('>'));
    let opened = opened.split_whitespace().skip(1).filter_map(|word| word.rsplit_once(':'));
    let opened = opened.map(|(host, _)| host.to_owned());
    let opened = opened.filter(|host| host.starts_with(|c: char| c.is_ascii_alphabetic()));
    let own = after.take_while(|e| e.depth > 0).filter(|e| e.depth == 1);
    let named = own.filter_map(|e| {
        let (name, words) = e.text.split_once(char::is_whitespace)?;
        let fits = name.eq_ignore_ascii_case("serveralias");
        fits.then(|| words.split_whitespace().map(|w| w.trim_matches(['"', '\'']).to_owned()))
    });
    opened.chain(named.flatten()).collect()
}

/// Where the vhosts stand that answer `name` on some address.
pub(crate) fn answering(groups: &BTreeMap<String, Vec<Served>>, name: &str) -> Vec<String> {
    let named = |g: &Vec<Served>| g.iter().find(|v| v.fits(name)).map(|v| v.at.clone());
    let by_name: Vec<String> = groups.values().filter_map(named).collect();
    if by_name.is_empty() {
        groups.values().filter_map(|g| Some(g.first()?.at.clone())).collect()
    } else {
        by_name
    }
}

/// Where the vhost stands that answers `name` on `address`.
pub(crate) fn answering_on(
    groups: &BTreeMap<String, Vec<Served>>,
    address: IpAddr,
    name: &str,
) -> Option<String> {
    let group = groups.get(&address.to_string()).or_else(|| groups.get("*"))?;
    let vhost = group.iter().find(|v| v.fits(name)).or(group.first())?;
    Some(vhost.at.clone())
}

/// Everything but the directives, as it were without the `marked` lines.
pub(crate) fn frame(output: &[u8], marked: &Marked) -> String {
    let text = String::from_utf8_lossy(output);
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line.starts_with("# In file:");
        // The list of directives ends where the run configuration begins.
        inside &= !line.starts_with("ServerRoot: ");
        // Mutexes come in the order of a hash table.
        if !inside && !line.starts_with("Mutex ") {
            let included = INCLUDED.replace(line, "$1(*) $2");
            writeln!(out, "{}", unmarked_text(&included, marked)).unwrap();
        }
    }
    out
}

/// The line's number without the marked lines before it; `None` for a marked one.
pub(crate) fn unmarked(file: &str, line: u32, marked: &Marked) -> Option<u32> {
    let Some(lines) = marked.get(file) else { return Some(line) };
    if lines.contains(&line) {
        return None;
    }
    let before = lines.iter().filter(|l| **l < line).count();
    Some(line - u32::try_from(before).unwrap())
}

/// `FILE:LINE` and `line LINE of "FILE"` in a text, renumbered.
pub(crate) fn unmarked_text(text: &str, marked: &Marked) -> String {
    let number = |file: &str, line: &str| {
        unmarked(file, line.parse().unwrap(), marked).map_or("ours".into(), |n| n.to_string())
    };
    let text = IN_MACRO.replace_all(text, |found: &regex::Captures<'_>| {
        format!("line {} of \"{}\"", number(&found[2], &found[1]), &found[2])
    });
    let text = AT.replace_all(&text, |found: &regex::Captures<'_>| {
        format!("({}:{})", &found[1], number(&found[1], &found[2]))
    });
    text.into_owned()
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(\S+):(\d+|\*) +(?:is a NameVirtualHost|(\S+) \((.+)\))$"));
static NAMED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ +port \S+ namevhost (\S+) \((.+)\)$"));
static INCLUDED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^( +)\(\d+\) (.+)$"));
static IN_MACRO: LazyLock<Regex> = LazyLock::new(|| pattern(r#"line (\d+) of "([^"]+)""#));
static AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(([^()]+):(\d+)\)"));
