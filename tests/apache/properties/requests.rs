//! system: a planned configuration on a running Apache, asked as the CA and as visitors ask.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use certbaton::apache::vhosts::bound_addresses;
use certbaton::base::names::Route;
use certbaton::switch::plan::HTTP_PORT;

use crate::properties::checks::{Broken, Rule, installed, planned, view};
use crate::properties::grammar::NAMES;
use crate::properties::says;
use support::apache::layout::Layout;
use support::apache::{Answer, Network, Server, request};

/// Who is asked what, and the answer.
type Answers = BTreeMap<(SocketAddr, &'static str, &'static str), Answer>;

/// If `wanted` can be switched: the webroot answers its challenges, and nothing else changes.
pub(crate) fn answered(layout: &Layout, wanted: &[Route], network: &Network) -> Result<(), Broken> {
    let Some(before) = view(layout)? else { return Ok(()) };
    let Ok(plan) = planned(&before, wanted) else { return Ok(()) };
    let groups = says::served(&before.output);
    let addresses = bound_addresses(&before.user, HTTP_PORT);
    let directory = wanted[0].webroot.challenge_directory();
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(TOKEN), CONTENT).unwrap();
    let was = asked(layout, network)?;
    let _back = installed(&plan.files);
    let is = asked(layout, network)?;
    for (key @ (address, name, path), answer) in &is {
        let by = says::answering_on(&groups, address.ip(), name);
        let switched = plan.vhosts.iter().any(|v| by.as_ref() == Some(&v.origin.to_string()));
        let named = addresses.contains(&address.ip());
        let door = plan.doors.iter().any(|door| {
            let here = door.address.map_or(!named, |a| a == address.ip());
            door.route.name.as_str() == *name && here
        });
        let why = || {
            let files: Vec<_> = plan.files.values().map(|f| String::from_utf8_lossy(f)).collect();
            format!("{name}{path} at {address}: {answer:?}, was {:?}\n{}", was[key], files.concat())
        };
        if *path == CHALLENGE && door {
            if answer.body != CONTENT {
                return Err(Broken(Rule::LocalAfterLocal, why()));
            }
        } else if (*path != CHALLENGE || !switched) && *answer != was[key] {
            return Err(Broken(Rule::MarkedAlone, why()));
        }
    }
    Ok(())
}

fn asked(layout: &Layout, network: &Network) -> Result<Answers, Broken> {
    let addresses = [SocketAddr::from(([127, 0, 0, 1], 80)), "[::1]:80".parse().unwrap()];
    let server = Server::start(layout, addresses[0], network);
    let _server = server.map_err(|said| Broken(Rule::Accepted, said))?;
    let mut answers = Answers::new();
    for address in addresses {
        for name in NAMES {
            for path in PATHS {
                answers.insert((address, name, path), request(address, name, path));
            }
        }
    }
    Ok(answers)
}

const TOKEN: &str = "generated_token";
const CONTENT: &str = "generated_token.local";
const CHALLENGE: &str = "/.well-known/acme-challenge/generated_token";
const PATHS: [&str; 6] = [
    CHALLENGE,
    "/",
    "/page?q=1",
    "/.well-known/other",
    "/.well-known/acme-challenges",
    "/private/x",
];
