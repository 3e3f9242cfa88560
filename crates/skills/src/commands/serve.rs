//! `skills serve`: the registry server until SIGTERM.

use std::sync::Arc;

use hub::invoke::Invoker;

use crate::cli::server::ServeArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::invoking::MeshInvoker;
use crate::mesh::Mesh;
use crate::telemetry::{self, Telemetry};
use crate::wiring::{self, Overrides};

pub fn run(args: &ServeArgs, context: &Context) -> Result<(), Failure> {
    let overrides = Overrides {
        bind: args.bind,
        public_url: args.public_url.clone(),
        database: args.database.clone(),
        data: args.data.clone(),
    };
    let config = wiring::configuration(args.config.as_deref(), overrides, context)?;
    wiring::start_logging(&config, context)?;
    wiring::run_server(async {
        let stop = wiring::shutdown_signal();
        let telemetry = Telemetry::start("skills-hub", context)?;
        let invoker: Option<Arc<dyn Invoker>> = match &args.mesh_topic {
            Some(topic) => {
                let mesh = Mesh::connect(&args.mesh).await?;
                Some(Arc::new(MeshInvoker::connect(&mesh, topic).await?))
            }
            None => None,
        };
        let (app, listener) = wiring::open_hub(config, invoker).await?;
        if let Some(name) = &args.bootstrap_admin {
            bootstrap(&app, name, context).await?;
        }
        let config = app.config();
        tracing::info!(listening = %config.bind, address = %config.public_base(), "serving");
        hub::serve(listener, app, stop).await;
        telemetry.finish(telemetry::SERVER).await;
        Ok(())
    })
}

/// The only copy of the token goes to standard output, so that it can be piped into a secret store.
async fn bootstrap(app: &hub::App, name: &str, context: &Context) -> Result<(), Failure> {
    let made = app
        .auth()
        .bootstrap_admin(name)
        .await
        .map_err(|error| Failure::failed("bootstrap", error.to_string()))?;
    match made {
        Some(admin) => {
            context.printer.line(admin.expose_token());
            context.printer.note(format!(
                "the line on standard output is an API token of the administrator {name}, shown this once; \
                 to sign in with it: skills login --registry {} --token-stdin",
                app.config().public_base()
            ));
            context
                .printer
                .document(&serde_json::json!({ "username": name, "token": admin.expose_token() }));
        }
        None => tracing::info!("there are accounts already: no administrator was made"),
    }
    Ok(())
}
