//! `skills unpublish`: yank, delete, or take a yank back.

use serde_json::json;
use skill_format::{SkillName, Version, parse_version};

use crate::cli::author::UnpublishArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &UnpublishArgs, context: &Context) -> Result<(), Failure> {
    let (name, version) = parse(&args.spec)?;
    let client = context.client(&args.registry)?;
    if args.hard && context.may_ask() {
        let question =
            format!("Delete {name}@{version} for good? Its number can never be used again.");
        let sure = inquire::Confirm::new(&question)
            .with_default(false)
            .prompt()
            .map_err(super::login::cancelled)?;
        if !sure {
            return Err(Failure::failed("cancelled", "nothing was changed"));
        }
    }
    let what = context.block_on(async {
        Ok(if args.undo {
            client.unyank(&name, &version).await?;
            "restored"
        } else if args.hard {
            client.delete_version(&name, &version).await?;
            "deleted"
        } else {
            client.yank(&name, &version, args.reason.as_deref()).await?;
            "yanked"
        })
    })?;
    let verb = match what {
        "restored" => "Restored",
        "deleted" => "Deleted",
        _ => "Withdrew",
    };
    context.printer.done(verb, format!("{name}@{version}"));
    context
        .printer
        .document(&json!({ "name": name, "version": version.to_string(), "state": what }));
    Ok(())
}

fn parse(spec: &str) -> Result<(SkillName, Version), Failure> {
    let Some((name, version)) = spec.split_once('@') else {
        return Err(
            Failure::bad_input("version-missing", format!("`{spec}` names no version")).with_help(
                format!("write {spec}@1.0.0; `skills info {spec}` lists the versions"),
            ),
        );
    };
    Ok((name.parse()?, parse_version(version)?))
}
