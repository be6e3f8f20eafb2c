//! pure: access, handlers and per-directory rewriting, merged as Apache merges them.
//!
//! `<Directory>` and `.htaccess` from the shortest path, then the other sections
//! (`ap_directory_walk` and its sisters, request.c). An `<If>` that may hold
//! counts where it denies, never where it grants.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::apache::document::words;
use crate::apache::dump::{Node, Origin};
use crate::apache::htaccess::{self, Htaccess};
use crate::apache::likelihood::Likelihood;
use crate::apache::obstacles::Obstacles;
use crate::apache::pattern;
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::responder::responder;
use crate::apache::rewrite;
use crate::apache::rulebook::is_on;
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

    /// How deep in `<If>` it stands; 0 is outside.
    pub fn nesting(&self) -> usize {
        self.section.filter(|s| s.stage == MergeStage::If).map_or(0, |s| s.depth)
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
        let path = words(&applied.node.arguments).next().unwrap_or_default();
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
        let named = words(&n.arguments).any(|w| w == b"GET");
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
        let argument = words(&s.node.arguments).next().unwrap_or_default();
        s.stage == MergeStage::Directory
            && (s.depth == usize::MAX || pattern::directory(&argument, path))
    };
    let nodes = sections.iter().filter(covers).flat_map(|s| &s.node.children);
    ["allowoverride", "allowoverridelist"].iter().any(|directive| {
        let last = nodes.clone().rfind(|n| n.name == *directive);
        last.is_some_and(|n| !words(&n.arguments).any(|w| w.eq_ignore_ascii_case(b"none")))
    })
}

/// The `.htaccess` files that Apache reads and we cannot.
///
/// To what is no regular file Apache answers 403 (`ap_parse_htaccess`, `ap_pcfg_openfile`); the
/// line of a vhost comes too late for that.
pub fn unreadable(vhost: &Vhost<'_>, files: &[Htaccess], sections: &[Applied<'_>]) -> Vec<Refusal> {
    let read = htaccess::read_by(vhost, files).into_iter().filter(|file| is_read(file, sections));
    read.filter_map(|file| file.unreadable.as_deref()).map(Refusal::unreadable).collect()
}

