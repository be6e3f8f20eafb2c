//! pure: which redirects the CA follows, and to where.
//!
//! Boulder's `processRedirect` and `extractRequestTarget` (`va/http.go`), with
//! two limits. No list of top-level domains is shipped, so any name with a dot
//! passes for public. URLs are read as browsers do (WHATWG) and not as Go does:
//! a port that is the scheme's own is dropped before loops are looked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::base::names::{HTTP_PORT, HTTPS_PORT, Hostname};

/// Boulder's `maxRedirect`. The test is `numRedirects > maxRedirect`, so the
/// eleventh redirect is still followed and the twelfth is not; so it is here.
pub const MAX_REDIRECT: usize = 10;

/// Boulder's `maxPathSize`: bytes in the (unescaped) path of a redirect.
pub const MAX_PATH_SIZE: usize = 2000;

/// The only two ports that the CA connects to (`va.httpPort`, `va.httpsPort`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For `http` URLs without a port.
    pub http: u16,
    /// For `https` URLs without a port.
    pub https: u16,
}

impl Ports {
    /// What a public CA uses; anything else is for tests.
    pub const PUBLIC: Self = Self { http: HTTP_PORT, https: HTTPS_PORT };
}

/// Whom a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlHost {
    /// A name, to be resolved anew.
    Name(Hostname),
    /// A public address, connected to as it is.
    Address(IpAddr),
}

/// One request to make: Boulder's `httpValidationTarget`, before resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL, absolute.
    pub url: Url,
    /// The URL's host.
    pub host: UrlHost,
    /// The TCP port, also where the URL names none.
    pub port: u16,
}

/// The rule by which the CA refuses a redirect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefusal {
    /// More than [`MAX_REDIRECT`].
    #[error("too many redirects; let the challenge path answer without one")]
    TooMany,
    /// A redirect, but not 301, 302, 307 or 308 (Baseline Requirements 3.2.2.4.19).
    #[error("status {0} is not an accepted redirect; use 301, 302, 307 or 308")]
    Status(u16),
    /// `Location` is no URL.
    #[error("cannot read the redirect target {0:?}")]
    Unreadable(String),
    /// Neither http nor https.
    #[error("scheme {0:?} in the redirect target; only http and https are followed")]
    Scheme(String),
    /// Neither of the two ports.
    #[error("port {port} in the redirect target; only {} and {} are followed", ports.http, ports.https)]
    Port {
        /// The port.
        port: u16,
        /// The accepted ones.
        ports: Ports,
    },
    /// `https:///path`.
    #[error("no host in the redirect target {0:?}")]
    NoHost(String),
    /// `Redirect / https://name` without the final slash.
    #[error(
        "host {0:?} in the redirect target; write a `/` at the end of the Redirect directive's URL"
    )]
    Glued(String),
    /// An address from a reserved range.
    #[error("the redirect target {0} is not a public address")]
    Reserved(IpAddr),
    /// Not a DNS name.
    #[error("the redirect target {0:?} is not a host name")]
    NotAName(String),
    /// Not below a public top-level domain.
    #[error("the redirect target {0} is not below a public top-level domain")]
    NoTopLevel(Hostname),
    /// More than [`MAX_PATH_SIZE`].
    #[error("the redirect target's path has {0} bytes; only {MAX_PATH_SIZE} are accepted")]
    TooLong(usize),
    /// A URL that was requested before.
    #[error("redirect loop: {0} was asked before")]
    Loop(String),
}

/// What a validation has asked for so far: Boulder's `records` and
/// `numRedirects`, which a fallback to IPv4 does *not* reset.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    asked: Vec<Url>,
    redirects: usize,
}

impl Trail {
    /// Notes the URL of the first request (`baseRecord`) or of the second try
    /// over IPv4 (`retryRecord`).
    pub fn begin(&mut self, url: &Url) {
        self.asked.push(url.clone());
    }

