//! Every way in which a program can fare badly, and what then holds it in.

use super::*;
use crate::result::{Binding, OutputHashes, hash_output};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// A machine-readable record of a program's log.
#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl LogSink for Log {
    fn write(&self, _: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

/// A job in a folder of its own.
struct Job {
    _dir: tempfile::TempDir,
    spec: RunSpec,
}

const MIB: u64 = 1 << 20;

impl Job {
    fn new(module: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("module"), module).unwrap();
        fs::create_dir(path("in")).unwrap();
        let spec = RunSpec {
            program: path("module"),
            args: Vec::new(),
            env: Vec::new(),
            input_dir: path("in"),
            output_dir: path("out"),
            limits: Limits {
                memory_bytes: 16 * MIB,
                fuel: 1 << 40,
                wall: Duration::from_secs(60),
                output_bytes: MIB,
                output_files: 100,
                log_bytes: 64 << 10,
            },
            seed: Seed { job: 1, attempt: 1 },
        };
        Self { _dir: dir, spec }
    }

    /// A command from text: `body` beside the imports and two pages of memory.
    fn wat(body: &str) -> Self {
        Self::new(&wat::parse_str(command(body)).unwrap())
    }

    /// A command whose whole program is `code`.
    fn code(code: &str) -> Self {
        Self::wat(&format!(r#"(func (export "_start") {code})"#))
    }

    fn limit(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.spec.limits);
        self
    }

    async fn run_on(&self, executor: &WasmExecutor) -> Result<(Outcome, String), NoResult> {
        let log = Arc::new(Log::default());
        let out = &self.spec.output_dir;
        if out.exists() {
            fs::remove_dir_all(out).unwrap();
        }
        fs::create_dir(out).unwrap();
        let outcome = executor.run(self.spec.clone(), Arc::clone(&log) as _, Cancel::new()).await?;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        Ok((outcome, log))
    }

    async fn run(&self) -> Result<Outcome, NoResult> {
        self.run_on(&executor()).await.map(|(outcome, _)| outcome)
    }

    async fn exit(&self) -> ExitKind {
        self.run().await.unwrap().exit
    }

    fn out(&self, name: &str) -> Vec<u8> {
        fs::read(self.spec.output_dir.join(name)).unwrap()
    }

    fn put_in(&self, name: &str, content: &[u8]) {
        let path = self.spec.input_dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn executor() -> WasmExecutor {
    WasmExecutor::new(None).unwrap()
}

/// Names and parameters of the functions of preview 1, as the specification has them (`I` is 64 bits).
const WASI: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Every import, two pages of memory, and `$open`: opens a file of `/out` for writing, by name, and gives its descriptor.
fn command(body: &str) -> String {
    let mut imports = String::new();
    for (name, parameters) in WASI {
        let parameters: Vec<_> = parameters.chars().map(|c| if c == 'I' { "i64" } else { "i32" }).collect();
        writeln!(
            imports,
            r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {}) (result i32)))"#,
            parameters.join(" ")
        )
        .unwrap();
    }
    format!(
        r#"(module {imports}
        (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
        (memory (export "memory") 2)
        (global $fd (mut i32) (i32.const 0))
        ;; 65000: an address and a length for one read or write; 65100: what a call gives back; 65200: names
        (data (i32.const 65200) "out.bin")
        (func $exit_on (param $errno i32)
            (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
        (func $open
            (call $exit_on (call $path_open (i32.const 4) (i32.const 0) (i32.const 65200) (i32.const 7)
                (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 65100)))
            (global.set $fd (i32.load (i32.const 65100))))
        (func $send (param $at i32) (param $length i32)
            (i32.store (i32.const 65000) (local.get $at))
            (i32.store (i32.const 65004) (local.get $length))
            (call $exit_on (call $fd_write (global.get $fd) (i32.const 65000) (i32.const 1) (i32.const 65100))))
        {body})"#
    )
}

#[tokio::test]
async fn a_program_that_returns_or_exits_has_its_code() {
    assert_eq!(Job::code("").exit().await, ExitKind::Exit(0));
    assert_eq!(Job::code("(call $proc_exit (i32.const 7))").exit().await, ExitKind::Exit(7));
    assert_eq!(Job::code("(call $proc_exit (i32.const -1))").exit().await, ExitKind::Exit(u32::MAX));
}

#[tokio::test]
async fn every_trap_has_its_kind() {
    let table = "(table 2 funcref) (type $none (func)) (type $one (func (param i32)))
        (func $f (param i32)) (elem (i32.const 1) $f)";
    let calls =
        |index: i32| format!("{table} (func (export \"_start\") (call_indirect (type $none) (i32.const {index})))");
    let code = |code: &str| format!("(func (export \"_start\") {code})");
    for (body, kind) in [
        (code("(unreachable)"), TrapKind::Unreachable),
        (code("(drop (i32.load (i32.const 131070)))"), TrapKind::MemoryOutOfBounds),
        (code("(drop (i32.div_u (i32.const 1) (i32.const 0)))"), TrapKind::DivisionByZero),
        (code("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), TrapKind::IntegerOverflow),
        (code("(drop (i32.trunc_f64_s (f64.const nan)))"), TrapKind::BadConversion),
        (calls(0), TrapKind::IndirectCallToNull),
        (calls(1), TrapKind::BadSignature),
        (calls(2), TrapKind::TableOutOfBounds),
        // Data that does not fit traps before the program begins.
        (format!("(data (i32.const 131071) \"ab\") {}", code("")), TrapKind::MemoryOutOfBounds),
    ] {
        assert_eq!(Job::wat(&body).exit().await, ExitKind::Trap(kind), "{body}");
    }
}

#[tokio::test]
async fn a_loop_ends_by_fuel_and_each_time_alike() {
    for code in ["(loop $l (br $l))", "(loop $l (drop (call $sched_yield)) (br $l))"] {
        let job = Job::code(code).limit(|l| l.fuel = 1_000_000);
        let outcome = job.run().await.unwrap();
        assert_eq!(outcome.exit, ExitKind::OutOfFuel);
        assert_eq!(outcome.usage.fuel, 1_000_000);
        assert_eq!(outcome.usage.limits_hit, [Limit::Fuel].into());
    }
}

#[tokio::test]
async fn fuel_used_is_the_same_on_two_engines() {
    let job = Job::code(
        "(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 12345))))",
    );
    let (a, b) = (job.run().await.unwrap(), job.run().await.unwrap());
    assert!(a.usage.fuel > 12345 && a.usage.fuel == b.usage.fuel, "{a:?} {b:?}");
}

#[tokio::test]
async fn the_clock_ends_a_run_without_a_result() {
    let wall = Duration::from_millis(100);
    for code in ["(loop $l (br $l))", "(loop $l (drop (call $sched_yield)) (br $l))"] {
        let job = Job::code(code).limit(|l| (l.fuel, l.wall) = (u64::MAX, wall));
        assert!(matches!(job.run().await, Err(NoResult::Timeout(t)) if t == wall));
    }
}

#[tokio::test]
async fn cancelling_and_dropping_end_a_run() {
    let job = Job::code("(loop $l (br $l))").limit(|l| l.fuel = u64::MAX);
    fs::create_dir(&job.spec.output_dir).unwrap();
    let executor = executor();
    let log = Arc::new(Log::default());

    let cancel = Cancel::new();
    let run = executor.run(job.spec.clone(), Arc::clone(&log) as _, cancel.clone());
    let (ended, ()) = tokio::join!(run, async { cancel.cancel() });
    assert!(matches!(ended, Err(NoResult::Cancelled)));

    let run = executor.run(job.spec.clone(), Arc::clone(&log) as _, Cancel::new());
    assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err());
    // The thread of a dropped run lets go of the log when it ends.
    tokio::time::timeout(Duration::from_secs(10), async {
        while Arc::strong_count(&log) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn memory_grows_to_the_limit_and_no_further() {
    // Grows page by page until refused, then asks for more than 32 bits address; exits with the number of pages.
    let job = Job::code(
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then (unreachable)))
        (call $proc_exit (memory.size))",
    );
    let outcome = job.run().await.unwrap();
    assert_eq!(outcome.exit, ExitKind::Exit(16 * 16));
    assert_eq!(outcome.usage.peak_memory_bytes, 16 * MIB);
    assert_eq!(outcome.usage.limits_hit, [Limit::Memory].into());
}

#[tokio::test]
async fn the_modules_own_maximum_is_not_the_machines_failure() {
    // A declared maximum, and what 32 bits address for a job that may use more than that.
    for (memory, pages) in [("1 3", 2), ("1", 65535)] {
        let body = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") {memory})
            (func (export "_start")
                (drop (memory.grow (i32.const 1)))
                (drop (memory.grow (i32.const 65536)))
                (call $proc_exit (memory.grow (i32.const {pages})))))"#
        );
        let job = Job::new(&wat::parse_str(body).unwrap()).limit(|l| l.memory_bytes = u64::MAX);
        let outcome = job.run().await.unwrap();
        assert_eq!(outcome.exit, ExitKind::Exit(u32::MAX));
        assert_eq!(outcome.usage.peak_memory_bytes, 2 * 65536);
        assert!(outcome.usage.limits_hit.is_empty());
    }
}

#[tokio::test]
async fn tables_are_bounded() {
    let job = Job::wat(
        r#"(table $t 1 funcref) (func (export "_start")
            (call $proc_exit (table.grow $t (ref.null func) (i32.const 2000000))))"#,
    );
    let outcome = job.run().await.unwrap();
    assert_eq!(outcome.exit, ExitKind::Exit(u32::MAX));
    assert_eq!(outcome.usage.limits_hit, [Limit::Memory].into());
}

#[tokio::test]
async fn deep_recursion_is_no_result() {
    let job = Job::wat(
        r#"(func $f (param i64) (result i64) (i64.add (call $f (local.get 0)) (i64.const 1)))
        (func (export "_start") (drop (call $f (i64.const 0))))"#,
    );
    assert!(matches!(job.run().await, Err(NoResult::StackOverflow)));
}

#[tokio::test]
async fn output_is_held_to_its_bytes() {
    // Writes 40,000 bytes at a time until refused; what was written stays.
    let job = Job::code("(call $open) (loop $l (call $send (i32.const 0) (i32.const 40000)) (br $l))");
    let outcome = job.run().await.unwrap();
    assert_eq!(outcome.exit, ExitKind::Exit(51), "ENOSPC");
    assert_eq!(outcome.usage.output_bytes, MIB / 40000 * 40000);
    assert_eq!(outcome.usage.limits_hit, [Limit::OutputBytes].into());
    assert_eq!(job.out("out.bin").len() as u64, outcome.usage.output_bytes);
}

#[tokio::test]
async fn a_sparse_file_counts_as_long_as_it_looks() {
    for call in [
        "(call $fd_filestat_set_size (global.get $fd) (i64.const 0x7fffffffffffffff))",
        "(call $fd_pwrite (global.get $fd) (i32.const 65000) (i32.const 1) (i64.const 0x4000000000) (i32.const 65100))",
    ] {
        let job = Job::code(&format!("(call $open) (call $send (i32.const 0) (i32.const 5)) (call $exit_on {call})"));
        let outcome = job.run().await.unwrap();
        assert_eq!((outcome.exit, outcome.usage.output_bytes), (ExitKind::Exit(51), 5), "{call}");
    }
}

#[tokio::test]
async fn output_is_held_to_its_number_of_files() {
    // Counts in the name: folders 0, 1, 2, ... one in another's place never.
    let job = Job::code(
        "(loop $l
            (i32.store8 (i32.const 65200) (i32.add (i32.const 48) (i32.load (i32.const 64000))))
            (call $exit_on (call $path_create_directory (i32.const 4) (i32.const 65200) (i32.const 1)))
            (i32.store (i32.const 64000) (i32.add (i32.load (i32.const 64000)) (i32.const 1)))
            (br $l))",
    )
    .limit(|l| l.output_files = 9);
    let outcome = job.run().await.unwrap();
    assert_eq!((outcome.exit, outcome.usage.output_files), (ExitKind::Exit(51), 9));
    assert_eq!(outcome.usage.limits_hit, [Limit::OutputFiles].into());
    assert_eq!(fs::read_dir(&job.spec.output_dir).unwrap().count(), 9);
}

