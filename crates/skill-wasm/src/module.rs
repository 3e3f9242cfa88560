//! A compiled module, and its runs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use skill_format::{Explain, Fault, Place};
use wasmi::{
    CompilationMode, Config, Engine, Error, ExternType, Instance, Linker, ResumableCall, Store,
    TrapCode,
};

use crate::job::{Ended, Job, Limits, Outcome, World};
use crate::stop::Stop;
use crate::wasi::{self, Halt, Host};

/// Largest module that is loaded. A whole Python is 30 MB.
pub const MODULE_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Fuel between two looks at the clock: some milliseconds of computing.
const SLICE: u64 = 1_000_000;
/// Calls in calls; compiled programs overflow their own stack earlier.
const RECURSION_MAX: usize = 32 * 1024;
const STACK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How every module and every component begins.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a component.
const COMPONENT: &[u8] = b"\x0d\0\x01\0";

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error("the module {} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the module {} is larger than {max} bytes", path.display())]
    TooLarge { path: PathBuf, max: u64 },
    #[error("{} is no WebAssembly module that can be run: {why}", path.display())]
    Invalid { path: PathBuf, why: String },
    #[error("the module {} {why}", path.display())]
    NotACommand { path: PathBuf, why: String },
}

impl Explain for ModuleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "module-unreadable",
            Self::TooLarge { .. } => "module-too-large",
            Self::Invalid { .. } => "module-invalid",
            Self::NotACommand { .. } => "module-not-a-command",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Unreadable { .. } => Fault::Unavailable,
            Self::TooLarge { .. } | Self::Invalid { .. } | Self::NotACommand { .. } => {
                Fault::BadInput
            }
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Unreadable { .. } => "see whether it exists and may be read",
            Self::TooLarge { .. } => "build it optimised and without debug information",
            Self::Invalid { .. } | Self::NotACommand { .. } => {
                "build a command for WASI preview 1, as with `cargo build --target wasm32-wasip1`"
            }
        };
        Some(help.to_owned())
    }

    fn place(&self) -> Option<Place> {
        let (Self::Unreadable { path, .. }
        | Self::TooLarge { path, .. }
        | Self::Invalid { path, .. }
        | Self::NotACommand { path, .. }) = self;
        Some(Place {
            file: Some(path.display().to_string()),
            ..Place::default()
        })
    }
}

/// A module that was checked and compiled, for any number of runs, also at the same time.
pub struct Module {
    // The engine keeps compiled code as long as it lives, so each module has its own.
    engine: Engine,
    module: wasmi::Module,
    linker: Linker<Host>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").finish_non_exhaustive()
    }
}

impl Module {
    /// Reads and compiles it, and makes an instance once to see that it can be made under these limits.
    ///
    /// # Errors
    /// See [`ModuleError`].
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, ModuleError> {
        let bytes = read(path)?;
        // The bytes are anybody's: an error in the compiler must cost no more than this module.
        let compiled = catch_unwind(AssertUnwindSafe(|| Self::compile(path, &bytes, limits)));
        compiled.unwrap_or_else(|_| Err(invalid(path, "the compiler failed over it")))
    }

