//! Audits: advisories, what the registry and the keys say now, changed files, exceptions.

use proptest::prelude::*;
use serde_json::{Value, json};
use skill_client::audit::{
    Advisories, Advisory, AuditReport, Finding, KeyFacts, Level, RegistryFacts, SkillFacts, audit,
    sarif,
};
use skill_client::http::HttpOptions;
use skill_client::project::{Project, Suppression};
use skill_client::store::{Drift, FileChange, FileChangeKind};
use skill_client::{Origin, SystemClock};
use skill_format::Sha256;

use crate::raw_server::{Answer, RawServer};
use crate::support::name;

const SIGNER: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
const OTHER: &str = "FEDCBA9876543210FEDCBA9876543210FEDCBA98";

/// A skill about which there is nothing to say.
fn sound(skill: &str, version: &str) -> SkillFacts {
    SkillFacts {
        name: name(skill),
        package: name(skill),
        version: version.parse().expect(version),
        source: Origin::Registry("https://skills.example.com".into()),
        sha256: Some(Sha256::of(b"archive")),
        locked: None,
        signer: Some(SIGNER.into()),
        path: "/store/x/1.0.0".into(),
        packages: Vec::new(),
        drift: Drift::None,
        changes: Vec::new(),
        registry: Some(listed()),
        pinned: Some(SIGNER.into()),
        key: Some(KeyFacts::Good),
    }
}

fn listed() -> RegistryFacts {
    RegistryFacts {
        listed: true,
        yanked: None,
        deprecated: None,
        sha256: Some(Sha256::of(b"archive")),
        signer: Some(SIGNER.into()),
        latest_signer: None,
    }
}

fn advisories(entries: Value) -> Vec<Advisory> {
    let read = read(&entries.to_string());
    assert_eq!(read.problems, []);
    read.advisories
}

fn read(text: &str) -> Advisories {
    let mut advisories = Advisories::default();
    advisories.add("test.json", text.as_bytes());
    advisories
}

fn advisory(id: &str, skill: &str, events: Value) -> Value {
    json!({
        "id": id, "summary": "it leaks", "aliases": ["CVE-2026-0001"],
        "affected": [{"package": {"ecosystem": "skills", "name": skill}, "ranges": [{"type": "SEMVER", "events": events}]}],
        "references": [{"type": "WEB", "url": "https://example.com/w"}, {"type": "ADVISORY", "url": "https://example.com/a"}],
    })
}

pub(crate) fn report(
    skills: &[SkillFacts],
    advisories: &[Advisory],
    exceptions: &[Suppression],
) -> AuditReport {
    audit(
        skills,
        advisories,
        exceptions,
        "2026-11-01".parse().expect("a day"),
    )
}

pub(crate) fn codes(report: &AuditReport) -> Vec<(&str, Level)> {
    report
        .findings
        .iter()
        .map(|finding| (finding.code, finding.level))
        .collect()
}

fn only(skill: SkillFacts) -> Finding {
    let report = report(&[skill], &[], &[]);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    report.findings.into_iter().next().expect("one")
}

#[test]
fn a_sound_skill_has_no_findings() {
    let report = report(&[sound("charts", "1.0.0")], &advisories(json!([])), &[]);
    assert!(report.findings.is_empty() && !report.reaches(Level::Info));
    assert_eq!(report.skills, 1);
}

#[test]
fn an_advisory_is_matched_by_range_and_by_list() {
    let range = advisory(
        "A-1",
        "charts",
        json!([{"introduced": "1.1.0"}, {"fixed": "1.4.0"}, {"introduced": "2.0.0"}, {"last_affected": "2.1.0"}]),
    );
    let affected = |version: &str| {
        let report = report(
            &[sound("charts", version)],
            &advisories(json!([range])),
            &[],
        );
        report.reaches(Level::Low)
    };
    for version in [
        "1.1.0",
        "1.3.9",
        "1.4.0-rc.1",
        "2.0.0",
        "2.1.0",
        "1.2.0+build",
    ] {
        assert!(affected(version), "{version}");
    }
    for version in ["1.0.0", "1.4.0", "1.9.0", "2.1.1", "3.0.0", "1.1.0-rc.1"] {
        assert!(!affected(version), "{version}");
    }
    let list = json!([{"id": "A-2", "affected": [{"package": {"ecosystem": "skills", "name": "charts"}, "versions": ["0.9.0"]}]}]);
    assert!(
        report(&[sound("charts", "0.9.0")], &advisories(list.clone()), &[]).reaches(Level::Low)
    );
    assert!(!report(&[sound("charts", "0.9.1")], &advisories(list), &[]).reaches(Level::Low));
}

