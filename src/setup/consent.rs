//! flow: whether what was shown is done: a person is asked, has said so before, or only rehearses.

use std::io;

use crate::setup::error::Error;

/// Who is told, and asked.
pub trait Person {
    /// Says something; whole lines.
    fn tell(&mut self, text: &str);
    /// Asks a question that is answered by yes or no.
    fn agrees(&mut self, question: &str) -> io::Result<bool>;
}

/// Whether changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The person is asked.
    Ask,
    /// `--yes`.
    Given,
    /// `--dry-run`: none is made.
    Rehearsal,
    /// Nobody can be asked.
    Nobody,
}

impl Consent {
    /// Whether what was shown is done now; a rehearsal ends here.
    pub fn is_given(self, person: &mut dyn Person) -> Result<bool, Error> {
        match self {
            Self::Given => Ok(true),
            Self::Nobody => Err(Error::Nobody),
            Self::Ask if person.agrees("Do this?").map_err(Error::Answer)? => Ok(true),
            Self::Ask => Err(Error::Declined),
            Self::Rehearsal => {
                person.tell("rehearsed only: nothing was changed\n");
                Ok(false)
            }
        }
    }
}
