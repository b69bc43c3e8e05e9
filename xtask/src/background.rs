//! A program that runs beside others: what it prints is kept until it has ended.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::run::{Workspace, check, show};

/// A program that was started and not waited for. Dropping it ends the program.
pub(crate) struct Background {
    child: Child,
    shown: String,
    output: PathBuf,
}

impl Background {
    /// Starts a command; `name` is that of the file its output goes to, in the target folder.
    pub(crate) fn start(workspace: &Workspace, command: &mut Command, name: &str) -> Result<Self> {
        let shown = show(command);
        let output = workspace.target_dir.join(format!("{name}.log"));
        fs::create_dir_all(&workspace.target_dir)
            .with_context(|| format!("creating {}", workspace.target_dir.display()))?;
        let file = || File::create(&output).with_context(|| output.display().to_string());
        let (stdout, stderr) = (file()?, File::options().append(true).open(&output)?);
        println!("$ {shown}    (in the background; its output follows when it has ended)");
        // Programs that it starts belong to its group, and end with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("starting `{shown}`"))?;
        Ok(Self { child, shown, output })
    }

    /// Waits for its end, and prints what it has printed.
    ///
    /// # Errors
    /// When it ends with another exit code than 0.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("waiting for `{}`", self.shown))?;
        println!("$ {}    (its output)", self.shown);
        print!("{}", String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()));
        check(&self.shown, status)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to end.
        #[cfg(unix)]
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["--", &group]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
