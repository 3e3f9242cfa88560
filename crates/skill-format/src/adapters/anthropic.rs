//! Tools of the Anthropic Messages API: `{name, description, input_schema}`.

use serde_json::{Value, json};

use crate::skill::Skill;

use super::toolset::toolset;
use super::{Framework, RenderOptions, catalogue};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let set = toolset(skills, Framework::AnthropicTool);
    let derived = set.derived.into_iter().map(|tool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.input_schema,
        })
    });
    let explicit = set.explicit.into_iter().map(|explicit| explicit.tool);
    let tools: Vec<Value> = derived.chain(explicit).collect();
    json!({ "catalogue": catalogue(skills, options), "tools": tools })
}
