//! pure: what a program was started with, read once by the command line and handed to every flow.

use std::path::PathBuf;

use crate::base::command::Program;
use crate::config::Settings;

/// What a flow needs that starts other processes of ours.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the configuration says.
    pub settings: Settings,
    /// The `certbaton` program: keeper, agent and arbiter are processes of it.
    pub program: PathBuf,
    /// `--config`, which they are told too.
    pub config: Option<PathBuf>,
}

impl Context {
    /// `certbaton` with these arguments, for a process that reads the same configuration.
    pub fn certbaton(&self, arguments: &[&str]) -> Program {
        let config = self.config.iter().flat_map(|file| ["--config".into(), file.into()]);
        let arguments = config.chain(arguments.iter().map(Into::into)).collect();
        Program::plain(self.program.clone(), arguments)
    }
}
