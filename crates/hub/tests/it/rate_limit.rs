//! Rate limits through HTTP: quotas, headers, whose quota it is, and sharing through Redis.

use std::net::Ipv6Addr;
use std::sync::Arc;

use hub::HubConfig;
use hub::auth::Secret;
use hub::rate_limit::{ForwardingHeader, Quota};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;
use testkit::{Answer, Fixture, HubBuilder, TestHub, on_both};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

on_both!(
    a_used_up_quota_is_refused_and_comes_back,
    users_have_their_own_quota_wherever_they_are,
    classes_have_their_own_quotas,
    refused_credentials_are_counted_too,
    probes_are_not_counted,
    a_forwarding_header_counts_only_from_a_trusted_proxy,
);

const LIST: &str = "/api/v1/tags";

/// Rate limits on, few reads a minute.
fn reads(requests: u32) -> impl FnOnce(&mut HubConfig) {
    move |config| {
        config.rate_limit.enabled = true;
        config.rate_limit.read = Quota::per_minute(requests);
    }
}

fn number(answer: &Answer, header: &str) -> u64 {
    let value = answer.header(header);
    value
        .parse()
        .unwrap_or_else(|_| panic!("{header}: {value:?} is no number"))
}

async fn a_used_up_quota_is_refused_and_comes_back(hub: HubBuilder) {
    let hub = hub.configure(reads(3)).start().await;
    for left in [2, 1, 0] {
        let answer = hub.get(LIST).await.assert_status(200);
        assert_eq!(number(&answer, "ratelimit-limit"), 3);
        assert_eq!(number(&answer, "ratelimit-remaining"), left);
        assert_eq!(number(&answer, "ratelimit-reset"), 60 - 20 * left);
        assert_eq!(answer.header("ratelimit-policy"), "\"read\";q=3;w=60");
        assert_eq!(
            answer.header("ratelimit"),
            format!("\"read\";r={left};t={}", 60 - 20 * left)
        );
        assert_eq!(answer.header("retry-after"), "");
    }
    let refused = hub.get(LIST).await.assert_problem(429, "rate-limited");
    assert_eq!(number(&refused, "retry-after"), 20);
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    assert_eq!(number(&refused, "ratelimit-reset"), 60);

    hub.clock().advance(SignedDuration::from_secs(19));
    hub.get(LIST).await.assert_problem(429, "rate-limited");
    hub.clock().advance(SignedDuration::from_secs(1));
    hub.get(LIST).await.assert_status(200);
    hub.get(LIST).await.assert_problem(429, "rate-limited");
}

async fn users_have_their_own_quota_wherever_they_are(hub: HubBuilder) {
    let hub = hub.configure(reads(2)).start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    for _ in 0..2 {
        hub.get(LIST).await.assert_status(200);
    }
    hub.get(LIST).await.assert_problem(429, "rate-limited");
    for _ in 0..2 {
        alice.get(LIST).await.assert_status(200);
    }
    alice.get(LIST).await.assert_problem(429, "rate-limited");
    bob.get(LIST).await.assert_status(200);
    // Another session or token of the same user brings no other quota.
    alice
        .sign_in_again()
        .await
        .get(LIST)
        .await
        .assert_problem(429, "rate-limited");
}

async fn classes_have_their_own_quotas(hub: HubBuilder) {
    let hub = hub
        .configure(|config| {
            let limits = &mut config.rate_limit;
            limits.enabled = true;
            limits.read = Quota::per_minute(1);
            limits.search = Quota::per_minute(2);
            limits.write = Quota {
                requests: 3,
                window_seconds: 30,
            };
            limits.auth = Quota::per_minute(4);
        })
        .start()
        .await;
    let alice = hub.person("alice").await;
    let policy = |answer: &Answer| answer.header("ratelimit-policy").to_owned();
    let search = alice.get("/api/v1/search?q=csv").await;
    assert_eq!(policy(&search), "\"search\";q=2;w=60");
    assert_eq!(
        policy(&alice.get("/api/v1/skills?search=csv").await),
        "\"search\";q=2;w=60"
    );
    let write = alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await;
    assert_eq!(policy(&write.assert_status(201)), "\"write\";q=3;w=30");
    assert_eq!(
        policy(&alice.get("/api/v1/auth/me").await),
        "\"read\";q=1;w=60"
    );
    // Registering and signing in took two of four.
    let login = json!({"username": "alice", "password": "wrong password"});
    for left in [1, 0] {
        let request = hub.request(Method::POST, "/api/v1/auth/login").json(&login);
        let answer = hub
            .send(request)
            .await
            .assert_problem(401, "invalid-credentials");
        assert_eq!(policy(&answer), "\"auth\";q=4;w=60");
        assert_eq!(number(&answer, "ratelimit-remaining"), left);
    }
    let request = hub.request(Method::POST, "/api/v1/auth/login").json(&login);
    hub.send(request).await.assert_problem(429, "rate-limited");
}

