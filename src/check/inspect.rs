//! flow: this host's own half of a check: everything is looked at, nothing is changed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::apache::dead::dead;
use crate::apache::document::Document;
use crate::apache::generated;
use crate::apache::server::{self, Server};
use crate::apache::vhosts::vhosts;
use crate::base::cause::chain;
use crate::base::clock;
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::host;
use crate::base::names::{Hostname, Route, Webroot};
use crate::certbot::lineages::{Lineages, lineages};
use crate::certbot::renewal_file::Lineage;
use crate::check::answerer::{Handling, VhostAnswer, Whose, answerer};
use crate::check::causes::merged;
use crate::check::directive::Texts;
use crate::check::faults::{RenewedName, faults, unswitchable};
use crate::check::health;
use crate::check::leftovers;
use crate::check::marks::{self, MarkedLine};
use crate::check::presented;
use crate::check::reading::{self, RealDisk};
use crate::check::this_host::under_way;
use crate::check::tls::{self, Files};
use crate::check::vitals::vitals;
use crate::config::Settings;
use crate::config::web_server::WebServer;
use crate::fleet::inspection::{Answerer, InspectedName, Inspection};
use crate::switch::apply;
use crate::switch::certificate_proof::{self, Knowledge};
use crate::switch::challenge_proof;
use crate::switch::foreign_reload;
use crate::switch::foreign_served;
use crate::switch::observe::{self, Observation};
use crate::switch::plan::{self, Configuration};
use crate::switch::report;

/// Looks at this host: `names`, and all that certbot renews here.
pub fn inspect(settings: &Settings, names: &[Hostname]) -> Inspection {
    let mut out = Inspection::default();
    let known = lineages(&settings.certbot_directory).unwrap_or_else(|error| {
        out.findings.push(Finding::new(
            Code::CertbotUnreadable,
            Some(settings.certbot_directory.display().to_string()),
            chain(&error),
            "put it right, since certbot renews nothing until then",
        ));
        Lineages::default()
    });
    let certbots = known.usable.iter().flat_map(|lineage| lineage.names.iter().cloned());
    let wanted: BTreeSet<Hostname> = names.iter().cloned().chain(certbots).collect();
    for name in wanted {
        let holds = known.usable.iter().filter(|lineage| lineage.names.contains(&name));
        out.names.push(InspectedName {
            lineages: holds.clone().map(|lineage| lineage.name.clone()).collect(),
            webroot: holds.filter(|l| l.is_webroot()).find_map(|l| l.webroot_of(&name).cloned()),
            vhost: None,
            answerer: Answerer::Unknown,
            otherwise: None,
            obstacles: Vec::new(),
            name,
        });
    }
    let was_busy = under_way(settings);
    let mut apache = None;
    match settings.web_server.as_ref().map_or_else(|| look(settings).map(Some), |_| Ok(None)) {
        Ok(None) => {
            let is_busy = was_busy || under_way(settings);
            settings
                .web_server
                .iter()
                .for_each(|server| foreign(server, &known, is_busy, &mut out));
        }
        Ok(Some((server, seen))) => {
            let hooked = |name: &InspectedName| is_hooked(settings, &known.usable, name);
            tell(&server, &seen, &hooked, &mut out);
            if reading::has_old_hook(&settings.certbot_directory) {
                out.findings.extend(marked(&seen));
            }
            let is_busy = was_busy || under_way(settings);
            if !is_busy {
                let place =
                    |route| seen.block_of(route).map(|(file, line)| format!("{file}:{line}"));
                let left = seen.local.iter().map(|route| leftovers::abandoned(route, place(route)));
                out.findings.extend(left);
            }
            certificates(settings, &server, &seen, &known, is_busy, &mut out);
            apache = Some(server);
        }
        Err(error) => {
            let nobody = matches!(
                error,
                report::Error::Apache(
                    server::Error::NotRunning { .. } | server::Error::NotApache { .. }
                )
            );
            if nobody {
                out.names.iter_mut().for_each(|name| name.answerer = Answerer::Nobody);
            }
            out.findings.push(leftovers::unusable(&error));
        }
    }
    let schedule = reading::schedule(settings);
    out.starts = schedule.starts();
    out.findings.extend(reading::certbot(settings, &known, apache.as_ref(), &schedule));
    let vitals = vitals(settings, &known);
    out.findings.extend(health::findings(&vitals, clock::now()));
    for finding in &mut out.findings {
        finding.host.clone_from(&settings.name);
    }
    out.findings = merged(out.findings);
    out
}

