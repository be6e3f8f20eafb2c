//! pure: what starts renewals on a host: timers and cron, twice or not at all.

use std::path::Path;

use crate::base::codes::Code;
use crate::base::finding::Finding;
use crate::certbot::old_hook;
use crate::certbot::version::Version;

/// What starts renewals, as far as files and systemd tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// systemd is the init system here.
    pub has_systemd: bool,
    /// What systemd says of the units that were asked for.
    pub units: Vec<Unit>,
    /// The lines of cron that run certbot.
    pub cron: Vec<CronLine>,
    /// The certbots that are installed, by their real paths.
    pub certbots: Vec<String>,
    /// certbaton's own pre-hook is there.
    pub is_hooked: bool,
}

/// A line of a crontab, or a script of cron's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronLine {
    /// `FILE:LINE`.
    pub place: String,
    /// What stands there.
    pub text: String,
}

/// Whether a unit is there (`LoadState`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Load {
    /// It is not, or cannot be read.
    #[default]
    Missing,
    /// It is.
    Loaded,
    /// It cannot be started at all (`systemctl mask`).
    Masked,
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub id: String,
    /// Whether it is there.
    pub load: Load,
    /// It runs; a timer waits.
    pub is_active: bool,
    /// It is started at boot.
    pub is_enabled: bool,
    /// What is added to it.
    pub drop_ins: String,
}

/// The units to ask for.
pub const UNITS: [&str; 8] = [
    "certbot.timer",
    "snap.certbot.renew.timer",
    "certbaton-renew.timer",
    "certbaton-recover.timer",
    "certbaton-recover.service",
    "certbot.service",
    "snap.certbot.renew.service",
    "certbaton-renew.service",
];

/// The timers that renew.
const RENEWING: [&str; 3] = ["certbot.timer", "snap.certbot.renew.timer", "certbaton-renew.timer"];

/// What `systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,DropInPaths` prints.
pub fn units(printed: &str) -> Vec<Unit> {
    let blocks = printed.split("\n\n").filter(|block| !block.trim().is_empty());
    let unit = |block: &str| {
        let (mut unit, mut elapsed) = (Unit::default(), false);
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "Id" => value.clone_into(&mut unit.id),
                "LoadState" if value == "loaded" => unit.load = Load::Loaded,
                "LoadState" if value == "masked" => unit.load = Load::Masked,
                "ActiveState" => unit.is_active = value == "active",
                "SubState" if value == "elapsed" => elapsed = true,
                "UnitFileState" => unit.is_enabled = value.starts_with("enabled"),
                "DropInPaths" => value.clone_into(&mut unit.drop_ins),
                _ => {}
            }
        }
        unit.is_active &= !elapsed;
        unit
    };
    blocks.map(unit).collect()
}

/// The lines of a crontab that run certbot.
pub fn cron_lines<'a>(file: &'a Path, text: &'a str) -> impl Iterator<Item = CronLine> + 'a {
    text.lines().enumerate().filter_map(move |(at, line)| {
        let line = line.trim();
        let runs = line.contains("certbot") && !line.starts_with('#') && !is_assignment(line);
        let renews = ["renew", "certonly"].iter().any(|verb| line.contains(verb));
        let place = format!("{}:{}", file.display(), at + 1);
        (runs && renews).then(|| CronLine { place, text: line.to_owned() })
    })
}

/// The lines of a crontab, script or unit that comment ProxyPass lines out or in.
pub fn toggles<'a>(file: &'a Path, text: &'a str) -> impl Iterator<Item = CronLine> + 'a {
    let lines = old_hook::lines(text).filter(|(_, line)| old_hook::toggles_from_a_timer(line));
    lines.map(|(at, line)| CronLine {
        place: format!("{}:{at}", file.display()),
        text: line.to_owned(),
    })
}

fn is_assignment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

