//! The example skills: they are what a publisher should write, and they do what they say.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use skill_format::{Limits, ReadOptions, Skill, SkillTree, check_input, lint};

const NAMES: [&str; 4] = [
    "code-complexity",
    "csv-analyzer",
    "data-report",
    "text-summarizer",
];

/// Each skill with an input of its own and the output that belongs to it.
const GOLDEN: [(&str, &str, &str); 4] = [
    (
        "code-complexity",
        "examples/parcels.py",
        "examples/parcels.md",
    ),
    ("csv-analyzer", "examples/orders.csv", "examples/orders.md"),
    (
        "data-report",
        "examples/feedback.csv",
        "examples/feedback.md",
    ),
    (
        "text-summarizer",
        "examples/lighthouse.txt",
        "examples/lighthouse.md",
    ),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../skills")
        .join(name)
}

fn tree(name: &str) -> SkillTree {
    SkillTree::read_dir(&folder(name), &Limits::default()).expect(name)
}

fn file(name: &str, path: &str) -> String {
    let tree = tree(name);
    let file = tree
        .get(path)
        .unwrap_or_else(|| panic!("{name} has no {path}"));
    String::from_utf8(file.bytes.clone()).expect("text")
}

struct Run {
    stdout: String,
    stderr: String,
    succeeded: bool,
}

/// Runs a skill's script as a caller does: in its folder, the input on standard input.
fn run(name: &str, input: impl AsRef<[u8]>) -> Run {
    run_script(&folder(name), input.as_ref(), None)
}

fn run_script(folder: &Path, input: &[u8], intent: Option<&str>) -> Run {
    let mut child = Command::new("python3")
        .arg("scripts/run.py")
        .current_dir(folder)
        // Another encoding must not change the output.
        .env("LC_ALL", "C")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("SKILLSCALE_INTENT")
        .envs(intent.map(|intent| ("SKILLSCALE_INTENT", intent)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input)
        .expect("the script reads its input");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        succeeded: output.status.success(),
    }
}

fn markdown(name: &str, input: impl AsRef<[u8]>) -> String {
    let run = run(name, input);
    assert!(run.succeeded, "{name}: {}", run.stderr);
    assert_eq!(run.stderr, "", "{name} has nothing to complain of");
    run.stdout
}

/// The one line with which the script refuses the input.
fn refusal(name: &str, input: impl AsRef<[u8]>) -> String {
    let run = run(name, input);
    assert!(
        !run.succeeded && run.stdout.is_empty(),
        "{name} must refuse this, but printed {}",
        run.stdout
    );
    let message = run.stderr.strip_suffix('\n').expect("a whole line");
    assert!(!message.contains('\n'), "one line, no traceback: {message}");
    message
        .strip_prefix(&format!("{name}: "))
        .expect("it says who speaks")
        .to_owned()
}

#[test]
fn they_lint_without_a_remark() {
    for name in NAMES {
        assert_eq!(lint(&tree(name), Some(name)), [], "{name}");
    }
}

#[test]
fn their_manifests_ask_for_no_permissions_and_declare_what_scripts_take() {
    for name in NAMES {
        let options = ReadOptions {
            folder_name: Some(name.to_owned()),
            ..ReadOptions::default()
        };
        let skill = Skill::from_tree(tree(name), &options).expect(name);
        assert_eq!(skill.diagnostics, [], "{name}");
        let manifest = skill.manifest;
        assert_eq!(
            manifest.permissions,
            skill_format::Permissions::default(),
            "{name}"
        );
        assert!(
            manifest.version.is_some()
                && !manifest.tags.is_empty()
                && !manifest.capabilities.is_empty(),
            "{name}"
        );
        let [entrypoint] = manifest.entrypoints.as_slice() else {
            panic!("{name} has one entry point")
        };
        assert!(
            skill
                .tree
                .get(&entrypoint.command)
                .expect("its script")
                .executable,
            "{name}"
        );
        let schema = entrypoint.input_schema.as_ref().expect("a schema");
        check_input(schema, &serde_json::json!({"data": "x"})).expect("every skill takes data");
        check_input(schema, &serde_json::json!({})).expect_err("no skill works without data");
    }
}

#[test]
fn the_report_depends_on_the_two_skills_that_it_runs() {
    let skill = Skill::from_tree(tree("data-report"), &ReadOptions::default()).expect("a skill");
    let needed: Vec<_> = skill
        .manifest
        .dependencies
        .skills
        .iter()
        .map(|(name, range)| format!("{name} {range}"))
        .collect();
    assert_eq!(needed, ["csv-analyzer ^1.0.0", "text-summarizer ^1.0.0"]);
}

