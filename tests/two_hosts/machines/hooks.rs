//! flow: the hooks as certbot, systemd, other clients and people call them.

use nix::sys::signal::{Signal, kill};

use crate::clean::{LINEAGES, NAMES};
use crate::lab::{Lab, until};
use crate::scenario::Certbots::{Both, Debians, Sampled};
use crate::scenario::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("hooks_that_run_twice_in_a_run_work_once", Both, twice),
    Scenario::new("success_is_silent_and_holds_nobody_up", Both, silence),
    Scenario::new("certonly_for_a_new_name_just_works_on_home", Both, certonly),
    Scenario::new("by_hand_a_name_is_enough", Debians, by_hand),
    Scenario::new("dehydrated_runs_the_same_hooks", Debians, dehydrated),
    Scenario::new("the_timers_service_renews_by_directory_hooks", Debians, service),
    Scenario::new("a_service_that_is_stopped_gives_back", Debians, stopped_service),
    Scenario::new("a_service_that_is_stopped_later_gives_back", Debians, service_stopped_later),
    Scenario::new("two_certbots_at_once_take_turns", Sampled, two_at_once),
    Scenario::new("under_load_no_request_is_lost", Debians, load),
];

/// A site for a new name, as the others are.
pub(crate) fn new_name(lab: &Lab, name: &str) {
    lab.home.site(
        name,
        &format!(
            "<VirtualHost *:80>\n  ServerName {name}\n  DocumentRoot /var/www/html\n  \
             ProxyPass /.well-known/acme-challenge/ http://vps.example.org/.well-known/acme-challenge/\n\
             </VirtualHost>\n"
        ),
    );
    lab.home.reload();
    lab.note();
    lab.ca.names(&format!("2001:db8::20 {name}\n192.0.2.10 {name}\n"));
}

fn twice(lab: &Lab) {
    lab.directory_hooks();
    let (since, reloads) = (lab.ca.mark(), lab.home.reloads());
    lab.renew().succeed();
    lab.expect_issued(since, 3);
    lab.expect_served(&LINEAGES);
    assert_eq!(lab.home.reloads(), reloads + 4, "one reload before, one for each lineage");
}

fn silence(lab: &Lab) {
    let done = lab.renew().with(&["-q"]).succeed();
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
    let done = lab.renew().succeed();
    for said in [done.out, done.err] {
        assert!(!said.contains("ran with") && !said.contains("reported error"), "{said}");
    }
}

fn certonly(lab: &Lab) {
    new_name(lab, "new.example.org");
    let since = lab.ca.mark();
    let webroot = ["--webroot", "-w", "/var/www/html", "-d", "new.example.org"];
    lab.certbot_on(&lab.home, "certonly").with(&webroot).hooks().succeed();
    lab.expect_issued(since, 1);
}

fn by_hand(lab: &Lab) {
    lab.home.script(
        "/run/client",
        "#!/bin/sh\ncertbaton-pre-hook --name git.example.org || exit\n/run/pause\ncertbaton-post-hook\n",
    );
    lab.pausing();
    let client = lab.home.start(&["sh", "/run/client"]);
    lab.await_pause();
    assert_eq!(lab.ca.answers(&NAMES), ["vps", "vps", "home", "vps"]);
    lab.go_on();
    let done = client.ended();
    assert_eq!((done.code(), done.out.as_str(), done.err.as_str()), (0, "", ""));
    assert_eq!(lab.ca.answers(&NAMES), ["vps"; 4]);
    // The same, with the client killed: nobody calls the post-hook.
    lab.pausing();
    let client = lab.home.start(&[
        "sh",
        "-c",
        "certbaton-pre-hook --name git.example.org; /run/pause; true",
    ]);
    lab.await_pause();
    assert_eq!(lab.ca.answers(&NAMES), ["vps", "vps", "home", "vps"]);
    client.signal(Signal::SIGKILL);
    lab.home.at_rest();
    lab.go_on();
    client.ended();
}

