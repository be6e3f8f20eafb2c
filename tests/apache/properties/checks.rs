//! flow: the properties of one switch, held against Apache on a laid-out tree.
//!
//! Each broken rule is an `Err` that names it. The tree's files are changed
//! and brought back; no server runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use certbaton::apache::document::Document;
use certbaton::apache::dump::Dump;
use certbaton::apache::oracle::{self, Blocks, Overlay};
use certbaton::apache::refusal::Refusal;
use certbaton::base::names::{Hostname, Route, Webroot};
use certbaton::switch::marked_lines;
use certbaton::switch::observe;
use certbaton::switch::plan::{self, Configuration, Plan};

use crate::properties::says::{self, Marked};
use support::apache::layout::Layout;

/// A rule that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Spans cover the file, and Apache sees each directive where we do.
    Lexing,
    /// Deleting the marked lines gives the user's bytes.
    UsersBytes,
    /// Taking the blocks out gives the user's bytes and names the routes.
    PeerAfterLocal,
    /// Apache accepts what is made of a configuration that it accepts.
    Accepted,
    /// Apache's view differs by the marked lines alone.
    MarkedAlone,
    /// The marked lines stand in a vhost that answers the names they are for.
    RightVhost,
    /// Planning from the result gives the result.
    LocalAfterLocal,
    /// Giving some names back is planning the others.
    PartialGiveBack,
    /// What is planned does not depend on how the same is written.
    SamePlan,
}

/// A broken rule and how.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) Rule, pub(crate) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0, self.1)
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Apache does not accept the input.
    Invalid,
    /// The plan is refused.
    Refused(Vec<String>),
    /// The plan has these directives, each with the number of its copies; none if local already.
    Planned(BTreeMap<String, usize>),
}

macro_rules! hold {
    ($condition:expr, $rule:expr, $($why:tt)+) => {
        if !$condition {
            return Err(Broken($rule, format!($($why)+)));
        }
    };
}

/// The configuration as Apache and we see it.
pub(crate) struct View {
    /// What Apache said.
    pub(crate) output: Vec<u8>,
    dump: Dump,
    /// The files with our blocks.
    current: BTreeMap<String, Document>,
    blocks: Blocks,
    /// The routes of the blocks.
    local: Vec<Route>,
    /// Without our blocks.
    pub(crate) user: Dump,
    /// Without our blocks.
    pub(crate) documents: BTreeMap<String, Document>,
}

/// New content by the path Apache opened.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files as Apache read them.
fn texts(current: &BTreeMap<String, Document>) -> Overlay<'_> {
    Overlay { user: current, instead: BTreeMap::new() }
}

/// Looks at the tree; `None` if Apache does not accept it.
pub(crate) fn view(layout: &Layout) -> Result<Option<View>, Broken> {
    let Ok(output) = says::asked(layout) else { return Ok(None) };
    let failed = |e: &dyn fmt::Display| Broken(Rule::Lexing, e.to_string());
    let dump = Dump::parse(&output).map_err(|e| failed(&e))?;
    let (mut current, mut documents) = (BTreeMap::new(), BTreeMap::new());
    let (mut blocks, mut local) = (Blocks::new(), BTreeSet::new());
    for file in dump.includes.iter().map(|include| &include.file) {
        let bytes = fs::read(file).unwrap();
        let document = Document::parse(bytes).map_err(|e| failed(&e))?;
        lossless(&document)?;
        let stripped = marked_lines::strip(&document);
        hold!(stripped.damaged.is_empty(), Rule::PeerAfterLocal, "damaged: {file}");
        local.extend(stripped.routes);
        blocks.insert(file.clone(), stripped.lines);
        let user = Document::parse(stripped.bytes).map_err(|e| failed(&e))?;
        documents.insert(file.clone(), user);
        current.insert(file.clone(), document);
    }
    let elsewhere = oracle::disagreements(&dump, &texts(&current)).into_values().next();
    elsewhere.map_or(Ok(()), |refusal| Err(failed(&refusal)))?;
    let user = oracle::without(dump.clone(), &blocks);
    let local = local.into_iter().collect();
    Ok(Some(View { output, dump, current, blocks, local, user, documents }))
}

