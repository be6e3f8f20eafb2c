//! pure: completions of all programs for bash, zsh and fish, by clap_complete.

use std::path::Path;

use certbaton::cli::commands;
use clap::Command;
use clap_complete::Shell;
use clap_complete::generate;

use super::Document;

/// Each in a folder of its shell, named as that shell looks for it.
pub(crate) fn completions() -> Vec<Document> {
    let mut documents = Vec::new();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        for command in commands() {
            let mut command = without_hidden(&command);
            let name = command.get_name().to_owned();
            let file = match shell {
                Shell::Zsh => format!("_{name}"),
                Shell::Fish => format!("{name}.fish"),
                _ => name.clone(),
            };
            let mut bytes = Vec::new();
            generate(shell, &mut command, name, &mut bytes);
            let path = Path::new("completions").join(shell.to_string()).join(file);
            documents.push(Document { path, bytes });
        }
    }
    documents
}

/// clap_complete offers also what is hidden: verbs that only our own programs call.
fn without_hidden(command: &Command) -> Command {
    // clap takes no other names than those of a program's whole life.
    let forever = |text: &str| -> &'static str { text.to_owned().leak() };
    let mut visible = Command::new(forever(command.get_name()))
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(without_hidden),
        );
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        visible = visible.version(forever(version));
    }
    visible
}
