//! Lists: four orders, tags, pages; complete whatever is inserted meanwhile.

use std::collections::BTreeSet;

use hub_db::{Db, SkillPage, SkillQuery};
use hub_model::{Page, SkillRecord, Sort, Start, UserRecord};

use crate::fixture::{TENANT, draft, later, skill, user};
use crate::harness::{Given, on_both};

on_both!(
    every_order,
    ties_are_told_apart,
    cursors_and_offsets_agree,
    cursor_pages_are_complete_under_insertion,
    tags_narrow_the_list,
    the_total_follows_every_change,
    names_are_ordered_bytewise,
    tags_are_counted,
);

async fn list(db: &Db, sort: Sort, tags: &[&str], page: Page) -> SkillPage {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    db.skills()
        .list(TENANT, &SkillQuery { sort, tags, page })
        .await
        .expect("lists")
}

fn names(skills: &[SkillRecord]) -> Vec<&str> {
    skills.iter().map(|skill| skill.name.as_str()).collect()
}

/// Everything, by following cursors.
async fn walk(db: &Db, sort: Sort, tags: &[&str], limit: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = Start::Offset(0);
    loop {
        let page = list(db, sort, tags, Page::new(limit, start).expect("a page")).await;
        assert!(page.skills.len() <= limit as usize);
        found.extend(page.skills.into_iter().map(|skill| skill.name));
        match page.next {
            Some(cursor) => start = Start::After(cursor),
            None => return found,
        }
    }
}

async fn downloads(db: &Db, name: &str, count: u64) {
    let skill = skill(db, name).await;
    let version_id = skill.latest.expect("has one").id;
    db.record_downloads(&[hub_model::Downloads {
        skill_id: skill.id,
        version_id,
        day: 1,
        count,
    }])
    .await
    .expect("records");
}

async fn rate(db: &Db, name: &str, by: &UserRecord, stars: u8) {
    let id = skill(db, name).await.id;
    let mut unit = db.begin().await.expect("begins");
    unit.skills().lock_by_id(id).await.expect("locks");
    unit.ratings()
        .put(TENANT, id, by.id, stars, later(0))
        .await
        .expect("rates");
    unit.commit().await.expect("commits");
}

async fn every_order(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    for (name, second) in [("banana", 3), ("apple", 1), ("cherry", 2)] {
        draft(name, "1.0.0")
            .at(later(second))
            .publish(&db, &alice)
            .await;
    }
    downloads(&db, "apple", 5).await;
    downloads(&db, "cherry", 7).await;
    rate(&db, "banana", &alice, 5).await;
    rate(&db, "apple", &alice, 5).await;
    rate(&db, "apple", &bob, 5).await;
    rate(&db, "cherry", &bob, 4).await;
    for (sort, expected) in [
        (Sort::Name, ["apple", "banana", "cherry"]),
        (Sort::Recent, ["banana", "cherry", "apple"]),
        (Sort::Downloads, ["cherry", "apple", "banana"]),
        (Sort::Rating, ["apple", "banana", "cherry"]),
    ] {
        let page = list(&db, sort, &[], Page::default()).await;
        assert_eq!(names(&page.skills), expected, "{sort:?}");
        assert_eq!((page.total, page.next), (3, None));
        assert_eq!(walk(&db, sort, &[], 1).await, expected, "{sort:?}");
    }
}

async fn ties_are_told_apart(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let all: BTreeSet<String> = (0..23).map(|n| format!("skill-{n:02}")).collect();
    for name in &all {
        draft(name, "1.0.0").publish(&db, &alice).await;
    }
    for sort in Sort::ALL {
        for limit in [1, 2, 5, 22, 23, 24] {
            let found = walk(&db, sort, &[], limit).await;
            assert_eq!(found.len(), 23, "{sort:?} by {limit}");
            assert_eq!(
                found.into_iter().collect::<BTreeSet<_>>(),
                all,
                "{sort:?} by {limit}"
            );
        }
    }
}

async fn cursors_and_offsets_agree(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for n in 0..12 {
        let name = format!("skill-{n:02}");
        draft(&name, "1.0.0")
            .at(later(n % 4))
            .publish(&db, &alice)
            .await;
        downloads(&db, &name, u64::try_from(n % 3).expect("small") + 1).await;
        rate(&db, &name, &alice, u8::try_from(n % 5).expect("small") + 1).await;
    }
    for sort in Sort::ALL {
        let mut by_offset = Vec::new();
        for offset in (0..12).step_by(5) {
            let page = list(
                &db,
                sort,
                &[],
                Page::new(5, Start::Offset(offset)).expect("a page"),
            )
            .await;
            by_offset.extend(page.skills.into_iter().map(|skill| skill.name));
        }
        assert_eq!(walk(&db, sort, &[], 5).await, by_offset, "{sort:?}");
    }
    let beyond = list(
        &db,
        Sort::Name,
        &[],
        Page::new(5, Start::Offset(100)).expect("a page"),
    )
    .await;
    assert!(beyond.skills.is_empty() && beyond.next.is_none());
    assert_eq!(beyond.total, 12);
}