fn dehydrated(lab: &Lab) {
    let since = lab.ca.mark();
    lab.home.sh("mkdir -p /root/scenario");
    lab.home.write(
        "/root/scenario/config",
        "CA=https://ca.example.org/dir\nWELLKNOWN=/var/www/html/.well-known/acme-challenge\n\
         BASEDIR=/root/scenario\nHOOK=/root/scenario/hook\nKEY_ALGO=rsa\n",
    );
    lab.home.script(
        "/root/scenario/hook",
        "#!/bin/sh\ncase $1 in\n\
         startup_hook) exec certbaton-pre-hook --name git.example.org --webroot /var/www/html;;\n\
         deploy_cert) exec certbaton-deploy-hook --name git.example.org;;\n\
         exit_hook) exec certbaton-post-hook;;\nesac\n",
    );
    let dehydrated = ["dehydrated", "--config", "/root/scenario/config"];
    let registered = lab.home.run(&[&dehydrated[..], &["--register", "--accept-terms"]].concat());
    assert_eq!(registered.code(), 0, "{registered:?}");
    lab.home.at_rest();
    let done =
        lab.home.run(&[&dehydrated[..], &["--cron", "--domain", "git.example.org"]].concat());
    assert_eq!(done.code(), 0, "{done:?}");
    lab.expect_issued(since, 1);
}

/// Everything is due, and the hooks are where certbot.service finds them.
fn all_due(lab: &Lab) {
    lab.directory_hooks();
    lab.home.sh("sed -i '1i renew_before_expiry = 10 years' /etc/letsencrypt/renewal/*.conf");
}

fn service(lab: &Lab) {
    all_due(lab);
    let since = lab.ca.mark();
    let started = lab.home.run(&["systemctl", "start", "certbot.service"]);
    assert_eq!(started.code(), 0, "{started:?}");
    lab.expect_issued(since, 3);
    lab.expect_served(&LINEAGES);
}

fn stopped_service(lab: &Lab) {
    all_due(lab);
    let since = lab.ca.mark();
    let held = lab.ca.hold();
    lab.home.sh("systemctl start --no-block certbot.service");
    lab.await_challenge(since);
    lab.home.sh("systemctl stop certbot.service");
    drop(held);
    assert_eq!(lab.ca.answers(&NAMES), ["vps"; 4], "as soon as the service has stopped");
    lab.home.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
}

/// By then certbot keeps SIGTERM to itself (see `kills`), so the service ends when certbot does.
fn service_stopped_later(lab: &Lab) {
    all_due(lab);
    let pause = format!("#!/bin/sh\nexec {}\n", lab.pausing());
    lab.home.script("/etc/letsencrypt/renewal-hooks/deploy/later", &pause);
    lab.home.sh("systemctl start --no-block certbot.service");
    lab.await_pause();
    let (since, held) = (lab.ca.mark(), lab.ca.hold());
    lab.go_on();
    lab.await_challenge(since);
    lab.home.sh("systemctl stop certbot.service");
    drop(held);
    assert_eq!(lab.ca.answers(&NAMES), ["vps"; 4], "as soon as the service has stopped");
    lab.home.sh("find /var/www -path '*/acme-challenge/*' ! -name who -delete");
}

fn two_at_once(lab: &Lab) {
    new_name(lab, "new.example.org");
    let since = lab.ca.mark();
    let pre = format!("certbaton-pre-hook && {}", lab.pausing());
    let first = lab.renew().pre(&pre).start();
    lab.await_pause();
    let directories = [
        "--config-dir",
        "/root/scenario/c",
        "--work-dir",
        "/root/scenario/w",
        "--logs-dir",
        "/root/scenario/l",
    ];
    let webroot = ["--webroot", "-w", "/var/www/html", "-d", "new.example.org"];
    let second =
        lab.certbot_on(&lab.home, "certonly").with(&directories).with(&webroot).hooks().start();
    until("the second keeper", || lab.home.keepers().len() == 2);
    lab.go_on();
    for done in [first.ended(), second.ended()] {
        assert_eq!(done.code(), 0, "{done:?}");
    }
    lab.expect_issued(since, 4);
}

fn load(lab: &Lab) {
    let tool = support::source("tests/lab/load.py").display().to_string();
    let root = format!("{}/ca/root.pem", crate::lab::state().display());
    let urls: Vec<String> =
        NAMES.iter().flat_map(|n| [format!("http://{n}/"), format!("https://{n}/")]).collect();
    let words: Vec<&str> =
        [&tool, "--cafile", &root].into_iter().chain(urls.iter().map(String::as_str)).collect();
    let clients = lab.ca.start(&words);
    let since = lab.ca.mark();
    lab.renew().succeed();
    kill(clients.pid(), Signal::SIGTERM).unwrap();
    let done = clients.ended();
    lab.expect_issued(since, 3);
    assert!(done.out.contains("\"failures\": 0"), "{done:?}");
    assert_eq!(done.code(), 0, "{done:?}");
}
