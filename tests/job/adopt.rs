//! flow: an old set-up, whose hooks really ran, is adopted: the files are as their owner wrote them, and Apache serves them.
//!
//! Where Apache or root is missing this says so on stderr and skips.

mod place;
mod restored;
mod told;
