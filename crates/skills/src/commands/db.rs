//! `skills db migrate|status`

use hub_db::{Db, DbConfig};
use serde_json::json;

use crate::cli::server::{DbAction, DbArgs, DbTarget};
use crate::context::Context;
use crate::failure::Failure;
use crate::wiring::{self, Overrides};

pub fn run(args: &DbArgs, context: &Context) -> Result<(), Failure> {
    match &args.action {
        DbAction::Migrate(target) => context.block_on(async {
            let db = open(target, context).await?;
            let migrated = db.migrate().await?;
            db.close().await;
            for name in &migrated.applied {
                context.printer.done("Applied", name);
            }
            context.printer.done("Ready", format!("the schema has version {}", migrated.version));
            context.printer.document(&json!({ "version": migrated.version, "applied": migrated.applied }));
            Ok(())
        }),
        DbAction::Status(target) => context.block_on(async {
            let db = open(target, context).await?;
            let status = db.migration_status().await?;
            db.close().await;
            let pending = status.program - status.database;
            context.printer.table(["database", "program", "pending"], [[
                status.database.to_string(),
                status.program.to_string(),
                pending.max(0).to_string(),
            ]]);
            context.printer.document(
                &json!({ "database": status.database, "program": status.program, "current": status.is_current() }),
            );
            Ok(())
        }),
    }
}

async fn open(target: &DbTarget, context: &Context) -> Result<Db, Failure> {
    let overrides = Overrides {
        database: target.database.clone(),
        ..Overrides::default()
    };
    let config = wiring::configuration(target.config.as_deref(), overrides, context)?;
    Ok(Db::connect(&DbConfig {
        url: config.database_url(),
        max_connections: 2,
    })
    .await?)
}
