//! What others write, and what others read: GNU tar, Python, Info-ZIP and git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use skill_format::{Limits, SkillFile, SkillTree};
use tempfile::{TempDir, tempdir};

use super::{read, tree};

/// A skill with everything that formats treat differently.
fn sample() -> SkillTree {
    let mut sample = tree([
        (
            "SKILL.md",
            "---\nname: sample\ndescription: A sample.\n---\n",
        ),
        ("references/désert 日本.md", "not ASCII\n"),
        ("empty", ""),
    ]);
    let split = format!("{}/{}", "p".repeat(100), "n".repeat(100));
    sample
        .insert(&split, SkillFile::plain("long\n"))
        .expect("a good path");
    sample
        .insert(&"n".repeat(200), SkillFile::plain("longer\n"))
        .expect("a good path");
    sample
        .insert(
            "scripts/run.py",
            SkillFile::executable("print(1)\n".repeat(500)),
        )
        .expect("a good path");
    sample
}

struct Workshop {
    dir: TempDir,
}

impl Workshop {
    /// A folder `skill` with the sample, in a temporary folder.
    fn new() -> Self {
        let dir = tempdir().expect("a temporary folder");
        sample()
            .extract_fast(&dir.path().join("skill"))
            .expect("it extracts");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a program in the temporary folder; it must be installed, and succeed.
    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn package(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the program wrote it")
    }

    fn folder(&self, name: &str) -> SkillTree {
        exactly(&self.path(name))
    }
}

fn exactly(dir: &Path) -> SkillTree {
    SkillTree::read_dir_exactly(dir, &Limits::default()).expect("a good folder")
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let shop = Workshop::new();
    fs::write(shop.path("a.spm"), sample().pack()).expect("a file");
    fs::create_dir(shop.path("out")).expect("a folder");
    shop.run("tar", &["-xzf", "a.spm", "-C", "out"]);
    assert_eq!(shop.folder("out"), sample());
}

#[test]
fn python_reads_what_is_written() {
    let shop = Workshop::new();
    fs::write(shop.path("a.spm"), sample().pack()).expect("a file");
    shop.run(
        "python3",
        &[
            "-c",
            "import tarfile; tarfile.open('a.spm', errorlevel=2).extractall('out')",
        ],
    );
    assert_eq!(shop.folder("out"), sample());
}

#[test]
fn every_format_of_gnu_tar_is_read() {
    let shop = Workshop::new();
    for format in ["gnu", "oldgnu", "pax", "posix"] {
        shop.run(
            "tar",
            &["-C", "skill", "--format", format, "-czf", "a.tar.gz", "."],
        );
        assert_eq!(
            read(&shop.package("a.tar.gz")).expect(format),
            sample(),
            "{format}"
        );
    }
    // These two have no room for the longest names.
    fs::remove_file(shop.path("skill").join("n".repeat(200))).expect("it is there");
    fs::remove_dir_all(shop.path("skill").join("p".repeat(100))).expect("it is there");
    for format in ["ustar", "v7"] {
        shop.run(
            "tar",
            &["-C", "skill", "--format", format, "-czf", "a.tar.gz", "."],
        );
        assert_eq!(
            read(&shop.package("a.tar.gz")).expect(format),
            shop.folder("skill"),
            "{format}"
        );
    }
}

#[test]
fn every_format_of_python_is_read() {
    let shop = Workshop::new();
    for format in ["GNU_FORMAT", "PAX_FORMAT"] {
        let script = format!(
            "import tarfile\n\
             with tarfile.open('a.tar.gz', 'w:gz', format=tarfile.{format}) as t: t.add('skill', arcname='.')"
        );
        shop.run("python3", &["-c", &script]);
        assert_eq!(
            read(&shop.package("a.tar.gz")).expect(format),
            sample(),
            "{format}"
        );
    }
}

#[test]
fn zips_of_python_are_read() {
    let shop = Workshop::new();
    shop.run(
        "python3",
        &[
            "-c",
            "import shutil; shutil.make_archive('a', 'zip', 'skill')",
        ],
    );
    assert_eq!(read(&shop.package("a.zip")).expect("a good zip"), sample());
    shop.run(
        "python3",
        &[
            "-c",
            "import shutil; shutil.make_archive('b', 'zip', '.', 'skill')",
        ],
    );
    assert_eq!(
        read(&shop.package("b.zip")).expect("with a top folder"),
        sample()
    );
}

/// Through a pipe, so that sizes are only known behind the data.
#[test]
fn streamed_zips_of_python_are_read() {
    let shop = Workshop::new();
    let script = "import sys, zipfile\n\
        class Pipe:\n\
        \x20   def write(self, data): return sys.stdout.buffer.write(data)\n\
        \x20   def flush(self): sys.stdout.buffer.flush()\n\
        with zipfile.ZipFile(Pipe(), 'w', zipfile.ZIP_DEFLATED) as z:\n\
        \x20   z.write('skill/SKILL.md', 'SKILL.md')\n\
        \x20   z.write('skill/scripts/run.py', 'scripts/run.py')\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .current_dir(shop.dir.path())
        .output()
        .expect("python3");
    let tree = read(&output.stdout).expect("a streamed zip");
    assert_eq!(tree.get("scripts/run.py"), sample().get("scripts/run.py"));
}

#[test]
fn archives_of_git_are_read() {
    let shop = Workshop::new();
    let git = |arguments: &[&str]| {
        let identity = [
            "-C",
            "skill",
            "-c",
            "user.name=alice",
            "-c",
            "user.email=alice@example.com",
        ];
        shop.run("git", &[&identity, arguments].concat());
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "skill"]);
    git(&["archive", "--output", "../a.tar.gz", "HEAD"]);
    git(&[
        "archive",
        "--output",
        "../a.zip",
        "--prefix",
        "skill-1.0.0/",
        "HEAD",
    ]);
    assert_eq!(
        read(&shop.package("a.tar.gz")).expect("a good tar"),
        sample()
    );
    assert_eq!(read(&shop.package("a.zip")).expect("a good zip"), sample());
    assert_eq!(
        SkillTree::read_dir(&shop.path("skill"), &Limits::default()).expect("without .git"),
        sample()
    );
}
