//! Setting a host up and taking it back: `init`, `install`, `uninstall`.

pub mod adopt;
pub mod change;