async fn cursor_pages_are_complete_under_insertion(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let present: BTreeSet<String> = (0..30).map(|n| format!("m-{n:02}")).collect();
    for (n, name) in present.iter().enumerate() {
        draft(name, "1.0.0")
            .at(later(i64::try_from(n).expect("small")))
            .publish(&db, &alice)
            .await;
    }
    for sort in Sort::ALL {
        let mut seen = Vec::new();
        let mut start = Start::Offset(0);
        let mut inserted = 0;
        loop {
            let page = list(&db, sort, &[], Page::new(10, start).expect("a page")).await;
            seen.extend(page.skills.into_iter().map(|skill| skill.name));
            // One before, one after, and one among what is still to come.
            for prefix in ["a", "m-15-x", "z"] {
                let name = format!("{prefix}-{}-{inserted}", sort.as_str());
                draft(&name, "1.0.0")
                    .at(later(15))
                    .publish(&db, &alice)
                    .await;
                inserted += 1;
            }
            match page.next {
                Some(cursor) => start = Start::After(cursor),
                None => break,
            }
        }
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort:?}: nothing twice");
        assert!(present.is_subset(&distinct), "{sort:?}: nothing missing");
    }
}

async fn tags_narrow_the_list(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("a", "1.0.0")
        .tags(&["data", "csv"])
        .publish(&db, &alice)
        .await;
    draft("b", "1.0.0")
        .tags(&["data"])
        .publish(&db, &alice)
        .await;
    draft("c", "1.0.0")
        .tags(&["csv"])
        .publish(&db, &alice)
        .await;
    draft("d", "1.0.0")
        .tags(&["data", "csv", "pdf"])
        .publish(&db, &alice)
        .await;
    for (tags, expected) in [
        (vec!["data"], vec!["a", "b", "d"]),
        (vec!["data", "csv"], vec!["a", "d"]),
        (vec!["csv", "data", "csv"], vec!["a", "d"]),
        (vec!["pdf", "csv", "data"], vec!["d"]),
        (vec!["none"], vec![]),
        (vec!["data", "none"], vec![]),
        (vec!["' OR 1=1 --"], vec![]),
    ] {
        for sort in Sort::ALL {
            let mut found = walk(&db, sort, &tags, 1).await;
            found.sort();
            assert_eq!(found, expected, "{tags:?} {sort:?}");
        }
        let page = list(&db, Sort::Name, &tags, Page::first(1)).await;
        assert_eq!(page.total, expected.len() as u64, "{tags:?}");
    }
    // A new version with other tags moves the skill.
    draft("b", "1.1.0")
        .tags(&["pdf"])
        .publish(&db, &alice)
        .await;
    assert_eq!(walk(&db, Sort::Name, &["data"], 10).await, ["a", "d"]);
    assert_eq!(walk(&db, Sort::Name, &["pdf"], 10).await, ["b", "d"]);
}

async fn the_total_follows_every_change(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let total = async || list(&db, Sort::Name, &[], Page::default()).await.total;
    let tagged = async || list(&db, Sort::Name, &["t"], Page::default()).await.total;
    assert_eq!((total().await, tagged().await), (0, 0));
    let first = draft("a", "1.0.0").tags(&["t"]).publish(&db, &alice).await;
    draft("a", "1.1.0")
        .tags(&["t", "u"])
        .publish(&db, &alice)
        .await;
    draft("b", "1.0.0").publish(&db, &alice).await;
    assert_eq!((total().await, tagged().await), (2, 1));
    let second = db
        .versions()
        .by_identity(first.skill_id, "1.1.0")
        .await
        .expect("queries")
        .expect("exists");
    for version in [&first, &second] {
        let mut unit = db.begin().await.expect("begins");
        unit.versions()
            .yank(version, None, later(1))
            .await
            .expect("yanks");
        unit.commit().await.expect("commits");
    }
    assert_eq!((total().await, tagged().await), (1, 0));
    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .delete(&second, later(2))
        .await
        .expect("deletes");
    unit.versions()
        .restore(&first, later(2))
        .await
        .expect("restores");
    unit.commit().await.expect("commits");
    assert_eq!((total().await, tagged().await), (2, 1));
}

async fn names_are_ordered_bytewise(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for name in ["b", "a-b", "a", "a1", "ab", "a.b", "a_b"] {
        draft(name, "1.0.0").publish(&db, &alice).await;
    }
    let expected = ["a", "a-b", "a.b", "a1", "a_b", "ab", "b"];
    assert_eq!(
        walk(&db, Sort::Name, &[], 2).await,
        expected,
        "the same on every server, whatever its locale"
    );
}

async fn tags_are_counted(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("a", "1.0.0")
        .tags(&["x", "y"])
        .publish(&db, &alice)
        .await;
    draft("b", "1.0.0")
        .tags(&["y", "z"])
        .publish(&db, &alice)
        .await;
    let tags = db.tags().list(TENANT, 10).await.expect("lists");
    let shown: Vec<(&str, u64)> = tags
        .iter()
        .map(|tag| (tag.name.as_str(), tag.count))
        .collect();
    assert_eq!(shown, [("y", 2), ("x", 1), ("z", 1)]);
    assert_eq!(db.tags().list(TENANT, 1).await.expect("lists").len(), 1);
}
