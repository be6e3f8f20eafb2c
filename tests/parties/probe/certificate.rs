//! test: certificates, made at run time.

use certbaton::ca::served::ExpectedCertificate;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};

pub(crate) type Pair = (X509, PKey<Private>);

pub(crate) fn self_signed(name: &str) -> Pair {
    signed(name, None)
}

/// A lineage.
pub(crate) struct Issued {
    pub(crate) leaf: Pair,
    pub(crate) issuer: X509,
    pub(crate) disk: ExpectedCertificate,
}

/// A certificate for `name`, its issuer's, and both as they are on disk.
pub(crate) fn issued(name: &str) -> Issued {
    let root = self_signed("root.invalid");
    let issuer = signed("issuer.invalid", Some(&root));
    let leaf = signed(name, Some(&issuer));
    let pem = |certificate: &X509| certificate.to_pem().unwrap();
    let disk = ExpectedCertificate::from_pem(&pem(&leaf.0), Some(&pem(&issuer.0))).unwrap();
    Issued { leaf, issuer: issuer.0, disk: disk.with_key(true) }
}

fn signed(name: &str, issuer: Option<&Pair>) -> Pair {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |(by, _)| by.subject_name())).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let mut names = SubjectAlternativeName::new();
    let names = names.dns(name).build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

pub(crate) fn acceptor((certificate, key): &Pair) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor
}
