//! `skills run`: packages are prepared at the first run.

use std::process::Command;

use super::wheels::{Packages, script};
use crate::support::{Ran, Sandbox};

fn skill(sandbox: &Sandbox, name: &str, script: &str, yaml: &str) {
    sandbox.skill(name);
    sandbox.write(&format!("{name}/scripts/run.py"), script);
    sandbox.write(
        &format!("{name}/skill.yaml"),
        &format!("name: {name}\nversion: 1.0.0\n{yaml}"),
    );
}

fn command(packages: &Packages<'_>, sandbox: &Sandbox, name: &str, options: &[&str]) -> Command {
    let folder = format!("./{name}");
    let mut arguments = vec!["run", &folder, "input"];
    arguments.extend(options);
    if !options.contains(&"--sandbox") {
        arguments.extend(["--sandbox", "available"]);
    }
    let mut command = sandbox.command(&arguments);
    packages.offer(&mut command);
    command
}

fn run(packages: &Packages<'_>, sandbox: &Sandbox, name: &str, options: &[&str]) -> Ran {
    sandbox.finish(&mut command(packages, sandbox, name, options))
}

#[track_caller]
fn a_script_gets_its_packages(packages: &Packages<'_>, sandbox: &Sandbox) {
    packages.add(
        "greeter",
        "1.0",
        "def greet(): return 'hello'\ndef main(): print('as a tool')\n",
    );
    packages.add("shouter", "2.0", "def shout(text): return text.upper()\n");
    // One in the script, one in the manifest; a program of a package; and what the skill may see.
    let code = "import greeter, os, shouter, subprocess, sys\n\
                print(shouter.shout(greeter.greet()), sys.stdin.read())\n\
                print(subprocess.run(['greeter-tool'], capture_output=True, text=True).stdout.strip())\n\
                print([name for name in os.environ if 'PIP' in name or 'UV' in name or 'SECRET' in name])\n";
    let yaml = "dependencies:\n  python:\n    shouter: \">=1.0\"\n";
    skill(sandbox, "loud", &script(&["greeter"], code), yaml);
    let said = "HELLO input\nas a tool\n[]\n";
    let ran = run(packages, sandbox, "loud", &[]).ok();
    assert_eq!(ran.stdout(), said, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("preparing Python packages for loud"),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().contains("greeter, shouter>=1.0"),
        "{}",
        ran.snapshot()
    );
    // The second time nothing is prepared, whatever becomes of the index.
    let mut again = command(packages, sandbox, "loud", &["--offline"]);
    again.env("PIP_FIND_LINKS", "/nowhere");
    let ran = sandbox.finish(&mut again).ok();
    assert_eq!(
        (ran.stdout(), ran.stderr()),
        (said.to_owned(), String::new())
    );
    // Nor for another skill that needs the same, by a script of the shell.
    let yaml = "dependencies:\n  python: [greeter, 'shouter >=1.0']\nentrypoints:\n  - name: run\n    command: scripts/run.sh\n";
    skill(sandbox, "other", "", yaml);
    let shell = "exec python3 -c 'import greeter, shouter; print(greeter.greet())'\n";
    sandbox.write("other/scripts/run.sh", shell);
    let ran = run(packages, sandbox, "other", &["--offline"]).ok();
    assert_eq!(ran.stdout(), "hello\n", "{}", ran.snapshot());
    assert_eq!(packages.environments().len(), 1);
    // Without a sandbox the caller's own interpreter counts, which may be another.
    let ran = run(packages, sandbox, "other", &["--sandbox", "off"]).ok();
    assert_eq!(ran.stdout(), "hello\n", "{}", ran.snapshot());
    assert_eq!(packages.unfinished(), 0);
}

#[test]
fn a_script_gets_its_packages_by_pip() {
    let sandbox = Sandbox::new();
    a_script_gets_its_packages(&Packages::by_pip(&sandbox), &sandbox);
}

#[test]
fn a_script_gets_its_packages_by_uv() {
    let sandbox = Sandbox::new();
    a_script_gets_its_packages(&Packages::by_uv(&sandbox), &sandbox);
}

