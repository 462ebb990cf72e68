//! `cargo xtask wheel`: a wheel that holds the binary, so that `pip install` installs it.
//!
//! The form is PyPA's "Binary distribution format": the binary lies where installers take scripts from,
//! so no Python runs when memtrace does. It is for every Python, and for the glibc that it needs.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::package::{self, NAME, SUMMARY, VERSION};
use crate::process::root;

/// The chore.
pub(crate) fn run(options: &package::Options) -> Result<()> {
    let output = options.folder()?;
    let binary = output.join("wheel/memtrace");
    options.binary(&binary)?;
    let (major, minor) = package::glibc(&binary)?;
    let tag = format!("py3-none-manylinux_{major}_{minor}_x86_64");
    let file = output.join(format!("{NAME}-{VERSION}-{tag}.whl"));
    let info = format!("{NAME}-{VERSION}.dist-info");

    let mut wheel = Wheel::create(&file)?;
    wheel.add(&format!("{NAME}-{VERSION}.data/scripts/memtrace"), &fs::read(&binary)?, 0o755)?;
    wheel.add(&format!("{info}/METADATA"), metadata()?.as_bytes(), 0o644)?;
    let about = format!(
        "Wheel-Version: 1.0\nGenerator: memtrace xtask {VERSION}\nRoot-Is-Purelib: false\nTag: {tag}\n"
    );
    wheel.add(&format!("{info}/WHEEL"), about.as_bytes(), 0o644)?;
    for license in ["LICENSE-MIT", "LICENSE-APACHE", "LICENSE-DEJAVU"] {
        let text = fs::read(root().join(license))?;
        wheel.add(&format!("{info}/licenses/{license}"), &text, 0o644)?;
    }
    wheel.finish(&format!("{info}/RECORD"))?;
    println!("{}", file.display());
    Ok(())
}

fn metadata() -> Result<String> {
    let readme = fs::read_to_string(root().join("README.md"))?;
    Ok(format!(
        "Metadata-Version: 2.4\n\
         Name: {NAME}\n\
         Version: {VERSION}\n\
         Summary: {SUMMARY}\n\
         License-Expression: MIT OR Apache-2.0\n\
         License-File: LICENSE-MIT\n\
         License-File: LICENSE-APACHE\n\
         License-File: LICENSE-DEJAVU\n\
         Requires-Python: >=3.8\n\
         Classifier: Environment :: Console\n\
         Classifier: Operating System :: POSIX :: Linux\n\
         Classifier: Programming Language :: Rust\n\
         Description-Content-Type: text/markdown\n\n{readme}"
    ))
}

/// A wheel under way.
struct Wheel {
    zip: ZipWriter<fs::File>,
    /// What is in it: path, hash, size.
    record: String,
}

impl Wheel {
    fn create(file: &Path) -> Result<Self> {
        let zip =
            fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?;
        Ok(Self { zip: ZipWriter::new(zip), record: String::new() })
    }

    fn put(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        // No time of day: the same content is the same file.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(mode);
        self.zip.start_file(path, options).with_context(|| format!("cannot pack {path}"))?;
        self.zip.write_all(content).with_context(|| format!("cannot pack {path}"))
    }

    fn add(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        self.record.push_str(&format!("{path},sha256={hash},{}\n", content.len()));
        self.put(path, content, mode)
    }

    fn finish(mut self, record_path: &str) -> Result<()> {
        let record = format!("{}{record_path},,\n", self.record);
        self.put(record_path, record.as_bytes(), 0o644)?;
        self.zip.finish().context("cannot end the wheel")?;
        Ok(())
    }
}
