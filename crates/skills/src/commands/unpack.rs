//! `skills unpack`: an archive as a folder, after the checks of an install.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;
use skill_format::{ExtractError, Limits, ReadOptions, SKILL_MD, Skill, SkillTree, Version};

use crate::cli::author::UnpackArgs;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

pub fn run(args: &UnpackArgs, context: &Context) -> Result<(), Failure> {
    let (file, dir) = (context.resolve(&args.file), context.resolve(&args.dir));
    let skill = read(&file)?;
    if args.force {
        check_replaceable(&dir)?;
        skill.tree.extract_replacing(&dir)?;
    } else {
        skill.tree.extract_to(&dir).map_err(|error| match error {
            ExtractError::Exists { .. } => Failure::from(error)
                .with_help("name a folder that does not exist yet, or replace it with --force"),
            other => Failure::from(other),
        })?;
    }
    report(&skill, &dir, context);
    Ok(())
}

fn read(file: &Path) -> Result<Skill, Failure> {
    let bytes = read_bounded(file)?;
    let tree =
        // Which file of the archive it is stands in the message.
        SkillTree::read_archive(&bytes, &Limits::default()).map_err(|error| Failure::from(error).at_file(file))?;
    Ok(Skill::from_tree(tree, &ReadOptions::default())?)
}

/// The archive, if it is no larger than one may be. The size is not asked for but counted: it may
/// come out of a pipe.
fn read_bounded(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot_read = |error| io_failure(file, "read", &error);
    let max = Limits::default().archive_bytes_max;
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(cannot_read)?;
    opened
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    Ok(bytes)
}

/// Whether `--force` may replace what is there: a skill or nothing much, never someone's folder of
/// other things.
fn check_replaceable(dir: &Path) -> Result<(), Failure> {
    let Ok(mut entries) = std::fs::read_dir(dir) else {
        // Not there, or no folder: extracting says what is wrong.
        return Ok(());
    };
    if entries.next().is_none() || dir.join(SKILL_MD).is_file() {
        return Ok(());
    }
    Err(Failure::failed(
        "not-a-skill",
        format!("{} is not empty and holds no skill", dir.display()),
    )
    .with_help("--force replaces skills only; name another folder, or remove this one yourself"))
}

fn report(skill: &Skill, dir: &Path, context: &Context) {
    let Skill { manifest, tree, .. } = skill;
    let version = manifest.version.as_ref().map(Version::to_string);
    let name = match &version {
        Some(version) => format!("{}@{version}", manifest.name),
        None => manifest.name.to_string(),
    };
    context
        .printer
        .done("Unpacked", format!("{name}, {} files", tree.len()));
    context.printer.line(dir.display().to_string());
    context.printer.document(&json!({
        "name": manifest.name,
        "version": version,
        "dir": dir.display().to_string(),
        "files": tree.len(),
        "contentDigest": tree.content_digest(),
    }));
}
