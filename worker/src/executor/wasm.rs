//! The `wasm` runtime: wasmtime with settings under which a module and its inputs decide the result.
//!
//! Floats: NaNs are canonical, relaxed SIMD is the deterministic one. There are no threads, no shared memory, and none of the
//! later proposals (multi-memory, 64-bit memory, tail calls, exceptions, garbage collection). Fuel is counted in the code and
//! depends on the compiler's version, which is why [`wasm_class`] names it. The epoch serves the clock alone.
//!
//! Compiled modules are kept in memory and on disk under the hash of the module, of the compiler and of its settings.

use super::files::{Node, Quota, export};
use super::wasi::{Halt, HasWorld, World, link};
use super::{Cancel, Executor, ExitKind, Limit, LogSink, NoResult, Outcome, RunSpec, TrapKind, Usage, preflight};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use wasmtime::{
    Config, Engine, InstancePre, Linker, Module, OutOfMemory, ResourceLimiter, Store, Trap, UpdateDeadline,
    WasmFeatures,
};

/// The major version of wasmtime that this is built with.
pub(crate) const WASMTIME_MAJOR: u32 = 48;
/// How often a running program looks at the clock.
const EPOCH: Duration = Duration::from_millis(10);
/// Stack of compiled code, and of the thread that it runs on.
const WASM_STACK: usize = 1 << 20;
const THREAD_STACK: usize = 8 << 20;
/// Most entries of a table.
const TABLE_ENTRIES: usize = 1_000_000;
/// Modules kept compiled in memory.
const KEPT_MODULES: usize = 16;
/// Longest arguments and environment together, in bytes.
const WORDS_BYTES: usize = 1 << 20;

/// The class of this machine for the `wasm` runtime, such as `wasm-48-x86_64` (the class id of `gantry-matching`): machines
/// of a class give equal results, fuel included.
pub fn wasm_class() -> String {
    format!("wasm-{WASMTIME_MAJOR}-{}", std::env::consts::ARCH)
}

/// Runs WASI preview 1 commands. Cheap to clone; clones share their compiled modules.
#[derive(Clone)]
pub struct WasmExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    linker: Linker<State>,
    cache_dir: Option<PathBuf>,
    kept: Mutex<VecDeque<(ModuleHash, Module)>>,
}

type ModuleHash = [u8; 32];

/// What a store holds.
struct State {
    world: World,
    limiter: Limiter,
}

impl HasWorld for State {
    fn world(&mut self) -> &mut World {
        &mut self.world
    }
}

/// Bounds linear memory and tables.
struct Limiter {
    max_memory: usize,
    peak: usize,
    hit: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The module's own maximum is checked here too, so that a failure after this is the machine's.
        let granted = desired <= self.max_memory && maximum.is_none_or(|max| desired <= max);
        self.hit |= desired > self.max_memory;
        if granted {
            self.peak = self.peak.max(desired);
        }
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Halt::HostMemory(error.to_string()).into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.hit |= desired > TABLE_ENTRIES;
        Ok(desired <= TABLE_ENTRIES && maximum.is_none_or(|max| desired <= max))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Halt::HostMemory(error.to_string()).into())
    }
}

impl WasmExecutor {
    /// An executor that keeps compiled modules in `cache_dir` too, when there is one. The folder must be the worker's own:
    /// who can write to it can run code as the worker.
    ///
    /// # Errors
    /// [`NoResult::Host`] when the compiler or the folder cannot be set up.
    pub fn new(cache_dir: Option<PathBuf>) -> Result<Self, NoResult> {
        if let Some(dir) = &cache_dir {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|e| NoResult::Host(format!("{}: {e}", dir.display())))?;
        }
        let engine = Engine::new(&config()).map_err(host)?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(host)?;
        let ticking = engine.weak();
        thread::Builder::new()
            .name("wasm-epoch".into())
            .spawn(move || {
                while let Some(engine) = ticking.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    tick();
                }
            })
            .map_err(|e| NoResult::Host(e.to_string()))?;
        Ok(Self { shared: Arc::new(Shared { engine, linker, cache_dir, kept: Mutex::default() }) })
    }
}

#[async_trait::async_trait]
impl Executor for WasmExecutor {
    async fn run(&self, spec: RunSpec, log: Arc<dyn LogSink>, cancel: Cancel) -> Result<Outcome, NoResult> {
        let cancel = cancel.child_token();
        let _cancelled_when_dropped = cancel.clone().drop_guard();
        let (send, receive) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name("wasm-run".into())
            .stack_size(THREAD_STACK)
            .spawn(move || {
                // Nobody listens when the run was dropped.
                drop(send.send(shared.run(&spec, log, &cancel)));
            })
            .map_err(|e| NoResult::Host(e.to_string()))?;
        receive.await.unwrap_or_else(|_| Err(NoResult::Host("the run's thread panicked".into())))
    }
}

