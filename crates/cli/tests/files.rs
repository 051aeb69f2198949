//! A file that a secret replaces: what can't be replaced is refused before the API is
//! called, and what is replaced keeps all but the secret.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use cf_service_tokens_simulator::Operation;
use rustix::fs::XattrFlags;
use support::{CLIENT_ID, ID, OLD_SECRET, Ran, World, read, secrets_in};

/// Another user, which every Linux has.
const NOBODY: u32 = 65_534;

/// Reports a test that this machine can't run. On CI that is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(what: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{what}: CI=true skips nothing"
    );
    eprintln!("SKIPPED: {what}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as root: by itself, or through a sudo that asks for nothing.
fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

/// Runs a command as root. Returns whether it succeeded.
fn done_as_root(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = as_root(program);
    let output = command.args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs the command after some shell commands, in a mount namespace of its own.
fn with_mounts(world: &World, mounts: &str, arguments: &[&str]) -> Option<Ran> {
    let environment = world.environment();
    let environment = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let mut command = as_root("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-ec",
            &format!("{mounts}; exec \"$@\""),
            "sh",
            "env",
        ])
        .args(environment)
        .arg(env!("CARGO_BIN_EXE_cf-service-tokens"))
        .args(arguments)
        .current_dir(world.directory.path());
    let is_possible = as_root("unshare").args(["--mount", "true"]).status();
    is_possible
        .is_ok_and(|status| status.success())
        .then(|| Ran::of(&mut command))
}

fn rotate(world: &World, sink: &str) -> Ran {
    world.run(&["rotate", ID, "--secret-to", sink])
}

/// The sink is refused, for this reason, with nothing sent and nothing left.
fn assert_refused(world: &World, ran: &Ran, why: &str) {
    assert_eq!(ran.code, Some(2), "{why}: {}", ran.shown());
    assert!(ran.stderr.contains(why), "{why}: {}", ran.shown());
    assert!(
        ran.stderr.contains("nothing was changed"),
        "{}",
        ran.shown()
    );
    assert!(world.simulator.requests().is_empty(), "{why}");
    assert_eq!(world.journal_text(), "", "{why}");
    let names = fs::read_dir(world.directory.path()).unwrap();
    for name in names {
        let name = name.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("cf-service-tokens.new"), "{why}: {name}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_path_that_can_not_be_replaced_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("directory")).unwrap();
    fs::write(world.path("target"), OLD_SECRET).unwrap();
    symlink("target", world.path("link")).unwrap();
    symlink("none", world.path("dangling")).unwrap();
    fs::hard_link(world.path("target"), world.path("other-name")).unwrap();
    let fifo = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, world.path("fifo"), fifo).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    for (path, why) in [
        ("directory", "it is a directory; use a file in it"),
        (
            "link",
            "it is a symbolic link; use the file that it points to",
        ),
        ("dangling", "it is a symbolic link"),
        ("target", "it has another name (a hard link)"),
        ("fifo", "command:'cat > ...'"),
        ("socket", "it is not a regular file"),
        ("/dev/full", "it is not a regular file"),
        ("/dev/zero", "command:'cat > ...'"),
        ("no/such/file", "No such file or directory"),
        ("target/file", "Not a directory"),
        ("..", "it is a directory"),
        (".x.cf-service-tokens.new", "the name is kept for"),
    ] {
        for kind in ["", "file:", "env-file:"] {
            let ran = rotate(&world, &format!("{kind}{path}"));
            assert_refused(&world, &ran, why);
        }
    }
    assert_eq!(read(&world.path("target")), OLD_SECRET);
}

#[test]
fn a_mount_point_is_refused() {
    for kind in ["", "file:", "env-file:"] {
        let world = World::new();
        fs::write(world.path("host"), OLD_SECRET).unwrap();
        fs::write(world.path("mounted"), OLD_SECRET).unwrap();
        let sink = format!("{kind}mounted");
        let rotate = ["rotate", ID, "--revoke-now", "--secret-to", &sink];
        let mount = "mount --bind host mounted";
        let Some(ran) = with_mounts(&world, mount, &rotate) else {
            return skip("bind mounts");
        };
        assert_refused(&world, &ran, "it is a mount point");
        assert!(
            ran.stderr.contains("mount its directory"),
            "{}",
            ran.shown()
        );

        // So it is done with the directory.
        let mount = "mkdir data && cp host data/mounted && mount --bind data data";
        let sink = format!("{kind}data/mounted");
        let rotate = ["rotate", ID, "--secret-to", &sink];
        let ran = with_mounts(&world, mount, &rotate).unwrap();
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let [.., secret] = &secrets_in(&read(&world.path("data/mounted")))[..] else {
            panic!("{}", ran.shown());
        };
        assert!(world.opens(secret));
    }
}

#[test]
fn a_directory_that_can_not_be_written_is_refused() {
    let world = World::new();
    let read_only = "mkdir data && echo A=1 > data/env && mount --bind data data && \
                     mount -o remount,bind,ro data";
    let rotate = ["rotate", ID, "--secret-to", "env-file:data/env"];
    let Some(ran) = with_mounts(&world, read_only, &rotate) else {
        return skip("bind mounts");
    };
    assert_refused(&world, &ran, "Read-only file system");
    assert!(
        ran.stderr.contains("no file can be created beside it"),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_file_that_can_not_be_changed_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("directory")).unwrap();
    for name in ["fixed", "grows", "directory/file"] {
        fs::write(world.path(name), OLD_SECRET).unwrap();
    }
    let set = [("fixed", "+i"), ("grows", "+a"), ("directory", "+a")];
    let is_set = set.map(|(name, flag)| done_as_root("chattr", &[flag], &world.path(name)));
    let ran = ["fixed", "grows", "directory/file"].map(|sink| rotate(&world, sink));
    for (name, _) in set {
        done_as_root("chattr", &["-i", "-a"], &world.path(name));
    }
    if !is_set.iter().all(|is_set| *is_set) {
        return skip("file attributes");
    }
    for (ran, why) in ran
        .iter()
        .zip(["chattr -i", "chattr -a", "chattr -a on its directory"])
    {
        assert_refused(&world, ran, why);
    }
    assert_eq!(read(&world.path("fixed")), OLD_SECRET);
}

#[test]
fn a_path_inside_the_journal_is_refused() {
    let world = World::new();
    let journal = world.journal();
    fs::create_dir(&journal).unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(journal.join("deeper")).unwrap();
    symlink(&journal, world.path("link")).unwrap();
    for path in [
        "journal/app.jsonl".to_owned(),
        format!("journal/rotate-{ID}.jsonl"),
        format!("journal/{ID}.lock"),
        "journal/deeper/secret".to_owned(),
        "journal/../journal/secret".to_owned(),
        "link/secret".to_owned(),
    ] {
        for kind in ["", "file:", "env-file:"] {
            let ran = rotate(&world, &format!("{kind}{path}"));
            assert_refused(&world, &ran, "it is in the journal; use a file elsewhere");
        }
    }
    // Nor does an interrupted run end there.
    let world = World::new();
    rotate(&world, "command:exit 7");
    let entry = format!("rotate-{ID}");
    let record = format!("journal/{entry}.jsonl");
    let finish = ["journal", "finish", &entry, "--secret-to", &record];
    let ran = world.run(&finish);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(!secrets_in(&world.journal_text()).is_empty());
}

#[test]
fn a_bare_file_that_holds_more_than_a_secret_is_refused() {
    let env = "DATABASE_URL=postgres://x\nSMTP_PASSWORD=hunter2\n# keep me\n";
    for content in [
        env.as_bytes(),
        b"A=1",
        b"CF_ACCESS_CLIENT_SECRET=cfast_oldoldoldoldoldoldoldoldold",
        b"short",
        b"two words that are no secret",
        // API tokens, and another kind of key.
        b"cfut_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34c",
        b"aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n",
        b"f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
        b"cfast_oldoldoldoldoldoldoldold\ncfast_oldoldoldoldoldoldoldold\n",
        b"\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9",
        b"{\"password\":\"hunter222222222222\"}",
        &vec![b'x'; 2 * 1024 * 1024],
    ] {
        let world = World::new();
        fs::write(world.path("app.env"), content).unwrap();
        let ran = rotate(&world, "app.env");
        assert_refused(
            &world,
            &ran,
            "it does not hold just the secret of a service token",
        );
        for other in ["env-file:", "file:"] {
            let path = world.path("app.env");
            let other = format!("{other}{}", path.display());
            assert!(ran.stderr.contains(&other), "{}", ran.shown());
        }
        assert_eq!(fs::read(world.path("app.env")).unwrap(), content);
    }
}

#[test]
fn a_bare_file_that_holds_a_secret_or_nothing_is_replaced() {
    for content in [
        "",
        "\n",
        OLD_SECRET,
        "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd\r\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    ] {
        let world = World::new();
        fs::write(world.path("secret"), content).unwrap();
        let ran = rotate(&world, "secret");
        assert_eq!(ran.code, Some(0), "{content:?}: {}", ran.shown());
        assert!(world.opens(&read(&world.path("secret"))));
    }
    // With `file:`, anything is replaced.
    let world = World::new();
    fs::write(world.path("app.env"), "A=1\n").unwrap();
    assert_eq!(rotate(&world, "file:app.env").code, Some(0));
    assert!(world.opens(&read(&world.path("app.env"))));
}

#[test]
fn a_new_file_is_its_owners_alone() {
    for (sink, path) in [("new", "new"), ("env-file:new.env", "new.env")] {
        let world = World::new();
        assert_eq!(rotate(&world, sink).code, Some(0));
        assert_eq!(mode(&world.path(path)), 0o600);
    }
}

#[test]
fn a_replaced_file_keeps_its_mode() {
    for expected in [0o600, 0o400, 0o640, 0o644, 0o660] {
        for kind in ["file:", "env-file:"] {
            let world = World::new();
            let path = world.path("app");
            fs::write(&path, "A=1\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(expected)).unwrap();
            let ran = rotate(&world, &format!("{kind}app"));
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
            assert_eq!(mode(&path), expected, "{kind}");
        }
    }
}

#[test]
fn a_replaced_file_keeps_its_owner_or_is_refused() {
    for kind in ["file:", "env-file:"] {
        let world = World::new();
        let path = world.path("app");
        fs::write(&path, "A=1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let owner = format!("{NOBODY}:{NOBODY}");
        if !done_as_root("chown", &[&owner], &path) {
            return skip("another user's file");
        }
        let ran = rotate(&world, &format!("{kind}app"));
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY));
        assert_eq!(mode(&path), 0o644);
        if is_root() {
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
            let secrets = secrets_in(&read(&path));
            assert!(world.opens(&secrets[0]), "{secrets:?}");
        } else {
            assert_refused(&world, &ran, "its owner and group can't be kept");
        }
    }
}

#[test]
fn somebody_elses_file_is_refused() {
    if !is_root() {
        // The test above has shown it.
        return;
    }
    let world = World::new();
    let directory = world.directory.path();
    let program = world.path("program");
    fs::copy(env!("CARGO_BIN_EXE_cf-service-tokens"), &program).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    for (owner, name) in [(0, "roots"), (NOBODY, "own")] {
        fs::write(world.path(name), OLD_SECRET).unwrap();
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(world.path(name), readable).unwrap();
        std::os::unix::fs::chown(world.path(name), Some(owner), Some(0)).unwrap();
    }
    for (name, why) in [
        ("roots", "its owner and group can't be kept"),
        ("own", "its owner and group can't be kept"),
    ] {
        let mut command = Command::new("setpriv");
        let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        command
            .args(ids)
            .arg("--clear-groups")
            .arg(&program)
            .args(["rotate", ID, "--secret-to", name])
            .current_dir(directory)
            .envs(world.environment());
        let ran = Ran::of(&mut command);
        assert_refused(&world, &ran, why);
        assert!(
            ran.stderr.contains("command:'cat > ...'"),
            "{}",
            ran.shown()
        );
        assert_eq!(read(&world.path(name)), OLD_SECRET);
    }
}

/// A POSIX access control list: its owner may read and write, `NOBODY` may read.
fn acl() -> Vec<u8> {
    const VERSION: u32 = 2;
    let mut acl = VERSION.to_le_bytes().to_vec();
    for (tag, mode, id) in [
        (0x01_u16, 6_u16, u32::MAX),
        (0x02, 4, NOBODY),
        (0x04, 0, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(mode.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

const ACCESS: &str = "system.posix_acl_access";

fn acl_of(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::getxattr(path, ACCESS, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn a_replaced_file_keeps_its_access_control_list() {
    let world = World::new();
    let path = world.path("secret");
    fs::write(&path, OLD_SECRET).unwrap();
    if rustix::fs::setxattr(&path, ACCESS, &acl(), XattrFlags::empty()).is_err() {
        return skip("access control lists");
    }
    let before = (acl_of(&path), mode(&path));
    assert_eq!(rotate(&world, "secret").code, Some(0));
    assert_eq!((acl_of(&path), mode(&path)), before);
    assert!(world.opens(&read(&path)));

    // Nor is it given one that its directory has for new files.
    let world = World::new();
    fs::create_dir(world.path("app")).unwrap();
    let path = world.path("app/secret");
    fs::write(&path, OLD_SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let default = "system.posix_acl_default";
    rustix::fs::setxattr(world.path("app"), default, &acl(), XattrFlags::empty()).unwrap();
    assert_eq!(rotate(&world, "app/secret").code, Some(0));
    assert_eq!((acl_of(&path), mode(&path)), (None, 0o640));
}

/// A small file system of its own, until the value is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs"];
        done_as_root("mount", &options, &path).then_some(Self(path))
    }

    /// Writes until the disk is full.
    fn fill(path: &Path) {
        let mut file = fs::File::create(path).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        done_as_root("umount", &[], &self.0);
    }
}

#[test]
fn a_disk_that_fills_up_during_the_call_loses_no_secret() {
    for kind in ["file:", "env-file:"] {
        let (tell, told) = mpsc::channel();
        let filler = Arc::new(Mutex::new(None::<PathBuf>));
        let fill = Arc::clone(&filler);
        let world = World::with(support::builder().on_request(move |request| {
            let path = fill.lock().unwrap().clone();
            if let (Some(Operation::Rotate), Some(path)) = (request.operation, path) {
                Disk::fill(&path);
                tell.send(()).unwrap();
            }
        }));
        let Some(disk) = Disk::mount(world.path("disk")) else {
            return skip("a file system of its own");
        };
        *filler.lock().unwrap() = Some(disk.0.join("filler"));
        let old = format!("A={}\n", "x".repeat(9_000));
        fs::write(disk.0.join("app"), &old).unwrap();
        let ran = rotate(&world, &format!("{kind}disk/app"));
        told.recv().unwrap();
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let stored = read(&disk.0.join("app"));
        assert!(world.opens(&secrets_in(&stored)[0]));
        assert_eq!(stored.starts_with(&old), kind == "env-file:");
    }
}

#[test]
fn an_env_file_keeps_its_other_lines_byte_for_byte() {
    let world = World::new();
    let old = "# deploy\r\nA=1\r\nKEY=\"-----BEGIN\r\nCF=1\r\nEND-----\"\r\n\
               CF_ACCESS_CLIENT_SECRET=old\r\nLATIN=caf\u{e9}\r\nLAST='no line break'";
    fs::write(world.path("env"), old).unwrap();
    let ran = rotate(&world, "env-file:env");
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let text = read(&world.path("env"));
    let secret = &secrets_in(&text)[0];
    assert!(world.opens(secret));
    let expected = old.replace("=old\r", &format!("={secret}\r"));
    assert_eq!(
        text,
        format!("{expected}\r\nCF_ACCESS_CLIENT_ID={CLIENT_ID}\r\n")
    );
}

#[test]
fn a_shell_reads_what_is_in_an_env_file() {
    let world = World::new();
    let old = "KEY=\"BEGIN\nit's\nEND\"\nexport CF_ACCESS_CLIENT_ID='old' # whose\nB=2 \\\n\n";
    fs::write(world.path("env"), old).unwrap();
    let ran = rotate(&world, "env-file:env");
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let script =
        ". ./env; printf '%s|%s|%s' \"$KEY\" \"$CF_ACCESS_CLIENT_ID\" \"$CF_ACCESS_CLIENT_SECRET\"";
    let shell = Ran::of(
        Command::new("sh")
            .args(["-c", script])
            .current_dir(world.directory.path()),
    );
    let (read_by_shell, secret) = shell.stdout.rsplit_once('|').unwrap();
    assert_eq!(read_by_shell, format!("BEGIN\nit's\nEND|{CLIENT_ID}"));
    assert!(world.opens(secret), "{}", shell.shown());
}

#[test]
fn an_env_file_that_can_be_read_in_two_ways_is_refused() {
    for (content, why) in [
        (
            "A='first\nCF_ACCESS_CLIENT_SECRET=old\nlast'\n",
            "line 2 sets CF_ACCESS_CLIENT_SECRET inside the value that begins on line 1",
        ),
        (
            "A=1\nCF_ACCESS_CLIENT_SECRET=\"first\nlast\"\n",
            "the value of CF_ACCESS_CLIENT_SECRET on line 2 goes over several lines",
        ),
        (
            "A=1 \\\nexport CF_ACCESS_CLIENT_ID=old\n",
            "line 2 sets CF_ACCESS_CLIENT_ID inside the value that begins on line 1",
        ),
        ("A=1\\", "the last line ends with a backslash"),
        ("A=1\0\n", "it is not text"),
    ] {
        let world = World::new();
        fs::write(world.path("env"), content).unwrap();
        let ran = rotate(&world, "env-file:env");
        assert_refused(&world, &ran, why);
        assert_eq!(read(&world.path("env")), content);
    }
    let world = World::new();
    fs::write(world.path("env"), vec![b'#'; 2 * 1024 * 1024]).unwrap();
    assert_refused(&world, &rotate(&world, "env-file:env"), "larger than 1 MiB");
}
