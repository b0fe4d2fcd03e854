//! WASI preview 1 for one command: all 46 functions, over the file tree of [`super::files`], a clock that only the program
//! moves, and random numbers that follow from the job.
//!
//! It is our own because a result must not depend on the machine: the usual host passes the machine's clock, folder order,
//! inode numbers and error texts through, and has no quota. There is no network and no other process; what a command cannot
//! do gives `ENOTSUP`. An address outside of the program's memory gives `EFAULT`.
//!
//! Each call costs [`CALL_FUEL`] and one unit per [`BYTES_PER_FUEL`] bytes that it moves, so that fuel bounds the host's work
//! too. The clock starts at 0 and moves one millisecond at each reading, and by the whole wait at a `poll_oneoff`, which
//! returns at once.

use super::files::{Errno, Kind, Node, Place, resolve};
use super::{LogSink, Seed, Stream};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use wasmtime::{Caller, Linker, Memory, Trap};

/// Fuel of a host call.
const CALL_FUEL: u64 = 500;
/// Bytes that one unit of fuel moves.
const BYTES_PER_FUEL: u64 = 4;
/// Most open files and folders.
const DESCRIPTORS: usize = 1024;
/// Most buffers of one read or write, and most events of one poll.
const VECTORS: u32 = 1024;
/// What a reading of the clock adds to it, in nanoseconds.
const TICK_NS: u64 = 1_000_000;

/// Why a run stops inside of a host call, or by the clock.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error("exit {0}")]
    Exit(u32),
    #[error("{0}")]
    Host(String),
    #[error("{0}")]
    HostMemory(String),
    #[error("timeout")]
    Timeout,
    #[error("cancelled")]
    Cancelled,
}

enum Stop {
    Errno(Errno),
    Halt(Halt),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

type Answer = Result<(), Stop>;

/// The world of one run.
pub(super) struct World {
    args: Vec<String>,
    env: Vec<String>,
    descriptors: Vec<Option<Descriptor>>,
    clock_ns: u64,
    random: Random,
    log: Arc<dyn LogSink>,
    log_limit: u64,
    pub(super) log_kept: u64,
    pub(super) log_dropped: u64,
    pub(super) open_files_hit: bool,
    memory: Option<Memory>,
    /// Bytes moved by the call under way.
    moved: u64,
}

/// An open file, folder or stream.
struct Descriptor {
    what: Open,
    position: u64,
    append: bool,
    read: bool,
    write: bool,
    /// Set for the folders that are open from the start.
    preopen: Option<&'static str>,
    /// The entries as they were when the program began to list them.
    listing: Vec<(u64, u8, String)>,
}

enum Open {
    Stdin,
    Log(Stream),
    Node(Rc<Node>, Option<File>),
}

impl Descriptor {
    fn of(what: Open, read: bool, write: bool) -> Self {
        Self { what, position: 0, append: false, read, write, preopen: None, listing: Vec::new() }
    }

    fn preopened(node: Rc<Node>, name: &'static str) -> Self {
        Self { preopen: Some(name), ..Self::of(Open::Node(node, None), true, true) }
    }

    fn node(&self) -> Result<&Rc<Node>, Errno> {
        match &self.what {
            Open::Node(node, _) => Ok(node),
            _ => Err(Errno::NotDirectory),
        }
    }

    /// The file behind it, for calls that need an offset.
    fn file(&self) -> Result<&Rc<Node>, Errno> {
        match &self.what {
            Open::Node(node, _) if node.is_folder() => Err(Errno::IsDirectory),
            Open::Node(node, _) => Ok(node),
            _ => Err(Errno::NotSeekable),
        }
    }

    fn file_type(&self) -> u8 {
        match &self.what {
            Open::Node(node, _) => file_type(node),
            _ => CHARACTER_DEVICE,
        }
    }

