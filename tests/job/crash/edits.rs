//! test: others at work at the same time: editors, and Apache itself.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::crash::bench::{Bench, Goal, SITES, told};
use crate::crash::mounts::Mounted;
use crate::crash::{on_a_bench, on_a_bench_in, without_strace};
use support::ensure;

/// Changes a file as an editor does that writes in place.
fn edit(bench: &Bench, site: &str, change: impl Fn(&str) -> String) -> String {
    let path = bench.file(site);
    let edited = change(&fs::read_to_string(&path).unwrap());
    fs::write(&path, &edited).unwrap();
    edited
}

fn text(bench: &Bench, site: &str) -> String {
    fs::read_to_string(bench.file(site)).unwrap()
}

#[test]
fn an_edit_beside_our_block_stays_and_our_lines_go() {
    on_a_bench(|bench| {
        let [_, site] = SITES;
        let users = text(bench, site);
        bench.done(Goal::Local)?;
        edit(bench, site, |text| text.replace("</VirtualHost>", "    Timeout 12\n</VirtualHost>"));
        bench.done(Goal::Peer)?;
        let now = text(bench, site);
        let wanted = users.replace("</VirtualHost>", "    Timeout 12\n</VirtualHost>");
        ensure!(now == wanted, "not the user's with the edit: {now}");
        fs::write(bench.file(site), users).unwrap();
        bench.expect_as_before()
    });
}

#[test]
fn an_edit_inside_our_block_is_shown_and_left() {
    on_a_bench(|bench| {
        let [site, other] = SITES;
        let (users, others) = (text(bench, site), text(bench, other));
        bench.done(Goal::Local)?;
        let edited = edit(bench, site, |text| text.replace("ProxyPass !", "ProxyPass  !"));
        for goal in [Goal::Peer, Goal::Recover] {
            let output = bench.run(goal);
            let said = told(&output);
            ensure!(output.status.code() == Some(70), "{goal:?}: {said}");
            ensure!(said.contains("one.conf:5"), "no place: {said}");
            ensure!(said.contains("-        ProxyPass  !"), "no diff: {said}");
            ensure!(text(bench, site) == edited, "the file was touched");
            ensure!(text(bench, other) == others, "the other file was not given back");
        }
        let adding = bench.run(Goal::Local);
        ensure!(adding.status.code() == Some(1), "added to damage: {}", told(&adding));
        fs::write(bench.file(site), users).unwrap();
        bench.reset()
    });
}

#[test]
fn an_edit_of_our_block_that_apache_refuses_is_told_with_what_is_in_the_files() {
    on_a_bench(|bench| {
        let [site, other] = SITES;
        let (users, others) = (text(bench, site), text(bench, other));
        bench.done(Goal::Local)?;
        let edited = edit(bench, site, |text| text.replace("ProxyPass !", "ProxyPass ! # mine"));
        for goal in [Goal::Recover, Goal::Peer] {
            let output = bench.run(goal);
            let said = told(&output);
            ensure!(output.status.code() == Some(70), "{goal:?}: {said}");
            ensure!(text(bench, site) == edited && text(bench, other) == others, "{goal:?}: files");
            ensure!(said.contains("one.conf:5: lines 5 to "), "{goal:?}: no place: {said}");
            ensure!(said.contains("were left as they are"), "{goal:?}: {said}");
            ensure!(!said.contains("out of the files"), "{goal:?}: they are not: {said}");
            let is_whole = |line: &str| {
                let rest = line.strip_prefix("certbaton: ").unwrap_or(line);
                !rest.trim().is_empty() && !rest.starts_with([';', ',', ':'])
            };
            ensure!(said.lines().all(is_whole), "{goal:?}: an empty part: {said}");
        }
        fs::write(bench.file(site), users).unwrap();
        bench.reset()
    });
}

#[test]
fn a_block_that_the_user_deleted_is_not_missed() {
    on_a_bench(|bench| {
        let [site, _] = SITES;
        let users = text(bench, site);
        bench.done(Goal::Local)?;
        fs::write(bench.file(site), users).unwrap();
        bench.done(Goal::Peer)?;
        bench.expect_as_before()?;
        // And a switch to local puts it in again.
        bench.done(Goal::Local)?;
        let users = text(bench, site);
        edit(bench, site, |_| users.clone());
        bench.done(Goal::Local)?;
        bench.expect_local()?;
        bench.reset()
    });
}

