//! Load from an agent: calls a topic again and again and prints calls per second and how long one took, as
//! one JSON object. Arguments: the proxy's XSUB and XPUB, topic, intent, number of calls, calls at a time.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skill_mesh::agent::{self, Agent, Settings};
use skill_mesh::connect::{self, Endpoints};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Calls before the measurement, so that warm interpreters are warm.
const WARM_UP: usize = 20;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [xsub, xpub, topic, intent, calls, at_a_time] = arguments.as_slice() else {
        return Err("arguments: XSUB XPUB TOPIC INTENT CALLS AT_A_TIME".into());
    };
    let endpoints = Endpoints {
        xsub: xsub.clone(),
        xpub: xpub.clone(),
    };
    let (calls, at_a_time) = (calls.parse()?, at_a_time.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let end = connect::agent(&endpoints, agent::reply_topic(&mut rand::rng()))?;
        let agent = Agent::new(end, Settings::new(Arc::new(|| 0.0)));
        run(&agent, topic, intent, WARM_UP, at_a_time).await?;
        let began = Instant::now();
        let mut times = run(&agent, topic, intent, calls, at_a_time).await?;
        let took = began.elapsed();
        times.sort();
        // Counts are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let rate = times.len() as f64 / took.as_secs_f64();
        writeln!(
            std::io::stdout(),
            r#"{{"calls_per_s": {rate:.0}, "p50_ms": {:.3}, "p99_ms": {:.3}}}"#,
            milliseconds(&times, 50),
            milliseconds(&times, 99),
        )?;
        Ok(())
    })
}

/// How long each of so many calls took.
async fn run(
    agent: &Agent,
    topic: &str,
    intent: &str,
    calls: usize,
    at_a_time: usize,
) -> Outcome<Vec<Duration>> {
    let left = Arc::new(AtomicUsize::new(calls));
    let callers: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (agent, left) = (agent.clone(), left.clone());
            let (topic, intent) = (topic.to_owned(), intent.to_owned());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while take_one(&left) {
                    let began = Instant::now();
                    agent.call(&topic, &intent).await?;
                    times.push(began.elapsed());
                }
                Ok::<_, agent::CallError>(times)
            })
        })
        .collect();
    let mut times = Vec::with_capacity(calls);
    for caller in callers {
        times.extend(caller.await??);
    }
    Ok(times)
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(place)
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
