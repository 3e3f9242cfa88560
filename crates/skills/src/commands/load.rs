//! `skills load`: installed skills in the form that a framework reads. A skill that cannot be read
//! is warned about and left out; the others load.

use skill_client::loader::{self, Loaded, Place, PlaceKind, Precedence};
use skill_client::{Paths, Scope};
use skill_format::adapters::detect;
use skill_format::{Framework, Severity, SkillName};

use crate::cli::consume::LoadArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Where every agent that follows the specification looks, below a project and below a home.
const SHARED_FOLDER: &str = ".agents/skills";

pub fn run(args: &LoadArgs, context: &Context) -> Result<(), Failure> {
    let framework = match &args.format {
        Some(format) => format.parse::<Framework>()?,
        None => detect::from_environment(&|name| context.env(name)).unwrap_or(Framework::Claude),
    };
    let names = args
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<SkillName>, _>>()?;
    let loaded = loader::load(&places(context.paths()), &names);
    for warning in &loaded.warnings {
        let help = warning.help.as_ref();
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        match warning.severity {
            Severity::Info => context.printer.detail(&warning.message),
            _ => context.printer.warn(format!("{}{help}", warning.message)),
        }
    }
    check_names(&loaded, &names)?;
    let rendered = loaded.render(framework, false);
    let text = serde_json::to_string_pretty(&rendered).map_err(|error| {
        Failure::failed(
            "render",
            format!("the skills cannot be written as JSON: {error}"),
        )
    })?;
    context.printer.raw(format!("{text}\n").as_bytes());
    Ok(())
}

/// The project's skills go before the person's; a store that was named stands alone.
fn places(paths: &Paths) -> Vec<Place> {
    let place = |precedence, kind| Place { precedence, kind };
    let store = PlaceKind::Store(paths.store_dir().to_owned());
    let shared = |dir: &std::path::Path| PlaceKind::Folder(dir.join(SHARED_FOLDER));
    let user = [
        place(
            Precedence::User,
            PlaceKind::Store(paths.user_dir().to_owned()),
        ),
        place(Precedence::User, shared(paths.home())),
    ];
    match (paths.scope(), paths.project_dir()) {
        (Scope::Named, _) => vec![place(Precedence::Project, store)],
        (Scope::Project, Some(project)) => {
            let own = [
                place(Precedence::Project, store),
                place(Precedence::Project, shared(project)),
            ];
            own.into_iter().chain(user).collect()
        }
        _ => user.to_vec(),
    }
}

/// Whoever names a skill counts on it.
fn check_names(loaded: &Loaded, names: &[SkillName]) -> Result<(), Failure> {
    let Some(missing) = names.iter().find(|name| loaded.get(name).is_none()) else {
        return Ok(());
    };
    // Of skills that were not asked for, none is read.
    let mut warnings = loaded.warnings.iter();
    if warnings.any(|warning| {
        warning.code == "skill-unreadable" && warning.message.contains(missing.as_str())
    }) {
        return Err(
            Failure::failed("skill-unreadable", format!("{missing} cannot be loaded"))
                .with_help("see the warning above; `skills install --force` installs it anew"),
        );
    }
    Err(
        Failure::failed("not-installed", format!("{missing} is not installed"))
            .with_help(format!("skills install {missing}")),
    )
}