#[test]
fn a_local_route_that_is_refused_since_goes_back() {
    on_a_bench(|bench| {
        let [_, site] = SITES;
        let users = text(bench, site);
        bench.done(Goal::Local)?;
        // No line of ours overrules it.
        let redirect = "    <Location />\n        Redirect permanent https://x.example/\n    </Location>\n</VirtualHost>";
        edit(bench, site, |text| text.replace("</VirtualHost>", redirect));
        let refused = bench.run(Goal::Local);
        let said = told(&refused);
        ensure!(refused.status.code() == Some(1) && said.contains("Redirect"), "{said}");
        let now = text(bench, site);
        let wanted = users.replace("</VirtualHost>", redirect);
        ensure!(now == wanted, "the lines of a refused route stayed: {now}");
        fs::write(bench.file(site), users).unwrap();
        bench.reset()
    });
}

#[test]
fn without_the_journal_the_files_tell() {
    on_a_bench(|bench| {
        for goal in [Goal::Peer, Goal::Recover] {
            bench.done(Goal::Local)?;
            fs::remove_file(bench.journal()).unwrap();
            bench.done(goal)?;
            bench.expect_as_before()?;
        }
        bench.done(Goal::Local)?;
        fs::remove_file(bench.journal()).unwrap();
        bench.done(Goal::Local)?;
        bench.reset()
    });
}

#[test]
fn a_reload_that_a_foreign_edit_would_break_is_not_made() {
    on_a_bench(|bench| {
        let three = "sites-available/three.conf";
        let good = text(bench, three);
        let dated = fs::metadata(bench.file(three)).unwrap().modified().unwrap();
        let repair = |bench: &Bench| {
            fs::write(bench.file(three), &good).unwrap();
            let file = fs::File::options().write(true).open(bench.file(three)).unwrap();
            file.set_modified(dated).unwrap();
        };
        // Before we come: refused, nothing touched.
        edit(bench, three, |text| text.replace("ServerName", "NoSuchDirective"));
        let refused = bench.run(Goal::Local);
        let said = told(&refused);
        ensure!(refused.status.code() == Some(1), "{said}");
        ensure!(said.contains("three.conf") && said.contains("NoSuchDirective"), "no line: {said}");
        repair(bench);
        // After our install: our lines go all the same, and Apache is told once it is repaired.
        let users = SITES.map(|site| text(bench, site));
        bench.done(Goal::Local)?;
        edit(bench, three, |text| text.replace("ServerName", "NoSuchDirective"));
        let back = bench.run(Goal::Recover);
        let said = told(&back);
        ensure!(back.status.code() == Some(70), "{said}");
        ensure!(said.contains("three.conf") && said.contains("NoSuchDirective"), "no line: {said}");
        ensure!(SITES.map(|site| text(bench, site)) == users, "our lines are still there: {said}");
        bench.expect_same_server()?;
        repair(bench);
        bench.expect_files_as_before()?;
        bench.reset()
    });
}

#[test]
fn a_candidate_that_cannot_be_checked_is_not_installed() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        for call in ["mount", "unshare"] {
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EPERM"));
            let output = bench.meddled(Goal::Local, &["-f", "-e", &trace, "-e", &inject]);
            ensure!(output.status.code() == Some(1), "{call}: {}", told(&output));
            bench.expect_as_before()?;
        }
        Ok(())
    });
}

#[test]
fn when_apache_ends_before_its_reload_the_routes_come_back_with_it() {
    on_a_bench_in(|bench, network| {
        if without_strace() {
            return Ok(());
        }
        for goal in [Goal::Local, Goal::Peer] {
            if goal == Goal::Peer {
                bench.done(Goal::Local)?;
            }
            let output = with_a_moment_before_the_reload(bench, goal, Bench::stop);
            let code = output.status.code();
            // What is to be given back is; that Apache ended is told if it was on the way.
            let is_fine = code == Some(1) || (code == Some(0) && goal == Goal::Peer);
            ensure!(is_fine, "{goal:?}: {}", told(&output));
            bench.expect_files_as_before()?;
            bench.start(network)?;
            bench.expect_as_before()?;
            bench.reset().map_err(|e| format!("{goal:?}: {e}\nafter {}", told(&output)))?;
        }
        Ok(())
    });
}

