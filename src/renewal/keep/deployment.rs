//! flow: the deployment of a renewed lineage: its names go back, its certificate is served.

use super::{Keeper, recorder};
use crate::base::cause::chain;
use crate::base::clock::Stopwatch;
use crate::base::exit::CarriesExit;
use crate::config::Settings;
use crate::renewal::messages::{Deployment, Names, Reply};
use crate::renewal::right::Grant;
use crate::switch::commit;
use crate::switch::give_back::give_back;
use crate::switch::order::{Reload, Return, SwitchReport};
use crate::switch::report;

impl Keeper<'_> {
    /// Gives back what the deployed lineage alone needed, and serves its certificate.
    pub(super) fn deploy(&mut self, deployed: &Deployment, grant: &Grant) -> Reply {
        // As directory hook and by flag: the first did it.
        if deployed.directory.as_ref().is_some_and(|directory| self.served.contains(directory)) {
            return Reply::done();
        }
        self.run.deploy(deployed);
        let which = match &self.task.names {
            Names::Lineages(_) => {
                Return::AllBut(self.run.routes().into_iter().map(|route| route.name).collect())
            }
            Names::Proxied(_) => Return::Names(deployed.names.iter().cloned().collect()),
        };
        let work = || deploy(self.settings, &which, deployed);
        let watch = Stopwatch::start();
        let outcome = match self.watching(None, grant.bell(), work) {
            Ok(outcome) => outcome,
            Err(error) => {
                let reply = Reply { exit: error.exit().code(), text: chain(&error) };
                self.told(&reply);
                return reply;
            }
        };
        self.record.record(recorder::switched(&outcome));
        self.deployed(deployed, outcome.as_ref().err().map(|error| chain(error)), watch);
        let reply = match outcome {
            Ok(report) => {
                commit::log(self.settings, &report);
                self.served.extend(deployed.directory.clone());
                Reply::done()
            }
            Err(error) => Reply { exit: error.exit().code(), text: chain(&error) },
        };
        self.told(&reply);
        reply
    }

    /// Serves what certbot renewed without calling a deploy hook: before 5.3 it runs none of the
    /// directory's for a new certificate.
    pub(super) fn deploy_unsaid(&mut self, grant: &Grant) {
        for deployed in self.before.renewed(&self.task) {
            let known = self.served.iter().any(|served| served.file_name() == deployed.name());
            if !known && !self.run.is_deployed(&deployed) {
                self.deploy(&deployed, grant);
            }
        }
    }
}

/// One reload for the routes that `which` gives back and for the certificate of `deployed`,
/// and proof that this is served.
pub(in crate::renewal) fn deploy(
    settings: &Settings,
    which: &Return,
    deployed: &Deployment,
) -> Result<SwitchReport, report::Error> {
    give_back(settings, which, &Reload::Always(deployed.directory.clone()))
}
