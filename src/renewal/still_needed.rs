//! pure: one run of certbot as the keeper knows it: which names still need this host.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::base::names::{Hostname, Route, Thumbprint, Webroot};
use crate::renewal::messages::{Deployment, LeftOut, Needed};

/// The routes of a run and what has become of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRun {
    needed: Vec<Needed>,
    deployed: BTreeSet<usize>,
}

impl RenewalRun {
    /// A run that needs all of `needed`.
    pub fn new(needed: Vec<Needed>) -> Self {
        Self { needed, deployed: BTreeSet::new() }
    }

    /// The routes that some lineage still needs.
    pub fn routes(&self) -> Vec<Route> {
        let open = self.needed.iter().enumerate().filter(|(n, _)| !self.deployed.contains(n));
        let mut routes: Vec<Route> =
            open.flat_map(|(_, needed)| needed.routes.iter().cloned()).collect();
        routes.sort();
        routes.dedup();
        routes
    }

    /// Leaves out every lineage that `failed` names a route or address of, with its reason; what is
    /// left of the others stays.
    pub fn leave_out(&mut self, failed: &dyn Fn(&Needed) -> Option<String>) -> Vec<LeftOut> {
        let mut out = Vec::new();
        self.needed.retain(|needed| {
            let Some(why) = failed(needed) else { return true };
            let (lineage, need) = (needed.lineage.clone(), needed.need);
            out.push(LeftOut { lineage, need, why });
            false
        });
        out
    }

    /// Whether there is anything that certbot can renew.
    pub fn is_empty(&self) -> bool {
        self.needed.is_empty()
    }

    /// The addresses of its lineages, which no route is for.
    pub fn addresses(&self) -> Vec<(IpAddr, Webroot)> {
        self.needed.iter().flat_map(|needed| needed.addresses.iter().cloned()).collect()
    }

    /// The account that `name` is proven for.
    pub fn account(&self, name: &Hostname) -> Option<&Thumbprint> {
        let has = |needed: &&Needed| needed.routes.iter().any(|route| route.name == *name);
        self.needed.iter().filter(has).find_map(|needed| needed.account.as_ref())
    }

    /// Whether a hook has said so of the lineage of `deployed`.
    pub fn is_deployed(&self, deployed: &Deployment) -> bool {
        let mut done = self.deployed.iter().filter_map(|n| self.needed.get(*n));
        done.any(|needed| deployed.name().is_some_and(|name| name == needed.lineage.as_str()))
    }

    /// Notes that `deployed` needs nothing any more.
    ///
    /// By the lineage's name, else by its names alone: a new lineage may be
    /// called otherwise than foreseen (certbot appends -0001), and other
    /// clients know no lineages.
    pub fn deploy(&mut self, deployed: &Deployment) {
        let name = deployed.name();
        let by_name = |needed: &Needed| name.is_some_and(|n| n == needed.lineage.as_str());
        let all_named = |needed: &Needed| {
            needed.routes.iter().all(|route| deployed.names.contains(&route.name))
        };
        let known = self.needed.iter().any(by_name);
        let done = self
            .needed
            .iter()
            .enumerate()
            .filter(|(_, needed)| if known { by_name(needed) } else { all_named(needed) });
        self.deployed.extend(done.map(|(n, _)| n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certbot::due::Need;

    fn needed(lineage: &str, names: &[&str]) -> Needed {
        let webroot = Webroot::parse("/var/www").unwrap();
        let route =
            |n: &&str| Route { name: Hostname::parse(n).unwrap(), webroot: webroot.clone() };
        Needed {
            lineage: lineage.into(),
            need: Need::Due,
            addresses: Vec::new(),
            routes: names.iter().map(route).collect(),
            certificate: None,
            account: None,
        }
    }

    fn deployed(directory: Option<&str>, names: &[&str]) -> Deployment {
        let names = names.iter().map(|n| Hostname::parse(n).unwrap()).collect();
        Deployment { directory: directory.map(Into::into), names }
    }

    fn left(run: &RenewalRun) -> Vec<String> {
        run.routes().into_iter().map(|route| route.name.to_string()).collect()
    }

    #[test]
    fn a_name_that_another_lineage_needs_stays() {
        let needs = vec![needed("a", &["a.example", "x.example"]), needed("b", &["x.example"])];
        let mut run = RenewalRun::new(needs);
        run.deploy(&deployed(Some("/etc/letsencrypt/live/a"), &["a.example", "x.example"]));
        assert_eq!(left(&run), ["x.example"]);
        run.deploy(&deployed(Some("/etc/letsencrypt/live/b"), &["x.example"]));
        assert!(left(&run).is_empty());
    }

    #[test]
    fn a_lineage_called_otherwise_is_known_by_its_names() {
        let mut run =
            RenewalRun::new(vec![needed("a", &["a.example"]), needed("b", &["b.example"])]);
        run.deploy(&deployed(Some("/etc/letsencrypt/live/a-0001"), &["a.example"]));
        assert_eq!(left(&run), ["b.example"]);
        run.deploy(&deployed(None, &["b.example"]));
        assert!(left(&run).is_empty());
    }

    #[test]
    fn a_strange_deployment_gives_nothing_back() {
        let mut run = RenewalRun::new(vec![needed("a", &["a.example"])]);
        run.deploy(&deployed(Some("/etc/letsencrypt/live/z"), &["z.example"]));
        assert_eq!(left(&run), ["a.example"]);
    }
}
