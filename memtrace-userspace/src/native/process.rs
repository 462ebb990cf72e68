//! One process's code: which file lies where, and what a snapshot of a thread's stack says.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use framehop::Unwinder;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use memtrace_common::native::Native;
use tracing::debug;

use super::file::NativeFile;
use super::files::NativeFiles;
use super::limits::{MAX_ADDRESSES, MAX_DEBUG_BYTES, MAX_NATIVE_FRAMES};
use super::sections::Bytes;
use crate::ledger::{Calls, StackKey};
use crate::profile::NativeFrame;
use crate::python::Mappings;

/// What is known of a process's mappings is renewed at most this often for code that isn't known,
/// and for all else when it is older than this.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_secs(1);

/// A piece of a process's memory with code.
#[derive(Clone)]
struct Place {
    range: Range<u64>,
    /// The mapping's file offset and inode: another file there is another place.
    mapped: (u64, u64),
    /// The file, and what the process adds to its addresses; `None` for code that programs make.
    file: Option<(Rc<NativeFile>, u64)>,
}

/// What an address stands for.
enum Meaning {
    /// Functions of a file, or code that programs make.
    Code(Option<(Rc<NativeFile>, u64)>),
    /// CPython's frame evaluation.
    Evaluation,
}

/// The code of one process.
pub struct NativeProcess {
    pid: u32,
    /// By address.
    places: Vec<Place>,
    unwinder: UnwinderX86_64<Bytes>,
    cache: CacheX86_64,
    meanings: HashMap<u64, Meaning>,
    /// Whether unwinding from an address comes to an end.
    ends: HashMap<u64, bool>,
    /// Frames of addresses that were named.
    names: HashMap<u64, Rc<[Arc<NativeFrame>]>>,
    /// Other code may lie at the same addresses.
    generation: u32,
    /// Stacks whose frames are wanted.
    wanted: Vec<(StackKey, Calls)>,
    /// Those that were named already.
    named: Vec<(StackKey, Vec<Arc<NativeFrame>>)>,
    looked: Option<Instant>,
}

