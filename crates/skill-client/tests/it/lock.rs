//! `skills.toml` and `skills.lock`: reading, editing without loss, and what people are told.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use skill_client::lockfile::{LockChange, LockedSkill, Lockfile};
use skill_client::project::{Project, ProjectSkill, ProjectSource};
use skill_client::{Origin, SkillSource};
use skill_format::{Explain, Place, Range, Sha256, SkillName, Version};

fn project(text: &str) -> Project {
    Project::parse(Path::new("/p/skills.toml"), text)
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn mistake(text: &str) -> String {
    shown(&Project::parse(Path::new("/p/skills.toml"), text).expect_err(text))
}

fn lock_mistake(text: &str) -> String {
    shown(&Lockfile::parse("skills.lock", text).expect_err(text))
}

fn shown(error: &dyn Explain) -> String {
    let Place { file, line, field } = error.place().unwrap_or_default();
    format!(
        "{}:{}: {}{} [{}] help: {}",
        file.unwrap_or_default(),
        line.unwrap_or_default(),
        field.map(|field| format!("{field}: ")).unwrap_or_default(),
        error,
        error.code(),
        error.help().unwrap_or_default()
    )
}

fn name(text: &str) -> SkillName {
    text.parse().expect(text)
}

fn range(text: &str) -> Range {
    text.parse().expect(text)
}

const EVERYTHING: &str = r#"# What we use.
[skills]
charts = "^1.2" # for the weekly report
report = { version = "2", as = "team-report", agents = ["claude-code"] }
notes = { path = "../notes" }
csv = { git = "https://example.org/skills.git", rev = "main", path = "csv" }
inner = { version = "1", registry = "internal" }

[agents]
install = ["claude-code", "codex"]
copy = true

[agents.custom.our-agent]
project = ".our-agent/skills"

[registries]
internal = "https://skills.example.com"

[overrides]
colors = "1.4.0"

[policy]
registry = "internal"
minimum-release-age = "3d"
allow-unsigned = true

[[audit.ignore]]
id = "OSV-2026-1"
skill = "charts"
reason = "we never open untrusted files with it"
expires = 2027-01-31
"#;

#[test]
fn a_project_says_everything_it_can_say() {
    let project = project(EVERYTHING);
    let wishes = project.wishes();
    assert_eq!(wishes.skills.len(), 5);
    let direct: Vec<String> = project
        .requirements()
        .iter()
        .map(|wish| format!("{} {}", wish.name, wish.range))
        .collect();
    assert_eq!(direct, ["charts ^1.2"]);
    assert_eq!(project.special().count(), 4);
    assert_eq!(project.agents_for(&name("team-report")), ["claude-code"]);
    assert_eq!(
        project.agents_for(&name("charts")),
        ["claude-code", "codex"]
    );
    assert!(wishes.agents.copy && wishes.policy.allow_unsigned);
    assert_eq!(
        wishes.policy.minimum_release_age.expect("set").as_hours(),
        72
    );
    assert_eq!(wishes.overrides[&name("colors")].to_string(), "1.4.0");
    assert_eq!(
        wishes.suppressions[0].expires.expect("set").to_string(),
        "2027-01-31"
    );
    assert_eq!(
        wishes.agents.custom["our-agent"].0.as_deref(),
        Some(".our-agent/skills")
    );
    assert_eq!(project.to_string(), EVERYTHING);

    let git = project
        .source_of(&wishes.skills[&name("csv")])
        .expect("a source");
    assert!(matches!(git, SkillSource::Git(_)), "{git}");
}

#[test]
fn mistakes_are_shown_with_their_place() {
    insta::assert_snapshot!(
        [
            "[skils]\n",
            "[skills]\ncharts = 1\n",
            "[skills]\ncharts = \"^one\"\n",
            "[skills]\n\nCharts = \"1\"\n",
            "[skills]\ncharts = { verion = \"1\" }\n",
            "[skills.charts]\npath = \"x\"\nversion = \"1\"\n",
            "[skills]\na = { version = \"1\", as = \"b\" }\nb = \"1\"\n",
            "[policy]\nminimum-release-age = \"3 days\"\n",
            "[policy]\nallow-unsigned = \"yes\"\n",
            "[[audit.ignore]]\nid = \"X\"\n",
            "[agents.custom.x]\n",
            "[skills]\ncharts = \n",
            "[skills]\na = \"1\"\na = \"2\"\n",
        ]
        .map(mistake)
        .join("\n"),
        @r#"
    skills.toml:1: skils: there is no such setting [project-invalid] help: did you mean `skills`?
    skills.toml:2: skills.charts: this must be a version range in quotes, or a table [project-invalid] help: 
    skills.toml:2: skills.charts: `^one` does not fit here: `one` is not a version range: expected a number [project-invalid] help: 
    skills.toml:3: skills.Charts: the name `Charts` contains 'C' [project-invalid] help: use lower-case letters and digits in groups joined by single hyphens, such as `csv-analyzer`
    skills.toml:2: skills.charts.verion: there is no such setting [project-invalid] help: did you mean `version`?
    skills.toml:3: skills.charts.version: a skill from a folder has no `version` [project-invalid] help: 
    skills.toml:3: skills.b: two skills would be installed as `b` [project-invalid] help: give one of them another name with `as`
    skills.toml:2: policy.minimum-release-age: `3 days` is not a duration [project-invalid] help: write hours, days or weeks: "12h", "3d", "2w"
    skills.toml:2: policy.allow-unsigned: this must be true or false [project-invalid] help: 
    skills.toml:1: audit.ignore.1: `reason` is missing [project-invalid] help: 
    skills.toml:1: agents.custom.x: an agent needs a `project` or a `global` folder [project-invalid] help: 
    skills.toml:2: this is not valid TOML: string values must be quoted, expected literal string [project-invalid] help: 
    skills.toml:3: this is not valid TOML: duplicate key [project-invalid] help:
    "#
    );
}

#[test]
fn edits_keep_comments_and_layout() {
    let mut project = project(EVERYTHING);
    project
        .require(&name("charts"), &range("^2"))
        .expect("edited");
    project
        .require(&name("report"), &range("3"))
        .expect("edited");
    project
        .require(&name("added"), &range("*"))
        .expect("edited");
    assert!(project.remove_skill(&name("notes")).expect("edited"));
    assert!(
        !project
            .remove_skill(&name("nothing"))
            .expect("nothing to edit")
    );
    let expected = EVERYTHING
        .replace("charts = \"^1.2\" # for", "charts = \"^2\" # for")
        .replace("report = { version = \"2\"", "report = { version = \"3\"")
        .replace("notes = { path = \"../notes\" }\n", "")
        .replace(
            "registry = \"internal\" }\n",
            "registry = \"internal\" }\nadded = \"*\"\n",
        );
    assert_eq!(project.to_string(), expected);
}

#[test]
fn the_comment_of_an_empty_project_stays_at_its_top() {
    let mut project = project("# What we use.\n");
    let edited = project.require(&name("charts"), &range("^1"));
    edited.expect("edited");
    assert_eq!(
        project.to_string(),
        "# What we use.\n[skills]\ncharts = \"^1\"\n"
    );
}

#[test]
fn a_project_begins_with_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert!(Project::read(dir.path()).expect("readable").is_none());
    let mut project = Project::read_or_new(dir.path()).expect("readable");
    project
        .require(&name("charts"), &range("^1"))
        .expect("edited");
    project
        .set_skill(&ProjectSkill {
            name: name("notes"),
            source: ProjectSource::Path("../notes".into()),
            alias: Some(name("my-notes")),
            agents: None,
        })
        .expect("edited");
    project.set_agents(&["codex".into()]).expect("edited");
    project.save().expect("saved");
    let text = std::fs::read_to_string(dir.path().join("skills.toml")).expect("written");
    assert_eq!(
        text,
        "[skills]\ncharts = \"^1\"\nnotes = { path = \"../notes\", as = \"my-notes\" }\n\n[agents]\ninstall = [\"codex\"]\n"
    );
    let read = Project::read(dir.path()).expect("readable").expect("there");
    assert_eq!(read.wishes(), project.wishes());
}

