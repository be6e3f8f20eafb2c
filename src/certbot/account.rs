//! pure: the thumbprint of an ACME account (RFC 7638), from the key as certbot keeps it.
//!
//! `accounts/SERVER/ID/private_key.json` is a JWK (`josepy`); of it only the public members are
//! read. The key itself goes nowhere.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::names::Thumbprint;
use crate::certbot::unusable::Error;

/// The members that count.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    e: Option<String>,
    n: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The thumbprint of the key in `json`.
pub fn thumbprint(json: &[u8]) -> Result<Thumbprint, Error> {
    let Jwk { kty, e, n, crv, x, y } = serde_json::from_slice(json).map_err(Error::Key)?;
    // The required members in the order of their names (RFC 7638 §3.2; RFC 8037 §2 for OKP).
    let members = match kty.as_str() {
        "RSA" => vec![("e", e), ("kty", Some(kty)), ("n", n)],
        "EC" => vec![("crv", crv), ("kty", Some(kty)), ("x", x), ("y", y)],
        "OKP" => vec![("crv", crv), ("kty", Some(kty)), ("x", x)],
        _ => return Err(Error::KeyKind(kty)),
    };
    let mut parts = Vec::new();
    for (name, value) in members {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let value = value.filter(|text| !text.is_empty() && text.bytes().all(plain));
        parts.push(format!("\"{name}\":\"{}\"", value.ok_or(Error::KeyMember(name))?));
    }
    let canonical = format!("{{{}}}", parts.join(","));
    let hash = openssl::sha::sha256(canonical.as_bytes());
    let text = openssl::base64::encode_block(&hash).replace('+', "-").replace('/', "_");
    Thumbprint::parse(text.trim_end_matches('=')).map_err(|_| Error::KeyMember("kty"))
}

/// Where certbot keeps the key of the account `id` at `server`
/// (`configuration.py:accounts_dir_for_server_path`).
pub fn key_file(directory: &Path, server: &str, id: &str) -> Option<PathBuf> {
    let place = server.split_once("://").map(|(_, place)| place)?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let place = place.split(['?', '#']).next()?;
    let parts: Vec<&str> = place.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || !parts.iter().all(|part| plain(part)) || !plain(id) || id.contains('/') {
        return None;
    }
    let mut path = directory.join("accounts");
    path.extend(parts);
    Some(path.join(id).join("private_key.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7638_has_its_thumbprint() {
        let key = r#"{"kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB", "n":
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
        let found = thumbprint(key.as_bytes()).unwrap();
        assert_eq!(found.to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_example_of_rfc_8037_has_its_thumbprint() {
        let key =
            br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let found = thumbprint(key).unwrap().to_string();
        assert_eq!(found, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused = ["{}", r#"{"kty":"oct","k":"x"}"#, r#"{"kty":"EC","crv":"P-256","x":"a"}"#];
        assert!(refused.iter().all(|text| thumbprint(text.as_bytes()).is_err()));
        assert!(thumbprint(br#"{"kty":"RSA","e":"AQAB","n":"a b"}"#).is_err());
    }

    #[test]
    fn a_key_file_is_below_its_server() {
        let at = |server, id| key_file(Path::new("/etc/letsencrypt"), server, id);
        let expected = "/etc/letsencrypt/accounts/acme.example/dir/1f/private_key.json";
        assert_eq!(at("https://acme.example/dir", "1f"), Some(expected.into()));
        assert_eq!(at("https://acme.example/../x", "1f"), None);
        assert_eq!(at("https://acme.example/dir", "../1f"), None);
        assert_eq!(at("acme.example", "1f"), None);
    }
}
