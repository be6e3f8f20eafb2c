//! pure: which lines to insert where, so that this host answers the challenges of the wanted names.
//!
//! A function of the user's own configuration and the wanted routes alone: the
//! blocks of an earlier switch are gone before it looks. Switching again, back
//! or half-way is the same function with other routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::apache::dead::dead;
use crate::apache::document::Document;
use crate::apache::dump::{Dump, Node, Origin};
use crate::apache::htaccess::Htaccess;
use crate::apache::obstacles::Obstacles;
use crate::apache::proxying;
use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::sections;
use crate::apache::survey::obstacles;
use crate::apache::vhosts::{Vhost, answering, bound_addresses, near, vhosts};
use crate::base::names::{HTTPS_PORT, Hostname, Route, Webroot};
use crate::switch::insertion::Insertion;

pub use crate::base::names::HTTP_PORT;

/// The user's configuration.
#[derive(Debug, Clone, Copy)]
pub struct Configuration<'a> {
    /// Apache's view, our blocks taken out.
    pub dump: &'a Dump,
    /// The files by the path Apache opened, our blocks taken out.
    pub documents: &'a BTreeMap<String, Document>,
    /// `.htaccess` files on the way to each webroot's challenge directory.
    pub htaccess: &'a BTreeMap<Webroot, Vec<Htaccess>>,
}

/// One vhost of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVhost {
    /// Its `<VirtualHost>` line.
    pub origin: Origin,
    /// The wanted routes it answers.
    pub routes: Vec<Route>,
    /// Every name it answers, wanted or not.
    pub names: Vec<Hostname>,
    /// What is overruled; empty when it answers from the webroot anyway.
    pub obstacles: Obstacles,
}

/// An address and a name to prove: `None` is any address that no vhost names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// The name and its webroot.
    pub route: Route,
    /// The address.
    pub address: Option<IpAddr>,
    /// The vhost that answers; `None` is the main server.
    pub vhost: Option<Origin>,
}

/// A TLS listener that serves a certificate of one lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDoor {
    /// The name to ask for.
    pub name: Hostname,
    /// All names that lead here.
    pub names: Vec<Hostname>,
    /// The address; `None` is any that is not in `elsewhere`.
    pub address: Option<IpAddr>,
    /// The addresses that vhosts name on this port.
    pub elsewhere: BTreeSet<IpAddr>,
    /// The port.
    pub port: u16,
    /// The certificate file.
    pub certificate: PathBuf,
}

/// Every certificate file that a vhost, or the main server, names.
pub fn certificates(dump: &Dump) -> BTreeSet<PathBuf> {
    let mut levels: Vec<&[Node]> = vec![&dump.config];
    let mut files = BTreeSet::new();
    while let Some(nodes) = levels.pop() {
        for node in nodes {
            if node.name == "sslcertificatefile" {
                let file = node.first();
                let file = String::from_utf8_lossy(&file).into_owned();
                files.insert(Path::new(&dump.server_root).join(file));
            }
            levels.push(&node.children);
        }
    }
    files
}

/// Where the certificates in `directory` are served.
pub fn tls_doors(dump: &Dump, directory: &Path) -> Vec<TlsDoor> {
    let mut doors = Vec::new();
    for vhost in vhosts(dump) {
        let Some(origin) = vhost.origin() else { continue };
        let file = vhost.last("sslcertificatefile").and_then(|node| node.words().next());
        let file =
            file.map(|f| Path::new(&dump.server_root).join(String::from_utf8_lossy(&f).as_ref()));
        let Some(certificate) = file.filter(|f| f.starts_with(directory)) else { continue };
        for binding in dump.bindings.iter().filter(|b| b.vhost == *origin) {
            let port = binding.port.unwrap_or(HTTPS_PORT);
            // A name that two vhosts claim leads to the first.
            let leads_here = |name: &Hostname| {
                answering(dump, binding.address, port, name).origin() == Some(origin)
            };
            let names: Vec<_> = vhost.names().into_iter().filter(leads_here).collect();
            let Some(name) = names.first().cloned() else { continue };
            let elsewhere = bound_addresses(dump, port).into_iter().collect();
            let (address, certificate) = (binding.address, certificate.clone());
            doors.push(TlsDoor { name, names, address, elsewhere, port, certificate });
        }
    }
    doors
}

/// What to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// New content of every file with blocks, by the path Apache opened.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The vhosts that answer the wanted names.
    pub vhosts: Vec<PlannedVhost>,
    /// What to prove afterwards.
    pub doors: Vec<Door>,
}

