//! Links the program so that it starts fast: at fixed addresses. A position-independent one has 60,000
//! pointers to relocate at every start, which took longer, and touched more memory, than what most
//! commands do. Stack, heap and shared libraries stay at random addresses.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of_target = |name: &str| std::env::var(name).unwrap_or_default();
    if of_target("CARGO_CFG_TARGET_OS") == "linux" && of_target("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
