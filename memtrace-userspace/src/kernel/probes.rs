//! Loading, attaching, asking, letting go.

use std::io::Read as _;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, RingBuf};
use aya::programs::{Iter, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, Pod};
use aya_log::EbpfLogger;
use memtrace_common::event::Growth;
use memtrace_common::layout::PyLayout;
use memtrace_common::limits::WAKE_EVERY;
use memtrace_common::recognise::{FileKey, FileLayout, Image};
use memtrace_common::settings::{
    CLOSED, COUNTERS, KernelLayout, Process, REQUEST_ATTACH, REQUEST_BIND, REQUEST_CLOSE,
    REQUEST_CLOSE_ANYWAY, REQUEST_CONFIGURE, REQUEST_SETTLE, REQUEST_THIN, REQUEST_WATCHED,
    Request, Space, Tally, Thread,
};

mod calls;
mod learn;

use super::btf::{BtfError, KernelTypes};
use super::descriptors::{self, Reserve};
use super::faults;
use super::files::{self, ImageTable};
use super::lens::LensMaps;
use super::multi::MultiPrograms;
use super::object::Object;
use super::offsets;
use super::programs::{self, TRACEPOINTS};
use super::ring::Ring;
use crate::machine::{HERE, Machine};

mod machine;

/// Where the kernel describes its own types.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What can go wrong between memtrace and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// BTF can't be read.
    #[error(
        "{KERNEL_BTF} can't be read: {0}; memtrace needs a kernel built with CONFIG_DEBUG_INFO_BTF"
    )]
    NoBtf(std::io::Error),
    /// BTF lacks something.
    #[error("{0}; memtrace does not know this kernel")]
    Btf(#[from] BtfError),
    /// BTF that aya can't read.
    #[error("the kernel's BTF: {0}")]
    AyaBtf(#[from] aya::BtfError),
    /// The object doesn't load.
    #[error("the eBPF object does not load: {0}")]
    Load(#[from] aya::EbpfError),
    /// A program doesn't load or attach.
    #[error("eBPF program `{name}`: {source}")]
    Program {
        /// Which.
        name: &'static str,
        /// Why.
        source: aya::programs::ProgramError,
    },
    /// A map operation failed.
    #[error("eBPF map `{name}`: {source}")]
    Map {
        /// Which.
        name: &'static str,
        /// Why.
        source: aya::maps::MapError,
    },
    /// The object and this program don't belong together.
    #[error("the eBPF object has no `{0}`: rebuild it with `cargo xtask ebpf`")]
    Absent(&'static str),
    /// The iterator or the ring buffer failed.
    #[error("{what}: {source}")]
    Io {
        /// Doing what.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// What the caller may choose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Size of the ring buffer in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Send where threads are in native code.
    pub native: bool,
    /// Kernel-side diagnostics (aya-log).
    pub verbose: bool,
    /// With the allocator lens.
    pub lens: bool,
}

/// A `T` that can cross into a map.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Crossing<T: Copy>(pub(super) T);

// SAFETY: the types of memtrace-common are `#[repr(C)]`, `Copy`, integers only, without padding.
unsafe impl<T: Copy + 'static> Pod for Crossing<T> {}

pub(super) type Table<K, V> = HashMap<MapData, K, Crossing<V>>;

/// A process that is traced from now on.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Key of its space.
    pub mm: u64,
    /// Number of its space.
    pub space: u32,
    /// Counters when recording began.
    pub pages: [i64; COUNTERS],
}

/// How often a process is asked to end in a moment without a change under way, and the pause after
/// each time: a thread that was interrupted in the middle of one needs its turn.
const CLOSE_LOOKS: u32 = 40;
const CLOSE_PAUSE: Duration = Duration::from_micros(250);

/// The loaded kernel side.
pub struct Probes {
    pub(super) ebpf: Ebpf,
    spaces: Table<u64, Space>,
    processes: Table<u32, Process>,
    requests: Table<u32, Request>,
    threads: Table<u32, Thread>,
    calls: Table<calls::Code, u64>,
    images: ImageTable,
    untold_ends: Table<u32, Tally>,
    reserve: Option<Reserve>,
    /// Changes of RSS wait in tasks (before Linux 6.2).
    keeps_waiting: bool,
    next_space: Array<MapData, u64>,
    pub(super) lens: Option<LensMaps>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

pub(super) fn map_error(name: &'static str) -> impl Fn(aya::maps::MapError) -> KernelError {
    move |source| KernelError::Map { name, source }
}

pub(super) fn program_error(
    name: &'static str,
) -> impl Fn(aya::programs::ProgramError) -> KernelError {
    move |source| KernelError::Program { name, source }
}

pub(super) fn io_error(what: &'static str) -> impl Fn(std::io::Error) -> KernelError {
    move |source| KernelError::Io { what, source }
}

impl Probes {
    /// Loads the object and its programs. Nothing is attached yet.
    ///
    /// # Errors
    ///
    /// [`KernelError`]: what failed and, where there is one, the mend.
    pub fn load(options: &Options) -> Result<(Self, Ring), KernelError> {
        let data = std::fs::read(KERNEL_BTF).map_err(KernelError::NoBtf)?;
        let cpus =
            aya::util::nr_cpus().map_err(|(what, source)| KernelError::Io { what, source })?;
        // Wake well before small buffers are full, too.
        let quarter = options.ring_bytes / 4 / (size_of::<Growth>() as u32 + 8);
        let wake_every = WAKE_EVERY.min((quarter / 2).max(1).next_power_of_two());
        let types = KernelTypes::parse(&data)?;
        let layout = offsets::read(&types, cpus as u32, wake_every)?;
        let files: Crossing<FileLayout> = Crossing(files::offsets(&types));
        let object = Object::linked(offsets::rdonly_cast(&types));
        let many = MultiPrograms::are_known(&types);
        drop(types);
        drop(data);
        let btf = Btf::from_sys_fs()?;
        let kernel: Crossing<KernelLayout> = Crossing(layout);
        let native = u32::from(options.native);
        let mut loader = EbpfLoader::new();
        loader
            .btf(Some(&btf))
            .override_global("KERNEL", &kernel, true)
            .override_global("NATIVE", &native, true)
            .override_global("FILES", &files, true)
            .map_max_entries("EVENTS", options.ring_bytes);
        if options.lens {
            LensMaps::enlarge(&mut loader);
        }
        let mut ebpf = loader.load(object.bytes())?;
        // Before the logger takes its map.
        let lens = if options.lens {
            Some(LensMaps::load(&mut ebpf, object.bytes(), many)?)
        } else {
            None
        };
        let logger = if options.verbose { EbpfLogger::init(&mut ebpf).ok() } else { None };
        programs::load(&mut ebpf, &btf)?;
        let ring =
            RingBuf::try_from(take_map(&mut ebpf, "EVENTS")?).map_err(map_error("EVENTS"))?;
        let mut this = Self {
            spaces: table(&mut ebpf, "SPACES")?,
            processes: table(&mut ebpf, "PROCESSES")?,
            requests: table(&mut ebpf, "REQUESTS")?,
            threads: table(&mut ebpf, "THREADS")?,
            calls: table(&mut ebpf, "EVALUATIONS")?,
            images: table(&mut ebpf, "IMAGES")?,
            untold_ends: table(&mut ebpf, "UNTOLD_ENDS")?,
            reserve: Reserve::new(),
            keeps_waiting: layout.task_waiting != 0,
            next_space: Array::try_from(take_map(&mut ebpf, "NEXT_SPACE")?)
                .map_err(map_error("NEXT_SPACE"))?,
            lens,
            ebpf,
            logger,
        };
        this.next_space.set(0, 1, 0).map_err(map_error("NEXT_SPACE"))?;
        if layout.task_waiting == 0 {
            this.locate_cpus(cpus)?;
        }
        if HERE == Machine::X86_64 && layout.counter_type != 0 {
            this.find_ram()?;
        }
        Ok((this, Ring::new(ring).map_err(io_error("waiting for the ring buffer"))?))
    }

    /// Attaches the tracepoints. From now on targets are recorded.
    ///
    /// # Errors
    ///
    /// [`KernelError::Program`] with the one that doesn't attach.
    pub fn attach(&mut self) -> Result<(), KernelError> {
        faults::attach(&mut self.ebpf)?;
        for name in TRACEPOINTS {
            let program = raw_tracepoint(&mut self.ebpf, name)?;
            program.attach(name).map_err(program_error(name))?;
        }
        Ok(())
    }

    /// Runs a task iterator over all tasks. Where no descriptor is left for it, those in reserve are used.
    fn iterate(&mut self, name: &'static str) -> Result<(), KernelError> {
        let done = self.iterate_once(name);
        if done.is_ok() || !descriptors::are_out() {
            return done;
        }
        self.reserve = None;
        let done = self.iterate_once(name);
        self.reserve = Reserve::new();
        done
    }

    fn iterate_once(&mut self, name: &'static str) -> Result<(), KernelError> {
        let program: &mut Iter = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Absent(name))?
            .try_into()
            .map_err(program_error(name))?;
        let id = program.attach().map_err(program_error(name))?;
        let link = program.take_link(id).map_err(program_error(name))?;
        let mut file = link.into_file().map_err(|error| KernelError::Io {
            what: "opening the task iterator",
            source: std::io::Error::other(error),
        })?;
        file.read_to_end(&mut Vec::new()).map_err(io_error("running the task iterator"))?;
        Ok(())
    }

    /// Puts one request per process to the kernel side and tells which were done.
    fn ask(&mut self, requests: &[(u32, Request)]) -> Result<Vec<Request>, KernelError> {
        for (pid, request) in requests {
            self.requests.insert(pid, Crossing(*request), 0).map_err(map_error("REQUESTS"))?;
        }
        self.iterate("attend")?;
        let mut answers = Vec::with_capacity(requests.len());
        for (pid, _) in requests {
            let answer = self.requests.get(pid, 0).map_err(map_error("REQUESTS"))?;
            answers.push(answer.0);
            self.requests.remove(pid).map_err(map_error("REQUESTS"))?;
        }
        Ok(answers)
    }

    /// Begins to trace a process; returns its space with the counters of this moment, or `None`
    /// when the process is gone.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn begin(
        &mut self,
        pid: u32,
        layout: &PyLayout,
        follow: bool,
    ) -> Result<Option<Begun>, KernelError> {
        let id = self.next_space.get(&0, 0).map_err(map_error("NEXT_SPACE"))?;
        self.next_space.set(0, id + 1, 0).map_err(map_error("NEXT_SPACE"))?;
        let request = Request {
            space: id as u32,
            follow: u32::from(follow),
            layout: *layout,
            ..Request::of(REQUEST_ATTACH)
        };
        let answers = self.ask(&[(pid, request)])?;
        let Some(answer) = answers.first().filter(|answer| answer.done == 1) else {
            return Ok(None);
        };
        let process = self.processes.get(&pid, 0).map_err(map_error("PROCESSES"))?.0;
        Ok(Some(Begun { mm: process.mm, space: id as u32, pages: answer.pages }))
    }

    /// Announces a process that memtrace itself is about to let `exec`: its space begins there.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn expect_exec(&mut self, pid: u32, follow: bool) -> Result<(), KernelError> {
        let process = Process { mm: 0, space: 0, follow: u32::from(follow) };
        self.processes.insert(pid, Crossing(process), 0).map_err(map_error("PROCESSES"))
    }

    /// Gives a recognised interpreter's layout to a space that is already traced. `false` when
    /// the process is gone or is another one by now.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn configure(
        &mut self,
        pid: u32,
        space: u32,
        layout: &PyLayout,
    ) -> Result<bool, KernelError> {
        let request = Request { space, layout: *layout, ..Request::of(REQUEST_CONFIGURE) };
        Ok(self.ask(&[(pid, request)])?.iter().all(|answer| answer.done == 1))
    }

    /// A probe tells of the space's dying code objects from now on.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn code_is_watched(&mut self, pid: u32, space: u32) -> Result<bool, KernelError> {
        let request = Request { space, ..Request::of(REQUEST_WATCHED) };
        Ok(self.ask(&[(pid, request)])?.iter().all(|answer| answer.done == 1))
    }

    /// Has the stacks of spaces walked for one in two to the power of so many of their changes: by
    /// process, its space and that power. A space that its process has left stays as it is.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn thin(&mut self, spaces: &[(u32, u32, u32)]) -> Result<(), KernelError> {
        let request = |(pid, space, thin): &(u32, u32, u32)| {
            (*pid, Request { space: *space, thin: *thin, ..Request::of(REQUEST_THIN) })
        };
        self.ask(&spaces.iter().map(request).collect::<Vec<_>>()).map(drop)
    }

    /// Has told what waits in the tasks of processes, on kernels where changes of RSS do.
    fn settle(&mut self, pids: impl Iterator<Item = u32>) -> Result<(), KernelError> {
        if !self.keeps_waiting {
            return Ok(());
        }
        let requests: Vec<_> = pids.map(|pid| (pid, Request::of(REQUEST_SETTLE))).collect();
        self.ask(&requests).map(drop)
    }

    /// Lets go of processes: their counters of this moment are final, and nothing more is
    /// recorded of them.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn close(&mut self, pids: &[u32]) -> Result<(), KernelError> {
        self.settle(pids.iter().copied())?;
        let mut left = pids.to_vec();
        for look in 0..=CLOSE_LOOKS {
            let kind = if look < CLOSE_LOOKS { REQUEST_CLOSE } else { REQUEST_CLOSE_ANYWAY };
            let requests: Vec<_> = left.iter().map(|pid| (*pid, Request::of(kind))).collect();
            let answers = self.ask(&requests)?;
            let open = answers.iter().map(|answer| answer.done == 0);
            left =
                left.into_iter().zip(open).filter_map(|(pid, open)| open.then_some(pid)).collect();
            if left.is_empty() {
                break;
            }
            std::thread::sleep(CLOSE_PAUSE);
        }
        Ok(())
    }

    /// The kernel side recognises this interpreter from now on, wherever it is mapped.
    pub fn teach(&mut self, file: FileKey, image: Image) {
        files::teach(&mut self.images, file, image);
    }

    /// What the kernel side knows of the space at `mm`, if it is still space `id`.
    #[must_use]
    pub fn space(&self, mm: u64, id: u32) -> Option<Space> {
        self.spaces.get(&mm, 0).ok().map(|space| space.0).filter(|space| space.id == id)
    }

    /// What a space came to whose place is another's by now.
    #[must_use]
    pub fn untold_end(&self, id: u32) -> Option<Tally> {
        self.untold_ends.get(&id, 0).ok().map(|tally| tally.0)
    }

    /// Forgets a space that has ended, to make room.
    pub fn forget(&mut self, mm: u64, id: u32) {
        if self.space(mm, id).is_some_and(|space| space.state == CLOSED) {
            // Gone already is as good.
            let _ = self.spaces.remove(&mm);
        }
    }

    /// Tells the kernel side a thread's state, as the frame-evaluation probe would.
    ///
    /// Where changes wait in threads, the task iterator does it, which goes through all tasks each time: rewriting the
    /// entry from here could have what waits told twice. Elsewhere nothing in an entry is lost by that.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when the kernel side can't be asked.
    pub fn bind(&mut self, pid: u32, tid: u32, tstate: u64) -> Result<(), KernelError> {
        if self.keeps_waiting {
            let request = Request { tid, bound: tstate, ..Request::of(REQUEST_BIND) };
            return self.ask(&[(pid, request)]).map(drop);
        }
        let known = self.threads.get(&tid, 0).map_or_else(|_| Thread::default(), |it| it.0);
        let bound = Thread { bound: tstate, ..known };
        self.threads.insert(tid, Crossing(bound), 0).map_err(map_error("THREADS"))
    }

    /// Whether the frame-evaluation probe has seen this thread.
    #[must_use]
    pub fn is_bound(&self, tid: u32) -> bool {
        self.threads.get(&tid, 0).is_ok_and(|thread| thread.0.bound != 0)
    }

    /// Passes the kernel side's diagnostics on to `tracing`.
    pub fn log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// The maps of the allocator lens, where it was asked for.
    pub fn lens(&mut self) -> Option<&mut LensMaps> {
        self.lens.as_mut()
    }
}

pub(super) fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Absent(name))
}

pub(super) fn table<K: Pod, V: Copy + 'static>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<Table<K, V>, KernelError> {
    HashMap::try_from(take_map(ebpf, name)?).map_err(map_error(name))
}

pub(super) fn raw_tracepoint<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, KernelError> {
    ebpf.program_mut(name).ok_or(KernelError::Absent(name))?.try_into().map_err(program_error(name))
}