/// Whether Apache serves what certbot renews. While a renewal is under way, what is not loaded yet will be.
fn certificates(
    settings: &Settings,
    server: &Server,
    observed: &Observation,
    known: &Lineages,
    is_busy: bool,
    out: &mut Inspection,
) {
    let texts = Texts { documents: &observed.documents, blocks: &observed.blocks };
    let dump = &observed.user;
    let files = reading::lineage_files(known);
    let loaded = server.loaded_at(Path::new(&dump.pid_file)).ok().filter(|_| !is_busy);
    for name in &out.names {
        let held: Vec<&Files> =
            files.iter().filter(|files| name.lineages.contains(&files.name)).collect();
        let (name, by_hand) = (&name.name, server.by_hand());
        let found = tls::faults(dump, &texts, name, &held, &RealDisk, loaded, by_hand);
        out.findings.extend(found);
    }
    if is_busy {
        return;
    }
    let asked = out.names.iter().map(|name| name.name.clone()).collect();
    let suspects = reading::uncovered(observed, known, &files, &asked);
    out.findings.extend(presented::findings(settings, &suspects));
    // What the dates of files cannot tell, the listeners do: a reload that came to nothing.
    for lineage in &files {
        let doors = plan::tls_doors(dump, &lineage.live);
        let seen = server.listeners().map(|listeners| {
            certificate_proof::prove(&doors, &listeners, HANDSHAKES, Knowledge::Configured)
        });
        if let Ok(Err(challenge_proof::Error::OldCertificate { name, address, fault })) = seen {
            old(name, address, *fault, out);
        }
    }
}

/// A certificate that is on disk and not served, if that is not known already.
fn old(name: Hostname, address: SocketAddr, fault: Finding, out: &mut Inspection) {
    if !out.findings.iter().any(|f| f.code == Code::OldCertificate && f.names.contains(&name)) {
        let (code, place) = (Code::OldCertificate, Some(address.to_string()));
        out.findings.push(Finding { code, place, names: vec![name], ..fault });
    }
}

/// What can be seen of a web server whose configuration is its own.
fn foreign(server: &WebServer, known: &Lineages, is_busy: bool, out: &mut Inspection) {
    out.findings.extend(foreign_reload::test(server).err().map(|error| leftovers::broken(&error)));
    if is_busy {
        return;
    }
    for lineage in reading::lineage_files(known) {
        if let Err(challenge_proof::Error::OldCertificate { name, address, fault }) =
            foreign_served::look(&lineage.live, HANDSHAKES)
        {
            let remedy = format!(
                "{}; and see that it names {}",
                server.reload,
                lineage.live.join("fullchain.pem").display()
            );
            old(name, address, Finding { remedy, ..*fault }, out);
        }
    }
}

/// For the handshakes of one lineage's vhosts.
const HANDSHAKES: Duration = Duration::from_secs(5);

/// The Apache that runs here, and its configuration without our lines.
pub(super) fn look(settings: &Settings) -> Result<(Server, Observation), report::Error> {
    let (journal, _) = apply::read_journal(&settings.state_directory)?;
    let server = server::find(settings.pid_file.as_deref())?;
    let observed = observe::observe(&server, journal)?;
    Ok((server, observed))
}

/// Whether a pre-hook switches the name before it is renewed.
fn is_hooked(settings: &Settings, lineages: &[Lineage], name: &InspectedName) -> bool {
    let hook = settings.certbot_directory.join("renewal-hooks/pre/certbaton");
    let saved = |lineage: &Lineage| {
        lineage.pre_hook.as_ref().is_some_and(|hook| hook.contains("certbaton-pre-hook"))
    };
    host::is_executable(&hook)
        || lineages.iter().any(|l| name.lineages.contains(&l.name) && saved(l))
}

/// Who answers each name, and what is wrong about it.
fn tell(
    server: &Server,
    observed: &Observation,
    hooked: &dyn Fn(&InspectedName) -> bool,
    out: &mut Inspection,
) {
    let texts = Texts { documents: &observed.documents, blocks: &observed.blocks };
    let webroots: Vec<Webroot> = out.names.iter().filter_map(|name| name.webroot.clone()).collect();
    let htaccess = observe::htaccess(&observed.user, webroots.iter());
    let dump = &observed.user;
    let user = Configuration { dump, documents: &observed.documents, htaccess: &htaccess };
    for name in &mut out.names {
        let Some(seen) = answerer(user, &name.name, name.webroot.as_ref(), Whose::Own) else {
            name.answerer = Answerer::Nobody;
            continue;
        };
        name.vhost = seen.vhost.map(|origin| texts.place(origin));
        let is_local = observed.local.iter().any(|route| route.name == name.name);
        if is_local {
            name.answerer = Answerer::Webroot;
            continue;
        }
        name.answerer = texts.answerer(&seen);
        if let Some(others) = answerer(user, &name.name, name.webroot.as_ref(), Whose::Another) {
            name.otherwise =
                Some(texts.answerer(&others)).filter(|others| *others != name.answerer);
        }
        let Some(webroot) = name.webroot.clone() else { continue };
        let switched = seen.fate == Handling::Webroot
            || switchable(user, name, &webroot, &seen, &texts, &mut out.findings);
        let is_switched = switched && hooked(name);
        let renewed = RenewedName { name: &name.name, webroot: &webroot, seen: &seen, is_switched };
        out.findings.extend(faults(dump, &texts, &renewed));
    }
    out.findings.extend(dead_lines(observed, &texts, &out.names));
    for damage in &observed.damaged {
        let file = observed.opened(Path::new(&damage.file)).unwrap_or(&damage.file);
        out.findings.push(leftovers::damaged(file, damage.lines, server.by_hand()));
    }
    match observed.oddities(server) {
        Ok(odd) => out.findings.extend(leftovers::oddities(&odd, &texts, server.by_hand())),
        Err(error) => out.findings.push(leftovers::unusable(&error)),
    }
}

