//! What a proxy does, as Prometheus reads it (text exposition format 0.0.4).

use std::fmt::Write as _;

use skill_mesh::proxy::Metrics;
use skill_mesh::queue::{TopicCounts, TopicGauge};

/// The whole text.
pub fn render(metrics: &Metrics) -> String {
    let mut text = Text::default();
    outcomes(metrics, &mut text);
    topics(&metrics.topics, &mut text);
    let counts = &metrics.counts;
    for (name, help, value) in [
        (
            "accepted",
            "Requests that are or will be answered once",
            counts.accepted,
        ),
        (
            "delivered",
            "Requests given to workers, each attempt counted",
            counts.delivered,
        ),
        (
            "duplicates",
            "Requests that were known already",
            counts.duplicates,
        ),
        (
            "handed_on",
            "Requests queued anew because their worker was lost, drained or silent",
            counts.handed_on,
        ),
        (
            "late",
            "Further answers to an answered request, dropped",
            counts.late,
        ),
        (
            "unknown",
            "Answers to requests never seen, dropped",
            counts.unknown,
        ),
        (
            "passed_on",
            "Answers to requests never seen, passed on",
            counts.passed_on,
        ),
        (
            "bad_messages",
            "Messages that could not be understood",
            metrics.bad_messages,
        ),
        (
            "held_dropped",
            "Answers whose agent did not come in time, dropped",
            metrics.held_dropped,
        ),
        (
            "dropped",
            "Messages that a subscriber of a broadcasting proxy did not read in time, dropped",
            metrics.dropped,
        ),
    ] {
        let name = format!("skills_proxy_{name}_total");
        text.family(&name, "counter", help);
        text.sample(&name, &[], value);
    }
    text.family(
        "skills_proxy_connections",
        "gauge",
        "Subscribers' connections",
    );
    text.sample("skills_proxy_connections", &[], metrics.connections);
    text.family(
        "skills_proxy_held",
        "gauge",
        "Answers that wait for their agent",
    );
    text.sample("skills_proxy_held", &[], metrics.held);
    text.0
}

fn outcomes(metrics: &Metrics, text: &mut Text) {
    const NAME: &str = "skills_proxy_requests_total";
    text.family(
        NAME,
        "counter",
        "Requests by topic and how they ended; topics beyond the first thousand under the empty name",
    );
    let mut outcomes = metrics.outcomes.clone();
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (topic, counts) in &outcomes {
        let TopicCounts {
            answered,
            busy,
            deadline,
            no_workers,
            workers_lost,
            stopping,
        } = counts;
        for (outcome, value) in [
            ("answered", answered),
            ("busy", busy),
            ("deadline", deadline),
            ("no-workers", no_workers),
            ("workers-lost", workers_lost),
            ("stopping", stopping),
        ] {
            text.sample(NAME, &[("topic", topic), ("outcome", outcome)], value);
        }
    }
}

fn topics(topics: &[TopicGauge], text: &mut Text) {
    let mut topics: Vec<&TopicGauge> = topics.iter().collect();
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&TopicGauge) -> String| {
        text.family(name, "gauge", help);
        for topic in &topics {
            text.sample(name, &[("topic", &topic.topic)], value(topic));
        }
    };
    gauge(
        "skills_proxy_waiting",
        "Requests that wait for a worker",
        &|topic| topic.waiting.to_string(),
    );
    gauge(
        "skills_proxy_oldest_waiting_seconds",
        "How long the first of them has been there",
        &|topic| topic.oldest.as_secs_f64().to_string(),
    );
    gauge(
        "skills_proxy_running",
        "Requests that workers have",
        &|topic| topic.running.to_string(),
    );
    gauge(
        "skills_proxy_workers",
        "Workers that are connected",
        &|topic| topic.workers.to_string(),
    );
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_topic_with_quotes_is_one_label() {
        let topic = TopicGauge {
            topic: "a\"b\\c\nd".into(),
            waiting: 2,
            oldest: Duration::from_millis(1500),
            running: 1,
            workers: 1,
        };
        let text = render(&Metrics {
            topics: vec![topic],
            outcomes: vec![(
                "T".into(),
                TopicCounts {
                    answered: 7,
                    ..TopicCounts::default()
                },
            )],
            ..Metrics::default()
        });
        assert!(
            text.contains("skills_proxy_waiting{topic=\"a\\\"b\\\\c\\nd\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("_oldest_waiting_seconds{topic=\"a\\\"b\\\\c\\nd\"} 1.5\n"));
        assert!(text.contains("skills_proxy_requests_total{topic=\"T\",outcome=\"answered\"} 7\n"));
        assert!(text.contains("skills_proxy_connections 0\n"));
    }
}
