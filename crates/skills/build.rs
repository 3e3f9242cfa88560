//! Links the program so that it starts fast. At fixed addresses: a position-independent one has 60,000
//! pointers to relocate at every start, which took longer, and touched more memory, than what most
//! commands do. With the C++ library inside, which libzmq needs: as a shared one it cost every start 1 ms
//! and 2 MB. Stack, heap and shared libraries stay at random addresses.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of_target = |name: &str| std::env::var(name).unwrap_or_default();
    let is_linux_gnu =
        of_target("CARGO_CFG_TARGET_OS") == "linux" && of_target("CARGO_CFG_TARGET_ENV") == "gnu";
    if !is_linux_gnu {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let is_native = of_target("HOST") == of_target("TARGET");
    let out = PathBuf::from(of_target("OUT_DIR"));
    if is_native && let Some(archive) = cpp_library() {
        // The linker takes the first folder that has a library of this name, of whichever kind.
        let folder = out.join("static");
        let link = folder.join("libstdc++.a");
        let made = std::fs::create_dir_all(&folder).and_then(|()| {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&archive, &link)
        });
        match made {
            Ok(()) => println!("cargo::rustc-link-search=native={}", folder.display()),
            Err(error) => println!("cargo::warning={}: {error}", link.display()),
        }
    }
}

/// The C++ library as an archive; none where only a shared one is installed.
fn cpp_library() -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=CXX");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output = Command::new(compiler)
        .arg("-print-file-name=libstdc++.a")
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    // A name that is not found comes back as it was given.
    let path = Path::new(path.trim());
    (path.is_absolute() && path.is_file()).then(|| path.to_owned())
}