#[tokio::test]
async fn folders_nest_to_a_bound_even_from_open_folders() {
    // Makes a folder, opens it, makes a folder in it, and so on.
    let job = Job::code(
        r#"(global.set $fd (i32.const 4))
        (loop $l
            (call $exit_on (call $path_create_directory (global.get $fd) (i32.const 65200) (i32.const 1)))
            (call $exit_on (call $path_open (global.get $fd) (i32.const 0) (i32.const 65200) (i32.const 1)
                (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 65100)))
            (global.set $fd (i32.load (i32.const 65100)))
            (br $l))"#,
    );
    let outcome = job.run().await.unwrap();
    assert_eq!((outcome.exit, outcome.usage.output_files), (ExitKind::Exit(37), 64), "ENAMETOOLONG");
}

#[tokio::test]
async fn a_huge_log_is_cut_and_the_program_does_not_notice() {
    let job = Job::code(
        "(local $i i32) (global.set $fd (i32.const 1))
        (memory.fill (i32.const 0) (i32.const 120) (i32.const 60000))
        (loop $l (call $send (i32.const 0) (i32.const 60000))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))",
    );
    let (outcome, log) = job.run_on(&executor()).await.unwrap();
    assert_eq!(outcome.exit, ExitKind::Exit(0));
    assert_eq!(log, "x".repeat(64 << 10));
    assert_eq!((outcome.usage.log_bytes, outcome.usage.log_bytes_dropped), (65536, 6_000_000 - 65536));
    assert_eq!(outcome.usage.limits_hit, [Limit::LogBytes].into());
}