#[test]
fn a_file_that_somebody_edits_before_a_failed_reload_keeps_the_edit() {
    on_a_bench_in(|bench, network| {
        if without_strace() {
            return Ok(());
        }
        let [_, site] = SITES;
        let users = text(bench, site);
        let output = with_a_moment_before_the_reload(bench, Goal::Local, |bench| {
            edit(bench, site, |text| text.to_owned() + "Timeout 13\n");
            bench.stop();
        });
        ensure!(output.status.code() == Some(1), "{}", told(&output));
        bench.start(network)?;
        let now = text(bench, site);
        ensure!(now == users.clone() + "Timeout 13\n", "the edit is not kept: {now}");
        fs::write(bench.file(site), users).unwrap();
        bench.expect_as_before()
    });
}

/// Runs `certbaton`; once all files are replaced and before Apache is told, `meanwhile`.
fn with_a_moment_before_the_reload(
    bench: &mut Bench,
    goal: Goal,
    meanwhile: impl FnOnce(&mut Bench),
) -> Output {
    let [_, last] = SITES;
    let before = text(bench, last);
    let delay = "inject=pidfd_send_signal:delay_enter=3000000";
    let mut run = bench.meddling(goal, &["-e", "trace=pidfd_send_signal", "-e", delay]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while text(bench, last) == before && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    meanwhile(bench);
    child.wait_with_output().unwrap()
}

/// Saves the second site while `certbaton` stands before its `call`, and tells how it ended.
fn saved_before(
    bench: &mut Bench,
    goal: Goal,
    call: &str,
    save: impl Fn(&Bench),
) -> Result<Output, String> {
    let delay = format!("inject={call}:delay_enter=700000:when=1");
    let mut run = bench.meddling(goal, &["-e", &format!("trace={call}"), "-e", &delay]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let is_there = |child: &std::process::Child| {
        // The tracer's child waits in that call: it has made its new file by then.
        let stat = format!("/proc/{}/task/{0}/children", child.id());
        let tracee = fs::read_to_string(stat).unwrap_or_default();
        let left = fs::read_dir(&*bench.settings.state_directory).into_iter().flatten().flatten();
        let out = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"out.");
        !tracee.trim().is_empty() && left.into_iter().any(|entry| out(&entry.file_name()))
    };
    while !is_there(&child)
        && std::time::Instant::now() < deadline
        && child.try_wait().unwrap().is_none()
    {
        std::thread::yield_now();
    }
    let came = is_there(&child);
    save(bench);
    let output = child.wait_with_output().unwrap();
    ensure!(came, "never came to {call}: {}", told(&output));
    Ok(output)
}

#[test]
fn what_an_editor_saves_between_the_last_look_and_the_exchange_is_kept() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let [site, _] = SITES;
        let users = text(bench, site);
        let by_rename = |bench: &Bench| {
            let edited = text(bench, site) + "\nTimeout 14\n";
            fs::write(bench.file("saved"), edited).unwrap();
            fs::rename(bench.file("saved"), bench.file(site)).unwrap();
        };
        let in_place = |bench: &Bench| {
            edit(bench, site, |text| text.to_owned() + "\nTimeout 14\n");
        };
        for goal in [Goal::Local, Goal::Peer] {
            for save in [&by_rename as &dyn Fn(&Bench), &in_place] {
                if goal == Goal::Peer {
                    bench.done(Goal::Local)?;
                }
                let output = saved_before(bench, goal, "renameat2", save)?;
                let said = told(&output);
                // A switch is undone, and knows nothing of it; a return goes on.
                let wanted = if goal == Goal::Local { Some(1) } else { Some(0) };
                ensure!(output.status.code() == wanted, "{goal:?}: {said}");
                ensure!(!bench.journal().exists(), "{goal:?}: a journal is left: {said}");
                let now = text(bench, site);
                ensure!(
                    now == users.clone() + "\nTimeout 14\n",
                    "{goal:?}: not kept: {now}\n{said}"
                );
                fs::write(bench.file(site), &users).unwrap();
                bench.done(Goal::Recover)?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_an_editor_saves_while_certbaton_is_killed_is_in_its_place_again() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let [site, _] = SITES;
        let users = text(bench, site);
        for goal in [Goal::Local, Goal::Peer] {
            if goal == Goal::Peer {
                bench.done(Goal::Local)?;
            }
            // Open since before the file is exchanged; killed before the old one is let go.
            let mut editor = fs::File::options().append(true).open(bench.file(site)).unwrap();
            ensure!(bench.killed_at(goal, "pidfd_send_signal", 1)?, "{goal:?}: not killed");
            editor.write_all(b"\nTimeout 15\n").unwrap();
            drop(editor);
            bench.done(Goal::Recover)?;
            let now = text(bench, site);
            ensure!(now == users.clone() + "\nTimeout 15\n", "{goal:?}: not in place: {now}");
            fs::write(bench.file(site), &users).unwrap();
            bench.done(Goal::Recover)?;
            bench.expect_files_as_before().map_err(|why| format!("{goal:?}: {why}"))?;
        }
        Ok(())
    });
}