#[test]
fn their_examples_show_what_the_scripts_print() {
    for (name, input, output) in GOLDEN {
        assert_eq!(
            markdown(name, file(name, input)),
            file(name, output),
            "{name}"
        );
    }
}

#[test]
fn raw_data_json_and_the_environment_say_the_same() {
    for (name, input, output) in GOLDEN {
        let (data, expected) = (file(name, input), file(name, output));
        let plain = serde_json::json!({"data": data});
        let intent = serde_json::json!({"skill": name, "data": plain});
        assert_eq!(markdown(name, plain.to_string()), expected, "{name}");
        assert_eq!(markdown(name, intent.to_string()), expected, "{name}");
        assert_eq!(
            markdown(name, format!("\u{feff}{data}")),
            expected,
            "{name} with a byte order mark"
        );
        let run = run_script(&folder(name), b"", Some(&intent.to_string()));
        assert_eq!(run.stdout, expected, "{name}: {}", run.stderr);
    }
}

#[test]
fn nothing_and_what_is_no_text_are_refused_in_one_line() {
    for name in NAMES {
        for input in ["", " \n\t\n", "{\"data\": \"\"}"] {
            assert!(
                refusal(name, input).starts_with("there is no "),
                "{name} on {input:?}"
            );
        }
        for input in ["{\"data\": 5}", "{\"skill\": \"x\"}", "{\"data\": null}"] {
            assert!(
                refusal(name, input).contains("needs \"data\""),
                "{name} on {input:?}"
            );
        }
        refusal(name, b"\xff\xfe\xff");
    }
}

#[test]
fn the_summarizer_takes_sentences_out_word_for_word() {
    let text =
        "Cats sleep all day. Dr. Fox, e.g., has 3.5 cats. Dogs bark at cats! Nothing else happens?";
    let summary = markdown(
        "text-summarizer",
        serde_json::json!({"data": text, "sentences": 2}).to_string(),
    );
    let chosen: Vec<_> = summary
        .lines()
        .filter(|line| text.contains(*line) && !line.is_empty())
        .collect();
    assert_eq!(chosen.len(), 2, "{summary}");
    assert!(
        summary.contains("*2 of 4 sentences.*"),
        "abbreviations and decimals end no sentence: {summary}"
    );
    assert!(summary.contains("cats (3)"), "{summary}");
}

#[test]
fn the_summarizer_does_not_end_a_sentence_in_a_time_of_day() {
    let text = "They met at 5 p.m. in Rome. The meeting ended at 6 p.m. Rome slept.";
    let report = markdown("text-summarizer", text);
    assert!(report.contains("They met at 5 p.m. in Rome.\n"), "{report}");
    assert!(report.contains("of 3 sentences."), "{report}");
}

#[test]
fn the_summarizer_skips_code_and_tables_of_markdown() {
    let text = "# Title\n\nThe cat sleeps.\n\n```sh\ncat cat cat cat\n```\n\n| cat | cat |\n|---|---|\n\nThe dog barks.\n";
    let summary = markdown("text-summarizer", text);
    assert!(
        summary.contains("The dog barks.") && !summary.contains("```") && !summary.contains('|'),
        "{summary}"
    );
}

#[test]
fn the_summarizer_checks_its_options() {
    for sentences in ["0", "51", "1.5", "true", "\"3\"", "null"] {
        let message = refusal(
            "text-summarizer",
            format!("{{\"data\": \"A cat.\", \"sentences\": {sentences}}}"),
        );
        assert_eq!(message, "\"sentences\" must be a whole number from 1 to 50");
    }
    assert_eq!(
        refusal("text-summarizer", "... 12 !"),
        "the text has no words to summarise"
    );
}

#[test]
fn the_analyzer_finds_delimiters_and_reads_quotes() {
    let rows = [
        ("a,b\n1,2\n3,4\n", "comma"),
        ("a;b\n1,5;2\n2,5;4\n", "semicolon"),
        ("a\tb\n1\t2\n3\t4\n", "tab"),
        ("\"a,x\"|b\n1|2\n3|4\n", "bar"),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", "comma"),
    ];
    for (table, delimiter) in rows {
        let report = markdown("csv-analyzer", table);
        assert!(
            report.contains(&format!("2 rows, 2 columns, separated by {delimiter}.")),
            "{report}"
        );
        assert!(report.contains("| b | 2 | 0 | 2 | 4 | 3 | 3 |"), "{report}");
    }
    let report = markdown(
        "csv-analyzer",
        "name,n\n\"a \"\"quoted\"\", one\nover two lines\",1\n",
    );
    assert!(
        report.contains("a \"quoted\", one over two lines (1)"),
        "{report}"
    );
}

