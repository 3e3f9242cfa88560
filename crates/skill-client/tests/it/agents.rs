//! Agents' folders: links and copies, conflicts, updates that stay where they belong.

use std::fs;
use std::path::{Path, PathBuf};

use skill_client::agents::{Agent, AgentTable, Roots, Scope};
use skill_client::link::{Change, Found, Installed, LinkOptions, LinkReport, Linker, Mode};
use skill_format::Explain as _;
use tempfile::TempDir;

const LINK: LinkOptions = LinkOptions {
    mode: Mode::Link,
    force: false,
};
const COPY: LinkOptions = LinkOptions {
    mode: Mode::Copy,
    force: false,
};
const FORCE: LinkOptions = LinkOptions {
    mode: Mode::Link,
    force: true,
};

/// A project with a store, and a home folder beside it.
struct Project {
    _dir: TempDir,
    root: PathBuf,
    roots: Roots,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir
            .path()
            .canonicalize()
            .expect("it exists")
            .join("project");
        fs::create_dir_all(root.join(".skills")).expect("mkdir");
        let roots = Roots::new(root.with_file_name("home")).with_project(&root);
        Self {
            _dir: dir,
            root,
            roots,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Puts a version of a skill into the store.
    fn store(&self, name: &str, version: &str) -> Installed {
        let folder = self.path(".skills").join(name).join(version);
        fs::create_dir_all(folder.join("scripts")).expect("mkdir");
        let text =
            format!("---\nname: {name}\ndescription: Test skill {version}.\n---\nDo {version}.\n");
        fs::write(folder.join("SKILL.md"), text).expect("write");
        fs::write(folder.join("scripts/run.sh"), "#!/bin/sh\n").expect("write");
        Installed {
            name: name.into(),
            folder,
        }
    }

    fn linker(&self) -> Linker<'_> {
        Linker::open(&self.path(".skills"), &self.roots, Scope::Project).expect("a store")
    }

    fn install(&self, skills: &[Installed], agents: &[&str], options: LinkOptions) -> LinkReport {
        let agents = AgentTable::builtin().select(agents).expect("known agents");
        self.linker()
            .install(skills, &agents, options)
            .expect("linked")
    }

