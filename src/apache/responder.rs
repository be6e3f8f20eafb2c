//! pure: rules that answer challenges by themselves, without certbot's files.
//!
//! An account thumbprint or a script: overruling it would break what someone
//! built on purpose, so it is refused.

use crate::apache::refusal::Refusal;
use crate::apache::request::Request;
use crate::apache::rewrite::{Effect, Touch};

/// Refuses a rule made for the challenge path that answers without any file.
///
/// `section` is the argument of the section around it.
pub fn responder(touch: &Touch<'_>, section: &[u8]) -> Result<(), Refusal> {
    let without_file = match &touch.effect {
        Effect::Status(code) => code == "200",
        Effect::Path(Some(to)) => !to.ends_with(Request::SAMPLE.as_bytes()),
        Effect::Path(None) => true,
        _ => false,
    };
    let meant = touch.is_meant() || String::from_utf8_lossy(section).contains("acme-challenge");
    if meant && without_file { Err(Refusal::responder(&touch.rule.origin)) } else { Ok(()) }
}
