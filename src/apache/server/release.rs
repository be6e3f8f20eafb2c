//! system: which Apache it is, by its own word.

use super::{Inquirer, QUESTION_TIME};
use crate::base::clock::Deadline;

impl Inquirer {
    /// `2.4.62`; none if the program does not say.
    pub fn version(&self) -> Option<String> {
        let mut program = self.program.clone();
        program.arguments.push("-v".into());
        let output = program.run(&Deadline::after(QUESTION_TIME)).ok()?;
        version(&String::from_utf8_lossy(&output.stdout))
    }
}

fn version(said: &str) -> Option<String> {
    let after = said.split_once("Server version: Apache/")?.1;
    after.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_number_alone_is_kept() {
        let said = "Server version: Apache/2.4.62 (Debian)\nServer built:   2024-10-04T15:21:08\n";
        assert_eq!(super::version(said).as_deref(), Some("2.4.62"));
        assert_eq!(super::version("nginx version: nginx/1.22.1"), None);
    }
}
