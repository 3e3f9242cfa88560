//! `skills doctor`: proof that agents see their skills, and what does not work.

use serde_json::json;
use skill_client::agents::AgentTable;
use skill_client::config::DEFAULT_REGISTRY_URL;
use skill_client::doctor::{Doctor, Examination, Mended, Symptom};
use skill_client::{Cache, Client, Clock, Paths, Store, SystemClock};
use skill_format::{Diagnostic, Severity};
use skill_signing::Keyring;

use crate::cli::consume::DoctorArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing;
use crate::printer::Printer;

pub fn run(args: &DoctorArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let store = Store::new(paths.store_dir());
    let (clients, config_problem) = clients(args, &store, context);
    let doctor = Doctor {
        store: &store,
        cache: &Cache::new(paths.cache_dir()),
        roots: &installing::roots(paths, context),
        table: AgentTable::builtin(),
        scope: installing::agent_scope(paths),
        keyring: &Keyring::open(paths.keyring_dir()),
        pins_file: &paths.pins_file(),
        config_file: &paths.config_file(),
        variable: &|name| context.env_os(name),
        clients: &clients,
    };
    let (mended, examination) = context.block_on(async {
        let mended = if args.fix {
            let wait = |holder: Option<&str>| {
                let holder = holder
                    .map(|holder| format!(" ({holder})"))
                    .unwrap_or_default();
                let text = format!("waiting for the store, which another process is using{holder}");
                context.printer.note(text);
            };
            Some(doctor.mend(SystemClock.now(), wait).await?)
        } else {
            None
        };
        Ok((mended, doctor.examine().await))
    })?;
    if let Some(mended) = &mended {
        show_mended(mended, &context.printer);
    }
    show(
        &examination,
        config_problem.as_ref(),
        paths,
        &context.printer,
    );
    let mut document = json!(examination);
    document["store"] = json!(store.dir());
    document["configuration"] = json!(config_problem);
    document["mended"] = json!(mended);
    context.printer.document(&document);
    if examination.problems().next().is_some() || config_problem.is_some() {
        Err(Failure::reported(1))
    } else {
        Ok(())
    }
}

/// The configured registries, and those that installed skills came from. A configuration that
/// cannot be read is one of the problems, not the end of the examination.
fn clients(
    args: &DoctorArgs,
    store: &Store,
    context: &Context,
) -> (Vec<Client>, Option<Diagnostic>) {
    let config = match context.config_file().read() {
        Ok(config) => config,
        Err(error) => return (Vec::new(), Some(Diagnostic::of_error(&error))),
    };
    if args.offline {
        return (Vec::new(), None);
    }
    let index = store.index().unwrap_or_default();
    // Everybody has the built-in one; who has made another the default need not run it.
    let is_idle = |registry: &skill_client::Registry| {
        registry.url.as_str() == DEFAULT_REGISTRY_URL
            && config.default_name().ok() != registry.name.as_deref()
            && config.credentials(&registry.url).is_none()
    };
    let configured = config
        .registries()
        .filter(|registry| !is_idle(registry))
        .map(|registry| registry.url.as_str().to_owned());
    let installed = index
        .skills()
        .iter()
        .filter_map(|skill| skill.source.registry().map(str::to_owned));
    let urls: std::collections::BTreeSet<String> = configured.chain(installed).collect();
    // It was read a moment ago.
    let clients = context.clients_at(urls.iter().map(String::as_str));
    (clients.unwrap_or_default(), None)
}

fn show_mended(mended: &Mended, printer: &Printer) {
    let progress = installing::Progress::new(printer);
    for repair in &mended.repairs {
        progress.show(&skill_client::Event::Repaired(repair));
    }
    installing::report_links(&mended.links, printer);
    for folder in &mended.links.gone {
        printer.done("Forgot", format!("{}, which is gone", folder.display()));
    }
    for path in mended.unlinked.removed.iter().chain(&mended.removed) {
        printer.done("Removed", path.display().to_string());
    }
    for kept in &mended.unlinked.kept {
        printer.warn(format!("{kept} (move or delete it)"));
    }
    for file in &mended.made_private {
        printer.done(
            "Protected",
            format!("{}: only you can read it now", file.display()),
        );
    }
}

fn show(
    examination: &Examination,
    config_problem: Option<&Diagnostic>,
    paths: &Paths,
    printer: &Printer,
) {
    if examination.skills == 0 {
        printer.note(format!(
            "nothing is installed in {}",
            paths.store_dir().display()
        ));
    }
    if !examination.proofs.is_empty() {
        let rows = examination.proofs.iter().map(|proof| {
            let all = proof.seen.len() + proof.unseen.len();
            [
                proof.folder.display().to_string(),
                proof.agents.join(", "),
                format!("{} of {all}", proof.seen.len()),
            ]
        });
        printer.table(["agents' folder", "agents", "skills seen"], rows);
        printer.line("");
    }
    for tool in &examination.tools {
        let place = match &tool.path {
            Some(path) => path.display().to_string(),
            None => "not found".to_owned(),
        };
        printer.detail(format!("{}: {place}", tool.name));
    }
    for registry in examination
        .registries
        .iter()
        .filter(|registry| registry.reachable)
    {
        printer.detail(format!("{} answers", registry.registry));
    }
    let symptoms = examination.symptoms.iter().map(diagnostic);
    for diagnostic in config_problem.cloned().into_iter().chain(symptoms) {
        printer.diagnostic(&diagnostic);
    }
    let problems = examination.problems().count() + usize::from(config_problem.is_some());
    let mendable = examination
        .problems()
        .filter(|symptom| symptom.mendable)
        .count();
    let problems_text = match problems {
        0 => {
            let skills = match examination.skills {
                1 => "1 skill".to_owned(),
                count => format!("{count} skills"),
            };
            let text = format!("{skills} installed, no problem found");
            return printer.done("Healthy", text);
        }
        1 => "1 problem".to_owned(),
        _ => format!("{problems} problems"),
    };
    printer.note(match mendable {
        0 => format!("{problems_text}; see the help beneath each"),
        _ => format!("{problems_text}; `skills doctor --fix` mends {mendable}"),
    });
}

fn diagnostic(symptom: &Symptom) -> Diagnostic {
    let text = format!("{}: {}", symptom.subject, symptom.message);
    let diagnostic = match symptom.severity {
        Severity::Error => Diagnostic::error(symptom.code, text),
        Severity::Warning => Diagnostic::warning(symptom.code, text),
        Severity::Info => Diagnostic::info(symptom.code, text),
    };
    match &symptom.fix {
        Some(fix) => diagnostic.help(fix),
        None => diagnostic,
    }
}
