//! A program that the configuration file names, and that runs when something has happened.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::net::unix::pipe::Sender;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{sleep, timeout};

use crate::failure::{Exit, Failure};
use crate::output::quoted;
use crate::secret::sink::API_CREDENTIALS;
use crate::signal;

/// Further variables that hold a secret of Cloudflare, under the names that its tools read.
const SECRETS: [&str; 7] = [
    "CF_API_TOKEN",
    "CF_API_KEY",
    "CF_API_EMAIL",
    "CF_ACCESS_CLIENT_SECRET",
    "CLOUDFLARE_ACCESS_CLIENT_SECRET",
    "TUNNEL_SERVICE_TOKEN_SECRET",
    "TUNNEL_TOKEN",
];

/// How long a hook may run.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How much longer a hook may run that was asked to end.
const GRACE: Duration = Duration::from_secs(2);

/// The most that the system reads of the line that names a script's interpreter, in bytes.
const MAX_FIRST_LINE: u64 = 256;

/// A program and its arguments. No shell reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// At least the program.
    arguments: Vec<String>,
    /// Variables that are removed from its environment beside the known ones.
    hidden: Vec<String>,
}

/// Why a hook did not do its work.
#[derive(Debug)]
pub(crate) struct HookError {
    hook: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// It could not be started or waited for.
    System(io::Error),
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
}

impl TryFrom<Vec<String>> for Hook {
    type Error = &'static str;

    fn try_from(arguments: Vec<String>) -> Result<Self, Self::Error> {
        if arguments.first().is_none_or(String::is_empty) {
            return Err("the program is missing");
        }
        if arguments.iter().any(|argument| argument.contains('\0')) {
            return Err("an argument can't contain the character NUL");
        }
        Ok(Self {
            arguments,
            hidden: Vec::new(),
        })
    }
}

impl Hook {
    /// Lets a program that is given by a relative path start at a directory. A program
    /// without a slash is searched for in `PATH`.
    pub(crate) fn relative_to(mut self, directory: &Path) -> Self {
        if let Some(program) = self.arguments.first_mut().filter(|name| name.contains('/')) {
            // Without the `.` of `./reload`.
            let path: PathBuf = directory.join(&*program).components().collect();
            *program = path.to_string_lossy().into_owned();
        }
        self
    }

    /// Removes these variables from the hook's environment too.
    pub(crate) fn hide(&mut self, variables: &[String]) {
        self.hidden.extend_from_slice(variables);
    }

    /// Checks that the hook can be run, as far as that can be known without running it.
    pub(crate) fn prove(&self) -> Result<(), HookError> {
        let program = self.arguments.first().map_or("", |program| program);
        find(program).map_err(|error| self.error(Cause::System(error)))
    }

    /// Runs the hook, with JSON on its standard input, and waits for it. What it writes to
    /// standard output goes to standard error: standard output is for the result.
    ///
    /// After 60 seconds, or when this process is to end, its whole process group is
    /// terminated, and two seconds later killed. If this future is dropped, the group is
    /// killed at once. Whatever a hook that ended in time has left running stays.
    ///
    /// Once this was called, signals to end no longer kill this process: the caller waits for
    /// them itself.
    ///
    /// # Errors
    ///
    /// Unless the hook was started and exited with 0 in time. It need not read its input.
    pub(crate) async fn run(&self, about: &impl Serialize) -> Result<(), HookError> {
        let interrupted = signal::end().map_err(|failure| {
            let (words, _) = failure.in_one_line();
            self.error(Cause::System(io::Error::other(words)))
        })?;
        let too_long = async {
            tokio::select! {
                () = interrupted => Cause::Interrupted,
                () = sleep(TIME_LIMIT) => Cause::TimedOut,
            }
        };
        self.run_until(too_long, async || sleep(GRACE).await, about)
            .await
    }

    async fn run_until(
        &self,
        too_long: impl Future<Output = Cause>,
        grace: impl AsyncFnOnce(),
        about: &impl Serialize,
    ) -> Result<(), HookError> {
        let ran = self.try_run(too_long, grace, about).await;
        let cause = match ran {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => Cause::Exited(status),
            Err(cause) => cause,
        };
        Err(self.error(cause))
    }

    async fn try_run(
        &self,
        too_long: impl Future<Output = Cause>,
        grace: impl AsyncFnOnce(),
        about: &impl Serialize,
    ) -> Result<ExitStatus, Cause> {
        let mut input = serde_json::to_vec(about).map_err(io::Error::from)?;
        input.push(b'\n');
        let mut running = Running::start(self.command())?;
        let stdin = running.child.stdin.take();
        let cause = tokio::select! {
            biased;
            status = running.end() => return Ok(status?),
            cause = too_long => cause,
            never = feed(stdin, &input) => match never {},
        };
        // Until the hook is waited for, its process id names no other group.
        running.signal(Signal::TERM);
        grace().await;
        running.signal(Signal::KILL);
        // A process that waits for a device can't even be killed.
        let _ = timeout(GRACE, running.end()).await;
        Err(cause)
    }

