//! flow: real arbiters (`certbaton serve`), each behind two pipes, on directories of their own.
//!
//! `CERTBATON_FULL=1` takes 1,000 rounds of kills, else 150; `CERTBATON_SEED`
//! repeats one sequence of them.

#![expect(clippy::disallowed_methods, reason = "tests own their processes, files and clock")]
#![expect(clippy::unwrap_used, reason = "a test may be blunt")]

mod caller;
mod faults;
mod rounds;
mod turns;
