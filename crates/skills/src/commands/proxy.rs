//! `skills proxy`: shares requests out among workers until SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use skill_mesh::proxy::{Metrics, Mode, Proxy, Settings};
use skill_mesh::queue;
use tokio::sync::watch;

use crate::cli::mesh::ProxyArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::mesh::wall_clock;
use crate::observing::{self, Report};
use crate::{proxy_metrics, wiring};

pub fn run(args: &ProxyArgs, context: &Context) -> Result<(), Failure> {
    wiring::start_service_logging(context)?;
    // On one thread: to wake another one for a message costs more than the message.
    context.block_on(async {
        let stop = wiring::shutdown_signal();
        let observers = match args.metrics.0 {
            Some(address) => Some(observing::listen(address).await?),
            None => None,
        };
        let proxy = Proxy::bind(settings(args))?;
        let metrics = observers.as_ref().and_then(|one| one.local_addr().ok());
        announce(&proxy, metrics, args, context);
        let status = Arc::new(Status {
            metrics: proxy.metrics(),
            is_stopping: AtomicBool::new(false),
        });
        if let Some(listener) = observers {
            tokio::spawn(observing::serve(listener, status.clone()));
        }
        let stop = async {
            stop.await;
            tracing::info!(
                "stopping: what waits is refused, what runs may end; a second signal ends it at once"
            );
            status.is_stopping.store(true, Ordering::Relaxed);
        };
        proxy.run(stop).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

fn settings(args: &ProxyArgs) -> Settings {
    let defaults = Settings::new(wall_clock());
    let address = |bind: &Option<String>, port: u16| match (bind, port) {
        (Some(address), _) => address.clone(),
        (None, 0) => "tcp://0.0.0.0:*".to_owned(),
        (None, port) => format!("tcp://0.0.0.0:{port}"),
    };
    Settings {
        mode: if args.broadcast {
            Mode::Broadcast
        } else {
            Mode::Share
        },
        xsub: address(&args.xsub_bind, args.xsub_port),
        xpub: address(&args.xpub_bind, args.xpub_port),
        queue: queue::Settings {
            waiting_max: args.queue_max,
            bytes_max: args.queue_mib.saturating_mul(1024 * 1024),
            wait: Duration::from_secs(args.wait),
            lease: Duration::from_secs(args.lease),
            attempts_max: args.attempts,
            ..defaults.queue.clone()
        },
        drain: Duration::from_secs(args.drain),
        ..defaults
    }
}

fn announce(
    proxy: &Proxy,
    metrics: Option<std::net::SocketAddr>,
    args: &ProxyArgs,
    context: &Context,
) {
    let (xsub, xpub) = (proxy.xsub_endpoint(), proxy.xpub_endpoint());
    tracing::info!(
        xsub,
        xpub,
        metrics = metrics.map(tracing::field::display),
        broadcast = args.broadcast,
        "the proxy is up; whoever reaches these ports may ask, answer and read"
    );
    context.printer.document(&json!({
        "xsub": xsub,
        "xpub": xpub,
        "metrics": metrics.map(|address| format!("http://{address}/metrics")),
    }));
}

struct Status {
    metrics: watch::Receiver<Arc<Metrics>>,
    is_stopping: AtomicBool,
}

impl Report for Status {
    fn metrics(&self) -> String {
        let metrics = self.metrics.borrow().clone();
        proxy_metrics::render(&metrics)
    }

    fn is_ready(&self) -> bool {
        !self.is_stopping.load(Ordering::Relaxed)
    }
}