#[tokio::test]
async fn no_path_leaves_the_two_folders() {
    for (path, errno) in [
        ("../module", 76),
        ("..", 76),
        ("/etc/passwd", 76),
        ("a/../../module", 76),
        ("a/b/../../../module", 76),
        ("./../in/a", 76),
        ("missing", 44),
        ("missing/../a", 44),
        ("a/b/c", 54),
        ("a/b/", 54),
        ("", 44),
        ("a\\00b", 28),
        ("\\ff", 25),
        ("a/b", 0),
        ("./a/.././a//b", 0),
        ("a/", 0),
    ] {
        let length = path.replace("\\00", "0").replace("\\ff", "f").len();
        let job = Job::wat(&format!(
            r#"(data (i32.const 300) "{path}")
            (func (export "_start") (call $proc_exit (call $path_open (i32.const 3) (i32.const 1) (i32.const 300)
                (i32.const {length}) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 65100))))"#
        ));
        job.put_in("a/b", b"content");
        assert_eq!(job.exit().await, ExitKind::Exit(errno), "{path}");
    }
}

#[tokio::test]
async fn inputs_are_read_only() {
    let name = "(i32.const 65200) (i32.const 7)";
    for call in [
        format!("(call $path_unlink_file (i32.const 3) {name})"),
        format!("(call $path_rename (i32.const 3) {name} (i32.const 4) {name})"),
        "(call $path_create_directory (i32.const 3) (i32.const 65201) (i32.const 2))".to_owned(),
        format!(
            "(call $path_open (i32.const 3) (i32.const 0) {name}
                (i32.const 0) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 65100))"
        ),
        format!(
            "(call $path_open (i32.const 3) (i32.const 0) {name}
                (i32.const 8) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 65100))"
        ),
    ] {
        let job = Job::code(&format!("(call $proc_exit {call})"));
        job.put_in("out.bin", b"content");
        assert_eq!(job.exit().await, ExitKind::Exit(69), "EROFS: {call}");
        assert_eq!(fs::read(job.spec.input_dir.join("out.bin")).unwrap(), b"content");
    }
}