#[test]
fn a_finding_names_the_advisory_the_fix_and_the_page() {
    let entry = advisory(
        "A-1",
        "charts",
        json!([{"introduced": "0"}, {"fixed": "1.4.0"}]),
    );
    let report = report(
        &[sound("charts", "1.0.0")],
        &advisories(json!([entry])),
        &[],
    );
    let finding = &report.findings[0];
    assert_eq!(finding.message, "A-1: it leaks");
    assert_eq!(
        finding.fix.as_deref(),
        Some("fixed in 1.4.0: skills update charts")
    );
    assert_eq!(finding.ids, ["A-1", "CVE-2026-0001"]);
    assert_eq!(finding.url.as_deref(), Some("https://example.com/a"));
    assert_eq!(
        finding.level,
        Level::Moderate,
        "an advisory that does not say"
    );
}

#[test]
fn withdrawn_advisories_other_skills_and_other_ecosystems_are_ignored() {
    let events = json!([{"introduced": "0"}]);
    let mut withdrawn = advisory("A-1", "charts", events.clone());
    withdrawn["withdrawn"] = json!("2026-01-01T00:00:00Z");
    let mut elsewhere = advisory("A-3", "charts", events.clone());
    elsewhere["affected"][0]["package"]["ecosystem"] = json!("Debian:12");
    let entries = json!([withdrawn, advisory("A-2", "chart", events), elsewhere]);
    assert_eq!(
        codes(&report(
            &[sound("charts", "1.0.0")],
            &advisories(entries),
            &[]
        )),
        []
    );
}

#[test]
fn an_alias_is_checked_under_its_own_name() {
    let facts = SkillFacts {
        package: name("charts"),
        ..sound("my-charts", "1.0.0")
    };
    let entries = json!([
        advisory("A-1", "charts", json!([{"introduced": "0"}])),
        advisory("A-2", "my-charts", json!([{"introduced": "0"}]))
    ]);
    let report = report(&[facts], &advisories(entries), &[]);
    assert_eq!(
        report
            .findings
            .iter()
            .map(|finding| finding.ids[0].as_str())
            .collect::<Vec<_>>(),
        ["A-1"]
    );
}

#[test]
fn severity_comes_from_the_entry_and_malice_is_critical() {
    let events = json!([{"introduced": "0"}]);
    let mut high = advisory("A-1", "charts", events.clone());
    high["database_specific"] = json!({"severity": "HIGH"});
    let entries = json!([
        advisory("A-0", "charts", events.clone()),
        high,
        advisory("MAL-2026-1", "charts", events)
    ]);
    let report = report(&[sound("charts", "1.0.0")], &advisories(entries), &[]);
    assert_eq!(
        codes(&report),
        [
            ("advisory", Level::Critical),
            ("advisory", Level::High),
            ("advisory", Level::Moderate)
        ]
    );
}

#[test]
fn a_declared_package_is_reported_only_if_it_is_certain() {
    let entry = json!({"id": "PYSEC-1", "summary": "bad", "affected": [{
        "package": {"ecosystem": "PyPI", "name": "Pandas"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}]}]});
    let with = |range: &str| {
        let facts = SkillFacts {
            packages: vec![("python".into(), "pandas".into(), range.into())],
            ..sound("charts", "1.0.0")
        };
        codes(&report(&[facts], &advisories(json!([entry])), &[])).len()
    };
    assert_eq!(with("==1.4"), 1);
    assert_eq!(with(">=1.0,<1.5"), 1);
    assert_eq!(with(">=1.0.0"), 0, "a fixed version may be installed");
}

#[test]
fn the_registry_tells_what_became_of_a_version() {
    let with = |change: fn(&mut RegistryFacts)| {
        let mut registry = listed();
        change(&mut registry);
        only(SkillFacts {
            registry: Some(registry),
            ..sound("charts", "1.0.0")
        })
    };
    let yanked = with(|registry| registry.yanked = Some("leaks a token".into()));
    assert_eq!(
        (yanked.code, yanked.message.as_str()),
        ("yanked", "this version was withdrawn: leaks a token")
    );
    let bytes = with(|registry| registry.sha256 = Some(Sha256::of(b"other")));
    assert_eq!(
        (bytes.code, bytes.level),
        ("archive-changed", Level::Critical)
    );
    let signer = with(|registry| registry.signer = Some(OTHER.into()));
    assert_eq!((signer.code, signer.level), ("signer-changed", Level::High));
    let advice = with(|registry| registry.deprecated = Some("use fonts".into()));
    assert_eq!((advice.code, advice.level), ("deprecated", Level::Info));
    let newer = with(|registry| registry.latest_signer = Some(OTHER.into()));
    assert_eq!((newer.code, newer.level), ("signer-changed", Level::Low));
    let gone = with(|registry| {
        *registry = RegistryFacts {
            listed: false,
            sha256: None,
            signer: None,
            ..listed()
        }
    });
    assert_eq!(gone.code, "withdrawn");
}

