//! A skill in the form that an agent framework reads: prompt text, tool declarations, references
//! to folders. Renders; calls nothing and runs nothing.
//!
//! The mapping: skills with instructions share one tool `activate_skill(name)` whose argument is
//! an enumeration, and one `read_skill_file(name, path)`; a script whose input has a JSON Schema
//! becomes a tool of its own. A file that the author provides for a framework
//! (`.skill/openai.json`, `.skill/anthropic.json`, `.skill/google.json`, or what `frameworks`
//! names) takes the place of everything that would be derived for that skill.

mod anthropic;
mod claude;
pub mod detect;
mod explicit;
mod mcp;
mod openai;
mod openai_skills;
mod roundtable;
mod text;
mod tool_name;
mod toolset;
mod vertex;
mod zip;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::explain::{Explain, Fault};
use crate::skill::Skill;

pub(crate) use explicit::{ANTHROPIC_FORM, holds_tools, own_form_paths};
pub use text::{catalogue, skill_content};
pub use toolset::{ToolTarget, tool_targets};

/// An agent framework, or one of its interfaces, that skills are rendered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// Claude's own skills: the folder as it is.
    Claude,
    /// Tools of the Anthropic Messages API.
    AnthropicTool,
    /// Function tools of the OpenAI APIs.
    #[serde(rename = "openai")]
    OpenAi,
    /// Skills of OpenAI's shell tool.
    #[serde(rename = "openai-skills")]
    OpenAiSkills,
    /// Function declarations of Gemini and Vertex AI.
    Vertex,
    /// Roundtable's TypeScript loader.
    Roundtable,
    /// The skills extension of the Model Context Protocol (SEP-2640), and its tools.
    Mcp,
}

impl Framework {
    pub const fn all() -> [Self; 7] {
        [
            Self::Claude,
            Self::AnthropicTool,
            Self::OpenAi,
            Self::OpenAiSkills,
            Self::Vertex,
            Self::Roundtable,
            Self::Mcp,
        ]
    }

    /// The name that [`FromStr`] reads back.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::AnthropicTool => "anthropic-tool",
            Self::OpenAi => "openai",
            Self::OpenAiSkills => "openai-skills",
            Self::Vertex => "vertex",
            Self::Roundtable => "roundtable",
            Self::Mcp => "mcp",
        }
    }

    /// Other names, in lower case with hyphens.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &[
                "anthropic",
                "anthropic-claude",
                "claude-code",
                "claude-skills",
            ],
            Self::AnthropicTool => &[
                "anthropic-tools",
                "anthropic-api",
                "claude-tool",
                "claude-tools",
            ],
            Self::OpenAi => &[
                "gpt",
                "chatgpt",
                "open-ai",
                "openai-tools",
                "openai-functions",
            ],
            Self::OpenAiSkills => &["codex", "openai-skill", "openai-shell"],
            Self::Vertex => &[
                "gemini",
                "google",
                "google-vertex",
                "vertex-ai",
                "gemini-cli",
            ],
            Self::Roundtable => &[],
            Self::Mcp => &["model-context-protocol"],
        }
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no framework that skills are rendered for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no known framework")]
pub struct UnknownFramework(String);

impl Explain for UnknownFramework {
    fn code(&self) -> &'static str {
        "framework-unknown"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let names = Framework::all().map(Framework::as_str);
        Some(format!("use one of {}", names.join(", ")))
    }
}

impl FromStr for Framework {
    type Err = UnknownFramework;

    /// Takes aliases such as `gemini` too, whatever their case.
    fn from_str(text: &str) -> Result<Self, UnknownFramework> {
        let wanted = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
        let named = |framework: &Self| {
            framework.as_str() == wanted || framework.aliases().contains(&wanted.as_str())
        };
        let found = Self::all().into_iter().find(named);
        // Whoever sends a megabyte need not get it back.
        found.ok_or_else(|| UnknownFramework(text.chars().take(64).collect()))
    }
}

/// The folder in which a skill lies for the agent, if it does.
pub type PathOf<'a> = &'a dyn Fn(&Skill) -> Option<String>;

/// What a rendering needs to know besides the skills.
#[derive(Clone, Copy, Default)]
pub struct RenderOptions<'a> {
    /// Without it, a form that carries the files is chosen where there is one.
    pub path_of: Option<PathOf<'a>>,
    /// Include the instructions of each skill, not only name and description.
    pub instructions: bool,
    /// Function tools as the Chat Completions API nests them, not as the Responses API has them.
    pub openai_chat: bool,
}

impl RenderOptions<'_> {
    fn path_of(&self, skill: &Skill) -> Option<String> {
        let path = self.path_of?(skill)?;
        Some(path.trim_end_matches('/').to_owned())
    }
}

impl fmt::Debug for RenderOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderOptions")
            .field("path_of", &self.path_of.is_some())
            .field("instructions", &self.instructions)
            .field("openai_chat", &self.openai_chat)
            .finish()
    }
}

/// The skills in the form that `framework` reads: always a JSON object.
pub fn render(skills: &[&Skill], framework: Framework, options: &RenderOptions<'_>) -> Value {
    match framework {
        Framework::Claude => claude::render(skills, options),
        Framework::AnthropicTool => anthropic::render(skills, options),
        Framework::OpenAi => openai::render(skills, options),
        Framework::OpenAiSkills => openai_skills::render(skills, options),
        Framework::Vertex => vertex::render(skills, options),
        Framework::Roundtable => roundtable::render(skills, options),
        Framework::Mcp => mcp::render(skills, options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_is_read_back_and_is_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for framework in Framework::all() {
            let names = framework
                .aliases()
                .iter()
                .copied()
                .chain([framework.as_str()]);
            for name in names {
                assert_eq!(name.to_uppercase().parse(), Ok(framework));
                assert!(seen.insert(name), "{name}");
            }
            let json = serde_json::to_value(framework).expect("a text");
            assert_eq!(json, framework.as_str());
        }
        assert_eq!("Claude Code".parse(), Ok(Framework::Claude));
        let error = "cobol".parse::<Framework>().expect_err("unknown");
        assert_eq!(error.to_string(), "`cobol` is no known framework");
    }
}
