//! flow: `certbaton check`: what the CA sees of each name, from every host, and why.
//!
//! | module | knows |
//! | --- | --- |
//! | [`look`] | seeing |
//! | [`resolver`] | a name's records as the CA finds them |
//! | [`plant_and_ask`] | asking all hosts |
//! | [`matrix`] | who answers whose nonce at which address, as far as others can tell |
//! | [`mod@causes`] | one finding for each cause |
//! | [`verdict`] | what would happen to a renewal, and who is to blame |
//! | [`culprit`] | the directive that keeps a nonce from coming back |
//! | `hindrance` | what of a host itself keeps its renewals from working |
//! | [`mod@unreachable`] | addresses where nobody takes a connection |
//! | [`outside`] | what is wrong outside of Apache: records, certificates, clocks, limits |
//! | [`mod@summary`] | what people and programs are told |
//! | [`own_report`] | what this host says of itself |
//! | [`inspect`] | the order of looking at one host |
//! | [`answerer`] | who answers a challenge, by Apache's configuration |
//! | `borrowed_account` | whether a stateless layout answers for the right account |
//! | [`directive`] | a directive as people find it |
//! | [`faults`] | what keeps a challenge from certbot's webroot |
//! | [`leftovers`] | what lies about in the files of Apache's configuration |
//! | [`health`], [`vitals`] | what keeps a host from renewing whatever its web server says, and what that is seen by |
//! | [`reading`] | what certbot's files, systemd and cron say |
//! | [`tls`] | whether Apache serves what certbot renews |
//! | [`traps`] | traps of certbot's renewal files |
//! | [`hooks`] | what hooks of others do to Apache |
//! | [`schedule`] | what starts renewals |

pub mod admission;
pub mod answerer;
mod borrowed_account;
pub mod bounds;
pub mod causes;
pub mod culprit;
pub mod directive;
pub mod door;
pub mod faults;
pub mod health;
mod hindrance;
pub mod hooks;
pub mod inspect;
pub mod leftovers;
pub mod look;
pub mod marks;
pub mod matrix;
pub mod outside;
pub mod own;
pub mod own_report;
pub mod plant_and_ask;
pub mod presented;
pub mod reading;
pub mod resolver;
pub mod schedule;
pub mod summary;
pub mod this_host;
pub mod tls;
pub mod traps;
pub mod uncovered;
pub mod unreachable;
pub mod verdict;
pub mod vitals;

use crate::base::clock;
use crate::base::names::Hostname;
use crate::check::matrix::Gathered;
use crate::check::plant_and_ask::gather;
use crate::check::summary::{Summary, summary};
use crate::config::context::Context;
use crate::fleet::hosts::Hosts;

/// Asks every host about `names`, or all that any host renews if there are none, and judges; `say`
/// gets what a person may follow. Nothing is changed.
pub fn check(context: &Context, names: &[Hostname], say: &(dyn Fn(&str) + Sync)) -> Summary {
    let duplicates_per_week = context.settings.duplicates_per_week;
    let gathered = Gathered { duplicates_per_week, ..ask(context, names, say) };
    summary(&gathered, clock::now())
}

/// Asks every host, and leaves it to others to judge.
pub fn ask(context: &Context, names: &[Hostname], say: &(dyn Fn(&str) + Sync)) -> Gathered {
    gather(&Hosts::of(context), names, say)
}