    /// Decides on a redirect from `from` by `status` to `location`
    /// (`processRedirect`, its checks in its order).
    pub fn process_redirect(
        &mut self,
        status: u16,
        from: &Url,
        location: &str,
        ports: Ports,
    ) -> Result<Target, RedirectRefusal> {
        let unreadable = || RedirectRefusal::Unreadable(location.to_owned());
        if names_no_host(location) {
            return Err(RedirectRefusal::NoHost(location.to_owned()));
        }
        let url = from.join(location).map_err(|_| unreadable())?;
        if self.redirects > MAX_REDIRECT {
            return Err(RedirectRefusal::TooMany);
        }
        self.redirects += 1;
        if !matches!(status, 301 | 302 | 307 | 308) {
            return Err(RedirectRefusal::Status(status));
        }
        let (host, port) = extract_request_target(&url, ports)?;
        let length = unescaped_length(url.path());
        if length > MAX_PATH_SIZE {
            return Err(RedirectRefusal::TooLong(length));
        }
        if self.asked.contains(&url) {
            return Err(RedirectRefusal::Loop(url.into()));
        }
        self.asked.push(url.clone());
        Ok(Target { url, host, port })
    }
}

/// Whether an answer is a redirect to Go's `http.Client`, and so a case for
/// [`Trail::process_redirect`]; other 3xx, and those without `Location`, are
/// just a wrong status (`redirectBehavior` in Go's `net/http/client.go`).
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The host and port of a redirect's URL (`extractRequestTarget`).
pub fn extract_request_target(url: &Url, ports: Ports) -> Result<(UrlHost, u16), RedirectRefusal> {
    let own_port = match url.scheme() {
        "http" => ports.http,
        "https" => ports.https,
        other => return Err(RedirectRefusal::Scheme(other.to_owned())),
    };
    let port = url.port().unwrap_or(own_port);
    if port != ports.http && port != ports.https {
        return Err(RedirectRefusal::Port { port, ports });
    }
    let host = url.host_str().ok_or_else(|| RedirectRefusal::NoHost(url.to_string()))?;
    if host.ends_with(".well-known") {
        return Err(RedirectRefusal::Glued(host.to_owned()));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        let refused = is_reserved(address).then_some(RedirectRefusal::Reserved(address));
        return refused.map_or(Ok((UrlHost::Address(address), port)), Err);
    }
    let name = Hostname::parse(host).map_err(|_| RedirectRefusal::NotAName(host.to_owned()))?;
    // `iana.ExtractSuffix`, as far as that can be known without its list.
    if name.as_str().contains('.') {
        Ok((UrlHost::Name(name), port))
    } else {
        Err(RedirectRefusal::NoTopLevel(name))
    }
}

/// Whether no CA would connect to this address (`isReservedIPFunc`: the IANA
/// special-purpose registries, RFC 6890, and multicast).
pub fn is_reserved(address: IpAddr) -> bool {
    let below4 = |a: Ipv4Addr| {
        RESERVED_V4.iter().any(|&(net, bits)| {
            (a.to_bits() ^ Ipv4Addr::from(net).to_bits()).leading_zeros() >= bits
        })
    };
    let below6 = |a: Ipv6Addr| {
        RESERVED_V6.iter().any(|&(net, bits)| {
            (a.to_bits() ^ Ipv6Addr::from(net).to_bits()).leading_zeros() >= bits
        })
    };
    match address {
        IpAddr::V4(a) => below4(a),
        IpAddr::V6(a) => below6(a),
    }
}

/// `https:///path`, `https:path`: Go sees an empty host, WHATWG skips slashes.
fn names_no_host(location: &str) -> bool {
    let scheme = |s: &str| location.get(..s.len()).is_some_and(|l| l.eq_ignore_ascii_case(s));
    let rest = match () {
        () if scheme("http:") => &location[5..],
        () if scheme("https:") => &location[6..],
        () if location.starts_with("//") => location,
        () => return false,
    };
    let host = rest.strip_prefix("//").and_then(|r| r.chars().next());
    host.is_none_or(|c| matches!(c, '/' | '?' | '#'))
}

