//! What was traced so far, as a recording without a name, which the key `s` copies to one with a name.
//!
//! In a thread and a file of its own: tracing doesn't wait for a disk, and memtrace's memory does not
//! grow with time. Should the disk refuse, what came until then can be saved still, and the user is
//! told; tracing goes on.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::history::{Entry, Head};
use crate::recording::{Medium, Writer};
use crate::units::Bytes;

/// Windows that may wait for the disk: about a minute's.
const WAITING: usize = 64;

/// Recordings of one second.
const OF_A_SECOND: usize = 20;

enum Order {
    Add(Vec<Entry>),
    Save,
}

/// The thread that keeps what was traced.
pub(super) struct Spool {
    /// `None` once it was too slow.
    orders: Option<SyncSender<Order>>,
    said: UnboundedReceiver<String>,
    thread: JoinHandle<Vec<String>>,
}

impl Spool {
    pub(super) fn start(head: &Head) -> Result<Self> {
        let (orders, incoming) = sync_channel(WAITING);
        let (say, said) = unbounded_channel();
        let head = head.clone();
        let keeper = thread::Builder::new().name("spool".to_owned());
        let thread = keeper.spawn(move || keep(&head, &incoming, &say));
        Ok(Self { orders: Some(orders), said, thread: thread.context("a thread for saving")? })
    }

    /// Appends what a window brought. The second value is what the user should know.
    pub(super) fn add(&mut self, entries: Vec<Entry>) -> Option<String> {
        if entries.is_empty() { None } else { self.order(Order::Add(entries)) }
    }

    /// Saves all that was added. How that went, [`Spool::said`] tells.
    pub(super) fn save(&mut self) -> Option<String> {
        match &self.orders {
            Some(_) => self.order(Order::Save),
            None => Some("not saved: the disk was too slow for what was traced".to_owned()),
        }
    }

    fn order(&mut self, order: Order) -> Option<String> {
        let full = matches!(self.orders.as_ref()?.try_send(order), Err(TrySendError::Full(_)));
        full.then(|| {
            // With a gap in it, the rest could not be understood.
            self.orders = None;
            "the disk is too slow: nothing can be saved any more".to_owned()
        })
    }

    /// Something for the user; `None` when there will be nothing more.
    pub(super) async fn said(&mut self) -> Option<String> {
        self.said.recv().await
    }

    /// Ends it, once what was ordered is done. Gives what became of each recording.
    pub(super) fn close(self) -> Vec<String> {
        drop(self.orders);
        // A panic has been told by the hook; there is no recording to tell of then.
        self.thread.join().unwrap_or_default()
    }
}

/// Does what is ordered, until nobody orders any more.
fn keep(head: &Head, orders: &Receiver<Order>, say: &UnboundedSender<String>) -> Vec<String> {
    let mut saves = Vec::new();
    // Nobody listens when that fails: memtrace is ending.
    let say = |text: String| drop(say.send(text));
    let file = unnamed().context("a temporary file for what is traced");
    let mut trace = file.and_then(|file| TraceFile::begin(file, head));
    for order in orders {
        match (order, &mut trace) {
            (Order::Add(entries), Ok(trace)) => {
                if let Err(error) = trace.add(&entries) {
                    say(format!("what comes from now on can't be saved: {error:#}"));
                }
            }
            (Order::Add(_), Err(_)) => {}
            (Order::Save, trace) => {
                let saved = match trace {
                    Ok(trace) => trace.save(),
                    Err(error) => Err(anyhow!("{error:#}")),
                };
                let text = saved.unwrap_or_else(|error| format!("not saved: {error:#}"));
                say(text.clone());
                saves.push(text);
            }
        }
    }
    saves
}

/// A file without a name: gone when memtrace is, so it need not survive a power cut.
struct Unnamed(File);

impl Write for Unnamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Medium for Unnamed {
    fn make_durable(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.0.cut_to(length)
    }
}

/// The recording without a name.
struct TraceFile {
    writer: Writer<Unnamed>,
    /// To read from.
    file: File,
    /// Why nothing more comes.
    broken: Option<String>,
}

