//! system: directories of our own, with their modes.

use super::*;

#[test]
fn a_directory_of_our_own_has_its_mode_whatever_the_umask_and_keeps_another() {
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("state");
    let mode = || fs::metadata(&made).unwrap().mode() & 0o7777;
    // mkdir(2) takes no set-group-ID bit, as a umask takes others.
    own_directory(&made, 0o2711).unwrap();
    assert_eq!(mode(), 0o2711);
    fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
    own_directory(&made, 0o2711).unwrap();
    assert_eq!(mode(), 0o700, "an administrator's choice");
    fs::set_permissions(&made, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(own_directory(&made, 0o2711).unwrap_err().is_unsafe());
}
