//! `skills install`: what was named, or what the project asks for.

use jiff::SignedDuration;
use skill_client::install::{InstallRequest, ORIGIN_COMMAND, Wanted};
use skill_client::project::ProjectSource;
use skill_client::resolver::Requirer;
use skill_client::workspace::{Renew, Workspace, WorkspaceError, compatible};
use skill_client::{Config, InstallOutcome, SkillSource};
use skill_format::{Range, SkillName};

use crate::cli::consume::InstallArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::{self, Kit, Progress};
use crate::pinning;

pub fn run(args: &InstallArgs, context: &Context) -> Result<(), Failure> {
    if !args.specs.is_empty() {
        return named(args, context);
    }
    if args.frozen {
        return frozen(args, context);
    }
    project(args, context)
}

/// Installs what was named, and takes it into the project.
fn named(args: &InstallArgs, context: &Context) -> Result<(), Failure> {
    let mut pinned = pinning::open(context.paths(), "skills install", context)?;
    let config = context.config()?;
    let workspace = pinned.as_ref().map(|pinned| &pinned.workspace);
    let kit = Kit::for_project(&args.registry, args.offline, workspace, context)?;
    let wanted = wanted(args, workspace, context)?;
    let mut request = InstallRequest::default();
    if let Some(workspace) = workspace {
        if !args.no_save {
            workspace.check_can_save(&wanted)?;
        }
        request = workspace.request(&config, &kit.store.index()?, Renew::Nothing, false)?;
        request.spare_roots = true;
        if context.registry_flag(&args.registry).is_some() {
            keep_registries(&mut request, workspace, context)?;
        }
    }
    if context.registry_flag(&args.registry).is_some() {
        for name in wanted.iter().filter_map(Wanted::installed_name) {
            let registry = kit.registry().to_owned();
            request.registries.insert(name.clone(), registry);
        }
    }
    let of_project: Vec<SkillName> = request
        .wanted
        .iter()
        .filter_map(|wanted| wanted.installed_name().cloned())
        .collect();
    request.wanted.extend(wanted.iter().cloned());
    let outcome = install(&mut request, &kit, workspace, args, context)
        .map_err(|failure| or_folder(failure, args, context))?;
    installing::report(&outcome, &context.printer);
    installing::note_unseen(&outcome, &context.printer);
    match &mut pinned {
        Some(pinned) if !args.no_save && !outcome.dry_run => {
            let registry = context
                .registry_flag(&args.registry)
                .map(|_| shared_name(&pinned.workspace, kit.registry()));
            let asked = Asked {
                wanted: &wanted,
                of_project: &of_project,
                registry: registry.as_deref(),
            };
            let saved = asked.save(&mut pinned.workspace, &outcome)?;
            let lock = pinned.workspace.lock_of(&outcome);
            let changes = pinning::write(&mut pinned.workspace, lock, context)?;
            pinning::tell("Saved", &saved, "to", context);
            context
                .printer
                .document(&pinning::document(&outcome, &saved, &changes));
        }
        _ => context.printer.document(&outcome),
    }
    installing::verdict(&outcome)
}

/// Installs what the project asks for, at the locked versions where they fit.
fn project(args: &InstallArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let mut pinned = pinning::open_any(paths, "skills install", context)?
        .ok_or_else(|| pinning::no_project(paths, "install"))?;
    let workspace = &pinned.workspace;
    let kit = Kit::for_project(&args.registry, args.offline, Some(workspace), context)?;
    let index = kit.store.index()?;
    let mut request = workspace.request(&context.config()?, &index, Renew::Nothing, true)?;
    let outcome = install(&mut request, &kit, Some(workspace), args, context)?;
    installing::report(&outcome, &context.printer);
    installing::note_unseen(&outcome, &context.printer);
    let mut changes = Vec::new();
    if !outcome.dry_run && !args.no_save {
        let lock = pinned.workspace.lock_of(&outcome);
        changes = pinning::write(&mut pinned.workspace, lock, context)?;
        pinning::note_extras(&pinned.workspace, &kit.store.index()?, context);
    }
    context
        .printer
        .document(&pinning::document(&outcome, &[], &changes));
    installing::verdict(&outcome)
}

