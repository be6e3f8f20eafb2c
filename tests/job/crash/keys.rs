//! test: a key that is not its certificate's, a file that is cut off: what only a reload would find out.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use certbaton::switch::give_back::give_back;
use certbaton::switch::order::{Reload, Return};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::keepers::until;
use crate::crash::on_a_bench_in;
use support::apache::{MODULES, Network};
use support::ensure;

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn certificate(key: &PKey<Private>) -> Vec<u8> {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "three.example.org").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(9).unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

/// Has Apache serve a site by TLS as well, from `cert.pem` and `key.pem` and with `more` lines.
fn serve_tls(bench: &mut Bench, network: &Network, more: &str) -> Result<(), String> {
    let three = bench.file("sites-available/three.conf");
    let site = fs::read_to_string(&three).unwrap();
    let root = bench.layout.server_root().display().to_string();
    let tls = format!(
        "LoadModule ssl_module {MODULES}/mod_ssl.so\nListen 443\n<VirtualHost *:443>\n\
         ServerName three.example.org\nSSLEngine on\nSSLCertificateFile {root}/cert.pem\n\
         SSLCertificateKeyFile {root}/key.pem\n{more}</VirtualHost>\n"
    );
    fs::write(&three, site + &tls).unwrap();
    bench.stop();
    bench.start(network)
}

/// As if Apache had loaded everything after whatever has changed: the clock was ahead then.
fn loaded_in_the_future(bench: &Bench) {
    let later = SystemTime::now() + Duration::from_hours(365 * 24);
    let file = fs::File::options().write(true).open(bench.layout.pid_file()).unwrap();
    file.set_modified(later).unwrap();
}

#[test]
fn a_file_that_is_cut_off_is_refused_before_the_signal_by_its_line() {
    on_a_bench_in(|bench, network| {
        let own = key();
        let chain = [certificate(&own), certificate(&key())].concat();
        let private = own.private_key_to_pem_pkcs8().unwrap();
        let (cert, ca, tickets) = (bench.file("cert.pem"), bench.file("ca.pem"), bench.file("tk"));
        let whole = [
            (&cert, &chain),
            (&bench.file("key.pem"), &private),
            (&ca, &chain),
            (&tickets, &vec![7; 48]),
        ];
        for (path, bytes) in whole {
            fs::write(path, bytes).unwrap();
        }
        let root = bench.layout.server_root().display().to_string();
        let more =
            format!("SSLCACertificateFile {root}/ca.pem\nSSLSessionTicketKeyFile {root}/tk\n");
        serve_tls(bench, network, &more)?;
        for goal in [Goal::Local, Goal::Peer] {
            for (path, bytes) in [(&cert, &chain), (&ca, &chain), (&tickets, &vec![7; 48])] {
                if goal == Goal::Peer {
                    bench.done(Goal::Local)?;
                }
                fs::write(path, &bytes[..bytes.len() - 30]).unwrap();
                loaded_in_the_future(bench);
                let output = bench.run(goal);
                let said = told(&output);
                let wanted = if goal == Goal::Local { 1 } else { 70 };
                ensure!(output.status.code() == Some(wanted), "{goal:?}: {said}");
                let name = path.display().to_string();
                ensure!(said.contains(&name) && said.contains("three.conf:"), "{goal:?}: {said}");
                bench.expect_same_server().map_err(|why| format!("{goal:?}: {why}: {said}"))?;
                for site in SITES {
                    let text = fs::read(bench.file(site)).unwrap();
                    let text = String::from_utf8_lossy(&text);
                    ensure!(!text.contains("certbaton"), "{goal:?}: our lines are in {site}");
                }
                fs::write(path, bytes).unwrap();
                bench.done(Goal::Recover)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_key_of_another_certificate_is_refused_before_the_signal_whatever_the_clock_says() {
    on_a_bench_in(|bench, network| {
        let (own, other) = (key(), key());
        fs::write(bench.file("cert.pem"), certificate(&own)).unwrap();
        let place = |bench: &Bench, key: &PKey<Private>| {
            fs::write(bench.file("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        };
        place(bench, &own);
        serve_tls(bench, network, "")?;
        for goal in [Goal::Local, Goal::Peer] {
            if goal == Goal::Peer {
                bench.done(Goal::Local)?;
            }
            place(bench, &other);
            loaded_in_the_future(bench);
            let output = bench.run(goal);
            let said = told(&output);
            let wanted = if goal == Goal::Local { 1 } else { 70 };
            ensure!(output.status.code() == Some(wanted), "{goal:?}: {said}");
            ensure!(said.contains("do not belong together"), "{goal:?}: {said}");
            bench.expect_same_server().map_err(|why| format!("{goal:?}: {why}: {said}"))?;
            for site in SITES {
                let text = fs::read(bench.file(site)).unwrap();
                let text = String::from_utf8_lossy(&text);
                ensure!(!text.contains("certbaton"), "{goal:?}: our lines are in {site}");
            }
            place(bench, &own);
            bench.done(Goal::Recover)?;
        }
        Ok(())
    });
}

/// certbot moves the links to what an interrupted run left when it next reads the lineage, and
/// calls no hook for that.
#[test]
fn at_the_end_of_a_run_apache_loads_a_certificate_that_no_hook_told_of() {
    on_a_bench_in(|bench, network| {
        let links = ["cert", "key"].map(|kind| (kind, bench.file(&format!("{kind}.pem"))));
        let link = |pair: &str| {
            for (kind, link) in &links {
                fs::remove_file(link).ok();
                symlink(format!("{pair}-{kind}.pem"), link).unwrap();
            }
        };
        for pair in ["old", "new"] {
            let own = key();
            let at = |kind: &str| bench.file(&format!("{pair}-{kind}.pem"));
            fs::write(at("cert"), certificate(&own)).unwrap();
            fs::write(at("key"), own.private_key_to_pem_pkcs8().unwrap()).unwrap();
        }
        link("old");
        serve_tls(bench, network, "")?;
        let loaded = || fs::metadata(bench.layout.pid_file()).unwrap().modified().unwrap();
        let end = |reload: Reload| {
            let done = give_back(&bench.settings, &Return::All, &reload);
            done.map(|done| done.reloaded.is_some())
                .map_err(|error| format!("{reload:?}: {error:?}"))
        };
        ensure!(!end(Reload::ForCertificates)?, "nothing was new");
        link("new");
        ensure!(!end(Reload::Never)?, "nobody asked for it");
        let before = loaded();
        ensure!(end(Reload::ForCertificates)?, "it was not loaded");
        until("loaded", || loaded() != before)?;
        ensure!(!end(Reload::ForCertificates)?, "it was loaded twice");
        // Of another pair: Apache would end with it.
        link("old");
        fs::copy(bench.file("new-key.pem"), bench.file("old-key.pem")).unwrap();
        ensure!(!end(Reload::ForCertificates)?, "it was loaded");
        bench.expect_same_server()
    });
}
