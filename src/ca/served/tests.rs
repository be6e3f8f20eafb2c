//! pure: one test per fault, with chains made at run time.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509Name, X509NameBuilder};

use super::*;

struct Pair {
    certificate: X509,
    key: PKey<Private>,
}

fn distinguished(name: &str) -> X509Name {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    subject.build()
}

/// `names` are those of a leaf; without any it is a CA. Valid from 2026-01-01 to 2026-04-01.
fn issue(subject: &str, issuer: Option<(&str, &Pair)>, names: &[&str], serial: u32) -> Pair {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = Asn1Integer::from_bn(&BigNum::from_u32(serial).unwrap()).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&distinguished(subject)).unwrap();
    let by = issuer.map_or(subject, |(name, _)| name);
    builder.set_issuer_name(&distinguished(by)).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_str("20260101000000Z").unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_str("20260401000000Z").unwrap()).unwrap();
    if names.is_empty() {
        builder.append_extension(BasicConstraints::new().ca().build().unwrap()).unwrap();
    } else {
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            alternative.dns(name);
        }
        let extension = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(extension).unwrap();
    }
    let signer = issuer.map_or(&key, |(_, pair)| &pair.key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    Pair { certificate: builder.build(), key }
}

/// A root, two intermediates one above the other, a leaf.
struct World {
    root: Pair,
    upper: Pair,
    lower: Pair,
    leaf: Pair,
}

fn world(names: &[&str]) -> World {
    let root = issue("root", None, &[], 1);
    let upper = issue("upper", Some(("root", &root)), &[], 2);
    let lower = issue("lower", Some(("upper", &upper)), &[], 3);
    let leaf = issue("leaf", Some(("lower", &lower)), names, 4);
    World { root, upper, lower, leaf }
}

impl World {
    fn disk(&self) -> ExpectedCertificate {
        let chain = [pem(&self.lower), pem(&self.upper)].concat();
        ExpectedCertificate::from_pem(&pem(&self.leaf), Some(&chain)).unwrap()
    }
}

fn pem(pair: &Pair) -> Vec<u8> {
    pair.certificate.to_pem().unwrap()
}

