//! `permissions`: which network, paths and environment variables the skill's scripts ask for.

use crate::fields::{Fields, Located, Remarks, text_of};
use crate::manifest::{EnvironmentVariable, NetworkPermission, Permissions};
use crate::yaml::{Entry, Mapping, Node, Value};

use super::missing;

pub(super) fn read(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Located<Permissions> {
    let Some(mapping) = fields.mapping("permissions", remarks) else {
        return Located::default();
    };
    let line = fields.line_of("permissions").unwrap_or_default();
    let mut fields = Fields::new(mapping, "permissions");
    let value = Permissions {
        network: network(&mut fields, remarks),
        read: paths(&mut fields, "read", remarks),
        write: paths(&mut fields, "write", remarks),
        environment: environment(&mut fields, remarks),
    };
    fields.warn_of_unknown(remarks);
    Located { value, line }
}

/// `none`, `all`, a list of hosts, or a map with the list under `hosts`.
fn network(fields: &mut Fields<'_>, remarks: &mut Remarks) -> NetworkPermission {
    let Some(entry) = fields.entry("network", remarks) else {
        return NetworkPermission::None;
    };
    let path = "permissions.network";
    let hosts = match &entry.value.value {
        Value::Scalar(scalar) => match (scalar.text.trim(), scalar.as_bool()) {
            ("none", _) | (_, Some(false)) => return NetworkPermission::None,
            ("all", _) | (_, Some(true)) => return NetworkPermission::All,
            (host, _) if host.contains('.') => vec![host.to_owned()],
            _ => {
                remarks.wrong_kind(&entry.value, path, "`none`, `all` or a list of hosts");
                return NetworkPermission::None;
            }
        },
        Value::Sequence(items) => texts(items, path, remarks),
        Value::Mapping(mapping) => {
            let mut fields = Fields::new(mapping, path);
            let hosts = fields.texts("hosts", remarks);
            fields.warn_of_unknown(remarks);
            hosts.into_iter().map(|host| host.value).collect()
        }
    };
    if hosts.is_empty() {
        NetworkPermission::None
    } else {
        NetworkPermission::Hosts(hosts)
    }
}

fn texts(items: &[Node], path: &str, remarks: &mut Remarks) -> Vec<String> {
    let texts = items.iter().filter_map(|item| text_of(item, path, remarks));
    texts
        .map(|text| text.value)
        .filter(|text| !text.is_empty())
        .collect()
}

fn paths(fields: &mut Fields<'_>, key: &'static str, remarks: &mut Remarks) -> Vec<String> {
    let paths = fields.texts(key, remarks);
    paths.into_iter().map(|path| path.value).collect()
}

/// A list of names or maps, or a map of maps by name. A plain name is required and not secret.
fn environment(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Vec<EnvironmentVariable> {
    let Some(entry) = fields.entry("environment", remarks) else {
        return Vec::new();
    };
    let path = "permissions.environment";
    let variables: Vec<Option<EnvironmentVariable>> = match &entry.value.value {
        Value::Sequence(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(i, item)| listed(item, &format!("{path}[{i}]"), remarks))
                .collect()
        }
        Value::Mapping(mapping) => {
            let entries = mapping.entries.iter();
            entries.map(|entry| keyed(entry, path, remarks)).collect()
        }
        Value::Scalar(_) => {
            remarks.wrong_kind(&entry.value, path, "a list of variables");
            Vec::new()
        }
    };
    variables.into_iter().flatten().collect()
}

fn listed(item: &Node, path: &str, remarks: &mut Remarks) -> Option<EnvironmentVariable> {
    match &item.value {
        Value::Mapping(mapping) => {
            let mut fields = Fields::new(mapping, path);
            let Some(name) = fields.text("name", remarks) else {
                remarks.push(missing(path, "name", item.line));
                return None;
            };
            Some(variable(name.value, fields, remarks))
        }
        _ => text_of(item, path, remarks).map(|name| plain(name.value)),
    }
}

fn keyed(entry: &Entry, path: &str, remarks: &mut Remarks) -> Option<EnvironmentVariable> {
    let path = format!("{path}.{}", entry.key);
    match &entry.value.value {
        Value::Mapping(mapping) => Some(attributes(entry.key.clone(), mapping, &path, remarks)),
        _ if entry.value.is_null() => Some(plain(entry.key.clone())),
        _ => {
            remarks.wrong_kind(&entry.value, &path, "a map");
            None
        }
    }
}

fn attributes(
    name: String,
    mapping: &Mapping,
    path: &str,
    remarks: &mut Remarks,
) -> EnvironmentVariable {
    variable(name, Fields::new(mapping, path), remarks)
}

fn variable(name: String, mut fields: Fields<'_>, remarks: &mut Remarks) -> EnvironmentVariable {
    let variable = EnvironmentVariable {
        name,
        required: fields.boolean("required", remarks).unwrap_or(true),
        secret: fields.boolean("secret", remarks).unwrap_or(false),
        description: fields.text("description", remarks).map(|text| text.value),
    };
    fields.warn_of_unknown(remarks);
    variable
}

fn plain(name: String) -> EnvironmentVariable {
    EnvironmentVariable {
        name,
        required: true,
        secret: false,
        description: None,
    }
}
