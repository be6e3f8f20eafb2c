//! pure: what certbaton does not switch, why, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::apache::dump::Origin;
use crate::base::names::{CHALLENGE_PATH, Hostname, Route};

/// One reason why the challenge path of a vhost cannot be switched safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line to look at, if there is one.
    pub origin: Option<Origin>,
    /// What stands in the way.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// As many as a person reads of one file.
const FEW: usize = 5;

/// What to write where the main server's own rules decide: every other name answers as before.
pub(crate) fn in_main(route: &Route) -> String {
    format!("write into the main server, above its other rules: {}", by_file(route).join("; "))
}

/// Lines of the main server that answer a challenge of `route` alone, where certbot has put one.
fn by_file(route: &Route) -> [String; 4] {
    let name = route.name.as_str().replace('.', "\\.");
    let directory = route.webroot.challenge_directory();
    let directory = directory.display();
    let path = CHALLENGE_PATH.replace('.', "\\.");
    [
        "RewriteEngine On".to_owned(),
        format!("RewriteCond %{{HTTP_HOST}} \"^{name}(:80)?$\" [NC]"),
        format!("RewriteCond \"{directory}/$1\" -f"),
        format!("RewriteRule \"^{path}([A-Za-z0-9_-]+)$\" \"{directory}/$1\" [END]"),
    ]
}

/// mod_md leaves the challenges of a domain alone whose certificate it is given.
pub(crate) const MANAGED_REMEDY: &str = "if certbot is to renew all names of this domain, write MDCertificateFile and MDCertificateKeyFile with its fullchain.pem and privkey.pem into a <MDomainSet> of them instead";

impl Refusal {
    /// Of each file the first few, then how many more there are: a user may write any number of
    /// lines into one.
    pub(crate) fn few_of_each_file(all: Vec<Self>) -> Vec<Self> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut few = Vec::new();
        for refusal in all {
            let file = refusal.origin.as_ref().map(|origin| &origin.file);
            let count = file.map(|file| counts.entry(file.clone()).or_default());
            if let Some(count) = count {
                *count += 1;
                if *count > FEW {
                    continue;
                }
            }
            few.push(refusal);
        }
        let more = counts.into_iter().filter(|(_, count)| *count > FEW);
        few.extend(more.map(|(file, count)| {
            let reason = format!("and {} more in {file}", count - FEW);
            Self::anywhere(reason, "mend those that are named, and look again")
        }));
        few
    }

    fn at(origin: &Origin, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { origin: Some(origin.clone()), ..Self::anywhere(reason, remedy) }
    }

    fn anywhere(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { origin: None, reason: reason.into(), remedy: remedy.into() }
    }

    pub(crate) fn macro_vhost(origin: &Origin) -> Self {
        Self::at(
            origin,
            "this <VirtualHost> is written in a macro, and a line in its body would change every use of it",
            "write the <VirtualHost> of the names that home renews without the macro",
        )
    }

    pub(crate) fn unseen(origin: &Origin) -> Self {
        Self::at(
            origin,
            "a program makes this <VirtualHost>, and Apache does not list what is in it",
            "write the <VirtualHost> of the names that home renews into a file",
        )
    }

    pub(crate) fn perl(origin: &Origin) -> Self {
        Self::at(
            origin,
            "a <Perl> section in this <VirtualHost> writes directives that Apache does not list",
            "write the <VirtualHost> of the names that home renews without it",
        )
    }

    pub(crate) fn condition(origin: &Origin) -> Self {
        Self::at(
            origin,
            "a Redirect in an <If> section may take the challenge path, and nothing comes after it",
            "add && !(%{REQUEST_URI} =~ m#^/\\.well-known/acme-challenge/#) to its condition",
        )
    }

    pub(crate) fn section_redirect(origin: &Origin) -> Self {
        Self::at(
            origin,
            "a Redirect inside a section or .htaccess takes the challenge path, and no line of the vhost overrules it",
            "write it outside of the section, or as RedirectMatch \"^/(?!\\.well-known/acme-challenge/)(.*)$\"",
        )
    }

    pub(crate) fn unreadable(why: &str) -> Self {
        Self::anywhere(
            format!("Apache reads a file of the webroot that root cannot: {why}"),
            "remove it, or write AllowOverride None for that directory",
        )
    }

    pub(crate) fn responder(origin: &Origin) -> Self {
        Self::at(
            origin,
            "this line answers the challenge path itself, without certbot's files",
            "remove it on the host that uses certbot --webroot",
        )
    }

    pub(crate) fn jk(origin: &Origin) -> Self {
        Self::at(
            origin,
            "JkMount takes the challenge path after every line that could be inserted",
            "add JkUnMount /.well-known/acme-challenge/* with the same worker",
        )
    }

    pub(crate) fn managed_domain(origin: &Origin) -> Self {
        Self::at(
            origin,
            "mod_md renews this name itself and answers the challenge path with 404 before anything else",
            MANAGED_REMEDY,
        )
    }

    pub(crate) fn proxy_protocol(origin: &Origin, asked: &[IpAddr]) -> Self {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        Self::at(
            origin,
            "Apache expects the PROXY protocol here, and the proof of a switch comes from this host itself without it",
            format!("add RemoteIPProxyProtocolExceptions {}", asked.join(" ")),
        )
    }

    pub(crate) fn not_http(origin: &Origin, port: u16) -> Self {
        Self::at(
            origin,
            format!(
                "this line keeps port {port} of its address from speaking plain HTTP, which the CA does"
            ),
            format!("take port {port} out of the line of its <VirtualHost>"),
        )
    }

    pub(crate) fn no_module(origin: Option<&Origin>, module: &str) -> Self {
        Self {
            origin: origin.cloned(),
            reason: format!("only mod_{module} can overrule this line, and it is not loaded"),
            remedy: format!("run a2enmod {module} and reload Apache"),
        }
    }

    pub(crate) fn inherited_rewrite(origin: &Origin, route: &Route) -> Self {
        Self::at(
            origin,
            "rewrite rules inherited from the main server run before those of the vhost and may take the challenge path",
            in_main(route),
        )
    }

    pub(crate) fn outside_vhost(origin: Option<&Origin>, route: &Route) -> Self {
        let name = &route.name;
        Self {
            origin: origin.cloned(),
            reason: format!(
                "no <VirtualHost> on port 80 answers {name}: the main server does, for every other name too"
            ),
            // A first <VirtualHost> would take every other name from it.
            remedy: in_main(route),
        }
    }

    pub(crate) fn generated(file: &str, by: &str) -> Self {
        Self::anywhere(
            format!("{file} is generated ({by}): inserted lines may vanish while a renewal runs"),
            "exclude the challenge path in that generator's template, or accept the risk with --force-generated",
        )
    }

    pub(crate) fn misnamed(name: &Hostname, near: &Hostname, origin: &Origin) -> Self {
        Self::at(
            origin,
            format!("no <VirtualHost> on port 80 is named {name}; this one is {near}"),
            "correct the one that is mistyped",
        )
    }

    pub(crate) fn sealed(origin: &Origin, why: &str) -> Self {
        Self::at(
            origin,
            format!("certbaton does not write into this file ({why})"),
            "write the <VirtualHost> of the names that home renews into a file of its own",
        )
    }

    pub(crate) fn lexer(origin: &Origin, what: &str) -> Self {
        Self::at(
            origin,
            format!("certbaton reads this file differently from Apache ({what})"),
            "nothing is changed; please report the line",
        )
    }
}
