//! Any bytes as `SKILL.md`: read, linted, rendered, and rewritten without loss.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_format::adapters::{render, skill_content};
use skill_format::{
    Framework, ReadOptions, RenderOptions, Skill, SkillFile, SkillTree, lint,
    skill_md_with_metadata,
};

fn tree(bytes: &[u8]) -> SkillTree {
    let mut tree = SkillTree::new();
    tree.insert("SKILL.md", SkillFile::plain(bytes))
        .expect("a good path");
    tree
}

fuzz_target!(|bytes: &[u8]| {
    lint(&tree(bytes), Some("folder"));
    let rewritten = skill_md_with_metadata(bytes, None, None);
    let Ok(skill) = Skill::from_tree(tree(bytes), &ReadOptions::default()) else {
        return;
    };
    for framework in Framework::all() {
        render(&[&skill], framework, &RenderOptions::default());
    }
    skill_content(&skill, Some("/skills/x"));
    let rewritten = rewritten.expect("what is read can be rewritten");
    let again = Skill::from_tree(tree(rewritten.as_bytes()), &ReadOptions::default())
        .expect("what was rewritten can be read");
    assert_eq!(again.manifest.name, skill.manifest.name);
    assert_eq!(again.manifest.version, skill.manifest.version);
    assert_eq!(again.manifest.author, skill.manifest.author);
    assert_eq!(again.manifest.description, skill.manifest.description);
    assert_eq!(again.body, skill.body);
});
