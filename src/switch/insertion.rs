//! pure: the lines that overrule the obstacles of one vhost, and where they go.
//!
//! One `<Location>` at its end overrules proxying, access, handlers and rewriting
//! of the challenge path alone; where the path must lead to another directory,
//! lines at its start do. Nothing of the vhost's other paths is touched.

use std::collections::BTreeMap;

use crate::apache::document::Document;
use crate::apache::dump::{Dump, Origin};
use crate::apache::obstacles::{Obstacle, Obstacles};
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::rewrite;
use crate::apache::rulebook::Rulebook;
use crate::apache::vhosts::Vhost;
use crate::base::names::{CHALLENGE_DIRECTORY, CHALLENGE_PATH, Route, Webroot};
use crate::switch::marked_lines;

/// A block, the file it goes into, and the byte offset there.
pub type Placed<'a> = (&'a str, usize, Vec<u8>);

/// Lines for the start and for the end of one vhost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Insertion {
    head: Vec<String>,
    tail: Vec<String>,
}

impl Insertion {
    /// What overrules `found` in `vhost`, so that `routes` are answered.
    pub fn new(
        dump: &Dump,
        vhost: &Vhost<'_>,
        routes: &[Route],
        found: &Obstacles,
    ) -> Result<Self, Refusal> {
        let mut webroots: Vec<&Webroot> = routes.iter().map(|r| &r.webroot).collect();
        webroots.sort();
        webroots.dedup();
        let is_elsewhere = found.any(&[Obstacle::Elsewhere]);
        let alias_suffices = webroots.len() == 1 && dump.modules.contains("alias");
        let maps = found.any(&[Obstacle::Redirected, Obstacle::Unaliasable])
            || is_elsewhere && !alias_suffices;
        let mut head = Vec::new();
        if maps {
            let causes = [Obstacle::Redirected, Obstacle::Unaliasable, Obstacle::Elsewhere];
            let cause = causes.into_iter().find_map(|one| found.line(one));
            needs_module(dump, "rewrite", cause.or(vhost.origin()))?;
            runs_first(vhost, routes)?;
            // Our rule is its first rewrite directive: the main server's must sleep on.
            head.extend(Rulebook::of(vhost).wakes.then(|| "RewriteEngine Off".to_owned()));
            head.extend(webroots.iter().flat_map(|w| mapping(w, routes, webroots.len() > 1)));
        } else if is_elsewhere {
            let directory = webroots[0].challenge_directory();
            head.push(format!("Alias \"{CHALLENGE_PATH}\" \"{}/\"", directory.display()));
        }
        let mut tail = location(found, maps);
        if found.any(&[Obstacle::ProxiedEncoded]) {
            needs_module(dump, "setenvif", found.line(Obstacle::ProxiedEncoded))?;
            tail.push(format!("SetEnvIf Request_URI \"^{}\" no-proxy", escaped_path()));
        }
        Ok(Self { head, tail })
    }

    /// Where the blocks go: byte offsets in the file that opens the vhost.
    pub fn place<'a>(
        self,
        documents: &BTreeMap<String, Document>,
        vhost: &Vhost<'a>,
        routes: &[Route],
    ) -> Result<Vec<Placed<'a>>, Refusal> {
        let Some(origin) =
            vhost.origin().filter(|_| !self.head.is_empty() || !self.tail.is_empty())
        else {
            return Ok(Vec::new());
        };
        let unread = || Refusal::lexer(origin, "no <VirtualHost> there");
        let document = documents.get(&origin.file).ok_or_else(unread)?;
        if let Some(why) = document.seal() {
            return Err(Refusal::sealed(origin, why));
        }
        let open = document.line_ending_at(origin.line).ok_or_else(unread)?;
        let close =
            document.closing_line(open).map_err(|e| Refusal::lexer(origin, &e.to_string()))?;
        let spots = [(open.span.end, self.head), (close.span.start, self.tail)];
        let full = spots.into_iter().filter(|(_, lines)| !lines.is_empty());
        let placed = full.map(|(at, lines)| {
            (origin.file.as_str(), at, marked_lines::render(routes, &lines, document.line_end()))
        });
        Ok(placed.collect())
    }
}

fn needs_module(dump: &Dump, module: &str, cause: Option<&Origin>) -> Result<(), Refusal> {
    if dump.modules.contains(module) { Ok(()) } else { Err(Refusal::no_module(cause, module)) }
}

/// Inherited rules that come before the vhost's own come before ours too.
fn runs_first(vhost: &Vhost<'_>, routes: &[Route]) -> Result<(), Refusal> {
    let before = Rulebook::of(vhost).before;
    for route in routes {
        let request = Request::new(&route.name);
        let touch = rewrite::touch(before.iter().copied(), &request, request.path().as_bytes());
        if let Some(touch) = touch {
            return Err(Refusal::inherited_rewrite(&touch.rule.origin, route));
        }
    }
    Ok(())
}

/// `RewriteRule`s that lead straight to the file, per host name where there are several webroots.
fn mapping(webroot: &Webroot, routes: &[Route], several: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if several {
        let names = routes.iter().filter(|r| r.webroot == *webroot);
        let names: Vec<String> = names.map(|r| r.name.as_str().replace('.', "\\.")).collect();
        lines.push(format!(
            "RewriteCond \"%{{HTTP_HOST}}\" \"^({})(:[0-9]+)?$\" [NC]",
            names.join("|")
        ));
    }
    lines.push(format!(
        "RewriteRule \"^{}([A-Za-z0-9_-]+)$\" \"{webroot}/{CHALLENGE_DIRECTORY}/$1\" [END]",
        escaped_path()
    ));
    lines
}

/// The last `<Location>` of a vhost overrules all before it.
///
/// `RewriteEngine` in it decides about the rules of the server level too
/// (`hook_uri2file`, mod_rewrite.c), so rules that sleep go on sleeping elsewhere.
fn location(found: &Obstacles, maps: bool) -> Vec<String> {
    let mut inside: Vec<String> = Vec::new();
    if found.any(&[Obstacle::Proxied, Obstacle::ProxiedEncoded]) {
        inside.push("ProxyPass !".into());
    }
    let mut files: Vec<&str> = Vec::new();
    if maps {
        inside.push("RewriteEngine On".into());
    } else if found.any(&[Obstacle::Rewritten]) {
        inside.push("RewriteEngine Off".into());
        files.extend(Some("RewriteEngine Off").filter(|_| found.nesting > 0));
    }
    if found.any(&[Obstacle::Denied, Obstacle::DeniedByHost]) {
        files.push("Require all granted");
    }
    if found.any(&[Obstacle::DeniedByHost]) {
        files.extend(["Order allow,deny", "Allow from all"]);
    }
    if found.any(&[Obstacle::Handled]) {
        files.push("SetHandler default-handler");
    }
    if !files.is_empty() {
        // Only an <If> as deep as theirs comes after theirs (`ap_if_walk_sub`, request.c).
        let nesting = found.nesting;
        inside.extend((0..nesting).map(|depth| format!("{}<If \"true\">", indent(depth))));
        inside.extend(files.into_iter().map(|line| indent(nesting) + line));
        inside.extend((0..nesting).rev().map(|depth| format!("{}</If>", indent(depth))));
    }
    if inside.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("<Location \"{CHALLENGE_PATH}\">")];
    lines.extend(inside.into_iter().map(|line| indent(1) + &line));
    lines.push("</Location>".to_owned());
    lines
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

fn escaped_path() -> String {
    CHALLENGE_PATH.replace('.', "\\.")
}
