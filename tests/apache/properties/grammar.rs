//! pure: whole configurations, put together from what people combine.

use proptest::prelude::*;

/// The other host and the application behind the proxy.
pub(crate) const PEERS: [(&str, &str); 2] =
    [("@VPS@", "127.0.0.1:8001"), ("@APP@", "127.0.0.1:8002")];

/// All names that occur.
pub(crate) const NAMES: [&str; 5] =
    ["a.example.org", "b.example.org", "c.example.org", "d.example.org", "e.example.org"];

/// One configuration and what is wanted of it.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// Sites by file name.
    pub(crate) sites: Vec<(String, String)>,
    /// For `conf-enabled`; may be empty.
    pub(crate) global: String,
    /// The names to switch.
    pub(crate) wanted: Vec<String>,
}

#[derive(Debug, Clone)]
struct Vhost {
    address: &'static str,
    name: usize,
    aliases: Vec<String>,
    directives: Vec<&'static str>,
    /// Begins a file of its own.
    apart: bool,
    indent: &'static str,
}

/// Configurations of one to four vhosts in one to four files.
pub(crate) fn configurations() -> impl Strategy<Value = Configuration> {
    let vhosts = prop::collection::vec(vhost(), 1..=4);
    let wanted = prop::sample::subsequence(&NAMES[..], 1..=3);
    let global = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::sample::subsequence(&GLOBAL[..], 1..=2).prop_shuffle(),
    ];
    (vhosts, global, wanted).prop_map(|(vhosts, global, wanted)| Configuration {
        sites: files(&vhosts),
        global: global.concat(),
        wanted: wanted.into_iter().map(str::to_owned).collect(),
    })
}

fn vhost() -> impl Strategy<Value = Vhost> {
    let address = prop_oneof![
        8 => Just("*:80"),
        1 => Just("127.0.0.1:80"),
        1 => Just("[::1]:80 *:80"),
        1 => Just("*"),
        1 => Just("_default_:80"),
    ];
    let alias = prop_oneof![
        4 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => Just("*.example.org".to_owned()),
    ];
    let aliases = prop::collection::vec(alias, 0..=2);
    let directives = prop::sample::subsequence(&DIRECTIVES[..], 1..=5).prop_shuffle();
    let indent = prop::sample::select(&["", "    ", "\t"][..]);
    (address, 0..NAMES.len(), aliases, directives, any::<bool>(), indent).prop_map(
        |(address, name, aliases, directives, apart, indent)| Vhost {
            address,
            name,
            aliases,
            directives,
            apart,
            indent,
        },
    )
}

fn files(vhosts: &[Vhost]) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for vhost in vhosts {
        if vhost.apart || files.is_empty() {
            files.push((format!("{:03}-site.conf", files.len()), String::new()));
        }
        files.last_mut().unwrap().1.push_str(&vhost.text());
    }
    files
}

impl Vhost {
    fn text(&self) -> String {
        let mut body = format!("ServerName {}\n", NAMES[self.name]);
        if !self.aliases.is_empty() {
            body += &["ServerAlias ", &self.aliases.join(" "), "\n"].concat();
        }
        body += &self.directives.concat();
        let body: String = body.lines().map(|l| [self.indent, l, "\n"].concat()).collect();
        format!("<VirtualHost {}>\n{body}</VirtualHost>\n", self.address)
    }
}