/// Installs exactly what is locked. Writes neither file, and needs no right to do so.
fn frozen(args: &InstallArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let workspace = pinning::read(paths)?.ok_or_else(|| pinning::no_project(paths, "install"))?;
    let kit = Kit::for_project(&args.registry, args.offline, Some(&workspace), context)?;
    let mut request = workspace
        .frozen_request(&context.config()?)
        .map_err(|error| {
            let mut failure = Failure::of(&error);
            if let WorkspaceError::Differs { differences } = &error {
                let texts = differences.iter().map(ToString::to_string);
                texts.for_each(|text| failure.add_cause(text));
            }
            failure
        })?;
    let outcome = install(&mut request, &kit, Some(&workspace), args, context)?;
    installing::report(&outcome, &context.printer);
    installing::note_unseen(&outcome, &context.printer);
    pinning::note_extras(&workspace, &kit.store.index()?, context);
    context.printer.document(&outcome);
    installing::verdict(&outcome)
}

fn install(
    request: &mut InstallRequest,
    kit: &Kit,
    workspace: Option<&Workspace>,
    args: &InstallArgs,
    context: &Context,
) -> Result<InstallOutcome, Failure> {
    let config = context.config()?;
    apply_flags(request, args, &config, context)?;
    let table = pinning::agent_table(workspace)?;
    let roots = installing::roots(&kit.paths, context);
    let linking = pinning::linking(
        &args.agent,
        workspace,
        &config,
        &table,
        (&roots, &kit.paths),
    )?;
    let progress = Progress::new(&context.printer);
    let show = |event: &skill_client::Event<'_>| progress.show(event);
    context.block_on(async {
        Ok(kit
            .installer(&show)
            .install(request, Some(&linking))
            .await?)
    })
}

fn apply_flags(
    request: &mut InstallRequest,
    args: &InstallArgs,
    config: &Config,
    context: &Context,
) -> Result<(), Failure> {
    let hours = |hours: u32| SignedDuration::from_hours(i64::from(hours));
    request.minimum_age = args
        .minimum_age
        .map(hours)
        .or(request.minimum_age)
        .or(config.settings.minimum_release_age_hours.map(hours));
    request.pick = args
        .pick
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<SkillName>, _>>()?;
    request.force = args.force;
    request.dry_run = args.dry_run;
    request.allow_unsigned |= args.allow_unsigned;
    request.environment = Some(context.environment_names());
    Ok(())
}

/// What was named; in the project's range if no version was, and the project asks for it already.
fn wanted(
    args: &InstallArgs,
    workspace: Option<&Workspace>,
    context: &Context,
) -> Result<Vec<Wanted>, Failure> {
    if args.alias.is_some() && args.specs.len() > 1 {
        return Err(Failure::bad_input(
            "alias-for-several",
            "--as gives one skill another name, and several were named",
        )
        .with_help("install them one by one"));
    }
    let mut wanted = Vec::new();
    for spec in &args.specs {
        let mut source = with_version(SkillSource::parse(spec, context.cwd())?, args)?;
        let alias: Option<SkillName> = args.alias.as_deref().map(str::parse).transpose()?;
        if let SkillSource::Registry { name, range } = &mut source
            && args.version.is_none()
            && !spec.contains('@')
        {
            let installed = alias.as_ref().unwrap_or(name);
            let wished = workspace.and_then(|workspace| wished_range(workspace, installed));
            if let Some(wished) = wished {
                range.clone_from(wished);
            }
        }
        wanted.push(Wanted {
            alias,
            ..Wanted::of(source)
        });
    }
    Ok(wanted)
}

/// What the project says of a registry's skill.
fn wished_range<'w>(workspace: &'w Workspace, installed: &SkillName) -> Option<&'w Range> {
    match &workspace.wish(installed)?.source {
        ProjectSource::Registry { range, .. } => Some(range),
        _ => None,
    }
}

