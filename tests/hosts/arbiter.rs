//! flow: real arbiters (`certbaton serve`), each behind two pipes, on directories of their own.
//!
//! `CERTBATON_FULL=1` takes 1,000 rounds of kills, else 150; `CERTBATON_SEED`
//! repeats one sequence of them.

mod caller;
mod faults;
mod rounds;
mod turns;
