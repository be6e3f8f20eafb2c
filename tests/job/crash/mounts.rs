//! test: Apache's directory is a mount of its own: a bind mount, or an overlay whose layers are elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::{on_a_bench, on_a_bench_in};
use support::{ensure, say};

/// A mount that goes when this is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn at(place: &Path, words: &[&str]) -> Result<Self, String> {
        let output = Command::new("/bin/mount").args(words).arg(place).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(Self(place.to_owned())) } else { Err(said) }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: what is still open below it goes on.
        Command::new("/bin/umount").arg("--lazy").arg(&self.0).status().unwrap();
    }
}

/// Each way forth and back on `bench`, whose directory was mounted while Apache was stopped.
fn forth_and_back(bench: &mut Bench) -> Result<(), String> {
    for goal in [Goal::Peer, Goal::Recover] {
        bench.done(Goal::Local)?;
        bench.expect_local()?;
        bench.done(goal)?;
        bench.expect_as_before().map_err(|why| format!("{goal:?}: {why}"))?;
    }
    Ok(())
}

#[test]
fn a_directory_of_apaches_that_is_a_bind_mount_is_switched() {
    on_a_bench_in(|bench, network| {
        bench.stop();
        let root = bench.layout.server_root();
        let at = root.to_str().unwrap().to_owned();
        let mounted = Mounted::at(&root, &["--bind", &at])?;
        bench.start(network)?;
        forth_and_back(bench)?;
        bench.stop();
        drop(mounted);
        Ok(())
    });
}

#[test]
fn a_directory_of_apaches_that_is_an_overlay_is_switched() {
    on_a_bench_in(|bench, network| {
        bench.stop();
        let root = bench.layout.server_root();
        let layers = bench.layout.base().join("layers");
        fs::create_dir(&layers).unwrap();
        let layer = |name: &str| layers.join(name).display().to_string();
        let tmpfs = Mounted::at(&layers, &["-t", "tmpfs", "-o", "mode=755", "tmpfs"])?;
        for name in ["upper", "work"] {
            fs::create_dir(layers.join(name)).unwrap();
        }
        let lower = bench.layout.base().join("lower");
        fs::rename(&root, &lower).unwrap();
        fs::create_dir(&root).unwrap();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            layer("upper"),
            layer("work")
        );
        let overlay = match Mounted::at(&root, &["-t", "overlay", "-o", &options, "overlay"]) {
            Ok(overlay) => overlay,
            Err(why) => {
                say(&format!("skipped: an overlay of Apache's directory: {why}"));
                return Ok(());
            }
        };
        bench.start(network)?;
        forth_and_back(bench)?;
        bench.stop();
        drop((overlay, tmpfs));
        Ok(())
    });
}

/// Leaves room for neither a byte nor a file.
fn fill(directory: &Path) {
    let mut file = fs::File::create(directory.join("fill")).unwrap();
    while std::io::Write::write_all(&mut file, &[b'x'; 512]).is_ok() {}
    for number in 0.. {
        if fs::File::create(directory.join(format!("fill{number}"))).is_err() {
            break;
        }
    }
}

#[test]
fn a_file_system_that_is_full_by_then_keeps_no_lines_in() {
    on_a_bench(|bench| {
        let (sites, copy) = (bench.file("sites-available"), bench.layout.base().join("copy"));
        let sh = |line: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-ec", line, "sh"]).arg(&sites).arg(&copy);
            assert!(command.status().unwrap().success(), "{line}");
        };
        sh(
            "cp -a $1 $2; mount -t tmpfs -o mode=755,size=256k,nr_inodes=40 tmpfs $1; cp -a $2/. $1; echo > $1/unused",
        );
        for edit in ["", "\n# an edit\n"] {
            bench.done(Goal::Local)?;
            for site in SITES {
                let text = fs::read_to_string(bench.file(site)).unwrap();
                fs::write(bench.file(site), text + edit).unwrap();
            }
            fill(&sites);
            let output = bench.run(Goal::Peer);
            sh("rm -f $1/fill*");
            ensure!(output.status.success(), "{edit:?}: {}", told(&output));
            for site in SITES {
                let text = fs::read_to_string(bench.file(site)).unwrap();
                let name = Path::new(site).file_name().unwrap();
                let users = fs::read_to_string(copy.join(name)).unwrap();
                ensure!(text == users.clone() + edit, "{edit:?}, {site}: {text}");
            }
            let left = sites.join(".certbaton");
            ensure!(!left.exists(), "{edit:?}: the place for new files is left");
        }
        sh("umount $1; rm -r $2");
        bench.done(Goal::Recover)?;
        bench.expect_as_before()
    });
}
