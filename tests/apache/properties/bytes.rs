//! test: any bytes at all in every reader: none panics, and none loses a byte.

use certbaton::apache::document::Document;
use certbaton::apache::dump::Dump;
use certbaton::apache::htaccess::Htaccess;
use certbaton::base::names::Route;
use certbaton::switch::journal;
use certbaton::switch::marked_lines;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::properties::checks::{lossless, routes, unmarked};

/// Bytes that mean something to one of the readers, and any others.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec);
    let piece = prop_oneof![4 => known, 1 => prop::collection::vec(any::<u8>(), 0..6)];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_bytes_make_a_reader_panic_or_lose_a_byte() {
    run(4_000, &pieces(), |bytes| {
        if let Ok(document) = Document::parse(bytes.clone()) {
            if let Err(broken) = lossless(&document) {
                return Err(TestCaseError::fail(broken.to_string()));
            }
            for line in document.lines() {
                prop_assert_eq!(document.line_ending_at(line.last), Some(line));
                prop_assert!(line.name().is_none() == (line.text.is_empty() || line.is_comment()));
                if let Ok(close) = document.closing_line(line) {
                    prop_assert!(close.span.start > line.span.start);
                }
            }
            let stripped = marked_lines::strip(&document);
            prop_assert!(stripped.bytes.len() <= bytes.len());
            let read = Htaccess::parse("/srv/.htaccess", &document);
            prop_assert!(read.nodes.len() <= document.lines().len());
        } else {
            prop_assert!(bytes.contains(&0));
        }
        if let Ok(dump) = Dump::parse(&bytes) {
            prop_assert!(!dump.config.is_empty());
        }
        if let Ok(journal) = journal::read(&bytes) {
            prop_assert!(journal.files.is_empty() && journal.local.is_empty());
        }
        Ok(())
    });
}

#[test]
fn only_what_is_ours_to_the_byte_is_taken_out() {
    let at = 0..1000_usize;
    let change = (at, any::<u8>(), 0..3_usize);
    let line_end = any::<bool>().prop_map(|dos| if dos { &b"\r\n"[..] } else { b"\n" });
    run(4_000, &(pieces(), pieces(), line_end, change), |(before, after, line_end, change)| {
        let ours = marked_lines::render(&route(), &["<L>".into(), "    A b".into()], line_end);
        let before = ended(before);
        let whole = [&before[..], &ours, &after].concat();
        let Ok(document) = Document::parse(whole.clone()) else { return Ok(()) };
        let stripped = marked_lines::strip(&document);
        if PIECES_OF_OURS.iter().all(|piece| !contains(&before, piece)) {
            let gone = [&before[..], &after].concat();
            prop_assert_eq!(&stripped.bytes[..], &gone[..]);
            prop_assert_eq!(stripped.routes, route());
        }
        // One byte of ours changed: the block is not ours any more, and stays.
        let mut changed = ours.clone();
        let place = change.0 % changed.len();
        match change.2 {
            0 if changed[place] != change.1 => changed[place] = change.1,
            0 | 1 => changed.insert(place, b'x'),
            _ => {
                changed.remove(place);
            }
        }
        let Ok(document) = Document::parse(changed.clone()) else { return Ok(()) };
        let stripped = marked_lines::strip(&document);
        let same_lines = normalised(&changed) == normalised(&ours);
        prop_assert!(same_lines || stripped.bytes == changed, "{:?}", stripped);
        Ok(())
    });
}

/// The test's own deleter agrees wherever the markers are ours.
#[test]
fn the_tiny_deleter_takes_out_what_is_rendered() {
    let ours = marked_lines::render(&route(), &["A b".into()], b"\r\n");
    let whole = [b"C d\n", &ours[..], b"E f"].concat();
    assert_eq!(unmarked(&whole), b"C d\nE f");
}

fn route() -> Vec<Route> {
    routes(&["a.example.org".to_owned()], "/srv/my www")
}

/// Ends in a line end that continues nothing.
fn ended(mut bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.is_empty() {
        bytes.extend_from_slice(b" \n");
    }
    bytes
}

/// A line end may change; it is not part of what the hash covers.
fn normalised(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split(|&b| b == b'\n');
    lines.flat_map(|l| [l.strip_suffix(b"\r").unwrap_or(l), b"\n"].concat()).collect()
}

fn contains(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases = if support::full() { cases * 10 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, check).unwrap();
}

const PIECES: [&[u8]; 40] = [
    b"\n",
    b"\r\n",
    b"\\\n",
    b"\\\r\n",
    b"\\",
    b" ",
    b"\t",
    b"\x0b",
    b"#",
    b"\"",
    b"'",
    b"<",
    b"</",
    b">",
    b"<VirtualHost *:80>\n",
    b"</VirtualHost>\n",
    b"<IfModule x>",
    b"ProxyPass / http://x/\n",
    b"# In file: /f\n",
    b"# In file: macro 'm' (defined on line 1 of \"/f\") used on line 2 of \"/f\"\n",
    b"#   1:\n",
    b"  #  99999999999:\n",
    b"    # 3:\n",
    b"  (*) /f\n",
    b"    (3) /g\n",
    b"*:80                   is a NameVirtualHost\n",
    b"         port 80 namevhost a.example.org (/f:1)\n",
    b"[::1]:80   a (/f:1)\n",
    b"ServerRoot: \"/s\"\n",
    b"User: name=\"w\" id=99999999999\n",
    b" core_module (static)\n",
    b"    # certbaton: begin ",
    b"    # certbaton: begin 0123456789ab a=/srv\n",
    b"    # certbaton: end 0123456789ab\n",
    b"# certbaton: end",
    b"    # certbaton: ",
    b"{\"intent\":{}}\n",
    b"0123456789abcdef \"loaded\"\n",
    b"\0",
    b"\xe4\xff",
];

const PIECES_OF_OURS: [&[u8]; 1] = [b"certbaton: "];