/// `--registry` is about what was named: the rest of the project stays with its own.
fn keep_registries(
    request: &mut InstallRequest,
    workspace: &Workspace,
    context: &Context,
) -> Result<(), Failure> {
    let config = context.config()?;
    let usual = match workspace.default_registry(&config)? {
        Some(registry) => registry,
        None => config.registry(context.env("SKILLS_REGISTRY").as_deref())?,
    };
    for root in &request.roots {
        // What is locked says itself where it is from.
        if !request.locked.contains_key(&root.name) {
            request
                .registries
                .entry(root.name.clone())
                .or_insert_with(|| usual.url.to_string());
        }
    }
    Ok(())
}

/// The project's own name for a registry, else its address: a name that only this person has
/// configured would mean nothing to others.
fn shared_name(workspace: &Workspace, url: &str) -> String {
    let registries = &workspace.project().wishes().registries;
    let named = registries
        .iter()
        .find(|(_, address)| address.trim_end_matches('/') == url);
    named.map_or_else(|| url.to_owned(), |(name, _)| name.clone())
}

/// What the command line asked for, beside what the project asks for anyway.
struct Asked<'a> {
    wanted: &'a [Wanted],
    of_project: &'a [SkillName],
    /// Of what was named, if it is not the project's.
    registry: Option<&'a str>,
}

impl Asked<'_> {
    /// Takes it into `skills.toml`, in memory.
    fn save(
        &self,
        workspace: &mut Workspace,
        outcome: &InstallOutcome,
    ) -> Result<Vec<SkillName>, Failure> {
        let mut saved = Vec::new();
        for entry in &outcome.entries {
            if self.is_for(&entry.name, outcome) {
                let range = match self.range(&entry.name) {
                    Some(range) if Some(&range) == wished_range(workspace, &entry.name) => None,
                    // `@latest` is what it is today, and whatever is compatible with it.
                    Some(range) if range == Range::any() => Some(compatible(&entry.version)),
                    range => range,
                };
                workspace.adopt(entry, range, self.registry)?;
                saved.push(entry.name.clone());
            }
        }
        Ok(saved)
    }

    fn is_for(&self, name: &SkillName, outcome: &InstallOutcome) -> bool {
        let command = Requirer::Direct(ORIGIN_COMMAND.into());
        let reasons = outcome.plan.get(name).map(|planned| &planned.reasons);
        let mut reasons = reasons.into_iter().flatten();
        reasons.any(|reason| reason.requirer == command) && !self.of_project.contains(name)
    }

    /// The range to save: what was said, or what the project says already.
    fn range(&self, installed: &SkillName) -> Option<Range> {
        self.wanted.iter().find_map(|wanted| match &wanted.source {
            SkillSource::Registry { range, .. } if wanted.installed_name() == Some(installed) => {
                Some(range.clone())
            }
            _ => None,
        })
    }
}

/// A registry that does not know a name may not be where it was meant to come from.
fn or_folder(failure: Failure, args: &InstallArgs, context: &Context) -> Failure {
    let is_here = |spec: &&String| {
        failure.message.contains(&format!("`{spec}`")) && context.resolve(spec).is_dir()
    };
    match args.specs.iter().find(is_here) {
        Some(spec) if failure.code == "unknown-skill" => {
            let help = format!("there is a folder of that name here: skills install ./{spec}");
            failure.with_help(help)
        }
        _ => failure,
    }
}

/// `--version RANGE` is another way to write `NAME@RANGE`.
fn with_version(source: SkillSource, args: &InstallArgs) -> Result<SkillSource, Failure> {
    let Some(version) = &args.version else {
        return Ok(source);
    };
    match source {
        SkillSource::Registry { name, range } if range == Range::any() => {
            Ok(SkillSource::registry(name, version.parse()?))
        }
        SkillSource::Registry { name, .. } => Err(Failure::bad_input(
            "version-twice",
            format!("{name} is given two versions"),
        )
        .with_help("leave out --version")),
        _ => Err(Failure::bad_input(
            "version-of-a-source",
            "--version chooses among a registry's versions",
        )
        .with_help("name a tag or commit instead: URL#REF")),
    }
}
