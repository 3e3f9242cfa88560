//! `skills up`: the whole platform on this machine, with signed example skills, ready to be tried.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub::invoke::Invoker;
use hub::{App, HubConfig};
use skill_client::api::{Client, ClientOptions, Publication};
use skill_client::config::Registry;
use skill_client::publish::{Publisher, Signer};
use skill_client::{Clock, Credentials, Secret, SystemClock, fsx};
use skill_format::{Explain, ReadOptions, Skill, SkillFile, SkillTree};
use skill_signing::{Keyring, SecretKey, Statement};

use crate::cli::server::UpArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::runner::Runner;
use crate::telemetry::{self, Telemetry};
use crate::wiring::{self, Overrides};

/// The example skills, inside the program, so that it needs no files beside it.
#[derive(rust_embed::Embed)]
#[folder = "../../skills"]
struct Examples;

const ADMIN: &str = "admin";
/// The administrator's token, readable by the owner of the data only.
const TOKEN_FILE: &str = "admin-token";
/// How long the examples' key is valid: as long as a trial may last.
const KEY_DAYS: u64 = 730;

pub fn run(args: &UpArgs, context: &Context) -> Result<(), Failure> {
    let overrides = Overrides {
        bind: Some(args.bind),
        public_url: None,
        data: Some(args.data.clone()),
        database: None,
    };
    let mut config = wiring::configuration(None, overrides, context)?;
    // One worker runs all: what it has no slot for waits in the hub's line, as long as its caller lets it.
    let slots = skill_sandbox::Settings::default().slots;
    config.invoke.concurrent_max = config.invoke.concurrent_max.min(slots);
    // A person is watching: what goes well is said once, below, in words.
    if context.global.verbose == 0 {
        config.log.filter = "warn".to_owned();
    }
    wiring::start_logging(&config, context)?;
    wiring::run_server(async {
        let telemetry = Telemetry::start("skills-hub", context)?;
        let runner = Runner::start(&config, args.sandbox, context).await?;
        let invoker = runner.clone().map(|one| Arc::new(one) as Arc<dyn Invoker>);
        let (app, listener) = wiring::open_hub(config, invoker).await?;
        let token = admin_token(&app, context).await?;
        if let (Some(runner), Some(token)) = (&runner, &token) {
            runner.serves(registry(&app)?, token.clone());
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(hub::serve(listener, app.clone(), async move {
            tokio::select! {
                () = wiring::shutdown_signal() => {}
                _ = stopped => {}
            }
        }));
        let prepared = match (args.no_examples, &token) {
            (false, Some(token)) => publish_examples(&app, token, context).await,
            _ => Ok(0),
        };
        match prepared {
            Ok(examples) => {
                let has_token = token.is_some();
                welcome(&app, examples, has_token, runner.is_some(), args, context);
            }
            Err(failure) => {
                // Drain before failing, so that nothing half-done is left.
                let _ = stop.send(());
                let _ = server.await;
                return Err(failure);
            }
        }
        server.await.map_err(|error| {
            Failure::failed("hub-ended", format!("the hub ended unexpectedly: {error}"))
        })?;
        drop(stop);
        if let Some(runner) = runner {
            runner.drain().await;
        }
        telemetry.finish(telemetry::SERVER).await;
        context
            .printer
            .note("stopped; everything is kept in the data folder");
        Ok(())
    })
}

/// Makes the administrator at the first start and finds its token at every later one; one that has
/// ended is replaced. A hub that was set up otherwise has none here.
async fn admin_token(app: &App, context: &Context) -> Result<Option<Secret>, Failure> {
    let file = app.config().data_folder.join(TOKEN_FILE);
    let failed = |error: hub::auth::BootstrapError| {
        Failure::failed("bootstrap", error.to_string()).at_file(&file)
    };
    let stored = fsx::read_optional(&file)?;
    if let Some(bytes) = &stored {
        let text = String::from_utf8_lossy(bytes).trim().to_owned();
        if app.auth().is_good_token(&text).await.map_err(failed)? {
            return Ok(Some(Secret::new(text)));
        }
    }
    let mut made = app.auth().bootstrap_admin(ADMIN).await.map_err(failed)?;
    if made.is_none() && stored.is_some() {
        made = app.auth().renew_admin(ADMIN).await.map_err(failed)?;
    }
    let Some(admin) = made else { return Ok(None) };
    if stored.is_some() {
        context.printer.note(format!(
            "the token in {} had ended; there is a new one now",
            shown(&file, context)
        ));
    }
    fsx::write_atomic(
        &file,
        format!("{}\n", admin.expose_token()).as_bytes(),
        0o600,
    )?;
    Ok(Some(Secret::new(admin.expose_token())))
}

/// This hub, as its clients know it.
fn registry(app: &App) -> Result<Registry, Failure> {
    Ok(Registry {
        name: None,
        url: app.config().public_base().parse()?,
    })
}

/// Publishes what is not there yet, through the hub's own interface, as any client would.
async fn publish_examples(app: &App, token: &Secret, context: &Context) -> Result<usize, Failure> {
    let clock = &SystemClock;
    let registry = registry(app)?;
    let credentials = Credentials {
        username: Some(ADMIN.to_owned()),
        token: token.clone(),
        refresh_token: None,
        expires_at: None,
    };
    let client = Client::new(
        registry,
        ClientOptions {
            credentials: Some(credentials),
            ..ClientOptions::default()
        },
    );
    let key = examples_key(app.config(), clock)?;
    let signer = Signer {
        key: &key,
        passphrase: None,
    };
    let publisher = Publisher {
        client: &client,
        clock: &SystemClock,
        signer: Some(signer),
        observer: &|_| {},
    };
    publisher
        .register_key(&Signer {
            key: &key,
            passphrase: None,
        })
        .await?;
    let mut published = 0;
    for skill in examples()? {
        published += usize::from(publish(&client, &skill, &key, clock, context).await?);
    }
    Ok(published)
}

async fn publish(
    client: &Client,
    skill: &Skill,
    key: &SecretKey,
    clock: &dyn Clock,
    context: &Context,
) -> Result<bool, Failure> {
    let name = &skill.manifest.name;
    let Some(version) = &skill.manifest.version else {
        return Err(Failure::failed(
            "example-version",
            format!("the example {name} declares no version"),
        ));
    };
    match client.release(name, version).await {
        Ok(_) => return Ok(false),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let archive = skill.tree.pack();
    let statement = Statement::about(name, version, &archive);
    let signature = skill_signing::sign(key, None, &statement.to_bytes(), clock.now())?;
    let publication = Publication {
        archive: archive.into(),
        signature: Some(signature),
        version: None,
    };
    match client.publish(&publication).await {
        Ok(_) => {}
        Err(error) if error.is("version-exists") => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    context
        .printer
        .done("Published", format!("{name} {version}"));
    Ok(true)
}

/// The key that signs the examples, made on the spot and kept with the data.
fn examples_key(config: &HubConfig, clock: &dyn Clock) -> Result<SecretKey, Failure> {
    let keyring = Keyring::open(config.data_folder.join("keys"));
    let now = clock.now();
    match keyring.signing_key(None, now) {
        Ok(key) => Ok(key),
        Err(error) if error.code() == "no-signing-key" => {
            let life = Duration::from_secs(KEY_DAYS * 24 * 60 * 60);
            let key =
                keyring.generate("skills examples", Some(life), None, now, &mut rand::rng())?;
            Ok(keyring.secret(key.fingerprint())?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The embedded examples, dependencies first.
fn examples() -> Result<Vec<Skill>, Failure> {
    let mut trees: std::collections::BTreeMap<String, SkillTree> = Default::default();
    for path in Examples::iter() {
        let Some((skill, inside)) = path.split_once('/') else {
            continue;
        };
        let Some(file) = Examples::get(&path) else {
            continue;
        };
        let bytes = file.data.into_owned();
        // Embedding loses the mode; scripts say themselves what they are.
        let executable = bytes.starts_with(b"#!");
        trees
            .entry(skill.to_owned())
            .or_default()
            .insert(inside, SkillFile { executable, bytes })?;
    }
    let mut skills = Vec::new();
    for (folder, tree) in trees {
        let options = ReadOptions {
            folder_name: Some(folder),
            ..ReadOptions::default()
        };
        skills.push(Skill::from_tree(tree, &options)?);
    }
    skills.sort_by_key(|skill| skill.manifest.dependencies.skills.len());
    Ok(skills)
}

/// What to type next; every line works as it stands.
fn welcome(
    app: &App,
    published: usize,
    has_token: bool,
    is_running_skills: bool,
    args: &UpArgs,
    context: &Context,
) {
    let printer = &context.printer;
    let address = app.config().public_base();
    let program = invocation(context);
    let registry = if address == skill_client::config::DEFAULT_REGISTRY_URL {
        String::new()
    } else {
        format!(" --registry {address}")
    };
    let token_file = shown(&app.config().data_folder.join(TOKEN_FILE), context);
    printer.line(format!(
        "{} {}",
        printer.bold("The hub is running at"),
        printer.bold(&address)
    ));
    printer.line(format!(
        "Its data is in {}. Ctrl-C stops it.\n",
        shown(&app.config().data_folder, context)
    ));
    let mut steps: Vec<(&str, Vec<String>)> = Vec::new();
    if !args.no_examples {
        steps.push((
            "Try, in another terminal",
            vec![
                format!("{program} search csv{registry}"),
                format!("{program} install data-report --agent claude-code{registry}"),
                format!("printf 'name,age\\nalice,30\\nbob,41\\n' | {program} run csv-analyzer"),
                format!("{program} load --format openai"),
                format!("{program} doctor"),
            ],
        ));
    }
    if has_token && is_running_skills && !args.no_examples {
        steps.push((
            "Run a skill over HTTP",
            vec![format!(
                "printf 'name,age\\nalice,30\\n' | curl -H \"Authorization: Bearer $(cat {token_file})\" \
                 -H 'Content-Type: text/plain' --data-binary @- {address}/api/v1/skills/csv-analyzer/invoke"
            )],
        ));
    }
    if has_token {
        steps.push((
            "Publish a skill of your own",
            vec![
                format!("{program} login --token-stdin{registry} < {token_file}"),
                format!("{program} key generate 'My Name' --no-passphrase"),
                format!("{program} init my-skill --description 'Says hello. Use it to greet.'"),
                format!("{program} publish my-skill{registry}"),
            ],
        ));
    }
    for (heading, commands) in &steps {
        printer.line(format!("{heading}:"));
        for command in commands {
            printer.line(format!("  {command}"));
        }
        printer.line("");
    }
    printer.line(format!(
        "Or open {address} in a browser; the API is described at {address}/docs."
    ));
    printer.document(&serde_json::json!({
        "address": address, "data": app.config().data_folder, "published": published,
        "tokenFile": has_token.then_some(token_file),
    }));
}

/// How this program is called from here: by name where the name finds it.
fn invocation(context: &Context) -> String {
    let Ok(own) = std::env::current_exe() else {
        return "skills".to_owned();
    };
    let path = context.env("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("skills"))
        .find(|file| file.is_file());
    let same = |file: PathBuf| {
        file.canonicalize()
            .is_ok_and(|file| Some(file) == own.canonicalize().ok())
    };
    if found.is_some_and(same) {
        "skills".to_owned()
    } else {
        shown(&own, context)
    }
}

/// A path as short as it can be typed from here.
fn shown(path: &Path, context: &Context) -> String {
    path.strip_prefix(context.cwd())
        .unwrap_or(path)
        .display()
        .to_string()
}
