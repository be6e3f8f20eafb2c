//! pure: access, handlers and per-directory rewriting, merged as Apache merges them.
//!
//! `<Directory>` and `.htaccess` from the shortest path, then the other sections
//! (`ap_directory_walk` and its sisters, request.c). An `<If>` that may hold
//! counts where it denies, never where it grants.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::apache::dump::Node;
use crate::apache::htaccess::{self, Htaccess};
use crate::apache::likelihood::Likelihood;
use crate::apache::pattern;
use crate::apache::request::Request;
use crate::apache::rewrite::{Touch, touch};
use crate::apache::sections::{Applied, MergeStage, components, within};
use crate::apache::vhosts::Vhost;

/// One level of the merge.
#[derive(Debug, Clone)]
pub struct Level<'a> {
    /// The section, or the `.htaccess` as a whole.
    pub section: Option<Applied<'a>>,
    /// Its directives, those in `<Limit>` included.
    pub nodes: Vec<&'a Node>,
    /// What the patterns of its rewrite rules see.
    subject: Vec<u8>,
}

impl Level<'_> {
    /// Whether it certainly counts.
    pub fn likelihood(&self) -> Likelihood {
        self.section.map_or(Likelihood::Yes, |s| s.likelihood)
    }

    /// How deep in `<If>` it stands, if it decides about access, handlers or rewriting; 0 is outside.
    pub fn nesting(&self) -> usize {
        let decides = |name: &str| {
            matches!(name, "require" | "order" | "allow" | "deny" | "sethandler")
                || name.starts_with("<require")
                || name.starts_with("rewrite")
        };
        let inside = self.section.filter(|s| s.stage == MergeStage::If);
        let inside = inside.filter(|_| self.nodes.iter().any(|node| decides(&node.name)));
        inside.map_or(0, |section| section.depth)
    }
}

/// All levels of `vhost` for a file in `directory`, first to last.
pub fn levels<'a>(
    vhost: &Vhost<'_>,
    sections: &[Applied<'a>],
    htaccess: &'a [Htaccess],
    request: &Request,
    directory: &Path,
) -> Vec<Level<'a>> {
    let file = [directory.as_os_str().as_bytes(), b"/", Request::SAMPLE.as_bytes()].concat();
    let mut keyed = Vec::new();
    let of_section = |applied: &Applied<'a>| {
        let path = applied.node.first();
        let base = if applied.node.name == "<directory" { &path[..] } else { b"" };
        Level {
            section: Some(*applied),
            nodes: directives(&applied.node.children),
            subject: below(&file, base),
        }
    };
    for applied in sections {
        keyed.push(((applied.stage, applied.depth, 0), of_section(applied)));
    }
    let read = htaccess::read_by(vhost, htaccess).into_iter();
    for file_there in read.filter(|h| is_read(h, sections)) {
        let base = file_there.directory.as_os_str().as_bytes();
        let level = Level {
            section: None,
            nodes: directives(&file_there.nodes),
            subject: below(&file, base),
        };
        keyed.push(((MergeStage::Directory, components(base), 1), level));
        for applied in within(&file_there.nodes, request, directory) {
            keyed.push(((applied.stage, applied.depth, 1), of_section(&applied)));
        }
    }
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, level)| level).collect()
}

/// The directives of a level; `<Limit>` sections that cover GET are part of it.
fn directives(nodes: &[Node]) -> Vec<&Node> {
    let covers_get = |n: &Node| {
        let named = n.words().any(|w| w == b"GET");
        n.name == "<limit" && named || n.name == "<limitexcept" && !named
    };
    let mut out = Vec::new();
    for node in nodes {
        out.push(node);
        if covers_get(node) {
            out.extend(directives(&node.children));
        }
    }
    out
}

/// The part of `file` below `base`, or all of it (`apply_rewrite_rule`).
fn below(file: &[u8], base: &[u8]) -> Vec<u8> {
    let base = base.strip_suffix(b"/").unwrap_or(base);
    let rest = file.strip_prefix(base).and_then(|rest| rest.strip_prefix(b"/"));
    rest.filter(|_| !base.is_empty()).unwrap_or(file).to_vec()
}

/// `AllowOverride` and `AllowOverrideList` of the file's directory: either lets it in
/// (`ap_directory_walk`, request.c); the default of both has been `None` since 2.3.9.
fn is_read(htaccess: &Htaccess, sections: &[Applied<'_>]) -> bool {
    let path = htaccess.directory.as_os_str().as_bytes();
    let covers = |s: &&Applied<'_>| {
        let argument = s.node.first();
        s.stage == MergeStage::Directory
            && (s.depth == usize::MAX || pattern::directory(&argument, path))
    };
    let nodes = sections.iter().filter(covers).flat_map(|s| &s.node.children);
    ["allowoverride", "allowoverridelist"].iter().any(|directive| {
        let last = nodes.clone().rfind(|n| n.name == *directive);
        last.is_some_and(|n| !n.words().any(|w| w.eq_ignore_ascii_case(b"none")))
    })
}

/// Why root cannot read a `.htaccess` that Apache reads, for each.
///
/// To what is no regular file Apache answers 403 (`ap_parse_htaccess`, `ap_pcfg_openfile`); the
/// line of a vhost comes too late for that.
pub fn unreadable<'a>(
    vhost: &Vhost<'_>,
    files: &'a [Htaccess],
    sections: &[Applied<'_>],
) -> Vec<&'a str> {
    let read = htaccess::read_by(vhost, files).into_iter().filter(|file| is_read(file, sections));
    read.filter_map(|file| file.unreadable.as_deref()).collect()
}

