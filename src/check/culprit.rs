//! pure: which directive of which host keeps a nonce from coming back, and what to write instead.

use std::net::IpAddr;

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::{CHALLENGE_PATH, Hostname, Webroot};
use crate::ca::sight::{Miss, MissKind};
use crate::check::borrowed_account;
use crate::check::matrix::{AddressSeen, HostSeen, Told};
use crate::check::verdict::Case;
use crate::fleet::inspection::{Answerer, Directive, InspectedName};
use crate::fleet::whose;

/// Why `at` does not give back the nonce of the host that renews although somebody took the connection.
pub fn culprit(case: &Case<'_>, at: &AddressSeen<'_>, miss: &Miss) -> Finding {
    let Some(owner) = at.owner else { return stranger(at.address, miss) };
    let missed = Missed { renewal: *case, owner, address: at.address, miss };
    if owner.report.is_err() {
        return missed.silent_owner();
    }
    let name = case.row.name;
    if owner.label == case.host.label {
        missed.own(owner, owner.answerer(name))
    } else {
        let inspected = owner.inspected(name);
        missed.passed_on(inspected.map_or(&Answerer::Unknown, InspectedName::for_others))
    }
}

/// Whether the `<VirtualHost>` of `name` on `host` is switched to it; a switch concerns all its names.
pub fn is_local(host: &HostSeen, name: &Hostname) -> bool {
    let vhost = |name| host.inspected(name).and_then(|known| known.vhost.as_ref());
    let local = host.report.iter().flat_map(|report| &report.local).map(|route| &route.name);
    local.into_iter().any(|l| l == name || (vhost(l).is_some() && vhost(l) == vhost(name)))
}

/// Whether the host itself does not answer from its webroot, so that whoever passes on to it is not to blame.
pub fn is_own_fault(case: &Case<'_>) -> bool {
    let mut own = case.row.addresses.iter().filter(|at| at.is_of(case.host));
    let answers = own.any(|at| at.cells[case.place].told == Told::Same);
    let known = case.host.answerer(case.row.name);
    !answers && !matches!(known, Answerer::Webroot | Answerer::Unknown)
}

/// Whether a line passes the challenges themselves on, and not just all that comes: another
/// host's certbot may live on it, so it is not the line that has to go.
pub fn is_for_a_peer(answerer: &Answerer) -> bool {
    let names_it = |text: &str| ["acme-challenge", "well-known"].iter().any(|w| text.contains(w));
    matches!(answerer, Answerer::Passed(directive) if names_it(&directive.text))
}

fn stranger(address: IpAddr, miss: &Miss) -> Finding {
    let what = format!(
        "{}, and another machine answers there: {}",
        whose::nobodys(address),
        answered(miss)
    );
    let remedy = "let the record name the address of one of your hosts";
    Finding::new(Code::WrongAddress, Some(record(address)), what, remedy)
}

pub(super) fn record(address: IpAddr) -> String {
    format!("{} {address}", family(address))
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "AAAA" } else { "A" }
}

pub(super) fn other(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "A" } else { "AAAA" }
}

/// What came, in a few words without the name, so that names of one cause fall together.
fn answered(miss: &Miss) -> String {
    let what = match miss.kind {
        MissKind::Status(status) => format!("status {status}"),
        MissKind::Another => "another answer with status 200".to_owned(),
        MissKind::Silence => "no answer in time".to_owned(),
        MissKind::Broken => "no whole HTTP answer".to_owned(),
        MissKind::Redirect => "a redirect that the CA does not follow".to_owned(),
        MissKind::Refused | MissKind::BlackHole | MissKind::Unreachable => {
            "no connection".to_owned()
        }
        MissKind::Unresolved => "a name without address".to_owned(),
        MissKind::NotAsked => "nothing, since it was not asked".to_owned(),
    };
    if miss.redirected { format!("{what}, where a redirect led to") } else { what }
}

struct Missed<'a> {
    renewal: Case<'a>,
    /// Whose the address is.
    owner: &'a HostSeen,
    address: IpAddr,
    miss: &'a Miss,
}

