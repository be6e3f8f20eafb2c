//! flow: hands a coordinator's order on to the agent of this host, and its answers back.
//!
//! For `certbaton serve --renew`, which runs as an unprivileged user. One fixed
//! command may become root (sudoers); the order is data on its standard input.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::caller::Caller;
use crate::base::cause::chain;
use crate::base::command::Program;
use crate::base::command::piped::{Next, Piped};
use crate::base::exit::Exit;
use crate::base::process;
use crate::fleet::link::Error;
use crate::fleet::protocol::{self, AgentAnswer, MAX_ANSWER};

/// Runs the agent with `order`, one line, and copies its answers until it ends.
///
/// The caller says nothing more: that it can be heard means that it has hung up.
pub fn relay(order: &[u8], caller: &Caller) -> Result<(), Error> {
    // Where it was installed; the rule of sudoers names the same.
    let certbaton = process::executable(process::own()?.pid)?;
    let sudo = Program {
        path: PathBuf::from(SUDO),
        arguments: vec!["-n".into(), certbaton.into(), "agent".into()],
        environment: vec![("LANG".into(), "C.UTF-8".into())],
        directory: "/".into(),
    };
    match sudo.talk(MAX_ANSWER) {
        Ok(mut agent) => pass_on(&mut agent, order, caller),
        Err(error) => refuse(&not_started(&chain(&error)), caller),
    }
}

fn not_started(why: &str) -> AgentAnswer {
    AgentAnswer::Failed { exit: Exit::Failed.code(), why: format!("{NOT_STARTED}: {why}") }
}

/// Says `answer` instead of asking the agent.
pub fn refuse(answer: &AgentAnswer, caller: &Caller) -> Result<(), Error> {
    caller.say(&protocol::line(answer)?).map_err(Error::Pipe)
}

fn pass_on(agent: &mut Piped, order: &[u8], caller: &Caller) -> Result<(), Error> {
    let mut line = order.to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    // A sudo that refuses has closed it already, and says why below.
    agent.say(&line).ok();
    let (mut answered, mut complaint) = (false, Vec::new());
    let (mut sources, mut is_heard) = (caller.ends(), true);
    loop {
        match agent.next(&sources, PATIENCE).map_err(Error::Pipe)? {
            Next::Out(mut line) => {
                answered = true;
                line.push(b'\n');
                // Whoever hung up, or takes nothing, calls it off.
                if is_heard && caller.say(&line).is_err() {
                    is_heard = false;
                    hang_up(agent, &mut sources);
                }
            }
            Next::Err(line) if complaint.len() < protocol::MAX_TEXT => complaint = line,
            // The agent says something every few seconds, or is told to end and does.
            Next::Silence => return Ok(()),
            Next::Err(_) => {}
            Next::Woken(_) => hang_up(agent, &mut sources),
            Next::Ended if answered => return Ok(()),
            Next::Ended => {
                let failed = not_started(&protocol::shown(&complaint));
                return caller.say(&protocol::line(&failed)?).map_err(Error::Pipe);
            }
        }
    }
}

/// The agent sees its input close, calls certbot off and ends when the routes are back.
fn hang_up(agent: &mut Piped, caller: &mut Vec<BorrowedFd<'_>>) {
    agent.hang_up();
    caller.clear();
}

/// What a caller hears first where it got through and nobody looks or renews for it.
pub const NOT_STARTED: &str = "the agent did not start";

/// What makes an order root's.
pub const SUDO: &str = "/usr/bin/sudo";

/// Longer than an agent needs to call certbot off.
const PATIENCE: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;

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
        let (said, output) = io::pipe().unwrap();
        let [input, output] = [OwnedFd::from(input), OwnedFd::from(output)].map(File::from);
        pass_on(&mut agent(script), b"order", &Caller::of(input, output)).unwrap();
        let lines = BufReader::new(said).lines().map(|line| line.unwrap() + "\n");
        lines.collect()
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
