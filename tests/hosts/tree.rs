//! system: a host of its own in a directory: a lineage `a`, a certbot that is a script, no Apache.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509Builder;
use openssl::x509::extension::SubjectAlternativeName;

/// A host with a lineage `a` and no Apache.
pub(crate) struct Tree {
    directory: tempfile::TempDir,
}

/// A certificate of `name` for 90 days.
pub(crate) fn certificate(serial: u32, name: &str) -> Vec<u8> {
    certificate_from(0, serial, name)
}

/// The same, which begins in so many days.
pub(crate) fn certificate_from(days: u32, serial: u32, name: &str) -> Vec<u8> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(serial).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(days).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(days + 90).unwrap()).unwrap();
    let name =
        SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(name).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

impl Tree {
    /// An agent of this host that was given `order`.
    pub(crate) fn agent(&self, order: &str) -> Child {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_certbaton"))
            .args(["--config".as_ref(), self.config().as_os_str(), "agent".as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(agent.stdin.as_mut().unwrap(), "{order}").unwrap();
        agent
    }

    /// `None` where this cannot be tried.
    pub(crate) fn plant(certbot: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root may use certbaton");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let tree = Self { directory };
        let base = tree.base().display().to_string();
        for path in ["le/renewal", "le/live/a", "le/archive/a", "www", "state", "run"] {
            fs::create_dir_all(tree.base().join(path)).unwrap();
        }
        fs::write(tree.base().join("le/archive/a/cert1.pem"), certificate(1, "a.example")).unwrap();
        fs::write(tree.base().join("next.pem"), certificate(2, "a.example")).unwrap();
        symlink("../../archive/a/cert1.pem", tree.base().join("le/live/a/cert.pem")).unwrap();
        let live = format!("{base}/le/live/a");
        let conf = format!(
            "cert = {live}/cert.pem\nprivkey = {live}/privkey.pem\nchain = {live}/chain.pem\n\
             fullchain = {live}/fullchain.pem\n[renewalparams]\nauthenticator = webroot\n\
             webroot_path = {base}/www,\n"
        );
        fs::write(tree.base().join("le/renewal/a.conf"), conf).unwrap();
        let program = tree.base().join("certbot");
        let version = "if [ \"$1\" = --version ]; then echo certbot 2.1.0; exit 0; fi";
        fs::write(&program, format!("#!/bin/sh\ncd {base}\n{version}\n{certbot}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "state-directory = \"{base}/state\"\nruntime-directory = \"{base}/run\"\n\
             [apache]\npid-file = \"{base}/no.pid\"\n\
             [certbot]\nconfig-directory = \"{base}/le\"\nprogram = \"{base}/certbot\"\n"
        );
        fs::write(tree.config(), config).unwrap();
        Some(tree)
    }

    pub(crate) fn base(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.base().join("certbaton.toml")
    }
}
