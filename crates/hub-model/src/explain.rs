//! How the plain types' errors explain themselves; the rules' errors do so beside the rules.

use skill_format::{Explain, Fault, Place};

use crate::access::{Denied, UnknownWord};
use crate::ids::InvalidId;
use crate::list::{InvalidCursor, InvalidPage, UnknownSort};
use crate::name_pattern::InvalidPattern;

fn field(name: &str) -> Option<Place> {
    Some(Place {
        field: Some(name.to_owned()),
        ..Place::default()
    })
}

impl Explain for Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Role { .. } => "role-insufficient",
            Self::Scope { .. } => "scope-insufficient",
            Self::Skill { .. } => "skill-not-allowed",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Denied
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Role { .. } => "ask an administrator for another role".to_owned(),
            Self::Scope { needed } => format!("use a token that has the scope `{needed}`"),
            Self::Skill { .. } => "use a token that is made for this skill".to_owned(),
        })
    }
}

impl Explain for UnknownWord {
    fn code(&self) -> &'static str {
        if self.kind == "role" {
            "unknown-role"
        } else {
            "unknown-scope"
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        field(self.kind)
    }
}

impl Explain for InvalidPattern {
    fn code(&self) -> &'static str {
        "invalid-skill-pattern"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        field("skills")
    }
}

impl Explain for InvalidId {
    fn code(&self) -> &'static str {
        "invalid-id"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }
}

impl Explain for InvalidCursor {
    fn code(&self) -> &'static str {
        "invalid-cursor"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        field("cursor")
    }
}

impl Explain for InvalidPage {
    fn code(&self) -> &'static str {
        "invalid-page"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        field(match self {
            Self::Limit => "limit",
            Self::Offset => "offset",
        })
    }
}

impl Explain for UnknownSort {
    fn code(&self) -> &'static str {
        "unknown-sort"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn place(&self) -> Option<Place> {
        field("sort")
    }
}
