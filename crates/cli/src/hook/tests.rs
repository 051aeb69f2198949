//! Hooks are real processes: shells that wait at named pipes, so that no test sleeps.

use std::future::pending;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

/// A shell in a directory of its own, with named pipes.
struct Shell {
    directory: TempDir,
}

impl Shell {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["alive", "started", "never"] {
            let path = directory.path().join(name);
            rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn hook(&self, script: &str) -> Hook {
        let directory = quoted(self.directory.path().to_str().unwrap());
        hook(&["sh", "-c", &format!("cd {directory}; {script}")])
    }

    /// Ends when every process that holds `alive` open has ended.
    fn all_ended(&self) -> JoinHandle<String> {
        text_of(self.path("alive"))
    }

    /// Completes once the hook has written to `started`.
    fn started(&self, cause: Cause) -> impl Future<Output = Cause> + use<> {
        let text = text_of(self.path("started"));
        async {
            text.await.unwrap();
            cause
        }
    }
}

/// Reads a named pipe until every process that writes to it has ended.
fn text_of(path: PathBuf) -> JoinHandle<String> {
    tokio::task::spawn_blocking(|| std::fs::read_to_string(path).unwrap())
}

fn hook(arguments: &[&str]) -> Hook {
    let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
    Hook::try_from(arguments).unwrap()
}

/// Runs a hook that ends by itself.
async fn run(hook: &Hook) -> Result<(), HookError> {
    let about = json!({"event": "test"});
    hook.run_until(pending(), pending::<()>, &about).await
}

async fn error_of(hook: &Hook) -> String {
    Failure::from(run(hook).await.unwrap_err()).in_one_line().0
}

#[test]
fn a_hook_has_a_program() {
    for arguments in [vec![], vec![""], vec!["", "a"], vec!["a", "b\0"]] {
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        assert!(Hook::try_from(arguments.clone()).is_err(), "{arguments:?}");
    }
}

#[test]
fn a_hook_is_shown_as_a_shell_takes_it() {
    let shown = hook(&["/usr/local/bin/page", "--team", "it's ops", ""]).to_string();
    assert_eq!(shown, r"/usr/local/bin/page --team 'it'\''s ops' ''");
}

#[test]
fn only_a_program_with_a_slash_starts_at_the_directory() {
    for (program, expected) in [
        ("page", "page"),
        ("./page", "/etc/keep/page"),
        ("hooks/page", "/etc/keep/hooks/page"),
        ("/bin/page", "/bin/page"),
    ] {
        let hook = hook(&[program, "a/b"]).relative_to(Path::new("/etc/keep"));
        assert_eq!(hook.arguments, [expected, "a/b"]);
    }
}

#[test]
fn a_script_needs_the_interpreter_that_its_first_line_names() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("page");
    let is_proved = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        hook(&[path.to_str().unwrap()]).prove().is_ok()
    };
    for text in ["#!/bin/sh\n", "#! /bin/sh -e\n", "#!\t/bin/sh", "exit\r\n"] {
        assert!(is_proved(text), "{text:?}");
    }
    for text in ["#!/bin/sh\r\n", "#!/nowhere/sh\n"] {
        assert!(!is_proved(text), "{text:?}");
    }
}

#[test]
fn credentials_are_not_in_its_environment() {
    let mut hook = hook(&["true"]);
    hook.hide(&["CF_PROD_TOKEN".to_owned()]);
    let command = hook.command();
    let removed: Vec<_> = command.get_envs().filter(|(_, to)| to.is_none()).collect();
    for variable in [
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_API_KEY",
        "CLOUDFLARE_EMAIL",
        "CF_API_TOKEN",
        "CF_ACCESS_CLIENT_SECRET",
        "CLOUDFLARE_ACCESS_CLIENT_SECRET",
        "TUNNEL_SERVICE_TOKEN_SECRET",
        "CF_PROD_TOKEN",
    ] {
        assert!(
            removed.iter().any(|(name, _)| *name == variable),
            "{variable}"
        );
    }
    assert_eq!(removed.len(), command.get_envs().len(), "nothing is added");
}

