//! Any bytes as `skill.yaml` beside a correct `SKILL.md`: read, linted, rendered, and its manifest
//! carried through JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_format::adapters::render;
use skill_format::{
    Framework, Manifest, ReadOptions, RenderOptions, Skill, SkillFile, SkillTree, lint,
};

fuzz_target!(|bytes: &[u8]| {
    let mut tree = SkillTree::new();
    let skill_md = "---\nname: sample\ndescription: Shows a sample.\n---\nDo it.\n";
    for (path, bytes) in [("SKILL.md", skill_md.as_bytes()), ("skill.yaml", bytes)] {
        tree.insert(path, SkillFile::plain(bytes))
            .expect("a good path");
    }
    lint(&tree, None);
    let Ok(skill) = Skill::from_tree(tree, &ReadOptions::default()) else {
        return;
    };
    for framework in Framework::all() {
        render(&[&skill], framework, &RenderOptions::default());
    }
    let json = serde_json::to_string(&skill.manifest).expect("a manifest is JSON");
    let again: Manifest = serde_json::from_str(&json).expect("JSON that was just written");
    assert_eq!(again.name, skill.manifest.name);
    assert_eq!(again.dependencies, skill.manifest.dependencies);
    assert_eq!(again.permissions, skill.manifest.permissions);
});