impl NativeProcess {
    /// A process whose code was not looked at yet.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            places: Vec::new(),
            unwinder: UnwinderX86_64::new(),
            cache: CacheX86_64::new(),
            meanings: HashMap::new(),
            ends: HashMap::new(),
            names: HashMap::new(),
            generation: 0,
            wanted: Vec::new(),
            named: Vec::new(),
            looked: None,
        }
    }

    /// A child, which has its parent's code at first.
    #[must_use]
    pub fn forked(&self, pid: u32) -> Self {
        Self { places: self.places.clone(), unwinder: self.unwinder.clone(), ..Self::new(pid) }
    }

    /// A process that has this file at `range`, and of which nothing else is known, since there is none: for who
    /// tries what a file says. `None` when it is no ELF file with code there.
    #[must_use]
    pub fn of_file(file: File, path: &Path, root: &Path, range: Range<u64>) -> Option<Self> {
        let file = NativeFile::read(file, path, root, Rc::new(Cell::new(MAX_DEBUG_BYTES)))?;
        let bias = file.bias(range.start, 0)?;
        let mut process = Self::new(0);
        process.have(vec![Place { range, mapped: (0, 0), file: Some((Rc::new(file), bias)) }]);
        Some(process)
    }

    /// Looks at what is mapped now. A process that has ended keeps what was known of it.
    pub fn look(&mut self, files: &mut NativeFiles) {
        self.looked = Some(Instant::now());
        let Ok(mappings) = Mappings::of(self.pid) else { return };
        let mut places = Vec::new();
        for mapping in mappings.iter().filter(|mapping| mapping.executable) {
            let (range, mapped) = (mapping.range(), (mapping.offset, mapping.inode));
            let same = |place: &&Place| place.range == range && place.mapped == mapped;
            if let Some(known) = self.places.iter().find(same) {
                places.push(known.clone());
                continue;
            }
            let file = if mapping.is_file() { files.get(self.pid, mapping) } else { None };
            let file = file.and_then(|file| {
                let bias = file.bias(mapping.start, mapping.offset)?;
                Some((file, bias))
            });
            places.push(Place { range, mapped, file });
        }
        if places.is_empty() {
            return;
        }
        let keys = |places: &[Place]| -> Vec<_> {
            places.iter().map(|place| (place.range.start, place.range.end, place.mapped)).collect()
        };
        if keys(&places) == keys(&self.places) {
            return;
        }
        let gone = self.places.iter().any(|old| {
            !places.iter().any(|new| new.range == old.range && new.mapped == old.mapped)
        });
        if gone {
            self.forget();
            self.generation += 1;
        }
        debug!("process {}: {} pieces of code", self.pid, places.len());
        self.have(places);
    }

    fn have(&mut self, places: Vec<Place>) {
        self.places = places;
        self.unwinder = UnwinderX86_64::new();
        self.cache = CacheX86_64::new();
        for place in &self.places {
            if let Some((file, bias)) = &place.file {
                self.unwinder.add_module(file.tables.module(place.range.clone(), *bias));
            }
        }
    }

    /// Forgets what addresses stand for, once those that are wanted have their names.
    fn forget(&mut self) {
        self.name_wanted();
        self.meanings.clear();
        self.ends.clear();
        self.names.clear();
    }

    /// The native calls of a snapshot, as far as they were made by the innermost Python frame: up to
    /// CPython's frame evaluation, or to the thread's beginning.
    pub fn calls(&mut self, head: &Native, stack: &[u8], files: &mut NativeFiles) -> Calls {
        if self.meanings.len().max(self.ends.len()) > MAX_ADDRESSES {
            // Programs that make code at run time come to new addresses for ever.
            self.forget();
        }
        let age = self.looked.map(|at| at.elapsed());
        if age.is_none_or(|age| age > LATEST) {
            self.look(files);
        }
        let mut addresses = self.addresses(head, stack);
        let is_unknown = |address: &u64| self.place(*address).is_none();
        if addresses.iter().any(is_unknown) && age.is_some_and(|age| age > SOONEST) {
            self.look(files);
            addresses = self.addresses(head, stack);
        }
        let mut is_code = |address: &u64| matches!(self.meaning(*address), Some(Meaning::Code(_)));
        let end = addresses.iter().position(|address| !is_code(address));
        addresses.truncate(end.unwrap_or(addresses.len()));
        Calls { generation: self.generation, addresses: addresses.into() }
    }

    /// The frames of these calls are wanted ([`NativeProcess::take_named`]).
    pub fn want(&mut self, stack: StackKey, calls: Calls) {
        self.wanted.push((stack, calls));
    }

    /// The frames of all calls that were wanted, leaf first.
    pub fn take_named(&mut self) -> Vec<(StackKey, Vec<Arc<NativeFrame>>)> {
        self.name_wanted();
        std::mem::take(&mut self.named)
    }

    fn name_wanted(&mut self) {
        for (stack, calls) in std::mem::take(&mut self.wanted) {
            let mut frames = Vec::new();
            for address in calls.addresses.iter() {
                frames.extend(self.frames(*address).iter().cloned());
            }
            frames.truncate(MAX_NATIVE_FRAMES);
            self.named.push((stack, frames));
        }
    }

    /// The chain of calls, leaf first, each by an address inside of the call.
    fn addresses(&mut self, head: &Native, stack: &[u8]) -> Vec<u64> {
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(head.sp).ok_or(())?).map_err(drop)?;
            let bytes = stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
            Ok(u64::from_le_bytes(bytes.try_into().map_err(drop)?))
        };
        let registers = UnwindRegsX86_64::new(head.ip, head.sp, head.bp);
        let mut calls = self.unwinder.iter_frames(head.ip, registers, &mut self.cache, &mut read);
        let mut addresses = Vec::new();
        while let Ok(Some(frame)) = calls.next() {
            let address = frame.address_for_lookup();
            addresses.push(address);
            let ends = || {
                let file = place(&self.places, address).and_then(|place| place.file.as_ref());
                file.is_none_or(|(file, bias)| file.tables.ends_at(address.wrapping_sub(*bias)))
            };
            if addresses.len() == MAX_NATIVE_FRAMES
                || !*self.ends.entry(address).or_insert_with(ends)
            {
                break;
            }
        }
        addresses
    }

    fn place(&self, address: u64) -> Option<&Place> {
        place(&self.places, address)
    }

    /// What an address stands for; `None` where no code is.
    fn meaning(&mut self, address: u64) -> Option<&Meaning> {
        if !self.meanings.contains_key(&address) {
            let file = self.place(address)?.file.clone();
            let file = file.map(|(file, bias)| (file, address.wrapping_sub(bias)));
            let evaluates = file.as_ref().is_some_and(|(file, inside)| file.evaluates(*inside));
            let meaning = if evaluates { Meaning::Evaluation } else { Meaning::Code(file) };
            self.meanings.insert(address, meaning);
        }
        self.meanings.get(&address)
    }

    /// The functions at an address, the innermost inlined one first.
    fn frames(&mut self, address: u64) -> Rc<[Arc<NativeFrame>]> {
        if let Some(known) = self.names.get(&address) {
            return Rc::clone(known);
        }
        let frames = match self.meaning(address) {
            Some(Meaning::Code(Some((file, inside)))) => file.frames(*inside),
            Some(Meaning::Code(None)) => vec![Arc::new(NativeFrame {
                function: "[code made at run time]".to_owned(),
                library: String::new(),
                file: String::new(),
                line: 0,
            })],
            Some(Meaning::Evaluation) | None => Vec::new(),
        };
        let frames: Rc<[_]> = frames.into();
        self.names.insert(address, Rc::clone(&frames));
        frames
    }
}

fn place(places: &[Place], address: u64) -> Option<&Place> {
    let after = places.partition_point(|place| place.range.start <= address);
    places[..after].last().filter(|place| place.range.contains(&address))
}