/// The lines cover the file without a gap, and are numbered as they stand.
pub(crate) fn lossless(document: &Document) -> Result<(), Broken> {
    let (mut at, mut number) = (0, 1);
    for line in document.lines() {
        let span = line.span.clone();
        let newlines = document.bytes()[span.clone()].split_inclusive(|&b| b == b'\n').count();
        let numbered = (line.first, line.last + 1 - line.first);
        let counted = (number, u32::try_from(newlines).unwrap());
        hold!(span.start == at && numbered == counted, Rule::Lexing, "line {number}: {line:?}");
        (at, number) = (span.end, line.last + 1);
    }
    hold!(at == document.bytes().len(), Rule::Lexing, "{at} of {}", document.bytes().len());
    Ok(())
}

/// What the product plans for `wanted`.
pub(crate) fn planned(view: &View, wanted: &[Route]) -> Result<Plan, Vec<Refusal>> {
    let htaccess = observe::htaccess(&view.user, wanted.iter().map(|route| &route.webroot));
    let (dump, documents) = (&view.user, &view.documents);
    plan::plan(Configuration { dump, documents, htaccess: &htaccess }, wanted)
}

/// Routes of `names` to `webroot`, as a switch orders them.
pub(crate) fn routes(names: &[String], webroot: &str) -> Vec<Route> {
    let webroot = Webroot::parse(webroot).unwrap();
    let route = |name| Route { name: Hostname::parse(name).unwrap(), webroot: webroot.clone() };
    let mut routes: Vec<Route> = names.iter().map(|name| route(name)).collect();
    routes.sort();
    routes
}

/// Plans `wanted` on the tree and holds all rules against what would become of it.
pub(crate) fn checked(layout: &Layout, wanted: &[Route]) -> Result<Verdict, Broken> {
    let Some(before) = view(layout)? else { return Ok(Verdict::Invalid) };
    let plan = match planned(&before, wanted) {
        Ok(plan) => plan,
        Err(refusals) => {
            let elsewhere = |text: String| DIGITS.replace_all(&rootless(layout, &text), "N").into();
            let reasons: BTreeSet<String> =
                refusals.into_iter().map(|r| elsewhere(r.reason)).collect();
            return Ok(Verdict::Refused(reasons.into_iter().collect()));
        }
    };
    judged(layout, &before, wanted, &plan.files)?;
    subsets(layout, &before, &plan.files)?;
    give_backs(layout, &before, wanted, &plan.files)?;
    Ok(Verdict::Planned(directives(layout, &plan.files)))
}

/// The rules for `files` as the result of a switch to `wanted`.
pub(crate) fn judged(
    layout: &Layout,
    before: &View,
    wanted: &[Route],
    files: &Files,
) -> Result<(), Broken> {
    for (file, bytes) in files {
        let users = before.documents[file].bytes();
        hold!(unmarked(bytes) == users, Rule::UsersBytes, "{file}: {}", text(bytes));
        let document = Document::parse(bytes.clone()).unwrap();
        let stripped = marked_lines::strip(&document);
        let intact = stripped.damaged.is_empty() && stripped.bytes == users;
        hold!(intact, Rule::PeerAfterLocal, "{file}: {}", text(bytes));
        hold!(!stripped.routes.is_empty(), Rule::PeerAfterLocal, "{file}: no route in it");
        let asked = stripped.routes.iter().all(|route| wanted.contains(route));
        hold!(asked, Rule::PeerAfterLocal, "{file}: unasked: {:?}", stripped.routes);
    }
    let _back = installed(files);
    let after = accepted(layout, files)?;
    differs_by_marked_alone(before, &after)?;
    let same = after.user == before.user && after.documents == before.documents;
    hold!(same, Rule::LocalAfterLocal, "the blocks do not come out of the dump without a trace");
    let again = planned(&after, wanted);
    let again = again.map_err(|e| Broken(Rule::LocalAfterLocal, format!("{e:?}")))?;
    hold!(again.files == *files, Rule::LocalAfterLocal, "{}", difference(files, &again.files));
    let back = planned(&after, &[]).map(|plan| plan.files);
    hold!(back == Ok(Files::new()), Rule::PeerAfterLocal, "{back:?}");
    Ok(())
}

