//! `skills probe`: asks a health page, for containers that hold no other HTTP client.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::cli::server::ProbeArgs;
use crate::context::Context;
use crate::failure::Failure;

/// `HTTP/1.1 200 ` and as much of the reason as a message has room for.
const STATUS_BYTES_MAX: u64 = 64;

pub fn run(args: &ProbeArgs, context: &Context) -> Result<(), Failure> {
    let timeout = Duration::from_secs(args.timeout);
    let (authority, path) = parts(&args.url)?;
    let status = ask(authority, path, timeout).map_err(|error| {
        Failure::failed("probe", format!("{} does not answer: {error}", args.url))
            .with_help("check that it runs, and that its health page is at this address")
    })?;
    let code = status.split(' ').nth(1).unwrap_or_default();
    if !code.starts_with('2') {
        return Err(Failure::failed(
            "unhealthy",
            format!("{} answers: {status}", args.url),
        ));
    }
    context.printer.line(&status);
    context
        .printer
        .document(&serde_json::json!({ "url": args.url, "status": status }));
    Ok(())
}

/// The authority with its port, and the path.
fn parts(url: &str) -> Result<(&str, &str), Failure> {
    let wrong = || {
        Failure::bad_input(
            "probe-url",
            format!("`{url}` is not the address of a health page"),
        )
        .with_help(
            "write it as in http://127.0.0.1:9100/readyz; only http:// and a port are understood",
        )
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if has_port && is_plain {
        Ok((authority, path))
    } else {
        Err(wrong())
    }
}

/// The status line of the answer.
fn ask(authority: &str, path: &str, timeout: Duration) -> std::io::Result<String> {
    let mut last = std::io::Error::other("its name has no address");
    for address in authority.to_socket_addrs()? {
        let answer = TcpStream::connect_timeout(&address, timeout).and_then(|mut stream| {
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
            )?;
            let mut start = Vec::new();
            stream.take(STATUS_BYTES_MAX).read_to_end(&mut start)?;
            let start = String::from_utf8_lossy(&start).into_owned();
            match start.lines().next() {
                Some(line) if line.starts_with("HTTP/1.") => Ok(line.to_owned()),
                _ => Err(std::io::Error::other("what it answers is not HTTP")),
            }
        });
        match answer {
            Ok(line) => return Ok(line),
            Err(error) => last = error,
        }
    }
    Err(last)
}
