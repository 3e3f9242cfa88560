//! Modules as they are run: each test brings its own in WebAssembly's text form.

mod containment;
mod loading;
mod runs;
mod support;