    fn command(&self) -> Command {
        let mut arguments = self.arguments.iter();
        let mut command = Command::new(arguments.next().map_or("", |program| program));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(io::stderr())
            .process_group(0);
        let hidden = self.hidden.iter().map(String::as_str);
        for variable in API_CREDENTIALS.into_iter().chain(SECRETS).chain(hidden) {
            command.env_remove(variable);
        }
        command
    }

    fn error(&self, cause: Cause) -> HookError {
        HookError {
            hook: self.to_string(),
            cause,
        }
    }
}

/// Finds a program as the system does.
fn find(program: &str) -> io::Result<()> {
    if program.contains('/') {
        return require_executable(Path::new(program));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let none = "not found in PATH";
    let mut found = Err(io::Error::new(io::ErrorKind::NotFound, none));
    for directory in env::split_paths(&path) {
        match require_executable(&directory.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => found = Err(error),
        }
    }
    found
}

/// Checks that a file can be executed, and so can the interpreter in its first line.
fn require_executable(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    rustix::fs::access(path, Access::EXEC_OK)?;
    let mut start = Vec::new();
    // A program need not be readable.
    if let Ok(file) = File::open(path) {
        file.take(MAX_FIRST_LINE).read_to_end(&mut start)?;
    }
    let line = start.split(|byte| *byte == b'\n').next();
    let Some(line) = line.and_then(|line| line.strip_prefix(b"#!")) else {
        return Ok(());
    };
    // Of a line that ends with CR LF, the system takes the CR for a part of the name.
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
    let interpreter = words.find(|word| !word.is_empty()).unwrap_or_default();
    Ok(rustix::fs::access(interpreter, Access::EXEC_OK)?)
}

/// Writes all of the input, and closes the pipe. The hook need not read it, so no error
/// counts, and this does not complete.
async fn feed(stdin: Option<ChildStdin>, mut input: &[u8]) -> Infallible {
    let pipe = stdin.and_then(|stdin| Sender::from_owned_fd(OwnedFd::from(stdin)).ok());
    if let Some(pipe) = pipe {
        while !input.is_empty() && pipe.writable().await.is_ok() {
            match pipe.try_write(input) {
                Ok(written) => input = input.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
    std::future::pending().await
}

/// A process group that is killed if it is given up.
struct Running {
    child: Child,
    /// Signals that a process has ended.
    ended: unix::Signal,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        Ok(Self {
            // Before the process starts, so that its end is not missed.
            ended: unix::signal(SignalKind::child())?,
            child: command.spawn()?,
        })
    }

    async fn end(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            self.ended.recv().await;
        }
    }

    fn signal(&self, signal: Signal) {
        // All of the group may just have ended.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::KILL);
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for Hook {
    /// As a shell takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.arguments.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

impl HookError {
    /// Returns what to do. An interruption is no fault of the hook.
    fn next(&self) -> Option<&'static str> {
        Some(match &self.cause {
            Cause::System(error) if error.kind() == io::ErrorKind::NotFound => {
                "check that the program, and the interpreter in its first line, exist; a program \
                 without a slash has to be in PATH"
            }
            Cause::System(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "make the program executable (chmod +x) for the user that runs this command"
            }
            Cause::System(error) if error.raw_os_error() == Some(NOT_A_PROGRAM) => {
                "begin the script with a line such as #!/bin/sh"
            }
            Cause::System(_) => "fix the cause",
            Cause::Exited(_) => "see what the hook wrote above, and fix the cause",
            Cause::TimedOut => "have the hook do longer work in the background",
            Cause::Interrupted => return None,
        })
    }
}

/// The error number of a file that the system can't execute.
const NOT_A_PROGRAM: i32 = rustix::io::Errno::NOEXEC.raw_os_error();

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = &self.hook;
        match &self.cause {
            Cause::System(error) => write!(f, "the hook {hook} can't be run: {error}"),
            Cause::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "the hook {hook} exited with {code}"),
                (None, Some(signal)) => write!(f, "the hook {hook} was killed by signal {signal}"),
                (None, None) => write!(f, "the hook {hook} failed ({status})"),
            },
            Cause::TimedOut => write!(
                f,
                "the hook {hook} was killed: it ran for more than {} seconds",
                TIME_LIMIT.as_secs()
            ),
            Cause::Interrupted => {
                write!(f, "the hook {hook} was killed: the command was interrupted")
            }
        }
    }
}

impl std::error::Error for HookError {}

impl From<HookError> for Failure {
    fn from(error: HookError) -> Self {
        let failure = Self::new(Exit::Failed, &error);
        error.next().into_iter().fold(failure, Self::next)
    }
}