    fn compile(path: &Path, bytes: &[u8], limits: &Limits) -> Result<Self, ModuleError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(invalid(path, "it does not begin as one"));
        };
        if rest.starts_with(COMPONENT) {
            return Err(invalid(
                path,
                "it is a component, of WASI preview 2 or later",
            ));
        }
        let engine = Engine::new(&config());
        let module = wasmi::Module::new(&engine, bytes)
            .map_err(|error| invalid(path, &error.to_string()))?;
        check_command(path, &module)?;
        let linker = wasi::linker(&engine).map_err(|error| invalid(path, &error.to_string()))?;
        let compiled = Self {
            engine,
            module,
            linker,
        };
        compiled.try_instance(path, limits)?;
        Ok(compiled)
    }

    fn try_instance(&self, path: &Path, limits: &Limits) -> Result<(), ModuleError> {
        let nothing = World {
            wall_clock: std::sync::Arc::new(|| Duration::ZERO),
            random: std::sync::Arc::new(|_| {}),
        };
        let mut job = Job::new(nothing);
        job.limits = limits.clone();
        let mut store = self.store(job, &Stop::new(), Instant::now());
        match self.instance(&mut store) {
            Ok(_) => Ok(()),
            Err(_) if store.data().limiter.was_refused => {
                let mib = limits.memory_bytes / 1024 / 1024;
                let why = format!("begins with more than {mib} MiB of memory, or too large tables");
                Err(not_a_command(path, why))
            }
            Err(error) => Err(invalid(path, &error.to_string())),
        }
    }

    /// Runs it to its end, on this thread.
    pub fn run(&self, job: Job, stop: &Stop) -> Outcome {
        let started = Instant::now();
        let mut store = self.store(job, stop, started);
        let ended = self
            .execute(&mut store)
            .unwrap_or_else(|error| ended_by(error, store.data().limiter.was_refused));
        let (stdout, stderr) = store.into_data().into_output();
        Outcome {
            ended,
            stdout,
            stderr,
            duration: started.elapsed(),
        }
    }

    fn store(&self, job: Job, stop: &Stop, started: Instant) -> Store<Host> {
        let mut store = Store::new(&self.engine, Host::new(job, stop.clone(), started));
        store.limiter(|host| &mut host.limiter);
        store
    }

    fn instance(&self, store: &mut Store<Host>) -> Result<Instance, Error> {
        // Copying the module's data into its memory costs fuel, too.
        store.set_fuel(u64::MAX)?;
        let instance = self
            .linker
            .instantiate_and_start(&mut *store, &self.module)?;
        let memory = instance.get_memory(&*store, "memory");
        store.data_mut().memory = memory;
        Ok(instance)
    }

    fn execute(&self, store: &mut Store<Host>) -> Result<Ended, Error> {
        let instance = self.instance(store)?;
        let Some(start) = instance.get_func(&*store, "_start") else {
            return Err(Error::new("there is no `_start`"));
        };
        store.set_fuel(SLICE)?;
        let mut call = start.call_resumable(&mut *store, &[], &mut [])?;
        loop {
            match call {
                ResumableCall::Finished => return Ok(Ended::Exited(0)),
                ResumableCall::HostTrap(trap) => return Err(trap.into_host_error()),
                ResumableCall::OutOfFuel(paused) => {
                    store.data().look_up().map_err(Error::host)?;
                    store.set_fuel(SLICE.max(paused.required_fuel()))?;
                    call = paused.resume(&mut *store, &mut [])?;
                }
            }
        }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // When it is loaded, not when it is asked for.
        .compilation_mode(CompilationMode::Eager)
        // It would run before there is anybody to end it; commands have `_start`.
        .allow_start_fn(false)
        .ignore_custom_sections(true)
        .wasm_multi_memory(false)
        .set_max_recursion_depth(RECURSION_MAX)
        .set_max_stack_height(STACK_BYTES_MAX);
    config
}

fn read(path: &Path) -> Result<Vec<u8>, ModuleError> {
    let unreadable = |source| ModuleError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MODULE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(ModuleError::TooLarge {
            path: path.to_owned(),
            max: MODULE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

/// It exports what a command has, and imports what WASI has.
fn check_command(path: &Path, module: &wasmi::Module) -> Result<(), ModuleError> {
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        if from != wasi::PREVIEW_1 {
            let why = format!("imports `{name}` from `{from}`, which is not WASI preview 1");
            return Err(not_a_command(path, why));
        }
    }
    match module.get_export("_start") {
        Some(ExternType::Func(start))
            if start.params().is_empty() && start.results().is_empty() => {}
        Some(_) => {
            let why = "has a `_start` that is no function without parameters and results";
            return Err(not_a_command(path, why.to_owned()));
        }
        None => {
            let why = "exports no `_start`: it is a library and no command";
            return Err(not_a_command(path, why.to_owned()));
        }
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(not_a_command(path, "exports no `memory`".to_owned()));
    }
    Ok(())
}

fn invalid(path: &Path, why: &str) -> ModuleError {
    ModuleError::Invalid {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn not_a_command(path: &Path, why: String) -> ModuleError {
    ModuleError::NotACommand {
        path: path.to_owned(),
        why,
    }
}

fn ended_by(error: Error, was_refused_memory: bool) -> Ended {
    if let Some(halt) = error.downcast_ref::<Halt>() {
        return match halt {
            Halt::Exit(code) => Ended::Exited(*code),
            Halt::OutputLimit => Ended::OutputLimit,
            Halt::TimedOut => Ended::TimedOut,
            Halt::Stopped => Ended::Stopped,
            Halt::Raised => Ended::Trapped("it raised a signal against itself".to_owned()),
        };
    }
    match error.as_trap_code() {
        // That is how compiled programs answer to memory that they do not get.
        Some(TrapCode::UnreachableCodeReached) if was_refused_memory => Ended::MemoryLimit,
        Some(TrapCode::GrowthOperationLimited | TrapCode::OutOfSystemMemory) => Ended::MemoryLimit,
        Some(code) => Ended::Trapped(code.trap_message().to_owned()),
        None => Ended::Trapped(error.to_string()),
    }
}
