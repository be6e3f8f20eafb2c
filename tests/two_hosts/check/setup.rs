//! pure: the words in which a set-up is written down.

/// A machine, or the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Home,
    Vps,
}

impl On {
    /// As certbaton's configuration calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Vps => "vps",
        }
    }
}

/// Something that is changed. Apache is restarted where a file of its own was.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// In a file, this text becomes that, everywhere.
    Edit(On, &'static str, &'static str, &'static str),
    /// In a file, this goes before the first line that contains that.
    Before(On, &'static str, &'static str, &'static str),
    /// A file with this text.
    Write(On, &'static str, &'static str),
    /// A shell's text.
    Run(On, &'static str),
    /// A name has these addresses and no others.
    Address(&'static str, &'static [&'static str]),
    /// The name server has these options of dnsmasq's besides.
    Dnsmasq(&'static str),
}

/// What is to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// The host where it is to be put right.
    pub(crate) on: Option<On>,
    pub(crate) code: &'static str,
    pub(crate) place: Place,
    /// A part of what is to be done.
    pub(crate) remedy: &'static str,
    /// A renewal fails, or a wrong certificate is served.
    pub(crate) is_problem: bool,
}

impl Expected {
    /// Renewals go well.
    pub(crate) const fn warns(mut self) -> Self {
        self.is_problem = false;
        self
    }
}

/// Where it is to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The first line of the file that contains this.
    Line(&'static str, &'static str),
    /// These words.
    Words(&'static str),
    /// None.
    Nowhere,
}

/// Whether a host could renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Renewal {
    /// It does not renew that lineage.
    Nothing,
    /// As everything stands.
    Passes,
    /// Once certbaton has switched the route.
    Switched,
    /// That cannot be told from where it is asked.
    Unknown,
    Fails,
}

/// What Pebble makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pebble {
    /// What Boulder would.
    Agrees,
    /// Something else, as it has another rule: what it makes of the vps and of home.
    Differs(&'static str, Renewal, Renewal),
    /// It is not asked.
    NotAsked(&'static str),
}

/// Two machines that are not as they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    /// Where `check` is run.
    pub(crate) from: On,
    /// The lineage that it is about.
    pub(crate) lineage: &'static str,
    pub(crate) changes: &'static [Change],
    pub(crate) findings: &'static [Expected],
    /// What `check` has to foretell.
    pub(crate) vps: Renewal,
    pub(crate) home: Renewal,
    pub(crate) pebble: Pebble,
    /// On these hosts, what becomes of the lineage becomes of all.
    pub(crate) alike: &'static [On],
    /// What a coordination says of home's lineage, which it leaves out; none: there is no coordination.
    pub(crate) left_out: Option<&'static str>,
}

impl Setup {
    /// Both can renew, there is nothing to be found, and Pebble says the same.
    pub(crate) const fn new(name: &'static str, lineage: &'static str) -> Self {
        Self {
            name,
            from: On::Home,
            lineage,
            changes: &[],
            findings: &[],
            vps: Renewal::Passes,
            home: Renewal::Switched,
            pebble: Pebble::Agrees,
            alike: &[],
            left_out: None,
        }
    }

    pub(crate) const fn with(mut self, changes: &'static [Change]) -> Self {
        self.changes = changes;
        self
    }

    pub(crate) const fn from(mut self, on: On) -> Self {
        self.from = on;
        self
    }

    pub(crate) const fn finds(mut self, findings: &'static [Expected]) -> Self {
        self.findings = findings;
        self
    }

    pub(crate) const fn home(mut self, renewal: Renewal) -> Self {
        self.home = renewal;
        self
    }

    /// All lineages on both hosts.
    pub(crate) const fn all(mut self) -> Self {
        self.alike = &[On::Home, On::Vps];
        self
    }

    /// All lineages at home.
    pub(crate) const fn all_at_home(mut self) -> Self {
        self.alike = &[On::Home];
        self
    }

    pub(crate) const fn vps_fails(mut self) -> Self {
        self.vps = Renewal::Fails;
        self
    }

    pub(crate) const fn home_fails(mut self) -> Self {
        self.home = Renewal::Fails;
        self
    }

    pub(crate) const fn nobody_renews(self) -> Self {
        self.vps_fails().home_fails()
    }

    /// A coordination does not ask the CA for it at home, in these words of a check.
    pub(crate) const fn left_out(mut self, words: &'static str) -> Self {
        self.left_out = Some(words);
        self
    }

    pub(crate) const fn pebble(mut self, pebble: Pebble) -> Self {
        self.pebble = pebble;
        self
    }
}

/// A finding at the first line of a file that contains `text`.
pub(crate) const fn line(
    on: On,
    code: &'static str,
    file: &'static str,
    text: &'static str,
    remedy: &'static str,
) -> Expected {
    Expected { on: Some(on), code, place: Place::Line(file, text), remedy, is_problem: true }
}

/// A finding with a place of these words.
pub(crate) const fn words(
    on: On,
    code: &'static str,
    place: &'static str,
    remedy: &'static str,
) -> Expected {
    Expected { on: Some(on), code, place: Place::Words(place), remedy, is_problem: true }
}

/// A finding that is no host's.
pub(crate) const fn public(
    code: &'static str,
    place: &'static str,
    remedy: &'static str,
) -> Expected {
    Expected { on: None, code, place: Place::Words(place), remedy, is_problem: true }
}

/// A finding without a place.
pub(crate) const fn host(on: On, code: &'static str, remedy: &'static str) -> Expected {
    Expected { on: Some(on), code, place: Place::Nowhere, remedy, is_problem: true }
}

pub(crate) const CLOUD: &str = "cloud.example.org";
pub(crate) const GIT: &str = "git.example.org";
pub(crate) const WIKI: &str = "wiki.example.org";

/// The vhosts' files, by which an administrator knows them and Apache reads them.
pub(crate) const CLOUD_CONF: &str = "/etc/apache2/sites-enabled/cloud.example.org.conf";
pub(crate) const GIT_CONF: &str = "/etc/apache2/sites-enabled/git.example.org.conf";
pub(crate) const WIKI_CONF: &str = "/etc/apache2/sites-enabled/wiki.example.org.conf";