/// Whether a switch can make the webroot answer; what it cannot overrule is told.
fn switchable(
    user: Configuration<'_>,
    name: &mut InspectedName,
    webroot: &Webroot,
    seen: &VhostAnswer<'_>,
    texts: &Texts<'_>,
    findings: &mut Vec<Finding>,
) -> bool {
    let route = Route { name: name.name.clone(), webroot: webroot.clone() };
    match plan::plan(user, &[route]) {
        Ok(plan) => {
            for file in plan.files.keys() {
                let Some(document) = user.documents.get(file) else { continue };
                let Some(by) = generated::generator(file, document.bytes()) else { continue };
                findings.push(unswitchable(file, &by));
            }
            true
        }
        Err(refusals) => {
            for refusal in refusals {
                let place = refusal.origin.map(|origin| texts.place(&origin));
                let (what, remedy) = (refusal.reason, refusal.remedy);
                let found = Finding::new(Code::CannotSwitch, place, what, remedy);
                name.obstacles.push(found.clone());
                if seen.fate == Handling::Passed {
                    findings.push(found.about(vec![name.name.clone()]));
                }
            }
            false
        }
    }
}

/// What an old hook may have left commented out, once for each file.
fn marked(observed: &Observation) -> Vec<Finding> {
    let of = |(file, document): (&String, &Document)| {
        let text = document.bytes();
        // Those behind two `#` or more are told as left behind for certain.
        let lines: Vec<MarkedLine> =
            marks::commented_out(text).into_iter().filter(|line| line.fewest == 1).collect();
        let mut found = marks::finding(file, text, lines.first()?.number);
        if let more @ 1.. = lines.len() - 1 {
            found.what = format!("{}, and {more} more in this file", found.what);
        }
        Some(found)
    };
    observed.documents.iter().filter_map(of).collect()
}

/// Lines for the challenge path that never decide, in the vhosts of the names.
fn dead_lines(observed: &Observation, texts: &Texts<'_>, names: &[InspectedName]) -> Vec<Finding> {
    let mut found = Vec::new();
    if !observed.damaged.is_empty() {
        // What is left of our own lines comes before the user's.
        return found;
    }
    for vhost in vhosts(&observed.user) {
        let Some(name) = names.iter().find(|name| vhost.is_named(&name.name)) else { continue };
        let directory = name.webroot.as_ref().map(Webroot::challenge_directory);
        let directory = directory.as_deref().unwrap_or(Path::new("/"));
        for origin in dead(&observed.user, &vhost, &vhost.names(), directory) {
            let inside = vhost.own().chain(vhost.own().flat_map(|node| &node.children));
            let node = { inside }.find(|node| node.origin == origin);
            let text = node.map_or_else(|| "this line".to_owned(), |node| texts.text(node));
            if !is_repetition(&text, &name.answerer) {
                found.push(leftovers::dead(&origin, &text, texts));
            }
        }
    }
    found
}

/// Whether a line that never decides says what the deciding one says.
fn is_repetition(text: &str, answerer: &Answerer) -> bool {
    match answerer {
        Answerer::Passed(by) => by.target.as_deref().is_some_and(|target| text.contains(target)),
        _ => text.contains('!') && text.to_ascii_lowercase().contains("proxypass"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::inspection::Directive;

    #[test]
    fn a_dead_line_that_says_the_same_is_no_fault() {
        let target = Some("http://vps/".to_owned());
        let passed = Answerer::Passed(Directive { place: None, text: String::new(), target });
        assert!(is_repetition("ProxyPass /.well-known/acme-challenge/ http://vps/", &passed));
        assert!(!is_repetition("ProxyPass /.well-known/acme-challenge/ !", &passed));
        assert!(is_repetition("ProxyPass /.well-known/acme-challenge/ !", &Answerer::Webroot));
        assert!(!is_repetition("ProxyPass /.well-known/ http://vps/", &Answerer::Webroot));
    }
}