/// Waits for the next epoch.
#[expect(clippy::disallowed_methods, reason = "the epoch is nothing but time passing")]
fn tick() {
    thread::sleep(EPOCH);
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(WASM_STACK)
        .wasm_features(!WasmFeatures::empty(), false)
        .wasm_features(WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::RELAXED_SIMD, true)
        // Without it `externref` has no meaning, and nothing that is collected can exist.
        .wasm_features(WasmFeatures::GC_TYPES, false);
    config
}

fn host(error: wasmtime::Error) -> NoResult {
    NoResult::Host(format!("{error:#}"))
}

impl Shared {
    fn run(&self, spec: &RunSpec, log: Arc<dyn LogSink>, cancel: &Cancel) -> Result<Outcome, NoResult> {
        let started = Instant::now();
        let pre = self.prepare(&spec.program)?;
        let compile = started.elapsed();
        if cancel.is_cancelled() {
            return Err(NoResult::Cancelled);
        }

        let quota = Quota::new(spec.limits.output_bytes, spec.limits.output_files);
        let input = Node::input(&spec.input_dir, &quota)?;
        let output = Node::out(&quota);
        let (args, env) = words(spec)?;
        let world = World::new(args, env, input, Rc::clone(&output), spec.seed, log, spec.limits.log_bytes);
        let max_memory = usize::try_from(spec.limits.memory_bytes).unwrap_or(usize::MAX);
        let limiter = Limiter { max_memory, peak: 0, hit: false };

        let mut store = Store::new(&self.engine, State { world, limiter });
        store.limiter(|state| &mut state.limiter);
        store.set_fuel(spec.limits.fuel).map_err(host)?;
        let started = Instant::now();
        let (wall, cancelled) = (spec.limits.wall, cancel.clone());
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if cancelled.is_cancelled() {
                return Err(Halt::Cancelled.into());
            }
            if started.elapsed() >= wall {
                return Err(Halt::Timeout.into());
            }
            Ok(UpdateDeadline::Continue(1))
        });

        let ended = execute(&mut store, &pre);
        let wall = started.elapsed();
        let exit = match ended {
            Ok(()) => ExitKind::Exit(0),
            Err(error) => end(&error, spec, &store.data().limiter)?,
        };
        let left = if exit == ExitKind::OutOfFuel { 0 } else { store.get_fuel().map_err(host)? };
        let State { world, limiter } = store.into_data();
        let mut usage = Usage {
            fuel: spec.limits.fuel - left,
            peak_memory_bytes: limiter.peak as u64,
            wall,
            compile,
            output_bytes: 0,
            output_files: 0,
            log_bytes: world.log_kept,
            log_bytes_dropped: world.log_dropped,
            limits_hit: [
                (limiter.hit, Limit::Memory),
                (exit == ExitKind::OutOfFuel, Limit::Fuel),
                (quota.bytes_hit.get(), Limit::OutputBytes),
                (quota.nodes_hit.get(), Limit::OutputFiles),
                (world.log_dropped > 0, Limit::LogBytes),
                (world.open_files_hit, Limit::OpenFiles),
            ]
            .into_iter()
            .filter_map(|(hit, limit)| hit.then_some(limit))
            .collect(),
        };
        // Closes the program's files: what was deleted while open no longer counts.
        drop(world);
        usage.output_bytes = quota.bytes.get();
        usage.output_files = quota.nodes.get();
        export(&output, &spec.output_dir).map_err(|e| NoResult::Host(format!("{}: {e}", spec.output_dir.display())))?;
        Ok(Outcome { exit, usage })
    }

    /// The compiled and linked program.
    fn prepare(&self, program: &Path) -> Result<InstancePre<State>, NoResult> {
        let module = self.module(program)?;
        let start = module.get_export("_start").and_then(|export| export.func().cloned());
        if !start.is_some_and(|f| f.params().len() == 0 && f.results().len() == 0) {
            return Err(NoResult::InvalidModule(
                "no function _start without arguments and results: not a command".into(),
            ));
        }
        self.linker.instantiate_pre(&module).map_err(|e| NoResult::InvalidModule(format!("{e:#}")))
    }

    fn module(&self, program: &Path) -> Result<Module, NoResult> {
        let fail = |e: std::io::Error| NoResult::Host(format!("{}: {e}", program.display()));
        let mut bytes = Vec::new();
        let file = fs::File::open(program).map_err(fail)?;
        file.take(preflight::MODULE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > preflight::MODULE_BYTES {
            return Err(NoResult::InvalidModule(format!("more than {} bytes", preflight::MODULE_BYTES)));
        }
        let hash: ModuleHash = Sha256::digest(&bytes).into();
        if let Some(module) = self.kept(&hash) {
            return Ok(module);
        }
        let file = self.cache_dir.as_ref().map(|dir| dir.join(self.cache_name(&hash)));
        let module = match file.as_deref().and_then(|file| self.load(file)) {
            Some(module) => module,
            None => {
                preflight::check(&bytes)?;
                let module =
                    Module::from_binary(&self.engine, &bytes).map_err(|e| NoResult::InvalidModule(format!("{e:#}")))?;
                if let Some(file) = &file {
                    // A cache that cannot be written costs time at the next start and nothing else.
                    if let Err(error) = save(file, &module) {
                        tracing::warn!(%error, file = %file.display(), "a compiled module was not kept");
                    }
                }
                module
            }
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MODULES {
            kept.pop_front();
        }
        kept.push_back((hash, module.clone()));
        Ok(module)
    }

    fn kept(&self, hash: &ModuleHash) -> Option<Module> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(h, _)| h == hash)?;
        let entry = kept.remove(at)?;
        kept.push_back(entry.clone());
        Some(entry.1)
    }

    fn cache_name(&self, hash: &ModuleHash) -> String {
        let mut settings = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut settings);
        format!("{}-{:016x}.cwasm", hex::encode(hash), settings.finish())
    }

    fn load(&self, file: &Path) -> Option<Module> {
        let bytes = fs::read(file).ok()?;
        let (hash, code) = bytes.split_first_chunk::<32>()?;
        if Sha256::digest(code).as_slice() != hash {
            tracing::warn!(file = %file.display(), "a kept module is damaged; compiling again");
            return None;
        }
        // SAFETY: the file lies in a folder of the worker's own, was written by `save`, and is whole by its hash; wasmtime
        // itself refuses code of another version or of other settings.
        unsafe { Module::deserialize(&self.engine, code) }.ok()
    }
}