async fn refused_credentials_are_counted_too(hub: HubBuilder) {
    let hub = hub.configure(reads(2)).start().await;
    let guess = || hub.request(Method::GET, LIST).bearer_auth("guess");
    for _ in 0..2 {
        hub.send(guess()).await.assert_problem(401, "invalid-token");
    }
    hub.send(guess()).await.assert_problem(429, "rate-limited");
}

async fn probes_are_not_counted(hub: HubBuilder) {
    let hub = hub.configure(reads(1)).start().await;
    for _ in 0..5 {
        let answer = hub.get("/healthz").await.assert_status(200);
        assert_eq!(answer.header("ratelimit-limit"), "");
    }
    hub.get(LIST).await.assert_status(200);
}

async fn a_forwarding_header_counts_only_from_a_trusted_proxy(hub: HubBuilder) {
    let distrusting = hub.configure(reads(1)).start().await;
    let from = |hub: &TestHub, header: &str, value: &str| {
        hub.request(Method::GET, LIST).header(header, value)
    };
    let request = from(&distrusting, "x-forwarded-for", "203.0.113.1");
    distrusting.send(request).await.assert_status(200);
    let request = from(&distrusting, "x-forwarded-for", "203.0.113.2");
    distrusting
        .send(request)
        .await
        .assert_problem(429, "rate-limited");

    let behind_proxy = HubBuilder::default()
        .configure(reads(1))
        .configure(|config| {
            let address = &mut config.rate_limit.address;
            address.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
            address.header = ForwardingHeader::Forwarded;
        });
    let behind_proxy = behind_proxy.start().await;
    for (header, value, status) in [
        ("forwarded", "for=203.0.113.1", 200),
        ("forwarded", "for=203.0.113.1", 429),
        ("forwarded", "for=203.0.113.2", 200),
        // What the client itself wrote stands to the left of what the proxy wrote.
        ("forwarded", "for=203.0.113.99, for=203.0.113.1", 429),
        ("forwarded", "for=\"[2001:db8::1]\"", 200),
        ("forwarded", "for=\"[2001:db8::2]\"", 429),
        // Nobody asked for this header.
        ("x-forwarded-for", "203.0.113.50", 200),
        ("x-forwarded-for", "203.0.113.51", 429),
    ] {
        let request = from(&behind_proxy, header, value);
        let answer = behind_proxy.send(request).await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
}

/// The Redis server of the tests; a missing variable fails the test.
fn redis_url() -> String {
    std::env::var("TEST_REDIS_URL").unwrap_or_else(|_| {
        panic!("TEST_REDIS_URL is not set: `cargo xtask test` starts a server and sets it")
    })
}

/// Counts in Redis, and believes where the test says that it comes from: tests share the server,
/// so each uses an address of its own.
fn shared(requests: u32, url: &str) -> impl FnOnce(&mut HubConfig) + use<> {
    let url = Secret::new(url.to_owned());
    move |config| {
        reads(requests)(config);
        config.rate_limit.redis_url = Some(url);
        config.rate_limit.redis_timeout_ms = 2_000;
        let trusted = "127.0.0.0/8".parse().expect("a network");
        config.rate_limit.address.trusted_proxies = vec![trusted];
    }
}

/// Sends requests from an address that no other test uses.
struct Stranger(String);

impl Stranger {
    fn new() -> Self {
        Self(Ipv6Addr::from_bits(rand::random()).to_string())
    }

    async fn get(&self, hub: &TestHub) -> Answer {
        hub.send(
            hub.request(Method::GET, LIST)
                .header("x-forwarded-for", &self.0),
        )
        .await
    }
}

#[tokio::test]
async fn replicas_share_one_quota_through_redis() {
    let hub = HubBuilder::default()
        .configure(shared(10, &redis_url()))
        .start()
        .await;
    let replica = hub.replica().await;
    let stranger = Stranger::new();
    for left in (0..10).rev() {
        let answer = stranger
            .get(if left % 2 == 0 { &hub } else { &replica })
            .await;
        assert_eq!(
            number(&answer.assert_status(200), "ratelimit-remaining"),
            left
        );
    }
    for one in [&hub, &replica] {
        let refused = stranger.get(one).await.assert_problem(429, "rate-limited");
        assert!(
            (1..=6).contains(&number(&refused, "retry-after")),
            "{:?}",
            refused.headers
        );
        assert!(
            (55..=60).contains(&number(&refused, "ratelimit-reset")),
            "{:?}",
            refused.headers
        );
    }
    Stranger::new().get(&hub).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_get_exactly_the_quota() {
    let hub = Arc::new(
        HubBuilder::default()
            .configure(shared(20, &redis_url()))
            .start()
            .await,
    );
    let replica = Arc::new(hub.replica().await);
    let stranger = Arc::new(Stranger::new());
    let mut all = JoinSet::new();
    for number in 0..60 {
        let hub = Arc::clone(if number % 2 == 0 { &hub } else { &replica });
        let stranger = Arc::clone(&stranger);
        all.spawn(async move { stranger.get(&hub).await.status });
    }
    let statuses = all.join_all().await;
    let passed = statuses.iter().filter(|status| **status == 200).count();
    // One more comes back every three seconds.
    assert!((20..=22).contains(&passed), "{passed}");
}

#[tokio::test]
async fn keys_in_redis_expire() {
    let hub = HubBuilder::default()
        .configure(shared(10, &redis_url()))
        .start()
        .await;
    let stranger = Stranger::new();
    stranger.get(&hub).await.assert_status(200);
    let client = redis::Client::open(redis_url()).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("connected");
    let bucket = Ipv6Addr::from_bits(
        stranger.0.parse::<Ipv6Addr>().expect("one").to_bits() & !0xffff_ffff_ffff_ffff,
    );
    let left: i64 = redis::cmd("PTTL")
        .arg(format!("skills:rate:read:address:{bucket}"))
        .query_async(&mut connection)
        .await
        .expect("an answer");
    assert!((1..=6_000).contains(&left), "{left} ms");
}

/// A cable to Redis that can be pulled out.
struct Cable {
    url: String,
    is_in: watch::Sender<bool>,
    /// Every connection holds it for reading.
    connections: Arc<RwLock<()>>,
}

impl Cable {
    async fn to(target: &str) -> Self {
        let target = url::Url::parse(target).expect("a URL");
        let address = (
            target.host_str().expect("a host").to_owned(),
            target.port().unwrap_or(6379),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}/", listener.local_addr().expect("an address"));
        let (is_in, seen) = watch::channel(true);
        let connections = Arc::new(RwLock::new(()));
        let held = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let connection = Arc::clone(&held).read_owned().await;
                let (mut seen, address) = (seen.clone(), address.clone());
                if !*seen.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let _connection = connection;
                    let mut far = TcpStream::connect(address).await.expect("Redis is there");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.wait_for(|is_in| !is_in) => {}
                    }
                });
            }
        });
        Self {
            url,
            is_in,
            connections,
        }
    }

    /// Pulling returns when every connection is gone.
    async fn set(&self, is_in: bool) {
        self.is_in.send_replace(is_in);
        if !is_in {
            let _all_gone = self.connections.write().await;
        }
    }
}

