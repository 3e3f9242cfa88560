//! What OpenTelemetry's variables say. The names, defaults and forms are its specification's
//! (`configuration/sdk-environment-variables`, `protocol/exporter`); there are no others.

use std::time::Duration;

use skill_trace::{Resource, Sampler};

use crate::failure::Failure;

const CODE: &str = "otel-config";

/// Where spans go, and which.
pub struct Settings {
    pub endpoint: reqwest::Url,
    /// May hold secrets.
    pub headers: reqwest::header::HeaderMap,
    /// For one attempt.
    pub timeout: Duration,
    pub sampler: Sampler,
    pub resource: Resource,
    /// Spans that wait at most.
    pub queue_max: usize,
    /// Spans that are sent at once.
    pub batch_max: usize,
    /// How long a span waits for others.
    pub delay: Duration,
}

/// Nothing where no collector is named, or all of it is switched off.
pub fn read(
    service: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Settings>, Failure> {
    let is = |name: &str, value: &str| {
        variable(name).is_some_and(|set| set.trim().eq_ignore_ascii_case(value))
    };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let Some(endpoint) = endpoint(variable)? else {
        return Ok(None);
    };
    // Of the traces' own and the general one the former counts.
    let of_traces = |end: &str| {
        variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{end}"))
            .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{end}")))
    };
    if of_traces("PROTOCOL").is_some_and(|protocol| protocol.trim() == "grpc") {
        let failure = Failure::bad_input(
            CODE,
            "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`, which is not spoken here: spans are sent as http/json",
        );
        return Err(failure.with_help(
            "name the collector's HTTP port, usually 4318, and leave the variable out or set it to http/json",
        ));
    }
    let name = variable("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".into());
    let argument = variable("OTEL_TRACES_SAMPLER_ARG");
    let sampler = Sampler::from_names(name.trim(), argument.as_deref())
        .map_err(|why| Failure::bad_input(CODE, why))?;
    let queue_max = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, variable)?;
    Ok(Some(Settings {
        endpoint,
        headers: headers(&of_traces("HEADERS").unwrap_or_default())?,
        timeout: match of_traces("TIMEOUT") {
            None => Duration::from_secs(10),
            Some(text) => {
                Duration::from_millis(parsed("OTEL_EXPORTER_OTLP_TIMEOUT", &text)? as u64)
            }
        },
        sampler,
        resource: resource(service, variable)?,
        batch_max: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, variable)?.min(queue_max),
        queue_max,
        delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 5000, variable)? as u64),
    }))
}

fn endpoint(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<reqwest::Url>, Failure> {
    const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    // The one is the whole address, the other one the beginning of it.
    let (name, text) = match (variable(OWN), variable(GENERAL)) {
        (Some(whole), _) => (OWN, whole),
        (None, Some(base)) => (
            GENERAL,
            format!("{}/v1/traces", base.trim().trim_end_matches('/')),
        ),
        (None, None) => return Ok(None),
    };
    let url = reqwest::Url::parse(text.trim()).ok();
    match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        Some(url) => Ok(Some(url)),
        // Not repeated: an address may hold a password.
        None => Err(
            Failure::bad_input(CODE, format!("{name} is no address of a collector"))
                .with_help("write it as in http://localhost:4318"),
        ),
    }
}

fn headers(text: &str) -> Result<reqwest::header::HeaderMap, Failure> {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    let mut headers = HeaderMap::new();
    for (key, value) in pairs("OTEL_EXPORTER_OTLP_HEADERS", text)? {
        let name = HeaderName::from_bytes(key.as_bytes());
        let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(&value)) else {
            // Not repeated: these are secrets.
            return Err(Failure::bad_input(
                CODE,
                "OTEL_EXPORTER_OTLP_HEADERS holds what cannot be a header",
            )
            .with_help("write key=value, several with commas, special characters as %20"));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn resource(service: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Resource, Failure> {
    let mut resource = Resource::default();
    resource.set("service.name", service);
    resource.set("service.version", env!("CARGO_PKG_VERSION"));
    resource.set("telemetry.sdk.name", "skills");
    resource.set("telemetry.sdk.language", "rust");
    resource.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    let text = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in pairs("OTEL_RESOURCE_ATTRIBUTES", &text)? {
        resource.set(&key, value);
    }
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource.set("service.name", name);
    }
    Ok(resource)
}

/// `key=value,key=value`, as W3C baggage without properties.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>, Failure> {
    let members = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    members
        .map(|member| match member.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((decoded(key.trim()), decoded(value.trim())))
            }
            _ => Err(Failure::bad_input(
                CODE,
                format!("{name} must be key=value, several with commas"),
            )),
        })
        .collect()
}

/// Without its percent signs. What is no text afterwards stays as it was.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn number(
    name: &str,
    default: usize,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<usize, Failure> {
    variable(name).map_or(Ok(default), |text| parsed(name, &text))
}

fn parsed(name: &str, text: &str) -> Result<usize, Failure> {
    const MAX: u32 = 1_000_000;
    match text.trim().parse::<u32>() {
        Ok(number @ 1..=MAX) => Ok(number as usize),
        _ => Err(Failure::bad_input(
            CODE,
            format!("{name} is `{text}`; give a whole number from 1 to {MAX}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Option<Settings>, Failure> {
        read("skills-test", &|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn nothing_is_sent_until_a_collector_is_named() {
        assert!(of(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
        assert!(
            of(&[BASE, ("OTEL_SDK_DISABLED", "TRUE")])
                .unwrap()
                .is_none()
        );
        assert!(
            of(&[BASE, ("OTEL_TRACES_EXPORTER", "none")])
                .unwrap()
                .is_none()
        );
        let settings = of(&[BASE]).unwrap().unwrap();
        assert_eq!(
            settings.endpoint.as_str(),
            "http://collector:4318/v1/traces"
        );
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/custom");
        let settings = of(&[BASE, own]).unwrap().unwrap();
        assert_eq!(settings.endpoint.as_str(), "https://c/custom");
    }

    #[test]
    fn attributes_and_headers_are_read_as_the_specification_has_them() {
        let settings = of(&[
            BASE,
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20abc, x-team = a%2Cb",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=a%20b,service.name=first",
            ),
            ("OTEL_SERVICE_NAME", "second"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Bearer abc");
        assert_eq!(settings.headers["x-team"], "a,b");
        assert!(!format!("{:?}", settings.headers).contains("abc"));
        let has = |key: &str, value: &str| {
            let pair = (key.to_owned(), value.to_owned());
            settings.resource.attributes.contains(&pair)
        };
        assert!(has("deployment.environment.name", "a b") && has("service.name", "second"));
    }

    #[test]
    fn what_cannot_work_is_said_with_its_variable_and_without_its_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317 secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "some"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ] {
            let Err(failure) = of(&[(name, value), BASE]) else {
                panic!("{name}={value} was taken");
            };
            assert_eq!(failure.code, "otel-config");
            assert!(failure.message.contains(name), "{}", failure.message);
            assert!(!failure.message.contains("secret"), "{}", failure.message);
        }
    }
}
