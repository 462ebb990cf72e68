//! What `packaging/` and `cargo xtask deb` and `wheel` make, installed and run.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::memtrace::{Build, binary};
use harness::resources::{cargo, succeed, workspace};
use harness::{Context, Result, ensure, interpreters};
use serde_yaml_ng::Value;

/// What all ways to run it give: as `privileges.rs` finds, what reads source with its user's rights, and what opens deleted
/// files.
const CAPABILITIES: [&str; 7] =
    ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SETUID", "SETGID", "CHECKPOINT_RESTORE"];

/// Runs a chore that packs the tests' own build, and gives the package.
fn packed(chore: &str, folder: &Path) -> Result<PathBuf> {
    let mut xtask = cargo();
    xtask.args(["run", "--quiet", "-p", "xtask", "--", chore]);
    xtask.arg("--binary").arg(binary(Build::Dev)?).arg("--output").arg(folder);
    let said = succeed(&mut xtask)?;
    Ok(said.trim().lines().last().context("the package's name")?.into())
}

fn version() -> String {
    format!("memtrace {}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn the_debian_package_unpacks_to_a_memtrace_that_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let package = packed("deb", folder.path())?;
    let field = |name: &str| succeed(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name));
    ensure!(field("Package")?.trim() == "memtrace" && field("Architecture")?.trim() == "amd64");
    ensure!(field("Version")?.trim() == env!("CARGO_PKG_VERSION"));
    ensure!(field("Depends")?.contains("libc6 (>= 2."), "{}", field("Depends")?);

    let root = folder.path().join("root");
    succeed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
    let memtrace = root.join("usr/bin/memtrace");
    ensure!(succeed(Command::new(&memtrace).arg("--version"))?.trim() == version());
    for file in [
        "etc/memtrace/daemon.toml",
        "lib/systemd/system/memtrace.service",
        "usr/share/man/man1/memtrace.1.gz",
        "usr/share/man/man1/memtrace-push.1.gz",
        "usr/share/bash-completion/completions/memtrace",
        "usr/share/doc/memtrace/copyright",
    ] {
        ensure!(root.join(file).is_file(), "{file} is missing");
    }
    let control = folder.path().join("control");
    succeed(Command::new("dpkg-deb").arg("-e").arg(&package).arg(&control))?;
    let conffiles = std::fs::read_to_string(control.join("conffiles"))?;
    ensure!(conffiles.trim() == "/etc/memtrace/daemon.toml");
    let listed = succeed(Command::new("dpkg-deb").arg("-c").arg(&package))?;
    ensure!(listed.lines().all(|line| line.contains("root/root")), "{listed}");
    // A package asks for the glibc that its binary asks for: on this machine it can be installed.
    let mut dpkg = Command::new("dpkg");
    dpkg.args(["--dry-run", "--force-not-root", "--install"]).arg(&package);
    succeed(&mut dpkg)?;
    Ok(())
}

#[test]
fn pip_installs_the_wheel_into_a_fresh_environment() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let wheel = packed("wheel", folder.path())?;
    let has_pip = |python: &&interpreters::Interpreter| {
        succeed(Command::new(&python.path).args(["-m", "ensurepip", "--version"])).is_ok()
    };
    let all = interpreters::all();
    let python = all.iter().rev().find(has_pip).context("no Python with ensurepip")?;
    let environment = folder.path().join("environment");
    succeed(Command::new(&python.path).args(["-m", "venv"]).arg(&environment))?;
    let pip = environment.join("bin/pip");
    let mut install = Command::new(&pip);
    install.args(["install", "--no-index", "--quiet", "--disable-pip-version-check"]);
    succeed(install.arg(&wheel))?;
    let memtrace = environment.join("bin/memtrace");
    ensure!(succeed(Command::new(&memtrace).arg("--version"))?.trim() == version());
    let doctor = succeed(Command::new(&memtrace).arg("doctor"))?;
    ensure!(doctor.contains("memtrace can trace here."), "{doctor}");
    // pip checks its record of what is installed when it removes it.
    let files = succeed(Command::new(&pip).args(["show", "--files", "memtrace"]))?;
    ensure!(files.contains("bin/memtrace") && files.contains("licenses/LICENSE-MIT"), "{files}");
    succeed(Command::new(&pip).args(["uninstall", "--yes", "--quiet", "memtrace"]))?;
    ensure!(!memtrace.exists());
    Ok(())
}