impl Schedule {
    fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.id == id && unit.load == Load::Loaded)
    }

    /// Timers that will start something: one that has elapsed for good, or whose service is masked, will not.
    fn active(&self) -> Vec<&'static str> {
        let service = |timer: &str| format!("{}.service", timer.trim_end_matches(".timer"));
        let is_masked = |timer: &str| {
            self.units.iter().any(|unit| unit.id == service(timer) && unit.load == Load::Masked)
        };
        let active = |id: &&str| self.unit(id).is_some_and(|unit| unit.is_active) && !is_masked(id);
        RENEWING.into_iter().filter(active).collect()
    }

    /// Lines of cron that do something: Debian's own only without systemd.
    fn effective(&self) -> impl Iterator<Item = &CronLine> {
        let sleeps = |line: &&CronLine| {
            let guarded = line.text.replace("\\!", "!").contains("! -d /run/systemd/system");
            guarded && self.has_systemd
        };
        self.cron.iter().filter(move |line| !sleeps(line))
    }

    /// What is wrong with it.
    pub fn findings(&self, version: Option<Version>) -> Vec<Finding> {
        let mut found = Vec::new();
        let active = self.active();
        let mut before = active.first().map(|unit| (*unit).to_owned());
        for line in self.effective() {
            if let Some(other) = &before {
                found.push(Finding::new(
                    Code::TwoTimers,
                    Some(line.place.clone()),
                    format!("cron runs certbot beside {other} ({})", line.text),
                    "remove the line: one timer is enough, and two runs at once fail (Another instance of Certbot is already running)",
                ));
            }
            before.get_or_insert_with(|| line.place.clone());
            let old = Version { major: 3, minor: 2 };
            if line.text.contains("certonly") && version.is_some_and(|version| version < old) {
                found.push(Finding::new(
                    Code::Certonly,
                    Some(line.place.clone()),
                    "certonly runs no hook of renewal-hooks before certbot 3.2, so nothing switches",
                    "write certbot renew --cert-name NAME instead",
                ));
            }
        }
        if let [first, second, ..] = &self.certbots[..] {
            found.push(Finding::new(
                Code::TwoCertbots,
                Some(second.clone()),
                format!("certbot is installed twice: {first} and {second}"),
                "remove the one that is not wanted (apt-get remove certbot, or snap remove certbot)",
            ));
        }
        found.extend(self.unrepaired());
        found
    }

    /// What starts renewals here; none where that cannot be told, since something else than
    /// systemd starts what is to be started.
    pub fn starts(&self) -> Option<Vec<String>> {
        let timers = self.active().into_iter().map(str::to_owned);
        let cron = self.effective().map(|line| line.place.clone());
        let starts: Vec<String> = timers.chain(cron).collect();
        (self.has_systemd || !starts.is_empty()).then_some(starts)
    }

    /// What brings the routes back when everything died.
    pub fn unrepaired(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if !self.is_hooked || !self.has_systemd {
            return found;
        }
        let is_on = |id| self.unit(id).is_some_and(|unit| unit.is_active || unit.is_enabled);
        if !is_on("certbaton-recover.timer") && !is_on("certbaton-recover.service") {
            found.push(Finding::new(
                Code::NoRecovery,
                Some("certbaton-recover.timer".into()),
                "nothing gives routes back after a power cut: the unit is not enabled",
                "systemctl enable --now certbaton-recover.timer certbaton-recover.service",
            ));
        }
        let certbot = self.unit("certbot.service");
        if certbot.is_some_and(|unit| !unit.drop_ins.contains("certbaton.conf")) {
            found.push(Finding::new(
                Code::NoDropIn,
                Some("certbot.service.d/certbaton.conf".into()),
                "nothing gives routes back when certbot.service is killed: the drop-in is missing",
                "install certbaton's drop-in for certbot.service, then systemctl daemon-reload",
            ));
        }
        found
    }
}

