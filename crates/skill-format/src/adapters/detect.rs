//! Which framework is asking, from the environment of a process or the headers of a request.

use super::Framework;

/// Variables that agents set for the programs they start, the most telling first.
const MARKS: [(&str, Framework); 8] = [
    ("CLAUDECODE", Framework::Claude),
    ("CLAUDE_CODE_ENTRYPOINT", Framework::Claude),
    ("CODEX_SANDBOX", Framework::OpenAiSkills),
    ("CODEX_THREAD_ID", Framework::OpenAiSkills),
    ("GEMINI_CLI", Framework::Vertex),
    ("ROUNDTABLE", Framework::Roundtable),
    ("ROUNDTABLE_HOME", Framework::Roundtable),
    ("MCP_SERVER", Framework::Mcp),
];

/// Variables that hold a key for one vendor's API.
const KEYS: [(&str, Framework); 4] = [
    ("ANTHROPIC_API_KEY", Framework::AnthropicTool),
    ("OPENAI_API_KEY", Framework::OpenAi),
    ("GEMINI_API_KEY", Framework::Vertex),
    ("GOOGLE_API_KEY", Framework::Vertex),
];

/// The framework that a process runs under: what `SKILLS_FRAMEWORK` says, else the agent that has
/// left its mark, else the only vendor whose API key is set. Values of keys are not looked at.
pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Option<Framework> {
    if let Some(said) = get("SKILLS_FRAMEWORK") {
        return said.parse().ok();
    }
    let is_set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
    if let Some((_, framework)) = MARKS.iter().find(|(name, _)| is_set(name)) {
        return Some(*framework);
    }
    let mut keys = KEYS
        .iter()
        .filter(|(name, _)| is_set(name))
        .map(|(_, framework)| *framework);
    let only = keys.next()?;
    keys.all(|other| other == only).then_some(only)
}

/// Words in a user agent that tell the framework, the more special first.
const AGENTS: [(&str, Framework); 12] = [
    ("claude-code", Framework::Claude),
    ("claude-user", Framework::Claude),
    ("claude", Framework::Claude),
    ("anthropic", Framework::AnthropicTool),
    ("codex", Framework::OpenAiSkills),
    ("openai", Framework::OpenAi),
    ("chatgpt", Framework::OpenAi),
    ("google-genai", Framework::Vertex),
    ("gemini", Framework::Vertex),
    ("vertex", Framework::Vertex),
    ("roundtable", Framework::Roundtable),
    ("modelcontextprotocol", Framework::Mcp),
];

/// The framework that sent a request: the best of `Accept` (RFC 9110, section 12.5.1) that names
/// one, else what the user agent tells.
///
/// A media type names a framework as `application/vnd.skills.openai+json` or by a parameter,
/// `application/json; framework=openai`.
pub fn from_http(accept: Option<&str>, user_agent: Option<&str>) -> Option<Framework> {
    accept
        .and_then(from_accept)
        .or_else(|| from_user_agent(user_agent?))
}

fn from_accept(accept: &str) -> Option<Framework> {
    // Of equal weights the first wins, where `max_by_key` would take the last.
    let ranges = accept.split(',').filter_map(media_range);
    let best = ranges.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.filter(|(_, weight)| *weight > 0)
        .map(|(framework, _)| framework)
}

/// The framework that a media range names, and its weight in thousandths.
fn media_range(range: &str) -> Option<(Framework, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let mut framework = media_type
        .strip_prefix("application/vnd.skills.")
        .and_then(|rest| rest.strip_suffix("+json"))
        .and_then(|name| name.parse().ok());
    let mut weight = 1000;
    for parameter in parts {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        match key.trim().to_ascii_lowercase().as_str() {
            "q" => weight = thousandths(value)?,
            "framework" | "profile" => framework = framework.or(value.parse().ok()),
            _ => {}
        }
    }
    Some((framework?, weight))
}

/// A weight such as `0.5` in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

fn from_user_agent(user_agent: &str) -> Option<Framework> {
    let user_agent = user_agent.to_ascii_lowercase();
    let mut agents = AGENTS.iter();
    agents
        .find(|(word, _)| user_agent.contains(word))
        .map(|(_, framework)| *framework)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(set: &'static [(&'static str, &'static str)]) -> Option<Framework> {
        from_environment(&|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_speaks_in_order() {
        assert_eq!(env(&[]), None);
        assert_eq!(
            env(&[("SKILLS_FRAMEWORK", "gemini"), ("CLAUDECODE", "1")]),
            Some(Framework::Vertex)
        );
        assert_eq!(
            env(&[("CLAUDECODE", "1"), ("OPENAI_API_KEY", "x")]),
            Some(Framework::Claude)
        );
        assert_eq!(
            env(&[("CLAUDECODE", ""), ("OPENAI_API_KEY", "x")]),
            Some(Framework::OpenAi)
        );
        assert_eq!(
            env(&[("GEMINI_API_KEY", "x"), ("GOOGLE_API_KEY", "y")]),
            Some(Framework::Vertex)
        );
        assert_eq!(
            env(&[("ANTHROPIC_API_KEY", "x"), ("OPENAI_API_KEY", "y")]),
            None
        );
    }

    #[test]
    fn accept_is_weighed() {
        let accept = |text| from_http(Some(text), None);
        assert_eq!(
            accept("application/vnd.skills.openai+json"),
            Some(Framework::OpenAi)
        );
        assert_eq!(
            accept("application/json; framework=\"claude\""),
            Some(Framework::Claude)
        );
        assert_eq!(
            accept(
                "application/vnd.skills.mcp+json;q=0.5, application/vnd.skills.vertex+json;q=0.9"
            ),
            Some(Framework::Vertex)
        );
        assert_eq!(
            accept("application/vnd.skills.mcp+json, application/vnd.skills.claude+json"),
            Some(Framework::Mcp)
        );
        assert_eq!(accept("application/vnd.skills.mcp+json;q=0"), None);
        assert_eq!(accept("*/*, application/json"), None);
        assert_eq!(accept("application/vnd.skills.mcp+json;q=7"), None);
    }

    #[test]
    fn the_user_agent_is_second() {
        let agent = |text| from_http(Some("*/*"), Some(text));
        assert_eq!(agent("OpenAI/Python 2.1.0"), Some(Framework::OpenAi));
        assert_eq!(agent("Anthropic/JS 0.60"), Some(Framework::AnthropicTool));
        assert_eq!(agent("claude-code/2.0"), Some(Framework::Claude));
        assert_eq!(agent("google-genai-sdk/1.9"), Some(Framework::Vertex));
        assert_eq!(agent("curl/8.5"), None);
        let both = from_http(
            Some("application/vnd.skills.mcp+json"),
            Some("OpenAI/Python"),
        );
        assert_eq!(both, Some(Framework::Mcp));
    }
}