    /// Fills a buffer from an offset; a short count is the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Stop> {
        if !self.read {
            return Err(Errno::BadDescriptor.into());
        }
        let node = match &self.what {
            Open::Stdin => return Ok(0),
            _ => self.file()?,
        };
        let rest = node.size().saturating_sub(offset);
        let wanted = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        match (&node.kind, &self.what) {
            (Kind::Output(data), _) => {
                let at = usize::try_from(offset).map_err(|_| Errno::TooBig)?.min(data.borrow().len());
                buffer.copy_from_slice(&data.borrow()[at..at + wanted]);
            }
            (Kind::Input { path, .. }, Open::Node(_, Some(file))) => {
                file.read_exact_at(buffer, offset)
                    .map_err(|e| Stop::Halt(Halt::Host(format!("{}: {e}", path.display()))))?;
            }
            _ => return Err(Errno::BadDescriptor.into()),
        }
        Ok(wanted)
    }
}

/// SHA-256 in counter mode over the job and attempt.
struct Random {
    seed: Seed,
    block: u64,
}

impl Random {
    fn fill(&mut self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(b"gantry/wasm-random/v1")
                .chain_update(self.seed.job.to_be_bytes())
                .chain_update(self.seed.attempt.to_be_bytes())
                .chain_update(self.block.to_be_bytes())
                .finalize();
            piece.copy_from_slice(&block[..piece.len()]);
            self.block += 1;
        }
    }
}

const CHARACTER_DEVICE: u8 = 2;
const DIRECTORY: u8 = 3;
const REGULAR_FILE: u8 = 4;

fn file_type(node: &Node) -> u8 {
    if node.is_folder() { DIRECTORY } else { REGULAR_FILE }
}

mod rights {
    pub(super) const READ: u64 = 1 << 1;
    pub(super) const SEEK: u64 = 1 << 2;
    pub(super) const TELL: u64 = 1 << 5;
    pub(super) const WRITE: u64 = 1 << 6;
    pub(super) const ALL: u64 = (1 << 30) - 1;
}

impl World {
    /// A world with `/in` and `/out`.
    pub(super) fn new(
        args: Vec<String>,
        env: Vec<String>,
        input: Rc<Node>,
        output: Rc<Node>,
        seed: Seed,
        log: Arc<dyn LogSink>,
        log_limit: u64,
    ) -> Self {
        let descriptors = [
            Descriptor::of(Open::Stdin, true, false),
            Descriptor::of(Open::Log(Stream::Out), false, true),
            Descriptor::of(Open::Log(Stream::Err), false, true),
            Descriptor::preopened(input, "/in"),
            Descriptor::preopened(output, "/out"),
        ];
        Self {
            args,
            env,
            descriptors: descriptors.into_iter().map(Some).collect(),
            clock_ns: 0,
            random: Random { seed, block: 0 },
            log,
            log_limit,
            log_kept: 0,
            log_dropped: 0,
            open_files_hit: false,
            memory: None,
            moved: 0,
        }
    }

    fn get(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        let slot = usize::try_from(fd).ok().and_then(|fd| self.descriptors.get_mut(fd));
        slot.and_then(Option::as_mut).ok_or(Errno::BadDescriptor)
    }

    fn place(&mut self, fd: u32, path: &str) -> Result<Place, Errno> {
        let start = Rc::clone(self.get(fd)?.node()?);
        resolve(&start, path)
    }

    fn install(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let free = self.descriptors.iter().position(Option::is_none);
        let index = free.unwrap_or(self.descriptors.len());
        if index >= DESCRIPTORS {
            self.open_files_hit = true;
            return Err(Errno::TooManyOpen);
        }
        if index == self.descriptors.len() {
            self.descriptors.push(None);
        }
        self.descriptors[index] = Some(descriptor);
        u32::try_from(index).map_err(|_| Errno::TooManyOpen)
    }

    fn write_log(&mut self, stream: Stream, bytes: &[u8]) {
        let room = usize::try_from(self.log_limit - self.log_kept).unwrap_or(usize::MAX);
        let (kept, dropped) = bytes.split_at(bytes.len().min(room));
        self.log_kept += kept.len() as u64;
        self.log_dropped += dropped.len() as u64;
        if !kept.is_empty() {
            self.log.write(stream, kept);
        }
    }
}

/// One host call: the program's memory and its world.
struct Call<'a> {
    memory: &'a mut [u8],
    world: &'a mut World,
}

