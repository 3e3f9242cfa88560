//! `skills search`

use serde_json::json;
use skill_client::api::{Client, ListQuery, SearchQuery, SkillInfo, Sort};

use crate::cli::consume::{SearchArgs, SortBy};
use crate::context::Context;
use crate::failure::Failure;

/// What was found, however it was asked for.
struct Found {
    skills: Vec<SkillInfo>,
    total: u64,
    suggestion: Option<String>,
}

pub fn run(args: &SearchArgs, context: &Context) -> Result<(), Failure> {
    let query = args.query.join(" ");
    let client = context.client(&args.registry)?;
    let found = context.block_on(async { find(args, &query, &client).await })?;
    show(args, &query, &found, context);
    context.printer.document(&json!({
        "query": query, "total": found.total, "suggestion": found.suggestion, "results": found.skills,
    }));
    Ok(())
}

/// Words are ranked by relevance, everything else is a sorted list.
async fn find(args: &SearchArgs, query: &str, client: &Client) -> Result<Found, Failure> {
    let sort = match args.sort {
        Some(SortBy::Downloads) => Some(Sort::Downloads),
        Some(SortBy::Rating) => Some(Sort::Rating),
        Some(SortBy::Recent) => Some(Sort::Recent),
        Some(SortBy::Name) => Some(Sort::Name),
        Some(SortBy::Relevance) | None => None,
    };
    let is_list = query.is_empty() && args.framework.is_none() && args.author.is_none();
    if sort.is_some() && !is_list && (args.framework.is_some() || args.author.is_some()) {
        return Err(Failure::bad_input(
            "sort-with-filter",
            "--framework and --author go with the order `relevance` only",
        )
        .with_help("leave out --sort"));
    }
    if is_list || sort.is_some() {
        let query = ListQuery {
            search: Some(query.to_owned()).filter(|query| !query.is_empty()),
            tags: args.tags.clone(),
            sort,
            limit: Some(args.limit),
            offset: Some(args.offset),
            cursor: None,
        };
        let page = client.list(&query).await?;
        return Ok(Found {
            skills: page.skills,
            total: page.total,
            suggestion: None,
        });
    }
    let query = SearchQuery {
        text: query.to_owned(),
        tags: args.tags.clone(),
        framework: args.framework.clone(),
        author: args.author.clone(),
        limit: Some(args.limit),
        offset: Some(args.offset),
    };
    let page = client.search(&query).await?;
    Ok(Found {
        skills: page.results,
        total: page.total,
        suggestion: page.suggestion,
    })
}

fn show(args: &SearchArgs, query: &str, found: &Found, context: &Context) {
    let printer = &context.printer;
    if found.skills.is_empty() {
        let what = if query.is_empty() {
            "nothing".to_owned()
        } else {
            format!("nothing for `{query}`")
        };
        printer.note(format!("{what} was found"));
        if let Some(suggestion) = &found.suggestion {
            printer.note(format!("did you mean `{suggestion}`?"));
        }
        return;
    }
    let rows = found.skills.iter().map(|skill| {
        [
            skill.name.to_string(),
            skill
                .version
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            skill.downloads.to_string(),
            skill
                .rating
                .filter(|_| skill.rating_count > 0)
                .map(|rating| format!("{rating:.1}"))
                .unwrap_or_default(),
            summary(skill),
        ]
    });
    printer.table(
        ["name", "version", "downloads", "rating", "description"],
        rows,
    );
    let last = u64::from(args.offset) + found.skills.len() as u64;
    if last < found.total {
        printer.note(format!(
            "{last} of {} shown; more with --offset {last}",
            found.total
        ));
    }
}

/// One line that says what it does; deprecated skills say so first.
fn summary(skill: &SkillInfo) -> String {
    let mark = if skill.deprecated.is_some() {
        "(deprecated) "
    } else {
        ""
    };
    let text: String = skill
        .description
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    const CHARS_MAX: usize = 120;
    if text.chars().count() <= CHARS_MAX {
        return format!("{mark}{text}");
    }
    let cut: String = text.chars().take(CHARS_MAX - 1).collect();
    format!("{mark}{}…", cut.trim_end())
}