#[tokio::test]
async fn inputs_that_are_not_files_are_refused() {
    let job = Job::code("");
    std::os::unix::fs::symlink("/etc/passwd", job.spec.input_dir.join("link")).unwrap();
    assert!(matches!(job.run().await, Err(NoResult::InvalidSpec(_))));
}

#[tokio::test]
async fn there_is_no_network() {
    for call in [
        "(call $sock_accept (i32.const 3) (i32.const 0) (i32.const 0))",
        "(call $sock_recv (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $sock_send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
    ] {
        assert_eq!(Job::code(&format!("(call $proc_exit {call})")).exit().await, ExitKind::Exit(58), "ENOTSUP");
    }
    let wanted = r#"(module (import "env" "connect" (func)) (func (export "_start")))"#;
    let refused = Job::new(&wat::parse_str(wanted).unwrap()).run().await;
    assert!(matches!(refused, Err(NoResult::InvalidModule(text)) if text.contains("connect")));
}

#[tokio::test]
async fn addresses_outside_of_memory_are_faults() {
    for call in [
        "(call $random_get (i32.const 131072) (i32.const 1))",
        "(call $random_get (i32.const -1) (i32.const -1))",
        "(call $fd_write (i32.const 1) (i32.const 131069) (i32.const 1) (i32.const 0))",
        "(call $args_sizes_get (i32.const -4) (i32.const 0))",
        "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 131065))",
        "(call $path_create_directory (i32.const 4) (i32.const 131070) (i32.const 3))",
    ] {
        assert_eq!(Job::code(&format!("(call $proc_exit {call})")).exit().await, ExitKind::Exit(21), "EFAULT: {call}");
    }
}