impl TraceFile {
    fn begin(file: File, head: &Head) -> Result<Self> {
        let writer = Writer::begin(Unnamed(file.try_clone()?), head)?;
        Ok(Self { writer, file, broken: None })
    }

    /// Appends entries; after an error, nothing.
    fn add(&mut self, entries: &[Entry]) -> Result<()> {
        if self.broken.is_some() {
            return Ok(());
        }
        let added = entries.iter().try_for_each(|entry| self.writer.add(entry));
        let added = added.and_then(|()| self.writer.flush());
        if let Err(error) = &added {
            self.broken = Some(error.to_string());
        }
        Ok(added?)
    }

    /// Copies it to a new file in the working directory. Gives what the user is told.
    fn save(&self) -> Result<String> {
        let (name, file) = new_file(SystemTime::now())?;
        match self.copy_to(&file) {
            Ok(bytes) => {
                let size = Bytes(bytes.cast_signed());
                Ok(match &self.broken {
                    None => format!("saved as {name} ({size})"),
                    Some(why) => format!("saved as {name} ({size}), but not all of it: {why}"),
                })
            }
            Err(error) => {
                // What is there is no recording.
                let removed = fs::remove_file(&name);
                let left =
                    if removed.is_ok() { "" } else { ", and what is there can't be removed" };
                Err(error).with_context(|| format!("{name}{left}"))
            }
        }
    }

    /// Returns how many bytes it has.
    fn copy_to(&self, mut to: &File) -> Result<u64> {
        let end_mark = self.writer.end_mark()?;
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let count = self.file.read_at(&mut buffer, at)?;
            if count == 0 {
                break;
            }
            to.write_all(&buffer[..count])?;
            at += count as u64;
        }
        to.write_all(&end_mark)?;
        to.sync_all()?;
        Ok(at + end_mark.len() as u64)
    }
}

/// Where a file may become large: `/tmp` is memory on many machines.
fn unnamed() -> io::Result<File> {
    if env::var_os("TMPDIR").is_some() {
        return tempfile::tempfile();
    }
    tempfile::tempfile_in("/var/tmp").or_else(|_| tempfile::tempfile())
}

/// A file that was not there before, named by the time.
fn new_file(now: SystemTime) -> Result<(String, File)> {
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    let mut number = 1;
    loop {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        let name = format!("memtrace-{time}{again}.memtrace");
        match File::create_new(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < OF_A_SECOND => {
                number += 1;
            }
            file => return file.map(|file| (name.clone(), file)).context(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use super::*;
    use crate::history::entry::Names;
    use crate::recording::{Reader, Stop};

    fn entry(text: &str) -> [Entry; 1] {
        [Entry::Names(Names { texts: vec![text.to_owned()], ..Names::default() })]
    }

    #[test]
    fn a_disk_that_refuses_is_told_once_and_what_came_before_can_be_saved() {
        let head = Head { started_at: SystemTime::now(), kernel: "6.18.0".to_owned(), exact: true };
        let file = File::from(memfd_create(c"full", MemfdFlags::ALLOW_SEALING).unwrap());
        let disk = file.try_clone().unwrap();
        let mut trace = TraceFile::begin(file, &head).unwrap();
        trace.add(&entry("before")).unwrap();
        fcntl_add_seals(&disk, SealFlags::GROW).unwrap();
        let error = trace.add(&entry("after")).unwrap_err().to_string();
        assert!(error.contains("not permitted"), "{error}");
        trace.add(&entry("after")).unwrap();

        let mut copy = tempfile::tempfile().unwrap();
        let bytes = trace.copy_to(&copy).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), bytes);
        copy.rewind().unwrap();
        let mut reader = Reader::open(copy).unwrap();
        assert_eq!(reader.by_ref().collect::<Vec<_>>(), entry("before"));
        assert!(matches!(reader.stop(), Some(Stop::Unfinished { .. })), "{:?}", reader.stop());
    }
}