impl Plan {
    /// The wanted routes that it is for.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = self.doors.iter().map(|door| door.route.clone()).collect();
        routes.sort();
        routes.dedup();
        routes
    }
}

/// A wanted route that cannot be switched, and why.
pub type RefusedRoute = (Route, Refusal);

/// Plans the insertions for `wanted`; any obstacle that cannot be overruled refuses all.
pub fn plan(user: Configuration<'_>, wanted: &[Route]) -> Result<Plan, Vec<Refusal>> {
    attempt(user, wanted).map_err(|refused| reasons(&refused))
}

/// Plans the insertions for those of `wanted` that can be switched; what cannot costs itself alone.
pub fn possible(user: Configuration<'_>, wanted: &[Route]) -> (Plan, Vec<RefusedRoute>) {
    let (mut left, mut refused) = (wanted.to_vec(), Vec::new());
    loop {
        match attempt(user, &left) {
            Ok(plan) => return (plan, refused),
            // At least one less each time.
            Err(more) => {
                left.retain(|route| more.iter().all(|(other, _)| other != route));
                refused.extend(more);
            }
        }
    }
}

/// Each reason once, in their order.
pub fn reasons(refused: &[RefusedRoute]) -> Vec<Refusal> {
    let mut reasons: Vec<Refusal> = Vec::new();
    for (_, refusal) in refused {
        if !reasons.contains(refusal) {
            reasons.push(refusal.clone());
        }
    }
    reasons
}

/// The ways to a route's name.
pub fn doors(dump: &Dump, route: &Route) -> Vec<Door> {
    let door = |(address, vhost): (Option<IpAddr>, Vhost<'_>)| Door {
        route: route.clone(),
        address,
        vhost: vhost.origin().cloned(),
    };
    answering_vhosts(dump, &route.name).into_iter().map(door).collect()
}

