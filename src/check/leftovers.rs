//! pure: what lies about in the files of Apache's configuration: lines of old hooks, damaged blocks, copies, dead lines.

use crate::apache::by_hand::ByHand;
use crate::apache::dump::Origin;
use crate::apache::server;
use crate::base::cause::chain;
use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::base::names::Route;
use crate::check::directive::Texts;
use crate::switch::oddity::Oddity;
use crate::switch::report::Error;

/// What is odd about the files; lines of old hooks once for each file.
pub fn oddities(odd: &[Oddity], texts: &Texts<'_>, by_hand: &ByHand) -> Vec<Finding> {
    let old_in = |odd: &Oddity, wanted: &str| matches!(odd, Oddity::Commented { file, .. } if file == wanted);
    let tell = |(at, one): (usize, &Oddity)| {
        let mut found = oddity(one, texts, by_hand);
        if let Oddity::Commented { file, .. } = one {
            if odd[..at].iter().any(|before| old_in(before, file)) {
                return None;
            }
            match odd[at + 1..].iter().filter(|after| old_in(after, file)).count() {
                0 => {}
                more => found.what = format!("{}, and {more} more in this file", found.what),
            }
        }
        Some(found)
    };
    odd.iter().enumerate().filter_map(tell).collect()
}

fn oddity(oddity: &Oddity, texts: &Texts<'_>, by_hand: &ByHand) -> Finding {
    let warning = |code, place, what, remedy: &str| {
        Finding::new(code, Some(place), what, remedy).severity(Severity::Warning)
    };
    match oddity {
        Oddity::Unloaded(file) => warning(
            Code::UnloadedChange,
            file.clone(),
            "changed after Apache last loaded its configuration: the next reload, a renewal's too, activates it".to_owned(),
            &format!("run {}, then {}", by_hand.test(), by_hand.reload()),
        ),
        Oddity::Relisted(directory) => warning(
            Code::UnloadedChange,
            directory.clone(),
            "a site was added or taken away (a2ensite, a2dissite) after Apache last loaded its configuration: what it answers until the next reload is not what the files say".to_owned(),
            &format!("run {}, then {}", by_hand.test(), by_hand.reload()),
        ),
        Oddity::Perl(origin) => warning(
            Code::PerlSection,
            texts.place(origin),
            "Apache does not list what this <Perl> section writes: if it takes the challenge path of a name, only the proof of a switch shows it".to_owned(),
            "write the directives themselves into the file",
        ),
        Oddity::Commented { file, line, text } => warning(
            Code::OldHook,
            texts.place(&Origin { file: file.clone(), line: *line }),
            format!("left behind by an older hook: {text}"),
            "remove the # if the line is still wanted, else the line; and remove the hook that wrote it",
        ),
        Oddity::Unlinked { file, namesake: Some(namesake) } => warning(
            Code::SiteCopied,
            file.clone(),
            format!("a regular file, not a link to {}: edits there have no effect", namesake.display()),
            "compare the two, keep the one that is wanted in sites-available, then remove this one and link it (a2ensite)",
        ),
        Oddity::Unlinked { file, namesake: None } => warning(
            Code::SiteNotLinked,
            file.clone(),
            "a regular file, not a link to sites-available: a2dissite does not know it".to_owned(),
            "move it to sites-available, then link it (a2ensite)",
        ),
    }
}

/// Marked lines that are not as they were written.
pub fn damaged(file: &str, (first, last): (u32, u32), by_hand: &ByHand) -> Finding {
    Finding::new(
        Code::DamagedBlock,
        Some(format!("{file}:{first}")),
        format!(
            "lines {first} to {last} were inserted by certbaton and changed since: they cannot be taken out"
        ),
        format!("delete these lines by hand, then run {}", by_hand.reload()),
    )
}

/// A line for the challenge path that never decides.
pub fn dead(origin: &Origin, text: &str, texts: &Texts<'_>) -> Finding {
    Finding::new(
        Code::DeadLine,
        Some(texts.place(origin)),
        format!("{text} is dead: another line always takes the challenge path first"),
        "remove it, or move it before the line that comes first",
    )
}

/// A route that is local although nothing renews.
pub fn abandoned(route: &Route, place: Option<String>) -> Finding {
    let what = format!(
        "the challenge path of {} was switched to this host, and no renewal owns it: the other host cannot renew",
        route.name
    );
    let mut found = Finding::new(Code::AbandonedRoute, place, what, "run certbaton recover");
    found.names.push(route.name.clone());
    found
}

/// The web server, which is not Apache, does not pass its own test.
pub fn broken(error: &Error) -> Finding {
    Finding::new(
        Code::WebServerTest,
        None,
        chain(error),
        "correct its configuration: until then no new certificate can be loaded",
    )
}

/// Why Apache's configuration cannot be looked at.
pub fn unusable(error: &Error) -> Finding {
    match error {
        Error::Apache(server::Error::Configtest { complaint, by_hand }) => {
            let origin = complaint.origin.as_ref().filter(|origin| !origin.is_macro());
            let what = origin.map_or_else(|| complaint.to_string(), |_| complaint.message.clone());
            Finding::new(
                Code::Configtest,
                origin.map(ToString::to_string),
                format!("Apache refuses its configuration: {what}"),
                format!(
                    "correct this line ({what}), then run {}; until then Apache cannot be reloaded",
                    by_hand.test()
                ),
            )
        }
        Error::Apache(server::Error::NotRunning { why, start }) => Finding::new(
            Code::ApacheNotRunning,
            None,
            format!("Apache is not running{why}"),
            format!("start it, which certbaton never does: {start}"),
        ),
        Error::Apache(server::Error::NotApache { .. }) => Finding::new(
            Code::ApacheNotRunning,
            None,
            chain(error),
            "start it, or name the right pid file ([apache] pid-file)",
        ),
        Error::Apache(server::Error::Other { program, suggestion, .. }) => Finding::new(
            Code::OtherWebServer,
            None,
            format!("Apache is not running, {} answers on port 80", program.display()),
            format!(
                "on a host that others pass challenges on to, a vps, write above the first section of config.toml: {suggestion}; at home, where something has to be switched, Apache has to answer on port 80, or a layout without switching (doc/other-ways.md)"
            ),
        ),
        Error::Apache(server::Error::Several(_)) => Finding::new(
            Code::SeveralApaches,
            None,
            chain(error),
            "stop the one that is not wanted, or name the right pid file",
        ),
        _ => Finding::new(
            Code::ApacheUnreadable,
            None,
            chain(error),
            "put it right, since nothing can be switched until then",
        ),
    }
}
