//! system: events for the journal with their fields (JOURNAL_NATIVE_PROTOCOL of systemd.io).
//!
//! Our own, since the socket of tracing-journald is in nobody's reach and waits for ever.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::base::syslog::outlet::Outlet;

/// Sends events to the journal under the name of a program.
#[derive(Debug)]
pub(super) struct JournalWriter {
    outlet: Outlet,
    program: &'static str,
}

impl JournalWriter {
    /// None where nothing listens at `socket`.
    pub(super) fn at(socket: &Path, program: &'static str) -> io::Result<Option<Self>> {
        let outlet = Outlet::new(socket)?;
        Ok(outlet.has_reader().then_some(Self { outlet, program }))
    }

    fn entry(&self, meta: &Metadata<'_>) -> Entry {
        let mut entry = Entry::default();
        entry.put("PRIORITY", priority(*meta.level()));
        entry.put("SYSLOG_IDENTIFIER", self.program);
        entry.put("TARGET", meta.target());
        if let (Some(file), Some(line)) = (meta.file(), meta.line()) {
            entry.put("CODE_FILE", file);
            entry.put("CODE_LINE", &line.to_string());
        }
        entry
    }

    /// What the next event is told of those before it.
    fn loss(&self, lost: u64) -> Vec<u8> {
        let mut entry = Entry::default();
        entry.put("PRIORITY", priority(Level::WARN));
        entry.put("SYSLOG_IDENTIFIER", self.program);
        entry.put("MESSAGE", &super::loss(lost));
        entry.0
    }
}

impl<S: Subscriber> Layer<S> for JournalWriter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = self.entry(event.metadata());
        event.record(&mut entry);
        self.outlet.send(&entry.0, |lost| self.loss(lost));
    }
}

/// As syslog(3) numbers them; what merely happened is a notice, which is more than debugging's.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        _ => "7",
    }
}

/// One datagram of the protocol.
#[derive(Default)]
struct Entry(Vec<u8>);

impl Entry {
    /// Adds a field; with its length, so that its value may have lines.
    fn put(&mut self, name: &str, value: &str) {
        let value = super::bounded(value);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("MESSAGE", value),
            name => {
                // The rest of the alphabet is not allowed.
                let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                self.put(&format!("{PREFIX}{}", name.to_ascii_uppercase()), value);
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Nothing fails that writes to a string, but what is written.
        write!(text, "{value:?}").ok();
        self.record_str(field, &text);
    }
}

/// Of the journal's fields that are ours.
const PREFIX: &str = "CERTBATON_";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use tracing_subscriber::layer::SubscriberExt;

    /// The fields of a datagram.
    fn fields(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let (name, rest) = bytes.split_at(end);
            let (length, rest) = rest[1..].split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap());
            let (value, rest) = rest.split_at(usize::try_from(length).unwrap());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            found.push((text(name), text(value)));
            bytes = rest.strip_prefix(b"\n").unwrap();
        }
        found
    }

    #[test]
    fn an_event_is_an_entry_with_its_fields_and_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(JournalWriter::at(&path, "certbaton").unwrap().is_none());
        let daemon = UnixDatagram::bind(&path).unwrap();
        let journal = JournalWriter::at(&path, "certbaton").unwrap().unwrap();
        let long = "\u{e4}".repeat(100_000);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            tracing::warn!(host = "vps", token = 7, not_after = %"a\nb", "one\ntwo");
            tracing::error!("{long}");
        });
        let mut bytes = vec![0; 1 << 20];
        assert_eq!(daemon.recv(&mut bytes).unwrap(), 0, "whether a journal is there");
        let count = daemon.recv(&mut bytes).unwrap();
        let told = fields(&bytes[..count]);
        for (name, value) in [
            ("MESSAGE", "one\ntwo"),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "certbaton"),
            ("TARGET", module_path!()),
            ("CODE_FILE", file!()),
            ("CERTBATON_HOST", "vps"),
            ("CERTBATON_TOKEN", "7"),
            ("CERTBATON_NOT_AFTER", "a\nb"),
        ] {
            assert!(told.contains(&(name.into(), value.into())), "{name}: {told:?}");
        }
        let count = daemon.recv(&mut bytes).unwrap();
        assert!(count < 60_000, "{count}");
        let (_, message) = fields(&bytes[..count]).pop().unwrap();
        assert!(message.ends_with("\u{e4} [cut, of 200000 bytes]"), "{count}");
    }
}
