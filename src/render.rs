//! The whole gateway, as files for both machines, from one small description.
//!
//! | module | knows |
//! | --- | --- |
//! | [`strings`] | strings that cannot break out of a configuration file |
//! | [`description`] | the description: what is said once, and what follows from it |
//! | [`layout`] | the three layouts of the challenge path at home |
//! | [`site`] | a name's vhosts on both machines |
//! | [`firewall`] | nftables |
//! | [`services`] | fail2ban and inadyn |
//! | [`gateway`] | all files together |
//! | [`layout_in_place`] | which layout is in place, and whether it does what it promises |
//!
//! Rendering looks at nothing but the description: no root, no network, no clock.

pub mod description;
pub mod firewall;
pub mod gateway;
pub mod layout;
pub mod layout_in_place;
pub mod services;
pub mod site;
pub mod strings;