/// Leaves 64 random bytes and three readings of the clock, one after a wait of an hour.
const PROBE: &str = "
    (call $exit_on (call $random_get (i32.const 0) (i32.const 40)))
    (call $exit_on (call $random_get (i32.const 40) (i32.const 24)))
    (call $exit_on (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 64)))
    (call $exit_on (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 72)))
    (i64.store (i32.const 1024) (i64.const 3600000000000))
    (call $exit_on (call $poll_oneoff (i32.const 1000) (i32.const 2000) (i32.const 1) (i32.const 65100)))
    (call $exit_on (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 80)))
    (call $open) (call $send (i32.const 0) (i32.const 88))";

#[tokio::test]
async fn randomness_and_time_follow_from_the_job_alone() {
    let mut job = Job::code(PROBE);
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    let first = job.out("out.bin");
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    assert_eq!(first, job.out("out.bin"));

    let clock = |at: usize| u64::from_le_bytes(first[at..at + 8].try_into().unwrap());
    assert_eq!([clock(64), clock(72), clock(80)], [0, 1_000_000, 3_600_002_000_000]);

    job.spec.seed.attempt = 2;
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    assert_ne!(first[..40], job.out("out.bin")[..40]);
    assert_eq!(first[64..], job.out("out.bin")[64..]);
}

