//! `skills registry list|add|remove|default`

use serde_json::json;
use skill_client::config::{Registry, RegistryUrl};

use crate::cli::account::{RegistryAction, RegistryArgs};
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &RegistryArgs, context: &Context) -> Result<(), Failure> {
    match &args.action {
        RegistryAction::List => list(context),
        RegistryAction::Add { name, url, default } => add(name, url, *default, context),
        RegistryAction::Remove { name } => {
            context
                .config_file()
                .update(|config| config.remove_registry(name))?;
            context.printer.done("Removed", format!("registry {name}"));
            list_as_document(context)
        }
        RegistryAction::Default { name: Some(name) } => {
            context
                .config_file()
                .update(|config| config.set_default(name))?;
            context
                .printer
                .done("Default", format!("registry is now {name}"));
            list_as_document(context)
        }
        RegistryAction::Default { name: None } => {
            let config = context.config()?;
            context.printer.line(config.default_name()?);
            list_as_document(context)
        }
    }
}

fn add(name: &str, url: &str, default: bool, context: &Context) -> Result<(), Failure> {
    let url: RegistryUrl = url.parse()?;
    let before = context.config()?;
    let before = before
        .registries()
        .find(|registry| registry.name.as_deref() == Some(name));
    context.config_file().update(|config| {
        config.add_registry(name, url.clone())?;
        if default {
            config.set_default(name)
        } else {
            Ok(())
        }
    })?;
    let (verb, was) = match before {
        Some(registry) if registry.url != url => ("Changed", format!(" (was {})", registry.url)),
        Some(_) => ("Unchanged", String::new()),
        None => ("Added", String::new()),
    };
    context
        .printer
        .done(verb, format!("registry {name} at {url}{was}"));
    list_as_document(context)
}

fn list(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let default = config.default_name().ok().map(str::to_owned);
    let rows = config.registries().map(|registry| {
        let credentials = config.credentials(&registry.url);
        let user =
            credentials.map(|found| found.username.clone().unwrap_or_else(|| "token".to_owned()));
        [
            name_of(&registry),
            registry.url.to_string(),
            if registry.name == default { "yes" } else { "" }.to_owned(),
            user.unwrap_or_default(),
        ]
    });
    context
        .printer
        .table(["name", "address", "default", "signed in"], rows);
    list_as_document(context)
}

fn list_as_document(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let registries: Vec<_> = config
        .registries()
        .map(|registry| {
            json!({
                "name": name_of(&registry),
                "url": registry.url.to_string(),
                "signedIn": config.credentials(&registry.url).is_some(),
            })
        })
        .collect();
    context
        .printer
        .document(&json!({ "registries": registries, "default": config.default_name().ok() }));
    Ok(())
}

fn name_of(registry: &Registry) -> String {
    registry.name.clone().unwrap_or_default()
}
