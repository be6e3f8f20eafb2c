//! system: the command lines of `certbaton render` and `certbaton thumbprint`, and their files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, Error, context, print, print_done};
use crate::base::exit::Exit;
use crate::base::files::{self, NewFile};
use crate::base::names::{Hostname, Thumbprint};
use crate::certbot::account;
use crate::certbot::accounts;
use crate::certbot::lineages::lineages;
use crate::check;
use crate::check::matrix::Matrix;
use crate::config::Settings;
use crate::config::context::Context;
use crate::render::description::Description;
use crate::render::layout::Layout;
use crate::render::layout_in_place::{self, Arrangement, Proof};
use crate::render::strings::Credential;
use crate::render::{MARK, Rendered, gateway};

/// Prints the files unless `--to` is given. Only `--check` needs root and a network.
#[derive(Debug, Args)]
pub(super) struct Render {
    /// The description: names, backends, addresses (doc/render.md).
    #[arg(value_name = "DESCRIPTION", required_unless_present = "check")]
    description: Option<PathBuf>,
    /// Render nothing, but prove the layout that is in place, by asking all hosts as the CA would; for
    /// the names of the description, else for all that certbot renews. Needs root.
    #[arg(long, conflicts_with_all = ["to", "thumbprint", "account"])]
    check: bool,
    /// Write the files below this directory, as vps/etc/… and home/etc/….
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
    /// Layout of the challenge path at home [default: switch].
    #[arg(long, value_enum)]
    layout: Option<Choice>,
    /// Thumbprint of the VPS's account, for stateless; `certbaton thumbprint` prints it there.
    // It may begin with a hyphen.
    #[arg(long, value_name = "THUMBPRINT", conflicts_with = "account", allow_hyphen_values = true)]
    thumbprint: Option<Thumbprint>,
    /// Key of the VPS's account (accounts/…/private_key.json), instead of its thumbprint.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Choice {
    /// The VPS; home's renewals switch it.
    Switch,
    /// Home's own file if there is one, else the VPS.
    Fallthrough,
    /// Home's own file if there is one, else what the VPS's account would answer.
    Stateless,
}

impl Render {
    pub(super) fn perform(&self, common: &Common) -> Result<Exit, Error> {
        let description = self.description.as_deref().map(read).transpose()?;
        match description {
            Some(description) if !self.check => self.render(&description).map(|()| Exit::Done),
            description => self.prove(&context(common)?, description.as_ref()),
        }
    }

    /// One line for each name.
    fn prove(&self, context: &Context, description: Option<&Description>) -> Result<Exit, Error> {
        let names: Vec<Hostname> =
            description.iter().flat_map(|d| &d.sites).flat_map(|site| site.names.clone()).collect();
        let gathered = check::ask(context, &names, &|_| ());
        let wanted = self.layout.map(Choice::kind);
        let matrix = Matrix::of(&gathered);
        let rows = matrix.rows.iter();
        let proofs: Vec<Proof> =
            rows.map(|row| layout_in_place::prove(&matrix, row, wanted)).collect();
        for proof in &proofs {
            print(&format!("{proof}\n"))?;
        }
        if proofs.is_empty() {
            return Err(Error::NoNamesToProve);
        }
        Ok(if proofs.iter().all(Proof::holds) { Exit::Done } else { Exit::Failed })
    }

    fn render(&self, description: &Description) -> Result<(), Error> {
        let layout = self.layout()?;
        let key_file = description.tunnel.as_ref().and_then(|t| t.update_key_file.as_ref());
        let key = match (key_file, &self.to) {
            // Nothing secret on a screen.
            (None, _) | (_, None) => None,
            (Some(file), Some(_)) => Some(update_key(Path::new(file.as_str()))?),
        };
        let files = gateway(description, &layout, key.as_ref());
        let Some(directory) = &self.to else {
            for file in &files {
                print(&format!("==> {} <==\n{}\n", file.path.display(), file.text))?;
            }
            return Ok(());
        };
        let leaves: Vec<NewFile<'_>> = files.iter().map(leaf).collect();
        files::write_tree(directory, &leaves, |bytes| bytes.starts_with(MARK.as_bytes()))?;
        for file in &files {
            print_done(&format!("{}\n", directory.join(&file.path).display()))?;
        }
        if description.tunnel.is_some() && key.is_none() {
            note(
                "home/etc/inadyn.conf has no update key yet: put it there, or name its file as tunnel.update-key-file",
            );
        }
        Ok(())
    }

