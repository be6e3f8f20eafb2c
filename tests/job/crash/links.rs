//! test: a directory of a user's that Apache includes, and links in it to what is root's.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};

use crate::crash::bench::{Bench, Goal, told};
use crate::crash::on_a_bench_in;
use support::ensure;

/// www-data's, on Debian.
const USER: u32 = 33;

#[test]
fn no_link_of_a_users_chooses_which_file_of_roots_is_edited() {
    on_a_bench_in(|bench, network| {
        let root = bench.layout.server_root().display().to_string();
        let (users, link) = (bench.file("users"), bench.file("users/two.conf"));
        let (elsewhere, real) = (bench.file("elsewhere"), bench.file("elsewhere/two.conf"));
        for directory in [&users, &elsewhere] {
            fs::create_dir(directory).unwrap();
        }
        fs::rename(bench.file("sites-available/two.conf"), &real).unwrap();
        fs::remove_file(bench.file("sites-enabled/two.conf")).unwrap();
        symlink(&real, &link).unwrap();
        let three = bench.file("sites-available/three.conf");
        let text = fs::read_to_string(&three).unwrap();
        fs::write(&three, format!("{text}\nIncludeOptional {root}/users/*.conf\n")).unwrap();
        bench.stop();
        bench.start(network)?;
        let before = fs::read(&real).unwrap();
        let refused = |bench: &Bench| {
            let output = bench.run(Goal::Local);
            let said = told(&output);
            ensure!(output.status.code() == Some(77), "{:?}: {said}", output.status);
            ensure!(said.contains(&format!("{root}/users")), "{said}");
            ensure!(fs::read(&real).unwrap() == before, "it was changed: {said}");
            Ok(())
        };
        // His directory, and root's with a link of his in it.
        chown(&users, Some(USER), Some(USER)).unwrap();
        refused(bench)?;
        chown(&users, Some(0), Some(0)).unwrap();
        lchown(&link, Some(USER), Some(USER)).unwrap();
        refused(bench)?;
        lchown(&link, Some(0), Some(0)).unwrap();
        bench.done(Goal::Local)?;
        ensure!(fs::read(&real).unwrap() != before, "not switched");
        bench.done(Goal::Peer)?;
        ensure!(fs::read(&real).unwrap() == before, "not given back");
        Ok(())
    });
}
