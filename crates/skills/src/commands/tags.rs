//! `skills tags`

use serde_json::json;

use crate::cli::consume::TagsArgs;
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &TagsArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client(&args.registry)?;
    let tags = context.block_on(async { Ok(client.tags().await?) })?;
    context.printer.table(
        ["tag", "skills"],
        tags.iter()
            .map(|tag| [tag.name.clone(), tag.count.to_string()]),
    );
    context.printer.document(&json!({ "tags": tags }));
    Ok(())
}