impl<'a> Missed<'a> {
    fn name(&self) -> &'a Hostname {
        self.renewal.row.name
    }

    /// Somebody answers at what must be the address of a host that cannot be asked.
    fn silent_owner(&self) -> Finding {
        let (owner, host) = (&self.owner.label, &self.renewal.host.label);
        let what = format!(
            "whoever answers at {} does not give back what {host} has ({}); if it is {owner}, that cannot be asked",
            self.address,
            answered(self.miss)
        );
        let place = Some(record(self.address));
        let remedy = "see to that host first, or correct the record, then check again".to_owned();
        Finding::new(Code::Unexplained, place, what, remedy).on(&self.owner.label)
    }

    /// The owner should answer from its own webroot, and does not.
    fn own(&self, on: &HostSeen, answerer: &Answerer) -> Finding {
        let webroot = on.inspected(self.name()).and_then(|known| known.webroot.as_ref());
        let webroot =
            webroot.or_else(|| on.planting(self.name()).map(|planting| &planting.webroot));
        let serve = webroot
            .map_or_else(|| "let the challenge path lead to certbot's webroot".to_owned(), serve);
        self.by_answerer(on, answerer, "certbot's webroot there does not answer", &serve)
    }

    /// The owner should pass to another host, and the nonce of that does not come back.
    fn passed_on(&self, answerer: &Answerer) -> Finding {
        let (owner, host) = (self.owner, self.renewal.host);
        let pass = format!("ProxyPass {CHALLENGE_PATH} {}", self.target());
        match answerer {
            _ if is_local(owner, self.name()) => Finding::new(
                Code::AbandonedRoute,
                None,
                format!(
                    "the route is switched to {} although no renewal is under way, so the CA never comes to {}",
                    owner.label, host.label
                ),
                "give it back: certbaton recover".to_owned(),
            ).on(&owner.label),
            Answerer::Passed(directive) => self.passed_wrongly(directive),
            Answerer::Account(directive)
                if let Some(found) = borrowed_account::another(owner, host, self.name(), directive) =>
            {
                found
            }
            Answerer::Webroot if self.lacks_v6() => Finding::new(
                Code::NoRecord,
                Some("DNS AAAA".to_owned()),
                format!(
                    "there is no AAAA record, so the CA comes to {} and never to {}",
                    owner.label, host.label
                ),
                format!(
                    "publish one with the address of {}, or let {} pass challenges on: {pass}",
                    host.label, owner.label
                ),
            ).on(&host.label),
            Answerer::Webroot => Finding::new(
                Code::NotPassedOn,
                owner.inspected(self.name()).and_then(|known| known.vhost.clone()),
                format!(
                    "answers challenges itself and passes none to {}, which asks for certificates of the same names",
                    host.label
                ),
                format!("write there: {pass}"),
            ).on(&owner.label),
            other => self.by_answerer(
                owner,
                other,
                &format!("the challenges of {} never come to it", host.label),
                &format!("let this path through: {pass}"),
            ),
        }
    }

    /// The owner passes it on: to the wrong place, or the right one does not answer.
    fn passed_wrongly(&self, directive: &Directive) -> Finding {
        let (owner, host) = (self.owner, self.renewal.host);
        let target = directive.target.as_deref().unwrap_or("another server");
        let gateway = matches!(self.miss.kind, MissKind::Status(502..=504));
        let known = host.answerer(self.name());
        if !gateway && is_own_fault(&self.renewal) {
            return self.own(host, known);
        }
        let came = answered(self.miss);
        let found = |code, what: String, remedy: String| {
            let what = format!("`{}` passes challenges to {target}, and {what}", directive.text);
            Finding::new(code, directive.place.clone(), what, remedy).on(&owner.label)
        };
        if gateway {
            let remedy = format!(
                "see that {} reaches it: its name, firewall and tunnel, and Apache's error log there",
                owner.label
            );
            return found(Code::CannotPassOn, format!("cannot reach it ({came})"), remedy);
        }
        let what = format!("there is no answer of {}'s webroot ({came})", host.label);
        let target = self.target();
        let remedy = format!("write ProxyPreserveHost On and ProxyPass {CHALLENGE_PATH} {target}");
        found(Code::WrongTarget, what, remedy)
    }

    /// The host has IPv6, and the name none that would lead to another host than IPv4 does.
    fn lacks_v6(&self) -> bool {
        let (v6, v4): (Vec<&AddressSeen<'_>>, Vec<&AddressSeen<'_>>) =
            self.renewal.row.addresses.iter().partition(|at| at.address.is_ipv6());
        let same = |v6: &AddressSeen<'_>| {
            v4.iter().any(|v4| v4.owner.map(|host| &host.label) == v6.owner.map(|host| &host.label))
        };
        let has_v6 = self.renewal.host.public_addresses().any(|address| address.is_ipv6());
        has_v6 && !v4.is_empty() && v6.into_iter().all(same)
    }

    /// Where challenges of `host` have to go: as for a name that works, else an address of its.
    fn target(&self) -> String {
        let works = |name: &Hostname| {
            let rows = self.renewal.matrix.rows.iter().filter(|row| row.name == name);
            let mut here =
                rows.flat_map(|row| &row.addresses).filter(|at| at.address == self.address);
            here.any(|at| at.cells[self.renewal.place].told == Told::Same)
        };
        let inspected = self.owner.inspection.iter().flat_map(|inspection| &inspection.names);
        let mut good = inspected.filter_map(|known| match known.for_others() {
            Answerer::Passed(directive) => directive.target.clone().filter(|_| works(&known.name)),
            _ => None,
        });
        good.next().unwrap_or_else(|| {
            let mut own: Vec<IpAddr> = self.renewal.host.public_addresses().collect();
            let v6_only = self.owner.public_addresses().all(|address| address.is_ipv6());
            own.sort_by_key(|address| address.is_ipv6() != v6_only);
            match own.first() {
                Some(IpAddr::V6(v6)) => format!("http://[{v6}]{CHALLENGE_PATH}"),
                Some(IpAddr::V4(v4)) => format!("http://{v4}{CHALLENGE_PATH}"),
                None => format!("http://{}{CHALLENGE_PATH}", self.renewal.host.label),
            }
        })
    }

    fn by_answerer(
        &self,
        on: &HostSeen,
        answerer: &Answerer,
        effect: &str,
        instead: &str,
    ) -> Finding {
        let came = answered(self.miss);
        let vhost = on.inspected(self.name()).and_then(|known| known.vhost.clone());
        let found = |code, place, what: String, remedy: &str| {
            Finding::new(code, place, what, remedy).on(&on.label)
        };
        let (code, line, does, remedy) = match answerer {
            Answerer::Passed(line) => {
                (Code::PassedOn, line, "passes the challenge path on", instead.to_owned())
            }
            Answerer::Redirected(line) => (
                Code::Redirected,
                line,
                "redirects the challenge path",
                format!("{}; {instead}", except(line)),
            ),
            Answerer::Elsewhere(line) => (
                Code::WrongDirectory,
                line,
                "serves the challenge path from another directory",
                instead.to_owned(),
            ),
            Answerer::Denied(line) => (
                Code::Denied,
                line,
                "denies access to the challenge path",
                format!(
                    "write <Location {CHALLENGE_PATH}> Require all granted </Location>; {instead}"
                ),
            ),
            Answerer::Taken(line) | Answerer::Account(line) => {
                (Code::Taken, line, "takes the challenge path", instead.to_owned())
            }
            Answerer::Nobody => {
                let what =
                    format!("no <VirtualHost> on port 80 has the name, so {effect} ({came})");
                let remedy = "add the name to one, as ServerName or ServerAlias";
                return found(Code::NoVhost, vhost, what, remedy);
            }
            Answerer::Webroot | Answerer::Unknown => {
                let effect = format!("{effect} ({}: {came})", self.address);
                let mut unloaded = on.findings().iter().filter(|f| f.code == Code::UnloadedChange);
                // Then its files do not tell what it answers.
                if let Some(unloaded) = unloaded.next() {
                    let what = format!("{}, and {effect}", unloaded.what);
                    let place = unloaded.place.clone();
                    return found(Code::UnloadedChange, place, what, &unloaded.remedy);
                }
                let what = format!("Apache's configuration does not tell why {effect}");
                let remedy = format!(
                    "look at what is between the CA and Apache: another server on port 80, a CDN, .htaccess; {instead}"
                );
                return found(Code::Unexplained, vhost, what, &remedy);
            }
        };
        let what = format!("`{}` {does}, so {effect} ({came})", line.text);
        found(code, line.place.clone().or(vhost), what, &remedy)
    }
}

fn serve(webroot: &Webroot) -> String {
    format!(
        "write ProxyPass {CHALLENGE_PATH} ! and Alias {CHALLENGE_PATH} {webroot}{CHALLENGE_PATH}"
    )
}

/// How a redirect spares the path.
fn except(directive: &Directive) -> &'static str {
    if directive.text.trim_start().to_ascii_lowercase().starts_with("rewrite") {
        "write above it RewriteCond %{REQUEST_URI} !^/\\.well-known/acme-challenge/"
    } else {
        "replace it by RedirectMatch ^/(?!\\.well-known/acme-challenge/)"
    }
}