    fn reads(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn changes(report: &LinkReport) -> Vec<&Change> {
    report.placed.iter().map(|placed| &placed.change).collect()
}

#[test]
fn a_link_is_relative_and_survives_a_move_of_the_project() {
    let project = Project::new();
    let report = project.install(&[project.store("a", "1.0.0")], &["claude-code"], LINK);
    assert_eq!(changes(&report), [&Change::Created]);
    let link = fs::read_link(project.path(".claude/skills/a")).expect("a link");
    assert_eq!(link, Path::new("../../.skills/a/1.0.0"));
    let moved = project.root.with_file_name("moved");
    fs::rename(&project.root, &moved).expect("move");
    assert!(
        fs::read_to_string(moved.join(".claude/skills/a/SKILL.md"))
            .expect("resolves")
            .contains("1.0.0")
    );

    // The moved project still knows what is its own.
    let roots = Roots::new("/nowhere").with_project(&moved);
    let mut linker = Linker::open(&moved.join(".skills"), &roots, Scope::Project).expect("a store");
    assert_eq!(linker.agents_of("a"), ["claude-code"]);
    let report = linker.uninstall(&["a".into()], false).expect("unlinked");
    assert_eq!(report.removed, [moved.join(".claude/skills/a")]);
    assert!(
        !moved.join(".claude").exists(),
        "folders made for it go with it"
    );
}

#[test]
fn all_agents_are_served_with_one_link_per_folder() {
    let project = Project::new();
    let skills: Vec<Installed> = (0..18)
        .map(|n| project.store(&format!("s{n}"), "1.0.0"))
        .collect();
    let all: Vec<&Agent> = AgentTable::builtin().iter().collect();
    let report = project
        .linker()
        .install(&skills, &all, LINK)
        .expect("linked");
    assert!(report.is_complete() && report.without_folder.is_empty());
    let served: usize = report
        .placed
        .iter()
        .filter(|placed| placed.skill == "s0")
        .map(|placed| placed.agents.len())
        .sum();
    assert_eq!(served, 79);
    for agent in &all {
        let folder = project
            .roots
            .folder(agent, Scope::Project)
            .expect("every agent has one");
        assert!(folder.join("s17/SKILL.md").is_file(), "{}", agent.id);
    }
    let shared = report
        .placed
        .iter()
        .filter(|placed| placed.path.ends_with(".agents/skills/s0"))
        .count();
    assert_eq!(shared, 1);

    let again = project
        .linker()
        .install(&skills, &all, LINK)
        .expect("linked");
    assert!(
        again
            .placed
            .iter()
            .all(|placed| placed.change == Change::Unchanged)
    );
    let names: Vec<String> = skills.iter().map(|skill| skill.name.clone()).collect();
    let removed = project.linker().uninstall(&names, false).expect("unlinked");
    assert_eq!(removed.removed.len(), report.placed.len());
    let left: Vec<_> = fs::read_dir(&project.root)
        .expect("list")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, [".skills"]);
}

#[test]
fn global_folders_leave_out_agents_that_have_none() {
    let project = Project::new();
    let skill = project.store("a", "1.0.0");
    let agents = AgentTable::builtin()
        .select(&["eve", "codex"])
        .expect("known");
    let mut linker =
        Linker::open(&project.path(".skills"), &project.roots, Scope::Global).expect("a store");
    let report = linker.install(&[skill], &agents, LINK).expect("linked");
    assert_eq!(report.without_folder, ["eve"]);
    assert!(
        project
            .roots
            .home()
            .join(".agents/skills/a/SKILL.md")
            .is_file()
    );
}

#[test]
fn folders_that_are_links_to_each_other_are_one_folder() {
    let project = Project::new();
    fs::create_dir_all(project.path(".agents/skills")).expect("mkdir");
    fs::create_dir_all(project.path(".claude")).expect("mkdir");
    std::os::unix::fs::symlink("../.agents/skills", project.path(".claude/skills")).expect("link");
    let report = project.install(
        &[project.store("a", "1.0.0")],
        &["codex", "claude-code"],
        LINK,
    );
    assert_eq!(report.placed.len(), 1);
    assert_eq!(report.placed[0].agents, ["claude-code", "codex"]);
    assert!(project.reads(".claude/skills/a/SKILL.md").contains("1.0.0"));
}

#[test]
fn an_update_does_not_leak_to_other_agents() {
    let project = Project::new();
    let (a, b) = (project.store("a", "1.0.0"), project.store("b", "1.0.0"));
    project.install(std::slice::from_ref(&a), &["claude-code"], LINK);
    project.install(std::slice::from_ref(&b), &["goose"], COPY);
    let newer = [project.store("a", "2.0.0"), project.store("b", "2.0.0")];
    let report = project.linker().refresh(&newer, false).expect("updated");
    assert_eq!(changes(&report), [&Change::Updated, &Change::Updated]);
    assert!(project.reads(".claude/skills/a/SKILL.md").contains("2.0.0"));
    assert!(project.reads(".goose/skills/b/SKILL.md").contains("2.0.0"));
    assert!(
        fs::read_link(project.path(".goose/skills/b")).is_err(),
        "a copy stays a copy"
    );
    assert!(!project.path(".goose/skills/a").exists());
    assert!(!project.path(".claude/skills/b").exists());
}

#[test]
fn an_update_does_not_bring_back_an_agent_that_was_removed() {
    let project = Project::new();
    project.install(
        &[project.store("a", "1.0.0")],
        &["claude-code", "goose"],
        LINK,
    );
    fs::remove_dir_all(project.path(".goose")).expect("remove");
    let report = project
        .linker()
        .refresh(&[project.store("a", "2.0.0")], false)
        .expect("updated");
    assert_eq!(report.gone, [project.path(".goose/skills")]);
    assert!(!project.path(".goose").exists());
    assert_eq!(project.linker().agents_of("a"), ["claude-code"]);
}

#[test]
fn a_foreign_folder_is_never_overwritten_silently() {
    let project = Project::new();
    let mine = project.path(".claude/skills/a");
    fs::create_dir_all(&mine).expect("mkdir");
    fs::write(mine.join("SKILL.md"), "mine").expect("write");
    std::os::unix::fs::symlink("SKILL.md", mine.join("link.md")).expect("link");
    let skill = [project.store("a", "1.0.0")];

    let report = project.install(&skill, &["claude-code", "goose"], LINK);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(report.conflicts[0].found, Found::ForeignFolder);
    assert!(report.conflicts[0].help().contains("--force"));
    assert_eq!(
        changes(&report),
        [&Change::Created],
        "the other agent is served"
    );
    assert_eq!(project.reads(".claude/skills/a/SKILL.md"), "mine");
    assert_eq!(project.linker().agents_of("a"), ["goose"]);

    let forced = project.install(&skill, &["claude-code"], FORCE);
    let Change::Replaced(backup) = &forced.placed[0].change else {
        panic!("{forced:?}");
    };
    assert_eq!(
        fs::read_to_string(backup.join("SKILL.md")).expect("kept"),
        "mine"
    );
    assert!(backup.join("link.md").is_symlink());
    assert!(project.reads(".claude/skills/a/SKILL.md").contains("1.0.0"));
}

#[test]
fn links_of_others_are_told_from_broken_links_of_ours() {
    let project = Project::new();
    let skill = [project.store("a", "1.0.0")];
    let folder = project.path(".claude/skills");
    fs::create_dir_all(&folder).expect("mkdir");
    std::os::unix::fs::symlink("../../elsewhere", folder.join("a")).expect("link");
    let report = project.install(&skill, &["claude-code"], LINK);
    assert!(matches!(
        report.conflicts[0].found,
        Found::ForeignLink { dangling: true, .. }
    ));

    fs::remove_file(folder.join("a")).expect("remove");
    std::os::unix::fs::symlink("../../.skills/a/0.9.0", folder.join("a")).expect("link");
    let report = project.install(&skill, &["claude-code"], LINK);
    assert_eq!(changes(&report), [&Change::Repaired]);
    assert!(project.reads(".claude/skills/a/SKILL.md").contains("1.0.0"));
}

#[test]
fn a_changed_copy_is_kept_by_update_and_uninstall() {
    let project = Project::new();
    project.install(&[project.store("a", "1.0.0")], &["goose"], COPY);
    let edited = project.path(".goose/skills/a/SKILL.md");
    fs::write(&edited, "my own notes").expect("write");

    let newer = [project.store("a", "2.0.0")];
    let report = project.linker().refresh(&newer, false).expect("updated");
    assert_eq!(report.conflicts[0].found, Found::ChangedCopy);
    assert_eq!(fs::read_to_string(&edited).expect("kept"), "my own notes");

    let removed = project
        .linker()
        .uninstall(&["a".into()], false)
        .expect("unlinked");
    let kept = &removed.kept[0];
    assert_eq!(kept.path, project.path(".goose/skills/a"));
    assert_eq!(kept.found, Found::ChangedCopy);
    assert_eq!(kept.agents, ["goose"]);
    assert!(edited.is_file());
}

#[test]
fn a_changed_copy_is_saved_aside_by_a_forced_uninstall() {
    let project = Project::new();
    project.install(&[project.store("a", "1.0.0")], &["goose"], COPY);
    let edited = project.path(".goose/skills/a/SKILL.md");
    fs::write(&edited, "my own notes").expect("write");
    let removed = project.linker().uninstall(&["a".into()], true);
    let removed = removed.expect("unlinked");
    assert_eq!((removed.kept, removed.failures), (vec![], vec![]));
    let saved = removed.backups[0].join("SKILL.md");
    assert_eq!(fs::read_to_string(saved).expect("saved"), "my own notes");
    assert!(!edited.exists());
}

#[test]
fn the_same_files_put_there_by_hand_are_adopted() {
    let project = Project::new();
    let skill = project.store("a", "1.0.0");
    let by_hand = project.path(".claude/skills/a/scripts");
    fs::create_dir_all(&by_hand).expect("mkdir");
    fs::copy(
        skill.folder.join("SKILL.md"),
        by_hand.with_file_name("SKILL.md"),
    )
    .expect("copy");
    fs::copy(skill.folder.join("scripts/run.sh"), by_hand.join("run.sh")).expect("copy");
    let report = project.install(&[skill], &["claude-code"], LINK);
    assert_eq!(changes(&report), [&Change::Adopted]);
    assert!(project.path(".claude/skills/a").is_symlink());
}

#[test]
fn a_link_becomes_a_copy_and_a_copy_a_link_when_asked() {
    let project = Project::new();
    let skill = [project.store("a", "1.0.0")];
    project.install(&skill, &["claude-code"], LINK);
    project.install(&skill, &["claude-code"], COPY);
    assert!(!project.path(".claude/skills/a").is_symlink());
    assert!(
        project
            .reads(".claude/skills/a/scripts/run.sh")
            .starts_with("#!")
    );
    project.install(&skill, &["claude-code"], LINK);
    assert!(project.path(".claude/skills/a").is_symlink());
    let leftovers: Vec<_> = fs::read_dir(project.path(".claude/skills"))
        .expect("list")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(leftovers, ["a"]);
}

#[test]
fn what_a_crash_left_is_cleared_by_the_next_run() {
    let project = Project::new();
    let skill = [project.store("a", "1.0.0")];
    let folder = project.path(".claude/skills");
    fs::create_dir_all(folder.join(".a.skills-new/half")).expect("mkdir");
    project.install(&skill, &["claude-code"], COPY);
    assert!(!folder.join(".a.skills-new").exists());
    // The crash came after the link and before the ledger.
    fs::remove_file(project.path(".skills/agents.json")).expect("remove");
    project.install(&skill, &["goose"], LINK);
    fs::remove_file(project.path(".skills/agents.json")).expect("remove");
    let report = project.install(&skill, &["goose"], LINK);
    assert_eq!(changes(&report), [&Change::Unchanged]);
}

#[test]
fn one_folder_that_cannot_be_written_does_not_stop_the_others() {
    let project = Project::new();
    fs::write(project.path(".goose"), "a file where the folder should be").expect("write");
    let report = project.install(
        &[project.store("a", "1.0.0")],
        &["goose", "claude-code"],
        LINK,
    );
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].agents, ["goose"]);
    assert!(!report.is_complete());
    assert!(project.reads(".claude/skills/a/SKILL.md").contains("1.0.0"));
}

