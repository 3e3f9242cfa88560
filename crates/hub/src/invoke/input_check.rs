//! Checks what is asked for against what the catalogue knows of the skill, before anything runs. Whoever runs it checks
//! again, against the version that it has.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use skill_format::{InvalidInput, check_input};

use crate::problem::{FieldError, Problem};

/// 422 `entry-unknown` or `invalid-input`, if the manifest says so. An input that is no JSON is left to the skill: a
/// plain text may stand for its only field.
pub(super) async fn check(
    manifest: &Value,
    entry: Option<&str>,
    input: &Bytes,
) -> Result<(), Problem> {
    let declared = manifest["entrypoints"].as_array().map(Vec::as_slice);
    let declared = declared.unwrap_or_default();
    let found = match entry {
        None => declared.first(),
        Some(wanted) => declared.iter().find(|one| one["name"] == wanted),
    };
    let Some(found) = found else {
        // Without declared ones the skill's scripts are its entry points, and only who has them knows their names.
        return match entry {
            Some(wanted) if !declared.is_empty() => Err(unknown(wanted, declared)),
            _ => Ok(()),
        };
    };
    let schema = found["inputSchema"].clone();
    if schema.is_null() {
        return Ok(());
    }
    let input = input.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let value: Result<Value, _> = serde_json::from_slice(&input);
        value.map_or(Ok(()), |value| check_input(&schema, &value))
    });
    match checked.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(invalid)) => Err(misfit(&invalid)),
        Err(error) => Err(Problem::internal(error)),
    }
}

fn unknown(wanted: &str, declared: &[Value]) -> Problem {
    let names: Vec<_> = declared
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    let message = format!(
        "there is no entry point `{wanted}`; there is {}",
        names.join(", ")
    );
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "entry-unknown",
        format!(
            "The skill has no entry point `{wanted}`. It has: {}.",
            names.join(", ")
        ),
    )
    .with_error(FieldError::new("entry", message))
}

fn misfit(invalid: &InvalidInput) -> Problem {
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-input",
        "The input does not fit the schema of the entry point: see `errors`.",
    );
    invalid.problems.iter().fold(problem, |problem, one| {
        let field = format!("input{}", one.pointer);
        problem.with_error(FieldError::new(field, one.message.clone()))
    })
}
