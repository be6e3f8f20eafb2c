//! flow: manual pages: what clap knows of a program or verb, and what people wrote of it in `doc/man`.
//!
//! `doc/man/NAME.roff` follows what clap says of NAME; a verb without such a file gets `doc/man/verb.roff`. A line
//! `.so FILE` (roff's own include) is replaced here, since a page has to stand alone: by another file of `doc/man`, or,
//! for `configuration-keys`, by the table of doc/configuration.md.

use std::fs;
use std::io;
use std::path::Path;

use certbaton::cli::commands;
use clap::Command;
use clap_mangen::Man;

use super::Document;
use super::keys;

const SOURCE: &str = concat!("certbaton ", env!("CARGO_PKG_VERSION"));

/// All pages, of section 1 and 5.
pub(crate) fn pages(source: &Path) -> io::Result<Vec<Document>> {
    let mut pages = Vec::new();
    for command in commands() {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        program(source, &command, &mut pages)?;
    }
    let title = format!(".TH certbaton.toml 5 \"\" \"{SOURCE}\" \"\"\n");
    let text = title + &written(source, "certbaton.toml.roff")?;
    pages.push(Document { path: "man/certbaton.toml.5".into(), bytes: text.into_bytes() });
    Ok(pages)
}

fn program(source: &Path, command: &Command, pages: &mut Vec<Document>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut bytes = Vec::new();
    let man = Man::new(command.clone()).source(SOURCE);
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut bytes)?;
    }
    let own = format!("{name}.roff");
    let is_there = source.join("doc/man").join(&own).exists();
    bytes.extend(written(source, if is_there { &own } else { "verb.roff" })?.into_bytes());
    pages.push(Document { path: format!("man/{name}.1").into(), bytes });
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        program(source, verb, pages)?;
    }
    Ok(())
}

/// A file of `doc/man`, with what it includes.
fn written(source: &Path, file: &str) -> io::Result<String> {
    let path = source.join("doc/man").join(file);
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let mut whole = String::new();
    for line in text.lines() {
        match line.strip_prefix(".so ") {
            Some("configuration-keys") => {
                let page = fs::read_to_string(source.join("doc/configuration.md"))?;
                whole += &keys::roff(&keys::keys(&page));
            }
            Some(other) => whole += &written(source, other)?,
            None => whole.extend([line, "\n"]),
        }
    }
    Ok(whole)
}
