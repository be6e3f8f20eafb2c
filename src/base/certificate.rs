//! pure: what a certificate says: its names, its times, its serial, its key.
//!
//! Only the leaf, the first certificate of a PEM file, is looked at. No chain
//! is verified here and no clock is read.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::x509::{GeneralNameRef, X509, X509NameRef};

use crate::base::names::Hostname;

/// The leaf of a certificate file, or of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The host names it is for (subjectAltName), in its order.
    pub names: Vec<Hostname>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// How many further names it has: wildcards, others.
    pub other_names: usize,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The serial number, upper-case hex.
    pub serial: String,
    /// Who issued it: `C=US, O=Let's Encrypt, CN=E5`.
    pub issuer: String,
    /// Whether it names somebody who knows if it is revoked.
    pub has_ocsp: bool,
}

/// Why a certificate or key cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a certificate.
    #[error(
        "no certificate can be read; expected PEM that begins with `-----BEGIN CERTIFICATE-----`"
    )]
    Certificate(#[source] ErrorStack),
    /// Not a certificate.
    #[error("no certificate can be read from the handshake")]
    Der(#[source] ErrorStack),
    /// A handshake without any.
    #[error("no certificate was shown")]
    None,
    /// A time that is no time.
    #[error("the certificate's validity cannot be read")]
    Time,
    /// Not a private key.
    #[error("no private key can be read; expected PEM of an RSA or EC key")]
    Key(#[source] ErrorStack),
    /// A key that asks for a passphrase; Apache could not start by itself.
    #[error("the private key is encrypted; store it without a passphrase, as certbot does")]
    Encrypted,
}

/// Reads the leaf of a PEM file (`cert.pem`, `fullchain.pem`).
pub fn from_pem(pem: &[u8]) -> Result<Certificate, Error> {
    describe(&leaf(pem)?)
}

/// Every name of the leaf of a PEM file, wildcards and addresses too: what a CA counts duplicates by.
pub fn name_set(pem: &[u8]) -> Result<BTreeSet<String>, Error> {
    let names = leaf(pem)?.subject_alt_names();
    let text = |name: &GeneralNameRef| match (name.dnsname(), address(name)) {
        (Some(name), _) => name.to_ascii_lowercase(),
        (None, Some(address)) => address.to_string(),
        (None, None) => format!("{name:?}"),
    };
    Ok(names.iter().flatten().map(text).collect())
}

fn address(name: &GeneralNameRef) -> Option<IpAddr> {
    let bytes = name.ipaddress()?;
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => Some(v4.into()),
        (_, Ok(v6)) => Some(v6.into()),
        _ => None,
    }
}

/// Whether the leaf of `certificate_pem` is for the private key in `key_pem`.
pub fn key_matches(certificate_pem: &[u8], key_pem: &[u8]) -> Result<bool, Error> {
    let mut asked = false;
    // The callback keeps OpenSSL from asking on the terminal.
    let key = PKey::private_key_from_pem_callback(key_pem, |_| {
        asked = true;
        Ok(0)
    });
    let key = match key {
        Err(_) if asked => return Err(Error::Encrypted),
        key => key.map_err(Error::Key)?,
    };
    let public = leaf(certificate_pem)?.public_key().map_err(Error::Certificate)?;
    Ok(public.public_eq(&key))
}

/// Whether all of a file of certificates can be read: each to its end, and what is between them.
///
/// As `use_certificate_chain_file` of OpenSSL and `X509_load_cert_crl_file` do, by which Apache
/// loads such files: text around them is passed over, a block without its end is an error. What
/// only OpenSSL's own `TRUSTED CERTIFICATE` is, is not judged.
pub fn all_readable(pem: &[u8]) -> Result<(), Error> {
    let is_trusted = pem.windows(TRUSTED.len()).any(|bytes| bytes == TRUSTED);
    match X509::stack_from_pem(pem) {
        Ok(all) if !all.is_empty() || is_trusted => Ok(()),
        Err(_) if is_trusted && is_paired(pem) => Ok(()),
        Ok(_) => Err(Error::Certificate(ErrorStack::get())),
        Err(source) => Err(Error::Certificate(source)),
    }
}

/// Whether each block of a PEM file (RFC 7468) has its end, and there is one.
pub fn is_paired(pem: &[u8]) -> bool {
    let (mut open, mut count) = (None, 0);
    for line in pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end) {
        if let Some(label) = line.strip_prefix(b"-----BEGIN ") {
            if open.replace(label).is_some() {
                return false;
            }
        } else if let Some(label) = line.strip_prefix(b"-----END ") {
            if open.take() != Some(label) {
                return false;
            }
            count += 1;
        }
    }
    open.is_none() && count > 0
}

const TRUSTED: &[u8] = b"-----BEGIN TRUSTED CERTIFICATE-----";

/// The leaf of a PEM file.
pub(crate) fn leaf(pem: &[u8]) -> Result<X509, Error> {
    X509::from_pem(pem).map_err(Error::Certificate)
}

/// What `certificate` says.
pub(crate) fn describe(certificate: &X509) -> Result<Certificate, Error> {
    let (mut names, mut addresses, mut other_names) = (Vec::new(), Vec::new(), 0);
    for entry in certificate.subject_alt_names().into_iter().flatten() {
        match (entry.dnsname().and_then(|text| Hostname::parse(text).ok()), address(&entry)) {
            (Some(name), _) => names.push(name),
            (None, Some(address)) => addresses.push(address),
            (None, None) => other_names += 1,
        }
    }
    let serial = certificate.serial_number().to_bn().and_then(|number| number.to_hex_str());
    Ok(Certificate {
        names,
        addresses,
        other_names,
        not_before: timestamp(certificate.not_before())?,
        not_after: timestamp(certificate.not_after())?,
        serial: serial.map_err(Error::Certificate)?.to_string(),
        issuer: distinguished(certificate.issuer_name()),
        has_ocsp: certificate.ocsp_responders().is_ok_and(|all| !all.is_empty()),
    })
}