/// A directive that decides, and its level; none for one of the server level.
pub type Decisive<'a, 'b> = (&'a Node, Option<&'b Level<'a>>);

/// The last words on access that do not simply grant it: of `Require`, and of `Order`, `Allow` and
/// `Deny`.
pub fn denials<'a, 'b>(levels: &'b [Level<'a>]) -> [Option<Decisive<'a, 'b>>; 2] {
    [last_word(levels, None, denial), last_word(levels, None, host_denial)]
}

/// The last `SetHandler`, unless it is for the handler of files.
pub fn handler<'a, 'b>(vhost: &Vhost<'a>, levels: &'b [Level<'a>]) -> Option<Decisive<'a, 'b>> {
    let is_for_files = |node: &Node| {
        let word = node.first();
        word.eq_ignore_ascii_case(b"none") || word == b"default-handler"
    };
    let server = vhost.all().rfind(|n| n.name == "sethandler");
    last_word(levels, server.filter(|node| !is_for_files(node)), |nodes| {
        let last = nodes.iter().rfind(|n| n.name == "sethandler")?;
        Some(if is_for_files(last) { Says::Clear } else { Says::Block(last) })
    })
}

/// What one level says about access, or about the handler.
enum Says<'a> {
    /// This line stands between the request and the file.
    Block(&'a Node),
    /// Nothing does, whatever was said before.
    Clear,
}

/// What is left of what `server` and the levels say; what only may hold takes nothing away.
fn last_word<'a, 'b>(
    levels: &'b [Level<'a>],
    server: Option<&'a Node>,
    says: impl Fn(&[&'a Node]) -> Option<Says<'a>>,
) -> Option<Decisive<'a, 'b>> {
    let mut last = server.map(|node| (node, None));
    for level in levels {
        match says(&level.nodes) {
            Some(Says::Block(node)) => last = Some((node, Some(level))),
            Some(Says::Clear) if level.likelihood() == Likelihood::Yes => last = None,
            Some(Says::Clear) | None => {}
        }
    }
    last
}

/// The first per-directory rule that changes, or may change, the request once it is mapped.
///
/// `engine` is the rewrite engine of the vhost itself.
pub fn rewritten<'a, 'b>(
    levels: &'b [Level<'a>],
    mut engine: bool,
    request: &Request,
) -> Option<(Touch<'a>, &'b Level<'a>)> {
    let mut rules: Vec<(&Level<'a>, Vec<&Node>)> = Vec::new();
    for level in levels {
        merge_rules(level, &mut engine, &mut rules);
    }
    let mut rules = rules.into_iter().filter(|_| engine);
    rules.find_map(|(level, nodes)| Some((touch(nodes, request, &level.subject)?, level)))
}

/// `config_perdir_merge` (`mod_rewrite.c`): a level with any of its directives
/// replaces the rules before it, unless it inherits them.
fn merge_rules<'a, 'b>(
    level: &'a Level<'b>,
    engine: &mut bool,
    rules: &mut Vec<(&'a Level<'b>, Vec<&'b Node>)>,
) {
    let ours: Vec<&Node> =
        level.nodes.iter().copied().filter(|n| n.name.starts_with("rewrite")).collect();
    if ours.is_empty() {
        return;
    }
    let maybe = level.likelihood() == Likelihood::Maybe;
    if let Some(node) = ours.iter().rfind(|n| n.name == "rewriteengine") {
        *engine = node.is_on() || maybe && *engine;
    }
    let inherits = ours.iter().any(|n| {
        n.name == "rewriteoptions" && n.arguments.to_ascii_lowercase().starts_with(b"inherit")
    });
    if !inherits && !maybe {
        rules.clear();
    }
    rules.push((level, ours));
}

/// A level's own `Require` lines replace all before them unless `AuthMerging` says otherwise.
fn denial<'a>(level: &[&'a Node]) -> Option<Says<'a>> {
    let mut requires =
        level.iter().filter(|n| n.name == "require" || n.name.starts_with("<require"));
    let first = requires.next()?;
    let all_granted = {
        let words: Vec<_> = first.words().collect();
        matches!(&words[..], [all, granted]
            if all.eq_ignore_ascii_case(b"all") && granted.eq_ignore_ascii_case(b"granted"))
    };
    if !all_granted || requires.next().is_some() {
        return Some(Says::Block(first));
    }
    let merges = level.iter().any(|n| n.name == "authmerging");
    (!merges).then_some(Says::Clear)
}

/// The same for `Order`, `Allow` and `Deny` (`mod_access_compat`).
fn host_denial<'a>(level: &[&'a Node]) -> Option<Says<'a>> {
    let mut lines = level.iter().filter(|n| matches!(n.name.as_str(), "order" | "allow" | "deny"));
    let first = lines.clone().next()?;
    let from_all =
        |n: &&&Node| n.name == "allow" && n.words().any(|w| w.eq_ignore_ascii_case(b"all"));
    // `Order` says when `Deny` counts; it is the latter that denies.
    let deny = lines.clone().find(|n| n.name == "deny");
    let decisive = deny.filter(|_| first.name == "order").unwrap_or(first);
    let granted = lines.any(|n| from_all(&n)) && deny.is_none();
    Some(if granted { Says::Clear } else { Says::Block(decisive) })
}

/// Whether a line on access denies whoever asks, without anything else that has to be weighed.
pub fn certainly_denies(node: &Node) -> bool {
    let first = node.first().to_ascii_lowercase();
    match node.name.as_str() {
        "require" => !matches!(&first[..], b"expr" | b"env" | b"method" | b"not"),
        // `Order` alone decides nothing before its `Deny` and `Allow` are weighed.
        name => name == "deny",
    }
}
