//! pure: fail2ban's jail, and inadyn's configuration.

use std::net::IpAddr;

use crate::render::description::Tunnel;
use crate::render::layout::wrapped;

/// Bans who guesses passwords; never the addresses of `trusted`, which speak for many.
pub fn jail(trusted: &[IpAddr]) -> String {
    let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    let mut text = String::from(
        "[apache-auth]
enabled = true
port = http,https
filter = apache-auth
logpath = %(apache_error_log)s
backend = auto
banaction = nftables[type=multiport]
maxretry = 5
findtime = 10m
bantime = 1h
",
    );
    text += &["ignoreip = 127.0.0.1/8 ::1 ", &trusted.join(" ")].concat();
    text.trim_end().to_owned() + "\n"
}

/// What stands for the update key where nobody said which it is.
pub const PLACEHOLDER: &str = "put-the-update-key-here";

/// Tells Hurricane Electric the address at which home reaches the tunnel (`provider
/// default@tunnelbroker.net`, inadyn.conf(5)).
pub fn tunnel(tunnel: &Tunnel, key: Option<&str>) -> String {
    let Tunnel { user, id, .. } = tunnel;
    let key = key.unwrap_or(PLACEHOLDER);
    let head: String = wrapped(
        "The password is the tunnel's update key (its page, Advanced), not that of the account. Debian's inadyn runs as debian-inadyn: install this with owner root, group debian-inadyn and mode 640.",
    )
    .into_iter()
    .map(|line| line + "\n")
    .collect();
    format!(
        "{head}period = 300

provider default@tunnelbroker.net {{
    username = \"{user}\"
    password = \"{key}\"
    hostname = \"{id}\"
}}
"
    )
}
