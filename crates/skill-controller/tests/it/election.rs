//! One leader at a time, and another one soon after it is gone.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use skill_controller::election::{Candidate, Election, Role};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::apiserver::ApiServer;

struct Replica {
    role: watch::Receiver<Option<Role>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(server: &ApiServer, identity: &str, lease: Duration, renew_within: Duration) -> Self {
        let election = Election {
            lease,
            renew_within,
            retry: Duration::from_millis(20),
            ..Election::new("n".to_owned(), identity.to_owned())
        };
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let mut candidate = Candidate::new(server.api(), election, clock, Arc::new(|| 0.0));
        let (tell, role) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let told = |role| {
                tell.send_replace(Some(role));
            };
            let stopped = async {
                let _ = stopped.await;
            };
            candidate.run(std::future::pending, told, stopped).await;
        });
        Self {
            role,
            stop: Some(stop),
            task,
        }
    }

    async fn becomes(&mut self, role: Role) {
        tokio::time::timeout(
            Duration::from_secs(120),
            self.role.wait_for(|is| *is == Some(role)),
        )
        .await
        .unwrap_or_else(|_| panic!("never {role:?}"))
        .expect("the replica lives");
    }
}

const LONG: Duration = Duration::from_secs(300);

fn holder(server: &ApiServer) -> String {
    server.with(|store| {
        let lease = store
            .get("leases", "n", "skills-controller")
            .expect("a lease");
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    })
}

#[tokio::test]
async fn one_leads_and_a_stopped_one_lets_another_lead_at_once() {
    let server = ApiServer::start().await;
    let mut first = Replica::start(&server, "first", LONG, LONG);
    first.becomes(Role::Leader).await;
    let mut second = Replica::start(&server, "second", LONG, LONG);
    second.becomes(Role::Standby).await;
    // However often it looks.
    let looks = |store: &crate::apiserver::Store| {
        store
            .requests
            .iter()
            .filter(|request| *request == "GET leases")
            .count()
    };
    let before = server.with(|store| looks(store));
    server
        .until("many looks", |store| {
            (looks(store) > before + 20).then_some(())
        })
        .await;
    assert_eq!(*second.role.borrow(), Some(Role::Standby));
    assert_eq!(holder(&server), "first");

    first.stop.take().expect("runs").send(()).expect("listens");
    first.task.await.expect("ends in peace");
    // Long before the lease would have run out.
    second.becomes(Role::Leader).await;
    assert_eq!(holder(&server), "second");
    server.with(|store| {
        let lease = store
            .get("leases", "n", "skills-controller")
            .expect("a lease");
        assert_eq!(lease["spec"]["leaseTransitions"], 1);
    });
}

#[tokio::test]
async fn a_killed_leader_is_followed_when_its_lease_has_run_out() {
    let server = ApiServer::start().await;
    let mut first = Replica::start(&server, "first", Duration::from_secs(1), LONG);
    first.becomes(Role::Leader).await;
    first.task.abort();
    let mut second = Replica::start(&server, "second", LONG, LONG);
    second.becomes(Role::Standby).await;
    second.becomes(Role::Leader).await;
    assert_eq!(holder(&server), "second");
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_before_others_may_begin() {
    let server = ApiServer::start().await;
    let mut replica = Replica::start(&server, "first", LONG, Duration::from_secs(1));
    replica.becomes(Role::Leader).await;
    server.with(|store| store.broken = u32::MAX);
    replica.becomes(Role::Standby).await;
    server.with(|store| store.broken = 0);
    replica.becomes(Role::Leader).await;
}