fn timestamp(time: &Asn1TimeRef) -> Result<Timestamp, Error> {
    let since = Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(time));
    let since = since.map_err(|_| Error::Time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Timestamp::from_second(seconds).map_err(|_| Error::Time)
}

/// A distinguished name as people write it: `C=US, O=Let's Encrypt, CN=E5`.
pub(crate) fn distinguished(name: &X509NameRef) -> String {
    let parts = name.entries().map(|entry| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        format!("{key}={}", String::from_utf8_lossy(entry.data().as_slice()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Integer;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::{X509Builder, X509NameBuilder};

    fn ec_key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn rsa_key() -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
    }

    fn issue(key: &PKey<Private>, names: &[&str], serial: u32) -> X509 {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("O", "Test CA").unwrap();
        subject.append_entry_by_text("CN", "X1").unwrap();
        let subject = subject.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(serial).unwrap();
        builder.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
        builder.set_issuer_name(&subject).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::from_str("20260101000000Z").unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_str("20510401123456Z").unwrap()).unwrap();
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<IpAddr>().is_ok() {
                alternative.ip(name);
            } else {
                alternative.dns(name);
            }
        }
        let extension = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(extension).unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    #[test]
    fn names_times_serial_and_issuer_are_read_from_the_leaf() {
        let leaf_pem =
            issue(&ec_key(), &["b.example", "A.example", "*.a.example", "192.0.2.1"], 0x0abc);
        let chain = issue(&ec_key(), &["ca.example"], 1);
        let fullchain = [leaf_pem.to_pem().unwrap(), chain.to_pem().unwrap()].concat();
        let read = from_pem(&fullchain).unwrap();
        assert_eq!(
            read.names.iter().map(Hostname::as_str).collect::<Vec<_>>(),
            ["b.example", "a.example"]
        );
        assert_eq!(read.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!((read.other_names, read.has_ocsp), (1, false));
        assert_eq!(read.not_before.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(read.not_after.to_string(), "2051-04-01T12:34:56Z");
        assert_eq!(read.serial, "0ABC");
        assert_eq!(read.issuer, "O=Test CA, CN=X1");
        let all = ["*.a.example", "192.0.2.1", "a.example", "b.example"].map(str::to_owned);
        assert_eq!(name_set(&fullchain).unwrap(), BTreeSet::from(all));
    }

    #[test]
    fn a_key_matches_only_its_certificate() {
        let (ec, other, rsa) = (ec_key(), ec_key(), rsa_key());
        let pem = |key: &PKey<Private>| key.private_key_to_pem_pkcs8().unwrap();
        for key in [&ec, &rsa] {
            let certificate = issue(key, &["a.example"], 1).to_pem().unwrap();
            assert!(key_matches(&certificate, &pem(key)).unwrap());
            assert!(!key_matches(&certificate, &pem(&other)).unwrap());
        }
        let certificate = issue(&ec, &["a.example"], 1).to_pem().unwrap();
        assert!(!key_matches(&certificate, &pem(&rsa)).unwrap());
        let traditional = ec.ec_key().unwrap().private_key_to_pem().unwrap();
        assert!(key_matches(&certificate, &traditional).unwrap());
    }

    #[test]
    fn an_encrypted_key_is_an_error_of_its_own() {
        let key = ec_key();
        let certificate = issue(&key, &["a.example"], 1).to_pem().unwrap();
        let modern =
            key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret").unwrap();
        let old = key
            .ec_key()
            .unwrap()
            .private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"secret")
            .unwrap();
        for pem in [modern, old] {
            assert!(matches!(key_matches(&certificate, &pem), Err(Error::Encrypted)));
        }
        assert!(matches!(key_matches(&certificate, b"junk"), Err(Error::Key(_))));
        assert!(matches!(key_matches(b"junk", b"junk"), Err(Error::Key(_))));
        assert!(matches!(from_pem(b""), Err(Error::Certificate(_))));
    }

    #[test]
    fn a_chain_is_readable_to_its_last_byte_or_not_at_all() {
        let key = ec_key();
        let pem = |serial| issue(&key, &["a.example"], serial).to_pem().unwrap();
        let (leaf, second) = (pem(1), pem(2));
        let chain = [&leaf[..], b"\nSubject: of the second\n", &second].concat();
        assert!(all_readable(&leaf).is_ok() && all_readable(&chain).is_ok());
        assert!(is_paired(&chain));
        // Wherever it is cut off within the second, but for its last line end.
        for cut in [chain.len() - 2, chain.len() - 20, chain.len() - 200, leaf.len() + 60] {
            assert!(all_readable(&chain[..cut]).is_err(), "{cut} of {}", chain.len());
            assert!(!is_paired(&chain[..cut]), "{cut} of {}", chain.len());
            assert!(key_matches(&chain[..cut], &key.private_key_to_pem_pkcs8().unwrap()).unwrap());
        }
        let mut broken = chain.clone();
        broken[chain.len() - 100] = b'*';
        assert!(all_readable(&broken).is_err());
        for nothing in [&b""[..], b"junk\n", &key.private_key_to_pem_pkcs8().unwrap()] {
            assert!(all_readable(nothing).is_err());
        }
        let trusted = String::from_utf8(leaf).unwrap().replace(" CERT", " TRUSTED CERT");
        assert!(all_readable(trusted.as_bytes()).is_ok());
        assert!(all_readable(&trusted.as_bytes()[..trusted.len() - 9]).is_err());
    }
}
