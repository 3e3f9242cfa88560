//! Function declarations of Gemini and Vertex AI.

use serde_json::{Value, json};

use crate::skill::Skill;

use super::toolset::toolset;
use super::{Framework, RenderOptions, catalogue};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let set = toolset(skills, Framework::Vertex);
    let derived = set.derived.into_iter().map(|tool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "parametersJsonSchema": tool.input_schema,
        })
    });
    let explicit = set.explicit.into_iter().map(|explicit| explicit.tool);
    let declarations: Vec<Value> = derived.chain(explicit).collect();
    json!({
        "catalogue": catalogue(skills, options),
        "tools": [{ "functionDeclarations": declarations }],
    })
}
