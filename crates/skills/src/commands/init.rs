//! `skills init`: a new skill that `skills validate` has nothing to say against.

mod template;

use std::path::PathBuf;

use inquire::validator::Validation;
use serde_json::json;
use skill_format::{Diagnostic, Severity, SkillName, SkillTree, is_reserved, lint};

use crate::cli::author::InitArgs;
use crate::context::Context;
use crate::failure::{Failure, io_failure};

use template::Answers;

pub fn run(args: &InitArgs, context: &Context) -> Result<(), Failure> {
    let name = name(args, context)?;
    let parent = context.resolve(&args.path);
    let folder = parent.join(name.as_str());
    if folder.symlink_metadata().is_ok() {
        return Err(
            Failure::bad_input("folder-exists", "there is something of this name already")
                .at_file(&folder)
                .with_help("choose another name, or another folder with --path"),
        );
    }
    let answers = answers(name, args, context)?;
    let tree = template::tree(&answers, args.template, args.bare)?;
    refuse_what_does_not_lint(&tree, &answers, context)?;
    std::fs::create_dir_all(&parent).map_err(|error| io_failure(&parent, "create", &error))?;
    tree.extract_to(&folder)?;
    report(&tree, &answers, args, context);
    Ok(())
}

fn name(args: &InitArgs, context: &Context) -> Result<SkillName, Failure> {
    let text = match &args.name {
        Some(name) => name.clone(),
        None if context.may_ask() => ask_name()?,
        None => {
            return Err(
                Failure::bad_input("name-required", "the new skill needs a name")
                    .with_help("skills init NAME"),
            );
        }
    };
    let name =
        SkillName::parse(&text).map_err(|error| with_nearest(Failure::from(error), &text))?;
    if is_reserved(name.as_str()) {
        return Err(Failure::bad_input(
            "name-reserved",
            format!("the name `{name}` is reserved: no registry takes it"),
        )
        .with_help("choose another name"));
    }
    Ok(name)
}

fn with_nearest(failure: Failure, text: &str) -> Failure {
    // Meant as a path: `skills init skills/pdf-report`.
    if let Some((folder, last)) = text.rsplit_once('/')
        && SkillName::parse(last).is_ok()
    {
        let folder = if folder.is_empty() { "/" } else { folder };
        return failure.with_help(format!(
            "to make it in `{folder}`: skills init {last} --path {folder}"
        ));
    }
    match SkillName::nearest(text) {
        Some(nearest) => failure.with_help(format!("did you mean `{nearest}`?")),
        None => failure,
    }
}

fn ask_name() -> Result<String, Failure> {
    let check = |text: &str| {
        Ok(match SkillName::parse(text) {
            Ok(_) => Validation::Valid,
            Err(error) => Validation::Invalid(error.into()),
        })
    };
    inquire::Text::new("Name:")
        .with_help_message("lower-case letters, digits and hyphens")
        .with_validator(check)
        .prompt()
        .map_err(|error| not_answered(&error))
}

fn answers(name: SkillName, args: &InitArgs, context: &Context) -> Result<Answers, Failure> {
    let proposal = template::description(&name);
    let description = match &args.description {
        Some(description) => description.clone(),
        None if context.may_ask() => inquire::Text::new("Description:")
            .with_help_message("what it does and when to use it; agents choose skills by this text")
            .with_default(&proposal)
            .prompt()
            .map_err(|error| not_answered(&error))?,
        None => proposal,
    };
    let author = match &args.author {
        Some(author) => Some(author.clone()),
        None if context.may_ask() => inquire::Text::new("Author:")
            .with_help_message("may stay empty")
            .prompt()
            .map(Some)
            .map_err(|error| not_answered(&error))?,
        None => None,
    };
    Ok(Answers {
        name,
        description: description.trim().to_owned(),
        author: author
            .map(|author| author.trim().to_owned())
            .filter(|author| !author.is_empty()),
        license: args.license.trim().to_owned(),
    })
}

fn not_answered(error: &inquire::InquireError) -> Failure {
    Failure::failed("not-answered", format!("nothing was created: {error}"))
        .with_help("give the answers as options; `skills help init` lists them")
}

/// A description that is too long, for example, is refused before anything is written.
fn refuse_what_does_not_lint(
    tree: &SkillTree,
    answers: &Answers,
    context: &Context,
) -> Result<(), Failure> {
    let remarks = lint(tree, Some(answers.name.as_str()));
    let matters = |remark: &&Diagnostic| remark.severity > Severity::Info;
    let Some(first) = remarks.iter().find(|remark| remark.is_error()) else {
        for remark in remarks.iter().filter(matters) {
            context.printer.warn(&remark.message);
        }
        return Ok(());
    };
    let mut failure = Failure::bad_input(first.code, first.message.clone());
    failure.field = first.field.clone();
    failure.help = first.help.clone();
    Err(failure)
}

fn report(tree: &SkillTree, answers: &Answers, args: &InitArgs, context: &Context) {
    let shown: PathBuf = if args.path == std::path::Path::new(".") {
        answers.name.as_str().into()
    } else {
        args.path.join(answers.name.as_str())
    };
    let files: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    let shown = shown.display();
    context
        .printer
        .done("Created", format!("{shown}: {}", files.join(", ")));
    context.printer.note(format!(
        "write the instructions in {shown}/SKILL.md, then: skills validate {shown}"
    ));
    context.printer.document(&json!({
        "name": answers.name,
        "path": shown.to_string(),
        "files": files,
    }));
}