#[test]
fn keys_and_pins_are_judged() {
    let revoked = only(SkillFacts {
        key: Some(KeyFacts::Revoked {
            reason: "compromised".into(),
        }),
        ..sound("a", "1.0.0")
    });
    assert_eq!((revoked.code, revoked.level), ("key-revoked", Level::High));
    let expired = only(SkillFacts {
        key: Some(KeyFacts::Expired {
            at: jiff::Timestamp::UNIX_EPOCH,
        }),
        ..sound("a", "1.0.0")
    });
    assert_eq!((expired.code, expired.level), ("key-expired", Level::Info));
    let pinned = only(SkillFacts {
        pinned: Some(OTHER.into()),
        ..sound("a", "1.0.0")
    });
    assert_eq!(pinned.code, "signer-changed");
    let unsigned = SkillFacts {
        locked: None,
        signer: None,
        registry: None,
        key: None,
        pinned: None,
        ..sound("a", "1.0.0")
    };
    let finding = only(unsigned.clone());
    assert_eq!((finding.code, finding.level), ("unsigned", Level::Info));
    let locked = only(SkillFacts {
        locked: Some(Sha256::of(b"other")),
        ..sound("a", "1.0.0")
    });
    assert_eq!((locked.code, locked.level), ("lock-mismatch", Level::High));
    let folder = SkillFacts {
        source: Origin::Dir("/src/a".into()),
        ..unsigned
    };
    assert_eq!(
        codes(&report(&[folder], &[], &[])),
        [],
        "nobody signs a folder"
    );
}

#[test]
fn exceptions_hold_for_what_they_name_and_run_out() {
    let text = r#"
[[audit.ignore]]
id = "CVE-2026-0001"
skill = "charts"
reason = "not reachable"
expires = "2026-12-01"
[[audit.ignore]]
id = "A-2"
reason = "checked"
expires = "2026-10-31"
[[audit.ignore]]
id = "A-9"
reason = "long gone"
[[audit.ignore]]
id = "files-changed"
reason = "for all of them, which is not possible"
"#;
    let project = Project::parse(std::path::Path::new("/p/skills.toml"), text).expect("valid");
    let events = json!([{"introduced": "0"}]);
    let mut second = advisory("A-2", "charts", events.clone());
    second["aliases"] = json!([]);
    let changed = SkillFacts {
        drift: Drift::Changed,
        ..sound("fonts", "1.0.0")
    };
    let report = report(
        &[sound("charts", "1.0.0"), changed],
        &advisories(json!([
            advisory("A-1", "charts", events.clone()),
            second,
            advisory("A-3", "fonts", events)
        ])),
        &project.wishes().suppressions,
    );
    let left: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.ids.first().map_or(finding.code, String::as_str))
        .collect();
    assert_eq!(left, ["files-changed", "A-2", "A-3"]);
    assert_eq!(report.suppressed[0].reason, "not reachable");
    assert_eq!(
        report.stale_suppressions,
        [
            "the exception for A-2 has run out",
            "the exception for A-9 matches nothing",
            "the exception for files-changed matches nothing"
        ]
    );
}

#[test]
fn advisories_are_read_in_every_form_they_come_in() {
    let events = json!([{"introduced": "0"}]);
    let one = advisory("A-1", "charts", events.clone()).to_string();
    let two = advisory("A-2", "charts", events).to_string();
    let ids = |text: &str| {
        let read = read(text);
        assert_eq!(read.problems, [], "{text}");
        read.advisories
            .into_iter()
            .map(|advisory| advisory.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&one), ["A-1"]);
    assert_eq!(ids(&format!("[{one},{two}]")), ["A-1", "A-2"]);
    assert_eq!(ids(&format!("{one}\n{two}\n")), ["A-1", "A-2"]);
    assert_eq!(ids(&format!("{{\"vulns\":[{one}]}}")), ["A-1"]);
    assert_eq!(
        ids(&format!("[{one},{one}]")),
        ["A-1"],
        "the same one counts once"
    );
    assert!(ids("[]").is_empty());
}

