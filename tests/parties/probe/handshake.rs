//! test: the certificate that an address serves for a name.

use std::net::TcpListener;

use certbaton::base::clock;
use certbaton::base::codes::Code;
use certbaton::base::fingerprint::fingerprint;
use certbaton::ca::handshake::look;
use certbaton::ca::served::judge;
use certbaton::ca::validation::Failure;
use openssl::ssl::{NameType, SniError, SslContext, SslMethod, SslVersion};

use crate::probe::certificate::{Issued, acceptor, issued, self_signed};
use crate::probe::server::{Act, NAME, Server, V4, V6, good, later, name, soon};

#[test]
fn the_leaf_is_the_one_for_the_name() {
    let (default, site) = (self_signed("default.invalid"), self_signed(NAME));
    let mut other = SslContext::builder(SslMethod::tls_server()).unwrap();
    other.set_certificate(&site.0).unwrap();
    other.set_private_key(&site.1).unwrap();
    let other = other.build();
    let mut tls = acceptor(&default);
    tls.set_servername_callback(move |ssl, _| {
        if ssl.servername(NameType::HOST_NAME) == Some(NAME) {
            ssl.set_ssl_context(&other).map_err(|_| SniError::ALERT_FATAL)?;
        }
        Ok(())
    });
    let listener = TcpListener::bind((V6, 0)).unwrap();
    let server = Server::on(listener, Some(tls.build()), |_| Act::Reply(good()));
    for (asked, expected) in [(NAME, &site.0), ("www.site.example", &default.0)] {
        let served = look(&name(asked), server.address, &later()).unwrap();
        let expected = fingerprint(&expected.to_der().unwrap(), 32);
        assert_eq!(served.identity.fingerprint, Some(expected), "{asked}");
        assert_eq!(served.length(), 1);
    }
    assert!(server.requests().is_empty(), "no request is sent");
}

#[test]
fn the_chain_is_all_that_was_sent_by_tls_1_2_as_by_1_3() {
    let Issued { leaf, issuer, disk } = issued(NAME);
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for sends_issuer in [true, false] {
            let mut tls = acceptor(&leaf);
            tls.set_min_proto_version(Some(version)).unwrap();
            tls.set_max_proto_version(Some(version)).unwrap();
            if sends_issuer {
                tls.add_extra_chain_cert(issuer.clone()).unwrap();
            }
            let listener = TcpListener::bind((V4, 0)).unwrap();
            let server = Server::on(listener, Some(tls.build()), |_| Act::Reply(good()));
            let served = look(&name(NAME), server.address, &later()).unwrap();
            assert_eq!(served.length(), 1 + usize::from(sends_issuer));
            let faults = judge(&served, &disk, &name(NAME), clock::now());
            match &faults[..] {
                [] => assert!(sends_issuer),
                [fault] if fault.code == Code::ServedChainIncomplete => assert!(!sends_issuer),
                _ => panic!("{faults:?}"),
            }
        }
    }
}

#[test]
fn refused_mute_and_not_tls_are_told_apart() {
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let mute = listener.local_addr().unwrap();
    let failure = look(&name(NAME), mute, &soon()).unwrap_err();
    assert!(matches!(failure, Failure::Stalled { .. }), "{failure:?}");
    drop(listener);
    let failure = look(&name(NAME), mute, &later()).unwrap_err();
    assert!(matches!(failure, Failure::Dial { .. }), "{failure:?}");

    let listener = TcpListener::bind((V4, 0)).unwrap();
    let plain = listener.local_addr().unwrap();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).ok();
    });
    let failure = look(&name(NAME), plain, &later()).unwrap_err();
    assert!(matches!(failure, Failure::Handshake { .. }), "{failure:?}");
    talk.join().unwrap();
}
