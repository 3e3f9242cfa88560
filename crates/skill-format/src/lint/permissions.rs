//! Permissions that are wider than anyone should grant, or cannot mean what they say.

use crate::diagnostic::Diagnostic;
use crate::manifest::{EnvironmentVariable, NetworkPermission};

use super::{Report, Subject};

/// Variables that change which code runs, not what it works on.
const STEERING: [&str; 12] = [
    "BASH_ENV",
    "DYLD_INSERT_LIBRARIES",
    "ENV",
    "IFS",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PATH",
    "PERL5OPT",
    "PYTHONPATH",
    "RUBYOPT",
];

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(yaml) = subject.yaml else { return };
    let line = yaml.permissions.line;
    let permissions = &yaml.permissions.value;
    let mut remarks = Vec::new();
    check_network(&permissions.network, &mut remarks);
    for path in &permissions.read {
        check_path("read", path, &mut remarks);
    }
    for path in &permissions.write {
        check_path("write", path, &mut remarks);
    }
    for variable in &permissions.environment {
        check_variable(variable, &mut remarks);
    }
    for remark in remarks {
        report.yaml(remark.line(line));
    }
}

fn check_network(network: &NetworkPermission, remarks: &mut Vec<Diagnostic>) {
    let field = "permissions.network";
    match network {
        NetworkPermission::None => {}
        NetworkPermission::All => remarks.push(
            Diagnostic::warning(
                "permission-network-all",
                "the skill asks for the whole network",
            )
            .field(field)
            .help("list the hosts that it needs"),
        ),
        NetworkPermission::Hosts(hosts) => {
            for host in hosts {
                remarks.extend(check_host(host).map(|remark| remark.field(field)));
            }
        }
    }
}

fn check_host(host: &str) -> Option<Diagnostic> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        edges
            && !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name == "*" {
        return Some(
            Diagnostic::warning(
                "permission-network-all",
                "the skill asks for the whole network",
            )
            .help("list the hosts that it needs"),
        );
    }
    if !port_fits || !plain.split('.').all(is_label) {
        let message = format!("`{host}` is no host name");
        let help = "write `api.example.com`, `*.example.com` or `api.example.com:8443`, without scheme and path";
        return Some(Diagnostic::error("permission-host-malformed", message).help(help));
    }
    if name.starts_with("*.") && !plain.contains('.') {
        let message = format!("`{host}` covers a whole top-level domain");
        return Some(
            Diagnostic::warning("permission-host-wide", message)
                .help("list the hosts that it needs"),
        );
    }
    is_local(plain).then(|| {
        let message = format!(
            "`{host}` is this machine or its network, where other people's services listen"
        );
        Diagnostic::warning("permission-host-local", message)
    })
}

fn is_local(host: &str) -> bool {
    let local_name = host == "localhost"
        || [".localhost", ".local", ".internal"]
            .iter()
            .any(|end| host.ends_with(end));
    let local_address = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| {
        address.is_loopback()
            || address.is_private()
            || address.is_link_local()
            || address.is_unspecified()
    });
    local_name || local_address
}

fn check_path(kind: &str, path: &str, remarks: &mut Vec<Diagnostic>) {
    let field = format!("permissions.{kind}");
    let is_drive = path.as_bytes().get(1) == Some(&b':');
    let outside = path.starts_with(['/', '~', '$'])
        || is_drive
        || path.contains('\\')
        || path.split('/').any(|part| part == "..");
    let everything = path
        .split('/')
        .all(|part| matches!(part, "" | "." | "*" | "**"));
    if outside {
        let message = format!("the path `{path}` leads out of the folder that the agent works in");
        remarks.push(
            Diagnostic::error("permission-path-outside", message)
                .field(field)
                .help("write a path relative to that folder, with `/`"),
        );
    } else if everything {
        let message =
            format!("`{path}` asks to {kind} everything in the folder that the agent works in");
        remarks.push(
            Diagnostic::warning("permission-path-everything", message)
                .field(field)
                .help("name the files or folders that the skill needs"),
        );
    }
}

fn check_variable(variable: &EnvironmentVariable, remarks: &mut Vec<Diagnostic>) {
    let name = variable.name.as_str();
    let field = format!("permissions.environment.{name}");
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let upper = name.to_ascii_uppercase();
    if !is_name {
        let message = format!("`{name}` is no name of an environment variable");
        remarks.push(Diagnostic::error("permission-environment-name", message).field(field));
    } else if STEERING.contains(&upper.as_str()) {
        let message = format!("`{name}` decides which code runs");
        remarks.push(
            Diagnostic::warning("permission-environment-steering", message)
                .field(field)
                .help("a skill should not ask for it"),
        );
    } else if !variable.secret && looks_secret(&upper) {
        let message = format!("`{name}` looks like a secret, but is not marked as one");
        remarks.push(
            Diagnostic::warning("permission-secret-unmarked", message)
                .field(field)
                .help("add `secret: true`, so that its value is never shown"),
        );
    }
}

fn looks_secret(name: &str) -> bool {
    const WORDS: [&str; 7] = [
        "KEY",
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIALS",
    ];
    name.split('_')
        .any(|word| WORDS.contains(&word) || word == "APIKEY")
}