/// Runs a host call and charges it.
fn enter<T: HasWorld>(caller: &mut Caller<'_, T>, work: impl FnOnce(&mut Call<'_>) -> Answer) -> wasmtime::Result<u32> {
    if caller.data_mut().world().memory.is_none() {
        let memory = caller.get_export("memory").and_then(|e| e.into_memory());
        caller.data_mut().world().memory = memory;
    }
    let answer = match caller.data_mut().world().memory {
        Some(memory) => {
            let (memory, data) = memory.data_and_store_mut(&mut *caller);
            work(&mut Call { memory, world: data.world() })
        }
        None => work(&mut Call { memory: &mut [], world: caller.data_mut().world() }),
    };
    let moved = std::mem::take(&mut caller.data_mut().world().moved);
    let cost = CALL_FUEL + moved / BYTES_PER_FUEL;
    match caller.get_fuel()?.checked_sub(cost) {
        Some(rest) => caller.set_fuel(rest)?,
        None => {
            caller.set_fuel(0)?;
            return Err(Trap::OutOfFuel.into());
        }
    }
    match answer {
        Ok(()) => Ok(0),
        Err(Stop::Errno(errno)) => Ok(errno as u32),
        Err(Stop::Halt(halt)) => Err(halt.into()),
    }
}

/// Data of a store that holds a [`World`].
pub(super) trait HasWorld: 'static {
    /// The world of the run.
    fn world(&mut self) -> &mut World;
}

/// Adds every function of `wasi_snapshot_preview1`.
pub(super) fn link<T: HasWorld>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    const MODULE: &str = "wasi_snapshot_preview1";
    macro_rules! calls {
        ($($name:ident($($arg:ident: $kind:ty),*);)*) => {$(
            linker.func_wrap(
                MODULE,
                stringify!($name),
                |mut caller: Caller<'_, T>, $($arg: $kind),*| enter(&mut caller, |call| call.$name($($arg),*)),
            )?;
        )*};
    }
    calls! {
        args_get(list: u32, buffer: u32);
        args_sizes_get(count: u32, size: u32);
        environ_get(list: u32, buffer: u32);
        environ_sizes_get(count: u32, size: u32);
        clock_res_get(clock: u32, out: u32);
        clock_time_get(clock: u32, precision: u64, out: u32);
        fd_advise(fd: u32, offset: u64, length: u64, advice: u32);
        fd_allocate(fd: u32, offset: u64, length: u64);
        fd_close(fd: u32);
        fd_datasync(fd: u32);
        fd_fdstat_get(fd: u32, out: u32);
        fd_fdstat_set_flags(fd: u32, flags: u32);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
        fd_filestat_get(fd: u32, out: u32);
        fd_filestat_set_size(fd: u32, size: u64);
        fd_filestat_set_times(fd: u32, access: u64, modified: u64, flags: u32);
        fd_pread(fd: u32, vectors: u32, count: u32, offset: u64, out: u32);
        fd_prestat_get(fd: u32, out: u32);
        fd_prestat_dir_name(fd: u32, path: u32, length: u32);
        fd_pwrite(fd: u32, vectors: u32, count: u32, offset: u64, out: u32);
        fd_read(fd: u32, vectors: u32, count: u32, out: u32);
        fd_readdir(fd: u32, buffer: u32, length: u32, cookie: u64, out: u32);
        fd_renumber(from: u32, to: u32);
        fd_seek(fd: u32, delta: u64, whence: u32, out: u32);
        fd_sync(fd: u32);
        fd_tell(fd: u32, out: u32);
        fd_write(fd: u32, vectors: u32, count: u32, out: u32);
        path_create_directory(fd: u32, path: u32, length: u32);
        path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, out: u32);
        path_filestat_set_times(fd: u32, flags: u32, path: u32, length: u32, access: u64, modified: u64, what: u32);
        path_link(fd: u32, flags: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32);
        path_open(fd: u32, follow: u32, path: u32, length: u32, flags: u32, base: u64, inheriting: u64, fd_flags: u32, out: u32);
        path_readlink(fd: u32, path: u32, length: u32, buffer: u32, size: u32, out: u32);
        path_remove_directory(fd: u32, path: u32, length: u32);
        path_rename(fd: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32);
        path_symlink(old: u32, old_length: u32, fd: u32, new: u32, new_length: u32);
        path_unlink_file(fd: u32, path: u32, length: u32);
        poll_oneoff(subscriptions: u32, events: u32, count: u32, out: u32);
        proc_raise(signal: u32);
        sched_yield();
        random_get(buffer: u32, length: u32);
        sock_accept(fd: u32, flags: u32, out: u32);
        sock_recv(fd: u32, vectors: u32, count: u32, flags: u32, out: u32, out_flags: u32);
        sock_send(fd: u32, vectors: u32, count: u32, flags: u32, out: u32);
        sock_shutdown(fd: u32, how: u32);
    }
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> { Err(Halt::Exit(code).into()) })?;
    Ok(())
}