fn locked(skill: &str, version: &str, needs: &[(&str, &str)]) -> LockedSkill {
    LockedSkill {
        name: name(skill),
        version: version.parse().expect(version),
        source: Origin::Registry("https://skills.example.com".into()),
        sha256: Some(Sha256::of(format!("{skill} {version}").as_bytes())),
        size: Some(2048),
        signer: Some("0123456789ABCDEF0123456789ABCDEF01234567".into()),
        package: None,
        rev: None,
        dependencies: needs
            .iter()
            .map(|(skill, wanted)| (name(skill), range(wanted)))
            .collect(),
    }
}

fn lockfile(skills: impl IntoIterator<Item = LockedSkill>) -> Lockfile {
    let mut lockfile = Lockfile::new();
    lockfile.set_skills(skills);
    lockfile
}

#[test]
fn a_lockfile_is_sorted_and_reads_back() {
    let lock = lockfile([
        locked("charts", "1.4.0", &[("colors", "^1")]),
        locked("colors", "1.0.0", &[]),
    ]);
    let backwards = lockfile([
        locked("colors", "1.0.0", &[]),
        locked("charts", "1.4.0", &[("colors", "^1")]),
    ]);
    assert_eq!(lock.to_string(), backwards.to_string());
    insta::assert_snapshot!(lock, @r#"
    # Made by `skills`. Commit this file; `skills lock` changes it.
    version = 1

    [[skill]]
    name = "charts"
    version = "1.4.0"
    source = "https://skills.example.com"
    sha256 = "sha256:4031d1938207678d98c1aed1ef99c133b33ef22ec6fababcd36dee8e6e3c3a6d"
    size = 2048
    signer = "0123456789ABCDEF0123456789ABCDEF01234567"
    dependencies = { colors = "^1" }

    [[skill]]
    name = "colors"
    version = "1.0.0"
    source = "https://skills.example.com"
    sha256 = "sha256:8005793267704cb22643e26479281b21b21cac9762ff0c2493a20a71a544a1e1"
    size = 2048
    signer = "0123456789ABCDEF0123456789ABCDEF01234567"
    "#);
    let read = Lockfile::parse("skills.lock", &lock.to_string()).expect("valid");
    assert_eq!(read.skills(), lock.skills());
}

#[test]
fn unknown_keys_tables_and_comments_survive_an_update() {
    let text = r#"# Mine.
version = 1
made-by = "a newer program"

[[skill]]
name = "charts" # pinned for the demo
version = "1.4.0"
source = "https://skills.example.com"
scanned = { verdict = "pass" }

[[skill]]
name = "gone"
version = "1.0.0"
source = "https://skills.example.com"

# Kept by the newer program.
[metadata]
mirror = true
"#;
    let mut lock = Lockfile::parse("skills.lock", text).expect("valid");
    let charts = lock.get(&name("charts")).expect("locked").clone();
    let kept: Vec<LockedSkill> = lock.skills().values().cloned().collect();
    lock.set_skills(kept);
    assert_eq!(
        lock.to_string(),
        text,
        "nothing changed, so nothing is rewritten"
    );

    lock.set_skills([
        LockedSkill {
            version: Version::new(1, 5, 0),
            ..charts.clone()
        },
        locked("apple", "0.1.0", &[]),
    ]);
    let written = lock.to_string();
    for kept in [
        "# Mine.",
        "made-by",
        "# pinned for the demo",
        "scanned = { verdict = \"pass\" }",
        "# Kept by the newer",
        "mirror = true",
    ] {
        assert!(written.contains(kept), "{kept}\n{written}");
    }
    assert!(!written.contains("gone"));
    let order: Vec<usize> = ["version = 1\n", "\"apple\"", "\"charts\"", "[metadata]"]
        .iter()
        .map(|part| {
            written
                .find(part)
                .unwrap_or_else(|| panic!("{part}\n{written}"))
        })
        .collect();
    assert!(order.is_sorted(), "{written}");
    let again = Lockfile::parse("skills.lock", &written).expect("valid");
    assert_eq!(again.skills(), lock.skills());
}

#[test]
fn a_lockfile_that_cannot_be_used_says_what_to_do() {
    insta::assert_snapshot!(
        [
            "",
            "version = 2\n",
            "version = \"1\"\n",
            "version = 1\n<<<<<<< HEAD\n[[skill]]\n=======\n>>>>>>> theirs\n",
            "version = 1\n[[skill]]\nname = \"a\"\nversion = \"1\"\nsource = \"https://x.example.com\"\n",
            "version = 1\n[[skill]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"somewhere\"\n",
            "version = 1\n[[skill]]\nname = \"a\"\nversion = \"1.0.0\"\n",
            "version = 1\n[[skill]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"dir:x\"\nsha256 = \"1234\"\n",
            "version = 1\n[[skill]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"dir:x\"\n[[skill]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"dir:x\"\n",
        ]
        .map(lock_mistake)
        .join("\n"),
        @r"
    skills.lock:0: there is no valid `version = 1` [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:0: skills.lock is of version 2; this program knows version 1 [lockfile-newer] help: update this program; writing the file would lose what the newer one put there
    skills.lock:0: there is no valid `version = 1` [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:2: skills.lock has merge conflict markers [lockfile-merge-conflict] help: settle skills.toml first, take either side of skills.lock, then run: skills lock
    skills.lock:4: skill.1.version: `1` does not fit here: unexpected end of input while parsing major version number [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:5: skill.1.source: `somewhere` is not a registry's URL, git+URL#COMMIT, file:PATH or dir:PATH [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:2: skill.1: `source` is missing [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:6: skill.1.sha256: `1234` does not fit here: a SHA-256 digest has 64 hex digits, this text has 4 characters [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    skills.lock:6: skill.2: `a` is locked twice [lockfile-invalid] help: take the last good version from your version control, or remove the file and run: skills lock
    "
    );
}

#[test]
fn the_difference_to_the_project_is_exact() {
    let project = project(
        "[skills]\ncharts = \"^2\"\nnew = \"1\"\nnotes = { path = \"../notes\" }\n\
         csv = { git = \"https://example.org/a.git\" }\n\
         ok = { git = \"https://bot@example.org/b.git\" }\n[overrides]\ncolors = \"^3\"\n",
    );
    let git = |url: &str| Origin::Git {
        url: url.into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        path: None,
    };
    let lock = lockfile([
        locked("charts", "1.4.0", &[("colors", "^1"), ("fonts", "^1")]),
        locked("colors", "1.0.0", &[]),
        locked("notes", "1.0.0", &[]),
        locked("old", "1.0.0", &[]),
        LockedSkill {
            source: git("https://example.org/other.git"),
            sha256: None,
            ..locked("csv", "1.0.0", &[])
        },
        LockedSkill {
            source: git("https://example.org/b.git"),
            sha256: None,
            ..locked("ok", "1.0.0", &[])
        },
    ]);
    let differences: Vec<String> = lock
        .differences(&project)
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(differences.join("\n"), @r"
    charts is locked at 1.4.0; skills.toml asks for ^2
    csv is locked from git+https://example.org/other.git#0123456789abcdef0123456789abcdef01234567; skills.toml takes it from https://example.org/a.git
    new is not locked; skills.toml asks for 1
    notes is locked from https://skills.example.com; skills.toml takes it from ../notes
    colors is locked at 1.0.0; charts 1.4.0 asks for ^3
    fonts is not locked; charts 1.4.0 asks for ^1
    old 1.0.0 is locked, and nothing asks for it
    ");
}

#[test]
fn a_lockfile_that_fits_has_no_difference() {
    let project = project("[skills]\ncharts = \"^1\"\nnotes = { path = \"../notes\" }\n");
    let lock = lockfile([
        locked("charts", "1.4.0", &[("colors", "^1")]),
        locked("colors", "1.0.0", &[("charts", "*")]),
        LockedSkill {
            source: Origin::Dir("../notes".into()),
            ..locked("notes", "0.1.0-dev", &[])
        },
    ]);
    assert_eq!(lock.differences(&project), []);
}

#[test]
fn paths_in_a_lockfile_start_from_the_project() {
    let absolute = LockedSkill {
        source: Origin::Dir("/home/u/p/skills/notes".into()),
        ..locked("notes", "1.0.0", &[])
    };
    let installed = skill_client::InstalledSkill {
        name: absolute.name.clone(),
        version: absolute.version.clone(),
        installed_at: jiff::Timestamp::UNIX_EPOCH,
        source: absolute.source.clone(),
        spec: None,
        checksum: Sha256::of(b"x"),
        digest: None,
        signer: None,
        package: None,
        requested: None,
        dependencies: BTreeMap::new(),
        extra: serde_json::Map::new(),
    };
    let locked = LockedSkill::from_installed(&installed, Some(7), Path::new("/home/u/p"));
    assert_eq!(locked.source.to_string(), "dir:skills/notes");
    assert_eq!(
        (locked.sha256, locked.size),
        (None, None),
        "a folder has no archive"
    );
    let release = locked.to_release(Path::new("/elsewhere/p"));
    assert_eq!(release.source.to_string(), "dir:/elsewhere/p/skills/notes");
}

#[test]
fn changes_between_lockfiles_are_told_apart() {
    let old = lockfile([
        locked("a", "1.0.0", &[]),
        locked("b", "1.0.0", &[]),
        locked("c", "1.0.0", &[]),
    ]);
    let new = lockfile([
        locked("b", "1.1.0", &[]),
        LockedSkill {
            signer: None,
            ..locked("c", "1.0.0", &[])
        },
        locked("d", "1.0.0", &[]),
    ]);
    let changes: Vec<String> = old
        .changes_to(&new)
        .iter()
        .map(LockChange::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "- a 1.0.0",
            "~ b 1.0.0 → 1.1.0",
            "~ c 1.0.0: signer",
            "+ d 1.0.0"
        ]
    );
    assert_eq!(old.changes_to(&old), []);
}

#[test]
fn a_lockfile_is_written_only_if_it_changes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert!(Lockfile::read(dir.path()).expect("readable").is_none());
    let lock = lockfile([locked("a", "1.0.0", &[])]);
    assert!(lock.write(dir.path()).expect("written"));
    assert!(!lock.write(dir.path()).expect("unchanged"));
    let read = Lockfile::read(dir.path())
        .expect("readable")
        .expect("there");
    assert_eq!(read.skills(), lock.skills());
}

fn any_locked() -> impl Strategy<Value = LockedSkill> {
    let needs =
        proptest::collection::btree_map("[a-z]{1,6}", "(\\^|~|=)[0-9]\\.[0-9]\\.[0-9]", 0..3);
    ("[a-z]{1,8}(-[a-z0-9]{1,4})?", 0..9u64, any::<bool>(), needs).prop_map(
        |(skill, minor, signed, needs)| {
            let mut locked = locked(&skill, &format!("1.{minor}.0"), &[]);
            if !signed {
                locked.signer = None;
                locked.size = None;
            }
            locked.dependencies = needs
                .iter()
                .filter_map(|(skill, wanted)| Some((skill.parse().ok()?, range(wanted))))
                .collect();
            locked
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_locked_reads_back_and_does_not_depend_on_history(
        first in proptest::collection::vec(any_locked(), 0..6),
        second in proptest::collection::vec(any_locked(), 0..6),
    ) {
        let mut lock = lockfile(first);
        let read = Lockfile::parse("skills.lock", &lock.to_string()).expect("valid");
        prop_assert_eq!(read.skills(), lock.skills());
        lock.set_skills(second.clone());
        let fresh = lockfile(second);
        prop_assert_eq!(lock.to_string(), fresh.to_string());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Lockfile::parse("skills.lock", &format!("version = 1\n{text}"));
        let _ = Project::parse(Path::new("/p/skills.toml"), &text);
    }
}
