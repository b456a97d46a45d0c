//! Owns: one child process in its own process group: start, signal, wait.
//! Must never know: Agones, or what its output means.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A child and the group it leads. Its standard input stays open as long as this lives.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts `command` with `env` added to ours; gives its two outputs as well.
    pub(super) fn start(
        command: &[String],
        env: &[(String, String)],
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let missing = || io::Error::other("command has no program");
        let (program, args) = command.split_first().ok_or_else(missing)?;
        let mut child = Command::new(program)
            .args(args)
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| io::Error::other("child has no process id"))?;
        let stdin = child.stdin.take();
        let outputs = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = outputs else {
            return Err(io::Error::other("child has no output pipes"));
        };
        Ok((Self { child, group, _stdin: stdin }, stdout, stderr))
    }

    pub(super) fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the child's end, and then ends what is left of its group.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // The number stays the group's as long as the group has a member; with none left this finds nobody.
        self.signal(Signal::KILL);
        status
    }

    /// Gives the child `linger` to end by itself, then SIGTERM and `grace`, then SIGKILL. Returns once it is gone.
    pub(super) async fn end(&mut self, linger: Duration, grace: Duration) -> io::Result<ExitStatus> {
        if let Ok(status) = timeout(linger, self.wait()).await {
            return status;
        }
        self.signal(Signal::TERM);
        if let Ok(status) = timeout(grace, self.wait()).await {
            return status;
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    fn signal(&self, signal: Signal) {
        // The only failure that can happen is that nobody is left in the group.
        let _ = kill_process_group(self.group, signal);
    }
}

/// Whether there is such a program: a path to an executable file, or a name found in `PATH`.
pub(super) fn is_program(program: &str) -> bool {
    if program.contains('/') {
        return is_executable(Path::new(program));
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program))))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn shell(script: &str) -> (Process, ChildStdout) {
        let (process, stdout, _) = Process::start(&["sh".into(), "-c".into(), script.into()], &[]).unwrap();
        (process, stdout)
    }

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        assert!(is_program("sh") && is_program("/bin/sh"));
        assert!(!is_program("no-such-program-here") && !is_program("/etc/passwd") && !is_program("/bin"));
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_with_its_group() {
        let (mut child, mut stdout) = shell("trap '' TERM; echo set; sleep 60 & wait");
        let mut text = [0; 4];
        stdout.read_exact(&mut text).await.unwrap();
        let status = child.end(Duration::ZERO, Duration::from_millis(200)).await.unwrap();
        assert!(!status.success());
        // The pipe ends once nobody holds it: the shell's own child is gone as well.
        let mut rest = Vec::new();
        timeout(Duration::from_secs(10), stdout.read_to_end(&mut rest)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn standard_input_ends_with_its_owner() {
        let (mut child, _stdout) = shell("cat; exit 7");
        child._stdin = None;
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }
}
