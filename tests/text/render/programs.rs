//! system: Apache, nftables, fail2ban and inadyn read what was rendered; and refuse it when it is broken.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{STATELESS, rendered};

/// Why nothing here can be asked, said in the words that `tests/run` counts.
fn lacks(program: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin"].iter().any(|at| Path::new(at).join(program).exists());
    if !found {
        println!("skipped: no {program}: run tests/install-packages");
    }
    !found
}

/// Whether a program is content, and what it says.
fn asks(program: &str, words: &[&str]) -> (bool, String) {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let said = Command::new(program).args(words).env("PATH", path).output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    (said.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A copy of `file` in which `from` has become `to`.
fn broken(file: &Path, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    let other = file.with_extension("broken");
    fs::write(&other, text.replace(from, to)).unwrap();
    other
}

/// What `a2enmod` is told to enable, and what Debian has enabled anyway.
fn modules(conf: &str) -> String {
    let lines: Vec<&str> = conf.lines().take_while(|line| line.starts_with('#')).collect();
    let text = lines.join(" ").replace("# ", "");
    let told = text.split("a2enmod ").nth(1).unwrap().split(" The ").next().unwrap().to_owned();
    let always = "mpm_event authn_core authz_core mime socache_shmcb";
    let mut load = String::new();
    for name in always.split(' ').chain(told.split_whitespace()) {
        writeln!(load, "LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so").unwrap();
    }
    load
}

#[test]
fn apache_takes_the_vhosts_before_and_after_the_first_certificate() {
    if lacks("apache2") {
        return;
    }
    for layout in [&[][..], &["--layout", "fallthrough"], &STATELESS] {
        let scratch = rendered(layout);
        let live = scratch.path().join("letsencrypt/live");
        let (cert, key) = (live.join("fullchain.pem"), live.join("privkey.pem"));
        for host in ["home", "vps"] {
            let file = scratch.path().join(host).join("etc/apache2/sites-available/gateway.conf");
            let text = fs::read_to_string(&file).unwrap();
            let here = text
                .replace("/etc/letsencrypt", scratch.path().join("letsencrypt").to_str().unwrap());
            let main = scratch.path().join("apache2.conf");
            let conf = format!(
                "ServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/log\nServerName x\nTypesConfig /etc/mime.types\nListen 127.0.0.1:8580\n{}\n{here}",
                modules(&text),
                root = scratch.path().display(),
            );
            fs::write(&main, &conf).unwrap();
            let test =
                || asks("apache2", &["-t", "-D", "DUMP_VHOSTS", "-f", main.to_str().unwrap()]);
            let (good, said) = test();
            assert!(good && !said.contains(":443"), "{host} {layout:?}: {said}");

            for name in ["cloud.example.org", "wiki.example.org"] {
                fs::create_dir_all(live.join(name)).unwrap();
                if !cert.exists() {
                    let (made, said) = asks(
                        "openssl",
                        &[
                            "req",
                            "-x509",
                            "-newkey",
                            "ec",
                            "-pkeyopt",
                            "ec_paramgen_curve:P-256",
                            "-nodes",
                            "-subj",
                            "/CN=x",
                            "-keyout",
                            key.to_str().unwrap(),
                            "-out",
                            cert.to_str().unwrap(),
                        ],
                    );
                    assert!(made, "{said}");
                }
                for file in [&cert, &key] {
                    fs::copy(file, live.join(name).join(file.file_name().unwrap())).unwrap();
                }
            }
            let (good, said) = test();
            assert!(
                good && said.matches("port 443 namevhost").count() == 2,
                "{host} {layout:?}: {said}"
            );
            fs::write(&main, conf.replace("SSLProxyVerify require", "SSLProxyVerify maybe"))
                .unwrap();
            assert_eq!(test().0, host == "home", "apache takes anything");
            fs::remove_dir_all(live.join("cloud.example.org")).unwrap();
            fs::remove_dir_all(live.join("wiki.example.org")).unwrap();
        }
    }
}

#[test]
fn nftables_takes_the_rules() {
    if lacks("nft") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root: nft reads the kernel's rules even to check");
        return;
    }
    let scratch = rendered(&[]);
    for host in ["home", "vps"] {
        let file = scratch.path().join(host).join("etc/nftables.d/gateway.nft");
        let (good, said) = asks("nft", &["-c", "-f", file.to_str().unwrap()]);
        assert!(good && said.is_empty(), "{host}: {said}");
        let other = broken(&file, "tcp dport", "tcp door");
        assert!(!asks("nft", &["-c", "-f", other.to_str().unwrap()]).0, "nft takes anything");
    }
}

#[test]
fn fail2ban_takes_the_jail() {
    if lacks("fail2ban-client") {
        return;
    }
    let scratch = rendered(&[]);
    for host in ["home", "vps"] {
        let settings = scratch.path().join(format!("fail2ban-{host}"));
        let (copied, said) = asks("cp", &["-r", "/etc/fail2ban", settings.to_str().unwrap()]);
        assert!(copied, "{said}");
        // Debian's own jail wants a log that a machine with systemd has not.
        fs::remove_dir_all(settings.join("jail.d")).unwrap();
        fs::create_dir(settings.join("jail.d")).unwrap();
        let log = scratch.path().join("error.log");
        fs::write(&log, "").unwrap();
        let paths = format!("[DEFAULT]\napache_error_log = {}\n", log.display());
        fs::write(settings.join("jail.d/0.conf"), paths).unwrap();
        let file = scratch.path().join(host).join("etc/fail2ban/jail.d/gateway.local");
        let installed = settings.join("jail.d/gateway.local");
        fs::copy(&file, &installed).unwrap();
        let test = || asks("fail2ban-client", &["-c", settings.to_str().unwrap(), "-t"]);
        let (good, said) = test();
        assert!(good, "{host}: {said}");
        let ignored = fs::read_to_string(&file).unwrap();
        assert_eq!(ignored.contains("192.0.2.10 2001:db8::10"), host == "home", "{ignored}");
        fs::copy(broken(&file, "filter = apache-auth", "filter = nobody"), &installed).unwrap();
        assert!(!test().0, "fail2ban takes anything");
    }
}

#[test]
fn inadyn_takes_the_tunnel() {
    if lacks("inadyn") {
        return;
    }
    let scratch = rendered(&[]);
    let file = scratch.path().join("home/etc/inadyn.conf");
    let test = |file: &Path| asks("inadyn", &["--check-config", "-f", file.to_str().unwrap()]);
    let (good, said) = test(&file);
    assert!(good, "{said}");
    assert!(!test(&broken(&file, "default@tunnelbroker.net", "default@nobody.net")).0);
    assert!(!test(&broken(&file, "password =", "passwrod =")).0);
}
