//! test: whatever is in the way of a switch, each way back takes our lines out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::keepers::{Client, as_before_soon, config, pre, until};
use crate::crash::on_a_bench_in;
use support::apache::Network;
use support::{ensure, full};

const DEPLOY: &str = env!("CARGO_BIN_EXE_certbaton-deploy-hook");
const POST: &str = env!("CARGO_BIN_EXE_certbaton-post-hook");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    WebrootFull,
    WebrootReadOnly,
    ChallengesAreALink,
    ChallengesAreAFile,
    HalfSavedSite,
    ApacheDead,
}

const OBSTACLES: [Obstacle; 6] = [
    Obstacle::WebrootFull,
    Obstacle::WebrootReadOnly,
    Obstacle::ChallengesAreALink,
    Obstacle::ChallengesAreAFile,
    Obstacle::HalfSavedSite,
    Obstacle::ApacheDead,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Peer,
    Recover,
    Deploy,
    Post,
    /// The keeper, when who called the hooks has been killed.
    Keeper,
}

const WAYS: [Way; 5] = [Way::Peer, Way::Recover, Way::Deploy, Way::Post, Way::Keeper];

/// A site that somebody saves, as it was.
struct Site {
    text: String,
    dated: SystemTime,
}

fn mount(words: &[&str], at: &str) {
    let status = Command::new("/bin/mount").args(words).arg(at).status().unwrap();
    assert!(status.success(), "mount {words:?} {at}: {status}");
}

impl Obstacle {
    fn raise(self, bench: &mut Bench) {
        let www = bench.file("www");
        let known = bench.file("www/.well-known");
        let at = www.to_str().unwrap();
        match self {
            Self::WebrootFull => mount(&["-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs"], at),
            Self::WebrootReadOnly => {
                mount(&["--bind", at], at);
                mount(&["-o", "remount,bind,ro"], at);
            }
            Self::ChallengesAreALink => {
                fs::rename(&known, bench.file("moved")).unwrap();
                symlink("/nowhere", &known).unwrap();
            }
            Self::ChallengesAreAFile => {
                fs::rename(&known, bench.file("moved")).unwrap();
                fs::write(&known, "x").unwrap();
            }
            Self::HalfSavedSite => {
                fs::write(bench.file(THREE), "<VirtualHost *:80>\nServ").unwrap();
            }
            Self::ApacheDead => bench.stop(),
        }
    }

    fn remove(self, bench: &mut Bench, network: &Network, site: &Site) -> Result<(), String> {
        match self {
            Self::WebrootFull | Self::WebrootReadOnly => {
                let status = Command::new("/bin/umount").arg(bench.file("www")).status().unwrap();
                ensure!(status.success(), "umount: {status}");
            }
            Self::ChallengesAreALink | Self::ChallengesAreAFile => {
                let known = bench.file("www/.well-known");
                fs::remove_file(&known).unwrap();
                fs::rename(bench.file("moved"), known).unwrap();
            }
            Self::HalfSavedSite => {
                fs::write(bench.file(THREE), &site.text).unwrap();
                let file = fs::File::options().write(true).open(bench.file(THREE)).unwrap();
                file.set_modified(site.dated).unwrap();
            }
            Self::ApacheDead => bench.start(network)?,
        }
        Ok(())
    }

    /// How a way back ends that is asked by a person.
    fn exit(self) -> i32 {
        // The reload is owed.
        if self == Self::HalfSavedSite { 70 } else { 0 }
    }
}

fn lines_in(bench: &Bench) -> bool {
    let of = |site: &str| fs::read(bench.file(site)).unwrap();
    SITES.iter().any(|site| String::from_utf8_lossy(&of(site)).contains("certbaton"))
}

/// Local by a keeper whose client is a script, which goes on with `after` when it is told.
fn held(bench: &Bench, config: &Path, after: &str) -> Result<Client, String> {
    let script =
        format!("{} || exit 9\necho held\nread word\n{after}\nread word\n", pre(bench, config));
    let mut client = Client::script(bench, &script);
    client.hear("held")?;
    Ok(client)
}

fn go_back(bench: &mut Bench, config: &Path, obstacle: Obstacle, way: Way) -> Result<(), String> {
    let shown = config.display();
    let words = match way {
        Way::Peer | Way::Recover => {
            let goal = if way == Way::Peer { Goal::Peer } else { Goal::Recover };
            bench.done(Goal::Local)?;
            obstacle.raise(bench);
            let output = bench.run(goal);
            let said = told(&output);
            ensure!(output.status.code() == Some(obstacle.exit()), "{said}");
            return Ok(());
        }
        Way::Deploy => {
            let names = crate::crash::bench::NAMES.join(" ");
            format!("RENEWED_DOMAINS='{names}' {DEPLOY} --config {shown} 2>&1; echo back $?")
        }
        Way::Post => format!("{POST} --config {shown} 2>&1; echo back $?"),
        Way::Keeper => String::new(),
    };
    let mut client = held(bench, config, &words)?;
    obstacle.raise(bench);
    if way == Way::Keeper {
        drop(client);
        return until("out", || !lines_in(bench));
    }
    client.tell("");
    let said = client.hear("back ")?;
    let wanted = format!("back {}\n", obstacle.exit());
    // A certificate that nobody serves is the deploy-hook's failure.
    ensure!(way == Way::Deploy || said == wanted, "{said}");
    ensure!(!lines_in(bench), "{said}");
    Ok(())
}

#[test]
fn each_way_back_takes_the_lines_out_whatever_is_in_the_way() {
    on_a_bench_in(|bench, network| {
        let config = config(bench, "obstacles.toml", "");
        let dated = fs::metadata(bench.file(THREE)).unwrap().modified().unwrap();
        let site = Site { text: fs::read_to_string(bench.file(THREE)).unwrap(), dated };
        let mut failures = Vec::new();
        for (row, obstacle) in OBSTACLES.into_iter().enumerate() {
            for (column, way) in WAYS.into_iter().enumerate() {
                if !full() && (row + 2 * column) % WAYS.len() > 1 {
                    continue;
                }
                let gone = go_back(bench, &config, obstacle, way);
                if lines_in(bench) {
                    failures.push(format!("{obstacle:?}, {way:?}: our lines are in"));
                }
                obstacle.remove(bench, network, &site)?;
                if let Err(why) = gone {
                    failures.push(format!("{obstacle:?}, {way:?}: {why}"));
                }
                // A keeper that waits hears of the repair; what is owed else is recover's.
                until("free", || bench.run(Goal::Recover).status.success())?;
                as_before_soon(bench).map_err(|why| format!("{obstacle:?}, {way:?}: {why}"))?;
            }
        }
        ensure!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
        Ok(())
    });
}

const THREE: &str = "sites-available/three.conf";
