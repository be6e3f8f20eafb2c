//! pure: what is wrong with the certificates that an address serves, measured by what is on disk.
//!
//! A handshake proves that the server has the key of the leaf it shows; so a
//! leaf that is the one on disk needs no other proof of its key.

use std::fmt;

use jiff::Timestamp;
use openssl::x509::{X509, X509VerifyResult};

use crate::base::certificate::{self, Certificate, Error};
use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::base::fingerprint::fingerprint;
use crate::base::names::Hostname;

/// Which certificate: enough for a person to find it and for us to tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Serial number, upper-case hex.
    pub serial: String,
    /// End of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the whole certificate in hex, where it is known.
    pub fingerprint: Option<String>,
}

impl Identity {
    fn of(certificate: &X509, leaf: &Certificate) -> Result<Self, Error> {
        let der = certificate.to_der().map_err(Error::Certificate)?;
        let fingerprint = Some(fingerprint(&der, SHA256));
        Ok(Self { serial: leaf.serial.clone(), not_after: leaf.not_after, fingerprint })
    }

    /// Whether both are the same certificate, by all that is known of both.
    pub fn is(&self, other: &Self) -> bool {
        let bytes = self.fingerprint.as_ref().zip(other.fingerprint.as_ref());
        self.serial == other.serial
            && self.not_after == other.not_after
            && bytes.is_none_or(|(one, two)| one == two)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (until {})", self.serial, day(self.not_after))
    }
}

/// What an address presented: the leaf, then what it sent with it, in its order.
#[derive(Debug, Clone)]
pub struct ServedChain {
    /// What the leaf says.
    pub leaf: Certificate,
    /// Which one the leaf is.
    pub identity: Identity,
    certificates: Vec<X509>,
}

impl ServedChain {
    /// `der` as it came, leaf first; an error if there is none, or one that cannot be read.
    pub fn from_der<D: AsRef<[u8]>>(der: impl IntoIterator<Item = D>) -> Result<Self, Error> {
        let read = |der: D| X509::from_der(der.as_ref()).map_err(Error::Der);
        let certificates: Vec<X509> = der.into_iter().map(read).collect::<Result<_, _>>()?;
        let first = certificates.first().ok_or(Error::None)?;
        let leaf = certificate::describe(first)?;
        let identity = Identity::of(first, &leaf)?;
        Ok(Self { leaf, identity, certificates })
    }

    /// Whether the leaf is for `name`, by itself or by a wildcard.
    pub fn covers(&self, name: &Hostname) -> bool {
        let names = self.certificates.first().and_then(|leaf| leaf.subject_alt_names());
        let mut patterns = names.iter().flatten().filter_map(|entry| entry.dnsname());
        patterns.any(|pattern| name.is_covered_by(pattern))
    }

    /// How many certificates were sent.
    pub fn length(&self) -> usize {
        self.certificates.len()
    }
}

/// What should be served: a lineage on disk, or what its host tells of it.
#[derive(Debug, Clone)]
pub struct ExpectedCertificate {
    /// The leaf.
    pub identity: Identity,
    /// Its issuer and so on; empty where only the host knows them.
    chain: Vec<X509>,
    /// Whether the key on disk belongs to the leaf, where the key can be seen.
    key_belongs: Option<bool>,
}

impl ExpectedCertificate {
    /// A lineage's `cert.pem` or `fullchain.pem`, whose leaf counts, and its `chain.pem` if there is one.
    pub fn from_pem(leaf: &[u8], chain: Option<&[u8]>) -> Result<Self, Error> {
        let first = certificate::leaf(leaf)?;
        let identity = Identity::of(&first, &certificate::describe(&first)?)?;
        let chain = X509::stack_from_pem(chain.unwrap_or(leaf)).map_err(Error::Certificate)?;
        Ok(Self { identity, chain, key_belongs: None })
    }

    /// The same, where the key beside it could be seen: whether it belongs to the leaf.
    #[must_use]
    pub fn with_key(self, belongs: bool) -> Self {
        Self { key_belongs: Some(belongs), ..self }
    }

    /// Another host's lineage, by its own words.
    pub fn told(identity: Identity) -> Self {
        Self { identity, chain: Vec::new(), key_belongs: None }
    }
}

/// Another certificate than the one on disk: mostly the one before it.
pub fn another(served: &Identity, disk: &Identity) -> Finding {
    let what = format!("serves the certificate {served}, not {disk}, which is on disk");
    fault(Code::ServedAnother, what, ANOTHER_REMEDY)
}

/// It is not for this name.
pub fn not_covered(name: &Hostname) -> Finding {
    let what = format!("serves a certificate that is not for {name}");
    fault(Code::ServedNotCovered, what, NOT_COVERED_REMEDY)
}

