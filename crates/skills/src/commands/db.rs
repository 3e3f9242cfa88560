//! `skills db migrate|status`. Looking at a database makes none.

use hub_db::{Db, DbConfig};
use serde_json::json;

use crate::cli::server::{DbAction, DbArgs, DbTarget};
use crate::context::Context;
use crate::failure::{Failure, io_failure};
use crate::wiring::{self, Overrides};

pub fn run(args: &DbArgs, context: &Context) -> Result<(), Failure> {
    match &args.action {
        DbAction::Migrate(target) => context.block_on(async {
            let db = open(target, false, context).await?;
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
            let db = open(target, true, context).await?;
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

async fn open(target: &DbTarget, must_exist: bool, context: &Context) -> Result<Db, Failure> {
    let overrides = Overrides {
        database: target.database.clone(),
        data: target.data.clone(),
        ..Overrides::default()
    };
    let config = wiring::configuration(target.config.as_deref(), overrides, context)?;
    let url = config.database_url();
    if let Some(file) = sqlite_file(&url) {
        let file = context.resolve(file);
        if must_exist && !file.exists() {
            return Err(
                Failure::bad_input("no-database", "there is no database here yet")
                    .at_file(file)
                    .with_help(
                        "name the folder that the hub was given with --data, or its database with --database; \
                         `skills db migrate` makes one",
                    ),
            );
        }
        if config.database.url.is_none() {
            let folder = &config.data_folder;
            std::fs::create_dir_all(folder).map_err(|error| io_failure(folder, "make", &error))?;
        }
    }
    Ok(Db::connect(&DbConfig {
        url,
        max_connections: 2,
    })
    .await?)
}

/// The file of an SQLite database, if this is the address of one.
fn sqlite_file(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    Some(path.split_once('?').map_or(path, |(path, _)| path))
}
