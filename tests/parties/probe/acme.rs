//! test: as much of ACME (RFC 8555) as one HTTP-01 validation takes, and Debian's pebble to ask for it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use certbaton::base::clock::{self, Deadline};
use openssl::base64::encode_block;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::Private;
use openssl::sha::sha256;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::probe::certificate::self_signed;

const PEBBLE: &str = "/usr/bin/pebble";
const API: &str = "127.0.0.1:14000";

/// A CA; it ends when dropped.
pub(crate) struct Pebble {
    child: Child,
    _files: tempfile::TempDir,
}

impl Pebble {
    /// `None` where it is not installed. It validates on ports 80 and 443, and resolves by `dns`.
    pub(crate) fn start(dns: SocketAddr) -> Option<Self> {
        if !Path::new(PEBBLE).exists() {
            return None;
        }
        let files = tempfile::tempdir().unwrap();
        let (certificate, key) = self_signed("localhost");
        let path = |name: &str| files.path().join(name);
        fs::write(path("api.pem"), certificate.to_pem().unwrap()).unwrap();
        fs::write(path("api.key"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        let config = json!({"pebble": {
            "listenAddress": API, "managementListenAddress": "127.0.0.1:15000",
            "certificate": path("api.pem"), "privateKey": path("api.key"),
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
        }});
        fs::write(path("config.json"), config.to_string()).unwrap();
        let child = Command::new(PEBBLE)
            .env_clear()
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0")])
            .env("PEBBLE_AUTHZREUSE", "0")
            .args(["-dnsserver", &dns.to_string(), "-config"])
            .arg(path("config.json"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pebble = Self { child, _files: files };
        let deadline = Deadline::after(Duration::from_secs(20));
        while TcpStream::connect(API).is_err() {
            clock::pause(Duration::from_millis(50), &deadline).unwrap();
        }
        Some(pebble)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An account's key; many threads may use it.
pub(crate) struct Account {
    key: EcKey<Private>,
    jwk: String,
}

/// One who asks pebble.
pub(crate) struct Acme<'a> {
    client: Client,
    account: &'a Account,
    directory: Value,
    id: String,
}

impl Account {
    pub(crate) fn new() -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let point = key
            .public_key()
            .to_bytes(
                &group,
                openssl::ec::PointConversionForm::UNCOMPRESSED,
                &mut BigNumContext::new().unwrap(),
            )
            .unwrap();
        // Members in the order of RFC 7638.
        let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Self { key, jwk }
    }

    /// What every challenge file ends in.
    pub(crate) fn thumbprint(&self) -> String {
        base64(&sha256(self.jwk.as_bytes()))
    }
}

impl<'a> Acme<'a> {
    pub(crate) fn new(account: &'a Account) -> Self {
        let client = Client::builder().danger_accept_invalid_certs(true).no_proxy();
        let client = client.timeout(Duration::from_secs(40)).build().unwrap();
        let directory = client.get(format!("https://{API}/dir")).send().unwrap().json_value();
        let mut acme = Self { client, account, directory, id: String::new() };
        let url = acme.url("newAccount");
        let made = acme.post(&url, &json!({"termsOfServiceAgreed": true}).to_string());
        acme.id = String::from(made.headers()["location"].to_str().unwrap());
        acme
    }

    /// Whether pebble finds the challenge of `name`, and if not, why.
    pub(crate) fn validate(&self, name: &str) -> Result<(), String> {
        let order = json!({"identifiers": [{"type": "dns", "value": name}]});
        let order = self.post(&self.url("newOrder"), &order.to_string()).json_value();
        let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
        let challenges = self.post(&authorization, "").json_value()["challenges"].clone();
        let http = challenges.as_array().unwrap().iter().find(|c| c["type"] == "http-01");
        self.post(http.unwrap()["url"].as_str().unwrap(), "{}");
        let deadline = Deadline::after(Duration::from_mins(1));
        loop {
            let state = self.post(&authorization, "").json_value();
            match state["status"].as_str().unwrap() {
                "valid" => return Ok(()),
                "pending" | "processing" => {
                    clock::pause(Duration::from_millis(200), &deadline).unwrap();
                }
                _ => return Err(state["challenges"][0]["error"]["detail"].to_string()),
            }
        }
    }

    fn url(&self, what: &str) -> String {
        self.directory[what].as_str().unwrap().to_owned()
    }

    /// A signed request (RFC 8555 §6.2); no payload is POST-as-GET.
    fn post(&self, url: &str, payload: &str) -> Response {
        let nonce = self.client.head(self.url("newNonce")).send().unwrap();
        let nonce = nonce.headers()["replay-nonce"].to_str().unwrap();
        let jwk: Value = serde_json::from_str(&self.account.jwk).unwrap();
        let mut header = json!({"alg": "ES256", "nonce": nonce, "url": url});
        if self.id.is_empty() {
            header["jwk"] = jwk;
        } else {
            header["kid"] = json!(self.id);
        }
        let (header, payload) = (base64(header.to_string().as_bytes()), base64(payload.as_bytes()));
        let digest = sha256(format!("{header}.{payload}").as_bytes());
        let signed = EcdsaSig::sign(&digest, &self.account.key).unwrap();
        let half = |number: &openssl::bn::BigNumRef| number.to_vec_padded(32).unwrap();
        let signature = base64(&[half(signed.r()), half(signed.s())].concat());
        let body = json!({"protected": header, "payload": payload, "signature": signature});
        let request = self.client.post(url).header("content-type", "application/jose+json");
        let response = request.body(body.to_string()).send().unwrap();
        assert!(response.status().is_success(), "{url}: {}", response.text().unwrap());
        response
    }
}

trait Json {
    fn json_value(self) -> Value;
}

impl Json for Response {
    fn json_value(self) -> Value {
        serde_json::from_str(&self.text().unwrap()).unwrap()
    }
}

/// base64url without padding (RFC 7515).
fn base64(bytes: &[u8]) -> String {
    encode_block(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}