/// Adds to `found` what `levels` put in the way.
///
/// `engine` is the rewrite engine of the vhost itself, `None` without `mod_rewrite`.
pub fn add_obstacles(
    levels: &[Level<'_>],
    engine: Option<bool>,
    request: &Request,
    found: &mut Obstacles,
) -> Result<(), Refusal> {
    let mut by_host = None;
    let mut rules: Vec<(&Level<'_>, Vec<&Node>)> = Vec::new();
    let loaded = engine.is_some();
    let mut engine = engine.unwrap_or_default();
    for level in levels {
        let before = (found.denied.clone(), by_host.clone(), found.handled.clone());
        if let Some(denied) = denial(&level.nodes) {
            found.denied = denied;
        }
        if let Some(denied) = host_denial(&level.nodes) {
            by_host = denied;
        }
        if let Some(node) = level.nodes.iter().rfind(|n| n.name == "sethandler") {
            found.handled = handler(node);
        }
        if level.likelihood() == Likelihood::Maybe {
            // What only may hold takes no obstacle away.
            found.denied = found.denied.take().or(before.0.clone());
            by_host = by_host.take().or(before.1.clone());
            found.handled = found.handled.take().or(before.2.clone());
        }
        let changed =
            (&found.denied, &by_host, &found.handled) != (&before.0, &before.1, &before.2);
        let rewrites = loaded && merge_rules(level, &mut engine, &mut rules);
        if changed || rewrites {
            found.nesting = found.nesting.max(level.nesting());
        }
    }
    found.denied_by_host = by_host.is_some();
    found.denied = found.denied.take().or(by_host);
    if !engine {
        return Ok(());
    }
    if let Some((level, touch)) = first_touch(rules, request) {
        let section = level.section.map_or(&b""[..], |s| &s.node.arguments);
        responder(&touch, section)?;
        found.rewritten.get_or_insert_with(|| touch.rule.origin.clone());
    }
    Ok(())
}

/// The first per-directory rule that changes, or may change, the request once it is mapped, and
/// what its pattern sees.
pub fn rewritten<'b>(
    levels: &[Level<'b>],
    mut engine: bool,
    request: &Request,
) -> Option<(rewrite::Touch<'b>, Vec<u8>)> {
    let mut rules = Vec::new();
    for level in levels {
        merge_rules(level, &mut engine, &mut rules);
    }
    let (level, touch) = first_touch(rules, request).filter(|_| engine)?;
    Some((touch, level.subject.clone()))
}

fn first_touch<'a, 'b>(
    rules: Vec<(&'a Level<'b>, Vec<&'b Node>)>,
    request: &Request,
) -> Option<(&'a Level<'b>, rewrite::Touch<'b>)> {
    let touched = |(level, nodes): (&'a Level<'b>, Vec<&'b Node>)| {
        Some((level, rewrite::touch(nodes, request, &level.subject)?))
    };
    rules.into_iter().find_map(touched)
}

/// `config_perdir_merge` (`mod_rewrite.c`): a level with any of its directives
/// replaces the rules before it, unless it inherits them.
fn merge_rules<'a, 'b>(
    level: &'a Level<'b>,
    engine: &mut bool,
    rules: &mut Vec<(&'a Level<'b>, Vec<&'b Node>)>,
) -> bool {
    let ours: Vec<&Node> =
        level.nodes.iter().copied().filter(|n| n.name.starts_with("rewrite")).collect();
    if ours.is_empty() {
        return false;
    }
    let maybe = level.likelihood() == Likelihood::Maybe;
    if let Some(node) = ours.iter().rfind(|n| n.name == "rewriteengine") {
        let on = is_on(&words(&node.arguments).collect::<Vec<_>>());
        *engine = on || maybe && *engine;
    }
    let inherits = ours.iter().any(|n| {
        n.name == "rewriteoptions" && n.arguments.to_ascii_lowercase().starts_with(b"inherit")
    });
    if !inherits && !maybe {
        rules.clear();
    }
    rules.push((level, ours));
    true
}

/// A level's own `Require` lines replace all before them unless `AuthMerging`
/// says otherwise: `Some(None)` grants to all, `Some(Some(_))` does not simply grant.
pub fn denial(level: &[&Node]) -> Option<Option<Origin>> {
    let mut requires =
        level.iter().filter(|n| n.name == "require" || n.name.starts_with("<require"));
    let first = requires.next()?;
    let all_granted = {
        let words: Vec<_> = words(&first.arguments).collect();
        matches!(&words[..], [all, granted]
            if all.eq_ignore_ascii_case(b"all") && granted.eq_ignore_ascii_case(b"granted"))
    };
    let merges = level.iter().any(|n| n.name == "authmerging");
    (!all_granted || requires.next().is_some())
        .then(|| Some(first.origin.clone()))
        .or_else(|| (!merges).then_some(None))
}

/// The same for `Order`, `Allow` and `Deny` (`mod_access_compat`).
pub fn host_denial(level: &[&Node]) -> Option<Option<Origin>> {
    let mut lines = level.iter().filter(|n| matches!(n.name.as_str(), "order" | "allow" | "deny"));
    let first = lines.clone().next()?;
    let from_all = |n: &&&Node| {
        n.name == "allow" && words(&n.arguments).any(|w| w.eq_ignore_ascii_case(b"all"))
    };
    let granted = lines.clone().any(|n| from_all(&n)) && !lines.any(|n| n.name == "deny");
    Some((!granted).then(|| first.origin.clone()))
}

/// The handler that a `SetHandler` chooses, unless it is the one for files.
pub fn handler(node: &Node) -> Option<Origin> {
    let word = words(&node.arguments).next().unwrap_or_default();
    let for_files = word.eq_ignore_ascii_case(b"none") || word == b"default-handler";
    (!for_files).then(|| node.origin.clone())
}
