//! `skills info`

use jiff::Timestamp;
use skill_client::api::{Client, Release, ReleaseDetail, SkillDetail};
use skill_format::{SkillName, parse_version};

use crate::cli::consume::InfoArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;

/// Versions that fit under a skill without scrolling it away.
const VERSIONS_SHOWN: usize = 10;

pub fn run(args: &InfoArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client_with(&args.registry, args.offline)?;
    let printer = &context.printer;
    if let Some((name, version)) = args.spec.split_once('@') {
        let release = context.block_on(async { one(&client, name, version).await })?;
        client.remember();
        show_release(&release, printer);
        printer.document(&release);
        return Ok(());
    }
    let name: SkillName = args.spec.parse()?;
    let skill = context.block_on(async { Ok(client.skill(&name).await?) })?;
    client.remember();
    show_skill(&skill, printer);
    printer.document(&skill);
    Ok(())
}

async fn one(client: &Client, name: &str, version: &str) -> Result<ReleaseDetail, Failure> {
    let name: SkillName = name.parse()?;
    Ok(match version {
        "latest" => client.latest(&name).await?,
        version => client.release(&name, &parse_version(version)?).await?,
    })
}

fn show_skill(skill: &SkillDetail, printer: &Printer) {
    let info = &skill.info;
    let version = info
        .version
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_else(|| "no version".to_owned());
    printer.line(format!(
        "{} {}",
        printer.bold(info.name.as_str()),
        printer.dim(&version)
    ));
    printer.line(crate::printer::safe(&info.description));
    if let Some(deprecated) = &info.deprecated {
        printer.warn(format!("deprecated: {}", deprecated.message));
    }
    printer.line("");
    let rating = info.rating.filter(|_| info.rating_count > 0);
    let facts = [
        ("author", info.author.clone()),
        ("license", info.license.clone()),
        ("homepage", info.homepage.clone()),
        ("repository", info.repository.clone()),
        ("tags", joined(&info.tags)),
        ("owners", joined(&info.owners)),
        ("downloads", Some(info.downloads.to_string())),
        (
            "rating",
            rating.map(|rating| format!("{rating:.1} of 5 ({})", info.rating_count)),
        ),
        (
            "needs",
            joined(
                &info
                    .dependencies
                    .iter()
                    .map(|(name, range)| need(name, range))
                    .collect::<Vec<_>>(),
            ),
        ),
        (
            "signer",
            skill
                .releases
                .first()
                .and_then(|release| release.signer.clone()),
        ),
        ("install", Some(format!("skills install {}", info.name))),
    ];
    show_facts(&facts, printer);
    printer.line("");
    let rows = skill.releases.iter().take(VERSIONS_SHOWN).map(|release| {
        [
            release.version.to_string(),
            day(release.published_at),
            size(release.size),
            release.downloads.to_string(),
            state(release),
        ]
    });
    printer.table(["version", "published", "size", "downloads", "state"], rows);
    if skill.releases.len() > VERSIONS_SHOWN {
        printer.note(format!(
            "{} older versions; see them with --json",
            skill.releases.len() - VERSIONS_SHOWN
        ));
    }
}

fn show_release(release: &ReleaseDetail, printer: &Printer) {
    printer.line(format!(
        "{} {}",
        printer.bold(release.name.as_str()),
        release.release.version
    ));
    printer.line(crate::printer::safe(&release.description));
    printer.line("");
    let needs: Vec<String> = release
        .release
        .dependencies
        .iter()
        .map(|(name, range)| format!("{name} {range}"))
        .collect();
    show_facts(
        &[
            ("published", Some(day(release.release.published_at))),
            ("by", release.published_by.clone()),
            ("size", Some(size(release.release.size))),
            ("checksum", Some(release.release.checksum.to_string())),
            (
                "signer",
                release
                    .release
                    .signer
                    .clone()
                    .or_else(|| Some("unsigned".to_owned())),
            ),
            ("needs", joined(&needs)),
            (
                "state",
                Some(state(&release.release)).filter(|state| !state.is_empty()),
            ),
            ("download", release.release.download_url.clone()),
        ],
        printer,
    );
}

fn show_facts(facts: &[(&str, Option<String>)], printer: &Printer) {
    for (name, value) in facts {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            printer.line(format!(
                "{} {}",
                printer.dim(&format!("{name:<10}")),
                crate::printer::safe(value)
            ));
        }
    }
}

fn need(name: &str, range: &serde_json::Value) -> String {
    match range {
        serde_json::Value::Object(packages) => {
            let packages: Vec<&str> = packages.keys().map(String::as_str).collect();
            format!("{name}: {}", packages.join(" "))
        }
        serde_json::Value::String(range) => format!("{name} {range}"),
        _ => name.to_owned(),
    }
}

fn joined(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(", "))
}

fn state(release: &Release) -> String {
    match (&release.yanked, &release.yank_reason) {
        (true, Some(reason)) if !reason.is_empty() => format!("withdrawn: {reason}"),
        (true, _) => "withdrawn".to_owned(),
        (false, _) => String::new(),
    }
}

fn day(time: Option<Timestamp>) -> String {
    time.map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

/// Bytes for people: `812 B`, `4.2 KB`, `1.3 MB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