fn attempt(user: Configuration<'_>, wanted: &[Route]) -> Result<Plan, Vec<RefusedRoute>> {
    let mut refused: Vec<RefusedRoute> = Vec::new();
    let mut groups: Vec<(Vhost<'_>, Vec<Route>)> = Vec::new();
    let mut out = Plan::default();
    for route in wanted {
        for (address, vhost) in answering_vhosts(user.dump, &route.name) {
            let origin = vhost.origin().cloned();
            out.doors.push(Door { route: route.clone(), address, vhost: origin });
            match groups.iter_mut().find(|(v, _)| v.origin() == vhost.origin()) {
                Some((_, routes)) if routes.contains(route) => {}
                Some((_, routes)) => routes.push(route.clone()),
                None => groups.push((vhost, vec![route.clone()])),
            }
        }
    }
    let mut blocks: BTreeMap<&str, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
    for (vhost, mut routes) in groups {
        routes.sort();
        match overruled(user, &vhost, &routes) {
            Ok(found) => {
                let lines = Insertion::new(user.dump, &vhost, &routes, &found);
                match lines.and_then(|lines| lines.place(user.documents, &vhost, &routes)) {
                    Ok(placed) => {
                        for (file, at, text) in placed {
                            blocks.entry(file).or_default().push((at, text));
                        }
                    }
                    // The lines are one answer for all of them.
                    Err(refusal) => {
                        refused.extend(routes.iter().map(|route| (route.clone(), refusal.clone())));
                    }
                }
                if let Some(origin) = vhost.origin() {
                    let (origin, mut names) = (origin.clone(), vhost.names());
                    // Those that only a pattern of it covers.
                    let matched = routes.iter().map(|route| &route.name);
                    let matched = matched.filter(|name| vhost.is_named(name)).cloned();
                    names.extend(matched.collect::<Vec<_>>());
                    names.sort();
                    names.dedup();
                    out.vhosts.push(PlannedVhost { origin, routes, names, obstacles: found });
                }
            }
            Err(more) => refused.extend(more),
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    for (file, mut inserts) in blocks {
        if let Some(document) = user.documents.get(file) {
            inserts.sort_by_key(|(at, _)| *at);
            out.files.insert(file.to_owned(), insert(document.bytes(), &inserts));
        }
    }
    Ok(out)
}

/// The vhosts that answer `name`, with the address each is reached on.
///
/// An address whose own vhosts do not know the name is not where the name is
/// served, unless no vhost knows it: then the defaults answer.
pub fn answering_vhosts<'a>(dump: &'a Dump, name: &Hostname) -> Vec<(Option<IpAddr>, Vhost<'a>)> {
    let addresses = bound_addresses(dump, HTTP_PORT).into_iter().map(Some).chain([None]);
    let all: Vec<_> =
        addresses.map(|address| (address, answering(dump, address, HTTP_PORT, name))).collect();
    if all.iter().any(|(_, vhost)| vhost.is_named(name)) {
        all.into_iter().filter(|(_, vhost)| vhost.is_named(name)).collect()
    } else {
        all
    }
}

/// Routes for the names of all vhosts whose challenge path is proxied now, for a
/// client that names none: in `webroot`, else in the vhost's own document root.
pub fn proxied_routes(dump: &Dump, webroot: Option<&Webroot>) -> Vec<Route> {
    let route = |name: Hostname| {
        let vhost = answering_vhosts(dump, &name).pop()?.1;
        let own = || Webroot::parse(&String::from_utf8_lossy(&vhost.document_root(dump))).ok();
        let webroot = webroot.cloned().or_else(own)?;
        let request = Request::new(&name);
        let sections = sections::applied(&vhost, &request, &webroot.challenge_directory());
        let proxied = proxying::winner(&vhost, &request, &sections).is_some();
        proxied.then_some(Route { name, webroot })
    };
    served_names(dump).into_iter().filter_map(route).collect()
}

/// Every name that a vhost on port 80 spells out.
fn served_names(dump: &Dump) -> Vec<Hostname> {
    let bound = |v: &Vhost<'_>| {
        let http = dump.bindings.iter().filter(|b| b.port.is_none_or(|p| p == HTTP_PORT));
        v.origin().is_some_and(|origin| http.into_iter().any(|b| b.vhost == *origin))
    };
    let mut names: Vec<_> =
        vhosts(dump).iter().filter(|v| bound(v)).flat_map(Vhost::names).collect();
    names.sort();
    names.dedup();
    names
}

/// What `routes` need overruled in `vhost`; else those that cannot be switched there.
fn overruled(
    user: Configuration<'_>,
    vhost: &Vhost<'_>,
    routes: &[Route],
) -> Result<Obstacles, Vec<RefusedRoute>> {
    let (mut all, mut refused) = (Obstacles::default(), Vec::new());
    for route in routes {
        let request = Request::new(&route.name);
        let htaccess = user.htaccess.get(&route.webroot).map_or(&[][..], Vec::as_slice);
        match obstacles(vhost, user.dump, &request, &route.webroot, htaccess) {
            Ok(found) => all.add(found),
            Err(more) => refused.extend(more.into_iter().map(|why| (route.clone(), why))),
        }
    }
    if !refused.is_empty() {
        return Err(refused.into_iter().map(|one| meant(user.dump, vhost, one)).collect());
    }
    if let Some(route) = routes.first() {
        let names: Vec<Hostname> =
            routes.iter().map(|r| r.name.clone()).chain(vhost.names()).collect();
        all.dead = dead(user.dump, vhost, &names, &route.webroot.challenge_directory());
    }
    if vhost.node.is_none() && !all.is_empty() {
        let outside = |route: &Route| (route.clone(), Refusal::outside_vhost(all.first(), route));
        let refused = routes.iter().map(outside);
        return Err(refused.map(|one| meant(user.dump, vhost, one)).collect());
    }
    Ok(all)
}

/// The refusal of a name that no vhost has: another one's lines are none of its business if its own
/// vhost is there, and one of the two mistyped.
fn meant(dump: &Dump, vhost: &Vhost<'_>, (route, why): RefusedRoute) -> RefusedRoute {
    let near = near(dump, &route.name).filter(|_| !vhost.is_named(&route.name));
    let why = near.map_or(why, |(near, at)| Refusal::misnamed(&route.name, &near, at));
    (route, why)
}

fn insert(bytes: &[u8], inserts: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut from) = (Vec::new(), 0);
    for (at, text) in inserts {
        out.extend_from_slice(&bytes[from..*at]);
        out.extend_from_slice(text);
        from = *at;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample;
    use crate::render::layout::Layout;

    /// The lines that are added to a file of vhosts so that `names` are answered from `/srv`.
    fn added(text: &str, names: &[&str]) -> Result<Vec<String>, String> {
        let modules = ["rewrite", "alias", "setenvif", "proxy"];
        let (dump, documents) = (sample::dump(text, &modules), sample::documents(text));
        let webroot = Webroot::parse("/srv").unwrap();
        let name = |name: &&str| Hostname::parse(name).unwrap();
        let routes: Vec<Route> =
            names.iter().map(|n| Route { name: name(n), webroot: webroot.clone() }).collect();
        let htaccess = BTreeMap::new();
        let user = Configuration { dump: &dump, documents: &documents, htaccess: &htaccess };
        let plan = plan(user, &routes).map_err(|refusals| refusals[0].to_string())?;
        let Some(bytes) = plan.files.get("/f") else { return Ok(Vec::new()) };
        let document = Document::parse(bytes.clone()).unwrap();
        let stripped = crate::switch::marked_lines::strip(&document);
        assert_eq!(stripped.bytes, text.as_bytes(), "only blocks are added");
        let ours =
            document.lines().iter().filter(|l| stripped.lines.iter().any(|r| r.contains(&l.first)));
        let directives = ours.filter(|l| !l.is_comment());
        Ok(directives.map(|l| String::from_utf8(l.text.clone()).unwrap()).collect())
    }

    fn vhost(lines: &[&str]) -> String {
        let head = ["<VirtualHost *:80>", "ServerName a.example.org", "DocumentRoot /srv"];
        [&head, lines, &["</VirtualHost>", ""]].concat().join("\n")
    }

    const ALL: &str = "ProxyPass / http://app/";
    const OPEN: &str = "<Location \"/.well-known/acme-challenge/\">";
    const RULE: &str = r#"RewriteRule "^/\.well-known/acme-challenge/([A-Za-z0-9_-]+)$" "/srv/.well-known/acme-challenge/$1" [END]"#;

    #[test]
    fn a_proxy_is_excluded_and_nothing_else_is_touched() {
        let found = added(&vhost(&[ALL]), &["a.example.org"]).unwrap();
        assert_eq!(found, [OPEN, "ProxyPass !", "</Location>"]);
    }

    #[test]
    fn what_answers_already_gets_no_line() {
        assert_eq!(added(&vhost(&[]), &["a.example.org"]), Ok(vec![]));
    }

    #[test]
    fn only_one_rendered_layout_needs_a_switch() {
        let (webroot, vps) = (Webroot::parse("/srv").unwrap(), Hostname::parse("vps").unwrap());
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".parse().unwrap();
        let of = |layout: &Layout| {
            let lines = layout.lines(&webroot, &vps);
            let lines = ["RewriteEngine On"].into_iter().chain(lines.iter().map(String::as_str));
            added(&vhost(&lines.collect::<Vec<_>>()), &["a.example.org"])
        };
        assert_eq!(of(&Layout::Switch).unwrap(), [OPEN, "ProxyPass !", "</Location>"]);
        assert_eq!(of(&Layout::Fallthrough), Ok(vec![]));
        assert_eq!(of(&Layout::Stateless(thumbprint)), Ok(vec![]));
        // A file of another directory is not the one that certbot writes.
        let elsewhere = Layout::Fallthrough.lines(&Webroot::parse("/other").unwrap(), &vps);
        let elsewhere =
            ["RewriteEngine On"].into_iter().chain(elsewhere.iter().map(String::as_str));
        assert!(
            !added(&vhost(&elsewhere.collect::<Vec<_>>()), &["a.example.org"]).unwrap().is_empty()
        );
    }

    #[test]
    fn a_refusal_of_a_name_that_is_mistyped_names_the_line_that_is_meant() {
        let first = "<VirtualHost *:80>\nJkMount /* w\n</VirtualHost>\n";
        let text = [first, &vhost(&[ALL]).replace("a.example.org", "wikki.example.org")].concat();
        let why = added(&text, &["wiki.example.org"]).unwrap_err();
        assert!(
            why.starts_with("/f:5: no <VirtualHost> on port 80 is named wiki.example.org"),
            "{why}"
        );
        assert!(added(&text, &["git.example.org"]).unwrap_err().contains("JkMount"));
    }

    #[test]
    fn a_perl_section_costs_its_own_vhost_alone() {
        let other = "<VirtualHost *:80>\nServerName b.example.org\nPerl $x = 1;\n</VirtualHost>\n";
        let text = [&vhost(&[ALL]), other].concat();
        assert!(added(&text, &["a.example.org"]).is_ok());
        assert!(added(&text, &["b.example.org"]).unwrap_err().contains("/f:8: a <Perl> section"));
    }

    #[test]
    fn a_rewrite_rule_is_switched_off_for_the_challenge_path() {
        let lines = ["RewriteEngine On", "RewriteRule ^ https://x/ [R]"];
        let found = added(&vhost(&lines), &["a.example.org"]).unwrap();
        assert_eq!(found, [OPEN, "RewriteEngine Off", "</Location>"]);
    }

    #[test]
    fn a_redirect_is_overruled_by_a_way_to_the_file() {
        let found = added(&vhost(&["Redirect / https://x/"]), &["a.example.org"]).unwrap();
        assert_eq!(found, [RULE, OPEN, "RewriteEngine On", "</Location>"]);
    }

    #[test]
    fn rules_of_the_main_server_that_sleep_are_not_woken() {
        let main = "RewriteEngine On\nRewriteOptions InheritDown\nRewriteRule ^ https://x/ [R]\n";
        let text = [main, &vhost(&["Redirect / https://x/"])].concat();
        let found = added(&text, &["a.example.org"]).unwrap();
        assert_eq!(found, ["RewriteEngine Off", RULE, OPEN, "RewriteEngine On", "</Location>"]);
        let text = [main, &vhost(&["ProxyPass / http://x/"])].concat();
        let found = added(&text, &["a.example.org"]).unwrap();
        assert!(found.iter().all(|line| !line.starts_with("Rewrite")), "{found:?}");
    }

    #[test]
    fn inherited_rules_before_a_redirect_are_refused() {
        let main = "RewriteEngine On\nRewriteOptions InheritDownBefore\nRewriteRule ^ - [F]\n";
        let text = [main, &vhost(&["Redirect / https://x/"])].concat();
        assert!(
            added(&text, &["a.example.org"]).unwrap_err().contains("/f:3: rewrite rules inherited")
        );
    }

    #[test]
    fn an_if_is_overruled_by_one_as_deep() {
        let lines = ["<If \"true\">", "<If \"true\">", "Require all denied", "</If>", "</If>"];
        let found = added(&vhost(&lines), &["a.example.org"]).unwrap();
        let opens = found.iter().filter(|l| *l == "<If \"true\">").count();
        assert_eq!((opens, found.iter().filter(|l| *l == "Require all granted").count()), (2, 1));
    }

    #[test]
    fn one_refused_name_refuses_all() {
        let other = "<VirtualHost *:80>\nServerName b.example.org\nJkMount /* w\n</VirtualHost>\n";
        let text = [&vhost(&[ALL]), other].concat();
        assert!(added(&text, &["a.example.org"]).is_ok());
        assert!(added(&text, &["a.example.org", "b.example.org"]).unwrap_err().contains("JkMount"));
    }

    #[test]
    fn a_name_that_cannot_be_switched_costs_itself_alone() {
        let bad = "<VirtualHost *:80>\nServerName b.example.org\nDocumentRoot /srv\nJkMount /* w\n</VirtualHost>\n";
        let text = [vhost(&[ALL]), bad.to_owned()].concat();
        let (dump, documents) =
            (sample::dump(&text, &["alias", "proxy"]), sample::documents(&text));
        let htaccess = BTreeMap::new();
        let user = Configuration { dump: &dump, documents: &documents, htaccess: &htaccess };
        let webroot = Webroot::parse("/srv").unwrap();
        let route =
            |name: &str| Route { name: Hostname::parse(name).unwrap(), webroot: webroot.clone() };
        let wanted = ["b.example.org", "a.example.org", "none.example.org"].map(route);
        let names = |routes: &[Route]| -> Vec<String> {
            routes.iter().map(|route| route.name.to_string()).collect()
        };
        // What no vhost knows is answered by the first one, which can be switched.
        let (plan, refused) = possible(user, &wanted);
        assert_eq!(names(&plan.routes()), ["a.example.org", "none.example.org"]);
        let refused: Vec<_> =
            refused.iter().map(|(route, why)| (route.name.as_str(), why.reason.as_str())).collect();
        assert!(
            matches!(refused[..], [("b.example.org", why)] if why.contains("JkMount")),
            "{refused:?}"
        );
        let alone = super::plan(user, &wanted[1..]).unwrap();
        assert_eq!((alone.files, alone.vhosts), (plan.files, plan.vhosts));
        assert!(super::plan(user, &wanted).is_err(), "where all of it is needed");
        let (plan, refused) = possible(user, &wanted[..1]);
        assert_eq!((plan, refused.len()), (Plan::default(), 1));
    }
}