#[test]
fn packages_that_are_not_there_are_told_with_what_the_installer_said() {
    let sandbox = Sandbox::new();
    let packages = Packages::by_pip(&sandbox);
    skill(
        &sandbox,
        "lost",
        &script(&["no-such-package==7"], "print()"),
        "",
    );
    let ran = run(&packages, &sandbox, "lost", &["--offline"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("[python-dependencies]"),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().contains("without --offline"),
        "{}",
        ran.snapshot()
    );
    let ran = run(&packages, &sandbox, "lost", &[]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    for said in [
        "[python-dependencies]",
        "pip install failed",
        "No matching distribution",
        "PIP_INDEX_URL",
    ] {
        assert!(ran.stderr().contains(said), "{said}: {}", ran.snapshot());
    }
    assert_eq!(
        (packages.environments().len(), packages.unfinished()),
        (0, 0)
    );
}

#[test]
fn what_is_no_requirement_is_refused_before_anything_is_started() {
    let sandbox = Sandbox::new();
    let packages = Packages::by_pip(&sandbox);
    for (requirement, code) in [
        ("--index-url=http://evil.example", "is an option"),
        ("x @ file:///etc/x.whl", "names an address"),
        ("./local", "is a path"),
    ] {
        skill(&sandbox, "bad", &script(&[requirement], "print()"), "");
        let ran = run(&packages, &sandbox, "bad", &[]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert!(
            ran.stderr().contains("[python-metadata-invalid]"),
            "{}",
            ran.snapshot()
        );
        assert!(ran.stderr().contains(code), "{}", ran.snapshot());
        let ran = sandbox.run(&["validate", "bad"]);
        assert_ne!(ran.code(), 0, "{}", ran.snapshot());
        assert!(
            ran.stdout().contains("python-metadata-invalid"),
            "{}",
            ran.snapshot()
        );
    }
    let yaml = "dependencies:\n  python:\n    pandas: \"https://evil.example/x.whl\"\n";
    skill(&sandbox, "bad", "print()", yaml);
    let ran = run(&packages, &sandbox, "bad", &[]);
    assert!(
        ran.stderr().contains("[python-requirement-invalid]"),
        "{}",
        ran.snapshot()
    );
    assert_eq!(packages.environments().len() + packages.unfinished(), 0);
}

/// A source distribution is a program that is run to be installed.
#[test]
fn source_distributions_are_not_built_unless_that_is_allowed() {
    let sandbox = Sandbox::new();
    let packages = Packages::by_pip(&sandbox);
    let proof = sandbox.home().join("was-run");
    let build = format!(
        "open({:?}, 'w').close()\nraise SystemExit('built')\n",
        proof.display().to_string()
    );
    sandbox.write("sdist/evil-1.0/setup.py", &build);
    sandbox.write(
        "sdist/evil-1.0/PKG-INFO",
        "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
    );
    let tar = Command::new("tar")
        .args(["-czf"])
        .arg(sandbox.home().join("wheels/evil-1.0.tar.gz"))
        .arg("-C")
        .arg(sandbox.project().join("sdist"))
        .arg("evil-1.0")
        .status();
    assert!(tar.expect("tar runs").success());
    skill(&sandbox, "victim", &script(&["evil"], "print()"), "");
    let ran = run(&packages, &sandbox, "victim", &[]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("--allow-builds"),
        "{}",
        ran.snapshot()
    );
    assert!(!proof.exists());
    // Building needs a package that is not there; that it is tried is enough.
    let ran = run(&packages, &sandbox, "victim", &["--allow-builds"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    assert!(ran.stderr().contains("setuptools"), "{}", ran.snapshot());
    assert!(
        !ran.stderr().contains("only wheels are taken"),
        "{}",
        ran.snapshot()
    );
}

#[test]
fn a_version_of_python_that_is_not_there_is_told_and_one_that_is_needs_nothing() {
    let sandbox = Sandbox::new();
    let packages = Packages::by_pip(&sandbox);
    let asks = |range: &str| {
        format!("# /// script\n# requires-python = \"{range}\"\n# ///\nprint('ran')\n")
    };
    skill(&sandbox, "old", &asks(">=4"), "");
    let ran = run(&packages, &sandbox, "old", &[]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("needs Python >=4"),
        "{}",
        ran.snapshot()
    );
    skill(&sandbox, "old", &asks(">=3.8"), "");
    assert_eq!(run(&packages, &sandbox, "old", &[]).ok().stdout(), "ran\n");
    assert_eq!(packages.environments().len(), 0);
}

#[test]
fn the_cache_counts_and_clears_environments() {
    let sandbox = Sandbox::new();
    let packages = Packages::by_uv(&sandbox);
    packages.add("tiny", "1.0", "x = 1\n");
    skill(
        &sandbox,
        "small",
        &script(&["tiny"], "import tiny; print(tiny.x)"),
        "",
    );
    run(&packages, &sandbox, "small", &[]).ok();
    let size = sandbox.run(&["--json", "cache", "size"]).ok().json();
    assert_eq!(size["environments"]["count"], 1);
    let cleared = sandbox.run(&["--json", "cache", "clear"]).ok().json();
    assert_eq!(cleared["environments"]["count"], 1);
    assert_eq!(packages.environments().len(), 0);
    assert_eq!(run(&packages, &sandbox, "small", &[]).ok().stdout(), "1\n");
}
