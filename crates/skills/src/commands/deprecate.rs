//! `skills deprecate`

use serde_json::json;
use skill_format::SkillName;

use crate::cli::author::DeprecateArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &DeprecateArgs, context: &Context) -> Result<(), Failure> {
    let name: SkillName = args.name.parse()?;
    let client = context.client(&args.registry)?;
    context.block_on(async { Ok(client.deprecate(&name, args.message.as_deref()).await?) })?;
    match &args.message {
        Some(message) => context
            .printer
            .done("Deprecated", format!("{name}: {message}")),
        None => context
            .printer
            .done("Took back", format!("the deprecation of {name}")),
    }
    context
        .printer
        .document(&json!({ "name": name, "deprecated": args.message }));
    Ok(())
}
