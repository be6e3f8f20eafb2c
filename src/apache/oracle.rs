//! pure: holds what we read against what Apache says, before and after a switch.
//!
//! `without` gives Apache's view of the user's own configuration while our
//! blocks are in it; `agrees` and `adds_only_blocks` are the two proofs that
//! every switch needs before a file is touched.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::apache::document::{Document, words};
use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::refusal::Refusal;

/// Physical lines of our blocks, by the path Apache opened.
pub type Blocks = BTreeMap<String, Vec<Range<u32>>>;

/// Files as Apache read them: the user's own, but for those that differ.
#[derive(Debug)]
pub struct Overlay<'a> {
    /// The user's own, by the path Apache opened.
    pub user: &'a BTreeMap<String, Document>,
    /// What Apache read instead.
    pub instead: BTreeMap<String, Document>,
}

impl Overlay<'_> {
    fn read(&self, file: &str) -> Option<&Document> {
        self.instead.get(file).or_else(|| self.user.get(file))
    }
}

/// The dump as it were without `blocks`: their directives gone, lines renumbered.
pub fn without(mut dump: Dump, blocks: &Blocks) -> Dump {
    dump.bindings.retain_mut(|binding| stays(&mut binding.vhost, blocks));
    remove(&mut dump.config, blocks);
    dump
}

fn remove(nodes: &mut Vec<Node>, blocks: &Blocks) {
    nodes.retain_mut(|node| stays(&mut node.origin, blocks));
    for node in nodes {
        remove(&mut node.children, blocks);
    }
}

/// Moves what is outside of all blocks to where it stands without them.
fn stays(origin: &mut Origin, blocks: &Blocks) -> bool {
    let line = renumbered(&origin.file, origin.line, blocks);
    origin.line = line.unwrap_or(origin.line);
    if origin.is_macro() {
        origin.file = described(&origin.file, blocks);
    }
    line.is_some()
}

/// A macro's description with its lines renumbered: `line N of "FILE"`, where a
/// macro within a macro stands in the place of FILE (`substitute_macro_args`, mod_macro.c).
fn described(text: &str, blocks: &Blocks) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(LINE) {
        let (before, after) = rest.split_at(at + LINE.len());
        out += before;
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, of) = after.split_at(digits);
        let file = of.strip_prefix(" of \"").and_then(|of| of.split('"').next());
        let line = number.parse().ok().zip(file).and_then(|(n, file)| renumbered(file, n, blocks));
        out += &line.map_or_else(|| number.to_owned(), |line| line.to_string());
        rest = of;
    }
    out + rest
}

const LINE: &str = " on line ";

/// The line's number without the blocks before it; `None` inside a block.
fn renumbered(file: &str, line: u32, blocks: &Blocks) -> Option<u32> {
    let Some(ranges) = blocks.get(file) else { return Some(line) };
    if ranges.iter().any(|range| range.contains(&line)) {
        return None;
    }
    let before = ranges.iter().filter(|range| range.end <= line);
    Some(line - before.map(|range| range.end - range.start).sum::<u32>())
}

/// Where `origin`, a place in the user's own configuration, stands while `blocks` are in the files.
pub fn as_it_stands(origin: &Origin, blocks: &Blocks) -> Origin {
    let mut line = origin.line;
    for range in blocks.get(&origin.file).into_iter().flatten() {
        if range.start <= line {
            line += range.end - range.start;
        }
    }
    Origin { file: origin.file.clone(), line }
}

/// The files where a directive does not stand where Apache says, with the first of each: nothing
/// can be written into those. It is no matter of other files.
pub fn disagreements(dump: &Dump, texts: &Overlay<'_>) -> BTreeMap<String, Refusal> {
    let mut found = BTreeMap::new();
    collect_disagreements(&dump.config, texts, &mut found);
    found
}

fn collect_disagreements(
    nodes: &[Node],
    texts: &Overlay<'_>,
    found: &mut BTreeMap<String, Refusal>,
) {
    for node in nodes {
        if !found.contains_key(&node.origin.file)
            && let Err(refusal) = node_agrees(node, texts)
        {
            found.insert(node.origin.file.clone(), refusal);
        }
        collect_disagreements(&node.children, texts, found);
    }
}

