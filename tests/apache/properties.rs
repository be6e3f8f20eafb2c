//! flow: what holds for every configuration, over what people write and what they could have written.
//!
//! Seeds are the fixtures of `tests/variants/`, each written in other ways, and
//! configurations put together from a grammar. Apache's own parser is the
//! oracle. `CERTBATON_FULL=1` runs ten times as many. Where Apache or root is
//! missing this says so on stderr and skips.

mod bytes;
mod checks;
mod damage;
mod grammar;
mod mutation;
mod requests;
mod says;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread::available_parallelism;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::fixture::{Backends, Fixture, each, in_parallel};
use checks::{Broken, Rule, Verdict, checked, routes};
use grammar::Configuration;
use mutation::{Mutation, mutations};
use support::apache::layout::Layout;
use support::say;

#[test]
fn each_variant_written_in_other_ways_keeps_its_plan_and_all_rules() {
    let tally = Tally::default();
    each(processors(), |fixture, backends, _| {
        let base = varied(fixture, backends, &[]).map_err(|broken| broken.to_string())?;
        sampled(2, &mutations(10), |mutations| {
            let verdict = varied(fixture, backends, mutations)?;
            tally.count(&verdict);
            if base == Verdict::Invalid || verdict == Verdict::Invalid {
                return Ok(());
            }
            let differs = || format!("{base:?} became {verdict:?}");
            if base == verdict { Ok(()) } else { Err(Broken(Rule::SamePlan, differs())) }
        })
    });
    tally.expect_enough();
}

#[test]
fn generated_configurations_keep_all_rules() {
    let tally = Tally::default();
    let batches: Vec<u32> = (0..BATCHES).collect();
    in_parallel(processors(), batches, |_, _, _| {
        let both = (grammar::configurations(), mutations(6));
        sampled(15, &both, |(configuration, mutations)| {
            let layout = laid_out(configuration);
            rewritten(&layout, mutations);
            let verdict = checked(&layout, &wanted(&layout, configuration))?;
            tally.count(&verdict);
            Ok(())
        })
    });
    tally.expect_enough();
}

#[test]
fn generated_configurations_answer_from_the_webroot_and_otherwise_as_before() {
    let batches: Vec<u32> = (0..BATCHES).collect();
    in_parallel(processors(), batches, |_, _, network| {
        sampled(6, &grammar::configurations(), |configuration| {
            let layout = laid_out(configuration);
            requests::answered(&layout, &wanted(&layout, configuration), network)
        })
    });
}

/// A fixture laid out, each of its files written in other ways, and checked.
fn varied(
    fixture: &Fixture,
    backends: &Backends,
    mutations: &[Mutation],
) -> Result<Verdict, Broken> {
    let layout = fixture.place(backends);
    fixture.sites().for_each(|site| layout.enable("sites", site));
    rewritten(&layout, mutations);
    let webroot = layout.server_root().join(&fixture.expect.webroot);
    checked(&layout, &routes(&fixture.expect.names, webroot.to_str().unwrap()))
}

/// Applies the mutations to the files that a user writes.
fn rewritten(layout: &Layout, mutations: &[Mutation]) {
    let mut files = Vec::new();
    for directory in ["sites-available", "conf-available"] {
        let entries = fs::read_dir(layout.server_root().join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    for mutation in mutations {
        let Some(path) = files.get(mutation.file % files.len().max(1)) else { return };
        fs::write(path, mutation.applied(&fs::read(path).unwrap())).unwrap();
    }
}

fn laid_out(configuration: &Configuration) -> Layout {
    let modules = ["proxy", "proxy_http", "rewrite", "macro"].map(str::to_owned);
    let layout = Layout::create("prefork", &modules);
    let filled = |text: &str| {
        let fill = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        grammar::PEERS.iter().fold(text.to_owned(), fill).into_bytes()
    };
    layout.place(Path::new("other/index.html"), b"INDEX of other\n");
    if !configuration.global.is_empty() {
        layout.place(Path::new("conf-available/global.conf"), &filled(&configuration.global));
        layout.enable("conf", "global.conf");
    }
    for (name, text) in &configuration.sites {
        layout.place(&Path::new("sites-available").join(name), &filled(text));
        layout.enable("sites", name);
    }
    layout
}

fn wanted(layout: &Layout, configuration: &Configuration) -> Vec<certbaton::base::names::Route> {
    let webroot = layout.server_root().join("www");
    routes(&configuration.wanted, webroot.to_str().unwrap())
}

/// Runs `check` on `cases` values, ten times as many if asked for, and shrinks a failing one.
fn sampled<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(&S::Value) -> Result<(), Broken>,
) -> Result<(), String> {
    let cases = if support::full() { cases * 10 } else { cases };
    let config =
        Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(strategy, |value| {
        check(&value).map_err(|broken| TestCaseError::fail(broken.to_string()))
    });
    ran.map_err(|error| match error {
        TestError::Fail(why, value) => format!("{why}\nfor {value:#?}"),
        TestError::Abort(why) => format!("aborted: {why}"),
    })
}

fn processors() -> usize {
    available_parallelism().map_or(2, std::num::NonZero::get)
}

/// How the cases ended, so that a generator that makes nothing of use is seen.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<&'static str, u32>>);

impl Tally {
    fn count(&self, verdict: &Verdict) {
        let kind = match verdict {
            Verdict::Invalid => "not accepted by apache",
            Verdict::Refused(_) => "refused",
            Verdict::Planned(directives) if directives.is_empty() => "local already",
            Verdict::Planned(_) => "switched",
        };
        *self.0.lock().unwrap().entry(kind).or_default() += 1;
    }

    fn expect_enough(&self) {
        let tally = self.0.lock().unwrap();
        let all: u32 = tally.values().sum();
        say(&format!("{all} configurations: {tally:?}"));
        let of = |kind| tally.get(kind).copied().unwrap_or(0);
        assert!(of("not accepted by apache") * 10 <= all, "too few are valid: {tally:?}");
        assert!(of("switched") * 4 >= all, "too few are switched: {tally:?}");
    }
}

/// Generated cases come in batches that run side by side.
const BATCHES: u32 = 8;
