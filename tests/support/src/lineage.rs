//! system: a certbot's directory of a test's own: lineages with certificates, no certbot.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509Builder, X509NameBuilder};

/// Makes the lineage of `names` below `directory`, called by the first of them, and its renewal file.
pub fn make(directory: &Path, names: &[String], webroot: &Path) -> PathBuf {
    let name = &names[0];
    let (live, archive) = (directory.join("live").join(name), directory.join("archive").join(name));
    let renewal = directory.join("renewal");
    for path in [&live, &archive, &renewal] {
        fs::create_dir_all(path).unwrap();
    }
    issue(&archive, 1, names);
    for part in ["cert", "privkey", "chain", "fullchain"] {
        let target = format!("../../archive/{name}/{part}1.pem");
        symlink(target, live.join(format!("{part}.pem"))).unwrap();
    }
    let file = renewal.join(format!("{name}.conf"));
    let (live, archive, webroot) = (live.display(), archive.display(), webroot.display());
    let mut text = format!(
        "version = 2.1.0\narchive_dir = {archive}\ncert = {live}/cert.pem\nprivkey = {live}/privkey.pem\n\
         chain = {live}/chain.pem\nfullchain = {live}/fullchain.pem\n\n\
         [renewalparams]\naccount = 0123456789abcdef\nauthenticator = webroot\nwebroot_path = {webroot},\n\
         server = https://acme-v02.api.letsencrypt.org/directory\n[[webroot_map]]\n"
    );
    for name in names {
        writeln!(text, "{name} = {webroot}").unwrap();
    }
    fs::write(&file, text).unwrap();
    file
}

/// Writes the files of one more certificate into an archive.
pub fn issue(archive: &Path, number: u32, names: &[String]) {
    issue_until(archive, number, names, "20991231235959Z");
}

/// The same, valid until then.
pub fn issue_until(archive: &Path, number: u32, names: &[String], until: &str) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", "Test CA").unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(number + 1000).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_str("20190101000000Z").unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_str(until).unwrap()).unwrap();
    let mut alternative = SubjectAlternativeName::new();
    for name in names {
        alternative.dns(name);
    }
    let extension = alternative.build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(extension).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let leaf = builder.build().to_pem().unwrap();
    let write = |part: &str, bytes: &[u8]| {
        fs::write(archive.join(format!("{part}{number}.pem")), bytes).unwrap();
    };
    write("cert", &leaf);
    write("chain", &leaf);
    write("fullchain", &[&leaf[..], &leaf[..]].concat());
    write("privkey", &key.private_key_to_pem_pkcs8().unwrap());
}
