//! pure: a host that answers for another host's ACME account, without any file: is it still that account?

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::names::Hostname;
use crate::check::matrix::HostSeen;
use crate::fleet::inspection::Directive;

/// `owner` answers by `directive` for an account that `host` does not renew `name` with.
pub(super) fn another(
    owner: &HostSeen,
    host: &HostSeen,
    name: &Hostname,
    directive: &Directive,
) -> Option<Finding> {
    let account = host.planting(name)?.account.as_ref()?;
    let told = directive.target.as_deref()?;
    if told == account.to_string() {
        return None;
    }
    let what = format!(
        "`{}` answers for an account that {} does not renew with: its account's thumbprint is {account}",
        directive.text, host.label
    );
    let remedy =
        format!("render it again with --layout stateless --thumbprint {account} and reload Apache");
    Some(
        Finding::new(Code::StaleThumbprint, directive.place.clone(), what, remedy).on(&owner.label),
    )
}
