//! `skills call`: asks a topic, and prints what comes back.

use std::io::{IsTerminal, Read};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use skill_mesh::agent::{Agent, CallError, Settings};
use skill_mesh::protocol::PAYLOAD_BYTES_MAX;

use crate::cli::mesh::CallArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::mesh::{Mesh, wall_clock};
use crate::telemetry::{self, Telemetry};

pub fn run(args: &CallArgs, context: &Context) -> Result<(), Failure> {
    let text = text(args, context)?;
    let intent = match &args.skill {
        None => text,
        Some(skill) => {
            let mut intent = json!({ "skill": skill, "data": text });
            if let Some(entry) = &args.entry {
                intent["entry"] = json!(entry);
            }
            intent.to_string()
        }
    };
    let began = Instant::now();
    context.block_on(async {
        let mesh = Mesh::connect(&args.mesh).await?;
        let end = mesh.agent().await?;
        let telemetry = Telemetry::start("skills-call", context)?;
        let agent = Agent::new(
            end,
            Settings {
                timeout: Duration::from_secs(args.timeout),
                ..Settings::new(wall_clock())
            },
        );
        let agent = agent.within(telemetry::parent(context));
        let answer = if args.progress {
            let printer = context.printer.clone();
            let news = move |news: String| printer.raw_error(news.as_bytes());
            agent.call_with_news(&args.topic, &intent, news).await
        } else {
            agent.call_for_bytes(&args.topic, &intent).await
        };
        if let Ok(result) = &answer {
            show(result, began.elapsed(), args, context);
        }
        telemetry.finish(telemetry::COMMAND).await;
        match answer {
            Ok(_) => Ok(()),
            Err(error @ CallError::Timeout { .. }) => Err(unanswered(&error, &mesh).await),
            Err(error) => Err(error.into()),
        }
    })
}

/// Whether anybody was there to answer, said beside the error.
async fn unanswered(error: &CallError, mesh: &Mesh) -> Failure {
    let mut failure = Failure::of(error);
    match mesh.unreached().await {
        Some(why) => {
            failure.message = format!("{}: {why}", failure.message);
            failure.with_help(mesh.where_to_look())
        }
        None => failure,
    }
}

fn show(result: &[u8], took: Duration, args: &CallArgs, context: &Context) {
    if context.printer.is_json() {
        let mut document = json!({
            "topic": args.topic,
            "content": String::from_utf8_lossy(result),
            "durationMs": took.as_millis(),
        });
        if std::str::from_utf8(result).is_err() {
            document["contentBase64"] = STANDARD.encode(result).into();
        }
        context.printer.document(&document);
    } else {
        context.printer.raw(result);
    }
}

fn text(args: &CallArgs, context: &Context) -> Result<String, Failure> {
    if let Some(text) = args.intent.as_deref().filter(|text| *text != "-") {
        return Ok(text.to_owned());
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        context
            .printer
            .note("reading the intent from the terminal; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(PAYLOAD_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Failure::bad_input("stdin", format!("standard input cannot be read: {error}"))
        })?;
    String::from_utf8(bytes).map_err(|error| {
        Failure::bad_input(
            "intent-not-utf8",
            format!("the intent is not UTF-8: {error}"),
        )
        .with_help("convert it first, such as with `iconv -t UTF-8`, or send it encoded as base64")
    })
}
