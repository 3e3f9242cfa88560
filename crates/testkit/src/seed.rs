//! Many skills at once, for measuring: written straight into the database.

use std::path::Path;

use hub::HubConfig;
use hub_db::{Db, DbConfig, DbError, NewSkill, NewVersion, UnitOfWork};
use hub_model::{
    About, Role, SkillId, TenantId, UserId, UserRecord, VersionId, VersionRecord, VersionState,
};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use skill_format::{Sha256, SkillFile, SkillTree};

/// Skills per transaction.
const BATCH: usize = 2_000;

/// Topics, verbs and things that the descriptions are made of.
const WORDS: [&str; 48] = [
    "csv",
    "data",
    "table",
    "report",
    "text",
    "summary",
    "chart",
    "email",
    "calendar",
    "invoice",
    "review",
    "test",
    "code",
    "image",
    "audio",
    "video",
    "translation",
    "search",
    "index",
    "log",
    "metric",
    "deploy",
    "docker",
    "cluster",
    "database",
    "query",
    "schema",
    "migration",
    "backup",
    "security",
    "audit",
    "license",
    "document",
    "slide",
    "spreadsheet",
    "budget",
    "forecast",
    "survey",
    "contract",
    "meeting",
    "ticket",
    "release",
    "changelog",
    "branch",
    "merge",
    "prompt",
    "agent",
    "workflow",
];
const VERBS: [&str; 12] = [
    "Cleans",
    "Analyses",
    "Summarises",
    "Converts",
    "Validates",
    "Writes",
    "Compares",
    "Collects",
    "Plans",
    "Explains",
    "Merges",
    "Draws",
];

/// Makes a hub's data folder with `count` skills named `seeded-skill-0` and so on,
/// one version each, all with the same small archive. The same count gives the
/// same catalogue. Start a hub with this data folder and the default database.
pub async fn data_folder(folder: &Path, count: usize) -> Result<(), DbError> {
    std::fs::create_dir_all(folder).expect("the data folder can be made");
    let config = HubConfig {
        data_folder: folder.to_owned(),
        ..HubConfig::default()
    };
    let archive = archive();
    let digest = Sha256::of(&archive).hex();
    let shard = folder.join("blobs/sha256").join(&digest[..2]);
    std::fs::create_dir_all(&shard).expect("the blob folder can be made");
    std::fs::write(shard.join(&digest), &archive).expect("the blob can be written");
    let db = Db::connect(&DbConfig::new(config.database_url())).await?;
    db.migrate().await.expect("the schema can be made");
    skills(&db, count, &archive).await?;
    db.close().await;
    Ok(())
}

/// Adds `count` skills to a database.
pub async fn skills(db: &Db, count: usize, archive: &[u8]) -> Result<(), DbError> {
    let mut rng = StdRng::seed_from_u64(count as u64);
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let owner = owner(db, start, &mut rng).await?;
    let sha256 = Sha256::of(archive).hex();
    let mut next = 0;
    while next < count {
        let end = count.min(next + BATCH);
        let mut unit = db.begin().await?;
        for number in next..end {
            let at = start + SignedDuration::from_secs(number as i64);
            let seed = Seed {
                number,
                at,
                owner,
                sha256: &sha256,
                size: archive.len() as u64,
            };
            insert(&mut unit, &seed, &mut rng).await?;
        }
        unit.commit().await?;
        next = end;
    }
    Ok(())
}

struct Seed<'a> {
    number: usize,
    at: Timestamp,
    owner: UserId,
    sha256: &'a str,
    size: u64,
}

async fn owner(db: &Db, now: Timestamp, rng: &mut StdRng) -> Result<UserId, DbError> {
    let user = UserRecord {
        id: UserId::generate(now, rng),
        tenant: TenantId::DEFAULT,
        username: "seeder".to_owned(),
        email: None,
        password: None,
        role: Role::Publisher,
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    let mut unit = db.begin().await?;
    unit.users().insert(&user).await?;
    unit.commit().await?;
    Ok(user.id)
}

async fn insert(unit: &mut UnitOfWork, seed: &Seed<'_>, rng: &mut StdRng) -> Result<(), DbError> {
    let name = format!("seeded-skill-{}", seed.number);
    let key: skill_format::SkillName = name.parse().expect("a valid name");
    let new = NewSkill {
        id: SkillId::generate(seed.at, rng),
        tenant: TenantId::DEFAULT,
        name: name.clone(),
        name_key: key.uniqueness_key(),
        created_by: seed.owner,
        created_at: seed.at,
    };
    let claimed = unit.skills().claim(&new).await?;
    let about = about(rng);
    let record = VersionRecord {
        id: VersionId::generate(seed.at, rng),
        tenant: TenantId::DEFAULT,
        skill_id: claimed.skill.id,
        version: "1.0.0".to_owned(),
        state: VersionState::Active,
        yank_reason: None,
        state_changed_at: None,
        manifest: json!({"name": name, "version": "1.0.0", "description": about.description}),
        about,
        sha256: seed.sha256.to_owned(),
        size: seed.size,
        media_type: "application/gzip".to_owned(),
        content_digest: seed.sha256.to_owned(),
        signature: None,
        signer: None,
        published_by: seed.owner,
        published_at: seed.at,
        downloads: 0,
    };
    unit.versions()
        .insert(NewVersion {
            record: &record,
            depends_on: &[],
            body: "",
        })
        .await?;
    Ok(())
}

fn about(rng: &mut StdRng) -> About {
    // Squaring makes the first words common and the last rare, as words are.
    let mut word = || {
        let uniform: f64 = rng.random();
        WORDS[(uniform * uniform * WORDS.len() as f64) as usize]
    };
    let (first, second, third, fourth) = (word(), word(), word(), word());
    let verb = VERBS[rng.random_range(0..VERBS.len())];
    let serial: u32 = rng.random_range(0..50_000);
    About {
        description: format!(
            "{verb} a {first} and its {second}, then writes a {third}. Use it when a {fourth} \
             is needed or when project-{serial} asks for one."
        ),
        author: Some("Example Team".to_owned()),
        license: Some("MIT".to_owned()),
        repository: Some(format!("https://example.com/skills/{serial}")),
        homepage: None,
        tags: [first, second].map(str::to_owned).to_vec(),
        capabilities: vec![third.to_owned()],
        frameworks: json!([{"name": "openai", "compatibility": null, "instructionsFile": null}]),
        dependencies: json!({}),
    }
}

fn archive() -> Vec<u8> {
    let mut tree = SkillTree::new();
    let text = "---\nname: seeded-skill\ndescription: Stands for many.\n---\n\n# Seeded\n";
    tree.insert("SKILL.md", SkillFile::plain(text.as_bytes()))
        .expect("a valid path");
    tree.pack()
}
