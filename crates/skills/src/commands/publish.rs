//! `skills publish`: one skill, or a folder of many in one go.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;
use skill_client::publish::{
    BatchOutcome, InstalledPlaces, PublishRequest, PublishState, Published, Publisher, Signer,
};
use skill_client::{Clock, PathInputs, Paths, SystemClock};
use skill_format::{Explain, Severity, parse_version};
use skill_signing::{Keyring, SecretKey, SecretText};

use super::{info::size, passphrase};
use crate::cli::author::PublishArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::{Progress, roots};

pub fn run(args: &PublishArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client(&args.registry)?;
    let key = signing_key(args, context)?;
    let signer = key.as_ref().map(|(key, passphrase)| Signer {
        key,
        passphrase: passphrase.as_ref().map(SecretText::expose),
    });
    let paths: Vec<_> = args
        .paths
        .iter()
        .map(|path| context.resolve(path))
        .collect();
    let request = PublishRequest {
        installed: installed_places(&paths, context)?,
        paths,
        version: args.version.as_deref().map(parse_version).transpose()?,
        dry_run: args.dry_run,
        skip_existing: args.skip_existing,
        allow_secret_files: args.allow_secret_files,
    };
    let progress = Progress::new(&context.printer);
    let show = |event: &skill_client::Event<'_>| progress.show(event);
    let publisher = Publisher {
        client: &client,
        clock: &SystemClock,
        signer,
        observer: &show,
    };
    let outcome = context.block_on(async { Ok(publisher.publish_all(&request).await?) })?;
    report(&outcome, context);
    document(&outcome, context);
    match single_failure(outcome) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The key to sign with, and its passphrase. `--unsigned` takes none; a dry run does without one.
fn signing_key(
    args: &PublishArgs,
    context: &Context,
) -> Result<Option<(SecretKey, Option<SecretText>)>, Failure> {
    if args.unsigned {
        return Ok(None);
    }
    let wanted = args.key.clone().or(context.config()?.settings.signing_key);
    match Keyring::open(context.paths().keyring_dir())
        .signing_key(wanted.as_deref(), SystemClock.now())
    {
        Ok(key) => {
            let passphrase = passphrase::of_key(&key, &args.passphrase, context)?;
            Ok(Some((key, passphrase)))
        }
        Err(_) if args.dry_run && wanted.is_none() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where skills lie that were installed into the projects around these folders, or for this person.
pub fn installed_places(
    folders: &[PathBuf],
    context: &Context,
) -> Result<InstalledPlaces, Failure> {
    let own = context.paths();
    let mut stores = BTreeSet::from([own.store_dir().to_owned(), own.user_dir().to_owned()]);
    stores.extend(folders.iter().map(|folder| {
        let around = Paths::resolve(PathInputs {
            cwd: folder.canonicalize().unwrap_or_else(|_| folder.clone()),
            home: context.home().to_owned(),
            store: None,
            global: false,
        });
        around.store_dir().to_owned()
    }));
    let stores = stores.iter().map(PathBuf::as_path);
    Ok(InstalledPlaces::new(roots(own, context), stores)?)
}

/// Says which folders below the named ones were not looked into, as the user would write them.
pub fn note_left_out(left_out: &[PathBuf], context: &Context) {
    if left_out.is_empty() {
        return;
    }
    let shown: Vec<_> = left_out
        .iter()
        .map(|folder| folder.strip_prefix(context.cwd()).unwrap_or(folder))
        .map(|folder| folder.display().to_string())
        .collect();
    context.printer.note(format!(
        "not looked into, since agents keep installed skills there: {}; if one is your own, name \
         its folder",
        shown.join(", ")
    ));
}

fn report(outcome: &BatchOutcome, context: &Context) {
    let printer = &context.printer;
    note_left_out(&outcome.left_out, context);
    for folder in &outcome.unreadable {
        printer.warn(format!("{} cannot be read", folder.display()));
    }
    for path in &outcome.partial {
        printer.warn(format!(
            "{} has too many folders to look into all of them",
            path.display()
        ));
    }
    for published in &outcome.published {
        for remark in published
            .remarks
            .iter()
            .filter(|remark| remark.severity != Severity::Info)
        {
            let mut remark = remark.clone();
            let file = remark.file.as_deref().unwrap_or("SKILL.md");
            remark.file = Some(published.path.join(file).display().to_string());
            printer.diagnostic(&remark);
        }
        printer.done(verb(published.state), describe(published));
    }
    let is_batch = outcome.published.len() + outcome.failed.len() + outcome.skipped.len() > 1;
    if is_batch {
        for (path, error) in &outcome.failed {
            printer.failure(&failure_of(error, path));
        }
    }
    for skipped in &outcome.skipped {
        match &skipped.needs {
            Some(needs) => printer.warn(format!(
                "{} was not tried: it needs {needs}, which failed",
                skipped.name
            )),
            None => printer.warn(format!("{} was not tried", skipped.name)),
        }
    }
    if is_batch {
        let states: Vec<_> = outcome.published.iter().map(|done| done.state).collect();
        printer.line(tally(&states, outcome.failed.len(), outcome.skipped.len()));
    }
}

/// The closing line. Only what this run sent counts as published; other states are named only if
/// there are any.
fn tally(states: &[PublishState], failed: usize, not_tried: usize) -> String {
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let mut parts = Vec::new();
    for (state, words, always) in [
        (PublishState::Published, "published", true),
        (PublishState::Ready, "ready", false),
        (PublishState::AlreadyThere, "already there", false),
        (PublishState::Skipped, "skipped", false),
    ] {
        let count = count(state);
        if always || count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    parts.push(format!("{failed} failed"));
    parts.push(format!("{not_tried} not tried"));
    parts.join(", ")
}

fn verb(state: PublishState) -> &'static str {
    match state {
        PublishState::Published => "Published",
        PublishState::AlreadyThere => "Already there",
        PublishState::Skipped => "Skipped",
        PublishState::Ready => "Ready",
    }
}

fn describe(published: &Published) -> String {
    let signed = match &published.signer {
        Some(signer) => format!("signed by {signer}"),
        None => "not signed here".to_owned(),
    };
    format!(
        "{} {} ({}, {signed})",
        published.name,
        published.version,
        size(published.size)
    )
}

fn failure_of(error: &skill_client::PublishError, path: &std::path::Path) -> Failure {
    let mut failure = Failure::of(error);
    if failure.file.is_none() {
        failure = failure.at_file(path);
    }
    failure
}

/// One skill that failed is the command's failure; several have been told one by one.
fn single_failure(outcome: BatchOutcome) -> Option<Failure> {
    if outcome.is_complete() {
        return None;
    }
    match (
        outcome.failed.as_slice(),
        outcome.published.is_empty() && outcome.skipped.is_empty(),
    ) {
        ([(path, error)], true) => Some(failure_of(error, path)),
        (failed, _) => {
            let all_input = failed
                .iter()
                .all(|(_, error)| error.fault() == skill_format::Fault::BadInput);
            Some(Failure::reported(if all_input {
                crate::failure::BAD_INPUT
            } else {
                1
            }))
        }
    }
}

fn document(outcome: &BatchOutcome, context: &Context) {
    // A single failure is the document itself.
    if outcome.failed.len() == 1 && outcome.published.is_empty() && outcome.skipped.is_empty() {
        return;
    }
    let failed: Vec<_> = outcome
        .failed
        .iter()
        .map(|(path, error)| json!({ "path": path, "error": failure_of(error, path) }))
        .collect();
    let skipped: Vec<_> = outcome
        .skipped
        .iter()
        .map(
            |skipped| json!({ "name": skipped.name, "path": skipped.path, "needs": skipped.needs }),
        )
        .collect();
    context.printer.document(
        &json!({ "published": outcome.published, "failed": failed, "notTried": skipped }),
    );
}

#[cfg(test)]
mod tests {
    use skill_client::publish::PublishState::{AlreadyThere, Published, Ready, Skipped};

    use super::tally;

    #[test]
    fn skipped_skills_are_not_counted_as_published() {
        assert_eq!(
            tally(&[Published, Skipped, Skipped], 0, 0),
            "1 published, 2 skipped, 0 failed, 0 not tried"
        );
        assert_eq!(
            tally(&[AlreadyThere, Ready], 1, 2),
            "0 published, 1 ready, 1 already there, 1 failed, 2 not tried"
        );
    }
}
