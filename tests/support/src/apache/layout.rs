//! system: a Debian-shaped `ServerRoot` in a directory of its own.
//!
//! Files are root's, dated long before the test, and carry an owner, a mode
//! and an extended attribute worth keeping. Never writes outside its base.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{APACHE, MODULES};

/// The directories and files that one Apache runs on.
pub struct Layout {
    base: TempDir,
}

impl Layout {
    /// An empty site: the base configuration, `www/` with an index, no vhost.
    ///
    /// `modules` are loaded in addition to [`ALWAYS`], without `mod_` and `.so`.
    pub fn create(mpm: &str, modules: &[String]) -> Self {
        // Not below /tmp: root's tools refuse paths that others may write to,
        // and Debian's unit has PrivateTmp. Not /run: a tmpfs may lack xattrs.
        let base = tempfile::Builder::new()
            .prefix("certbaton-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/var/lib")
            .unwrap();
        let layout = Self { base };
        for directory in ["run", "logs", "state", "runtime"] {
            fs::create_dir(layout.base().join(directory)).unwrap();
        }
        for directory in ["conf-available", "conf-enabled", "sites-available", "sites-enabled"] {
            fs::create_dir_all(layout.server_root().join(directory)).unwrap();
        }
        let mut load = String::new();
        for module in ALWAYS.iter().copied().chain(modules.iter().map(String::as_str)) {
            writeln!(load, "LoadModule {module}_module {MODULES}/mod_{module}.so").unwrap();
        }
        writeln!(load, "LoadModule mpm_{mpm}_module {MODULES}/mod_mpm_{mpm}.so").unwrap();
        let base_file = HTTPD_CONF.replace("@LOAD@", &load);
        layout.place(Path::new("httpd.conf"), base_file.as_bytes());
        layout.place(Path::new("www/index.html"), b"INDEX of www\n");
        layout.place(Path::new("www/.well-known/other"), b"OTHER of www\n");
        layout
    }

    /// Where everything of this layout is.
    pub fn base(&self) -> &Path {
        self.base.path()
    }

    /// Apache's `ServerRoot`: all that a user would call configuration, and `www/`.
    pub fn server_root(&self) -> PathBuf {
        self.base().join("apache")
    }

    /// Apache's `PidFile`.
    pub fn pid_file(&self) -> PathBuf {
        self.base().join("run/apache2.pid")
    }

    /// Writes a configuration of certbaton's for it, `more` before what names this Apache; where it is.
    pub fn configure(&self, more: &str) -> PathBuf {
        let path = self.base().join("certbaton.toml");
        let text = format!(
            "state-directory = \"{base}/state\"\nruntime-directory = \"{base}/runtime\"\n\
             {more}[apache]\npid-file = \"{}\"\n",
            self.pid_file().display(),
            base = self.base().display(),
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Apache's `ErrorLog`.
    pub fn error_log(&self) -> PathBuf {
        self.base().join("logs/error.log")
    }

    /// Writes `bytes` to `relative` to the `ServerRoot`, `@ROOT@` replaced.
    pub fn place(&self, relative: &Path, bytes: &[u8]) {
        let path = self.server_root().join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let root = self.server_root();
        fs::write(&path, replaced(bytes, "@ROOT@", root.to_str().unwrap())).unwrap();
        if relative.starts_with("sites-available") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            std::os::unix::fs::chown(&path, Some(0), Some(ADM)).unwrap();
            // Not every file system has user attributes; the snapshot compares what is there.
            rustix::fs::setxattr(&path, "user.origin", b"by hand", rustix::fs::XattrFlags::empty())
                .unwrap_or_default();
        }
        let long_ago = SystemTime::UNIX_EPOCH + LONG_AGO;
        fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    }

    /// Links `kind`-available/`name` from `kind`-enabled, as `a2ensite` does.
    pub fn enable(&self, kind: &str, name: &str) {
        let link = self.server_root().join(format!("{kind}-enabled/{name}"));
        symlink(format!("../{kind}-available/{name}"), link).unwrap();
    }

    /// Apache on this layout, with an environment as Debian's envvars makes it.
    pub fn command(&self) -> Command {
        self.aimed(Command::new(APACHE))
    }

    /// The same in a process group of its own, told to stop when the calling
    /// thread ends in whatever way (prctl(2), `PR_SET_PDEATHSIG`).
    pub fn tethered(&self) -> Command {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "TERM", APACHE]).process_group(0);
        self.aimed(command)
    }

    fn aimed(&self, mut command: Command) -> Command {
        let root = self.server_root();
        command
            .arg("-d")
            .arg(&root)
            .arg("-f")
            .arg(root.join("httpd.conf"))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C")
            .env("APACHE_RUN_USER", "www-data")
            .env("APACHE_RUN_GROUP", "www-data")
            .env("APACHE_PID_FILE", self.pid_file())
            .env("APACHE_RUN_DIR", self.base().join("run"))
            .env("APACHE_LOG_DIR", self.base().join("logs"));
        command
    }
}

/// `bytes` with each `placeholder` replaced by `value`.
pub fn replaced(bytes: &[u8], placeholder: &str, value: &str) -> Vec<u8> {
    let pattern = placeholder.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(pattern.len()).position(|w| w == pattern) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value.as_bytes());
        rest = &rest[at + pattern.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// What Debian enables by default and our vhosts can meet.
pub const ALWAYS: [&str; 12] = [
    "access_compat",
    "alias",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "dir",
    "env",
    "mime",
    "setenvif",
];

/// Debian's group `adm`.
const ADM: u32 = 4;

/// Fifty years after the epoch, about 2020.
const LONG_AGO: Duration = Duration::from_hours(50 * 365 * 24);

/// Debian's apache2.conf, shortened. Paths come from the environment, as there.
const HTTPD_CONF: &str = r#"ServerRoot "@ROOT@"
ServerName base.example.org
PidFile ${APACHE_PID_FILE}
DefaultRuntimeDir ${APACHE_RUN_DIR}
User ${APACHE_RUN_USER}
Group ${APACHE_RUN_GROUP}
ErrorLog ${APACHE_LOG_DIR}/error.log
LogLevel warn
ServerSignature Off
Timeout 10
KeepAliveTimeout 2
StartServers 1
@LOAD@
TypesConfig /etc/mime.types
Listen 80
DocumentRoot "@ROOT@/www"
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
<Directory "@ROOT@/www">
    Options FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
<FilesMatch "^\.ht">
    Require all denied
</FilesMatch>
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
"#;