/// Every mix of old and new files that an installation passes through, or more.
fn subsets(layout: &Layout, before: &View, files: &Files) -> Result<(), Broken> {
    let names: Vec<&String> = files.keys().collect();
    // All of up to eight mixes; of more files each alone, and all but each.
    let masks: BTreeSet<u32> = match names.len() {
        0 | 1 => BTreeSet::new(),
        n @ 2..=3 => (1..(1 << n) - 1).collect(),
        n => (0..n).flat_map(|i| [1 << i, ((1 << n) - 1) & !(1 << i)]).collect(),
    };
    for mask in masks {
        let chosen = |n: &usize| mask >> n & 1 == 1;
        let some: Files = (0..names.len())
            .filter(chosen)
            .map(|n| (names[n].clone(), files[names[n]].clone()))
            .collect();
        let _back = installed(&some);
        differs_by_marked_alone(before, &accepted(layout, &some)?)?;
    }
    Ok(())
}

/// From all local, some names are given back.
fn give_backs(
    layout: &Layout,
    before: &View,
    wanted: &[Route],
    files: &Files,
) -> Result<(), Broken> {
    if wanted.len() < 2 || files.is_empty() {
        return Ok(());
    }
    let _back = installed(files);
    let local = accepted(layout, files)?;
    let held: BTreeSet<&Route> = local.local.iter().collect();
    hold!(held.iter().all(|r| wanted.contains(r)), Rule::PartialGiveBack, "{held:?}");
    for kept in [&wanted[..1], &wanted[1..]] {
        let from_local = planned(&local, kept).map(|plan| plan.files);
        let scratch = planned(before, kept).map(|plan| plan.files);
        hold!(
            from_local == scratch,
            Rule::PartialGiveBack,
            "{kept:?}: {from_local:?}\n{scratch:?}"
        );
        let Ok(some) = scratch else { continue };
        let mut next = some.clone();
        for file in files.keys().filter(|file| !some.contains_key(*file)) {
            next.insert(file.clone(), before.documents[file].bytes().to_vec());
        }
        let _back = installed(&next);
        differs_by_marked_alone(before, &accepted(layout, &next)?)?;
    }
    Ok(())
}

fn accepted(layout: &Layout, files: &Files) -> Result<View, Broken> {
    let refused = || {
        let why = says::asked(layout).err().unwrap_or_default();
        Broken(Rule::Accepted, why + &shown(files))
    };
    view(layout)?.ok_or_else(refused)
}

