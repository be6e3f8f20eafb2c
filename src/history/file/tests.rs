use std::path::Path;

use super::*;
use crate::history::record::Switched;
use crate::history::runs::{Outcome, runs};

fn settings(directory: &Path) -> Settings {
    Settings {
        state_directory: directory.join("state").into(),
        runtime_directory: directory.into(),
        ..Settings::default()
    }
}

fn switched() -> Event {
    Event::Switched(Switched { files: vec!["/f".into()], ..Switched::default() })
}

#[test]
fn a_run_is_there_from_its_beginning_and_alive() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let recorder = Recorder::begin(&settings, Kind::Renewal, Start::default());
    let told = || runs(&read(&settings.state_directory).unwrap().entries, is_alive);
    assert_eq!(told()[0].outcome, Outcome::UnderWay);
    recorder.record(switched());
    recorder.end(0, "");
    assert_eq!((told().len(), told()[0].outcome), (1, Outcome::Done));
}

#[test]
fn what_changes_nothing_leaves_no_record_and_what_fails_does() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let held = || Recorder::hold_back(&settings, Kind::Recovery, Start::default());
    let recorder = held();
    recorder.record(Event::Switched(Switched::default()));
    recorder.end(0, "");
    assert_eq!(read(&settings.state_directory).unwrap().entries, []);
    held().end(70, "no");
    let recorder = held();
    recorder.record(switched());
    drop(recorder);
    let events: Vec<bool> = read(&settings.state_directory)
        .unwrap()
        .entries
        .iter()
        .map(|entry| matches!(entry.event, Event::Began(_)))
        .collect();
    assert_eq!(events, [true, false, true, false]);
}

#[test]
fn a_torn_last_line_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    Recorder::begin(&settings, Kind::Switch, Start::default()).end(0, "");
    let whole = fs::read(path(&settings.state_directory)).unwrap();
    fs::write(path(&settings.state_directory), &whole[..whole.len() - 5]).unwrap();
    let recorder = Recorder::begin(&settings, Kind::Switch, Start::default());
    recorder.end(0, "");
    let history = read(&settings.state_directory).unwrap();
    assert_eq!((history.entries.len(), history.damaged), (3, 1));
}

#[test]
fn a_long_file_is_put_aside_once_and_its_runs_are_still_told() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    Recorder::begin(&settings, Kind::Switch, Start::default()).end(0, "old");
    let mut long = fs::read(path(&settings.state_directory)).unwrap();
    long.extend(vec![b'\n'; usize::try_from(LIMIT).unwrap()]);
    fs::write(path(&settings.state_directory), long).unwrap();
    Recorder::begin(&settings, Kind::Switch, Start::default()).end(0, "new");
    assert!(fs::metadata(path(&settings.state_directory)).unwrap().len() < 10_000);
    assert_eq!(read(&settings.state_directory).unwrap().entries.len(), 4);
    Recorder::begin(&settings, Kind::Switch, Start::default()).end(0, "newer");
    assert_eq!(read(&settings.state_directory).unwrap().entries.len(), 6);
}

#[test]
fn where_nothing_can_be_written_the_run_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.state_directory = directory.path().join("file/state").into();
    fs::write(directory.path().join("file"), "").unwrap();
    let recorder = Recorder::begin(&settings, Kind::Renewal, Start::default());
    recorder.record(switched());
    recorder.end(0, "");
}

#[test]
fn writers_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let recorder = Recorder::begin(&settings, Kind::Renewal, Start::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| recorder.record(switched())));
        }
    });
    let history = read(&settings.state_directory).unwrap();
    assert_eq!((history.entries.len(), history.damaged), (201, 0));
}