#[tokio::test]
async fn no_shell_reads_its_arguments_and_json_is_on_its_input() {
    let shell = Shell::new();
    let mut hook = shell.hook(r#"cat >input; printf '<%s>' "$@" >arguments"#);
    let words = ["sh", "a b", "$HOME", "*", "it's; false"];
    hook.arguments.extend(words.map(str::to_owned));
    let about = json!({"event": "test", "token": "a \"b\"\n$(c)"});
    hook.run_until(pending(), pending::<()>, &about)
        .await
        .unwrap();
    let read = |name| std::fs::read_to_string(shell.path(name)).unwrap();
    assert_eq!(read("arguments"), "<a b><$HOME><*><it's; false>");
    let input = read("input");
    assert!(input.ends_with("}\n"));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&input).unwrap(),
        about
    );
}

#[tokio::test]
async fn a_hook_need_not_read_its_input() {
    let shell = Shell::new();
    // More than a pipe holds.
    let about = json!({"names": "a".repeat(1 << 20)});
    for script in [
        ":",
        "exec <&-",
        "head -c 9 >/dev/null",
        // A process that it leaves behind has the pipe, and never reads it.
        "cat never >/dev/null 2>&1 &",
    ] {
        let hook = shell.hook(script);
        let ran = hook.run_until(pending(), pending::<()>, &about).await;
        assert!(ran.is_ok(), "{script}: {ran:?}");
    }
    // Ends what was left behind.
    drop(
        std::fs::File::options()
            .write(true)
            .open(shell.path("never")),
    );
    // One that reads gets all of it.
    let hook = shell.hook("cat >input");
    hook.run_until(pending(), pending::<()>, &about)
        .await
        .unwrap();
    let input = std::fs::read(shell.path("input")).unwrap();
    assert_eq!(input.len(), (1 << 20) + r#"{"names":""}"#.len() + 1);
}

#[tokio::test]
async fn a_failure_says_how_the_hook_ended() {
    let shell = Shell::new();
    let ended = error_of(&hook(&["sh", "-c", "exit 3"])).await;
    assert_eq!(ended, "the hook sh -c 'exit 3' exited with 3");
    let killed = error_of(&hook(&["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(killed, "the hook sh -c 'kill -9 $$' was killed by signal 9");

    let missing = run(&hook(&["/nowhere/page"])).await.unwrap_err();
    let words = missing.to_string();
    assert!(
        words.starts_with("the hook /nowhere/page can't be run: No such file"),
        "{words}"
    );
    assert!(missing.next().unwrap().contains("exist"));

    std::fs::write(shell.path("page"), "#!/bin/sh\n").unwrap();
    let path = shell.path("page");
    let refused = run(&hook(&[path.to_str().unwrap()])).await.unwrap_err();
    assert!(refused.next().unwrap().contains("chmod +x"), "{refused}");
}

/// A process group that ignores SIGTERM, with a grandchild that keeps a pipe open. It writes
/// to the pipe once it can be given up.
const STUBBORN: &str =
    "exec 3>alive; trap '' TERM; (read line <never) & echo started >started; read line <never";

#[tokio::test]
async fn a_hook_that_hangs_is_killed_with_all_of_its_processes() {
    let shell = Shell::new();
    let ended = shell.all_ended();
    let hook = shell.hook(STUBBORN);
    let too_long = shell.started(Cause::TimedOut);
    let error = hook
        .run_until(too_long, async || (), &())
        .await
        .unwrap_err();
    let words = error.to_string();
    assert!(
        words.ends_with("was killed: it ran for more than 60 seconds"),
        "{words}"
    );
    ended.await.unwrap();
}

#[tokio::test]
async fn a_hook_may_end_by_itself_when_it_is_terminated() {
    let shell = Shell::new();
    let ended = shell.all_ended();
    let script =
        "exec 3>alive; trap 'echo tidy >&3; exit 0' TERM; (echo >started; read line <never) & wait";
    let too_long = shell.started(Cause::Interrupted);
    let mut said = String::new();
    let grace = async || said = ended.await.unwrap();
    let ran = shell.hook(script).run_until(too_long, grace, &()).await;
    assert!(
        ran.unwrap_err()
            .to_string()
            .contains("the command was interrupted")
    );
    assert_eq!(said, "tidy\n");
}

#[tokio::test]
async fn the_group_is_killed_if_nobody_waits_for_it() {
    let shell = Shell::new();
    let ended = shell.all_ended();
    let hook = shell.hook(STUBBORN);
    tokio::select! {
        ran = hook.run_until(pending(), pending::<()>, &()) => panic!("{ran:?}"),
        cause = shell.started(Cause::Interrupted) => drop(cause),
    }
    ended.await.unwrap();
}
