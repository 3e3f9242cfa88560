//! What a command needs of its surroundings, read from the process once: folders, environment,
//! terminal. No other module of the program reads the environment.

use std::ffi::OsStr;
use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use skill_client::api::{Client, ClientOptions};
use skill_client::config::RegistryUrl;
use skill_client::http::OnRetry;
use skill_client::workspace::Workspace;
use skill_client::{Config, ConfigFile, PathInputs, Paths, Registry, Secret};

use crate::cli::{GlobalArgs, RegistryArg};
use crate::failure::Failure;
use crate::printer::Printer;

/// Whether a variable is set, to nothing.
pub fn is_empty_variable(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// The surroundings of one run.
#[derive(Debug, Clone)]
pub struct Context {
    pub printer: Printer,
    pub global: GlobalArgs,
    cwd: PathBuf,
    home: PathBuf,
    paths: OnceLock<Paths>,
}

impl Context {
    pub fn from_process(global: GlobalArgs, printer: Printer) -> Result<Self, Failure> {
        let cwd = std::env::current_dir().map_err(|error| {
            Failure::failed(
                "no-working-directory",
                format!("the working directory cannot be read: {error}"),
            )
            .with_help("change into a folder that exists")
        })?;
        let home = std::env::home_dir()
            .filter(|home| home.is_absolute())
            .ok_or_else(|| {
                Failure::bad_input("no-home", "there is no home directory")
                    .with_help("set HOME, or name a store with --store DIR")
            })?;
        Ok(Self {
            printer,
            global,
            cwd,
            home,
            paths: OnceLock::new(),
        })
    }

    /// The folder in which the program was started; absolute.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The user's home folder; absolute.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// An environment variable that is set and not empty.
    pub fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// An environment variable as it is, for a program that is started.
    pub fn env_os(&self, name: &str) -> Option<std::ffi::OsString> {
        std::env::var_os(name)
    }

    /// The names of the environment variables that are set, for skills that declare what they need.
    pub fn environment_names(&self) -> std::collections::BTreeSet<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }

    /// How Python environments are made for skills: with what installers read of the environment.
    pub fn python_builder(&self, allow_builds: bool) -> skill_client::python::Builder {
        use skill_client::python::{BUILD_TIME_MAX, Builder};
        let names = self.environment_names();
        let taken = names.iter().filter(|name| Builder::takes_variable(name));
        let environment = taken.filter_map(|name| Some((name.into(), self.env_os(name)?)));
        Builder {
            environment: environment.collect(),
            search: self.env_os("PATH").unwrap_or_default(),
            allow_builds,
            offline: false,
            time_max: BUILD_TIME_MAX,
        }
    }

    /// `path` as seen from the working directory.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }

    /// Where things lie for this run, looked for once.
    pub fn paths(&self) -> &Paths {
        self.paths.get_or_init(|| {
            Paths::resolve(PathInputs {
                cwd: self.cwd.clone(),
                home: self.home.clone(),
                store: self.global.store.clone(),
                global: self.global.global,
            })
        })
    }

    pub fn config_file(&self) -> ConfigFile {
        ConfigFile::new(self.paths().config_file())
    }

    pub fn config(&self) -> Result<Config, Failure> {
        Ok(self.config_file().read()?)
    }

    /// A client for the registry that was asked for; opens no connection yet.
    pub fn client(&self, wanted: &RegistryArg) -> Result<Client, Failure> {
        self.client_with(wanted, false)
    }

    /// Like [`Context::client`]; an offline one answers from what was seen before.
    pub fn client_with(&self, wanted: &RegistryArg, offline: bool) -> Result<Client, Failure> {
        let config = self.config()?;
        let registry = config.registry(wanted.registry.as_deref())?;
        // A token from the environment is for the registry that the command is about.
        let token = self.env("SKILLS_TOKEN").map(Secret::new);
        Ok(self.client_of(registry, token, offline, &config))
    }

    /// The client for the registry that was asked for or that the project names, and the others
    /// that the project or the person knows.
    pub fn clients(
        &self,
        wanted: &RegistryArg,
        offline: bool,
        workspace: Option<&Workspace>,
    ) -> Result<(Client, Vec<Client>), Failure> {
        let config = self.config()?;
        let of_project = match workspace {
            Some(workspace) if wanted.registry.is_none() => workspace.default_registry(&config)?,
            _ => None,
        };
        let main = match of_project {
            Some(registry) => registry,
            None => config.registry(wanted.registry.as_deref())?,
        };
        // A project that somebody else wrote does not choose who is sent the person's token.
        let is_own = wanted.registry.is_some()
            || config.registries().any(|registry| registry.url == main.url);
        let token = self.env("SKILLS_TOKEN").filter(|_| is_own).map(Secret::new);
        let mut others: Vec<Registry> = Vec::new();
        let named = match workspace {
            Some(workspace) => workspace.registries(&config)?,
            None => Vec::new(),
        };
        for registry in named.into_iter().chain(config.registries()) {
            let is_new =
                registry.url != main.url && others.iter().all(|other| other.url != registry.url);
            if is_new {
                others.push(registry);
            }
        }
        let others = others
            .into_iter()
            .map(|registry| self.client_of(registry, None, offline, &config))
            .collect();
        Ok((self.client_of(main, token, offline, &config), others))
    }

    /// A client that sends what `skills login` stored, whatever token the environment holds.
    pub fn client_as_signed_in(&self, registry: Registry) -> Result<Client, Failure> {
        Ok(self.client_of(registry, None, false, &self.config()?))
    }

    /// The registry that was named on the command line itself, not by the environment.
    pub fn registry_flag<'a>(&self, wanted: &'a RegistryArg) -> Option<&'a str> {
        let named = wanted.registry.as_deref()?;
        (self.env("SKILLS_REGISTRY").as_deref() != Some(named)).then_some(named)
    }

    /// A client for each of these registries, by address; what is no address is left out. A token
    /// from the environment goes to the default registry only.
    pub fn clients_at<'a>(
        &self,
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Client>, Failure> {
        let config = self.config()?;
        let main = config.registry(self.env("SKILLS_REGISTRY").as_deref()).ok();
        let registries = urls.into_iter().filter_map(|url| {
            let address: RegistryUrl = url.parse().ok()?;
            config.registry(Some(address.as_str())).ok()
        });
        Ok(registries
            .map(|registry| {
                let is_main = main.as_ref().is_some_and(|main| main.url == registry.url);
                let token = self
                    .env("SKILLS_TOKEN")
                    .filter(|_| is_main)
                    .map(Secret::new);
                self.client_of(registry, token, false, &config)
            })
            .collect())
    }

    fn client_of(
        &self,
        registry: Registry,
        token: Option<Secret>,
        offline: bool,
        config: &Config,
    ) -> Client {
        let mut options = ClientOptions::configured(self.paths(), config, &registry, token);
        let printer = self.printer.clone();
        options.http.on_retry = Some(OnRetry::new(move |why| printer.note(why)));
        Client::new(registry, ClientOptions { offline, ..options })
    }

    /// Whether questions can be asked.
    pub fn may_ask(&self) -> bool {
        !self.global.yes
            && !self.global.json
            && std::io::stdin().is_terminal()
            && std::io::stderr().is_terminal()
    }

    /// Runs asynchronous work to its end on this thread. Made only by commands that need it.
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::failed(
                    "no-runtime",
                    format!("cannot start the I/O runtime: {error}"),
                )
            })?
            .block_on(work)
    }
}
