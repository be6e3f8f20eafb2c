//! What certbot makes of command lines, and `ConfigObj` of values, is what we make of them.

use std::fs;

use certbaton::certbot::arguments;
use certbaton::certbot::configobj;
use certbaton::certbot::ini;
use serde_json::Value;

use crate::certbot::{certbot_is_here, python};

const PARSE: &str = r"
import json, os, sys
from certbot._internal import cli
from certbot._internal.plugins import disco, selection
plugins = disco.PluginsRegistry.find_all()
answers = []
for line in json.load(sys.stdin):
    c = cli.prepare_and_parse_args(plugins, line)
    domains = [str(name) for name in c.domains]
    for name in domains if c.webroot_path else []:
        c.webroot_map.setdefault(name, c.webroot_path[-1])
    answers.append(dict(
        verb=c.verb, domains=domains, webroots=c.webroot_map, paths=c.webroot_path,
        name=c.certname, authenticator=selection.cli_plugin_requests(c)[0], server=c.server,
        config_dir=os.path.abspath(c.config_dir), dry_run=c.dry_run,
        force=c.renew_by_default, hooks=c.directory_hooks))
json.dump(answers, sys.stdout)
";

#[test]
fn a_command_line_means_what_it_means_to_certbot() {
    if !certbot_is_here() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let root = |name: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (a, b, c) = (root("a"), root("b"), root("c"));
    let map = format!(r#"{{"m.example,n.example":"{c}"}}"#);
    let ini = home.path().join("cli.ini");
    let text = format!(
        "# defaults\nwork-dir = /ini-w\ndomains = i.example, j.example\nwebroot-path = '{b}'\nwebroot\n"
    );
    fs::write(&ini, text).unwrap();
    let ini = ini.to_str().unwrap();
    let lines: Vec<Vec<&str>> = vec![
        vec!["-q", "renew", "--no-random-sleep-on-renew"],
        vec!["renew", "--cert-name", "x", "-w", &a, "--dry-run"],
        vec!["certonly", "-d", "p.example", "-w", &a],
        vec!["certonly", "-w", &a, "-d", "p.example,Q.example.", "-w", &b, "-dr.example"],
        vec!["-nqd", "p.example", "--webroot-p", &a, "auth", "--force-ren", "--webroot"],
        vec!["certonly", "-w", &a, "-d", "m.example", "--webroot-map", &map, "-w", &b],
        vec!["--cert-name", "renew", "certonly", "--domains=p.example"],
        vec![
            "--disable-hook-v",
            "--pre-hook",
            "--domain x",
            "--post-hook=-d y",
            "certonly",
            "-a",
            "standalone",
        ],
        vec!["certonly", "--apache", "-d=p.example", "--no-directory-hooks"],
        vec!["certonly", "--config-dir", "rel/../c", "--work-dir=/w/", "--logs-dir", "/l//l"],
        vec!["certonly", "-c", ini],
        vec!["certonly", "-c", ini, "-d", "p.example", "--work-dir", "/cli"],
        vec!["renew", "--config", ini],
        vec!["certonly", "--server", "https://ca.example/d", "-m", "renewal@p.example"],
        vec![
            "run",
            "-i",
            "apache",
            "-a",
            "webroot",
            "-w",
            &a,
            "-d",
            "p.example",
            "-d",
            "p.example",
        ],
    ];
    let answers = python(PARSE, &serde_json::json!(lines));
    let directory = std::env::current_dir().unwrap();
    for (line, theirs) in lines.iter().zip(answers.as_array().unwrap()) {
        let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        let file = arguments::configuration_file(&words, &directory);
        let file = file.map(|file| fs::read_to_string(file).unwrap());
        let files: Vec<_> = file.iter().map(|text| ini::parse(text)).collect();
        let run = arguments::parse(&words, &directory, &files).unwrap();
        let webroots: serde_json::Map<_, _> = run
            .domains
            .iter()
            .filter_map(|name| Some((name.to_string(), run.webroot_of(name)?.as_str().into())))
            .collect();
        let server = theirs["server"].as_str().filter(|_| run.server.is_some());
        let ours = serde_json::json!({
            "verb": format!("{:?}", run.verb).to_lowercase(),
            "domains": run.domains,
            "webroots": webroots,
            "paths": run.webroot_paths,
            "name": run.cert_name,
            "authenticator": run.authenticator,
            "server": theirs["server"],
            "config_dir": run.config_dir,
            "dry_run": run.dry_run,
            "force": run.force_renewal,
            "hooks": run.directory_hooks,
        });
        assert_eq!(&ours, theirs, "{line:?}");
        assert_eq!(run.server.as_deref(), server, "{line:?}");
    }
}

const READ: &str = r"
import json, sys, io, configobj
def read(text):
    try: return configobj.ConfigObj(io.BytesIO(text.encode()), encoding='utf-8').get('k')
    except (SyntaxError, UnicodeError): return False
json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
";

#[test]
fn every_value_means_what_it_means_to_configobj() {
    if !certbot_is_here() {
        return;
    }
    let pieces = ["a", " ", "'", "\"", ",", "#", "=", "[", "]", "%", "\u{e4}", "\\", "'''\n"];
    let mut texts = vec!["k =".to_owned()];
    for one in pieces {
        for two in pieces {
            for three in pieces {
                texts.extend(pieces.iter().map(|four| format!("k = {one}{two}{three}{four}")));
            }
        }
    }
    let answers = python(READ, &serde_json::json!(texts));
    let mut different = Vec::new();
    for (text, theirs) in texts.iter().zip(answers.as_array().unwrap()) {
        let value = configobj::parse(text.as_bytes()).map(|entries| entries[0].value.clone());
        let ours = match value {
            Ok(configobj::Value::Single(text)) => serde_json::json!(text),
            Ok(configobj::Value::List(items)) => serde_json::json!(items),
            Err(_) => Value::Bool(false),
        };
        if &ours != theirs {
            different.push(format!("{text:?} is {theirs}, not {ours}"));
        }
    }
    assert_eq!(different, [""; 0]);
}