/// Nobody renews, if no host of those that renew something is started by a timer or by cron; of
/// one that is not known (`None`), that is not said.
pub fn nobody_renews<'a>(hosts: impl IntoIterator<Item = Option<&'a [String]>>) -> Option<Finding> {
    let mut hosts = hosts.into_iter().peekable();
    hosts.peek()?;
    hosts.all(|starts| starts.is_some_and(<[String]>::is_empty)).then(|| {
        Finding::new(
            Code::NobodyRenews,
            Some("certbot.timer".into()),
            "no timer is active and no line of cron runs certbot, on any host: nobody renews",
            "systemctl enable --now certbaton-renew.timer, or certbot.timer (systemctl unmask first)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(id: &str) -> Unit {
        Unit { id: id.into(), load: Load::Loaded, is_active: true, ..Unit::default() }
    }

    fn line(text: &str) -> CronLine {
        let mut lines = cron_lines(Path::new("/c"), text);
        lines.next().unwrap()
    }

    fn codes(schedule: &Schedule) -> Vec<Code> {
        let version = Version::of("2.1.0");
        schedule.findings(version).into_iter().map(|found| found.code).collect()
    }

    const DEBIAN: &str = "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew --no-random-sleep-on-renew";

    #[test]
    fn debians_own_line_of_cron_sleeps_under_systemd_and_works_without() {
        let mut schedule = Schedule { has_systemd: true, ..Schedule::default() };
        schedule.units = vec![unit("certbot.timer")];
        schedule.cron = vec![line(DEBIAN)];
        assert_eq!(codes(&schedule), []);
        assert_eq!(schedule.starts(), Some(vec!["certbot.timer".to_owned()]));
        schedule.units = Vec::new();
        assert_eq!(schedule.starts(), Some(Vec::new()));
        schedule.has_systemd = false;
        assert_eq!(codes(&schedule), []);
        assert_eq!(schedule.starts(), Some(vec!["/c:1".to_owned()]));
        schedule.cron.push(line("17 3 * * * certbot renew -q"));
        assert_eq!(codes(&schedule), [Code::TwoTimers]);
    }

    #[test]
    fn a_second_certbot_of_crons_is_found_and_certonly_too() {
        let schedule = Schedule {
            has_systemd: true,
            units: vec![unit("certbaton-renew.timer")],
            cron: vec![line(
                "MAILTO=certbot renew\n# certbot renew\n@daily certbot certonly -d a.example",
            )],
            ..Schedule::default()
        };
        assert_eq!(codes(&schedule), [Code::TwoTimers, Code::Certonly]);
        assert_eq!(schedule.cron[0].place, "/c:3");
    }

    #[test]
    fn a_line_that_toggles_is_found_wherever_it_is_started_from() {
        let text = "# perl ProxyPass\nExecStartPre=/usr/bin/perl -pi -e s/ProxyPass/#ProxyPass/ /x\nExecStart=sed x\n* * * * * root grep -l ProxyPass /x | xargs sed -i s/#//\n* * * * * root awk '/ProxyPass/' /x | mail root\n";
        let found: Vec<_> = toggles(Path::new("/u"), text).map(|line| line.place).collect();
        assert_eq!(found, ["/u:2", "/u:4"]);
    }

    #[test]
    fn what_repairs_after_a_kill_has_to_be_there_where_hooks_are() {
        let mut schedule = Schedule { has_systemd: true, is_hooked: true, ..Schedule::default() };
        schedule.units = vec![unit("certbot.service")];
        assert_eq!(codes(&schedule), [Code::NoRecovery, Code::NoDropIn]);
        let service = "/usr/lib/systemd/system/certbot.service.d/certbaton.conf";
        schedule.units[0].drop_ins = service.into();
        schedule.units.push(unit("certbaton-recover.timer"));
        assert_eq!(codes(&schedule), []);
    }

    #[test]
    fn a_timer_that_starts_nothing_any_more_is_none() {
        let schedule = |printed: &str| Schedule {
            has_systemd: true,
            units: units(printed),
            ..Schedule::default()
        };
        let timer = "Id=certbot.timer\nLoadState=loaded\nActiveState=active\nSubState=";
        let service = "\n\nId=certbot.service\nLoadState=";
        let starts = |sub: &str, load: &str| {
            schedule(&format!("{timer}{sub}{service}{load}\n")).starts().unwrap().len()
        };
        assert_eq!(starts("waiting", "loaded"), 1);
        assert_eq!(starts("elapsed", "loaded"), 0);
        assert_eq!(starts("waiting", "masked"), 0);
        let masked = "Id=certbot.timer\nLoadState=masked\nActiveState=inactive\n";
        assert_eq!(schedule(masked).starts(), Some(Vec::new()));
    }

    #[test]
    fn nobody_renews_if_no_host_does_and_all_are_known() {
        let (none, one) = (Vec::new(), vec!["certbot.timer".to_owned()]);
        let told = |hosts: &[Option<&[String]>]| nobody_renews(hosts.iter().copied()).is_some();
        assert!(told(&[Some(&none)]) && told(&[Some(&none), Some(&none)]));
        assert!(!told(&[Some(&none), Some(&one)]) && !told(&[Some(&none), None]) && !told(&[]));
    }

    #[test]
    fn what_systemctl_prints_is_read() {
        let printed = "Id=certbot.timer\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nDropInPaths=\n\nId=x.timer\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nDropInPaths=\n";
        let read = units(printed);
        assert_eq!(read.len(), 2);
        assert!(read[0].is_active && read[0].is_enabled && read[1].load == Load::Missing);
    }
}
