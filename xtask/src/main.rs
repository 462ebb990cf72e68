//! `cargo xtask`: the project's chores, one file each.
//!
//! Nothing here is part of memtrace itself, and nothing here is needed to build it: plain
//! `cargo build` works without ever running a chore.

mod bench;
mod browser;
mod deb;
mod debian;
mod demo;
mod deny;
mod ebpf;
mod fuzz;
mod instructions;
mod interpreters;
mod man;
mod mprof;
mod package;
mod peers;
mod pip;
mod process;
mod python;
mod reproduce;
mod sbom;
mod setup;
mod source_hash;
mod test;
mod tidy;
mod toolchain;
mod tools;
mod viewers;
mod vm;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "memtrace's chores", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the eBPF toolchain and the tests need, and only what is missing
    Setup(setup::Options),
    /// Build the eBPF object and write it beside the hash of its sources
    Ebpf(ebpf::Options),
    /// Fetch Debian sid's Pythons for the tests
    Interpreters(interpreters::Options),
    /// Run the tests of the kernel side on Debian's kernels, in virtual machines
    Vm(vm::Options),
    /// Check licences, sources and duplicates of what memtrace is made of
    Deny(deny::Options),
    /// Fuzz what targets and files give memtrace to read
    Fuzz(fuzz::Options),
    /// Write bills of materials
    Sbom(sbom::Options),
    /// Make the release build twice, and compare
    Reproduce(reproduce::Options),
    /// Write the man pages
    Man(man::Options),
    /// Make the Debian package
    Deb(package::Options),
    /// Make the Python wheel that holds the binary
    Wheel(package::Options),
    /// Check the house rules
    Tidy,
    /// Everything that CI runs
    Test(test::Options),
    /// Trace a sample service that leaks, and print its table
    Demo(demo::Options),
    /// Measure what tracing costs
    Bench(bench::Options),
    /// Count the instructions that user space takes for each record
    Instructions(instructions::Options),
}

fn main() -> ExitCode {
    if ebpf::wrapper::wanted() {
        return ebpf::wrapper::run();
    }
    let result = match Arguments::parse().chore {
        Chore::Setup(options) => setup::run(&options),
        Chore::Ebpf(options) => ebpf::run(&options),
        Chore::Interpreters(options) => interpreters::run(&options),
        Chore::Vm(options) => vm::run(&options),
        Chore::Deny(options) => deny::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Sbom(options) => sbom::run(&options),
        Chore::Reproduce(options) => reproduce::run(&options),
        Chore::Man(options) => man::run(&options),
        Chore::Deb(options) => deb::run(&options),
        Chore::Wheel(options) => wheel::run(&options),
        Chore::Tidy => tidy::run(),
        Chore::Test(options) => test::run(&options),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Instructions(options) => instructions::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
