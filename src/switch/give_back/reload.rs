//! flow: Apache and a return: it is asked about the files without our lines, and told to load them.
//!
//! It may be gone, say nothing, or refuse another's file: what is out stays out, and the reload is
//! owed.

use std::time::Duration;

use super::{ReturnRun, note_intent, take_out};
use crate::apache::server;
use crate::base::clock;
use crate::base::files;
use crate::switch::apply;
use crate::switch::asked;
use crate::switch::journal::Journal;
use crate::switch::order::Reload;
use crate::switch::report::{Error, Note};

/// Apache's own test of what the files say now, and which files those are.
pub(super) fn ask(run: &mut ReturnRun<'_>) -> Result<(), Error> {
    if run.server.is_none() {
        // Started meanwhile, it may have read what was just taken out.
        run.server = server::find(run.settings.pid_file.as_deref()).ok();
    }
    for _ in 0..QUESTIONS {
        let Some(server) = &run.server else { return run.without_apache() };
        let asked = loop {
            match asked::ask(server, &run.known_versions()) {
                Err(error) if is_race(&error) && run.waits_for_quiet() => {}
                asked => break asked,
            }
        };
        match asked {
            Ok(asked) => run.asked = Some(asked),
            Err(error) => return run.unasked(error),
        }
        let is_changed = run.sweep_places();
        // Files that the journal does not know: copied, renamed, or from before it was lost.
        let marked = run.asked.iter().flat_map(|asked| &asked.marked);
        let new = marked.filter(|path| !run.known.contains(*path)).cloned().collect();
        run.look_at(&new);
        if !run.has_more() && !is_changed {
            break;
        }
        note_intent(run);
        take_out(run);
    }
    Ok(())
}

/// Has Apache load the files, unless it knows all that is in them.
pub(super) fn reload(run: &mut ReturnRun<'_>) -> Result<(), Error> {
    let (Some(server), Some(asked)) = (&run.server, &run.asked) else { return Ok(()) };
    let Journal { pending, since, files, .. } = &run.journal;
    let is_all = run.remaining().is_empty() && run.damage().is_empty();
    // Lines that somebody else took out: whether Apache knows, only a reload makes sure.
    let vanished = is_all && since.is_some();
    let is_due = !run.replaced().is_empty() || *pending || vanished;
    let is_wanted = match run.load {
        Reload::Never => false,
        Reload::ForCertificates => asked.has_newer_certificate(server),
        Reload::Always(_) => true,
    };
    if !is_due && !is_wanted {
        return Ok(());
    }
    let may_be_loaded = asked.may_be_loaded(server);
    // A certificate that Apache would not outlive is left to whoever mends it.
    if !is_due && *run.load == Reload::ForCertificates && may_be_loaded.is_err() {
        return Ok(());
    }
    let unloaded = asked.unloaded(server, files).into_iter();
    run.notes.extend(unloaded.filter(|note| !run.notes.contains(note)).collect::<Vec<_>>());
    run.signalled = false;
    let signalled = &mut run.signalled;
    let told = may_be_loaded.and_then(|()| {
        apply::reload(server, run.settings.proof_time, || {
            asked.watched.still()?;
            *signalled = true;
            Ok(())
        })
    });
    let Err(error) = told else { return Ok(()) };
    // Saved since Apache accepted it, and perhaps half of it.
    if !run.signalled && is_race(&error) && run.waits_for_quiet() {
        ask(run)?;
        return reload(run);
    }
    if server.is_alive().unwrap_or(true) {
        return Err(match error {
            Error::Apache(server::Error::NotDeaf { .. }) => Error::Lingers(Box::new(error)),
            _ => run.owed(error),
        });
    }
    // The files are as they should be, whoever starts it.
    run.signalled = false;
    match error {
        Error::Apache(server::Error::Died { .. }) => {
            run.settle_journal()?;
            let is_all = run.obstacle.is_none() && run.damage().is_empty();
            Err(if is_all { Error::Ended(Box::new(error)) } else { run.owed(error) })
        }
        // Somebody stopped it before it was told.
        _ => Ok(()),
    }
}

impl ReturnRun<'_> {
    /// Leaves whoever saves files a moment; whether it is worth while to look again.
    fn waits_for_quiet(&self) -> bool {
        clock::pause(MOMENT, &self.patience).is_ok()
    }

    /// That Apache could not be told, with what is in the files all the same.
    fn owed(&mut self, error: Error) -> Error {
        let damage = self.damage();
        match self.obstacle.take() {
            Some(obstacle) => Error::Kept(Box::new(obstacle)),
            None if damage.is_empty() => Error::Owed(Box::new(error)),
            None => Error::OwedBeside { cause: Box::new(error), damage },
        }
    }

    /// Apache is not there: a stopped one answers nobody, and will read the files as they are.
    fn without_apache(&mut self) -> Result<(), Error> {
        // Then the files, which only Apache could name, are unknown.
        let unknown = self.journal.pending && self.journal.files.is_empty();
        match self.absence.take() {
            Some(error) if matches!(self.load, Reload::Always(_)) && error.is_absence() => {
                self.settle_journal()?;
                Err(error.into())
            }
            Some(error) if unknown || !error.is_absence() => self.unasked(error.into()),
            _ => Ok(()),
        }
    }

    /// Apache says nothing: a failure if there is anything to tell it.
    fn unasked(&mut self, error: Error) -> Result<(), Error> {
        if self.journal != Journal::default() || !self.replaced().is_empty() {
            return Err(self.owed(error));
        }
        match error {
            Error::Apache(server::Error::Configtest { complaint, .. })
                if !matches!(self.load, Reload::Always(_)) =>
            {
                self.notes.push(Note::unasked(&complaint));
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// Somebody saved a file meanwhile.
fn is_race(error: &Error) -> bool {
    matches!(error, Error::File(files::Error::Raced(_)))
}

/// Between two questions while somebody saves files.
const MOMENT: Duration = Duration::from_millis(100);

/// For files with lines of ours that only Apache's answer shows.
const QUESTIONS: usize = 3;
