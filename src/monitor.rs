//! Telling people and monitoring what is wrong: once per change, whoever notices it.
//!
//! | module | knows |
//! | --- | --- |
//! | [`told`] | what was said, and what is therefore to be said |
//! | [`message`] | the message itself |
//! | [`deliver`] | a program, a URL |
//! | [`metrics`], [`exposition`] | a status as metrics, and their format |
//! | [`round`] | all of it, each time there may be news |

pub mod deliver;
pub mod exposition;
pub mod message;
pub mod metrics;
pub mod round;
pub mod told;
