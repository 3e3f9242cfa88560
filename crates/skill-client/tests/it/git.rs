//! Installing from git repositories that the test makes with the real program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use skill_client::git::GitLimits;
use skill_client::install::{InstallRequest, Status};
use skill_client::{Origin, Store};
use skill_format::Explain as _;

use crate::raw_server::{Answer, RawServer};
use crate::support::{Author, User, name};

/// A repository in a folder of its own.
struct Repository {
    dir: PathBuf,
}

impl Repository {
    fn new(user: &User) -> Self {
        let dir = user.folder().join("repository");
        std::fs::create_dir_all(&dir).expect("mkdir");
        let repository = Self { dir };
        repository.git(&["init", "--quiet", "-b", "main"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=test",
                "-c",
                "user.email=test@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(&self.dir)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits everything and returns the commit.
    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "a step"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn url(&self, fragment: &str) -> String {
        format!("file://{}{fragment}", self.dir.display())
    }

    fn add(&self, folder: &str, author: &Author) {
        author.write(&self.dir.join(folder));
    }
}

fn commit_of(store: &Store, skill: &str) -> (String, Option<String>) {
    match &store
        .index()
        .expect("an index")
        .get(&name(skill))
        .expect("installed")
        .source
    {
        Origin::Git { commit, path, .. } => (commit.clone(), path.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_skills_of_a_repository_are_installed_at_a_commit_that_is_noted() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("skills", &Author::of("alpha", "1.0.0"));
    repository.add("skills", &Author::of("beta", "1.0.0"));
    let commit = repository.commit();
    user.install(&user.request(&[&repository.url("")]))
        .await
        .expect("installs");
    assert_eq!(user.installed(), ["alpha@1.0.0", "beta@1.0.0"]);
    assert_eq!(
        commit_of(&user.store, "beta"),
        (commit, Some("skills/beta".into()))
    );
}

#[tokio::test]
async fn branches_tags_commits_and_folders_can_be_named() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("tools", &Author::of("alpha", "1.0.0"));
    repository.add("other", &Author::of("beta", "1.0.0"));
    let first = repository.commit();
    repository.git(&["tag", "v1"]);
    repository.git(&["branch", "old"]);
    repository.add("tools", &Author::of("alpha", "2.0.0"));
    let second = repository.commit();
    for (fragment, version, commit) in [
        ("#v1:tools", "1.0.0", &first),
        ("#old:tools/alpha", "1.0.0", &first),
        (&format!("#{first}:tools"), "1.0.0", &first),
        ("#main:tools", "2.0.0", &second),
        ("#:tools", "2.0.0", &second),
    ] {
        let store = user.other_store(&format!(
            "project{}",
            fragment.replace(['#', ':', '/'], "-")
        ));
        user.install_into(&store, &user.request(&[&repository.url(fragment)]))
            .await
            .expect(fragment);
        assert_eq!(
            crate::support::installed(&store),
            [format!("alpha@{version}")],
            "{fragment}"
        );
        assert_eq!(&commit_of(&store, "alpha").0, commit, "{fragment}");
    }
}

#[tokio::test]
async fn one_of_several_is_picked_and_a_bare_one_gets_a_version_from_its_commit() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("", &Author::bare("alpha"));
    repository.add("", &Author::bare("beta"));
    let commit = repository.commit();
    let request = InstallRequest {
        pick: vec![name("beta")],
        ..user.request(&[&repository.url("")])
    };
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), [format!("beta@0.0.0-g{}", &commit[..12])]);
}

#[tokio::test]
async fn an_update_follows_the_branch() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("", &Author::of("alpha", "1.0.0"));
    repository.add("", &Author::of("beta", "1.0.0"));
    repository.commit();
    let request = InstallRequest {
        pick: vec![name("alpha")],
        ..user.request(&[&repository.url("#main")])
    };
    user.install(&request).await.expect("installs");
    repository.add("", &Author::of("alpha", "1.0.0").file("new.md", "new\n"));
    let second = repository.commit();
    let update = InstallRequest::update(&user.store.index().expect("an index"), &[], false)
        .expect("a request");
    let outcome = user.install(&update).await.expect("updates");
    assert_eq!(
        outcome.skills[0].status,
        Status::Reinstalled,
        "the version is the same, its content is not"
    );
    assert_eq!(user.installed(), ["alpha@1.0.0"]);
    assert_eq!(commit_of(&user.store, "alpha").0, second);
}

#[tokio::test]
async fn what_was_installed_from_a_commit_is_fetched_again_from_it() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("", &Author::of("alpha", "1.0.0"));
    repository.commit();
    user.install(&user.request(&[&repository.url("")]))
        .await
        .expect("installs");
    let entry = user.entry("alpha");
    repository.add("", &Author::of("alpha", "1.0.1"));
    repository.commit();
    let locked = skill_client::install::LockedRelease {
        version: entry.version.clone(),
        sha256: Some(entry.checksum),
        signer: None,
        source: entry.source.clone(),
        dependencies: entry.dependencies.clone(),
    };
    let root = skill_client::resolver::Requirement {
        name: name("alpha"),
        range: "*".parse().expect("a range"),
        origin: "skills.toml".into(),
    };
    let request = InstallRequest {
        roots: vec![root],
        locked: [(name("alpha"), locked)].into(),
        frozen: true,
        ..InstallRequest::default()
    };
    user.cache.clear(|_| {}).await.expect("clears");
    let other = user.other_store("second");
    user.install_into(&other, &request).await.expect("installs");
    assert_eq!(crate::support::installed(&other), ["alpha@1.0.0"]);
    let mut wrong = request;
    wrong.locked.get_mut(&name("alpha")).expect("locked").sha256 =
        Some(skill_format::Sha256::of(b"else"));
    let error = user
        .install_into(&user.other_store("third"), &wrong)
        .await
        .expect_err("other content");
    assert_eq!(error.code(), "lock-checksum-mismatch");
}

