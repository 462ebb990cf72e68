//! Paths of cgroups as runtimes make them, and names as they leave them.

use super::*;

const ID: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn check(path: &str, runtime: Runtime, pod_uid: Option<&str>) {
    let path = path.replace("ID", ID);
    let found = of_path(&path).unwrap_or_else(|| panic!("no container in {path}"));
    assert_eq!(
        (found.runtime, found.id.as_str(), found.pod_uid.as_deref()),
        (runtime, ID, pod_uid)
    );
}

#[test]
fn paths_of_every_runtime_name_their_container() {
    let uid = Some("0f2ab1c3-7d5e-4a09-9c1e-6b1f2d3c4e5a");
    check("/docker/ID", Runtime::Docker, None);
    check("/system.slice/docker-ID.scope", Runtime::Docker, None);
    check("/system.slice/docker-ID.scope/init", Runtime::Docker, None);
    check(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
        Runtime::Podman,
        None,
    );
    check("/machine.slice/libpod-ID.scope", Runtime::Podman, None);
    check("/libpod_parent/libpod-ID", Runtime::Podman, None);
    check("/kubepods/burstable/pod0f2ab1c3-7d5e-4a09-9c1e-6b1f2d3c4e5a/ID", Runtime::Other, uid);
    check(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f2ab1c3_7d5e_4a09_9c1e_6b1f2d3c4e5a.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        uid,
    );
    check(
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0f2ab1c3_7d5e_4a09_9c1e_6b1f2d3c4e5a.slice/crio-ID.scope/container",
        Runtime::Crio,
        uid,
    );
    check(
        "/kubepods.slice/kubepods-pod0f2ab1c3_7d5e_4a09_9c1e_6b1f2d3c4e5a.slice/docker-ID.scope",
        Runtime::Docker,
        uid,
    );
    check(
        "/system.slice/containerd.service/kubepods-burstable-pod0f2ab1c3_7d5e_4a09_9c1e_6b1f2d3c4e5a.slice:cri-containerd:ID",
        Runtime::Containerd,
        None,
    );
    // A kind node: a container in a container; the inner one is meant.
    let outer = ID.replace('9', "8");
    check(
        &format!(
            "/system.slice/docker-{outer}.scope/kubelet/kubepods/pod0f2ab1c3-7d5e-4a09-9c1e-6b1f2d3c4e5a/ID"
        ),
        Runtime::Docker,
        uid,
    );
    let nspawn = of_path("/machine.slice/machine-web.scope/payload").unwrap();
    assert_eq!((nspawn.runtime, nspawn.id.as_str()), (Runtime::Nspawn, "web"));
    let lxc = of_path("/lxc.payload.web/system.slice/app.service").unwrap();
    assert_eq!((lxc.runtime, lxc.id.as_str()), (Runtime::Lxc, "web"));
}

#[test]
fn a_service_of_the_host_is_in_no_container() {
    for path in [
        "/",
        "",
        "/system.slice/gunicorn.service",
        "/user.slice/user-1000.slice/session-2.scope",
        "/system.slice/docker.service",
        "/system.slice/crio-conmon.scope",
        "/init.scope",
        "/system.slice/docker-deadbeef.scope",
    ] {
        assert_eq!(of_path(path), None, "{path}");
    }
}

#[test]
fn the_path_that_counts_is_taken_of_v2_v1_and_hybrid_files() {
    assert_eq!(path("0::/system.slice/a.service\n"), "/system.slice/a.service");
    assert_eq!(
        path("12:cpu,cpuacct:/x\n5:memory:/docker/abc\n1:name=systemd:/y\n0::/\n"),
        "/docker/abc"
    );
    assert_eq!(path("1:name=systemd:/y\n0::/\n"), "/y");
    assert_eq!(
        path("0::/system.slice/c.service/k.slice:cri:1\n"),
        "/system.slice/c.service/k.slice:cri:1"
    );
    for nonsense in ["", "\n", ":", "::", "1:", "no colon", "\u{0}:\u{0}"] {
        assert!(path(nonsense).len() <= 1, "{nonsense:?}");
    }
}

#[test]
fn the_kubelets_links_and_dockers_files_have_names() {
    let link = format!("web-6d4cf56db6-x7k2p_shop_app-server-{ID}.log");
    let named = Named {
        container: "app-server".to_owned(),
        pod: "web-6d4cf56db6-x7k2p".to_owned(),
        namespace: "shop".to_owned(),
    };
    assert_eq!(of_log_link(&link), Some((ID.to_owned(), named.clone())));
    for nonsense in ["", "a.log", "web_shop_app-123.log", &format!("web-{ID}.log")] {
        assert_eq!(of_log_link(nonsense), None, "{nonsense}");
    }
    let plain = of_docker_config(r#"{"Name": "/shop_web_1", "Config": {"Labels": {}}}"#).unwrap();
    assert_eq!((plain.container.as_str(), plain.pod.as_str()), ("shop_web_1", ""));
    let labelled = r#"{"Name": "/k8s_x", "Config": {"Labels": {"io.kubernetes.container.name":
        "app-server", "io.kubernetes.pod.name": "web-6d4cf56db6-x7k2p",
        "io.kubernetes.pod.namespace": "shop"}}}"#;
    assert_eq!(of_docker_config(labelled), Some(named.clone()));
    assert_eq!(of_docker_config("{"), None);

    let root = tempfile::tempdir().unwrap();
    let mut names = Names::below(root.path());
    let container = of_path(&format!("/docker/{ID}")).unwrap();
    assert_eq!(names.of(&container), Named::default());
    std::fs::create_dir_all(root.path().join("var/log/containers")).unwrap();
    std::fs::write(root.path().join("var/log/containers").join(link), "").unwrap();
    assert_eq!(names.of(&container), named);
}
