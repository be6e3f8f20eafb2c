//! pure: how another host is reached: OpenSSH's client with our own configuration, and nothing of the caller's habits.

use std::path::Path;

use super::Program;
use crate::names::Destination;

/// ssh to `destination`, where the forced command of our key says what runs.
pub fn client(config: &Path, destination: &Destination) -> Program {
    let mut arguments = vec!["-F".into(), config.into(), "-T".into()];
    for option in OPTIONS {
        arguments.extend(["-o".into(), option.into()]);
    }
    arguments.extend(["--".into(), destination.as_str().into()]);
    Program::plain(CLIENT.into(), arguments)
}

/// The program.
pub const CLIENT: &str = "/usr/bin/ssh";

/// Over whatever the configuration file says: ssh takes the first value it gets (ssh_config(5)).
const OPTIONS: [&str; 11] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "StrictHostKeyChecking=yes",
    "PasswordAuthentication=no",
    "PermitLocalCommand=no",
];
