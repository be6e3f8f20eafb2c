//! pure: the vhosts of a site, on the VPS and at home.
//!
//! On port 80 nothing but challenges and a redirect; on 443 the application, once there is a
//! certificate: before the first, `<IfFile>` (Apache 2.4.34) leaves that vhost out, so that the
//! files load as they are and certbot can get one.

use crate::base::names::{CHALLENGE_DIRECTORY, CHALLENGE_PATH, Webroot};
use crate::render::description::{Description, Home, Site, Vps};
use crate::render::layout::{Layout, wrapped};
use crate::render::strings::Path;

/// What `a2enmod` has to enable on either machine.
pub const MODULES: &str =
    "alias auth_basic authn_file authz_user env headers proxy proxy_http remoteip rewrite ssl";

/// The vhosts of a site on the VPS.
pub fn on_vps(gateway: &Description, site: &Site) -> String {
    let Description { vps: Vps { webroot, authorities, .. }, home, .. } = gateway;
    let mut secure = own(site, webroot);
    secure.extend(wrapped(
        "Home, over IPv6 alone: its name has no other address. The certificate that it has to show is that of the name that was asked for.",
    ));
    secure.extend(verified(authorities));
    secure.extend(wrapped(
        "A request that opens a connection gets a new one to home, never one that home may close at that moment (mod_proxy_http).",
    ));
    secure.push("SetEnv proxy-initial-not-pooled 1".into());
    secure.push("RequestHeader unset X-Forwarded-For early".into());
    secure.extend(proxied(site, &format!("https://{}/", home.name)));
    vhosts(site, webroot, &plain(Vec::new()), &secure)
}

/// The vhosts of a site at home.
pub fn at_home(gateway: &Description, site: &Site, layout: &Layout) -> String {
    let Description { home: Home { webroot, authorities, .. }, vps, .. } = gateway;
    let mut secure = own(site, webroot);
    secure.push(
        "# Clients that come through the VPS are known by its word, and by nobody else's.".into(),
    );
    secure.push("RemoteIPHeader X-Forwarded-For".into());
    let addresses: Vec<String> = vps.addresses.iter().map(ToString::to_string).collect();
    secure.push(format!("RemoteIPInternalProxy {}", addresses.join(" ")));
    secure.push("RequestHeader unset X-Forwarded-For".into());
    secure.push("RequestHeader set X-Forwarded-Proto \"https\"".into());
    if site.password_file.is_some() {
        secure.push(
            "# The password is the gateway's, and none of the application's business.".into(),
        );
        secure.push("RequestHeader unset Authorization".into());
    }
    if site.backend.is_tls() {
        secure.extend(verified(authorities));
    }
    secure.extend(proxied(site, site.backend.as_str()));
    vhosts(site, webroot, &plain(layout.lines(webroot, &vps.name)), &secure)
}

/// Port 80: challenges as `first` says, and the way to 443 for all else.
fn plain(first: Vec<String>) -> Vec<String> {
    let mut lines = vec!["RewriteEngine On".to_owned()];
    lines.extend(first);
    lines.push("RewriteCond \"%{REQUEST_URI}\" \"!^/\\.well-known/acme-challenge/\"".into());
    lines.push("RewriteRule \"^\" \"https://%{SERVER_NAME}%{REQUEST_URI}\" [R=301,END]".into());
    lines
}

/// What both machines do themselves on 443: headers and the password.
fn own(site: &Site, webroot: &Webroot) -> Vec<String> {
    let mut lines = vec!["# What the application says of these is kept.".to_owned()];
    lines.push("Header setifempty X-Content-Type-Options \"nosniff\"".into());
    lines.push("Header setifempty X-Frame-Options \"SAMEORIGIN\"".into());
    lines.push("Header setifempty Referrer-Policy \"strict-origin-when-cross-origin\"".into());
    if let Some(days) = site.hsts_days {
        let seconds = u32::from(days) * 24 * 60 * 60;
        lines.extend(wrapped(
            "Browsers remember this: until then they come by https alone, and no visitor can pass over a certificate that has expired.",
        ));
        lines.push(format!("Header setifempty Strict-Transport-Security \"max-age={seconds}\""));
    }
    if let Some(file) = &site.password_file {
        let realm = site.realm.as_ref().map_or(site.names[0].as_str(), |realm| realm.as_str());
        lines.push("<Location \"/\">".into());
        lines.push("    AuthType Basic".into());
        lines.push(format!("    AuthName \"{realm}\""));
        lines.push("    AuthBasicProvider file".into());
        lines.push(format!("    AuthUserFile \"{file}\""));
        lines.push("    Require valid-user".into());
        lines.push("</Location>".into());
    }
    lines.push(format!("ProxyPass \"{CHALLENGE_PATH}\" \"!\""));
    lines.push(format!("Alias \"{CHALLENGE_PATH}\" \"{webroot}{CHALLENGE_PATH}\""));
    lines.push(format!("<Location \"{CHALLENGE_PATH}\">"));
    lines.push("    Require all granted".into());
    lines.push("</Location>".into());
    lines
}

/// The upstream is who it says, or nobody: Apache's default is to believe anyone.
fn verified(authorities: &Path) -> Vec<String> {
    vec![
        "SSLProxyEngine On".into(),
        "SSLProxyProtocol -all +TLSv1.2 +TLSv1.3".into(),
        "SSLProxyVerify require".into(),
        "SSLProxyVerifyDepth 5".into(),
        "SSLProxyCheckPeerName On".into(),
        "SSLProxyCheckPeerExpire On".into(),
        format!("SSLProxyCACertificateFile \"{authorities}\""),
    ]
}

fn proxied(site: &Site, to: &str) -> Vec<String> {
    let upgrade = if site.websocket { " upgrade=websocket" } else { "" };
    vec![
        "ProxyPreserveHost On".into(),
        format!("ProxyPass \"/\" \"{to}\"{upgrade}"),
        format!("ProxyPassReverse \"/\" \"{to}\""),
    ]
}

fn vhosts(site: &Site, webroot: &Webroot, plain: &[String], secure: &[String]) -> String {
    let mut names = vec![format!("ServerName {}", site.names[0])];
    names.extend(site.names[1..].iter().map(|name| format!("ServerAlias {name}")));
    names.push(format!("DocumentRoot \"{webroot}\""));
    let live = format!("/etc/letsencrypt/live/{}", site.lineage_name());
    let tls = [
        "SSLEngine On".to_owned(),
        "SSLProtocol -all +TLSv1.2 +TLSv1.3".to_owned(),
        format!("SSLCertificateFile \"{live}/fullchain.pem\""),
        format!("SSLCertificateKeyFile \"{live}/privkey.pem\""),
    ];
    let plain = section("<VirtualHost *:80>", &[&names, plain].concat());
    let secure = section("<VirtualHost *:443>", &[&names, &tls[..], secure].concat());
    [&plain, "\n<IfFile \"", &live, "/fullchain.pem\">\n", &secure, "</IfFile>\n"].concat()
}

/// The challenge directory, for everybody; once for all sites of a machine.
pub fn directory(webroot: &Webroot) -> String {
    let lines = ["Require all granted", "AllowOverride None", "Options None"];
    let lines = lines.map(str::to_owned);
    section(&format!("<Directory \"{webroot}/{CHALLENGE_DIRECTORY}\">"), &lines)
}

fn section(open: &str, lines: &[String]) -> String {
    let name = open[1..].split([' ', '>']).next().unwrap_or_default();
    let mut text = format!("{open}\n");
    for line in lines {
        text.extend(["    ", line, "\n"]);
    }
    text + "</" + name + ">\n"
}