/// Writes a compiled module so that a reader sees all of it or nothing.
fn save(file: &Path, module: &Module) -> anyhow::Result<()> {
    let code = module.serialize().map_err(|e| anyhow::anyhow!("{e:#}"))?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut draft, &Sha256::digest(&code))?;
    std::io::Write::write_all(&mut draft, &code)?;
    draft.persist(file)?;
    Ok(())
}

/// Arguments and environment as the program gets them.
fn words(spec: &RunSpec) -> Result<(Vec<String>, Vec<String>), NoResult> {
    let bad = |text: &str| Err(NoResult::InvalidSpec(text.into()));
    if spec.env.iter().any(|(name, _)| name.is_empty() || name.contains('=')) {
        return bad("a variable's name is empty or has an equals sign");
    }
    let args: Vec<String> = std::iter::once("job".to_owned()).chain(spec.args.iter().cloned()).collect();
    let env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let all = || args.iter().chain(&env);
    if all().any(|word| word.contains('\0')) {
        return bad("an argument or variable has a zero byte");
    }
    if all().map(|word| word.len() + 1).sum::<usize>() > WORDS_BYTES {
        return bad("arguments and variables are too long");
    }
    Ok((args, env))
}

fn execute(store: &mut Store<State>, pre: &InstancePre<State>) -> wasmtime::Result<()> {
    let instance = pre.instantiate(&mut *store)?;
    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
}

/// What an error of the engine says about the run.
fn end(error: &wasmtime::Error, spec: &RunSpec, limiter: &Limiter) -> Result<ExitKind, NoResult> {
    if let Some(halt) = error.downcast_ref::<Halt>() {
        return match halt.clone() {
            Halt::Exit(code) => Ok(ExitKind::Exit(code)),
            Halt::Host(text) => Err(NoResult::Host(text)),
            Halt::HostMemory(text) => Err(NoResult::HostMemory(text)),
            Halt::Timeout => Err(NoResult::Timeout(spec.limits.wall)),
            Halt::Cancelled => Err(NoResult::Cancelled),
        };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let kind = match trap {
            Trap::OutOfFuel => return Ok(ExitKind::OutOfFuel),
            Trap::StackOverflow => return Err(NoResult::StackOverflow),
            Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
            Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
            Trap::IndirectCallToNull => TrapKind::IndirectCallToNull,
            Trap::BadSignature => TrapKind::BadSignature,
            Trap::IntegerOverflow => TrapKind::IntegerOverflow,
            Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
            Trap::BadConversionToInteger => TrapKind::BadConversion,
            Trap::UnreachableCodeReached => TrapKind::Unreachable,
            Trap::NullReference => TrapKind::NullReference,
            other => return Err(NoResult::Host(other.to_string())),
        };
        return Ok(ExitKind::Trap(kind));
    }
    let text = format!("{error:#}");
    if error.downcast_ref::<OutOfMemory>().is_some() {
        return Err(NoResult::HostMemory(text));
    }
    // What is left is instantiation: a module that begins with more than the job may use, or a machine without memory.
    if limiter.hit {
        return Err(NoResult::InvalidModule(text));
    }
    Err(NoResult::HostMemory(text))
}
