//! Pins: first use, change, acceptance; their file under other hands.

use std::thread;

use serde_json::{Value, json};
use skill_format::Explain;
use skill_signing::{Fingerprint, PinCheck, PinError, Pins};
use tempfile::TempDir;

use crate::support::{days_later, now};

const HUB: &str = "https://hub.example.org";

fn fingerprint(digit: char) -> Fingerprint {
    digit.to_string().repeat(40).parse().unwrap()
}

struct Store {
    folder: TempDir,
    pins: Pins,
}

impl Store {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let pins = Pins::open(folder.path().join("pins.json"));
        Self { folder, pins }
    }

    fn write(&self, document: &Value) {
        std::fs::write(self.folder.path().join("pins.json"), document.to_string()).unwrap();
    }

    fn read(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join("pins.json")).unwrap())
            .unwrap()
    }
}

#[test]
fn the_first_key_is_pinned_and_another_is_refused_until_it_is_trusted() {
    let Store {
        pins,
        folder: _folder,
    } = Store::new();
    let (old, new) = (fingerprint('A'), fingerprint('B'));
    assert_eq!(pins.check(HUB, "csv", &old).unwrap(), PinCheck::New);
    assert_eq!(
        pins.check(HUB, "csv", &old).unwrap(),
        PinCheck::New,
        "checking pins nothing"
    );
    assert_eq!(
        pins.check_or_pin(HUB, "csv", &old, now()).unwrap(),
        PinCheck::New
    );
    assert_eq!(
        pins.check_or_pin(HUB, "csv", &old, days_later(1)).unwrap(),
        PinCheck::Matches
    );
    let PinCheck::Changed { old: pin } = pins.check_or_pin(HUB, "csv", &new, now()).unwrap() else {
        panic!("the key has changed");
    };
    assert_eq!(pin.fingerprint, old);
    assert_eq!(pin.first_seen, now(), "the date of the first use stays");

    assert_eq!(
        pins.trust(HUB, "csv", &new, days_later(2)).unwrap(),
        Some(old.clone())
    );
    assert_eq!(pins.check(HUB, "csv", &new).unwrap(), PinCheck::Matches);
    assert!(matches!(
        pins.check(HUB, "csv", &old).unwrap(),
        PinCheck::Changed { .. }
    ));
    let pin = &pins.list().unwrap()[0];
    assert_eq!(pin.first_seen, days_later(2));
    assert_eq!(pin.history.len(), 1);
    assert_eq!(pin.history[0].fingerprint, old);
    assert_eq!(pin.history[0].first_seen, now());
    assert_eq!(pin.history[0].replaced_at, days_later(2));
    assert_eq!(pins.trust(HUB, "csv", &new, days_later(3)).unwrap(), None);
    assert_eq!(
        pins.list().unwrap()[0].history.len(),
        1,
        "trusting the same key again is nothing new"
    );
}

#[test]
fn a_pin_is_of_one_skill_in_one_registry() {
    let Store {
        pins,
        folder: _folder,
    } = Store::new();
    pins.trust(&format!("{HUB}/"), "csv", &fingerprint('A'), now())
        .unwrap();
    assert_eq!(
        pins.check(HUB, "csv", &fingerprint('A')).unwrap(),
        PinCheck::Matches
    );
    assert_eq!(
        pins.check(HUB, "pdf", &fingerprint('B')).unwrap(),
        PinCheck::New
    );
    assert_eq!(
        pins.check("https://other.example.org", "csv", &fingerprint('B'))
            .unwrap(),
        PinCheck::New
    );
}

#[test]
fn what_a_later_version_wrote_is_kept_or_refused() {
    let store = Store::new();
    store.write(&json!({
        "version": 1,
        "comment": "kept",
        "pins": [{
            "registry": HUB, "skill": "csv", "fingerprint": "a".repeat(40),
            "firstSeen": "2025-01-01T00:00:00Z", "log": {"index": 7},
        }],
    }));
    store
        .pins
        .trust(HUB, "csv", &fingerprint('B'), now())
        .unwrap();
    store
        .pins
        .trust(HUB, "pdf", &fingerprint('C'), now())
        .unwrap();
    let document = store.read();
    assert_eq!(document["comment"], "kept");
    assert_eq!(document["pins"][0]["log"], json!({"index": 7}));
    assert_eq!(
        document["pins"][0]["history"][0]["fingerprint"],
        "A".repeat(40)
    );

    store.write(&json!({"version": 2, "keys": {}}));
    let error = store.pins.check(HUB, "csv", &fingerprint('A')).unwrap_err();
    assert!(
        matches!(error, PinError::Version { found: 2, .. }),
        "{error}"
    );
    assert!(
        store
            .pins
            .trust(HUB, "csv", &fingerprint('A'), now())
            .is_err()
    );
    assert_eq!(store.read()["version"], 2, "it is left alone");
}

#[test]
fn damaged_pins_stop_everything() {
    let store = Store::new();
    for damaged in [
        json!([]),
        json!({"pins": []}),
        json!({"version": 1}),
        json!({"version": 1, "pins": [{"registry": HUB, "skill": "csv"}]}),
        json!({"version": 1, "pins": [{"registry": HUB, "skill": "csv", "fingerprint": "no", "firstSeen": "2025-01-01T00:00:00Z"}]}),
    ] {
        store.write(&damaged);
        let error = store
            .pins
            .check_or_pin(HUB, "csv", &fingerprint('A'), now())
            .unwrap_err();
        assert_eq!(error.code(), "pins-malformed", "{damaged}");
        assert!(error.place().unwrap().file.unwrap().ends_with("pins.json"));
        assert_eq!(store.read(), damaged);
    }
}

#[test]
fn of_many_at_once_one_pins_and_none_is_lost() {
    let store = Store::new();
    let checks: Vec<PinCheck> = thread::scope(|scope| {
        let threads: Vec<_> = "0123456789ABCDEF"
            .chars()
            .map(|digit| {
                let pins = Pins::open(store.folder.path().join("pins.json"));
                scope.spawn(move || {
                    pins.trust(HUB, &format!("skill-{digit}"), &fingerprint(digit), now())
                        .unwrap();
                    pins.check_or_pin(HUB, "wanted", &fingerprint(digit), now())
                        .unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        checks
            .iter()
            .filter(|check| **check == PinCheck::New)
            .count(),
        1
    );
    let changed = checks
        .iter()
        .filter(|check| matches!(check, PinCheck::Changed { .. }));
    assert_eq!(changed.count(), 15);
    assert_eq!(store.pins.list().unwrap().len(), 17);
}
