//! `certbaton check`: what the CA sees of each name, from every host, and why.
//!
//! | module | knows |
//! | --- | --- |
//! | [`finding`] | something that is wrong, where, and what to do |
//! | [`inspection`] | what one host can tell of itself |
//! | [`inspect`] | the order of looking at one host |
//! | [`reading`] | what certbot's files, systemd and cron say |
//! | [`apache`] | who answers a challenge, by Apache's configuration |
//! | [`directive`] | a directive as people find it |
//! | [`faults`] | what keeps a challenge from certbot's webroot |
//! | [`leftovers`] | what lies about in the files of Apache's configuration |
//! | [`tls`] | whether Apache serves what certbot renews |
//! | [`traps`] | traps of certbot's renewal files |
//! | [`hooks`] | hooks of others |
//! | [`schedule`] | what starts renewals |

pub mod apache;
pub mod directive;
pub mod faults;
pub mod finding;
pub mod hooks;
pub mod inspect;
pub mod inspection;
pub mod leftovers;
pub mod reading;
pub mod schedule;
pub mod tls;
pub mod traps;