#[tokio::test]
async fn folders_are_listed_by_name_whatever_the_machines_order() {
    // Names of one byte in an order that is neither theirs nor its reverse.
    let names: Vec<String> = (0..20).map(|i| char::from(b'a' + (i * 7 + 3) % 20).to_string()).collect();
    let job = Job::code(
        "(call $exit_on (call $fd_readdir (i32.const 3) (i32.const 0) (i32.const 4000) (i64.const 0) (i32.const 65100)))
        (i32.store (i32.const 64000) (i32.load (i32.const 65100)))
        (call $open) (call $send (i32.const 0) (i32.load (i32.const 64000)))",
    );
    for name in &names {
        job.put_in(name, b"x");
    }
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    let listed = job.out("out.bin");
    // An entry is 24 bytes (the next one's number, the inode, the name's length, the kind) and the name.
    let mut expected = Vec::new();
    let dots = [(1, 3, ".".to_owned()), (1, 3, "..".to_owned())];
    let files = (2u64..).zip("abcdefghijklmnopqrst".chars()).map(|(inode, c)| (inode, 4, c.to_string()));
    for (next, (inode, kind, name)) in (1u64..).zip(dots.into_iter().chain(files)) {
        expected.extend(next.to_le_bytes());
        expected.extend(inode.to_le_bytes());
        expected.extend([u8::try_from(name.len()).unwrap(), 0, 0, 0, kind, 0, 0, 0]);
        expected.extend(name.as_bytes());
    }
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn nans_are_canonical() {
    // A NaN with a payload goes through an addition: on its own the machine would keep the payload.
    let job = Job::code(
        "(f64.store (i32.const 0) (f64.add (f64.load (i32.const 16)) (f64.const 1)))
        (i64.store (i32.const 16) (i64.const 0x7ff8dead0000beef))
        (f64.store (i32.const 0) (f64.add (f64.load (i32.const 16)) (f64.const 1)))
        (f32.store (i32.const 8) (f32.div (f32.load (i32.const 24)) (f32.load (i32.const 24))))
        (call $open) (call $send (i32.const 0) (i32.const 12))",
    );
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    let expected = [0x7ff8_0000_0000_0000u64.to_le_bytes().as_slice(), &0x7fc0_0000u32.to_le_bytes()].concat();
    assert_eq!(job.out("out.bin"), expected);
}

#[tokio::test]
async fn arguments_and_environment_are_the_jobs_alone() {
    let mut job = Job::code(
        "(call $exit_on (call $args_get (i32.const 1000) (i32.const 0)))
        (call $exit_on (call $environ_get (i32.const 1000) (i32.const 15)))
        (call $open) (call $send (i32.const 0) (i32.const 21))",
    );
    job.spec.args = vec!["one".into(), "two 2".into()];
    job.spec.env = vec![("A".into(), "b=c".into())];
    assert_eq!(job.exit().await, ExitKind::Exit(0));
    assert_eq!(job.out("out.bin"), b"job\0one\0two 2\0\0A=b=c\0");
    for (args, env) in [
        (vec!["a\0b".into()], vec![]),
        (vec![], vec![("A=B".to_owned(), String::new())]),
        (vec![], vec![(String::new(), "x".into())]),
        (vec!["x".repeat(2 << 20)], vec![]),
    ] {
        (job.spec.args, job.spec.env) = (args, env);
        assert!(matches!(job.run().await, Err(NoResult::InvalidSpec(_))));
    }
}

#[tokio::test]
async fn what_is_not_a_command_is_refused() {
    let text = |t: &str| wat::parse_str(t).unwrap();
    let start = r#"(func (export "_start"))"#;
    let many = format!("(module {start} {})", "(func)".repeat(100_001));
    let long = format!("(module {start} (func {}))", "(drop (i32.const 1))".repeat(2_100_000));
    for (what, module) in [
        ("nothing", Vec::new()),
        ("noise", b"\0asm\x01\0\0\0 and then noise".to_vec()),
        ("text", b"(module)".to_vec()),
        ("no start", text("(module)")),
        ("a start with a result", text(r#"(module (func (export "_start") (result i32) (i32.const 0)))"#)),
        ("more memory than the job has", text(&format!("(module (memory 257) {start})"))),
        ("a shared memory", text(&format!("(module (memory 1 2 shared) {start})"))),
        ("a 64-bit memory", text(&format!("(module (memory i64 1) {start})"))),
        ("two memories", text(&format!("(module (memory 1) (memory 1) {start})"))),
        ("a tail call", text(r#"(module (func $f (export "_start") (return_call $f)))"#)),
        ("a component", text("(component)")),
        ("too many functions", text(&many)),
        ("too long a function", text(&long)),
        (
            "an import of another type",
            text(&format!(r#"(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64))) {start})"#)),
        ),
    ] {
        let ended = Job::new(&module).run().await;
        assert!(matches!(ended, Err(NoResult::InvalidModule(_))), "{what}: {ended:?}");
    }
}

#[tokio::test]
async fn no_arguments_of_a_host_call_break_the_host() {
    let mut state = 42u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..8 {
        let mut code = String::new();
        for _ in 0..400 {
            let (name, parameters) = WASI[usize::try_from(random()).unwrap() % WASI.len()];
            let arguments: String = parameters
                .chars()
                .map(|c| {
                    // Small numbers, addresses, ends of memory, and anything.
                    let n = match random() % 4 {
                        0 => random() % 8,
                        1 => random() % 131_072,
                        2 => 131_060 + random() % 20,
                        _ => (random() << 1) | (random() % 2),
                    };
                    if c == 'I' { format!("(i64.const {n})") } else { format!("(i32.const {})", n & 0xffff_ffff) }
                })
                .collect();
            writeln!(code, "(drop (call ${name} {arguments}))").unwrap();
        }
        let job = Job::code(&code);
        job.put_in("a/b", b"content");
        assert_eq!(job.exit().await, ExitKind::Exit(0));
    }
}

#[tokio::test]
async fn compiled_modules_are_kept_and_damage_is_noticed() {
    let cache = tempfile::tempdir().unwrap();
    let open = || WasmExecutor::new(Some(cache.path().join("modules"))).unwrap();
    let seven = Job::code("(call $proc_exit (i32.const 7))");
    let eight = Job::code("(call $proc_exit (i32.const 8))");
    let exit = async |job: &Job| job.run_on(&open()).await.unwrap().0.exit;
    let files = || {
        let mut found: Vec<_> =
            fs::read_dir(cache.path().join("modules")).unwrap().map(|e| e.unwrap().path()).collect();
        found.sort();
        found
    };
    assert_eq!(exit(&seven).await, ExitKind::Exit(7));
    let first = files();
    assert_eq!(first.len(), 1);
    let kept = fs::read(&first[0]).unwrap();

    fs::write(&first[0], &kept[..kept.len() / 2]).unwrap();
    assert_eq!(exit(&seven).await, ExitKind::Exit(7), "a torn file is compiled anew");
    assert_eq!(fs::read(&first[0]).unwrap(), kept);

    assert_eq!(exit(&eight).await, ExitKind::Exit(8));
    let other = files().into_iter().find(|f| *f != first[0]).unwrap();
    fs::copy(&first[0], other).unwrap();
    assert_eq!(exit(&eight).await, ExitKind::Exit(7), "a new executor takes what is on disk");
}

#[test]
fn the_class_names_the_engine_that_is_linked() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    let version = lock.split("name = \"wasmtime\"\nversion = \"").nth(1).unwrap();
    let major = version.split('.').next().unwrap();
    assert_eq!(wasm_class(), format!("wasm-{major}-{}", std::env::consts::ARCH));
}

mod path_tracer_guest {
    use super::*;
    use path_tracer::trace::Settings;
    use std::path::PathBuf;
    use std::process::Command;

    fn guest() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/path-tracer")
    }

    fn job(words: &[String]) -> Job {
        let mut job = Job::new(&fs::read(guest().join("path_tracer.wasm")).unwrap());
        job.spec.args = words.to_vec();
        job.limit(|l| (l.memory_bytes, l.output_bytes) = (256 * MIB, 64 * MIB))
    }

    /// Renders all tiles and merges them, each as a job of its own.
    async fn picture(executor: &WasmExecutor, tiles: u32, settings: &Settings) -> (Vec<u8>, Vec<Outcome>) {
        let Settings { width, height, samples, seed } = settings;
        let merge = job(&["merge".into()]);
        let mut outcomes = Vec::new();
        for tile in 0..tiles {
            let words =
                format!("tile tile={tile} tiles={tiles} width={width} height={height} samples={samples} seed={seed}");
            let job = job(&words.split(' ').map(String::from).collect::<Vec<_>>());
            let (outcome, log) = job.run_on(executor).await.unwrap();
            assert_eq!(outcome.exit, ExitKind::Exit(0), "{log}");
            assert!(log.contains("100 %"), "{log}");
            let name = format!("tile-{tile:03}.gtile");
            merge.put_in(&format!("job-{}/{name}", tiles - tile), &job.out(&name));
            outcomes.push(outcome);
        }
        let (outcome, log) = merge.run_on(executor).await.unwrap();
        assert_eq!(outcome.exit, ExitKind::Exit(0), "{log}");
        outcomes.push(outcome);
        (merge.out("picture.png"), outcomes)
    }

    const SMALL: Settings = Settings { width: 96, height: 60, samples: 6, seed: 11 };

    #[tokio::test]
    async fn a_picture_made_by_jobs_equals_one_made_natively_in_one_process() {
        let (png, outcomes) = picture(&executor(), 8, &SMALL).await;
        assert_eq!(png, path_tracer::whole(SMALL).unwrap());
        for outcome in outcomes {
            assert!(outcome.usage.fuel > 1_000_000 && outcome.usage.peak_memory_bytes > MIB, "{outcome:?}");
            assert!(outcome.usage.limits_hit.is_empty(), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn the_same_job_has_the_same_digest_on_two_engines() {
        let job =
            job(&"tile tile=3 tiles=8 width=96 height=60 samples=4".split(' ').map(String::from).collect::<Vec<_>>());
        let binding = Binding { chain_id: "gantry-1", job: 1, attempt: 1, provider: 2 };
        let mut found: Vec<(u64, OutputHashes)> = Vec::new();
        for _ in 0..2 {
            let outcome = job.run().await.unwrap();
            found.push((outcome.usage.fuel, hash_output(&job.spec.output_dir, binding).unwrap()));
        }
        assert_eq!(found[0], found[1]);
        assert!(found[0].1.chunks > 0);
    }

    #[tokio::test]
    async fn bad_arguments_end_with_a_code_and_a_text() {
        let (outcome, log) = job(&["tile".into(), "tile=9".into()]).run_on(&executor()).await.unwrap();
        assert_eq!(outcome.exit, ExitKind::Exit(1));
        assert!(log.contains("below the number of tiles"), "{log}");
    }

    #[test]
    fn the_artifact_is_what_the_sources_compile_to() {
        let built = Command::new(guest().join("build.sh")).arg("--check").output().unwrap();
        let text = String::from_utf8_lossy(&built.stderr);
        match built.status.code() {
            Some(0) => {}
            Some(3) => println!("not compared: {text}"),
            code => panic!("{code:?}: {text}"),
        }
    }

    #[tokio::test]
    #[ignore = "a measurement, not a test"]
    async fn time_of_the_demos_picture() {
        let settings = Settings { width: 640, height: 400, samples: 24, seed: 1 };
        let executor = executor();
        let started = std::time::Instant::now();
        let (png, outcomes) = picture(&executor, 8, &settings).await;
        println!("all: {:?}, {} bytes of PNG", started.elapsed(), png.len());
        for (i, Outcome { usage, .. }) in outcomes.iter().enumerate() {
            println!(
                "job {i}: run {:?}, compile {:?}, fuel {}, memory {} MiB, output {} bytes",
                usage.wall,
                usage.compile,
                usage.fuel,
                usage.peak_memory_bytes / MIB,
                usage.output_bytes
            );
        }
        assert_eq!(png, path_tracer::whole(settings).unwrap());
        assert_eq!(png, fs::read(guest().join("picture.png")).unwrap());
    }
}
