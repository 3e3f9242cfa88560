//! One leader among replicas, through a Lease: whoever renews it leads, and whoever sees it unrenewed for
//! long enough takes it. Clocks are not compared: each replica measures for how long *it* saw no renewal.

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, ApiError, LEASE};
use crate::backoff::Jitter;
use crate::controller::Clock;

/// Which lease, and how it is kept.
#[derive(Debug, Clone)]
pub struct Election {
    pub namespace: String,
    pub name: String,
    /// Who we are; unique among replicas.
    pub identity: String,
    /// For how long others respect a lease that is not renewed. Longer than `renew_within`.
    pub lease: Duration,
    /// A leader that could not renew for this long stops.
    pub renew_within: Duration,
    /// How often a leader renews, and others look.
    pub retry: Duration,
}

impl Election {
    /// 15 s, 10 s and 2 s: what Kubernetes' own controllers use.
    pub fn new(namespace: String, identity: String) -> Self {
        Self {
            namespace,
            name: crate::FIELD_MANAGER.to_owned(),
            identity,
            lease: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A replica that wants to lead.
pub struct Candidate {
    api: Api,
    election: Election,
    clock: Clock,
    jitter: Jitter,
    /// The version of the lease that was seen last, and since when.
    seen: Option<(String, Instant)>,
}

impl Candidate {
    pub fn new(api: Api, election: Election, clock: Clock, jitter: Jitter) -> Self {
        Self {
            api,
            election,
            clock,
            jitter,
            seen: None,
        }
    }

    /// Does `work` whenever this replica leads, until `stop` resolves; then lets go of the lease, so that
    /// another one need not wait. `told` hears of each change, and first that the API answers.
    pub async fn run<W: Future<Output = ()>>(
        &mut self,
        work: impl Fn() -> W,
        told: impl Fn(Role),
        stop: impl Future<Output = ()>,
    ) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = self.acquire(&told) => {}
            }
            tracing::info!(identity = self.election.identity, "leading");
            told(Role::Leader);
            let why = tokio::select! {
                biased;
                () = &mut stop => {
                    self.release().await;
                    return;
                }
                () = work() => "the work ended",
                () = self.keep() => "the lease could not be renewed",
            };
            tracing::warn!(why, "no longer leading");
            told(Role::Standby);
        }
    }

    /// Resolves when the lease is ours.
    async fn acquire(&mut self, told: &impl Fn(Role)) {
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => told(Role::Standby),
                Err(error) => tracing::warn!(%error, "cannot look at the lease"),
            }
            let spread = 1.0 + (self.jitter)().clamp(0.0, 1.0) / 5.0;
            tokio::time::sleep(self.election.retry.mul_f64(spread)).await;
        }
    }

    /// Resolves when the lease is lost, or may be.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.election.retry).await;
            let deadline = renewed + self.election.renew_within;
            let asked = Instant::now();
            match tokio::time::timeout_at(deadline, self.attempt()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot renew the lease");
                    if Instant::now() >= deadline {
                        return;
                    }
                }
            }
        }
    }

    /// Takes or renews the lease if that is allowed now. Says whether it is ours.
    async fn attempt(&mut self) -> Result<bool, ApiError> {
        let Election {
            namespace, name, ..
        } = self.election.clone();
        let Some(lease) = self.api.get(&LEASE, &namespace, &name).await? else {
            let lease = json!({
                "apiVersion": LEASE.api_version(),
                "kind": LEASE.kind,
                "metadata": { "name": name, "namespace": namespace },
                "spec": self.record(&Value::Null, true),
            });
            return won(self.api.create(&LEASE, &namespace, &lease).await);
        };
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let is_ours = holder == self.election.identity;
        if !is_ours && !holder.is_empty() && !self.has_run_out(&lease) {
            return Ok(false);
        }
        let mut newer = lease.clone();
        newer["spec"] = self.record(&lease["spec"], !is_ours);
        let replaced = self.api.replace(&LEASE, &namespace, &name, &newer).await;
        won(replaced)
    }

    /// Whether nobody renewed it for as long as its holder asked to be respected.
    fn has_run_out(&mut self, lease: &Value) -> bool {
        let version = lease["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if seen == version => *since,
            _ => {
                let now = Instant::now();
                self.seen = Some((version.to_owned(), now));
                now
            }
        };
        let seconds = lease["spec"]["leaseDurationSeconds"].as_u64().unwrap_or(0);
        since.elapsed() > Duration::from_secs(seconds)
    }

    fn record(&self, old: &Value, is_new: bool) -> Value {
        let now = (self.clock)()
            .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
            .to_string();
        let transitions = old["leaseTransitions"].as_u64().unwrap_or(0);
        // A lease of less than a second would be refused.
        let seconds = self.election.lease.as_secs().max(1);
        json!({
            "holderIdentity": self.election.identity,
            "leaseDurationSeconds": seconds,
            "acquireTime": if is_new { json!(now) } else { old["acquireTime"].clone() },
            "renewTime": now,
            "leaseTransitions": if is_new && !old.is_null() { transitions + 1 } else { transitions },
        })
    }

    async fn release(&mut self) {
        let Election {
            namespace, name, ..
        } = self.election.clone();
        let released = async {
            let Some(mut lease) = self.api.get(&LEASE, &namespace, &name).await? else {
                return Ok(());
            };
            if lease["spec"]["holderIdentity"] == self.election.identity.as_str() {
                lease["spec"]["holderIdentity"] = json!("");
                lease["spec"]["leaseDurationSeconds"] = json!(1);
                self.api.replace(&LEASE, &namespace, &name, &lease).await?;
            }
            Ok::<(), ApiError>(())
        };
        match tokio::time::timeout(self.election.renew_within, released).await {
            Ok(Ok(())) => tracing::info!("let go of the lease"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot let go of the lease; it runs out by itself")
            }
            Err(_) => tracing::warn!("no time to let go of the lease; it runs out by itself"),
        }
    }
}

/// What a replica is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Standby,
    Leader,
}

/// A conflict says that another replica was quicker.
fn won(result: Result<Value, ApiError>) -> Result<bool, ApiError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}
