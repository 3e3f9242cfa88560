//! What stands behind the hub's gateway: an agent of the mesh. Knows both, so that neither knows the other.

use std::future::Future;
use std::pin::Pin;

use hub::invoke::{Invocation, InvokeError, Invoker, Output, Progress};
use serde_json::json;
use skill_mesh::agent::{Agent, CallError, Settings};
use skill_mesh::protocol::Code;

use crate::failure::Failure;
use crate::mesh::{Mesh, wall_clock};

/// The reply topic of hubs. Always the same, so that an invocation that another process of this hub goes on with
/// is known on the mesh by the same name; ids of invocations are unique for ever.
pub const REPLY_TOPIC: &str = "AGENT_REPLY_HUB";

/// Passes invocations to a topic.
pub struct MeshInvoker {
    agent: Agent,
    topic: String,
}

impl MeshInvoker {
    pub fn new(agent: Agent, topic: impl Into<String>) -> Self {
        Self {
            agent,
            topic: topic.into(),
        }
    }

    /// Over a proxy or NATS.
    pub async fn connect(mesh: &Mesh, topic: &str) -> Result<Self, Failure> {
        let end = mesh.agent_on(REPLY_TOPIC).await?;
        Ok(Self::new(
            Agent::new(end, Settings::new(wall_clock())),
            topic,
        ))
    }

    /// Runs it.
    ///
    /// # Errors
    /// As the hub tells its callers.
    pub async fn ask(
        &self,
        invocation: &Invocation,
        progress: &Progress,
    ) -> Result<Vec<u8>, InvokeError> {
        let intent = intent(invocation)?;
        let id = invocation.id.to_string();
        let news = |news: String| progress.send(news);
        let agent = self.agent.within(invocation.trace.clone());
        let answer = agent.call_as(id, &self.topic, &intent, invocation.timeout, news);
        answer.await.map_err(explain)
    }
}

impl Invoker for MeshInvoker {
    fn invoke(
        &self,
        invocation: Invocation,
        progress: Progress,
    ) -> Pin<Box<dyn Future<Output = Result<Output, InvokeError>> + Send + '_>> {
        Box::pin(async move {
            let result = self.ask(&invocation, &progress).await?;
            Ok(Output {
                bytes: result.into(),
                version: None,
            })
        })
    }
}

fn intent(invocation: &Invocation) -> Result<String, InvokeError> {
    let input = std::str::from_utf8(&invocation.input).map_err(|error| {
        InvokeError::InvalidInput(format!(
            "the mesh carries text, and byte {} of the input is not UTF-8; encode it, for example as base64",
            error.valid_up_to()
        ))
    })?;
    let mut intent = json!({ "skill": invocation.skill, "data": input });
    if let Some(entry) = &invocation.entry {
        intent["entry"] = json!(entry);
    }
    Ok(intent.to_string())
}

fn explain(error: CallError) -> InvokeError {
    match error {
        CallError::Closed => InvokeError::Closed,
        CallError::Timeout { waited, .. } => InvokeError::NoAnswer { waited },
        CallError::Topic { .. } => InvokeError::NotServed(error.to_string()),
        CallError::TooLarge { .. } => InvokeError::InvalidInput(error.to_string()),
        CallError::Failed { code, error } => match code {
            Some(Code::NoMatchingSkill | Code::NoWorkers) => InvokeError::NotServed(error),
            Some(Code::Busy | Code::Deadline) => InvokeError::Busy,
            Some(
                Code::BadRequest
                | Code::UnknownEntryPoint
                | Code::InputInvalid
                | Code::InputMissing
                | Code::InputNotJson,
            ) => InvokeError::InvalidInput(error),
            Some(
                Code::Stopping
                | Code::WorkersLost
                | Code::SkillCrashed
                | Code::SkillTimedOut
                | Code::ResultTooLarge
                | Code::SandboxFailed
                | Code::WorkerFailed,
            )
            | None => InvokeError::Failed(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use skill_mesh::protocol::Reply;
    use skill_mesh::queue::Refusal;

    use super::*;

    fn explained(payload: &str) -> InvokeError {
        let reply = Reply::parse(payload.as_bytes()).unwrap();
        let code = reply.code();
        let error = reply.error;
        explain(CallError::Failed { code, error })
    }

    #[test]
    fn a_reply_is_told_by_its_code_and_one_of_skillscales_workers_by_its_text() {
        let error =
            explained(r#"{"request_id":"1","status":"error","error":"later","code":"busy"}"#);
        assert_eq!(error, InvokeError::Busy);
        let said = "No matching skill found for topic: T";
        let error = explained(&format!(
            r#"{{"request_id":"1","status":"error","content":"","error":"{said}","timestamp":1.0}}"#
        ));
        assert_eq!(error, InvokeError::NotServed(said.into()));
        // Who serves it and is at work is no reason to believe that nobody does.
        let (topic, waited) = ("T".into(), std::time::Duration::from_secs(25));
        for refusal in [
            Refusal::Deadline { topic, waited },
            Refusal::NoWorkers {
                topic: "T".into(),
                waited,
            },
        ] {
            let said = refusal.to_string();
            let payload = json!({"request_id": "1", "status": "error", "error": said});
            let expected = match refusal {
                Refusal::NoWorkers { .. } => InvokeError::NotServed(said),
                _ => InvokeError::Busy,
            };
            assert_eq!(explained(&payload.to_string()), expected);
        }
        // A skill's complaint is no refusal, whatever it looks like.
        let said = "busy: says the skill";
        let error = explained(&format!(
            r#"{{"request_id":"1","status":"error","error":"{said}","code":"skill-crashed"}}"#
        ));
        assert_eq!(error, InvokeError::Failed(said.into()));
    }
}
