//! `skills pack`: a skill's folder as one archive.

use std::path::{Path, PathBuf};

use serde_json::json;
use skill_client::fsx;
use skill_format::{
    Limits, Manifest, ReadOptions, SKILL_MD, Sha256, Skill, SkillFile, SkillTree, Version,
    parse_version, secret_files, skill_md_with_metadata,
};

use crate::cli::author::PackArgs;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

pub fn run(args: &PackArgs, context: &Context) -> Result<(), Failure> {
    let dir = context.resolve(&args.dir);
    let wanted = args.version.as_deref().map(parse_version).transpose()?;
    let mut skill = read(&dir)?;
    if let Some(wanted) = &wanted {
        skill = with_version(skill, wanted)?;
    }
    let bytes = skill.tree.pack();
    // What could not be installed is not written: limits hold for the archive as a whole too.
    SkillTree::read_archive(&bytes, &Limits::default())
        .map_err(|error| Failure::from(error).at_file(&dir))?;
    for file in secret_files(&skill.tree) {
        context.printer.warn(format!(
            "{file} is packed, and usually holds a secret: to leave it out, write `/{file}` into .skillignore"
        ));
    }
    let output = output_path(args, &skill.manifest, context)?;
    write(&output, &bytes, args.force)?;
    report(&skill, &output, &bytes, context);
    Ok(())
}

fn read(dir: &Path) -> Result<Skill, Failure> {
    let tree = SkillTree::read_dir(dir, &Limits::default())?;
    // `.` has no name of its own.
    let folder_name = dir
        .canonicalize()
        .ok()
        .and_then(|dir| Some(dir.file_name()?.to_str()?.to_owned()));
    let options = ReadOptions {
        folder_name,
        version: None,
    };
    Skill::from_tree(tree, &options).map_err(|error| {
        let remarks = error.errors().count();
        let failure = Failure::from(error);
        if remarks > 1 {
            failure.with_help("`skills validate` shows every error")
        } else {
            failure
        }
    })
}

/// The skill with this version in its `SKILL.md`, so that the archive says it wherever it goes. The
/// folder stays as it is.
fn with_version(skill: Skill, wanted: &Version) -> Result<Skill, Failure> {
    if let Some(declared) = &skill.manifest.version {
        if declared == wanted {
            return Ok(skill);
        }
        return Err(Failure::bad_input(
            "version-declared",
            format!(
                "{} declares version {declared}, not {wanted}",
                skill.manifest.name
            ),
        )
        .with_help("leave --version out, or change the version in the skill"));
    }
    let mut tree = skill.tree;
    let before = tree.remove(SKILL_MD).unwrap_or_default();
    let text = skill_md_with_metadata(&before.bytes, Some(wanted), None)?;
    tree.insert(
        SKILL_MD,
        SkillFile {
            executable: before.executable,
            bytes: text.into_bytes(),
        },
    )?;
    let folder_name = Some(skill.manifest.name.to_string());
    Ok(Skill::from_tree(
        tree,
        &ReadOptions {
            folder_name,
            version: None,
        },
    )?)
}

/// `NAME-VERSION.spm` in the current folder, or in the folder that was named, or the file that was.
fn output_path(
    args: &PackArgs,
    manifest: &Manifest,
    context: &Context,
) -> Result<PathBuf, Failure> {
    let named = args.output.as_ref().map(|output| context.resolve(output));
    let folder = match named {
        Some(file) if !file.is_dir() => return Ok(file),
        Some(folder) => folder,
        None => context.cwd().to_path_buf(),
    };
    let Some(version) = &manifest.version else {
        return Err(Failure::bad_input(
            "version-missing",
            format!("{} does not say its version", manifest.name),
        )
        .with_help("name it with --version, or name the file with --output FILE"));
    };
    Ok(folder.join(format!("{}-{version}.spm", manifest.name)))
}

fn write(output: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    match std::fs::read(output) {
        // Packing the same folder again changes nothing.
        Ok(existing) if existing == bytes => return Ok(()),
        Ok(_) if !force => {
            return Err(Failure::failed(
                "file-exists",
                format!("{} exists and differs", output.display()),
            )
            .with_help("replace it with --force, or name another file with --output"));
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_failure(output, "write", &error));
        }
        Ok(_) | Err(_) => {}
    }
    fsx::write_atomic(output, bytes, 0o644)?;
    Ok(())
}

fn report(skill: &Skill, output: &Path, bytes: &[u8], context: &Context) {
    let Skill {
        manifest,
        tree,
        diagnostics,
        ..
    } = skill;
    let sha256 = Sha256::of(bytes);
    let version = manifest.version.as_ref().map(Version::to_string);
    let printer = &context.printer;
    for remark in diagnostics {
        printer.detail(remark.to_string());
    }
    if !diagnostics.is_empty() {
        printer.note(format!(
            "there are remarks ({}): `skills validate` shows them",
            diagnostics.len()
        ));
    }
    let name = match &version {
        Some(version) => format!("{}@{version}", manifest.name),
        None => manifest.name.to_string(),
    };
    let what = format!(
        "{name}, {} files, {} bytes, {sha256}",
        tree.len(),
        bytes.len()
    );
    printer.done("Packed", what);
    printer.line(output.display().to_string());
    printer.document(&json!({
        "name": manifest.name,
        "version": version,
        "file": output.display().to_string(),
        "sha256": sha256.hex(),
        "contentDigest": tree.content_digest(),
        "size": bytes.len(),
        "files": tree.len(),
    }));
}