#[test]
fn a_folder_without_a_skill_is_refused() {
    let project = Project::new();
    let empty = Installed {
        name: "a".into(),
        folder: project.path(".skills/a/1.0.0"),
    };
    let agents = AgentTable::builtin().select(&["codex"]).expect("known");
    let error = project
        .linker()
        .install(&[empty], &agents, LINK)
        .expect_err("no SKILL.md");
    assert_eq!(error.code(), "not-a-skill");
}

#[test]
fn agents_are_present_by_what_they_wrote_not_by_what_we_linked() {
    let project = Project::new();
    let present = |project: &Project| -> Vec<String> {
        AgentTable::builtin()
            .present(&project.roots)
            .iter()
            .map(|agent| agent.id.clone())
            .collect()
    };
    assert!(present(&project).is_empty());
    let all: Vec<&Agent> = AgentTable::builtin().iter().collect();
    project
        .linker()
        .install(&[project.store("a", "1.0.0")], &all, LINK)
        .expect("linked");
    assert_eq!(present(&project), Vec::<String>::new());
    fs::create_dir_all(project.roots.home().join(".codex")).expect("mkdir");
    fs::write(project.path(".claude/settings.json"), "{}").expect("write");
    assert_eq!(present(&project), ["claude-code", "codex"]);
}
