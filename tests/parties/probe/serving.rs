//! test: the proof after a deploy hook: what fails it, and what is only told.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use certbaton::switch::certificate_proof::{Knowledge, prove};
use certbaton::switch::challenge_proof::Error;
use certbaton::switch::plan::TlsDoor;
use openssl::x509::X509;

use crate::probe::certificate::{Issued, Pair, acceptor, issued};
use crate::probe::server::{Act, NAME, Server, V4, good, name};

/// Proves a server that has `leaf` and sends `chain`, by the lineage of `disk`.
fn proven(leaf: &Pair, chain: &[&X509], disk: &Issued) -> Result<Vec<String>, Error> {
    proven_by(Knowledge::Configured, leaf, chain, disk)
}

fn proven_by(
    knowledge: Knowledge,
    leaf: &Pair,
    chain: &[&X509],
    disk: &Issued,
) -> Result<Vec<String>, Error> {
    let mut tls = acceptor(leaf);
    for certificate in chain {
        tls.add_extra_chain_cert((*certificate).clone()).unwrap();
    }
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let server = Server::on(listener, Some(tls.build()), |_| Act::Reply(good()));
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, bytes: Vec<u8>| {
        fs::write(directory.path().join(file), bytes).unwrap();
        directory.path().join(file)
    };
    write("chain.pem", disk.issuer.to_pem().unwrap());
    write("privkey.pem", disk.leaf.1.private_key_to_pem_pkcs8().unwrap());
    let door = |address| TlsDoor {
        name: name(NAME),
        names: vec![name(NAME)],
        address,
        elsewhere: [].into(),
        port: server.port(),
        certificate: write("cert.pem", disk.leaf.0.to_pem().unwrap()),
    };
    let listeners = [SocketAddr::new(V4, server.port())];
    let found = prove(&[door(None)], &listeners, Duration::from_secs(10), knowledge);
    // By its own address as by any.
    let again = prove(&[door(Some(V4))], &listeners, Duration::from_secs(10), knowledge);
    assert_eq!(format!("{found:?}"), format!("{again:?}"));
    found
}

#[test]
fn an_old_certificate_fails_the_deploy_hook_and_a_missing_chain_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root's files are trusted");
    }
    let (new, old) = (issued(NAME), issued(NAME));
    let notes = proven(&new.leaf, &[&new.issuer], &new).unwrap();
    assert!(notes.is_empty(), "{notes:?}");

    let notes = proven(&new.leaf, &[], &new).unwrap();
    assert_eq!(
        notes,
        [
            "site.example on 127.0.0.1 does not send the certificate of CN=issuer.invalid, which clients need; \
          use fullchain.pem, not cert.pem, in SSLCertificateFile (SSLCertificateChainFile before Apache 2.4.8)"
        ]
    );

    let failure = proven(&old.leaf, &[&old.issuer], &new).unwrap_err();
    assert!(matches!(failure, Error::OldCertificate { .. }), "{failure:?}");
    let text = failure.to_string();
    assert!(text.starts_with("site.example on 127.0.0.1:"), "{text}");
    assert!(text.contains("which is on disk; reload its web server"), "{text}");
}

#[test]
fn where_the_server_is_only_guessed_another_services_certificate_is_told_and_an_old_one_fails() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root's files are trusted");
    }
    let (new, old, other) = (issued(NAME), issued(NAME), issued("other.example"));
    let guessed = |of: &Issued| proven_by(Knowledge::Guessed, &of.leaf, &[&of.issuer], &new);
    let notes = guessed(&other).unwrap();
    assert!(notes[0].contains("serves a certificate that is not for site.example"), "{notes:?}");
    assert!(matches!(guessed(&old), Err(Error::OldCertificate { .. })));
    let configured = proven(&other.leaf, &[&other.issuer], &new);
    assert!(matches!(configured, Err(Error::OldCertificate { .. })), "{configured:?}");
}