/// Apache's words, without ours about them, and then our own proof.
fn differs_by_marked_alone(before: &View, after: &View) -> Result<(), Broken> {
    let mut marked = Marked::new();
    let mut written = BTreeMap::new();
    for (file, document) in &after.current {
        let lines = marked_lines(document.bytes());
        for (number, line) in &lines {
            if !line.starts_with('#') && !line.starts_with("</") {
                written.insert((file.clone(), *number), named_alike(line));
            }
        }
        marked.insert(file.clone(), lines.into_iter().map(|(number, _)| number).collect());
    }
    let (mut users, mut ours) = (Vec::new(), BTreeMap::new());
    let mut vhost = None;
    let groups = says::served(&after.output);
    for entry in says::entries(&after.output) {
        if entry.depth == 0 {
            vhost = entry.text.starts_with("<VirtualHost").then(|| entry.clone());
        }
        if let Some(line) = says::unmarked(&entry.file, entry.line, &marked) {
            let file = says::unmarked_text(&entry.file, &marked);
            users.push(says::Entry { file, line, ..entry });
            continue;
        }
        let around = vhost.as_ref().map(|v| format!("{}:{}", v.file, v.line)).unwrap_or_default();
        let names = names_marked(after.current[&entry.file].bytes(), entry.line);
        let right = names.iter().all(|n| says::answering(&groups, n).contains(&around));
        hold!(right && !names.is_empty(), Rule::RightVhost, "{names:?} in {around}: {groups:?}");
        ours.insert((entry.file, entry.line), named_alike(&entry.text));
    }
    hold!(ours == written, Rule::MarkedAlone, "active {ours:?}\nwritten {written:?}");
    let expected = says::entries(&before.output);
    hold!(users == expected, Rule::MarkedAlone, "{users:?}\n{expected:?}");
    let (frame, expected) =
        (says::frame(&after.output, &marked), says::frame(&before.output, &Marked::new()));
    hold!(frame == expected, Rule::MarkedAlone, "{frame}\n{expected}");
    let proof = oracle::adds_only_blocks(
        &before.user,
        after.dump.clone(),
        &texts(&after.current),
        &after.blocks,
    );
    proof.map_err(|refusal| Broken(Rule::MarkedAlone, format!("oracle: {refusal}")))
}

/// Apache lists names as its modules spell them.
fn named_alike(directive: &str) -> String {
    let end = directive.find(' ').unwrap_or(directive.len());
    directive[..end].to_ascii_lowercase() + &directive[end..]
}

/// The smallest deleter there is: from each begin to the next end.
pub(crate) fn unmarked(bytes: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let mut kept = Vec::new();
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        inside |= line.starts_with(b"    # certbaton: begin ");
        if !inside {
            kept.extend_from_slice(line);
        }
        inside &= !line.starts_with(b"    # certbaton: end ");
    }
    kept
}

/// Number and text of each marked line.
fn marked_lines(bytes: &[u8]) -> Vec<(u32, String)> {
    let mut inside = false;
    let mut marked = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&b| b == b'\n')) {
        inside |= line.starts_with(b"    # certbaton: begin ");
        if inside {
            marked.push((number, String::from_utf8_lossy(line).trim().to_owned()));
        }
        inside &= !line.starts_with(b"    # certbaton: end ");
    }
    marked
}

/// The names of the block around a line.
fn names_marked(bytes: &[u8], line: u32) -> Vec<String> {
    let lines = marked_lines(bytes);
    let above = lines.iter().rev().filter(|(number, _)| *number <= line);
    let begin = above.map(|(_, text)| text).find(|text| text.contains("certbaton: begin"));
    let routes = begin.into_iter().flat_map(|text| text.split(' ').skip(4));
    routes.filter_map(|route| Some(route.split_once('=')?.0.to_owned())).collect()
}

fn directives(layout: &Layout, files: &Files) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for (_, line) in files.values().flat_map(|bytes| marked_lines(bytes)) {
        if !line.starts_with('#') {
            *all.entry(rootless(layout, &line)).or_default() += 1;
        }
    }
    all
}

fn rootless(layout: &Layout, text: &str) -> String {
    text.replace(layout.base().to_str().unwrap(), "@BASE@")
}

/// Puts the content back that was there; on drop.
pub(crate) struct Installed(Files);

/// Writes `files`, links followed.
pub(crate) fn installed(files: &Files) -> Installed {
    let old = files.keys().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    for (file, bytes) in files {
        fs::write(Path::new(file), bytes).unwrap();
    }
    Installed(old)
}

impl Drop for Installed {
    fn drop(&mut self) {
        for (file, bytes) in &self.0 {
            fs::write(file, bytes).unwrap();
        }
    }
}

fn difference(a: &Files, b: &Files) -> String {
    format!("{}\nagainst{}", shown(a), shown(b))
}

fn shown(files: &Files) -> String {
    let parts = files.iter().map(|(file, bytes)| ["\n== ", file, "\n", &text(bytes)].concat());
    parts.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

static DIGITS: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new("[0-9]+").unwrap());