fn node_agrees(node: &Node, texts: &Overlay<'_>) -> Result<(), Refusal> {
    // Of a <Perl> section the first line inside is named, by a directive of another name.
    if !node.origin.is_macro() && node.name != "perl" {
        let document = texts.read(&node.origin.file);
        let line = document.and_then(|d| d.line_ending_at(node.origin.line));
        let name = line.and_then(super::document::LogicalLine::name);
        let name = name.ok_or_else(|| Refusal::lexer(&node.origin, &node.name))?;
        // A name made of a variable is only known to Apache.
        if !name.contains(&b'$') && !same_name(&name, &node.name) {
            return Err(Refusal::lexer(&node.origin, &node.name));
        }
    }
    Ok(())
}

/// `<Location>` may be followed by its argument without a blank in neither reading.
fn same_name(written: &[u8], dumped: &str) -> bool {
    let written = written.strip_suffix(b">").filter(|_| dumped.starts_with('<')).unwrap_or(written);
    written.eq_ignore_ascii_case(dumped.as_bytes())
}

/// The candidate's dump must be the user's, plus each line of our blocks, and nothing else.
pub fn adds_only_blocks(
    user: &Dump,
    candidate: Dump,
    texts: &Overlay<'_>,
    blocks: &Blocks,
) -> Result<(), Refusal> {
    let mut wrong = disagreements(&candidate, texts).into_iter();
    if let Some((_, refusal)) = wrong.find(|(file, _)| blocks.contains_key(file)) {
        return Err(refusal);
    }
    let active = active(&candidate.config, texts, blocks);
    let rest = without(candidate, blocks);
    if let Some(origin) = first_difference(&user.config, &rest.config) {
        return Err(Refusal::lexer(&origin, "the inserted lines would change this one"));
    }
    if (&user.bindings, &user.includes, &user.modules)
        != (&rest.bindings, &rest.includes, &rest.modules)
    {
        let origin = Origin { file: user.server_root.clone(), line: 0 };
        return Err(Refusal::lexer(
            &origin,
            "the inserted lines would change which files or hosts are active",
        ));
    }
    active
}

/// Every directive of our blocks must be in the candidate's dump as it is written.
fn active(nodes: &[Node], texts: &Overlay<'_>, blocks: &Blocks) -> Result<(), Refusal> {
    let mut active = BTreeMap::new();
    collect(nodes, blocks, &mut active);
    for (file, ranges) in blocks {
        let Some(document) = texts.read(file) else { continue };
        let ours = document.lines().iter().filter(|l| ranges.iter().any(|r| r.contains(&l.last)));
        for line in ours.filter(|l| !l.is_comment() && !l.text.starts_with(b"</")) {
            let origin = Origin { file: file.clone(), line: line.last };
            let node = active.get(&origin).filter(|node| is_text(node, &line.text));
            node.ok_or_else(|| Refusal::lexer(&origin, "the inserted line would not be active"))?;
        }
    }
    Ok(())
}

fn first_difference(user: &[Node], rest: &[Node]) -> Option<Origin> {
    let pairs = user.iter().zip(rest).find(|(a, b)| a != b);
    match pairs {
        Some((a, b))
            if (&a.name, &a.arguments, &a.origin) == (&b.name, &b.arguments, &b.origin) =>
        {
            first_difference(&a.children, &b.children)
        }
        Some((a, _)) => Some(a.origin.clone()),
        None => user.get(rest.len()).or(rest.get(user.len())).map(|n| n.origin.clone()),
    }
}

/// What comes from our blocks.
fn collect<'a>(nodes: &'a [Node], blocks: &Blocks, found: &mut BTreeMap<&'a Origin, &'a Node>) {
    for node in nodes {
        if renumbered(&node.origin.file, node.origin.line, blocks).is_none() {
            found.insert(&node.origin, node);
        }
        collect(&node.children, blocks, found);
    }
}

