//! system: what `certbaton render` writes, and what the programs that read it say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod programs;

/// The example that the manual shows.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/gateway.example.toml");

/// What is expected of it, in the layout that has most lines.
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/text/render/expected");

/// Of RFC 7638's example.
const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

const STATELESS: [&str; 4] = ["--layout", "stateless", "--thumbprint", THUMBPRINT];

fn render(description: &Path, words: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_certbaton"));
    program.arg("render").arg(description).args(words).output().unwrap()
}

/// The example, rendered into a new directory.
fn rendered(words: &[&str]) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path().display().to_string();
    let said = render(Path::new(EXAMPLE), &[&["--to", &to], words].concat());
    assert!(said.status.success(), "{said:?}");
    scratch
}

/// All files below `root`, by their path there.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_example_is_rendered_as_expected() {
    let scratch = rendered(&STATELESS);
    assert_eq!(files(scratch.path()), files(Path::new(EXPECTED)));
    for file in files(scratch.path()) {
        let [found, expected] = [scratch.path(), Path::new(EXPECTED)]
            .map(|root| fs::read_to_string(root.join(&file)).unwrap());
        assert_eq!(found, expected, "{} differs", file.display());
    }
}

#[test]
fn it_is_rendered_again_over_what_was_rendered_and_over_nothing_else() {
    let scratch = rendered(&[]);
    let to = scratch.path().display().to_string();
    let again = || render(Path::new(EXAMPLE), &["--to", &to, "--layout", "fallthrough"]);
    assert!(again().status.success());
    let conf = scratch.path().join("home/etc/apache2/sites-available/gateway.conf");
    assert!(fs::read_to_string(&conf).unwrap().contains("[P,END]"));
    fs::write(&conf, "# mine\n").unwrap();
    let said = again();
    assert_eq!(said.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("not of certbaton's making"),
        "{said:?}"
    );
    assert_eq!(fs::read_to_string(&conf).unwrap(), "# mine\n");
}

#[test]
fn the_update_key_comes_from_its_file_and_goes_to_one_that_is_as_closed() {
    let scratch = tempfile::tempdir().unwrap();
    let (key, description) = (scratch.path().join("key"), scratch.path().join("gateway.toml"));
    fs::write(&key, "s3cret/+=\n").unwrap();
    let line = format!("id = \"123456\"\nupdate-key-file = \"{}\"", key.display());
    let text = fs::read_to_string(EXAMPLE).unwrap().replace("id = \"123456\"", &line);
    fs::write(&description, text).unwrap();
    let to = scratch.path().join("out");
    let words = ["--to", to.to_str().unwrap()];
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(render(&description, &words).status.code(), Some(77), "others may read the key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(render(&description, &words).status.success());
    let conf = to.join("home/etc/inadyn.conf");
    assert!(fs::read_to_string(&conf).unwrap().contains("password = \"s3cret/+=\""));
    assert_eq!(fs::metadata(&conf).unwrap().permissions().mode() & 0o777, 0o600);
    let printed = render(&description, &[]);
    assert!(printed.status.success() && !printed.stdout.is_empty());
    assert!(!String::from_utf8_lossy(&printed.stdout).contains("s3cret"), "on a screen");
}

#[test]
fn what_cannot_be_rendered_is_said_and_nothing_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path().join("out").display().to_string();
    let code = |words: &[&str]| {
        let said = render(Path::new(EXAMPLE), &[&["--to", to.as_str()], words].concat());
        assert!(!Path::new(&to).exists(), "{said:?}");
        said.status.code()
    };
    assert_eq!(code(&["--layout", "stateless"]), Some(2));
    assert_eq!(code(&["--thumbprint", THUMBPRINT]), Some(2));
    assert_eq!(code(&["--layout", "stateless", "--thumbprint", "short"]), Some(2));
    let bad = scratch.path().join("bad.toml");
    fs::write(&bad, "name = \"gateway\"\nnmae = 1\n").unwrap();
    let said = render(&bad, &["--to", &to]);
    assert_eq!(said.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&said.stderr).contains("bad.toml:2:1: "), "{said:?}");
}

#[test]
fn a_thumbprint_may_begin_with_a_hyphen() {
    let thumbprint = THUMBPRINT.replace('N', "-");
    let words = ["--layout", "stateless", "--thumbprint", &thumbprint];
    let said = render(Path::new(EXAMPLE), &words);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains(&format!("}}.{thumbprint}\"")), "{said:?}");
}

#[test]
fn an_accounts_key_gives_its_thumbprint() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("private_key.json");
    fs::write(
        &key,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    )
    .unwrap();
    let key = key.display().to_string();
    let said = render(Path::new(EXAMPLE), &["--layout", "stateless", "--account", &key]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("}.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\""), "{said:?}");
}
