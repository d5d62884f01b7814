use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use gateway::config::{self, Plan};
use harness::process::binary;
use harness::{Gateway, Request};
use serde_json::Value;

use crate::promql::{self, Recorded};
use crate::yaml::{document, documents, items, texts};
use crate::{report, root, run, said};

const FOLDER: &str = "deploy/kubernetes";
const MONITORING: &str = "deploy/kubernetes/monitoring";

/// To end in, after the drain.
const SPARE_S: u64 = 5;
/// What a gateway needs beside its caches: workers, connections, buffers.
const BESIDE_CACHES_BYTES: u64 = 128 << 20;

/// Every object of both kustomizations.
fn objects() -> Vec<Value> {
    let of = |folder: &str| {
        let kustomization = document(&format!("{folder}/kustomization.yaml"));
        let files: Vec<String> = texts(&kustomization["resources"])
            .iter()
            .map(|file| format!("{folder}/{file}"))
            .collect();
        files
    };
    let files = of(FOLDER).into_iter().chain(of(MONITORING));
    files.flat_map(|file| documents(&file)).collect()
}

/// The only object of a kind.
#[track_caller]
fn object(kind: &str) -> Value {
    let mut found: Vec<Value> = objects().into_iter().filter(|o| o["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "objects of kind {kind}");
    found.remove(0)
}

/// A Service by name.
#[track_caller]
fn service(name: &str) -> Value {
    let found = objects()
        .into_iter()
        .find(|o| o["kind"] == "Service" && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no Service {name}"))
}

fn pod() -> Value {
    object("Deployment")["spec"]["template"].clone()
}

fn container() -> Value {
    pod()["spec"]["containers"][0].clone()
}

fn configuration() -> String {
    let text = object("ConfigMap")["data"]["sluice.toml"].clone();
    text.as_str().expect("the ConfigMap has a sluice.toml").to_owned()
}

fn plan() -> Plan {
    config::load_text("sluice.toml", configuration(), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .plan
}

/// `512Mi` in bytes.
#[track_caller]
fn bytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or_default();
    let (digits, shift) = match (text.strip_suffix("Mi"), text.strip_suffix("Gi")) {
        (Some(digits), _) => (digits, 20),
        (_, Some(digits)) => (digits, 30),
        (None, None) => panic!("{quantity} is neither in Mi nor in Gi"),
    };
    digits
        .parse::<u64>()
        .unwrap_or_else(|error| panic!("{error} in {quantity}"))
        << shift
}

/// Whether these labels are among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().filter(|wanted| !wanted.is_empty());
    wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
}

/// Names of a table that this list lacks.
fn strange(place: &str, table: &Value, known: &[&str]) -> Vec<String> {
    let names = texts(table).into_iter().filter(|name| !known.contains(name));
    names
        .map(|name| format!("{place}: {name} is not known there"))
        .collect()
}

#[test]
fn a_kustomization_names_every_file_beside_it() {
    for (folder, apart) in [(FOLDER, vec![]), (MONITORING, vec!["prometheus-adapter.yaml"])] {
        let kustomization = document(&format!("{folder}/kustomization.yaml"));
        let mut named: BTreeSet<String> = texts(&kustomization["resources"])
            .into_iter()
            .map(str::to_owned)
            .collect();
        named.extend(apart.into_iter().map(str::to_owned));
        named.insert("kustomization.yaml".to_owned());
        let there = std::fs::read_dir(root().join(folder))
            .unwrap()
            .map(Result::unwrap);
        let there = there.filter(|entry| entry.path().is_file());
        let there: BTreeSet<String> = there
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(named, there, "in {folder}");
        assert!(
            kustomization["configMapGenerator"].is_null(),
            "a hash in its name replaces pods instead of files"
        );
    }
}

#[test]
fn every_object_is_of_a_version_that_clusters_of_today_have() {
    let known = [
        ("apps/v1", "Deployment"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("policy/v1", "PodDisruptionBudget"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
    ];
    let top = [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "data",
        "automountServiceAccountToken",
    ];
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for object in objects() {
        let [version, kind] = ["apiVersion", "kind"].map(|name| object[name].as_str().unwrap_or_default());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let place = format!("{kind} {name}");
        if !known.contains(&(version, kind)) {
            faults.push(format!("{place}: no such kind in {version}"));
        }
        if name.is_empty() || !names.insert(place.clone()) {
            faults.push(format!("{place}: its name is missing, or another one's"));
        }
        faults.extend(strange(&place, &object, &top));
        faults.extend(strange(&place, &object["metadata"], &["name", "labels"]));
        if object["metadata"]["labels"]["app.kubernetes.io/name"] != "sluice" {
            faults.push(format!("{place}: not labelled as ours"));
        }
    }
    report(&faults);
}

#[test]
fn no_key_of_the_pod_is_misspelt() {
    let (pod, container) = (pod()["spec"].clone(), container());
    let mut faults = strange(
        "pod",
        &pod,
        &[
            "serviceAccountName",
            "automountServiceAccountToken",
            "enableServiceLinks",
            "terminationGracePeriodSeconds",
            "securityContext",
            "topologySpreadConstraints",
            "containers",
            "volumes",
        ],
    );
    let of_container = "name image args ports startupProbe livenessProbe readinessProbe lifecycle resources securityContext volumeMounts";
    faults.extend(strange(
        "container",
        &container,
        &of_container.split(' ').collect::<Vec<_>>(),
    ));
    let of_probe = ["httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        faults.extend(strange(probe, &container[probe], &of_probe));
        faults.extend(strange(probe, &container[probe]["httpGet"], &["path", "port"]));
    }
    for spread in items(&pod["topologySpreadConstraints"]) {
        let known = ["maxSkew", "topologyKey", "whenUnsatisfiable", "labelSelector"];
        faults.extend(strange("topologySpreadConstraints", spread, &known));
    }
    let resources = ["cpu", "memory", "ephemeral-storage"];
    faults.extend(strange(
        "resources",
        &container["resources"],
        &["requests", "limits"],
    ));
    for kind in ["requests", "limits"] {
        faults.extend(strange(kind, &container["resources"][kind], &resources));
    }
    report(&faults);
}

#[test]
fn every_selector_finds_the_pods() {
    let labels = pod()["metadata"]["labels"].clone();
    let deployment = object("Deployment");
    let mut selectors = vec![
        deployment["spec"]["selector"]["matchLabels"].clone(),
        object("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].clone(),
        object("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].clone(),
        service("sluice")["spec"]["selector"].clone(),
        service("sluice-admin")["spec"]["selector"].clone(),
    ];
    let spreads = pod()["spec"]["topologySpreadConstraints"].clone();
    selectors.extend(
        items(&spreads)
            .iter()
            .map(|s| s["labelSelector"]["matchLabels"].clone()),
    );
    assert_eq!(selectors.len(), 7);
    for selector in &selectors {
        assert!(selects(selector, &labels), "{selector} among {labels}");
    }
    let target = object("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].clone();
    let is = ["apiVersion", "kind"].map(|name| deployment[name].clone());
    assert_eq!([target["apiVersion"].clone(), target["kind"].clone()], is);
    assert_eq!(target["name"], deployment["metadata"]["name"]);
}

#[test]
fn every_port_that_is_named_is_one_the_gateway_listens_at() {
    let ports: Vec<(String, u64)> = items(&container()["ports"])
        .iter()
        .map(|p| {
            (
                p["name"].as_str().unwrap_or_default().to_owned(),
                p["containerPort"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let plan = plan();
    let port = |address: String| {
        address
            .rsplit_once(':')
            .and_then(|(_, p)| p.parse().ok())
            .unwrap_or(0)
    };
    let admin = plan.admin.as_ref().expect("probes ask at the admin address");
    let expected = [
        ("http".to_owned(), port(plan.listeners[0].address.to_string())),
        ("admin".to_owned(), port(admin.address.to_string())),
    ];
    assert_eq!(ports, expected);
    assert_eq!(plan.listeners.len(), 1, "a port for each listener");

    let mut used = Vec::new();
    for name in ["sluice", "sluice-admin"] {
        used.extend(
            items(&service(name)["spec"]["ports"])
                .iter()
                .map(|p| p["targetPort"].clone()),
        );
    }
    let container = container();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        used.push(container[probe]["httpGet"]["port"].clone());
    }
    for rule in items(&object("NetworkPolicy")["spec"]["ingress"]) {
        used.extend(items(&rule["ports"]).iter().map(|p| p["port"].clone()));
    }
    assert_eq!(used.len(), 7);
    for port in used {
        assert!(
            ports.iter().any(|(name, _)| port == **name),
            "no port is called {port}"
        );
    }
}

#[test]
fn the_admin_port_is_not_for_everybody() {
    let public = service("sluice");
    assert!(
        items(&public["spec"]["ports"])
            .iter()
            .all(|p| p["targetPort"] == "http")
    );
    assert_eq!(service("sluice-admin")["spec"]["clusterIP"], "None");
    for rule in items(&object("NetworkPolicy")["spec"]["ingress"]) {
        let is_admin = items(&rule["ports"]).iter().any(|p| p["port"] == "admin");
        assert!(
            !is_admin || !items(&rule["from"]).is_empty(),
            "anybody may reach the admin port: {rule}"
        );
    }
    let admin = plan().admin.expect("there is an admin address");
    assert!(admin.token_file.is_some());
}

#[test]
fn probes_ask_what_a_gateway_answers_without_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-long-random-word\n").unwrap();
    let admin = format!("[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = {token:?}\n");
    let gw = Gateway::start(&format!("{admin}[[routes]]\nrespond = {{ body = \"hello\" }}\n"));
    let container = container();
    let paths = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| {
        let path = container[probe]["httpGet"]["path"].as_str();
        path.unwrap_or_else(|| panic!("{probe} has no path")).to_owned()
    });
    assert_eq!(paths, ["/healthz", "/healthz", "/readyz"]);
    for path in paths {
        gw.ask_admin(&Request::get(&path)).expect(200);
    }
    gw.ask_admin(&Request::get("/metrics")).expect(401);
}

#[test]
fn whoever_asks_when_a_pod_ends_is_answered() {
    let pod = pod()["spec"].clone();
    let grace_s = pod["terminationGracePeriodSeconds"]
        .as_u64()
        .expect("there is one");
    let waits_s = container()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let waits_s = waits_s.expect("the pod is no endpoint any more before it stops to listen");
    let drain = plan().server.drain_timeout;
    assert!(waits_s >= 5, "nodes need some seconds to hear of it");
    assert!(Duration::from_secs(grace_s) >= drain + Duration::from_secs(waits_s + SPARE_S));
    let rolling = object("Deployment")["spec"]["strategy"]["rollingUpdate"].clone();
    assert_eq!(rolling["maxUnavailable"], 0);
}

#[test]
fn the_pod_may_do_no_more_than_it_must() {
    let (pod, container) = (pod()["spec"].clone(), container());
    let user = &pod["securityContext"];
    assert_eq!(user["runAsNonRoot"], true);
    assert!(user["runAsUser"].as_u64().is_some_and(|id| id > 0));
    assert_eq!(user["seccompProfile"]["type"], "RuntimeDefault");
    let may = &container["securityContext"];
    assert_eq!(may["allowPrivilegeEscalation"], false);
    assert_eq!(may["readOnlyRootFilesystem"], true);
    assert_eq!(texts(&may["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let image = document(&format!("{FOLDER}/kustomization.yaml"))["images"][0].clone();
    assert_eq!(container["image"], image["name"]);
    assert!(image["newTag"].as_str().is_some_and(|tag| tag != "latest"));
}

#[test]
fn every_file_the_configuration_names_is_in_a_volume() {
    let (pod, container) = (pod()["spec"].clone(), container());
    let mounts = items(&container["volumeMounts"]);
    let volume_at = |path: &Path| {
        let mount = mounts
            .iter()
            .find(|m| path.starts_with(m["mountPath"].as_str().unwrap_or("-")))?;
        items(&pod["volumes"]).iter().find(|v| v["name"] == mount["name"])
    };
    assert!(
        mounts.iter().all(|m| m["subPath"].is_null()),
        "what is mounted by subPath never changes"
    );
    assert_eq!(
        mounts.len(),
        items(&pod["volumes"]).len(),
        "a mount for each volume"
    );
    let args = texts(&container["args"]).join(" ");
    let file = args.strip_prefix("run -c ").expect("the configuration is named");
    let of_config = volume_at(Path::new(file)).expect("the configuration is in a volume");
    assert_eq!(
        of_config["configMap"]["name"],
        object("ConfigMap")["metadata"]["name"]
    );
    assert!(file.ends_with("/sluice.toml"));

    let plan = plan();
    let token = plan
        .admin
        .and_then(|a| a.token_file)
        .expect("a pod's address is not loopback");
    let secret = volume_at(&token).expect("the token is in a volume")["secret"]["secretName"].clone();
    let asks = object("ServiceMonitor")["spec"]["endpoints"][0]["authorization"].clone();
    assert_eq!(asks["credentials"]["name"], secret);
    assert_eq!(
        asks["credentials"]["key"],
        token.file_name().unwrap().to_string_lossy().as_ref()
    );

    for cache in plan.caches.iter().filter(|c| c.disk > 0) {
        let path = cache.path.as_ref().expect("a disk has a path");
        let room = &volume_at(path).expect("it can be written to")["emptyDir"]["sizeLimit"];
        assert!(
            cache.disk < bytes(room),
            "the kubelet evicts a pod that takes more"
        );
        assert!(bytes(room) < bytes(&container["resources"]["limits"]["ephemeral-storage"]));
    }
}

#[test]
fn full_caches_do_not_ask_for_more_pods_for_ever() {
    let requested = bytes(&container()["resources"]["requests"]["memory"]);
    let cached: u64 = plan().caches.iter().map(|c| c.memory).sum();
    let metrics = object("HorizontalPodAutoscaler")["spec"]["metrics"].clone();
    let target = |name: &str| {
        let of = items(&metrics).iter().find(|m| m["resource"]["name"] == name);
        of.and_then(|m| m["resource"]["target"]["averageUtilization"].as_u64())
    };
    assert_eq!((target("cpu"), target("memory")), (Some(70), Some(80)));
    assert!(cached + BESIDE_CACHES_BYTES < requested * 80 / 100);
    assert!(requested <= bytes(&container()["resources"]["limits"]["memory"]));
}

#[test]
fn there_are_always_more_pods_than_may_be_away() {
    let spec = object("HorizontalPodAutoscaler")["spec"].clone();
    let (min, max) = (
        spec["minReplicas"].as_u64().unwrap(),
        spec["maxReplicas"].as_u64().unwrap(),
    );
    let away = object("PodDisruptionBudget")["spec"]["maxUnavailable"]
        .as_u64()
        .unwrap();
    assert!(away >= 1 && away < min && min < max);
    assert!(
        object("Deployment")["spec"]["replicas"].is_null(),
        "each `apply` would undo the autoscaler's"
    );
}

#[test]
fn requests_per_second_reach_the_autoscaler_by_the_rule_that_is_given() {
    let metrics = object("HorizontalPodAutoscaler")["spec"]["metrics"].clone();
    let by_pods = items(&metrics)
        .iter()
        .find(|m| m["type"] == "Pods")
        .expect("there is one");
    assert_eq!(by_pods["pods"]["target"]["type"], "AverageValue");
    let rules = document(&format!("{MONITORING}/prometheus-adapter.yaml"))["rules"]["custom"].clone();
    assert_eq!(items(&rules).len(), 1);
    assert_eq!(rules[0]["name"]["as"], by_pods["pods"]["metric"]["name"]);
    let series = rules[0]["seriesQuery"].as_str().unwrap();
    report(&promql::check(series, &Recorded::new()).0);
    let (metric, _) = series.split_once('{').unwrap();
    let query = rules[0]["metricsQuery"].as_str().unwrap();
    let filled = query
        .replace("<<.Series>>", metric)
        .replace("<<.LabelMatchers>>", "namespace=\"edge\"")
        .replace("<<.GroupBy>>", "pod");
    assert!(!filled.contains("<<"), "{filled}");
    report(&promql::check(&filled, &Recorded::new()).0);
}

#[test]
fn the_service_monitor_finds_the_admin_port_alone() {
    let monitor = object("ServiceMonitor")["spec"].clone();
    let wanted = &monitor["selector"]["matchLabels"];
    let (admin, public) = (service("sluice-admin"), service("sluice"));
    assert!(selects(wanted, &admin["metadata"]["labels"]));
    assert!(!selects(wanted, &public["metadata"]["labels"]));
    assert_eq!(monitor["endpoints"][0]["port"], admin["spec"]["ports"][0]["name"]);
    // Rules and board ask for job="sluice".
    let job = monitor["jobLabel"].as_str().unwrap();
    assert_eq!(admin["metadata"]["labels"][job], "sluice");
}

#[test]
fn the_configuration_passes_the_check_that_an_operator_makes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.toml");
    std::fs::write(&file, configuration()).unwrap();
    let sluice = binary("sluice");
    let output = run(
        &sluice.to_string_lossy(),
        &["check", "-c", &file.to_string_lossy()],
    );
    let output = output.expect("the binary is there");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