/// Its time is over.
pub fn expired(at: Timestamp) -> Finding {
    let what = format!("serves a certificate that ended on {}", day(at));
    fault(Code::ServedExpired, what, "renew it: certbot renew")
}

/// Its time has not come.
fn not_yet(at: Timestamp) -> Finding {
    let what = format!("serves a certificate that begins only at {at}, so one clock is wrong");
    fault(Code::ServedNotYetValid, what, "set the clock of this host: timedatectl status")
}

/// The key on disk belongs to another certificate than the one beside it, which is served.
fn foreign_key() -> Finding {
    let what = "privkey.pem does not belong to cert.pem, which is served still";
    let remedy =
        "put the key back before the next reload, which ends Apache; certbot keeps it in archive/";
    fault(Code::KeyMismatch, what.to_owned(), remedy)
}

/// A certificate is missing between the leaf and a root.
pub fn incomplete(missing: &str) -> Finding {
    let what = format!("does not send the certificate of {missing}, which clients need");
    fault(Code::ServedChainIncomplete, what, CHAIN_REMEDY)
}

/// All are there, but one did not issue the one before it (RFC 5246 §7.4.2).
fn disordered(place: &str) -> Finding {
    let what = format!("sends its chain out of order at the certificate of {place}");
    fault(Code::ServedChainOrder, what, CHAIN_REMEDY)
}

/// To be said of a name and an address. Most clients still connect if only the chain is wrong:
/// they know, or fetch, the rest.
fn fault(code: Code, what: String, remedy: &str) -> Finding {
    Finding::new(code, None, what, remedy)
}

/// Everything that is wrong with `served` for `name`, worst first.
pub fn judge(
    served: &ServedChain,
    disk: &ExpectedCertificate,
    name: &Hostname,
    now: Timestamp,
) -> Vec<Finding> {
    let mut faults = Vec::new();
    let same = served.identity.is(&disk.identity);
    if !same {
        faults.push(another(&served.identity, &disk.identity));
    }
    if served.leaf.not_after < now {
        faults.push(expired(served.leaf.not_after));
    }
    if served.leaf.not_before > now {
        faults.push(not_yet(served.leaf.not_before));
    }
    if !served.covers(name) {
        faults.push(not_covered(name));
    }
    if same && disk.key_belongs == Some(false) {
        faults.push(foreign_key());
    }
    faults.extend(chain_fault(&served.certificates, &disk.chain));
    faults
}

fn chain_fault(served: &[X509], disk: &[X509]) -> Option<Finding> {
    if let Some(missing) = missing(served, disk) {
        return Some(incomplete(&missing));
    }
    let wrong = served.windows(2).find(|pair| !issued(&pair[1], &pair[0]))?;
    Some(disordered(&certificate::distinguished(wrong[1].subject_name())))
}

/// Whose certificate is missing on the way up from the leaf. The way ends at a
/// root, or at a certificate whose issuer is not in `disk`: clients have that one.
fn missing(served: &[X509], disk: &[X509]) -> Option<String> {
    let leaf = served.first()?;
    let mut current = leaf;
    for _ in served {
        if issued(current, current) {
            return None;
        }
        if let Some(issuer) = served.iter().find(|other| issued(other, current)) {
            current = issuer;
            continue;
        }
        let needed = |other: &&X509| issued(other, current) && !issued(other, other);
        // No public CA signs with its root, so the leaf alone is never all.
        let alone = std::ptr::eq(current, leaf);
        return (alone || disk.iter().any(|other| needed(&other)))
            .then(|| certificate::distinguished(current.issuer_name()));
    }
    None
}

/// Whether the holder of `issuer` signed `certificate`.
fn issued(issuer: &X509, certificate: &X509) -> bool {
    let signed = || certificate.verify(&*issuer.public_key()?);
    issuer.issued(certificate) == X509VerifyResult::OK && signed().unwrap_or(false)
}

fn day(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d")
}

/// Where another certificate than the one on disk is served.
pub const ANOTHER_REMEDY: &str = "reload its web server; if that does not help, let SSLCertificateFile of this vhost name the lineage's fullchain.pem";

/// Where a certificate without the name is served.
pub const NOT_COVERED_REMEDY: &str =
    "see that a vhost on port 443 has this name and a certificate with it";

const CHAIN_REMEDY: &str = "use fullchain.pem, not cert.pem, in SSLCertificateFile (SSLCertificateChainFile before Apache 2.4.8)";

/// Bytes of a whole SHA-256.
const SHA256: usize = 32;

#[cfg(test)]
mod tests;