fn is_text(node: &Node, text: &[u8]) -> bool {
    let mut dumped = [node.name.as_bytes(), b" ", &node.arguments].concat();
    if node.name.starts_with('<') {
        dumped.push(b'>');
    }
    let name = words(text).next().map_or(0, |w| w.len());
    text.len() == dumped.len()
        && text[..name].eq_ignore_ascii_case(&dumped[..name])
        && text[name..] == dumped[name..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample::documents;

    const USER: &str =
        "<VirtualHost *:80>\nServerName a\nProxyPass / http://x/\n</VirtualHost>\nListen 80\n";
    const WITH: &str = "<VirtualHost *:80>\n# begin\nA b\n# end\nServerName a\nProxyPass / http://x/\n</VirtualHost>\nListen 80\n";

    fn dump(text: &str) -> Dump {
        crate::apache::sample::dump(text, &[])
    }

    fn texts(documents: &BTreeMap<String, Document>) -> Overlay<'_> {
        Overlay { user: documents, instead: BTreeMap::new() }
    }

    fn blocks() -> Blocks {
        [("/f".to_owned(), std::iter::once(2..5).collect())].into()
    }

    #[test]
    fn a_dump_without_blocks_is_the_users() {
        assert_eq!(without(dump(WITH), &blocks()), dump(USER));
    }

    #[test]
    fn only_the_blocks_may_be_added() {
        let (user, with) = (dump(USER), dump(WITH));
        assert_eq!(adds_only_blocks(&user, with, &texts(&documents(WITH)), &blocks()), Ok(()));
        let other = WITH.replace("Listen 80", "Listen 81");
        let verdict = adds_only_blocks(&user, dump(&other), &texts(&documents(&other)), &blocks());
        assert_eq!(verdict.unwrap_err().origin.unwrap().line, 5);
        let silent = WITH.replace("A b\n", "# A b\n");
        let verdict = adds_only_blocks(&user, dump(&silent), &texts(&documents(WITH)), &blocks());
        assert_eq!(verdict.unwrap_err().origin.unwrap().line, 3);
    }

    #[test]
    fn a_macro_is_described_as_if_without_the_blocks() {
        let said = |defined, used| {
            format!(
                "macro 'on line ' (defined on line {defined} of \"/f\") used on line {used} of \"/g\""
            )
        };
        assert_eq!(described(&said(9, 12), &blocks()), said(6, 12));
        assert_eq!(described(&said(1, 12), &blocks()), said(1, 12));
    }

    #[test]
    fn a_disagreement_is_the_matter_of_its_file_alone() {
        let output = b"# In file: /f
#   1:
Listen 80
# In file: /g
#   1:
<VirtualHost *:80>
  #   2:
  Perl $ServerAdmin = 'x';
push @{$Location{'/x'}}, 1;

  #   4:
  ServerName b
</VirtualHost>
";
        let dump = Dump::parse(output).unwrap();
        let text = |text: &str| Document::parse(text.into()).unwrap();
        let perl = "<VirtualHost *:80>\n<Perl> $ServerAdmin = 'x';\n</Perl>\nServerName b\n";
        let both =
            |f: &str, g: &str| [("/f".to_owned(), text(f)), ("/g".to_owned(), text(g))].into();
        let wrong = |files: &BTreeMap<String, Document>| {
            disagreements(&dump, &texts(files)).into_keys().collect::<Vec<_>>()
        };
        assert!(wrong(&both("Listen 80\n", perl)).is_empty());
        assert_eq!(wrong(&both("# Listen 80\n", perl)), ["/f"]);
        assert_eq!(wrong(&both("Listen 80\n", "\n")), ["/g"]);
    }

    #[test]
    fn a_directive_that_stands_elsewhere_is_refused() {
        assert!(disagreements(&dump(USER), &texts(&documents(USER))).is_empty());
        let shifted = format!("\n{USER}");
        assert!(!disagreements(&dump(USER), &texts(&documents(&shifted))).is_empty());
    }
}