#[test]
fn what_is_left_beside_the_files_is_swept_also_without_the_journal() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let root = bench.layout.server_root();
        let _mounted = Mounted::at(&root, &["--bind", root.to_str().unwrap()])?;
        let [site, _] = SITES;
        let users = text(bench, site);
        let place = bench.file(".certbaton");
        let cut = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
        };
        let losses: [&dyn Fn(&Path); 2] = [&|path| fs::remove_file(path).unwrap(), &cut];
        for (goal, edit, lose) in [
            (Goal::Local, "", losses[0]),
            (Goal::Local, "\nTimeout 15\n", losses[1]),
            (Goal::Peer, "", losses[1]),
            (Goal::Peer, "\nTimeout 15\n", losses[0]),
        ] {
            if goal == Goal::Peer {
                bench.done(Goal::Local)?;
            }
            let mut editor = fs::File::options().append(true).open(bench.file(site)).unwrap();
            ensure!(bench.killed_at(goal, "pidfd_send_signal", 1)?, "{goal:?}: not killed");
            editor.write_all(edit.as_bytes()).unwrap();
            drop(editor);
            let left = || fs::read_dir(&place).map_or(0, Iterator::count);
            ensure!(left() >= SITES.len(), "{goal:?}: {} files left, not both", left());
            lose(&bench.journal());
            bench.done(Goal::Recover)?;
            let now = text(bench, site);
            ensure!(now == users.clone() + edit, "{goal:?}, {edit:?}: not in place: {now}");
            ensure!(!place.exists(), "{goal:?}, {edit:?}: {} files left", left());
            fs::write(bench.file(site), &users).unwrap();
            bench.done(Goal::Recover)?;
            bench.expect_as_before().map_err(|why| format!("{goal:?}, {edit:?}: {why}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_site_that_is_half_saved_right_before_the_signal_does_not_end_apache() {
    on_a_bench(|bench| {
        if without_strace() {
            return Ok(());
        }
        let three = "sites-available/three.conf";
        let good = text(bench, three);
        let dated = fs::metadata(bench.file(three)).unwrap().modified().unwrap();
        for goal in [Goal::Local, Goal::Peer] {
            if goal == Goal::Peer {
                bench.done(Goal::Local)?;
            }
            let users = text(bench, SITES[0]);
            // Apache is looked at for the last time before the signal by way of its sockets.
            let output = half_saved_after_the_test(bench, goal, three);
            let said = told(&output);
            bench.expect_same_server().map_err(|e| format!("{goal:?}: {e}: {said}"))?;
            ensure!(!output.status.success(), "{goal:?}: {said}");
            let now = text(bench, SITES[0]);
            ensure!((goal == Goal::Peer) == (now != users), "{goal:?}: {now}\n{said}");
            ensure!(!now.contains("certbaton"), "{goal:?}: our lines are there: {now}\n{said}");
            fs::write(bench.file(three), &good).unwrap();
            let file = fs::File::options().write(true).open(bench.file(three)).unwrap();
            file.set_modified(dated).unwrap();
            bench.reset()?;
        }
        Ok(())
    });
}

/// Runs `certbaton`, and cuts `site` in half once every file is in place and Apache has had its say.
fn half_saved_after_the_test(bench: &mut Bench, goal: Goal, site: &str) -> Output {
    let [_, last] = SITES;
    let before = text(bench, last);
    // What is asked of it after its last test, and before the last look at the files.
    let delay = "inject=getdents64:delay_enter=300000:when=1+";
    let mut run = bench.meddling(goal, &["-e", "trace=getdents64", "-e", delay]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while text(bench, last) == before && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let whole = text(bench, site);
    fs::write(bench.file(site), &whole[..whole.len() - 10]).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn what_would_end_apache_at_its_reload_is_named_and_not_loaded() {
    on_a_bench(|bench| {
        let three = "sites-available/three.conf";
        let good = text(bench, three);
        let other = std::net::TcpListener::bind("127.0.0.1:8099").unwrap();
        let deadly = [
            ("Listen 127.0.0.1:8099\n", "cannot listen on 127.0.0.1:8099"),
            ("CustomLog \"|/usr/bin/no-such-program -l\" common\n", "/usr/bin/no-such-program"),
            ("CustomLog /var/log/no-such-directory/a.log common\n", "no-such-directory"),
        ];
        for (line, named) in deadly {
            for goal in [Goal::Local, Goal::Peer] {
                if goal == Goal::Peer {
                    bench.done(Goal::Local)?;
                }
                fs::write(bench.file(three), [line, &good].concat()).unwrap();
                let output = bench.run(goal);
                let said = told(&output);
                let wanted = if goal == Goal::Local { Some(1) } else { Some(70) };
                ensure!(output.status.code() == wanted, "{goal:?}, {line}: {said}");
                ensure!(said.contains("three.conf:1") && said.contains(named), "{line}: {said}");
                let sites = SITES.map(|site| text(bench, site)).concat();
                ensure!(!sites.contains("certbaton"), "{goal:?}, {line}: our lines are there");
                bench.expect_same_server()?;
                fs::write(bench.file(three), &good).unwrap();
                bench.done(Goal::Recover)?;
            }
        }
        drop(other);
        Ok(())
    });
}

#[test]
fn a_return_does_not_depend_on_its_webroot() {
    on_a_bench(|bench| {
        let known = bench.file("www/.well-known");
        let moved = bench.file("moved");
        for obstacle in ["gone", "a file", "a link"] {
            for goal in [Goal::Peer, Goal::Recover] {
                bench.done(Goal::Local)?;
                fs::rename(&known, &moved).unwrap();
                match obstacle {
                    "a file" => fs::write(&known, "x").unwrap(),
                    "a link" => std::os::unix::fs::symlink("/nowhere", &known).unwrap(),
                    _ => {}
                }
                let output = bench.run(goal);
                fs::remove_file(&known).ok();
                fs::rename(&moved, &known).unwrap();
                ensure!(output.status.success(), "{obstacle}, {goal:?}: {}", told(&output));
                bench.expect_as_before().map_err(|e| format!("{obstacle}, {goal:?}: {e}"))?;
            }
        }
        Ok(())
    });
}

/// Another site's file, touched all the time by a thread of its own until it is told to end.
fn touching(file: std::path::PathBuf) -> impl FnOnce() {
    let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&end);
    let thread = std::thread::spawn(move || {
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            let opened = fs::File::options().write(true).open(&file).unwrap();
            opened.set_modified(std::time::SystemTime::now()).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    move || {
        end.store(true, std::sync::atomic::Ordering::Relaxed);
        thread.join().unwrap();
    }
}

#[test]
fn a_return_is_told_to_apache_as_soon_as_the_files_are_quiet_and_names_the_one_that_is_not() {
    on_a_bench(|bench| {
        let three = "sites-available/three.conf";
        let dated = fs::metadata(bench.file(three)).unwrap().modified().unwrap();
        bench.done(Goal::Local)?;
        let end = touching(bench.file(three));
        let users = SITES.map(|site| text(bench, site));
        let back = std::thread::scope(|scope| {
            let shared = &*bench;
            let back = scope.spawn(move || shared.run(Goal::Peer));
            // The lines are out, and Apache has been asked once at least.
            while SITES.map(|site| text(shared, site)) == users {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_millis(1500));
            end();
            back.join().unwrap()
        });
        ensure!(back.status.success(), "{}", told(&back));
        // Somebody who never ends.
        bench.done(Goal::Local)?;
        let settings = fs::read_to_string(&bench.config).unwrap();
        fs::write(&bench.config, settings.clone() + "[proof]\ntime = \"1s\"\n").unwrap();
        let end = touching(bench.file(three));
        let back = bench.run(Goal::Peer);
        end();
        fs::write(&bench.config, settings).unwrap();
        let said = told(&back);
        ensure!(back.status.code() == Some(70), "{said}");
        ensure!(said.contains("three.conf was changed by somebody else"), "{said}");
        let file = fs::File::options().write(true).open(bench.file(three)).unwrap();
        file.set_modified(dated).unwrap();
        bench.reset()
    });
}

#[test]
fn a_switch_is_planned_again_while_somebody_saves_files() {
    on_a_bench(|bench| {
        let [site, _] = SITES;
        let end = touching(bench.file(site));
        let output = std::thread::scope(|scope| {
            let shared = &*bench;
            let switch = scope.spawn(move || shared.run(Goal::Local));
            std::thread::sleep(std::time::Duration::from_millis(1500));
            end();
            switch.join().unwrap()
        });
        ensure!(output.status.success(), "{}", told(&output));
        bench.expect_local()?;
        bench.reset()
    });
}
