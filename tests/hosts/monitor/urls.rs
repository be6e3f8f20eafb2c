//! test: the URL of `[notify] url`.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use certbaton::config::notify::Post;
use certbaton::monitor::{Error, deliver};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};

use super::receiver::{Answer, Receiver};
use super::*;

const GOOD: Answer = Answer::Says("204 No Content");

#[test]
fn a_url_gets_each_change_once() {
    let receiver = Receiver::start(GOOD);
    let host =
        Host::with(&format!("[notify]\nurl = \"{}\"\nheader-file = \"@/headers\"", receiver.url()));
    write(&host.path("headers"), "# for the receiver\nAuthorization: Bearer s3cret\n\n", 0o600);
    for keys in [&["route/home"][..], &["route/home"], &[], &[]] {
        host.finds(keys);
    }
    let posts = receiver.posts();
    let told: Vec<_> = posts.iter().map(|post| changes(&post.body)).collect();
    let of = |event| vec![change(event, "route/home")];
    assert_eq!(told, [of("failure"), of("recovery")]);
    let head = &posts[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /hook http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer s3cret\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
}

#[test]
fn what_a_server_that_is_down_missed_it_gets_later() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let host = Host::with(&format!("[notify]\nurl = \"http://{address}/hook\""));
    host.finds(&["route/home"]);
    host.finds(&["route/home"]);
    let receiver = Receiver::on(TcpListener::bind(address).unwrap(), None, GOOD);
    host.finds(&["route/home"]);
    host.finds(&["route/home"]);
    let told: Vec<_> = receiver.posts().iter().map(|post| changes(&post.body)).collect();
    assert_eq!(told, [[change("failure", "route/home")]]);
}

#[test]
fn one_way_that_works_is_not_held_up_by_one_that_does_not() {
    let receiver = Receiver::start(GOOD);
    let host =
        Host::with(&format!("[notify]\ncommand = [\"@/none\"]\nurl = \"{}\"", receiver.url()));
    host.finds(&["route/home"]);
    host.finds(&["route/home"]);
    assert_eq!(receiver.posts().len(), 1);
    host.script("none", "cat >> \"$0.got\"");
    host.finds(&["route/home"]);
    let got = fs::read_to_string(host.path("none.got")).unwrap();
    assert_eq!(changes(&serde_json::from_str(&got).unwrap()), [change("failure", "route/home")]);
    assert_eq!(receiver.posts().len(), 1);
}

#[test]
fn a_damaged_memory_tells_again_rather_than_never() {
    let receiver = Receiver::start(GOOD);
    let host = Host::with(&format!("[notify]\nurl = \"{}\"", receiver.url()));
    host.finds(&["route/home"]);
    let memory = host.path("state/told.json");
    let text = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, &text[..text.len() / 2]).unwrap();
    host.finds(&["route/home"]);
    host.finds(&["route/home"]);
    assert_eq!(receiver.posts().len(), 2);
}

#[test]
fn a_secret_that_others_may_read_is_not_sent() {
    let receiver = Receiver::start(GOOD);
    let host =
        Host::with(&format!("[notify]\nurl = \"{}\"\nheader-file = \"@/headers\"", receiver.url()));
    write(&host.path("headers"), "Authorization: Bearer s3cret\n", 0o644);
    host.finds(&["route/home"]);
    assert!(receiver.posts().is_empty());
    write(&host.path("headers"), "Authorization Bearer s3cret\n", 0o600);
    host.finds(&["route/home"]);
    assert!(receiver.posts().is_empty());
}

fn post(url: &str, patience: Duration) -> Result<(), Error> {
    let post = Post { url: url.parse().unwrap(), header_file: None };
    deliver::post(&post, b"{}", patience)
}

#[test]
fn a_slow_server_is_given_up() {
    for answer in [Answer::Never, Answer::Dribbles] {
        let receiver = Receiver::start(answer);
        let began = Instant::now();
        assert!(post(&receiver.url(), Duration::from_secs(1)).is_err());
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}

#[test]
fn a_redirect_is_not_followed_and_an_error_is_one() {
    let elsewhere = Receiver::start(GOOD);
    let location = format!("307 Temporary Redirect\r\nLocation: {}", elsewhere.url());
    for status in [location.leak(), "404 Not Found", "500 Internal Server Error"] {
        let receiver = Receiver::start(Answer::Says(status));
        let failure = post(&receiver.url(), Duration::from_secs(20)).unwrap_err();
        assert!(failure.to_string().contains(" answered "), "{failure}");
        assert!(!failure.to_string().contains("hook"), "the path may be a secret: {failure}");
    }
    assert!(elsewhere.posts().is_empty());
}

/// A server with a certificate of its own for 127.0.0.1, and that certificate.
fn tls_receiver() -> (Receiver, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "receiver").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let context = builder.x509v3_context(None, None);
    let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&context).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    (Receiver::on(listener, Some(acceptor.build()), GOOD), certificate)
}

#[test]
fn a_certificate_is_verified() {
    let (receiver, certificate) = tls_receiver();
    let url = format!("https://{}/hook", receiver.address);
    let failure = post(&url, Duration::from_secs(20)).unwrap_err();
    assert!(failure.to_string().starts_with("cannot post to "), "{failure}");
    assert!(receiver.posts().is_empty());
    // The same server, where its certificate is one of the system's.
    let scratch = tempfile::tempdir().unwrap();
    let roots = scratch.path().join("roots.pem");
    fs::write(&roots, certificate.to_pem().unwrap()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "monitor::urls::post_from_a_process_of_its_own",
            "--ignored",
            "--nocapture",
        ])
        .env("SSL_CERT_FILE", &roots)
        .env("CERTBATON_TEST_URL", &url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(receiver.posts().len(), 1);
}

#[test]
#[ignore = "runs as a part of a_certificate_is_verified"]
fn post_from_a_process_of_its_own() {
    // The whole test target with --ignored runs it too, and then there is nothing to do.
    if let Ok(url) = std::env::var("CERTBATON_TEST_URL") {
        post(&url, Duration::from_secs(20)).unwrap();
    }
}