#[tokio::test]
async fn without_redis_each_replica_counts_alone_and_later_shares_again() {
    let cable = Cable::to(&redis_url()).await;
    let hub = HubBuilder::default()
        .configure(shared(5, &cable.url))
        .start()
        .await;
    let replica = hub.replica().await;
    let stranger = Stranger::new();
    for left in [4, 3] {
        let answer = stranger.get(&hub).await.assert_status(200);
        assert_eq!(number(&answer, "ratelimit-remaining"), left);
    }

    cable.set(false).await;
    let alone = Stranger::new();
    for one in [&hub, &replica] {
        for left in (0..5).rev() {
            let answer = alone.get(one).await.assert_status(200);
            assert_eq!(
                number(&answer, "ratelimit-remaining"),
                left,
                "local limits hold"
            );
            assert_eq!(answer.header("ratelimit-policy"), "\"read\";q=5;w=60");
        }
        alone.get(one).await.assert_problem(429, "rate-limited");
    }
    let metrics = hub.get("/metrics").await.text();
    assert!(
        metrics.contains("hub_rate_limit_redis_failures_total"),
        "{metrics}"
    );

    cable.set(true).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        // Redis remembers what it counted before; a local count would show another number.
        let fresh = Stranger::new();
        fresh.get(&hub).await.assert_status(200);
        hub.clock().advance(SignedDuration::from_secs(2));
        let elsewhere = fresh.get(&replica).await;
        if number(&elsewhere, "ratelimit-remaining") == 3 {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the replicas never shared again"
        );
    }
}

#[tokio::test]
async fn a_hub_starts_without_redis() {
    let hub = HubBuilder::default()
        .configure(shared(2, "redis://127.0.0.1:1/"))
        .start()
        .await;
    let stranger = Stranger::new();
    for _ in 0..2 {
        stranger.get(&hub).await.assert_status(200);
    }
    stranger.get(&hub).await.assert_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_redis_address_that_is_none_stops_the_start_and_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = HubConfig {
        data_folder: folder.path().into(),
        ..Default::default()
    };
    config.rate_limit.redis_url = Some(Secret::new("http://user:hidden@127.0.0.1/".to_owned()));
    let clock = Arc::new(hub_model::SystemClock);
    let error = hub::App::new(config, clock).await.err().expect("refused");
    assert!(error.to_string().contains("redis_url"), "{error}");
    assert!(
        !format!("{error:?} {error}").contains("hidden"),
        "{error:?}"
    );
}
