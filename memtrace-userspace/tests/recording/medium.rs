//! Media that refuse: what was written before stays a recording, and says why it ends.

use std::io::{self, Write};

use memtrace::history::Entry;
use memtrace::recording::{Medium, Saved, Stop, WriteError, Writer};

use super::build::{self, Course};
use super::{read, recorded};

/// A disk with room for so many bytes.
struct Disk {
    room: usize,
    bytes: Vec<u8>,
    /// Refuses to make anything durable from this call on.
    syncs: usize,
}

impl Write for Disk {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let fits = more.len().min(self.room - self.bytes.len());
        if fits == 0 && !more.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(&more[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Medium for Disk {
    fn make_durable(&mut self) -> io::Result<()> {
        if self.syncs == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.syncs -= 1;
        Ok(())
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(length as usize);
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if self.bytes.len() as u64 + bytes > self.room as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// Records until the disk refuses: what it holds then, what was flushed and made durable before,
/// and what the writer says is saved.
fn record_on(disk: &mut Disk, entries: &[Entry]) -> Result<(usize, usize, Saved), WriteError> {
    let mut writer = Writer::begin(disk, &build::head())?;
    let (mut flushed, mut durable) = (0, 0);
    let mut record = || -> Result<(), WriteError> {
        for (number, entry) in (1..).zip(entries) {
            writer.add(entry)?;
            if matches!(entry, Entry::Window(_)) {
                writer.flush()?;
                flushed = number;
                writer.make_durable()?;
                durable = number;
            }
        }
        writer.flush()
    };
    match record() {
        Ok(()) => panic!("the disk is too large for this test"),
        Err(WriteError::Medium { saved, .. }) => {
            assert!(matches!(writer.add(&entries[0]), Err(WriteError::Over)));
            Ok((flushed, durable, saved))
        }
        Err(other) => Err(other),
    }
}

#[test]
fn a_full_disk_leaves_a_recording_of_all_that_was_flushed() {
    let entries = Course::entries(11, 40);
    let whole = recorded(&entries).len();
    for room in (0..whole - 60).step_by(5) {
        let mut disk = Disk { room, bytes: Vec::new(), syncs: usize::MAX };
        let Ok((flushed, _, saved)) = record_on(&mut disk, &entries) else {
            assert!(room < 400, "no room for a beginning: {room}");
            assert!(disk.bytes.is_empty(), "half a header is no recording");
            continue;
        };
        let (back, stop) = read(&disk.bytes);
        assert_eq!(back, entries[..flushed], "room for {room}");
        assert_eq!(saved.bytes, disk.bytes.len() as u64);
        assert_eq!(saved.entries, flushed as u64);
        let windows = back.iter().filter(|entry| matches!(entry, Entry::Window(_))).count();
        assert_eq!(saved.windows, windows as u64);
        // There is always room to say why.
        assert!(
            matches!(&stop, Stop::Abandoned { why } if why == "no storage space"),
            "room for {room}: {stop}"
        );
    }
}

#[test]
fn what_could_not_be_made_durable_is_not_claimed() {
    let entries = Course::entries(12, 80);
    for syncs in 1..20 {
        let mut disk = Disk { room: usize::MAX, bytes: Vec::new(), syncs };
        let (flushed, durable, saved) = record_on(&mut disk, &entries).unwrap();
        assert!(durable < flushed, "it was the last window that failed");
        let (back, stop) = read(&disk.bytes);
        assert_eq!(back, entries[..durable], "{syncs}");
        assert_eq!(saved.entries, durable as u64);
        // The mark could not be made durable either, so it isn't there.
        assert!(matches!(stop, Stop::Unfinished { .. }), "{stop}");
    }
    let mut disk = Disk { room: usize::MAX, bytes: Vec::new(), syncs: 0 };
    assert!(record_on(&mut disk, &entries).is_err());
}

#[test]
fn the_error_says_what_was_saved() {
    let saved = Saved { bytes: 4096, entries: 20, windows: 17 };
    let error = WriteError::Medium { error: io::ErrorKind::StorageFull.into(), saved };
    assert_eq!(
        error.to_string(),
        "writing the recording: no storage space; 17 windows (4096 bytes) are saved"
    );
}
