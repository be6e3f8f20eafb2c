//! system: the log that a running certbot writes, read from where it was when its run began.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::base::process;
use crate::certbot::failures::Failures;

/// The log of one certbot, which may be anywhere (`--logs-dir`): it has it open.
#[derive(Debug)]
pub struct Log {
    file: File,
    begin: u64,
}

impl Log {
    /// That of certbot, process `pid`, from now on; none where it has none.
    pub fn of(pid: i32) -> Option<Self> {
        let file = process::open_file(pid, NAME)?;
        let begin = file.metadata().ok()?.len();
        Some(Self { file, begin })
    }

    /// What failed since.
    pub fn failures(&self) -> Failures {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        // The end of what is too long: what failed is told last.
        let begin = self.begin.max(length.saturating_sub(LONGEST));
        let mut bytes = vec![0; usize::try_from(length.saturating_sub(begin)).unwrap_or_default()];
        match self.file.read_at(&mut bytes, begin) {
            Ok(count) => Failures::of_text(&String::from_utf8_lossy(&bytes[..count])),
            Err(_) => Failures::default(),
        }
    }
}

/// `log.py:setup_log_file_handler`.
const NAME: &str = "letsencrypt.log";

/// Much more than a run of many lineages writes about its failures.
const LONGEST: u64 = 4 << 20;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test writes what certbot would")]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_the_run_wrote_is_read_and_nothing_from_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let failed = |lineage: &str| format!("ERROR: {FAILED}{lineage} with error: no room\n");
        file.write_all(failed("old").as_bytes()).unwrap();
        let log = Log::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        file.write_all(failed("new").as_bytes()).unwrap();
        let all = log.failures().all();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("new".to_owned(), "no room".to_owned())]);
    }

    const FAILED: &str = "Failed to renew certificate ";
}