#[tokio::test]
async fn nothing_of_a_repository_takes_effect_but_its_files() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add(
        "",
        &Author::of("alpha", "1.0.0")
            .file("crlf.txt", "a\r\nb\r\n")
            .file("subst.txt", "$Format:%H$\n"),
    );
    std::fs::write(
        repository.dir.join(".gitattributes"),
        "* filter=evil\n*.txt text eol=lf\nsubst.txt export-subst\nsecret.txt export-ignore\n",
    )
    .expect("write");
    std::fs::write(repository.dir.join("alpha/secret.txt"), "seen\n").expect("write");
    let touched = user.folder().join("touched");
    for (key, program) in [
        (
            "filter.evil.smudge",
            format!("touch {}; cat", touched.display()),
        ),
        ("core.fsmonitor", format!("touch {}", touched.display())),
    ] {
        repository.git(&["config", key, &program]);
    }
    std::os::unix::fs::symlink("/etc/passwd", repository.dir.join("outside")).expect("link");
    repository.git(&[
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "filter.evil.smudge=cat",
        "add",
        "-A",
    ]);
    repository.git(&[
        "-c",
        "core.fsmonitor=false",
        "commit",
        "--quiet",
        "-m",
        "traps",
    ]);
    let _ = std::fs::remove_file(&touched);
    user.install(&user.request(&[&repository.url("")]))
        .await
        .expect("installs");
    assert!(!touched.exists(), "no program of the repository ran");
    assert_eq!(user.read("alpha", "subst.txt"), "$Format:%H$\n");
    assert_eq!(user.read("alpha", "secret.txt"), "seen\n");
    assert!(!user.store.dir().join("outside").exists());
}

#[tokio::test]
async fn links_and_submodules_inside_a_skill_are_refused() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add("", &Author::of("alpha", "1.0.0"));
    std::os::unix::fs::symlink("/etc/passwd", repository.dir.join("alpha/passwd")).expect("link");
    repository.commit();
    assert_eq!(
        user.refused(&user.request(&[&repository.url("")])).await,
        "git-not-a-file"
    );
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let user = User::alone();
    let repository = Repository::new(&user);
    std::fs::write(repository.dir.join("README.md"), "nothing here\n").expect("write");
    repository.commit();
    assert_eq!(
        user.refused(&user.request(&[&repository.url("")])).await,
        "git-no-skill"
    );
    assert_eq!(
        user.refused(&user.request(&[&repository.url("#:tools")]))
            .await,
        "git-no-such-path"
    );
    let request = user.request(&[&repository.url("#nowhere")]);
    let error = user.install(&request).await.expect_err("no such branch");
    assert_eq!(error.code(), "git-failed");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_not_taken() {
    let user = User::alone();
    let repository = Repository::new(&user);
    repository.add(
        "",
        &Author::of("alpha", "1.0.0").file("large.txt", &"x".repeat(100_000)),
    );
    repository.commit();
    let mut request = user.request(&[&repository.url("")]);
    request.git_limits = GitLimits {
        read_bytes_max: 50_000,
        ..GitLimits::default()
    };
    assert_eq!(user.refused(&request).await, "git-too-large");
    request.git_limits = GitLimits {
        entries_max: 1,
        ..GitLimits::default()
    };
    assert_eq!(user.refused(&request).await, "git-too-large");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_so_are_gits_helpers() {
    let user = User::alone();
    let server = RawServer::start(|_, _| Answer::Silence).await;
    let mut request = user.request(&[&format!("{}/x.git", server.url)]);
    request.git_limits = GitLimits {
        time_max: Duration::from_millis(700),
        ..GitLimits::default()
    };
    assert_eq!(user.refused(&request).await, "git-timed-out");
    assert!(!server.requests().is_empty(), "git asked");
    // They have been killed; a moment later they are gone.
    let began = std::time::Instant::now();
    while !helpers_of(&server.url).is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            helpers_of(&server.url)
        );
        tokio::task::yield_now().await;
    }
}

/// Command lines of running processes that name this server.
fn helpers_of(url: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc")
        .expect("procfs")
        .filter_map(Result::ok);
    let command_lines =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let texts = command_lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts
        .filter(|text| text.contains("git") && text.contains(url))
        .collect()
}

#[tokio::test]
async fn a_password_in_a_url_is_in_no_message_and_no_file() {
    let user = User::alone();
    let error = user
        .install(&user.request(&["https://bob:hunter2@127.0.0.1:9/x.git"]))
        .await
        .expect_err("nobody there");
    assert_eq!(error.code(), "git-failed");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_archive_named_by_a_file_url_is_an_archive() {
    let user = User::alone();
    let folder = Author::of("alpha", "1.0.0").write(user.folder());
    let tree = skill_format::SkillTree::read_dir(&folder, &skill_format::Limits::default())
        .expect("a skill");
    let path: PathBuf = user.folder().join("alpha.spm");
    std::fs::write(&path, tree.pack()).expect("write");
    let request = InstallRequest {
        allow_unsigned: true,
        ..user.request(&[&url_of(&path)])
    };
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["alpha@1.0.0"]);
}

fn url_of(path: &Path) -> String {
    format!("file://{}", path.display())
}