#[test]
fn the_analyzer_computes_exactly() {
    let report = markdown(
        "csv-analyzer",
        "x,y\n0.1,1e3\n0.2,\n0.3,\"1,000,000\"\n-5,.5\n",
    );
    assert!(
        report.contains("| x | 4 | 0 | -5 | 0.3 | -1.1 | 0.15 |"),
        "{report}"
    );
    assert!(
        report.contains("| y | 3 | 1 | 0.5 | 1000000 | 333666.8333 | 1000 |"),
        "{report}"
    );
    let report = markdown("csv-analyzer", "x\n1e308\n1.7e308\n");
    assert!(
        report.contains("| x | 2 | 0 | 1e+308 | 1.7e+308 | 1.35e+308 | 1.35e+308 |"),
        "{report}"
    );
}

#[test]
fn the_analyzer_says_which_line_is_wrong() {
    let rows = [
        ("a,b\n", "there is a header, but no row beneath it"),
        (
            "a,b\n1,2\n1,2,3\n1\n",
            "the header has 2 columns, but line 3 has 3; line 4 has 1; quote fields",
        ),
        ("a,b\n1,\"2\n3,4\n", "line 3: a quoted field is not closed"),
        ("a,b\n1,\"2\"x\n", "line 2: text follows a closing quote"),
        ("a,b\n1\0,2\n", "the input contains NUL characters"),
        (
            "{\"data\": \"a\\n1\", \"delimiter\": \"x\"}",
            "\"delimiter\" must be one of",
        ),
    ];
    for (table, expected) in rows {
        let message = refusal("csv-analyzer", table);
        assert!(message.starts_with(expected), "{table:?}: {message}");
    }
}

#[test]
fn a_table_of_text_is_described_too() {
    let report = markdown("csv-analyzer", "name,city\nalice,Rome\nbob,Rome\n");
    assert!(
        report.contains("None of the columns is numeric."),
        "{report}"
    );
    assert!(
        report.contains("| city | 2 | 0 | 1 | Rome (2) |"),
        "{report}"
    );
}

#[test]
fn the_analyzer_reads_what_spreadsheets_and_people_write() {
    let rows: [(&[u8], &str); 6] = [
        (b"sep=;\r\na;b\r\n1;2\r\n", "| b | 1 | 0 | 2 | 2 | 2 | 2 |"),
        (b"\"sep=\t\"\na\tb\n1\t2\n", "| b | 1 | 0 | 2 | 2 | 2 | 2 |"),
        (
            b"a, b\n\"x, y\", 2\n\"z\", \"4\"\n",
            "| b | 2 | 0 | 2 | 4 | 3 | 3 |",
        ),
        (
            b"a;b\nx;1.234,5\ny;2,5\n",
            "| b | 2 | 0 | 2.5 | 1234.5 | 618.5 | 618.5 |",
        ),
        (b"b\n\xe2\x88\x922\n", "| b | 1 | 0 | -2 | -2 | -2 | -2 |"),
        (
            b"\xff\xfea\0\t\0b\0\n\0x\0\t\x002\0\n\0",
            "| b | 1 | 0 | 2 | 2 | 2 | 2 |",
        ),
    ];
    for (table, expected) in rows {
        let report = markdown("csv-analyzer", table);
        assert!(report.contains(expected), "{table:?}: {report}");
    }
    let message = refusal("csv-analyzer", b"name,age\nJos\xe9,30\n");
    assert!(message.contains("(line 2); convert it first"), "{message}");
}

#[test]
fn the_analyzer_names_values_that_are_no_numbers() {
    let report = markdown("csv-analyzer", "n\n1\n2\n1_000\nn/a\ninf\n٣\n4\n5\n");
    let expected = "- **n**: 3 of 7 values are no numbers and were left out: `1_000` in line 4, `inf` in line 6, `٣` in line 7.";
    assert!(report.contains(expected), "{report}");
    assert!(report.contains("| n | 4 | 1 | 1 | 5 | 3 | 3 |"), "{report}");
}

