//! flow: hands a coordinator's order on to the agent of this host, and its answers back.
//!
//! For `certbaton serve --renew`, which runs as an unprivileged user. One fixed
//! command may become root (sudoers); the order is data on its standard input.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::wire::{self, Answer, MAX_ANSWER};
use crate::command::piped::{Next, Piped};
use crate::command::{self, Program};
use crate::exit::{CarriesExit, Exit};
use crate::process;

/// Why an order was not handed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// sudo did not start.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// Our own program.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A pipe.
    #[error("the way to the agent broke")]
    Pipe(#[source] io::Error),
    /// A word.
    #[error(transparent)]
    Wire(#[from] wire::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Command(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::Wire(error) => error.exit(),
            Self::Pipe(_) => Exit::Failed,
        }
    }
}

/// Runs the agent with `order`, one line; copies its answers to `output` until it ends.
///
/// `input` says nothing more: that it can be read means that the caller has hung up.
pub fn relay(order: &[u8], input: BorrowedFd<'_>, output: &mut impl Write) -> Result<(), Error> {
    // Where it was installed; the rule of sudoers names the same.
    let certbaton = process::executable(process::own()?.pid)?;
    let sudo = Program {
        path: PathBuf::from("/usr/bin/sudo"),
        arguments: vec!["-n".into(), certbaton.into(), "agent".into()],
        environment: vec![("LANG".into(), "C.UTF-8".into())],
        directory: "/".into(),
    };
    pass_on(&mut sudo.talk(MAX_ANSWER)?, order, input, output)
}

fn pass_on(
    agent: &mut Piped,
    order: &[u8],
    input: BorrowedFd<'_>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let mut line = order.to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    // A sudo that refuses has closed it already, and says why below.
    agent.say(&line).ok();
    let mut caller = Some(input);
    let (mut answered, mut complaint) = (false, Vec::new());
    loop {
        let sources: Vec<_> = caller.iter().copied().collect();
        match agent.next(&sources, PATIENCE).map_err(Error::Pipe)? {
            Next::Out(mut line) => {
                answered = true;
                line.push(b'\n');
                let sent = output.write_all(&line).and_then(|()| output.flush());
                if sent.is_err() {
                    hang_up(agent, &mut caller);
                }
            }
            Next::Err(line) if complaint.len() < wire::MAX_TEXT => complaint = line,
            // The agent says something every few seconds, or is told to end and does.
            Next::Silence => return Ok(()),
            Next::Err(_) => {}
            Next::Woken(_) => hang_up(agent, &mut caller),
            Next::Ended if answered => return Ok(()),
            Next::Ended => {
                let why = format!("the agent did not start: {}", wire::shown(&complaint));
                let failed = Answer::Failed { exit: Exit::Failed.code(), why };
                return output.write_all(&wire::line(&failed)?).map_err(Error::Pipe);
            }
        }
    }
}

/// The agent sees its input close, calls certbot off and ends when the routes are back.
fn hang_up(agent: &mut Piped, caller: &mut Option<BorrowedFd<'_>>) {
    agent.hang_up();
    *caller = None;
}

/// Longer than an agent needs to call certbot off.
const PATIENCE: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn agent(script: &str) -> Piped {
        let program = Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            directory: "/".into(),
        };
        program.talk(MAX_ANSWER).unwrap()
    }

    fn passed_on(script: &str, hung_up: bool) -> String {
        let (input, kept) = io::pipe().unwrap();
        let _kept = (!hung_up).then_some(kept);
        let mut output = Vec::new();
        pass_on(&mut agent(script), b"order", input.as_fd(), &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn the_order_goes_in_and_the_answers_come_out() {
        assert_eq!(passed_on("read order; echo \"$order 1\"; echo 2", false), "order 1\n2\n");
    }

    #[test]
    fn the_callers_hanging_up_reaches_the_agent() {
        let told = passed_on("read order; read more || echo called off", true);
        assert_eq!(told, "called off\n");
    }

    #[test]
    fn an_agent_that_does_not_start_is_told_of() {
        let told = passed_on("echo 'a password is required' >&2; exit 1", false);
        assert!(told.contains("failed") && told.contains("a password is required"), "{told}");
    }
}
