//! pure: why a program did not do what it was asked to, and the exit code that tells it.

use std::io;
use std::path::PathBuf;

use crate::agent::carry;
use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::inherited;
use crate::certbot::scope;
use crate::certbot::unusable;
use crate::config;
use crate::history::record::RunId;
use crate::lease::wire;
use crate::renewal;
use crate::switch::report;

/// Why a program did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not root.
    #[error("only root may do this")]
    NotRoot,
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The configuration file is not there, or no file.
    #[error("{}: correct --config, or leave it out, and {} is read if it is there", chain(.0), config::DEFAULT_PATH)]
    NoConfig(files::Error),
    /// A file that is not text.
    #[error("{} is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// certbot's files.
    #[error(transparent)]
    Certbot(#[from] unusable::Error),
    /// The names.
    #[error(transparent)]
    Scope(#[from] scope::Error),
    /// No name.
    #[error(
        "certbot renews nothing by webroot here; name what to switch: certbaton switch local NAME --webroot DIRECTORY"
    )]
    NoNames,
    /// A name that nobody here has.
    #[error(
        "certbot renews no {name} here{near}; the names that there are: {names}; another one needs --webroot DIRECTORY"
    )]
    NoSuchName {
        /// What was typed.
        name: String,
        /// What may have been meant.
        near: String,
        /// All.
        names: String,
    },
    /// Nothing tells the webroot of a name.
    #[error(
        "no lineage of certbot's has {0}, so its webroot is not known; name it: certbaton switch local {0} --webroot /its/webroot"
    )]
    NoWebroot(String),
    /// Another web server than Apache.
    #[error(
        "nothing can be switched here: the configuration says that the web server is {0} ([web-server]); the other host passes the challenge path on to it"
    )]
    Unswitchable(String),
    /// The switch.
    #[error(transparent)]
    Switch(#[from] report::Error),
    /// A renewal.
    #[error(transparent)]
    Renewal(#[from] renewal::Error),
    /// Somebody renews.
    #[error(
        "a renewal is under way on this host, and its routes are not touched; wait for its end, or stop its certbot"
    )]
    UnderWay,
    /// What a person asks the arbiter.
    #[error(transparent)]
    Question(#[from] wire::Error),
    /// It refuses.
    #[error("the arbiter refuses: {0}")]
    RefusedByArbiter(String),
    /// It says something else.
    #[error("the arbiter answered something else than was asked: {0}")]
    StrangeArbiter(String),
    /// Its status.
    #[error("the status cannot be printed")]
    LeaseJson(#[source] serde_json::Error),
    /// A limit of the caller's.
    #[error(transparent)]
    Limited(#[from] inherited::Limited),
    /// The agent, or who answers another host.
    #[error(transparent)]
    Agent(#[from] carry::Error),
    /// The coordinator.
    #[error(transparent)]
    Coordinate(#[from] crate::coordinate::Error),
    /// The report.
    #[error("cannot write the report as JSON")]
    Json(#[source] serde_json::Error),
    /// A run that is not remembered.
    #[error("unknown run {0}; certbaton status --history lists the runs of this host")]
    NoRun(RunId),
    /// Standard output is full, or nobody reads it any more.
    #[error("{}standard output cannot be written", if *exit == Exit::NotUndone { "what was asked for is done, but " } else { "" })]
    Output {
        /// How the program ends by it.
        exit: Exit,
        /// Why.
        source: io::Error,
    },
    /// A set-up.
    #[error(transparent)]
    Setup(#[from] crate::setup::error::Error),
    /// No thumbprint.
    #[error(
        "--layout stateless needs the VPS's account: --thumbprint \"$(ssh VPS certbaton thumbprint)\", or --account FILE"
    )]
    NoThumbprint,
    /// A thumbprint for nothing.
    #[error("only --layout stateless answers by an account's thumbprint")]
    NeedlessThumbprint,
    /// Nothing to prove.
    #[error("certbot renews nothing by webroot on any host; name a description")]
    NoNamesToProve,
    /// An account's key that cannot be used.
    #[error("{}", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// Why.
        source: unusable::Error,
    },
    /// The tunnel's key.
    #[error("{} does not hold an update key: one word without quotes, backslashes and $", .0.display())]
    UpdateKey(PathBuf),
    /// No account.
    #[error(
        "certbot has no account here that renews a certificate; get the first one, then ask again"
    )]
    NoAccount,
    /// Several accounts.
    #[error("certbot renews with several accounts; name a lineage ({0})")]
    SeveralAccounts(String),
    /// The configuration, where routes went back without it.
    #[error("{}; what no live renewal owns is with the peer all the same", chain(.0.as_ref()))]
    AllTheSame(Box<Error>),
    /// The configuration, and what failed without it.
    #[error("{}; and besides, {}", chain(failed.as_ref()), chain(refused.as_ref()))]
    Besides {
        /// What failed.
        failed: Box<renewal::Error>,
        /// What is wrong with the configuration.
        refused: Box<Error>,
    },
    /// Where the program itself is.
    #[error("cannot find the certbaton program beside this one")]
    Program(#[source] io::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::NotRoot => Exit::Unsafe,
            Self::UnderWay => Exit::Busy,
            Self::NoConfig(_) | Self::NotText(_) => Exit::Config,
            Self::NoThumbprint | Self::NeedlessThumbprint | Self::SeveralAccounts(_) => Exit::Usage,
            Self::Config(error) => error.exit(),
            Self::Besides { failed, .. } if failed.exit() == Exit::NotUndone => failed.exit(),
            Self::AllTheSame(refused) | Self::Besides { refused, .. } => refused.exit(),
            Self::File(error) => error.exit(),
            Self::Certbot(error) => error.exit(),
            Self::Scope(error) => error.exit(),
            Self::Switch(error) => error.exit(),
            Self::Renewal(error) => error.exit(),
            Self::Question(error) => error.exit(),
            Self::Limited(error) => error.exit(),
            Self::Agent(error) => error.exit(),
            Self::Coordinate(error) => error.exit(),
            Self::Output { exit, .. } => *exit,
            Self::Setup(error) => error.exit(),
            Self::NoNames
            | Self::NoSuchName { .. }
            | Self::NoWebroot(_)
            | Self::Unswitchable(_)
            | Self::RefusedByArbiter(_)
            | Self::StrangeArbiter(_)
            | Self::LeaseJson(_)
            | Self::Json(_)
            | Self::NoRun(_)
            | Self::NoNamesToProve
            | Self::Account { .. }
            | Self::UpdateKey(_)
            | Self::NoAccount
            | Self::Program(_) => Exit::Failed,
        }
    }
}

impl Error {
    /// Whoever read the output had enough (`| head`): its own choice, of which nobody needs to be told.
    pub(super) fn is_hung_up(&self) -> bool {
        matches!(self, Self::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}
