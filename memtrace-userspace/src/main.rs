//! The `memtrace` command: parse, run, say what went wrong, choose the exit code.

fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let t = std::time::Instant::now();
        let (mut p, mut ring) = memtrace::kernel::Probes::load(&memtrace::kernel::Options {
            ring_bytes: 8 << 20,
            verbose: false,
        })
        .unwrap_or_else(|e| {
            eprintln!("{e:?}");
            std::process::exit(1)
        });
        eprintln!("loaded {:?}", t.elapsed());
        p.attach().unwrap();
        eprintln!("attached {:?}", t.elapsed());
        let pid: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
        let s = p.begin(pid, &memtrace_common::layout::PyLayout::NONE, true).unwrap();
        eprintln!("{s:?} {:?}", t.elapsed());
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            ring.drain(1000000, |b| {
                println!("{:?}", memtrace::kernel::decode(b));
            });
        }
        p.close(&[pid]).unwrap();
        eprintln!("{:?}", p.space(s.unwrap().0, s.unwrap().1.id));
    });
}