fn packaging(file: &str) -> Result<String> {
    let file = workspace().join("packaging").join(file);
    std::fs::read_to_string(&file).with_context(|| file.display().to_string())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit_and_it_gives_no_more_than_it_takes() -> Result<()> {
    let unit = packaging("systemd/memtrace.service")?;
    let set = |key: &str| -> Result<String> {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        Ok(line.with_context(|| key.to_owned())?.to_owned())
    };
    let expected = CAPABILITIES.map(|name| format!("CAP_{name}")).join(" ");
    ensure!(set("AmbientCapabilities")? == expected);
    ensure!(set("CapabilityBoundingSet")? == expected);
    for (key, value) in
        [("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("DynamicUser", "yes")]
    {
        ensure!(set(key)? == value, "{key}");
    }
    let command = "/usr/bin/memtrace daemon --config /etc/memtrace/daemon.toml";
    ensure!(set("ExecStart")? == command);

    let has_it = Command::new("systemd-analyze").arg("--version").output().is_ok();
    ensure!(has_it, "this test needs systemd-analyze (Debian: apt-get install systemd)");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memtrace.service");
    let installed = unit.replace("/usr/bin/memtrace", &binary(Build::Dev)?.display().to_string());
    std::fs::write(&file, installed)?;
    let output =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && said.is_empty(), "{said}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--no-pager", "--offline=true", "--threshold=40"]).arg(&file);
    succeed(&mut security)?;
    Ok(())
}

#[test]
fn the_daemonset_gives_what_tracing_takes_and_no_more() -> Result<()> {
    let text = packaging("kubernetes/daemonset.yaml")?;
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&text)
        .map(serde::Deserialize::deserialize)
        .collect::<Result<_, _>>()?;
    let set = documents.iter().find(|one| one["kind"] == "DaemonSet").context("a DaemonSet")?;
    ensure!(set["apiVersion"] == "apps/v1");
    let labels = &set["spec"]["selector"]["matchLabels"];
    ensure!(labels == &set["spec"]["template"]["metadata"]["labels"], "it selects others' pods");
    let pod = &set["spec"]["template"]["spec"];
    ensure!(pod["hostPID"] == true && pod["automountServiceAccountToken"] == false);
    ensure!(pod["hostNetwork"].is_null() && pod["serviceAccountName"].is_null());

    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    let added: Vec<_> =
        security["capabilities"]["add"].as_sequence().into_iter().flatten().collect();
    ensure!(added == CAPABILITIES, "{added:?}");
    ensure!(security["capabilities"]["drop"][0] == "ALL");
    ensure!(security["privileged"] == false && security["allowPrivilegeEscalation"] == false);
    ensure!(security["readOnlyRootFilesystem"] == true);

    let volumes = pod["volumes"].as_sequence().context("volumes")?;
    let mounts = container["volumeMounts"].as_sequence().context("mounts")?;
    ensure!(volumes.len() == mounts.len());
    for (path, read_only) in [
        ("/sys/kernel/tracing", true),
        ("/sys/kernel/btf", true),
        ("/var/log/containers", true),
        ("/var/lib/memtrace", false),
    ] {
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path).context(path)?;
        ensure!((mount["readOnly"] == true) == read_only, "{mount:?}");
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        ensure!(volume.context(path)?["hostPath"]["path"] == path);
    }
    let namespaced = documents.iter().filter(|one| one["kind"] != "Namespace");
    for document in namespaced {
        ensure!(document["metadata"]["namespace"] == "memtrace", "{document:?}");
    }
    Ok(())
}

#[test]
fn the_image_runs_what_the_unit_runs() -> Result<()> {
    let recipe = packaging("container/Containerfile")?;
    ensure!(recipe.contains("ENTRYPOINT [\"/usr/bin/memtrace\"]"));
    ensure!(recipe.contains("CMD [\"daemon\", \"--config\", \"/etc/memtrace/daemon.toml\"]"));
    for name in CAPABILITIES {
        ensure!(recipe.contains(&format!("--cap-add {name}")), "{name}");
    }
    for line in recipe.lines().filter_map(|line| line.strip_prefix("COPY packaging")) {
        let from = line.split_whitespace().next().context("what is copied")?;
        ensure!(workspace().join(format!("packaging{from}")).is_file(), "{from} is not there");
    }
    Ok(())
}
