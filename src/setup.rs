//! Setting a host up and taking it back: `init`, `install`, `uninstall`.
//!
//! | module | knows |
//! | --- | --- |
//! | [`change`] | one change of a file, as it is shown before it is made |
//! | [`payload`] | the files of `hooks/`, and where they go |
//! | [`wanted`] | which change a wanted file needs, from how it is |
//! | [`configuration`] | the configuration of two hosts |
//! | [`keys`] | public keys of ssh, and the lines that hold them |
//! | [`manifest`] | what was written, and how each of it is taken back |
//! | [`ledger`] | making changes so that they can be taken back |
//! | [`adopt`] | hooks of an older set-up: what is done about them, and what a person is told |
//! | [`apache_files`] | what Apache reads, taken back |
//! | [`show`] | changes for people |
//! | [`machine`] | systemd, the user certbaton, sudo |
//! | [`openssh`] | OpenSSH's programs |
//! | [`discovered`] | what a set-up finds out by itself |
//! | [`consent`] | whether what was shown is done |
//! | [`perform`] | shown, agreed to, done |
//! | [`install`] | what an installation needs beside its programs |
//! | [`init`] | one of two hosts that share a lease |
//! | [`uninstall`] | everything taken back |
//! | [`error`] | why not |

pub mod adopt;
pub mod apache_files;
pub mod change;
pub mod configuration;
pub mod consent;
pub mod discovered;
pub mod error;
pub mod init;
pub mod install;
pub mod keys;
pub mod ledger;
pub mod machine;
pub mod manifest;
pub mod openssh;
pub mod own_hooks;
pub mod payload;
pub mod perform;
pub mod role;
pub mod show;
pub mod uninstall;
pub mod wanted;