#[test]
fn what_is_wrong_with_an_advisory_is_said_with_its_field() {
    let part = |part: Value| json!({"id": "X", "affected": [part]}).to_string();
    let package = json!({"ecosystem": "skills", "name": "charts"});
    let range = |range: Value| part(json!({"package": package, "ranges": [range]}));
    for (text, field) in [
        ("".to_owned(), None),
        ("{".to_owned(), None),
        ("[1]".to_owned(), Some("[0]")),
        (r#"{"summary": "no id"}"#.to_owned(), Some("id")),
        (r#"{"id": 3}"#.to_owned(), Some("id")),
        (r#"{"id": "x", "affected": 3}"#.to_owned(), Some("affected")),
        (r#"{"vulns": 3}"#.to_owned(), Some("vulns")),
        (
            part(json!({"package": {"ecosystem": "skills"}})),
            Some("affected[0].package"),
        ),
        (
            part(
                json!({"package": {"ecosystem": "skills", "name": "No Name"}, "versions": ["1.0.0"]}),
            ),
            Some("affected[0].package.name"),
        ),
        (part(json!({"package": package})), Some("affected[0]")),
        (
            part(json!({"package": package, "versions": ["one"]})),
            Some("affected[0].versions[0]"),
        ),
        (
            range(json!({"events": []})),
            Some("affected[0].ranges[0].type"),
        ),
        (
            range(json!({"type": "SEMVER", "events": [{"fixed": "1.0.0"}]})),
            Some("affected[0].ranges[0].events"),
        ),
        (
            range(json!({"type": "SEMVER", "events": [{"introduced": "0", "fixed": "1.0.0"}]})),
            Some("affected[0].ranges[0].events[0]"),
        ),
        (
            range(json!({"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "x"}]})),
            Some("affected[0].ranges[0].events[1].fixed"),
        ),
    ] {
        let read = read(&text);
        assert!(read.advisories.is_empty(), "{text}");
        let [problem] = read.problems.as_slice() else {
            panic!("{text}: {:?}", read.problems)
        };
        assert_eq!(problem.code, "advisories-invalid");
        assert_eq!(problem.file.as_deref(), Some("test.json"));
        assert_eq!(problem.field.as_deref(), field, "{text}");
    }
    // Of others' packages only what is understood is read; the rest is nobody's mistake here.
    assert_eq!(
        read(&part(
            json!({"package": {"ecosystem": "PyPI", "name": "x"}, "versions": ["1!2", "dev"]})
        ))
        .problems,
        []
    );
}

#[tokio::test]
async fn advisories_are_fetched_from_an_address() {
    let entry = advisory("A-1", "charts", json!([{"introduced": "0"}])).to_string();
    let server = RawServer::start(move |_, request| {
        if request.contains("/advisories.json") {
            Answer::ok(entry.as_bytes())
        } else {
            Answer::with(404, &[("Content-Length", "0")], b"")
        }
    })
    .await;
    let fetch = async |path: &str| {
        let mut advisories = Advisories::default();
        let url = format!("{}{path}", server.url).parse().expect("an address");
        let clock = std::sync::Arc::new(SystemClock);
        let added = advisories
            .add_url(&url, HttpOptions::default(), clock)
            .await;
        added.map(|()| advisories.advisories.len())
    };
    assert_eq!(fetch("/advisories.json").await.expect("read"), 1);
    let error = fetch("/other").await.expect_err("not there");
    assert!(error.to_string().contains("404"), "{error}");
}

#[test]
fn sarif_holds_every_finding_with_its_place() {
    let changes = vec![FileChange {
        path: "scripts/run me.sh".into(),
        kind: FileChangeKind::Modified,
    }];
    let changed = SkillFacts {
        drift: Drift::Changed,
        changes,
        ..sound("charts", "1.0.0")
    };
    let report = report(&[changed], &[], &[]);
    let document = sarif(&report, "0.1.0");
    assert_eq!(document["version"], "2.1.0");
    let result = &document["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "files-changed");
    assert_eq!(result["level"], "error");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "file:///store/x/1.0.0/scripts/run%20me.sh"
    );
    let rules: Vec<&str> = document["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .filter_map(|rule| rule["id"].as_str())
        .collect();
    assert!(rules.contains(&"files-changed"));
}

proptest! {
    #[test]
    fn no_advisory_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
        Advisories::default().add("x", &bytes);
        let entry = json!({"id": text, "affected": [{"package": {"ecosystem": "PyPI", "name": text}, "versions": [text], "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": text}, {"fixed": text}]}]},
            {"package": {"ecosystem": "skills", "name": "charts"}, "versions": [text], "ranges": [{"type": "SEMVER", "events": [{"introduced": text}]}]}], "severity": [{"score": text}]});
        {
            let facts = SkillFacts { packages: vec![("python".into(), text.clone(), text.clone()), ("npm".into(), text.clone(), text)], ..sound("charts", "1.0.0") };
            let _ = report(&[facts], &read(&entry.to_string()).advisories, &[]);
        }
    }
}
