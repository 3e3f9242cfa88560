//! YAML as JSON, for the parts of a file that are JSON by nature, such as a JSON Schema.

use serde_json::{Map, Number, Value as Json};

use super::{Node, Scalar, Value};

impl Node {
    /// The JSON that the YAML 1.2 core schema gives for the value.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::Sequence(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Mapping(mapping) => {
                let entries = mapping.entries.iter();
                let pairs = entries.map(|entry| (entry.key.clone(), entry.value.to_json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

impl Node {
    /// JSON in which a number stays the text that was written: `1.10` does not become 1.1.
    pub fn to_text_json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => match scalar.to_json() {
                Json::Number(_) => Json::String(scalar.text.clone()),
                other => other,
            },
            Value::Sequence(items) => Json::Array(items.iter().map(Self::to_text_json).collect()),
            Value::Mapping(mapping) => {
                let entries = mapping.entries.iter();
                let pairs = entries.map(|entry| (entry.key.clone(), entry.value.to_text_json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

impl Scalar {
    /// The type that the YAML 1.2 core schema (section 10.3.2) gives a plain scalar.
    fn to_json(&self) -> Json {
        if self.is_null() {
            return Json::Null;
        }
        if let Some(boolean) = self.as_bool() {
            return Json::Bool(boolean);
        }
        let number = self.plain.then(|| number(&self.text)).flatten();
        number.map_or_else(|| Json::String(self.text.clone()), Json::Number)
    }
}

fn number(text: &str) -> Option<Number> {
    // `parse::<f64>` would take `inf`, `nan` and `infinity` too, which JSON does not have.
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
    {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    Number::from_f64(text.parse().ok()?)
}
