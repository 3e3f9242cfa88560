//! `skills controller`: looks after SkillTopics in a Kubernetes cluster until SIGTERM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use skill_client::{Clock as _, SystemClock};
use skill_controller::api::{Access, Api};
use skill_controller::controller::{self, Clock, Controller};
use skill_controller::election::{Candidate, Election, Role};
use skill_controller::health::Health;
use skill_controller::settings::{Nats, Settings, Workers, Zeromq};

use crate::cli::server::ControllerArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::observing::{self, Report};
use crate::wiring;

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub fn run(args: &ControllerArgs, context: &Context) -> Result<(), Failure> {
    wiring::start_service_logging(context)?;
    let settings = settings(args)?;
    let api = Api::new(access(args, context)?)?;
    let election = if args.no_election {
        None
    } else {
        Some(election(args, context)?)
    };
    wiring::run_server(async {
        let stop = wiring::shutdown_signal();
        let listener = observing::listen(args.metrics).await?;
        let address = listener.local_addr().unwrap_or(args.metrics);
        let health = Arc::new(Health::default());
        tokio::spawn(observing::serve(
            listener,
            Arc::new(Status(Arc::clone(&health))),
        ));
        tracing::info!(%address, "metrics");
        let clock: Clock = Arc::new(|| SystemClock.now());
        let controller = Controller {
            api: api.clone(),
            settings,
            clock: Arc::clone(&clock),
            jitter: Arc::new(rand::random),
            health: Arc::clone(&health),
        };
        match election {
            Some(election) => {
                let jitter = Arc::clone(&controller.jitter);
                Candidate::new(api, election, clock, jitter)
                    .run(|| controller.run(), |role| health.role(role), stop)
                    .await;
            }
            None => {
                health.role(Role::Leader);
                tokio::select! {
                    () = controller.run() => {}
                    () = stop => {}
                }
            }
        }
        Ok(())
    })
}

struct Status(Arc<Health>);

impl Report for Status {
    fn metrics(&self) -> String {
        self.0.metrics()
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

fn settings(args: &ControllerArgs) -> Result<Settings, Failure> {
    let zeromq = match (&args.proxy_xsub, &args.proxy_xpub) {
        (Some(xsub), Some(xpub)) => {
            for address in [xsub, xpub] {
                check(
                    address,
                    &["tcp://", "ipc://"],
                    "tcp://skillscale-proxy:5444",
                )?;
            }
            if let Some(prometheus) = &args.prometheus {
                check(
                    prometheus,
                    &["http://", "https://"],
                    "http://prometheus:9090",
                )?;
            }
            Some(Zeromq {
                xsub: xsub.clone(),
                xpub: xpub.clone(),
                prometheus: args.prometheus.clone(),
            })
        }
        _ => None,
    };
    let nats = match &args.nats {
        Some(url) => {
            check(url, &["nats://", "tls://"], "nats://nats:4222")?;
            Some(Nats {
                url: url.clone(),
                monitoring: args.nats_monitoring.clone(),
                account: args.nats_account.clone(),
            })
        }
        None => None,
    };
    if zeromq.is_none() && nats.is_none() {
        return Err(
            Failure::bad_input("no-mesh", "it was not said where workers find their mesh")
                .with_help("give --proxy-xsub and --proxy-xpub, or --nats, or all of them"),
        );
    }
    Ok(Settings {
        namespace: args.namespace.clone(),
        workers: Workers {
            image: args.image.clone(),
            zeromq,
            nats,
        },
        resync: controller::RESYNC,
        retry_min: controller::RETRY_MIN,
        retry_max: controller::RETRY_MAX,
    })
}

fn check(address: &str, schemes: &[&str], example: &str) -> Result<(), Failure> {
    if schemes
        .iter()
        .any(|scheme| address.len() > scheme.len() && address.starts_with(scheme))
    {
        return Ok(());
    }
    // A password may stand in it, so it is not shown.
    Err(Failure::bad_input(
        "address",
        format!("an address does not begin with {}", schemes.join(" or ")),
    )
    .with_help(format!("write it as in {example}")))
}

fn access(args: &ControllerArgs, context: &Context) -> Result<Access, Failure> {
    if let Some(server) = &args.server {
        let resolve = |path: &Option<PathBuf>| path.as_ref().map(|path| context.resolve(path));
        return Ok(Access {
            server: server.clone(),
            token_file: resolve(&args.token_file),
            ca_file: resolve(&args.ca_file),
        });
    }
    let host = context.env("KUBERNETES_SERVICE_HOST");
    let port = context.env("KUBERNETES_SERVICE_PORT");
    match (host, port) {
        (Some(host), Some(port)) => Ok(Access::in_cluster(&host, &port, Path::new(ACCOUNT))),
        _ => Err(Failure::bad_input(
            "no-cluster",
            "this is not a pod, and no Kubernetes API was named",
        )
        .with_help("name one by --server, for example the address that `kubectl proxy` prints")),
    }
}

fn election(args: &ControllerArgs, context: &Context) -> Result<Election, Failure> {
    let own = || {
        let file = Path::new(ACCOUNT).join("namespace");
        std::fs::read_to_string(file)
            .ok()
            .map(|name| name.trim().to_owned())
    };
    let namespace = args
        .lease_namespace
        .clone()
        .or_else(own)
        .or_else(|| args.namespace.clone())
        .ok_or_else(|| {
            Failure::bad_input("no-lease-namespace", "there is no namespace for the lease")
                .with_help(
                    "name one by --lease-namespace, or run a single replica with --no-election",
                )
        })?;
    let host = context
        .env("HOSTNAME")
        .unwrap_or_else(|| "skills".to_owned());
    // Two processes of one host, or a pod that starts again, are not the same candidate.
    let identity = format!("{host}_{:08x}", rand::random::<u32>());
    Ok(Election::new(namespace, identity))
}
