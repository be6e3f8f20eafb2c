//! pure: since when the challenge path of a name is with a host, and by which run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::names::Hostname;
use crate::fleet::host_report::LocalRoute;
use crate::history::runs::{Local, Run};

/// The names that are local now, with since when and by whom; `since` where the history does not know.
pub fn routes(
    names: &[Hostname],
    switched: &BTreeMap<String, Local>,
    runs: &[Run],
    since: Option<Timestamp>,
) -> Vec<LocalRoute> {
    let route = |name: &Hostname| {
        let local = switched.get(name.as_str());
        let run = local.and_then(|local| runs.iter().find(|run| run.id == local.run));
        LocalRoute {
            name: name.clone(),
            since: local.map(|local| local.since).or(since),
            run: local.map(|local| local.run.clone()),
            by: run.filter(|run| run.kind.is_some()).map(|run| run.by.text()),
        }
    };
    names.iter().map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample;

    #[test]
    fn a_local_route_is_somebodys() {
        let run = sample::run();
        let name = Hostname::parse("a.example").unwrap();
        let local = Local { since: run.began, run: run.id.clone() };
        let switched = BTreeMap::from([("a.example".to_owned(), local)]);
        let names = [name];
        let known = routes(&names, &switched, std::slice::from_ref(&run), None);
        assert_eq!(known[0].by.as_deref(), Some("certbot -q renew, process 41"));
        assert_eq!(known[0].since, Some(run.began));
        let unknown = routes(&names, &BTreeMap::new(), &[], Some(run.last));
        assert_eq!((unknown[0].since, &unknown[0].by), (Some(run.last), &None));
    }
}
