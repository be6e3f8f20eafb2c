//! pure: what is wrong with the way of a challenge to certbot's webroot, from the host's own configuration.
//!
//! A `ProxyPass` to another host is no fault here: whether that is the right
//! one is seen from outside.

use crate::apache::document::words;
use crate::apache::dump::Dump;
use crate::apache::refusal::{MANAGED_REMEDY, in_main};
use crate::apache::vhosts::{Vhost, near, vhosts};
use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::{Hostname, Route, Webroot};
use crate::check::answerer::{Handling, VhostAnswer};
use crate::check::directive::Texts;
use crate::switch::plan::HTTP_PORT;

/// A name that certbot renews here by webroot, and who answers for it.
#[derive(Debug, Clone, Copy)]
pub struct RenewedName<'a> {
    /// The name.
    pub name: &'a Hostname,
    /// Where certbot writes.
    pub webroot: &'a Webroot,
    /// Who answers.
    pub seen: &'a VhostAnswer<'a>,
    /// Whether a hook switches the name to this host while it renews, and can.
    pub is_switched: bool,
}

/// What keeps `renewed` from its webroot.
pub fn faults(dump: &Dump, texts: &Texts<'_>, renewed: &RenewedName<'_>) -> Vec<Finding> {
    let RenewedName { name, webroot, seen, is_switched } = *renewed;
    let directory = webroot.challenge_directory();
    let directory = directory.display();
    let place = seen.by.map(|node| texts.place(&node.origin));
    let text = seen.by.map(|node| texts.text(node)).unwrap_or_default();
    let target = seen.target.as_deref().unwrap_or_default();
    let severity = if is_switched || !seen.certain { Severity::Warning } else { Severity::Problem };
    let found = |code, what: String, remedy: String| {
        vec![Finding::new(code, place.clone(), what, remedy).severity(severity)]
    };
    let mut findings = match seen.fate {
        Handling::Webroot | Handling::Passed => Vec::new(),
        Handling::Elsewhere => found(
            Code::WrongDirectory,
            format!("{} leads challenges to {target}, but certbot writes to {directory}", or_default(&text)),
            format!(
                "write Alias /.well-known/acme-challenge/ {directory}/, or run certbot certonly --webroot -w with the directory that is served"
            ),
        ),
        Handling::Denied => found(
            Code::Denied,
            // A negation, an expression or an address may let the CA in.
            format!("{text} {} the challenge path", if seen.certain { "denies" } else { "may deny" }),
            "spare /.well-known/acme-challenge/: <Location /.well-known/acme-challenge/> Require all granted </Location> after it, or a pattern that excludes it".into(),
        ),
        Handling::Taken if text_is(&text, "md") => found(
            Code::ModMd,
            format!("{text}: mod_md renews this name itself and answers the challenge path with 404 before anything else"),
            MANAGED_REMEDY.into(),
        ),
        Handling::Taken | Handling::Account => found(
            Code::Taken,
            format!("{text} answers the challenge path itself, without certbot's files"),
            "exclude /.well-known/acme-challenge/ from it on the host that uses certbot --webroot".into(),
        ),
        Handling::Redirected => redirected(dump, renewed, &text, severity, place.clone()),
    };
    if !seen.is_named && !matches!(seen.fate, Handling::Webroot | Handling::Passed) {
        // Whatever that vhost does, the name's own one is missing.
        findings = vec![unnamed(dump, texts, renewed, severity)];
    }
    for finding in &mut findings {
        finding.names.push(name.clone());
    }
    findings
}

fn or_default(text: &str) -> &str {
    if text.is_empty() { "the DocumentRoot of the main server" } else { text }
}

/// Whether a directive's name begins with `prefix`.
fn text_is(text: &str, prefix: &str) -> bool {
    let text = text.trim_start_matches('<').to_ascii_lowercase();
    text.starts_with(prefix) || text.starts_with("manageddomain")
}

