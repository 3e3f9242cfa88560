//! `skills cache size|clear|verify`

use serde_json::json;
use skill_client::Cache;
use skill_client::cache::CacheSize;

use super::info::size;
use crate::cli::account::{CacheAction, CacheArgs};
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &CacheArgs, context: &Context) -> Result<(), Failure> {
    let cache = Cache::new(context.paths().cache_dir());
    let printer = &context.printer;
    let waiting = |_: Option<&str>| printer.note("waiting for another process that uses the cache");
    match &args.action {
        CacheAction::Size => {
            let found = cache.size()?;
            let row = |what: &str, count: u64, bytes: u64| {
                [what.to_owned(), count.to_string(), size(bytes)]
            };
            printer.table(
                ["what", "count", "size"],
                [
                    row("archives", found.archives.count, found.archives.bytes),
                    row("unpacked skills", found.trees.count, found.trees.bytes),
                    row("metadata", found.metadata.count, found.metadata.bytes),
                    row(
                        "Python environments",
                        found.environments.count,
                        found.environments.bytes,
                    ),
                    row("unfinished", found.unfinished.count, found.unfinished.bytes),
                ],
            );
            printer.line(format!(
                "{} in {}",
                size(found.bytes),
                cache.dir().display()
            ));
            document(&found, context);
        }
        CacheAction::Clear => {
            let cleared = context.block_on(async { Ok(cache.clear(waiting).await?) })?;
            printer.done(
                "Cleared",
                format!("{}; installed skills are untouched", size(cleared.bytes)),
            );
            document(&cleared, context);
        }
        CacheAction::Verify => {
            let report = context.block_on(async { Ok(cache.verify(waiting).await?) })?;
            for path in &report.dropped {
                printer.warn(format!(
                    "{} was not what its name says, and was dropped",
                    path.display()
                ));
            }
            printer.done(
                "Verified",
                format!(
                    "{} entries, {} dropped",
                    report.checked,
                    report.dropped.len()
                ),
            );
            printer.document(&json!({ "checked": report.checked, "dropped": report.dropped }));
        }
    }
    Ok(())
}

fn document(size: &CacheSize, context: &Context) {
    context.printer.document(&json!({
        "bytes": size.bytes,
        "archives": { "count": size.archives.count, "bytes": size.archives.bytes },
        "trees": { "count": size.trees.count, "bytes": size.trees.bytes },
        "metadata": { "count": size.metadata.count, "bytes": size.metadata.bytes },
        "environments": { "count": size.environments.count, "bytes": size.environments.bytes },
        "unfinished": { "count": size.unfinished.count, "bytes": size.unfinished.bytes },
    }));
}
