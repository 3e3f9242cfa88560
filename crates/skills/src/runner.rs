//! Runs the hub's own skills in its process, for `skills up`: what a caller invokes is installed from the hub
//! into a store of the runner's and run in the sandbox, behind a mesh in memory.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hub::HubConfig;
use hub::invoke::{Invocation, InvokeError, Invoker, Output, Progress};
use skill_client::api::{Client, ClientOptions};
use skill_client::config::Registry;
use skill_client::install::{InstallRequest, Installer, Wanted};
use skill_client::python::Environments;
use skill_client::source::SkillSource;
use skill_client::{Cache, Credentials, Secret, Store, SystemClock, Verifier};
use skill_format::{Explain, Range, SkillName, Version};
use skill_runtime::in_process::{self, InProcess, Local};
use skill_runtime::{Granting, Library, Source, Surroundings};
use skill_sandbox::Sandbox;
use skill_signing::{Keyring, Pins};
use tokio::sync::Mutex;

use crate::cli::mesh::WorkerSandbox;
use crate::context::Context;
use crate::failure::Failure;
use crate::invoking::{MeshInvoker, REPLY_TOPIC};
use crate::mesh::wall_clock;

/// How long a caller waits for the Python packages of a skill.
const PACKAGES_WAIT: Duration = Duration::from_secs(120);
/// How long running skills may take when the hub stops.
const DRAIN: Duration = Duration::from_secs(10);

/// The worker and what it has installed. Clones share it.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    library: Arc<Library>,
    mesh: MeshInvoker,
    worker: std::sync::Mutex<Option<InProcess>>,
    /// The hub, once it listens.
    hub: OnceLock<Arc<Client>>,
    /// One install at a time.
    installing: Mutex<()>,
}

impl Runner {
    /// Starts the worker. `None` where this host cannot contain skills, which is said.
    pub async fn start(
        config: &HubConfig,
        strictness: WorkerSandbox,
        context: &Context,
    ) -> Result<Option<Self>, Failure> {
        let settings = skill_sandbox::Settings {
            allow_degraded: strictness == WorkerSandbox::Available,
            ..skill_sandbox::Settings::default()
        };
        let printer = &context.printer;
        let sandbox = match Sandbox::start(settings).await {
            Ok(sandbox) => Arc::new(sandbox),
            Err(error) => {
                printer.warn(format!(
                    "skills are not run for callers of the API: {error}"
                ));
                return Ok(None);
            }
        };
        for missing in &sandbox.protections().missing {
            printer.warn(format!("this host does not enforce {missing}"));
        }
        let folder = config.data_folder.join("runner");
        let search = context.env_os("PATH");
        let surroundings = Surroundings {
            // Strangers publish what is run here: nothing of this process's environment is theirs.
            variable: Arc::new(move |name| search.clone().filter(|_| name == "PATH")),
            // What strangers publish must see neither what others have published, nor what decides whom to
            // trust, nor what only this machine reaches.
            granting: Granting::Nothing,
            environments: Environments::new(
                Cache::new(folder.join("cache")).python_dir(),
                context.python_builder(false),
            ),
        };
        let library = Library::open(vec![Source::Store(folder.join("store"))], surroundings)?;
        let library = Arc::new(library);
        let local = Local {
            slots: skill_sandbox::Settings::default().slots,
            // As long as the gateway lets a caller ask for.
            timeout: Duration::from_secs(config.invoke.timeout_seconds_max),
            drain: DRAIN,
            clock: wall_clock(),
        };
        let worker =
            in_process::start_in_process(library.clone(), sandbox, local, REPLY_TOPIC.to_owned());
        Ok(Some(Self(Arc::new(Inner {
            folder,
            library,
            mesh: MeshInvoker::new(worker.agent(), in_process::TOPIC),
            worker: std::sync::Mutex::new(Some(worker)),
            hub: OnceLock::new(),
            installing: Mutex::new(()),
        }))))
    }

