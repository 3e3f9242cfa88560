//! `skills rate`

use serde_json::json;
use skill_format::SkillName;

use crate::cli::consume::RateArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &RateArgs, context: &Context) -> Result<(), Failure> {
    let name: SkillName = args.name.parse()?;
    let client = context.client(&args.registry)?;
    context.block_on(async { Ok(client.rate(&name, args.rating).await?) })?;
    match args.rating {
        Some(rating) => context
            .printer
            .done("Rated", format!("{name} {rating} of 5")),
        None => context
            .printer
            .done("Took back", format!("your rating of {name}")),
    }
    context
        .printer
        .document(&json!({ "name": name, "rating": args.rating }));
    Ok(())
}
