//! `skills owner list|add|remove`

use serde_json::json;
use skill_format::SkillName;

use crate::cli::RegistryArg;
use crate::cli::account::{OwnerAction, OwnerArgs};
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &OwnerArgs, context: &Context) -> Result<(), Failure> {
    match &args.action {
        OwnerAction::List { skill, registry } => show(&skill.parse()?, registry, context),
        OwnerAction::Add {
            skill,
            user,
            registry,
        } => {
            let name: SkillName = skill.parse()?;
            let client = context.client(registry)?;
            context.block_on(async { Ok(client.add_owner(&name, user).await?) })?;
            context
                .printer
                .done("Added", format!("{user} as an owner of {name}"));
            context
                .printer
                .document(&json!({ "name": name, "added": user }));
            Ok(())
        }
        OwnerAction::Remove {
            skill,
            user,
            registry,
        } => {
            let name: SkillName = skill.parse()?;
            let client = context.client(registry)?;
            context.block_on(async { Ok(client.remove_owner(&name, user).await?) })?;
            context
                .printer
                .done("Removed", format!("{user} from the owners of {name}"));
            context
                .printer
                .document(&json!({ "name": name, "removed": user }));
            Ok(())
        }
    }
}

fn show(name: &SkillName, registry: &RegistryArg, context: &Context) -> Result<(), Failure> {
    let client = context.client(registry)?;
    let owners = context.block_on(async { Ok(client.owners(name).await?) })?;
    for owner in &owners {
        context.printer.line(owner);
    }
    context
        .printer
        .document(&json!({ "name": name, "owners": owners }));
    Ok(())
}