#[test]
fn the_complexity_of_each_construct_is_counted() {
    let code = "\
def f(a, b=[x for x in y if x]):
    assert a
    if a and b or a:
        pass
    elif b:
        while a:
            pass
    else:
        if a:
            with b:
                pass
    return [i for i in a for j in i if j] if b else lambda: a or b
def g():
    try:
        pass
    except (A, B):
        pass
    except C:
        pass
    finally:
        pass
";
    let report = markdown("code-complexity", code);
    // 1 + assert + if + and + or + elif + while + if + two `for` + their `if` + conditional + or
    assert!(report.contains("| `f` | 1 | 13 | 3 | 12 |"), "{report}");
    assert!(report.contains("| `g` | 13 | 3 | 1 | 9 |"), "{report}");
    assert!(
        report.contains("- `f` (line 1): complexity 13 (at most 10)\n"),
        "{report}"
    );
}

#[test]
fn code_is_parsed_and_never_run() {
    let report = markdown(
        "code-complexity",
        "raise SystemExit('it ran')\ndef f(): pass\n",
    );
    assert!(report.contains("| `f` | 2 | 1 | 0 | 1 |"), "{report}");
}

#[test]
fn code_that_cannot_be_measured_is_refused_in_one_line() {
    assert!(refusal("code-complexity", "def f(:\n").starts_with("line 1: "));
    assert!(refusal("code-complexity", "print 'two'\n").starts_with("line 1: "));
    assert!(
        refusal("code-complexity", format!("x = {}1\n", "-".repeat(100_000)))
            .contains("nested too deeply")
    );
    refusal("code-complexity", "x = 1\0\n");
}

#[test]
fn no_script_has_a_function_that_its_own_measure_would_flag() {
    for name in NAMES {
        let report = markdown("code-complexity", file(name, "scripts/run.py"));
        assert!(report.contains("No function exceeds"), "{name}: {report}");
    }
}

#[test]
fn the_report_finds_its_skills_in_a_store_with_versions() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = |name: &str, version: &str| dir.path().join(name).join(version);
    for name in ["csv-analyzer", "data-report", "text-summarizer"] {
        tree(name)
            .extract_fast(&store(name, "1.0.0"))
            .expect("it extracts");
    }
    // Neither another major version nor a pre-release is taken for the release.
    for version in ["2.0.0", "1.0.0-rc.1"] {
        std::fs::create_dir_all(store("csv-analyzer", version).join("scripts")).expect("a folder");
        std::fs::write(
            store("csv-analyzer", version).join("scripts/run.py"),
            "raise SystemExit('wrong')",
        )
        .expect("a file");
    }
    let input = file("data-report", "examples/feedback.csv");
    let run = run_script(&store("data-report", "1.0.0"), input.as_bytes(), None);
    assert_eq!(
        run.stdout,
        file("data-report", "examples/feedback.md"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_missing_dependency_is_named_with_the_command_that_installs_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let alone = dir.path().join("data-report");
    tree("data-report")
        .extract_fast(&alone)
        .expect("it extracts");
    let run = run_script(&alone, b"a,b\n1,2\n", None);
    assert_eq!(
        run.stderr,
        "data-report: the skill csv-analyzer is missing; install it: skills install csv-analyzer@^1\n"
    );
}

#[test]
fn the_report_reads_tables_as_the_analyzer_does() {
    let table = "sep=;\nid; note\n1; \"It arrived late; the box was torn open.\"\n2; \"Good value, and it arrived very quickly.\"\n";
    let report = markdown("data-report", table);
    assert!(
        report.contains("| id | 2 | 0 | 1 | 2 | 1.5 | 1.5 |"),
        "{report}"
    );
    assert!(report.contains("## In words: note"), "{report}");
    assert!(
        report.contains("It arrived late; the box was torn open."),
        "{report}"
    );
}

#[test]
fn errors_of_the_skills_below_reach_the_caller() {
    assert!(
        refusal("data-report", "a,b\n1\n").starts_with("csv-analyzer: the header has 2 columns")
    );
    let message = refusal(
        "data-report",
        "{\"data\": \"a,b\\n1,one two three four five\", \"sentences\": 99}",
    );
    assert!(
        message.starts_with("text-summarizer: \"sentences\" must be"),
        "{message}"
    );
    assert!(
        refusal(
            "data-report",
            "{\"data\": \"a\\n1\", \"text_column\": \"b\"}"
        )
        .contains("no column \"b\"")
    );
}
