//! Inputs that fuzzers begin with: what interpreters, the kernel and linkers make, in small.

/// CPython's own tables of `def f(x):\n  y = x\n  return (y +\n   1)` and of a loop, by format.
pub(crate) fn line_tables() -> Vec<Vec<u8>> {
    let table = |kind: u8, first: i32, bytes: &[u8]| {
        let mut input = vec![kind];
        input.extend(first.to_le_bytes());
        input.extend(bytes);
        input
    };
    vec![
        table(0, 1, &[0, 1, 4, 1, 4, 1, 2, 255]),
        table(0, 100, &[0, 1, 255, 0, 45, 127, 0, 127, 6, 129, 0, 128]),
        table(1, 1, &[0, 0, 4, 1, 6, 1, 4, 255, 2, 128]),
        table(1, i32::MAX - 1, &[254, 127, 254, 127, 8, 1]),
        table(
            2,
            1,
            &[
                0x80, 0x00, 0xd8, 0x08, 0x09, 0x80, 0x41, 0xd8, 0x0c, 0x0d, 0xf8, 0xf0, 0x7e, 0x7f,
                0x3f, 0x3f, 0x3f, 0x01, 0x02, 0x03, 0xe8, 0x41, 0x00, 0xff, 0x7f,
            ],
        ),
        table(2, i32::MIN, &[0xf0, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x01, 0xe9, 0x7f]),
        table(2, 0, &[]),
    ]
}

/// Memory in which words point at one another: every object is at a multiple of eight of 4 KiB.
pub(crate) fn memories() -> Vec<Vec<u8>> {
    let memory = |choice: u8, place: u8, word: &dyn Fn(u64) -> u64| {
        let mut input = vec![choice, place];
        input.extend((0..512u64).flat_map(|at| word(at).to_le_bytes()));
        input
    };
    let mut all = Vec::new();
    for version in 0..8u8 {
        // Each word points to the next one, and so every chain is long.
        all.push(memory(version, 1, &|at| (at + 1) * 8));
    }
    // Every chain is a circle.
    all.push(memory(5, 0, &|_| 0));
    all.push(memory(0x83, 2, &|_| 64));
    // Small numbers, sizes of strings and bits of their state among pointers.
    all.push(memory(3, 3, &|at| if at % 3 == 0 { 0xe4 } else { at * 8 }));
    all.push(memory(6, 4, &|at| if at % 2 == 0 { u64::MAX >> (at % 64) } else { at * 8 }));
    all.push(vec![0, 0]);
    all.push(code_of_3_11());
    all
}

/// A code object of 3.11 at address 0, with its texts (`docs/cpython.md`, section 1).
fn code_of_3_11() -> Vec<u8> {
    let mut memory = vec![0u8; 4096];
    let mut put = |at: usize, bytes: &[u8]| memory[at..at + bytes.len()].copy_from_slice(bytes);
    put(72, &7i32.to_le_bytes()); // co_firstlineno
    for (field, object) in [(112usize, 512u64), (128, 1024), (136, 1536)] {
        put(field, &object.to_le_bytes());
    }
    for (object, text) in [(512, &b"/srv/app.py"[..]), (1024, b"Handler.get")] {
        put(object + 16, &(text.len() as u64).to_le_bytes());
        put(object + 32, &0x64u32.to_le_bytes()); // one byte a character, compact, ASCII
        put(object + 48, text);
    }
    put(1536 + 16, &8u64.to_le_bytes());
    put(1536 + 32, &[0x80, 0x00, 0xd8, 0x08, 0x09, 0x80, 0x41, 0xd8]);
    let mut input = vec![3, 0];
    input.append(&mut memory);
    input
}

pub(crate) fn debug_offsets() -> Vec<Vec<u8>> {
    let table = |word: &dyn Fn(u64) -> u64| {
        let mut input = b"xdebugpy".to_vec();
        input.extend((1..128).flat_map(|at| word(at).to_le_bytes()));
        input
    };
    vec![
        table(&|at| at * 8),
        table(&|at| if at == 1 { 0x030d_00f0 } else { at }),
        table(&|at| if at == 1 { 0x030e_0af0 } else { 65_535 }),
        table(&|_| u64::MAX),
        b"xdebugpy".to_vec(),
        b"\0junk\x003.8.18 (default, May  9 2026, 10:00:00) \n[GCC 12.2.0]\0lib/python3.9\0".to_vec(),
        b"l\0\0\0i\0\0\0b\0\0\0/\0\0\0p\0\0\0y\0\0\0t\0\0\0h\0\0\0o\0\0\0n\0\0\x003\0\0\0.\0\0\x001\0\0\0".to_vec(),
    ]
}

pub(crate) fn maps() -> Vec<Vec<u8>> {
    [
        &b"55d0c0000000-55d0c0001000 r-xp 00001000 fe:01 42    /srv/my app\xe9\\012x.so (deleted)\n\
        55d0c0001000-55d0c0002000 rw-p 00000000 00:00 0 \n\
        7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n\
        ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"[..],
        b"zz-1 r-xp\n\n20-10 r--p 0 0:0 0\n10-20 r--p 0 0:0 0\n0-ffffffffffffffff r 0 0:0 1 /x\n",
        b"10-20 \n10-20  - - -\n-\n10--20 r 0 0: 0\n",
        b"",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// A 64-bit ELF library with one segment and a symbol table that defines `_PyRuntime`.
fn library() -> Vec<u8> {
    let mut file = vec![0u8; 0x240];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[3, 0, 62, 0, 1]);
    put(32, &64u64.to_le_bytes()); // e_phoff
    put(40, &0x100u64.to_le_bytes()); // e_shoff
    put(52, &[64, 0, 56, 0, 1, 0, 64, 0, 3, 0]);
    put(64, &[1, 0, 0, 0, 5, 0, 0, 0]); // PT_LOAD, R and X
    put(96, &0x240u64.to_le_bytes()); // p_filesz
    put(104, &0x1000u64.to_le_bytes()); // p_memsz
    let mut section = |number: usize, kind: u32, offset: u64, size: u64, link: u32| {
        let at = 0x100 + 64 * number;
        put(at + 4, &kind.to_le_bytes());
        put(at + 24, &offset.to_le_bytes());
        put(at + 32, &size.to_le_bytes());
        put(at + 40, &link.to_le_bytes());
        put(at + 56, &24u64.to_le_bytes());
    };
    section(1, 11, 0x1c0, 48, 2); // SHT_DYNSYM
    section(2, 3, 0x1f0, 32, 0); // SHT_STRTAB
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1c0 + 24, &[1, 0, 0, 0, 0x11, 0, 1, 0]);
    put(0x1c0 + 32, &0x800u64.to_le_bytes());
    put(0x1f0, b"\0_PyRuntime\0Py_Version\0");
    file
}

pub(crate) fn elf_files() -> Vec<Vec<u8>> {
    let whole = library();
    let narrow = {
        let mut file = whole.clone();
        file[4] = 1;
        file
    };
    let cut = whole[..0x180].to_vec();
    vec![whole, narrow, cut, b"\x7fELF\x02\x02\x01".to_vec()]
}

/// One record of each kind, with a tail where there may be one.
pub(crate) fn events() -> Vec<Vec<u8>> {
    let record = |tag: u32, length: usize| {
        let mut input = tag.to_le_bytes().to_vec();
        input.extend((4..length).map(|at| (at % 5) as u8));
        input
    };
    let mut all: Vec<Vec<u8>> = (0..=12).map(|tag| record(tag, 160)).collect();
    all.push(record(4, 24));
    all.push(Vec::new());
    all
}
