//! `certbaton check`: what the CA sees of each name, from every host, and why.
//!
//! | module | knows |
//! | --- | --- |
//! | [`finding`] | something that is wrong, where, and what to do |
//! | [`inspection`] | what one host can tell of itself |
//! | [`inspect`] | the order of looking at one host |
//! | [`apache`] | who answers a challenge, by Apache's configuration |
//! | [`directive`] | a directive as people find it |
//! | [`faults`] | what keeps a challenge from certbot's webroot |
//! | [`leftovers`] | what lies about in the files of Apache's configuration |

pub mod apache;
pub mod directive;
pub mod faults;
pub mod finding;
pub mod inspect;
pub mod inspection;
pub mod leftovers;
