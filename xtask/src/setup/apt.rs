//! System packages, on Debian-like systems.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use super::installing;
use crate::run::{answer, find_program, run};

/// Installs packages, as root or with passwordless sudo.
///
/// # Errors
/// Without apt-get, or without the rights to use it: the message names what to install by hand.
pub(super) fn install(packages: &[&str], why: &str) -> Result<()> {
    let names = packages.join(" ");
    if find_program("apt-get", &env::var_os("PATH").unwrap_or_default()).is_none() {
        bail!(
            "{why}, but there is no apt-get; install the equivalents of the Debian packages {names}"
        );
    }
    let prefix: &[&str] = if answer("id", &["-u"]).as_deref() == Some("0") {
        &["env", "DEBIAN_FRONTEND=noninteractive"]
    } else if answer("sudo", &["-n", "true"]).is_some() {
        &["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    } else {
        bail!(
            "{why}, but only root may install it; run `sudo apt-get install {names}`, then retry"
        );
    };

    installing(&names, "apt-get", why);
    let apt_get =
        |args: &[&str]| run(Command::new(prefix[0]).args(&prefix[1..]).arg("apt-get").args(args));
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // Fresh containers have no package lists; a failed first try is cheaper than updating always.
    apt_get(&install).or_else(|_| {
        apt_get(&["update"])?;
        apt_get(&install)
    })
}