/// No vhost on port 80 has the name: the one that answers stands for all that have none.
fn unnamed(
    dump: &Dump,
    texts: &Texts<'_>,
    renewed: &RenewedName<'_>,
    severity: Severity,
) -> Finding {
    let name = renewed.name;
    let elsewhere = vhosts(dump).into_iter().find(|v| v.is_named(name));
    let elsewhere = elsewhere.as_ref().and_then(Vhost::origin);
    let only = elsewhere.map_or_else(String::new, |origin| {
        let binding = dump.bindings.iter().find(|b| b.vhost == *origin);
        let port =
            binding.and_then(|b| b.port).map_or_else(String::new, |port| format!(", port {port}"));
        format!(" (only the one at {}{port})", texts.place(origin))
    });
    if let Some((near, origin)) = near(dump, name).filter(|_| elsewhere.is_none()) {
        return Finding::new(
            Code::NoVhost,
            Some(texts.place(origin)),
            format!("no <VirtualHost> on port {HTTP_PORT} is named {name}; this one is {near}"),
            format!("write {name} there if that is meant, else add ServerAlias {name} to one"),
        )
        .severity(severity);
    }
    // A first <VirtualHost> on all addresses would take every other name from the main server.
    let is_first = !dump.bindings.iter().any(|b| b.address.is_none() && b.port == Some(HTTP_PORT));
    let remedy = if is_first && elsewhere.is_none() {
        in_main(&Route { name: name.clone(), webroot: renewed.webroot.clone() })
    } else {
        format!(
            "add ServerAlias {name} to the <VirtualHost> that it belongs to, or write one below the others"
        )
    };
    Finding::new(
        Code::NoVhost,
        renewed.seen.vhost.map(|origin| texts.place(origin)),
        format!(
            "no <VirtualHost> on port {HTTP_PORT} is named {name}{only}: this one answers its challenges, and not from certbot's webroot"
        ),
        remedy,
    )
    .severity(severity)
}

/// A redirect that leads where no CA follows, or where no other line of this host is.
fn redirected(
    dump: &Dump,
    renewed: &RenewedName<'_>,
    text: &str,
    severity: Severity,
    place: Option<String>,
) -> Vec<Finding> {
    let RenewedName { name, seen, .. } = *renewed;
    let Some((scheme, rest)) = seen.target.as_deref().and_then(|to| to.split_once("://")) else {
        return Vec::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, port.parse::<u16>().ok()),
        _ => (authority, None),
    };
    let spare = "spare the challenges: RedirectMatch \"^/(?!\\.well-known/acme-challenge/)(.*)$\", or RewriteCond %{REQUEST_URI} !^/\\.well-known/acme-challenge/ before the rule";
    let told = |what: String| Finding::new(Code::Redirected, place, what, spare).severity(severity);
    if !matches!(scheme, "http" | "https") || port.is_some_and(|port| port != 80 && port != 443) {
        let what =
            format!("{text} sends the CA to {authority}: it follows to ports 80 and 443 only");
        return vec![told(what)];
    }
    let Ok(host) = Hostname::parse(host) else {
        let what = format!("{text} sends the CA to {host}, which is no public name");
        return vec![told(what)];
    };
    let is_here = host == *name || vhosts(dump).iter().any(|vhost| vhost.is_named(&host));
    let is_meant = text.contains("acme-challenge");
    if is_here || is_meant {
        return Vec::new();
    }
    let what =
        format!("{text} sends the CA to {host}, which no <VirtualHost> of this host is named");
    vec![told(what)]
}

/// Generators and macros behind the lines that a switch would have to overrule.
pub fn unswitchable(file: &str, by: &str) -> Finding {
    Finding::new(
        Code::GeneratedFile,
        Some(file.to_owned()),
        format!(
            "this file is generated ({by}): lines that a switch inserts may vanish while a renewal runs"
        ),
        "exclude the challenge path in that generator's template",
    )
}

/// The certificate of a vhost as the configuration names it.
pub fn first_word(arguments: &[u8]) -> String {
    String::from_utf8_lossy(&words(arguments).next().unwrap_or_default()).into_owned()
}