fn served(pairs: &[&Pair]) -> ServedChain {
    ServedChain::from_der(pairs.iter().map(|pair| pair.certificate.to_der().unwrap())).unwrap()
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn faults(served: &ServedChain, disk: &ExpectedCertificate, name: &str) -> Vec<Finding> {
    judge(served, disk, &Hostname::parse(name).unwrap(), at("2026-02-01T00:00:00Z"))
}

fn is_another(found: &[Finding]) -> bool {
    matches!(found, [found] if found.code == Code::ServedAnother)
}

fn missing(of: &str) -> Vec<Finding> {
    vec![incomplete(&format!("CN={of}"))]
}

#[test]
fn the_full_chain_on_disk_is_right_with_and_without_its_root() {
    let w = world(&["a.example"]);
    let disk = w.disk().with_key(true);
    for chain in
        [served(&[&w.leaf, &w.lower, &w.upper]), served(&[&w.leaf, &w.lower, &w.upper, &w.root])]
    {
        assert_eq!(faults(&chain, &disk, "a.example"), []);
    }
}

#[test]
fn an_old_certificate_is_another_one_however_alike() {
    let w = world(&["a.example"]);
    let old = issue("leaf", Some(("lower", &w.lower)), &["a.example"], 3);
    let twin = issue("leaf", Some(("lower", &w.lower)), &["a.example"], 4);
    for other in [old, twin] {
        let found = faults(&served(&[&other, &w.lower, &w.upper]), &w.disk(), "a.example");
        assert!(is_another(&found), "{found:?}");
    }
    let old = issue("leaf", Some(("lower", &w.lower)), &["a.example"], 3);
    let found = faults(&served(&[&old, &w.lower, &w.upper]), &w.disk(), "a.example");
    assert_eq!(
        found[0].to_string(),
        "serves the certificate 03 (until 2026-04-01), not 04 (until 2026-04-01), which is on disk; \
         reload its web server; if that does not help, let SSLCertificateFile of this vhost name the \
         lineage's fullchain.pem"
    );
}

#[test]
fn what_another_host_tells_is_compared_by_all_that_it_tells() {
    let w = world(&["a.example"]);
    let chain = served(&[&w.leaf, &w.lower, &w.upper]);
    let told = |fingerprint: Option<&str>| {
        let fingerprint = fingerprint.map(str::to_owned);
        ExpectedCertificate::told(Identity { fingerprint, ..chain.identity.clone() })
    };
    let own = chain.identity.fingerprint.clone().unwrap();
    assert_eq!(own.len(), 64);
    assert_eq!(faults(&chain, &told(Some(&own)), "a.example"), []);
    assert_eq!(faults(&chain, &told(None), "a.example"), []);
    assert_eq!(faults(&chain, &told(Some("00")), "a.example").len(), 1);
    let mut later = chain.identity.clone();
    later.not_after = at("2026-04-02T00:00:00Z");
    assert_eq!(faults(&chain, &ExpectedCertificate::told(later), "a.example").len(), 1);
    // What the leaf needs is seen although its host's chain is not.
    let alone = served(&[&w.leaf]);
    assert_eq!(faults(&alone, &told(Some(&own)), "a.example"), missing("lower"));
}

#[test]
fn every_certificate_of_the_chain_on_disk_has_to_be_sent() {
    let w = world(&["a.example"]);
    let found = |pairs: &[&Pair]| faults(&served(pairs), &w.disk(), "a.example");
    assert_eq!(found(&[&w.leaf]), missing("lower"));
    assert_eq!(found(&[&w.leaf, &w.lower]), missing("upper"));
    assert_eq!(found(&[&w.leaf, &w.upper]), missing("lower"));
    // SSLCertificateChainFile with the intermediate of before.
    let before = issue("before", Some(("root", &w.root)), &[], 9);
    assert_eq!(found(&[&w.leaf, &before]), missing("lower"));
    // The same name with another key has not signed it.
    let impostor = issue("lower", Some(("upper", &w.upper)), &[], 3);
    assert_eq!(found(&[&w.leaf, &impostor, &w.upper]), missing("lower"));
}

#[test]
fn a_chain_out_of_order_says_where() {
    let w = world(&["a.example"]);
    let found = faults(&served(&[&w.leaf, &w.upper, &w.lower]), &w.disk(), "a.example");
    assert_eq!(found, [disordered("CN=upper")]);
    let twice = faults(&served(&[&w.leaf, &w.leaf, &w.lower, &w.upper]), &w.disk(), "a.example");
    assert_eq!(twice, [disordered("CN=leaf")]);
}

#[test]
fn a_self_signed_certificate_needs_nobody_else() {
    let own = issue("a.example", None, &["a.example"], 1);
    let disk = ExpectedCertificate::from_pem(&pem(&own), None).unwrap();
    assert_eq!(faults(&served(&[&own]), &disk, "a.example"), []);
}

#[test]
fn names_are_covered_by_themselves_or_by_a_wildcard_of_one_label() {
    let w = world(&["A.example", "*.b.example"]);
    let chain = served(&[&w.leaf, &w.lower, &w.upper]);
    for (name, is_covered) in [
        ("a.example", true),
        ("x.b.example", true),
        ("b.example", false),
        ("x.y.b.example", false),
        ("x.a.example", false),
    ] {
        let expected: &[Finding] =
            &[not_covered(&Hostname::parse(name).unwrap())][usize::from(is_covered)..];
        assert_eq!(faults(&chain, &w.disk(), name), expected, "{name}");
    }
}

#[test]
fn a_certificate_is_good_from_its_first_to_its_last_second() {
    let w = world(&["a.example"]);
    let (first, last) = (at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
    let chain = served(&[&w.leaf, &w.lower, &w.upper]);
    let name = Hostname::parse("a.example").unwrap();
    for (now, expected) in [
        ("2025-12-31T23:59:59Z", vec![not_yet(first)]),
        ("2026-01-01T00:00:00Z", vec![]),
        ("2026-04-01T00:00:00Z", vec![]),
        ("2026-04-01T00:00:01Z", vec![expired(last)]),
    ] {
        assert_eq!(judge(&chain, &w.disk(), &name, at(now)), expected, "{now}");
    }
}

#[test]
fn a_foreign_key_on_disk_is_told_only_of_the_certificate_it_lies_beside() {
    let w = world(&["a.example"]);
    let disk = w.disk().with_key(false);
    let chain = served(&[&w.leaf, &w.lower, &w.upper]);
    assert_eq!(faults(&chain, &disk, "a.example"), [foreign_key()]);
    let old = issue("leaf", Some(("lower", &w.lower)), &["a.example"], 3);
    let found = faults(&served(&[&old, &w.lower, &w.upper]), &disk, "a.example");
    assert!(is_another(&found), "{found:?}");
}

#[test]
fn a_handshake_without_certificates_is_no_chain() {
    assert!(ServedChain::from_der(Vec::<Vec<u8>>::new()).is_err());
    assert!(ServedChain::from_der([b"junk"]).is_err());
}
