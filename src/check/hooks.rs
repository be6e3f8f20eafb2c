//! pure: hooks of certbot's that do what certbaton does, or undo it, or are never run.

use std::path::{Path, PathBuf};

use crate::base::codes::Code;
use crate::base::finding::{Finding, Severity};
use crate::certbot::old_hook::{is_ours, program, stops, switches};
use crate::certbot::saved_hooks::Stage;

/// The text of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// When it is run.
    pub stage: Stage,
    /// Where it stands.
    pub file: PathBuf,
    /// Its number in `file` if it is a single line.
    pub line: Option<String>,
    /// What it does.
    pub text: String,
}

/// A file below renewal-hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFile {
    /// When it is run.
    pub stage: Stage,
    /// The file.
    pub path: PathBuf,
    /// Whether it can be run.
    pub is_executable: bool,
}

impl HookFile {
    /// `hooks.py:list_hooks`: executable, and no editor's copy.
    pub fn is_run(&self) -> bool {
        self.is_executable && !self.path.as_os_str().as_encoded_bytes().ends_with(b"~")
    }

    /// Why certbot never runs it; `read` gives the text of a script.
    ///
    /// What would do harm if it ran is out of use on purpose: `init` leaves an old hook so.
    pub fn ignored(&self, read: impl Fn(&Path) -> Option<String>) -> Option<Finding> {
        if self.is_run() || read(&self.path).is_some_and(|text| self.would_meddle(text, &read)) {
            return None;
        }
        let is_ours = self.path.file_name().is_some_and(|name| name == "certbaton");
        let severity = if is_ours { Severity::Problem } else { Severity::Warning };
        let path = self.path.display();
        let (why, remedy) = if self.is_executable {
            ("its name ends in ~", format!("rename it, or remove it: rm {path}"))
        } else {
            ("it is not executable", format!("chmod 755 {path}, or remove it"))
        };
        let what = format!("certbot never runs this hook: {why}");
        let found = Finding::new(Code::HookIgnored, Some(path.to_string()), what, remedy);
        Some(found.severity(severity))
    }

    /// Itself, or what it starts.
    fn would_meddle(&self, text: String, read: impl Fn(&Path) -> Option<String>) -> bool {
        let named: Vec<String> = text.lines().filter_map(program).filter_map(read).collect();
        let script = |text| Script { stage: self.stage, file: self.path.clone(), line: None, text };
        !is_ours(&text)
            && named.into_iter().chain([text]).any(|text| meddling(&script(text), true).is_some())
    }
}

/// What a hook of somebody else's does to Apache.
pub fn meddling(script: &Script, webroot: bool) -> Option<Finding> {
    let numbered =
        || script.text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#'));
    let place = |at: usize| match &script.line {
        Some(place) => place.clone(),
        None => format!("{}:{}", script.file.display(), at + 1),
    };
    if let Some((at, line)) = numbered().find(|(_, line)| switches(line)) {
        let line = line.trim();
        return Some(if script.stage == Stage::Deploy {
            Finding::new(
                Code::DeployRestores,
                Some(place(at)),
                format!(
                    "this deploy hook edits Apache's configuration ({line}): certbot runs it after each lineage, so the next one of the same run fails, and not at all when a renewal fails"
                ),
                "remove it: certbaton's hooks switch each name back by themselves",
            )
        } else {
            Finding::new(
                Code::OtherHook,
                Some(place(at)),
                format!("this hook edits Apache's configuration as well ({line})"),
                "remove it: certbaton's hooks switch and switch back by themselves",
            )
        });
    }
    let (at, line) = numbered().find(|(_, line)| stops(line))?;
    let stops = script.stage == Stage::Pre && webroot && line.contains("stop");
    let (code, what) = if stops {
        (Code::HookStopsApache, "stops Apache, which has to answer the challenges")
    } else {
        (
            Code::HookRestartsApache,
            "stops or restarts Apache, which drops connections, and systemd refuses after a few in a row",
        )
    };
    Some(Finding::new(
        code,
        Some(place(at)),
        format!("this hook {what} ({})", line.trim()),
        "remove the line: certbaton reloads Apache where that is needed; elsewhere reload, as in systemctl reload apache2",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(stage: Stage, text: &str) -> Option<(Code, Option<String>)> {
        let script = Script { stage, file: "/h".into(), line: None, text: text.into() };
        meddling(&script, true).map(|found| (found.code, found.place))
    }

    #[test]
    fn a_toggle_is_found_by_its_line_and_worst_in_a_deploy_hook() {
        let perl = "#!/bin/sh\n# ProxyPass\nperl -pi -e 's/^(\\s*ProxyPass)/#$1/' /etc/apache2/sites-enabled/*.conf\nsystemctl restart apache2\n";
        let found = |code| Some((code, Some("/h:3".to_owned())));
        assert_eq!(code(Stage::Pre, perl), found(Code::OtherHook));
        assert_eq!(code(Stage::Deploy, perl), found(Code::DeployRestores));
    }

    #[test]
    fn a_reload_is_fine_and_a_restart_is_not() {
        assert_eq!(code(Stage::Deploy, "systemctl reload apache2"), None);
        assert_eq!(code(Stage::Post, "systemctl restart postfix"), None);
        for line in [
            "systemctl restart apache2.service",
            "service apache2 restart",
            "/etc/init.d/apache2 restart",
            "apachectl -k restart",
        ] {
            assert_eq!(
                code(Stage::Deploy, line).map(|c| c.0),
                Some(Code::HookRestartsApache),
                "{line}"
            );
        }
        assert_eq!(
            code(Stage::Pre, "systemctl stop apache2").map(|c| c.0),
            Some(Code::HookStopsApache)
        );
    }

    #[test]
    fn what_certbot_never_runs_is_told() {
        let file = |name: &str, is_executable| HookFile {
            stage: Stage::Pre,
            path: name.into(),
            is_executable,
        };
        let empty = |_: &Path| Some(String::new());
        assert_eq!(file("/pre/certbaton", true).ignored(empty), None);
        let severity = |f: HookFile| f.ignored(empty).map(|found| found.severity);
        assert_eq!(severity(file("/pre/certbaton", false)), Some(Severity::Problem));
        assert_eq!(severity(file("/pre/x~", true)), Some(Severity::Warning));
    }

    #[test]
    fn an_old_hook_that_is_out_of_use_is_quiet() {
        let path = PathBuf::from("/post/proxy-on");
        let hook = HookFile { stage: Stage::Post, path, is_executable: false };
        let found = |text: &'static str| {
            let named = "sed -i 's/#ProxyPass/ProxyPass/' /etc/apache2/sites-enabled/x.conf";
            let read = |path: &Path| Some(if path == hook.path { text } else { named }.to_owned());
            hook.ignored(read).map(|found| found.code)
        };
        for text in [
            "#!/bin/sh\nperl -pi -e 's/^(\\s*)#(ProxyPass)/$1$2/' /etc/apache2/sites-enabled/*.conf\n",
            "#!/bin/sh\nsystemctl restart apache2\n",
            "#!/bin/sh\n/usr/local/bin/toggle on\n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        let ignored = Some(Code::HookIgnored);
        assert_eq!(found("#!/bin/sh\ncp a b\n"), ignored);
        assert_eq!(found("#!/bin/sh\nexec /usr/bin/certbaton-post-hook\n"), ignored);
    }
}
