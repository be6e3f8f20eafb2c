//! system: the exclusive right to renew.
//!
//! Behind a trait, because who grants it differs: here a lock on this host,
//! which is enough as long as nobody elsewhere renews the same names.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::lock::{self, Lock};

/// Whoever grants the right to renew.
pub trait Lease: Debug {
    /// Asks for it without waiting; `None` while somebody else has it.
    fn attempt(&self) -> Result<Option<Box<dyn Grant>>, Error>;
}

/// The right, held until this is dropped.
pub trait Grant: Debug {}

/// Why the right cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The local lock.
    #[error(transparent)]
    Lock(#[from] lock::Error),
}

/// A lease for this host alone: a kernel lock, free as soon as its holder is gone.
#[derive(Debug)]
pub struct Local {
    path: PathBuf,
}

impl Local {
    /// The lease whose lock file is `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Lease for Local {
    fn attempt(&self) -> Result<Option<Box<dyn Grant>>, Error> {
        Ok(lock::attempt(&self.path)?.map(|lock| Box::new(lock) as Box<dyn Grant>))
    }
}

impl Grant for Lock {}
