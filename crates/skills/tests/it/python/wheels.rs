//! Wheels, and an index that never answers.

use std::fs;
use std::io::{Cursor, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::Sandbox;

/// A folder of wheels, and which installer unpacks them.
pub struct Packages<'a> {
    sandbox: &'a Sandbox,
    path: String,
}

impl<'a> Packages<'a> {
    /// With pip: there is no `uv` on the PATH.
    pub fn by_pip(sandbox: &'a Sandbox) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).filter(|folder| !folder.join("uv").exists());
        let path = std::env::join_paths(folders).expect("a PATH");
        Self::new(sandbox, path.into_string().expect("UTF-8"))
    }

    /// With the real `uv`.
    pub fn by_uv(sandbox: &'a Sandbox) -> Self {
        // Alone: beside it there may be an interpreter.
        let folder = sandbox.home().join("tools");
        fs::create_dir_all(&folder).expect("a folder");
        std::os::unix::fs::symlink(uv(), folder.join("uv")).expect("a link");
        let folder = folder.display();
        Self::new(sandbox, format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
    }

    fn new(sandbox: &'a Sandbox, path: String) -> Self {
        let packages = Self { sandbox, path };
        fs::create_dir_all(packages.folder()).expect("a folder");
        packages
    }

    fn folder(&self) -> PathBuf {
        self.sandbox.home().join("wheels")
    }

    /// A package with one module of its name.
    pub fn add(&self, name: &str, version: &str, module: &str) {
        self.add_files(name, version, &[(&format!("{name}.py"), module)]);
    }

    /// A package with these files, as PEP 427 lays them out.
    pub fn add_files(&self, name: &str, version: &str, files: &[(&str, &str)]) {
        let info = format!("{name}-{version}.dist-info");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        let wheel =
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let scripts = format!("[console_scripts]\n{name}-tool = {name}:main\n");
        let mut all: Vec<(String, String)> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        all.push((format!("{info}/METADATA"), metadata));
        all.push((format!("{info}/WHEEL"), wheel.to_owned()));
        all.push((format!("{info}/entry_points.txt"), scripts));
        let mut record: String = all.iter().map(|(path, _)| format!("{path},,\n")).collect();
        record.push_str(&format!("{info}/RECORD,,\n"));
        all.push((format!("{info}/RECORD"), record));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, text) in all {
            zip.start_file(path, SimpleFileOptions::default())
                .expect("an entry");
            zip.write_all(text.as_bytes()).expect("written");
        }
        let bytes = zip.finish().expect("a zip file").into_inner();
        let path = self
            .folder()
            .join(format!("{name}-{version}-py3-none-any.whl"));
        fs::write(path, bytes).expect("written");
    }

    /// Has a command find these packages and no others.
    pub fn offer(&self, command: &mut Command) {
        command
            .env("PATH", &self.path)
            .env("PIP_FIND_LINKS", self.folder())
            .env("PIP_NO_INDEX", "1")
            .env("PIP_NO_CACHE_DIR", "1")
            .env("SECRET_OF_THE_INDEX", "not for skills");
    }

    /// Has a command ask an index that takes connections and says nothing.
    pub fn stall(&self, command: &mut Command) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        command
            .env("PATH", &self.path)
            .env(
                "PIP_INDEX_URL",
                format!("http://me:hush@127.0.0.1:{port}/simple"),
            )
            .env("PIP_DEFAULT_TIMEOUT", "600");
        listener
    }

    /// Whole environments that there are.
    pub fn environments(&self) -> Vec<String> {
        let mut names = self.entries();
        names.retain(|name| name.len() == 64);
        names
    }

    /// What is being made, or was left.
    pub fn unfinished(&self) -> usize {
        let is_unfinished = |name: &String| name.starts_with(".building-");
        self.entries()
            .iter()
            .filter(|name| is_unfinished(name))
            .count()
    }

    fn entries(&self) -> Vec<String> {
        let folder = self.sandbox.home().join(".skills/.cache/python");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

fn uv() -> PathBuf {
    if let Some(program) = std::env::var_os("TEST_UV") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("uv"))
        .find(|program| program.is_file())
        .expect("no uv: `cargo xtask services` installs one and names it in TEST_UV")
}

/// A script that asks for packages in its block.
pub fn script(requirements: &[&str], code: &str) -> String {
    let list: Vec<String> = requirements.iter().map(|one| format!("{one:?}")).collect();
    let list = list.join(", ");
    format!("# /// script\n# dependencies = [{list}]\n# ///\n{code}\n")
}