/// What stands in vhosts. Each is whole in itself.
const DIRECTIVES: [&str; 41] = [
    "ProxyPass /.well-known/acme-challenge/ http://@VPS@/.well-known/acme-challenge/\n",
    "ProxyPass /.well-known/acme-challenge http://@VPS@/.well-known/acme-challenge\n",
    "ProxyPass \"/.well-known/acme-challenge/\" \"http://@VPS@/.well-known/acme-challenge/\" retry=1\n",
    "ProxyPass / http://@APP@/\nProxyPassReverse / http://@APP@/\n",
    "ProxyPass / http://@APP@/ nocanon\n",
    "ProxyPass /.well-known/ http://@APP@/.well-known/\n",
    "ProxyPassMatch ^/(?!media|api)(.*)$ http://@APP@/$1\n",
    "<Location /.well-known/acme-challenge/>\nProxyPass http://@VPS@/.well-known/acme-challenge/\n</Location>\n",
    "<Location />\nProxyPass http://@APP@/\n</Location>\n",
    "<LocationMatch \"^/\\.well-known/acme-challenge/\">\nProxyPass http://@VPS@/\n</LocationMatch>\n",
    "ProxyPass /.well-known/acme-challenge/ !\n",
    "ProxyPass /.well-known !\n",
    "<Location /.well-known/>\nProxyPass !\n</Location>\n",
    "Redirect permanent / https://secure.example.org/\n",
    "Redirect 301 /old /new\n",
    "RedirectMatch 301 ^/(?!\\.well-known/acme-challenge/)(.*)$ https://secure.example.org/$1\n",
    "RedirectMatch 404 /\\.\n",
    "RewriteEngine On\n",
    "RewriteEngine Off\n",
    "RewriteEngine On\nRewriteCond %{REQUEST_URI} !^/\\.well-known/acme-challenge/\nRewriteRule ^(.*)$ https://secure.example.org$1 [R=301,L]\n",
    "RewriteEngine On\nRewriteRule ^/?(.*) https://secure.example.org/$1 [R,L]\n",
    "RewriteRule ^/\\.well-known/acme-challenge/(.*)$ http://@VPS@/.well-known/acme-challenge/$1 [P,L]\n",
    "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\nRewriteRule ^/(.*) http://@APP@/$1 [P,L]\n",
    "RewriteRule ^/\\.well-known/ - [L]\n",
    "Alias /.well-known/acme-challenge/ @ROOT@/www/.well-known/acme-challenge/\n",
    "Alias /.well-known/ @ROOT@/other/.well-known/\n",
    "DocumentRoot @ROOT@/other\n",
    "DocumentRoot @ROOT@/www\n",
    "<Location />\nRequire all denied\n</Location>\n",
    "<Directory @ROOT@/www>\nRequire ip 192.0.2.1\n</Directory>\n",
    "<DirectoryMatch \"/\\.\">\nRequire all denied\n</DirectoryMatch>\n",
    "<Location /.well-known/acme-challenge/>\nRequire all granted\n</Location>\n",
    "<Location />\nAuthType Basic\nAuthName x\nAuthUserFile /dev/null\nRequire valid-user\n</Location>\n",
    "<Location />\nOrder deny,allow\nDeny from all\n</Location>\n",
    "FallbackResource /index.html\n",
    "ErrorDocument 404 /index.html\n",
    "ProxyPreserveHost On\nProxyRequests Off\n",
    "SetEnvIf Request_URI ^/\\.well-known/acme-challenge/ no-proxy\n",
    "<IfModule mod_proxy.c>\nProxyPass /.well-known/acme-challenge/ http://@VPS@/.well-known/acme-challenge/\n</IfModule>\n",
    "<If \"%{REQUEST_URI} =~ m#^/private#\">\nRequire all denied\n</If>\n",
    "RewriteOptions Inherit\n",
];

/// What stands in the main server.
const GLOBAL: [&str; 8] = [
    "RewriteEngine On\nRewriteOptions InheritDown\nRewriteRule ^/?(.*) https://secure.example.org/$1 [R,L]\n",
    "RewriteEngine On\nRewriteRule ^/?(.*) https://secure.example.org/$1 [R,L]\n",
    "ProxyPass /.well-known/acme-challenge/ http://@VPS@/.well-known/acme-challenge/\n",
    "ProxyPass /.well-known/acme-challenge/ !\n",
    "Alias /.well-known/acme-challenge/ @ROOT@/www/.well-known/acme-challenge/\n",
    "<Location /.well-known>\nRequire all granted\n</Location>\n",
    "<Location />\nRequire all denied\n</Location>\n",
    "Redirect permanent / https://secure.example.org/\n",
];