// The names and the order of arguments are those of the specification; what a call does not use is not named.
impl Call<'_> {
    fn slice(&mut self, at: u32, length: u32) -> Result<&mut [u8], Errno> {
        let start = usize::try_from(at).map_err(|_| Errno::Fault)?;
        let end = usize::try_from(length).ok().and_then(|n| start.checked_add(n)).ok_or(Errno::Fault)?;
        self.world.moved += u64::from(length);
        self.memory.get_mut(start..end).ok_or(Errno::Fault)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    fn put_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    fn array<const N: usize>(&mut self, at: u32) -> Result<[u8; N], Errno> {
        let start = usize::try_from(at).map_err(|_| Errno::Fault)?;
        let bytes = self.memory.get(start..).and_then(|rest| rest.first_chunk()).ok_or(Errno::Fault)?;
        Ok(*bytes)
    }

    fn u32_at(&mut self, at: u32) -> Result<u32, Errno> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64_at(&mut self, at: u32) -> Result<u64, Errno> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn text(&mut self, at: u32, length: u32) -> Result<String, Errno> {
        let bytes = self.slice(at, length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Errno::IllegalBytes)
    }

    /// The buffers of a read or write: (address, length), the whole no longer than a `u32` counts.
    fn vectors(&mut self, at: u32, count: u32) -> Result<Vec<(u32, u32)>, Errno> {
        if count > VECTORS {
            return Err(Errno::Invalid);
        }
        let mut total = 0u32;
        (0..count)
            .map(|i| {
                let entry = offset(at, i, 8)?;
                let (address, length) = (self.u32_at(entry)?, self.u32_at(offset(entry, 1, 4)?)?);
                total = total.checked_add(length).ok_or(Errno::Invalid)?;
                Ok((address, length))
            })
            .collect()
    }

    fn strings(&mut self, list: u32, buffer: u32, strings: &[String]) -> Answer {
        let mut at = buffer;
        for (i, string) in (0u32..).zip(strings) {
            self.put_u32(offset(list, i, 4)?, at)?;
            self.put(at, string.as_bytes())?;
            at = offset(at, 1, string_length(string)? - 1)?;
            self.put(at, &[0])?;
            at = offset(at, 1, 1)?;
        }
        Ok(())
    }

    fn string_sizes(&mut self, count: u32, size: u32, strings: &[String]) -> Answer {
        let mut total = 0u32;
        for string in strings {
            total = total.checked_add(string_length(string)?).ok_or(Errno::TooBig)?;
        }
        self.put_u32(count, u32::try_from(strings.len()).map_err(|_| Errno::TooBig)?)?;
        Ok(self.put_u32(size, total)?)
    }

    fn args_get(&mut self, list: u32, buffer: u32) -> Answer {
        let strings = self.world.args.clone();
        self.strings(list, buffer, &strings)
    }

    fn args_sizes_get(&mut self, count: u32, size: u32) -> Answer {
        let strings = self.world.args.clone();
        self.string_sizes(count, size, &strings)
    }

    fn environ_get(&mut self, list: u32, buffer: u32) -> Answer {
        let strings = self.world.env.clone();
        self.strings(list, buffer, &strings)
    }

    fn environ_sizes_get(&mut self, count: u32, size: u32) -> Answer {
        let strings = self.world.env.clone();
        self.string_sizes(count, size, &strings)
    }

    fn clock_res_get(&mut self, clock: u32, out: u32) -> Answer {
        known_clock(clock)?;
        Ok(self.put_u64(out, TICK_NS)?)
    }

    fn clock_time_get(&mut self, clock: u32, _: u64, out: u32) -> Answer {
        known_clock(clock)?;
        let now = self.world.clock_ns;
        self.world.clock_ns = now.saturating_add(TICK_NS);
        Ok(self.put_u64(out, now)?)
    }

    fn fd_advise(&mut self, fd: u32, _: u64, _: u64, _: u32) -> Answer {
        self.world.get(fd)?.file()?;
        Ok(())
    }

    fn fd_allocate(&mut self, fd: u32, _: u64, _: u64) -> Answer {
        self.world.get(fd)?.file()?;
        Err(Errno::NotSupported.into())
    }

    fn fd_close(&mut self, fd: u32) -> Answer {
        self.world.get(fd)?;
        self.world.descriptors[fd as usize] = None;
        Ok(())
    }

    fn fd_datasync(&mut self, fd: u32) -> Answer {
        self.fd_sync(fd)
    }

    fn fd_sync(&mut self, fd: u32) -> Answer {
        self.world.get(fd)?;
        Ok(())
    }

    fn fd_fdstat_get(&mut self, fd: u32, out: u32) -> Answer {
        let descriptor = self.world.get(fd)?;
        let mut base = rights::ALL;
        if !descriptor.read {
            base &= !rights::READ;
        }
        if !descriptor.write {
            base &= !rights::WRITE;
        }
        if descriptor.file_type() == CHARACTER_DEVICE {
            base &= !(rights::SEEK | rights::TELL);
        }
        let mut stat = [0; 24];
        stat[0] = descriptor.file_type();
        stat[2] = u8::from(descriptor.append);
        stat[8..16].copy_from_slice(&base.to_le_bytes());
        stat[16..].copy_from_slice(&rights::ALL.to_le_bytes());
        Ok(self.put(out, &stat)?)
    }

    fn fd_fdstat_set_flags(&mut self, fd: u32, flags: u32) -> Answer {
        self.world.get(fd)?.append = flags & 1 != 0;
        Ok(())
    }

    fn fd_fdstat_set_rights(&mut self, fd: u32, base: u64, _: u64) -> Answer {
        let descriptor = self.world.get(fd)?;
        descriptor.read &= base & rights::READ != 0;
        descriptor.write &= base & rights::WRITE != 0;
        Ok(())
    }

    fn put_stat(&mut self, out: u32, inode: u64, kind: u8, size: u64) -> Answer {
        let mut stat = [0; 64];
        stat[8..16].copy_from_slice(&inode.to_le_bytes());
        stat[16] = kind;
        stat[24] = 1;
        stat[32..40].copy_from_slice(&size.to_le_bytes());
        Ok(self.put(out, &stat)?)
    }

    fn fd_filestat_get(&mut self, fd: u32, out: u32) -> Answer {
        let (inode, kind, size) = match &self.world.get(fd)?.what {
            Open::Node(node, _) => (node.inode, file_type(node), node.size()),
            _ => (0, CHARACTER_DEVICE, 0),
        };
        self.put_stat(out, inode, kind, size)
    }

    fn fd_filestat_set_size(&mut self, fd: u32, size: u64) -> Answer {
        let descriptor = self.world.get(fd)?;
        let node = descriptor.file()?;
        if !descriptor.write {
            return Err(Errno::BadDescriptor.into());
        }
        // New zeros are work too.
        let grown = size.saturating_sub(node.size());
        node.set_size(size)?;
        self.world.moved += grown;
        Ok(())
    }

    /// There are no times; setting them on what could be written succeeds and changes nothing.
    fn fd_filestat_set_times(&mut self, fd: u32, _: u64, _: u64, _: u32) -> Answer {
        let writable = self.world.get(fd)?.node()?.writable();
        if writable { Ok(()) } else { Err(Errno::ReadOnly.into()) }
    }

    fn read(&mut self, fd: u32, vectors: u32, count: u32, mut position: u64) -> Result<u32, Stop> {
        let mut total = 0;
        for (address, length) in self.vectors(vectors, count)? {
            let start = address as usize;
            let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
            let buffer = self.memory.get_mut(start..end).ok_or(Errno::Fault)?;
            let n = self.world.get(fd)?.read_at(position, buffer)?;
            let n = u32::try_from(n).map_err(|_| Errno::TooBig)?;
            self.world.moved += u64::from(n);
            total += n;
            position += u64::from(n);
            if n < length {
                break;
            }
        }
        Ok(total)
    }

    fn fd_read(&mut self, fd: u32, vectors: u32, count: u32, out: u32) -> Answer {
        let position = self.world.get(fd)?.position;
        let n = self.read(fd, vectors, count, position)?;
        self.world.get(fd)?.position = position + u64::from(n);
        Ok(self.put_u32(out, n)?)
    }

    fn fd_pread(&mut self, fd: u32, vectors: u32, count: u32, offset: u64, out: u32) -> Answer {
        self.world.get(fd)?.file()?;
        let n = self.read(fd, vectors, count, offset)?;
        Ok(self.put_u32(out, n)?)
    }

    /// Writes all buffers, or as many whole ones as there is room for; an error only if the first does not fit.
    fn write(&mut self, fd: u32, vectors: u32, count: u32, mut position: u64) -> Result<u32, Stop> {
        let mut total = 0;
        for (address, length) in self.vectors(vectors, count)? {
            let start = address as usize;
            let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
            let bytes = self.memory.get(start..end).ok_or(Errno::Fault)?;
            let descriptor = self.world.get(fd)?;
            if !descriptor.write {
                return Err(Errno::BadDescriptor.into());
            }
            if let Open::Log(stream) = descriptor.what {
                self.world.write_log(stream, bytes);
            } else {
                let node = descriptor.file()?;
                let gap = position.saturating_sub(node.size());
                match node.write_at(position, bytes) {
                    Err(Errno::NoSpace) if total > 0 => return Ok(total),
                    answer => answer?,
                }
                self.world.moved += gap;
            }
            self.world.moved += u64::from(length);
            total += length;
            position += u64::from(length);
        }
        Ok(total)
    }

    fn fd_write(&mut self, fd: u32, vectors: u32, count: u32, out: u32) -> Answer {
        let descriptor = self.world.get(fd)?;
        let position = match &descriptor.what {
            Open::Node(node, _) if descriptor.append => node.size(),
            _ => descriptor.position,
        };
        let n = self.write(fd, vectors, count, position)?;
        self.world.get(fd)?.position = position + u64::from(n);
        Ok(self.put_u32(out, n)?)
    }

    fn fd_pwrite(&mut self, fd: u32, vectors: u32, count: u32, offset: u64, out: u32) -> Answer {
        self.world.get(fd)?.file()?;
        let n = self.write(fd, vectors, count, offset)?;
        Ok(self.put_u32(out, n)?)
    }

    fn fd_prestat_get(&mut self, fd: u32, out: u32) -> Answer {
        let name = self.world.get(fd)?.preopen.ok_or(Errno::BadDescriptor)?;
        let length = u32::try_from(name.len()).map_err(|_| Errno::Invalid)?;
        self.put_u32(out, 0)?;
        Ok(self.put_u32(offset(out, 1, 4)?, length)?)
    }

    fn fd_prestat_dir_name(&mut self, fd: u32, path: u32, length: u32) -> Answer {
        let name = self.world.get(fd)?.preopen.ok_or(Errno::BadDescriptor)?;
        if (length as usize) < name.len() {
            return Err(Errno::NameTooLong.into());
        }
        Ok(self.put(path, name.as_bytes())?)
    }

    fn fd_readdir(&mut self, fd: u32, buffer: u32, length: u32, cookie: u64, out: u32) -> Answer {
        let descriptor = self.world.get(fd)?;
        let node = Rc::clone(descriptor.node()?);
        let entries = node.entries()?.borrow();
        if cookie == 0 {
            descriptor.listing = [".", ".."].map(|dots| (node.inode, DIRECTORY, dots.to_owned())).into();
            let named = entries.iter().map(|(name, node)| (node.inode, file_type(node), name.clone()));
            descriptor.listing.extend(named);
        }
        let room = length as usize;
        let mut bytes = Vec::new();
        for (next, (inode, kind, name)) in
            (1u64..).zip(&descriptor.listing).skip(usize::try_from(cookie).unwrap_or(usize::MAX))
        {
            if bytes.len() >= room {
                break;
            }
            let name_length = u32::try_from(name.len()).map_err(|_| Errno::NameTooLong)?;
            bytes.extend_from_slice(&next.to_le_bytes());
            bytes.extend_from_slice(&inode.to_le_bytes());
            bytes.extend_from_slice(&name_length.to_le_bytes());
            bytes.extend_from_slice(&[*kind, 0, 0, 0]);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.truncate(room);
        self.put(buffer, &bytes)?;
        Ok(self.put_u32(out, u32::try_from(bytes.len()).map_err(|_| Errno::TooBig)?)?)
    }

    fn fd_renumber(&mut self, from: u32, to: u32) -> Answer {
        self.world.get(from)?;
        self.world.get(to)?;
        self.world.descriptors[to as usize] = self.world.descriptors[from as usize].take();
        Ok(())
    }

    fn fd_seek(&mut self, fd: u32, delta: u64, whence: u32, out: u32) -> Answer {
        let descriptor = self.world.get(fd)?;
        let base = match whence {
            0 => 0,
            1 => descriptor.position,
            2 => descriptor.file()?.size(),
            _ => return Err(Errno::Invalid.into()),
        };
        descriptor.file()?;
        let position = base.checked_add_signed(delta.cast_signed()).ok_or(Errno::Invalid)?;
        descriptor.position = position;
        Ok(self.put_u64(out, position)?)
    }

    fn fd_tell(&mut self, fd: u32, out: u32) -> Answer {
        let descriptor = self.world.get(fd)?;
        descriptor.file()?;
        let position = descriptor.position;
        Ok(self.put_u64(out, position)?)
    }

    fn path_create_directory(&mut self, fd: u32, path: u32, length: u32) -> Answer {
        let path = self.text(path, length)?;
        Ok(self.world.place(fd, &path)?.create_folder()?)
    }

    fn path_filestat_get(&mut self, fd: u32, _: u32, path: u32, length: u32, out: u32) -> Answer {
        let path = self.text(path, length)?;
        let place = self.world.place(fd, &path)?;
        let node = place.existing()?;
        self.put_stat(out, node.inode, file_type(node), node.size())
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn path_filestat_set_times(&mut self, fd: u32, _: u32, path: u32, length: u32, _: u64, _: u64, _: u32) -> Answer {
        let path = self.text(path, length)?;
        let place = self.world.place(fd, &path)?;
        if place.existing()?.writable() { Ok(()) } else { Err(Errno::ReadOnly.into()) }
    }

    /// There are no links.
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn path_link(&mut self, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn path_open(
        &mut self,
        fd: u32,
        _: u32,
        path: u32,
        length: u32,
        flags: u32,
        base: u64,
        _: u64,
        fd_flags: u32,
        out: u32,
    ) -> Answer {
        const CREATE: u32 = 1;
        const FOLDER: u32 = 2;
        const EXCLUSIVE: u32 = 4;
        const TRUNCATE: u32 = 8;
        let set = |flag| flags & flag != 0;
        let (read, write) = (base & rights::READ != 0, base & rights::WRITE != 0);
        let path = self.text(path, length)?;
        let place = self.world.place(fd, &path)?;
        let node = match &place.node {
            Some(_) if set(CREATE) && set(EXCLUSIVE) => return Err(Errno::Exists.into()),
            Some(node) => {
                if set(FOLDER) && !node.is_folder() {
                    return Err(Errno::NotDirectory.into());
                }
                if node.is_folder() && (write || set(TRUNCATE)) {
                    return Err(Errno::IsDirectory.into());
                }
                if write && !node.writable() {
                    return Err(Errno::ReadOnly.into());
                }
                if set(TRUNCATE) {
                    node.set_size(0)?;
                }
                Rc::clone(node)
            }
            None if set(CREATE) && !set(FOLDER) => place.create_file()?,
            None => return Err(Errno::NoEntry.into()),
        };
        let file = match &node.kind {
            Kind::Input { path, .. } => {
                Some(File::open(path).map_err(|e| Stop::Halt(Halt::Host(format!("{}: {e}", path.display()))))?)
            }
            _ => None,
        };
        let append = fd_flags & 1 != 0;
        let descriptor = Descriptor { append, ..Descriptor::of(Open::Node(node, file), read, write) };
        let fd = self.world.install(descriptor)?;
        Ok(self.put_u32(out, fd)?)
    }

    fn path_readlink(&mut self, fd: u32, path: u32, length: u32, _: u32, _: u32, _: u32) -> Answer {
        let path = self.text(path, length)?;
        self.world.place(fd, &path)?.existing()?;
        Err(Errno::Invalid.into())
    }

    fn path_remove_directory(&mut self, fd: u32, path: u32, length: u32) -> Answer {
        let path = self.text(path, length)?;
        Ok(self.world.place(fd, &path)?.remove(true)?)
    }

    fn path_rename(&mut self, fd: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32) -> Answer {
        let (old, new) = (self.text(old, old_length)?, self.text(new, new_length)?);
        let from = self.world.place(fd, &old)?;
        let to = self.world.place(new_fd, &new)?;
        Ok(from.rename(&to)?)
    }

    fn path_symlink(&mut self, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    fn path_unlink_file(&mut self, fd: u32, path: u32, length: u32) -> Answer {
        let path = self.text(path, length)?;
        Ok(self.world.place(fd, &path)?.remove(false)?)
    }

    /// Files are always ready. Waiting moves the clock and takes no time.
    fn poll_oneoff(&mut self, subscriptions: u32, events: u32, count: u32, out: u32) -> Answer {
        if count == 0 || count > VECTORS {
            return Err(Errno::Invalid.into());
        }
        let now = self.world.clock_ns;
        // (user data, error, kind, time at which it is ready)
        let mut waits = Vec::new();
        for i in 0..count {
            let entry = offset(subscriptions, i, 48)?;
            let data = self.u64_at(entry)?;
            let [kind] = self.array(offset(entry, 1, 8)?)?;
            let (error, ready) = if kind == 0 {
                known_clock(self.u32_at(offset(entry, 1, 16)?)?)?;
                let timeout = self.u64_at(offset(entry, 1, 24)?)?;
                let absolute = self.u32_at(offset(entry, 1, 40)?)? & 1 != 0;
                (0, if absolute { timeout } else { now.saturating_add(timeout) })
            } else {
                let fd = self.u32_at(offset(entry, 1, 16)?)?;
                (self.world.get(fd).err().map_or(0, |e| e as u16), 0)
            };
            waits.push((data, error, kind, ready));
        }
        let first = waits.iter().map(|(.., ready)| *ready).min().unwrap_or(now);
        let now = now.max(first);
        self.world.clock_ns = now;
        let mut n = 0;
        for (data, error, kind, _) in waits.into_iter().filter(|(.., ready)| *ready <= now) {
            let mut event = [0; 32];
            event[..8].copy_from_slice(&data.to_le_bytes());
            event[8..10].copy_from_slice(&error.to_le_bytes());
            event[10] = kind;
            self.put(offset(events, n, 32)?, &event)?;
            n += 1;
        }
        Ok(self.put_u32(out, n)?)
    }

    fn proc_raise(&mut self, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "one shape for all calls")]
    fn sched_yield(&mut self) -> Answer {
        Ok(())
    }

    fn random_get(&mut self, buffer: u32, length: u32) -> Answer {
        let start = buffer as usize;
        let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
        let bytes = self.memory.get_mut(start..end).ok_or(Errno::Fault)?;
        self.world.random.fill(bytes);
        // Hashing costs more than moving.
        self.world.moved += 16 * u64::from(length);
        Ok(())
    }

    fn sock_accept(&mut self, _: u32, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    fn sock_recv(&mut self, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    fn sock_send(&mut self, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }

    fn sock_shutdown(&mut self, _: u32, _: u32) -> Answer {
        Err(Errno::NotSupported.into())
    }
}

/// Address of element `index` of an array of elements of `size` bytes.
fn offset(base: u32, index: u32, size: u32) -> Result<u32, Errno> {
    index.checked_mul(size).and_then(|n| base.checked_add(n)).ok_or(Errno::Fault)
}

/// Length with the closing zero byte.
fn string_length(string: &str) -> Result<u32, Errno> {
    u32::try_from(string.len() + 1).map_err(|_| Errno::TooBig)
}

/// Real, monotonic, process and thread time are one clock.
fn known_clock(clock: u32) -> Result<(), Errno> {
    if clock > 3 { Err(Errno::Invalid) } else { Ok(()) }
}