    fn layout(&self) -> Result<Layout, Error> {
        let told = match (&self.thumbprint, &self.account) {
            (Some(thumbprint), _) => Some(thumbprint.clone()),
            (None, Some(file)) => Some(of_key(file)?),
            (None, None) => None,
        };
        match (self.layout.unwrap_or(Choice::Switch), told) {
            (Choice::Stateless, Some(thumbprint)) => Ok(Layout::Stateless(thumbprint)),
            (Choice::Stateless, None) => Err(Error::NoThumbprint),
            (_, Some(_)) => Err(Error::NeedlessThumbprint),
            (Choice::Switch, None) => Ok(Layout::Switch),
            (Choice::Fallthrough, None) => Ok(Layout::Fallthrough),
        }
    }
}

impl Choice {
    fn kind(self) -> Arrangement {
        match self {
            Self::Switch => Arrangement::Switch,
            Self::Fallthrough => Arrangement::Fallthrough,
            Self::Stateless => Arrangement::Stateless,
        }
    }
}

fn leaf(file: &Rendered) -> NewFile<'_> {
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    NewFile { path: &file.path, bytes: file.text.as_bytes(), mode }
}

fn read(path: &Path) -> Result<Description, Error> {
    Ok(Description::read(&path.display().to_string(), files::read_foreign(path)?)?)
}

fn update_key(path: &Path) -> Result<Credential, Error> {
    let bytes = files::read_secret(path)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::NotText(path.to_owned()))?;
    let unusable = |_| Error::UpdateKey(path.to_owned());
    Credential::try_from(text.trim().to_owned()).map_err(unusable)
}

fn of_key(path: &Path) -> Result<Thumbprint, Error> {
    let found = account::thumbprint(&files::read_foreign(path)?);
    found.map_err(|source| Error::Account { path: path.to_owned(), source })
}

fn note(text: &str) {
    // Nobody to tell if standard error is gone.
    writeln!(io::stderr().lock(), "certbaton: note: {text}").ok();
}

/// Prints the thumbprint of the account that this host's certificates are renewed with.
#[derive(Debug, Args)]
pub(super) struct ThumbprintCall {
    /// A lineage of certbot, if its lineages use several accounts.
    #[arg(value_name = "LINEAGE")]
    lineage: Option<String>,
}

impl ThumbprintCall {
    pub(super) fn perform(&self, settings: &Settings) -> Result<(), Error> {
        let directory = &settings.certbot_directory;
        let mut found: Vec<(Thumbprint, String)> = Vec::new();
        for lineage in lineages(directory)?.usable {
            if self.lineage.as_ref().is_some_and(|wanted| *wanted != lineage.name) {
                continue;
            }
            let Some(thumbprint) = accounts::of_lineage(directory, &lineage) else { continue };
            if found.iter().all(|(known, _)| *known != thumbprint) {
                found.push((thumbprint, lineage.name));
            }
        }
        match &found[..] {
            [] => Err(Error::NoAccount),
            [(thumbprint, _)] => {
                print(&format!("{thumbprint}\n"))?;
                Ok(())
            }
            several => {
                let lines: Vec<String> = several
                    .iter()
                    .map(|(thumbprint, name)| format!("{name}: {thumbprint}"))
                    .collect();
                Err(Error::SeveralAccounts(lines.join(", ")))
            }
        }
    }
}
