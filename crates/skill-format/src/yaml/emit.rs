//! A tree as YAML in block style.

use super::{Mapping, Node, Scalar, Value, quote};

/// Writes the entries of `mapping`, one or more lines each, indented by `indent` spaces.
pub(crate) fn emit(mapping: &Mapping, indent: usize) -> String {
    let mut output = String::new();
    write_mapping(&mut output, mapping, indent);
    output
}

fn write_mapping(output: &mut String, mapping: &Mapping, indent: usize) {
    for entry in &mapping.entries {
        output.push_str(&" ".repeat(indent));
        output.push_str(&quote(&entry.key));
        output.push(':');
        write_value(output, &entry.value, indent);
    }
}

/// Writes what follows a colon or a hyphen, with the line's end.
fn write_value(output: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => output.push('\n'),
        Value::Scalar(scalar) => {
            output.push(' ');
            output.push_str(&scalar_text(scalar));
            output.push('\n');
        }
        Value::Sequence(items) if items.is_empty() => output.push_str(" []\n"),
        Value::Sequence(items) => {
            output.push('\n');
            for item in items {
                output.push_str(&" ".repeat(indent + 2));
                output.push('-');
                write_value(output, item, indent + 2);
            }
        }
        Value::Mapping(mapping) if mapping.entries.is_empty() => output.push_str(" {}\n"),
        Value::Mapping(mapping) => {
            output.push('\n');
            write_mapping(output, mapping, indent + 2);
        }
    }
}

/// Numbers and booleans keep their type, which quotes would take from them.
fn scalar_text(scalar: &Scalar) -> String {
    let json = Node {
        line: 0,
        value: Value::Scalar(scalar.clone()),
    };
    match json.to_json() {
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => scalar.text.clone(),
        _ => quote(&scalar.text),
    }
}