    /// Says where skills come from.
    pub fn serves(&self, registry: Registry, token: Secret) {
        // The first hub stands: there is one.
        let _ = self.0.hub.set(Arc::new(client(registry, token)));
    }

    /// Ends what runs, at the latest after [`DRAIN`].
    pub async fn drain(&self) {
        let worker = self
            .0
            .worker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(worker) = worker
            && let Err(error) = worker.drain().await
        {
            tracing::error!(%error, "the worker ended unexpectedly");
        }
    }
}

impl Invoker for Runner {
    fn invoke(
        &self,
        invocation: Invocation,
        progress: Progress,
    ) -> Pin<Box<dyn Future<Output = Result<Output, InvokeError>> + Send + '_>> {
        Box::pin(async move {
            let version = self.ensure(&invocation.skill).await?;
            if self.0.library.snapshot().is_preparing(&invocation.skill) {
                self.0.library.settled(PACKAGES_WAIT).await;
            }
            let result = self.0.mesh.ask(&invocation, &progress).await?;
            Ok(Output {
                bytes: result.into(),
                version: Some(version.to_string()),
            })
        })
    }
}

impl Runner {
    /// The newest version of a skill is installed when this returns.
    async fn ensure(&self, skill: &str) -> Result<Version, InvokeError> {
        let not_served = |error: &dyn Explain| {
            InvokeError::NotServed(format!("{skill} cannot be installed to be run: {error}"))
        };
        let name: SkillName = skill.parse().map_err(|error| not_served(&error))?;
        let Some(client) = self.0.hub.get().cloned() else {
            return Err(InvokeError::NotServed("the hub is still starting".into()));
        };
        let latest = client
            .latest(&name)
            .await
            .map_err(|error| not_served(&error))?;
        let _one = self.0.installing.lock().await;
        let store = Store::new(self.0.folder.join("store"));
        let index = store.index().map_err(|error| not_served(&error))?;
        if index.get_version(&name, &latest.release.version).is_some() {
            return Ok(latest.release.version);
        }
        let (folder, wanted, version) =
            (self.0.folder.clone(), name, latest.release.version.clone());
        // The installer reports to whoever called it and so stays on one thread.
        let runtime = tokio::runtime::Handle::current();
        let installed = tokio::task::spawn_blocking(move || {
            runtime.block_on(install(&folder, &client, wanted, version))
        });
        match installed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(not_served(&error)),
            Err(error) => return Err(InvokeError::NotServed(error.to_string())),
        }
        let library = self.0.library.clone();
        // A panic in there has been logged; the skill is then simply not found.
        let _ = tokio::task::spawn_blocking(move || library.refresh()).await;
        Ok(latest.release.version)
    }
}

fn client(registry: Registry, token: Secret) -> Client {
    let credentials = Credentials {
        username: None,
        token,
        refresh_token: None,
        expires_at: None,
    };
    Client::new(
        registry,
        ClientOptions {
            credentials: Some(credentials),
            ..ClientOptions::default()
        },
    )
}

async fn install(
    folder: &Path,
    client: &Client,
    name: SkillName,
    version: Version,
) -> Result<(), skill_client::install::InstallError> {
    let installer = Installer {
        store: &Store::new(folder.join("store")),
        cache: &Cache::new(folder.join("cache")),
        client,
        others: &[],
        verifier: &Verifier::new(
            Keyring::open(folder.join("keys")),
            Pins::open(folder.join("pins.json")),
        ),
        clock: &SystemClock,
        observer: &|_| {},
    };
    let source = SkillSource::Registry {
        name: name.clone(),
        range: Range::exact(&version),
    };
    let request = InstallRequest {
        wanted: vec![Wanted::of(source)],
        update: [name].into(),
        ..InstallRequest::default()
    };
    installer.install(&request, None).await.map(drop)
}