/// Bytes of the path after unescaping, as Go's `URL.Path` has them.
fn unescaped_length(path: &str) -> usize {
    path.len() - 2 * path.matches('%').count()
}

const RESERVED_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

const RESERVED_V6: [([u16; 8], u32); 14] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 127), // `::` and `::1`
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<(UrlHost, u16), RedirectRefusal> {
        extract_request_target(&Url::parse(url).unwrap(), Ports::PUBLIC)
    }

    #[test]
    fn the_port_is_the_schemes_unless_the_url_names_the_other() {
        let host = UrlHost::Name(Hostname::parse("a.example").unwrap());
        for (url, port) in [
            ("http://a.example/", 80),
            ("https://A.Example/", 443),
            ("https://a.example:80/", 80),
            ("http://a.example:443/", 443),
        ] {
            assert_eq!(target(url), Ok((host.clone(), port)), "{url}");
        }
        let refused = RedirectRefusal::Port { port: 8080, ports: Ports::PUBLIC };
        assert_eq!(target("http://a.example:8080/"), Err(refused));
    }

    #[test]
    fn a_redirect_to_an_address_is_followed_only_if_that_is_public() {
        for public in ["1.1.1.1", "198.20.0.1", "2606:4700::1", "2001:200::1", "::2"] {
            assert!(!is_reserved(public.parse().unwrap()), "{public}");
        }
        for reserved in [
            "0.1.2.3",
            "10.255.0.1",
            "100.127.0.1",
            "127.0.0.1",
            "169.254.9.9",
            "172.31.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "239.1.1.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:1.1.1.1",
            "2001:db8::1",
            "2001:1ff::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(is_reserved(reserved.parse().unwrap()), "{reserved}");
        }
        assert_eq!(
            target("http://[2606:4700::1]/"),
            Ok((UrlHost::Address("2606:4700::1".parse().unwrap()), 80))
        );
        assert!(matches!(target("http://127.1/"), Err(RedirectRefusal::Reserved(_))));
    }

    #[test]
    fn the_host_of_a_redirect_is_a_name_with_a_dot() {
        assert!(matches!(target("http://localhost/"), Err(RedirectRefusal::NoTopLevel(_))));
        assert!(matches!(target("http://a!b.example/"), Err(RedirectRefusal::NotAName(_))));
        assert!(matches!(target("https://a.example.well-known/x"), Err(RedirectRefusal::Glued(_))));
    }

    #[test]
    fn a_location_without_a_host_is_no_host_and_not_the_paths_first_part() {
        let from = Url::parse("http://a.example/x").unwrap();
        for location in ["https:///x", "HTTP:///", "http:x", "//", "///x", "https://", "http://?q"]
        {
            let refused = Trail::default().process_redirect(301, &from, location, Ports::PUBLIC);
            assert!(matches!(refused, Err(RedirectRefusal::NoHost(_))), "{location}: {refused:?}");
        }
    }

    #[test]
    fn the_length_of_a_path_is_counted_unescaped_and_without_the_query() {
        let from = Url::parse("http://a.example/x").unwrap();
        let follow = |l: String| Trail::default().process_redirect(301, &from, &l, Ports::PUBLIC);
        assert!(follow(format!("/{}", "%41".repeat(MAX_PATH_SIZE - 1))).is_ok());
        assert!(follow(format!("/?{}", "a".repeat(3 * MAX_PATH_SIZE))).is_ok());
        let refused = follow(format!("/{}", "a".repeat(MAX_PATH_SIZE)));
        assert_eq!(refused, Err(RedirectRefusal::TooLong(MAX_PATH_SIZE + 1)));
    }
}
